"""Weights and training state of a run, each written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from foveate.core.files import write_file


def save_weights(path: Path, network: nn.Module) -> None:
    """Parameters and buffers as safetensors."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    write_file(path, lambda aside: save_file(tensors, aside))


def load_weights(path: Path, network: nn.Module) -> None:
    """Fill a network from `save_weights`; every tensor must match.

    Raises:
        ValueError: the file is missing, or was saved from another network.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no weights there; the stage has not been trained to its first validation")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged or no weights file ({error}); copy it again") from error
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path}: these weights are of another network: {str(error)[:300]}") from error


def part_weights(path: Path, network: nn.Module, part: str) -> None:
    """Fill one part of a network from the weights of a whole stage."""
    load_weights(path, network.get_submodule(part))


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Training state: tensors and plain values only."""
    write_file(path, lambda aside: torch.save(dict(state), aside))


def load_state(path: Path) -> dict[str, Any] | None:
    """The state that `save_state` wrote, or None; unpickles nothing but tensors and plain values."""
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, PyTorch and pickle raise errors of at least six kinds
        raise ValueError(
            f"{path}: damaged, or not a training state ({type(error).__name__}: {str(error)[:100]}); delete it: the "
            "stage then starts again from its beginning"
        ) from None
    return state
