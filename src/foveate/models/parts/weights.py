"""Weights from a file into a network: read, adapted to the image's channels, counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn


class Filled(NamedTuple):
    """How much of a network a file has filled.

    Args:
        matched: number of the network's tensors that were in the file.
        total: number of tensors (parameters and buffers) that the network has.
        missing: names in the network that the file lacks or has in another shape.
        unused: names in the file that the network has no place for (its classifier, later stages).
    """

    matched: int
    total: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def read(path: Path | str) -> dict[str, Tensor]:
    """Tensors of a .safetensors file, or of a .pth file that holds nothing but tensors; floating ones as float32.

    Raises:
        ValueError: there is no such file, or it does not hold a mapping of names to tensors.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(
            f"weights={str(path)!r} is no file; give 'none', 'hub' or the path of a .safetensors or .pth file"
        )
    state = (
        load_file(file) if file.suffix == ".safetensors" else torch.load(file, map_location="cpu", weights_only=True)
    )
    state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"weights={str(path)!r} holds no mapping of names to tensors; save a state_dict")
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def fill(network: nn.Module, state: Mapping[str, Tensor], *, file: Path | str, least: float = 0.95) -> Filled:
    """Copy the tensors whose names and shapes agree; a first convolution is adapted to other image channels.

    One channel gets the sum of the filters of the file's channels, so that a grey image given once answers like the
    same image given in every channel.

    Args:
        network: is changed in place, once enough tensors match.
        state: names as the network has them (timm; torchvision's are the same for ResNet and Inception-v3).
        file: named in the errors.
        least: share of the network's tensors that must be filled.

    Raises:
        ValueError: fewer are filled; the message names some that are missing.
    """
    wanted = network.state_dict()
    found = {name: _fitted(state[name], like=value) for name, value in wanted.items() if name in state}
    found = {name: value for name, value in found.items() if value.shape == wanted[name].shape}
    missing = tuple(name for name in wanted if name not in found)
    if len(found) < least * len(wanted):
        raise ValueError(
            f"weights={str(file)!r} fill {len(found)} of {len(wanted)} tensors, at least {least:.0%} are needed; "
            f"missing are {', '.join(missing[:3])}, the file has {', '.join(list(state)[:3])}: is it another network's?"
        )
    network.load_state_dict(found, strict=False)
    return Filled(len(found), len(wanted), missing, tuple(name for name in state if name not in wanted))


def _fitted(value: Tensor, *, like: Tensor) -> Tensor:
    """A convolution's filters for as many input channels as ``like`` has; anything else as it is."""
    same_kernel = value.ndim == like.ndim == 4 and value.shape[0] == like.shape[0] and value.shape[2:] == like.shape[2:]
    if same_kernel and value.shape[1] == 3 and like.shape[1] != 3:
        fitted: Tensor = adapt_input_conv(like.shape[1], value)
        return fitted
    return value
