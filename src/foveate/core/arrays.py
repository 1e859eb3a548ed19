"""Functions that take numpy and torch arrays alike, and the types of both for annotations.

Nothing here imports torch before a tensor is given: who made the tensor has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING or sys.modules.get("torch") is not None:  # the tests import torch first, and check what is annotated
    from torch import Tensor as Tensor
    from torch import device

    TorchDevice = device
else:
    Tensor = TorchDevice = Any

Array = TypeVar("Array", np.ndarray, Tensor)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    if isinstance(x, np.ndarray):
        small = np.exp(-np.abs(x))
        return np.asarray(np.where(x >= 0, 1, small) / (1 + small))
    return x.sigmoid()


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum of exp(x) along an axis, without overflow.

    >>> softmax(np.array([[1000.0, 1000.0]]), 1).tolist()
    [[0.5, 0.5]]
    """
    if isinstance(x, np.ndarray):
        raised = np.exp(x - x.max(axis, keepdims=True))
        return np.asarray(raised / raised.sum(axis, keepdims=True))
    return x.softmax(axis)


def log_softmax(x: Array, axis: int) -> Array:
    """Logarithm of `softmax`, exact where that is near 0.

    >>> log_softmax(np.array([[0.0, 1000.0]]), 1).tolist()
    [[-1000.0, 0.0]]
    """
    if isinstance(x, np.ndarray):
        shifted = x - x.max(axis, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis, keepdims=True)))
    return x.log_softmax(axis)


def log(x: Array) -> Array:
    """Natural logarithm."""
    return np.asarray(np.log(x)) if isinstance(x, np.ndarray) else x.log()


def logit(p: Array) -> Array:
    """log(p / (1 - p)), the inverse of `sigmoid`.

    >>> sigmoid(logit(np.array([0.25]))).tolist()
    [0.25]
    """
    return np.asarray(np.log(p) - np.log1p(-p)) if isinstance(p, np.ndarray) else p.logit()


def clip(x: Array, low: float, high: float | None = None) -> Array:
    """Values between two bounds; None = no upper bound."""
    return np.asarray(np.clip(x, low, high)) if isinstance(x, np.ndarray) else x.clamp(low, high)


def total(x: Array, axis: int) -> Array:
    """Sum along an axis, which stays with length 1."""
    return np.asarray(x.sum(axis, keepdims=True)) if isinstance(x, np.ndarray) else x.sum(axis, keepdim=True)


def largest_only(x: Array, axis: int) -> Array:
    """The largest value along an axis where it is, else 0; the first of several that are equal.

    >>> largest_only(np.array([[1, 3, 3]]), 1).tolist()
    [[0, 3, 0]]
    """
    if isinstance(x, np.ndarray):
        out = np.zeros_like(x)
        np.put_along_axis(out, x.argmax(axis, keepdims=True), x.max(axis, keepdims=True), axis)
        return out
    import torch

    best, where = x.max(axis, keepdim=True)
    return torch.zeros_like(x).scatter_(axis, where, best)


def joined(arrays: list[Array], axis: int) -> Array:
    """Arrays one after the other along an axis; at least one."""
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays, axis)
    import torch

    return torch.cat(arrays, axis)


def stacked(arrays: list[Array], axis: int) -> Array:
    """Arrays of one shape along a new axis; at least one."""
    if isinstance(arrays[0], np.ndarray):
        return np.stack(arrays, axis)
    import torch

    return torch.stack(arrays, axis)


def like(values: Sequence[float], array: Array) -> Array:
    """Numbers as an array of the kind (and dtype, device) of another."""
    if isinstance(array, np.ndarray):
        return np.array(values, array.dtype)
    return array.new_tensor(values)


def as_numpy(x: Array) -> np.ndarray:
    """The array itself, or the values of a tensor on any device."""
    return x if isinstance(x, np.ndarray) else np.asarray(x.cpu().numpy())


def resized(maps: Array, size: tuple[int, int]) -> Array:
    """Maps ``(k, rows, cols)`` bilinearly at another size, outer edges in place; a smaller one averages (antialias).

    >>> resized(np.array([[[0.0, 1.0]]], np.float32), (1, 4)).tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """
    shrinking = size[0] < maps.shape[-2] or size[1] < maps.shape[-1]
    if not isinstance(maps, np.ndarray):
        import torch.nn.functional as F

        return F.interpolate(maps[None], size, mode="bilinear", align_corners=False, antialias=shrinking)[0]
    out = np.empty((len(maps), *size), np.float32)
    for place, one in zip(out, maps, strict=True):
        place[:] = _reduced(one, size) if shrinking else _enlarged(one, size)
    return out


def _enlarged(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    large = cv2.resize(np.ascontiguousarray(plane, np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(large)


def _reduced(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image  # the triangle filter of PyTorch's antialias

    picture = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))


def bordered(maps: Array, rows: tuple[int, int], cols: tuple[int, int]) -> Array:
    """Maps with that many zeros (before, after) along their rows and columns."""
    if isinstance(maps, np.ndarray):
        return np.pad(maps, (*[(0, 0)] * (maps.ndim - 2), rows, cols)) if any((*rows, *cols)) else maps
    import torch.nn.functional as F

    return F.pad(maps, (*cols, *rows))
