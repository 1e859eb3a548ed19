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
"""Names under which training code keeps the network's tensors, in order of preference."""


class Filled(NamedTuple):
    """Extent to which a file has filled a network.

    Args:
        matched: number of the network's tensors that are in the file.
        total: number of tensors (parameters and buffers) that the network has.
        missing: names in the network that the file lacks or has in another shape.
        unused: names in the file that the network lacks (its classifier, later stages, an MAE's decoder).
        resampled: names in the network whose tensors were made for another grid or patch.
        file: from which they come.
        normalise: normalisation of images from now on: one of `encoders.NORMALISE`, or "timm" = as in timm.
    """

    matched: int
    total: int
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    resampled: tuple[str, ...] = ()
    file: str = ""
    normalise: str = "timm"

    def __str__(self) -> str:
        """Describe in one line how much was filled, what was missing and what was not used."""
        parts = [f"{self.file}: filled {self.matched} of {self.total} tensors of the encoder"]
        for word, names in (("resampled", self.resampled), ("missing", self.missing), ("not used", self.unused)):
            if names:
                parts.append(f"{word} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if names[3:] else ""))
        how = "as in timm for the name" if self.normalise == "timm" else f"by {self.normalise!r}"
        return "; ".join([*parts, f"images are normalised {how}"])


def read(path: Path | str) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors file or a checkpoint (.pth, .pt), floating ones as float32.

    A checkpoint of training code may have them under "state_dict", "model", "teacher", "student" or "module", beside
    numbers and the arguments of a command line. Nothing in it is executed.

    Raises:
        ValueError: the file does not exist, is not a mapping of names to tensors, or has Python objects.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(
            f"weights={str(path)!r} must be 'none', 'hub', 'auto' or the path of a .safetensors or .pth file"
        )
    state = _unwrapped(_loaded(file))
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"weights={str(path)!r} must be a mapping of names to tensors; save a state_dict")
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def _loaded(file: Path) -> Any:
    """Load the content of a file without executing any code in it."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        # RETFound and MAE keep the argparse.Namespace of their command line beside the tensors. It has plain
        # attributes, which weights_only sets without a call.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, EOFError, RuntimeError) as error:
        raise ValueError(
            f"weights={str(file)!r} cannot be read as tensors alone ({str(error)[:200]}); save the network's "
            "state_dict as .safetensors where it was trained"
        ) from error


def _unwrapped(content: Any) -> Any:
    """Find the mapping of names to tensors inside the content of a checkpoint; other entries are left out."""
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
    """Copy the tensors whose names and shapes agree; a first convolution is adapted to the number of image channels.

    One channel gets the sum of the filters of the file's channels, so that a grey image in one channel gives the same
    map as in three. Three channels get a third each of the filters of one.

    Args:
        network: is changed in place, if enough tensors match. LoRA's tensors do not count: files do not have them.
        state: name in the network -> tensor (torchvision's names are timm's for ResNet and Inception-v3).
        file: named in the errors.
        least: share of the network's tensors that must be filled.
        optional: prefixes of the only names that may be missing; None = any may, up to ``least``.

    Raises:
        ValueError: fewer tensors match; the message names some that are missing.
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
    """Adapt a convolution's filters to the input channels of ``like``; return any other tensor unchanged."""
    same_kernel = value.ndim == like.ndim == 4 and value.shape[0] == like.shape[0] and value.shape[2:] == like.shape[2:]
    if same_kernel and value.shape[1] == 3 and like.shape[1] != 3:
        fitted: Tensor = adapt_input_conv(like.shape[1], value)
        return fitted
    if same_kernel and value.shape[1] == 1 and like.shape[1] == 3:
        return value.repeat(1, 3, 1, 1) / 3
    return value
