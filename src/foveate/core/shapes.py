"""Geometry of the image plane: frames and their undo, ellipse and polygon to mask. Positions are (row, col) in pixels.

Pixel centres are at whole numbers: the first pixel covers -0.5 to 0.5. Resizing keeps the outer edges in place, as
``cv2.resize`` and ``interpolate(align_corners=False)`` do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from foveate.core import arrays
from foveate.core.arrays import Array

Box = tuple[int, int, int, int]
"""(top, left, height, width) in whole pixels."""


@dataclass(frozen=True)
class Geometry:
    """Position of a prepared frame in its original image: a crop of it, resized, with padding outside.

    Args:
        source: (rows, cols) of the original image.
        crop: part of the original that the frame shows.
        inner: position of that part in the frame.
        size: (rows, cols) of the frame; the pixels outside ``inner`` are padding.
    """

    source: tuple[int, int]
    crop: Box
    inner: Box
    size: tuple[int, int]

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Geometry:
        """The frame that is the original image."""
        box = (0, 0, *shape)
        return cls(shape, box, box, shape)

    @property
    def scale(self) -> tuple[float, float]:
        """Frame pixels per original pixel, (rows, cols)."""
        return self.inner[2] / self.crop[2], self.inner[3] / self.crop[3]

    def undo(self, maps: Float[Array, "k h w"]) -> Float[Array, "k H W"]:
        """Maps of the frame on the original pixel grid (bilinear); 0 outside the crop."""
        top, left, height, width = self.inner
        part: Array = maps[:, top : top + height, left : left + width]
        if (height, width) != self.crop[2:]:
            part = arrays.resized(part, self.crop[2:])
        top, left, height, width = self.crop
        rows, cols = self.source
        return arrays.bordered(part, (top, rows - top - height), (left, cols - left - width))

    def to_frame(self, point: tuple[float, float]) -> tuple[float, float]:
        """A position of the original image in the frame."""
        (sr, sc), c, i = self.scale, self.crop, self.inner
        return (point[0] - c[0] + 0.5) * sr - 0.5 + i[0], (point[1] - c[1] + 0.5) * sc - 0.5 + i[1]

    def to_source(self, point: tuple[float, float]) -> tuple[float, float]:
        """Inverse of `to_frame`."""
        (sr, sc), c, i = self.scale, self.crop, self.inner
        return (point[0] - i[0] + 0.5) / sr - 0.5 + c[0], (point[1] - i[1] + 0.5) / sc - 0.5 + c[1]


def ellipse(
    shape: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0
) -> Bool[np.ndarray, "h w"]:
    """Pixels whose centres are inside an ellipse.

    Args:
        shape: (rows, cols) of the mask.
        centre: (row, col).
        radii: half-axes in pixels, along the rows and the columns before turning.
        angle: turn in radians, from the column axis towards growing rows.
    """
    inside = np.zeros(shape, bool)
    place, pixels = _ellipse_box(shape, centre, radii, angle)
    inside[place] = pixels
    return inside


def _ellipse_box(
    shape: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float], angle: float
) -> tuple[tuple[slice, ...], Bool[np.ndarray, "r c"]]:
    """The box of an ellipse in an image, and its pixels in that box: an image has a hundred times those of a lesion."""
    sine, cosine = float(np.sin(angle)), float(np.cos(angle))
    reach = np.hypot(radii[0] * cosine, radii[1] * sine), np.hypot(radii[0] * sine, radii[1] * cosine)
    place = tuple(
        slice(*np.clip((np.floor(c - r), np.ceil(c + r) + 1), 0, n).astype(np.int64))
        for c, r, n in zip(centre, reach, shape, strict=True)
    )
    rows, cols = np.ogrid[place]
    dr, dc = rows - centre[0], cols - centre[1]
    u, v = dc * cosine + dr * sine, dr * cosine - dc * sine
    return place, (v / max(radii[0], 1e-9)) ** 2 + (u / max(radii[1], 1e-9)) ** 2 <= 1


def polygon(shape: tuple[int, int], corners: Sequence[tuple[float, float]]) -> Bool[np.ndarray, "h w"]:
    """Pixels whose centres are inside a closed polygon (even-odd rule).

    Args:
        shape: (rows, cols) of the mask.
        corners: (row, col) each, at least three; the last is joined to the first.

    Raises:
        ValueError: fewer than three corners.
    """
    inside = np.zeros(shape, bool)
    place, pixels = _polygon_box(shape, corners)
    inside[place] = pixels
    return inside


def _polygon_box(
    shape: tuple[int, int], corners: Sequence[tuple[float, float]]
) -> tuple[tuple[slice, ...], Bool[np.ndarray, "r c"]]:
    """The box of a polygon in an image, and its pixels in that box."""
    if len(corners) < 3:
        raise ValueError(f"corners has {len(corners)} points; a polygon needs at least three")
    ends = np.asarray(corners, float)
    (r0, c0), (r1, c1) = ends.T, np.roll(ends, -1, 0).T
    first, last = (np.clip(np.ceil(end), 0, shape[0]).astype(np.int64) for end in np.sort([r0, r1], 0))
    count = last - first
    edge = np.repeat(np.arange(len(ends)), count)  # each edge once for each row that it crosses
    rows = first[edge] + np.arange(edge.size) - np.repeat(np.cumsum(count) - count, count)
    crossed = np.ceil(c0[edge] + (rows - r0[edge]) * (c1 - c0)[edge] / (r1 - r0)[edge])
    cols = np.clip(crossed, 0, shape[1]).astype(np.int64)
    if not rows.size:
        return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool)
    (top, left), (bottom, right) = (rows.min(), cols.min()), (rows.max() + 1, cols.max())
    turns = np.zeros((bottom - top, right - left + 1), bool)
    np.logical_xor.at(turns, (rows - top, cols - left), True)
    return (slice(top, bottom), slice(left, right)), np.logical_xor.accumulate(turns[:, :-1], axis=1)


@dataclass(frozen=True)
class Ellipse:
    """An ellipse as it was drawn; arguments as of `ellipse`."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    turn: float = 0.0


@dataclass(frozen=True)
class Polygon:
    """A closed polygon as it was drawn; corners as of `polygon`."""

    corners: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Layer:
    """Painted pixels.

    Args:
        runs: first pixel and length of each stretch in turn; pixels are counted row after row, stretches ascend.
    """

    runs: tuple[int, ...]


Drawn = Ellipse | Polygon | Layer


def rasterise(shape: tuple[int, int], drawn: Iterable[Drawn]) -> Bool[np.ndarray, "h w"]:
    """Pixels of all drawn shapes together; without shapes no pixel is marked.

    Args:
        shape: (rows, cols) of the image.
        drawn: shapes in its pixels; parts outside the image are cut off.

    Raises:
        ValueError: a polygon has fewer than three corners, or a layer is not valid (`unpacked`).
    """
    mask = np.zeros(shape, bool)
    for one in drawn:
        if isinstance(one, Ellipse):
            place, pixels = _ellipse_box(shape, one.centre, one.radii, one.turn)
            mask[place] |= pixels  # a mask of the image's size for each would stall a page of 5,000 shapes
        elif isinstance(one, Polygon):
            place, pixels = _polygon_box(shape, one.corners)
            mask[place] |= pixels
        else:
            mask |= unpacked(one, shape)
    return mask


def packed(mask: Bool[np.ndarray, "h w"]) -> Layer:
    """The layer of a mask; inverse of `unpacked`."""
    edges = np.flatnonzero(np.diff(mask.ravel(), prepend=False, append=False))
    runs = edges.reshape(-1, 2)
    runs = np.stack([runs[:, 0], runs[:, 1] - runs[:, 0]], 1)
    return Layer(tuple(runs.ravel().tolist()))


def unpacked(layer: Layer, shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The mask of a layer.

    Args:
        layer: its runs.
        shape: (rows, cols) of the image.

    Raises:
        ValueError: an odd number of values, stretches that are empty, do not ascend, or leave the image.
    """
    if len(layer.runs) % 2:
        raise ValueError(f"runs has {len(layer.runs)} values; give start and length in turn")
    start, length = np.array(layer.runs, np.int64).reshape(-1, 2).T
    end = start + length
    if (length < 1).any() or (start[1:] < end[:-1]).any() or (start[:1] < 0).any() or (end > shape[0] * shape[1]).any():
        raise ValueError(f"runs: stretches must be filled, ascend and be within the {shape[0]} x {shape[1]} pixels")
    turns = np.zeros(shape[0] * shape[1] + 1, bool)
    np.logical_xor.at(turns, np.concatenate([start, end]), True)  # where one stretch meets the next both cancel
    filled: Bool[np.ndarray, "h w"] = np.logical_xor.accumulate(turns[:-1]).reshape(shape)
    return filled
