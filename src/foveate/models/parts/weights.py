"""Weights from a file into a network: read, adapted to the image's channels, counted."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

WRAPPERS = ("teacher", "state_dict", "model", "student", "module")
"""Names under which training code keeps the network's tensors, the most wanted first."""


class Filled(NamedTuple):
    """How much of a network a file has filled.

    Args:
        matched: number of the network's tensors that were in the file.
        total: number of tensors (parameters and buffers) that the network has.
        missing: names in the network that the file lacks or has in another shape.
        unused: names in the file that the network has no place for (its classifier, later stages, an MAE's decoder).
        resampled: names in the network whose tensors were made for another grid or patch.
        file: that they come from.
        normalise: by what images are normalised from now on: one of `encoders.NORMALISE`, or "timm" = as timm has it.
    """

    matched: int
    total: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    resampled: tuple[str, ...] = ()
    file: str = ""
    normalise: str = "timm"

    def __str__(self) -> str:
        """One line for people: what was filled, what was missing, what was not used."""
        parts = [f"{self.file}: filled {self.matched} of {self.total} tensors of the encoder"]
        for word, names in (("resampled", self.resampled), ("missing", self.missing), ("not used", self.unused)):
            if names:
                parts.append(f"{word} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if names[3:] else ""))
        how = "as timm has it for the name" if self.normalise == "timm" else f"by {self.normalise!r}"
        return "; ".join([*parts, f"images are normalised {how}"])


def read(path: Path | str) -> dict[str, Tensor]:
    """Tensors of a .safetensors file or a checkpoint (.pth, .pt) that holds tensors; floating ones as float32.

    A checkpoint of training code may hold them under "state_dict", "model", "teacher", "student" or "module", beside
    numbers and the arguments of a command line. Nothing in it is executed.

    Raises:
        ValueError: there is no such file, it does not hold a mapping of names to tensors, or it holds Python objects.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(
            f"weights={str(path)!r} is no file; give 'none', 'hub', 'auto' or the path of a .safetensors or .pth file"
        )
    state = _unwrapped(_loaded(file))
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"weights={str(path)!r} holds no mapping of names to tensors; save a state_dict")
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def _loaded(file: Path) -> Any:
    """The content of a file, with no code of its own."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        # RETFound and MAE keep their command line's argparse.Namespace beside the tensors: plain attributes, which
        # weights_only sets without calling anything
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, EOFError, RuntimeError) as error:
        raise ValueError(
            f"weights={str(file)!r} cannot be read as tensors alone ({str(error)[:200]}); save the network's "
            "state_dict as .safetensors where it was trained"
        ) from error


def _unwrapped(content: Any) -> Any:
    """The mapping of names to tensors inside what training code saves; entries beside it are left out."""
    while isinstance(content, Mapping) and not any(isinstance(value, Tensor) for value in content.values()):
        inner = next((content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if inner is None:
            return content
        content = inner
    return content


def fill(
    network: nn.Module,
    state: Mapping[str, Tensor],
    *,
    file: Path | str,
    least: float = 0.95,
    optional: tuple[str, ...] | None = None,
) -> Filled:
    """Copy the tensors whose names and shapes agree; a first convolution is adapted to other image channels.

    One channel gets the sum of the filters of the file's channels, so that a grey image given once answers like the
    same image given in every channel; three channels get a third each of the filters of one.

    Args:
        network: is changed in place, once enough tensors match. What LoRA adds is no part of a file.
        state: names as the network has them (timm; torchvision's are the same for ResNet and Inception-v3).
        file: named in the errors.
        least: share of the network's tensors that must be filled.
        optional: beginnings of the names that alone may be missing; None = any may, up to ``least``.

    Raises:
        ValueError: fewer are filled; the message names some that are missing.
    """
    wanted = {name: value for name, value in network.state_dict().items() if ".lora_" not in name}
    found = {name: _fitted(state[name], like=value) for name, value in wanted.items() if name in state}
    found = {name: value for name, value in found.items() if value.shape == wanted[name].shape}
    missing = tuple(name for name in wanted if name not in found)
    needed = missing if optional is None else tuple(name for name in missing if not name.startswith(optional))
    if len(found) < least * len(wanted) or (optional is not None and needed):
        share = f"at least {least:.0%} are needed" if optional is None else f"all but {', '.join(optional)} are needed"
        raise ValueError(
            f"weights={str(file)!r} fill {len(found)} of {len(wanted)} tensors, {share}; "
            f"missing are {', '.join(needed[:3])}, the file has {', '.join(list(state)[:3])}: "
            "is it another network's?"
        )
    network.load_state_dict(found, strict=False)
    return Filled(len(found), len(wanted), missing, tuple(name for name in state if name not in wanted), file=str(file))


def _fitted(value: Tensor, *, like: Tensor) -> Tensor:
    """A convolution's filters for as many input channels as ``like`` has; anything else as it is."""
    same_kernel = value.ndim == like.ndim == 4 and value.shape[0] == like.shape[0] and value.shape[2:] == like.shape[2:]
    if same_kernel and value.shape[1] == 3 and like.shape[1] != 3:
        fitted: Tensor = adapt_input_conv(like.shape[1], value)
        return fitted
    if same_kernel and value.shape[1] == 1 and like.shape[1] == 3:
        return value.repeat(1, 3, 1, 1) / 3
    return value
