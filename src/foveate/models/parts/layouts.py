"""Names of tensors in files of other training code -> names in timm's network."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from math import isqrt
from typing import NamedTuple

import torch
from timm.models import FeatureListNet
from torch import Tensor, nn

PREFIXES = ("module.", "_orig_mod.", "student.", "teacher.", "backbone.", "model.", "encoder.", "image_encoder.")
"""Prefixes that training code puts before the names of a network inside another."""

DROPPED = ("decoder_", "mask_token", "dino_head.", "ibot_head.", "output_adapters.")
"""Prefixes of tensors that only pretraining needs."""

TOKENS = ("cls_token", "reg_token", "dist_token")
"""Tokens that take part in every block: a network without them computes something else."""

MISFITS = (RuntimeError, KeyError, IndexError, AttributeError, AssertionError, ValueError, TypeError)
"""Errors of timm's converters for a file that is not for their network."""


class Renamed(NamedTuple):
    """A file's tensors under the names of a network.

    Args:
        state: name -> tensor; may have names that the network lacks.
        dropped: names in the file that only pretraining needs.
        resampled: names whose tensors were resampled to the network's grid or patch.
        normalise: normalisation of the images of this layout; None = the layout does not show it.
    """

    state: dict[str, Tensor]
    dropped: tuple[str, ...]
    resampled: tuple[str, ...]
    normalise: str | None


def renamed(state: Mapping[str, Tensor], *, net: nn.Module, file: str) -> Renamed:
    """Rename a file's tensors to the names of a network of timm, and resample them to its grid of tokens and its patch.

    Supported are timm's own names; those of masked autoencoders (MAE, RETFound), DINOv2 and DINOv3, bare or inside a
    teacher or student; MIRAGE, of which the B-scan input is used (the SLO input if there is no other).

    Args:
        state: name -> tensor.
        net: timm's network inside an encoder.
        file: named in the errors.

    Raises:
        ValueError: the file has tokens that the network lacks, or is not for it.
    """
    wanted = net.state_dict()
    named = {_stripped(name, wanted): value for name, value in state.items()}
    normalise = None
    if any(name.startswith("input_adapters.") for name in named):
        named, normalise = _mirage(named), "none"
    elif any(name.startswith("decoder_") for name in named):
        normalise = "imagenet"  # He et al. 2022 and RETFound: mean and standard deviation of ImageNet
    dropped = tuple(name for name in named if name.startswith(DROPPED))
    named = {name: value for name, value in named.items() if name not in dropped}
    before = {name: value.shape for name, value in named.items()}
    try:
        named = _by_timm(named, net)
    except MISFITS as error:
        raise ValueError(
            f"weights={file!r} do not fit {type(net).__name__} ({str(error)[:200]}); is it another network's?"
        ) from error
    for name in ("weight", "bias"):  # a fine-tuned MAE keeps its last normalisation there
        if f"norm.{name}" not in named and f"fc_norm.{name}" in named and f"norm.{name}" in wanted:
            named[f"norm.{name}"] = named.pop(f"fc_norm.{name}")
    strange = [name for name in TOKENS if name in named and name not in wanted]
    if strange and "blocks.0.norm1.weight" in wanted:
        raise ValueError(
            f"weights={file!r} have {', '.join(strange)}, which the network lacks; name one that has it, such as "
            "vit_small_patch14_reg4_dinov2 for registers"
        )
    resampled = tuple(
        n for n, v in named.items() if n in wanted and n in before and v.ndim > 1 and v.shape != before[n]
    )
    return Renamed(named, dropped, resampled, normalise)


def _stripped(name: str, wanted: Mapping[str, Tensor]) -> str:
    """Strip the prefixes from a name; MIRAGE's ``encoder.0.`` stays."""
    while name not in wanted:
        prefix = next((p for p in PREFIXES if name.startswith(p)), None)
        if prefix is None or (prefix == "encoder." and name[len(prefix) : len(prefix) + 1].isdigit()):
            return name
        name = name[len(prefix) :]
    return name


def _by_timm(named: dict[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """Apply timm's own converter, or the names that timm gives to the flat list of a network's stages."""
    if isinstance(net, FeatureListNet):
        flat = {".".join(split): child for child, _ in net.named_children() for split in _splits(child)}
        return {_flattened(name, flat): value for name, value in named.items()}
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return named
    if "register_tokens" in named:
        named["mask_token"] = torch.zeros(1)  # timm recognises DINOv2 by this name
    lacks_bias = not any(name.endswith("q_bias") for name in net.state_dict())
    if "storage_tokens" in named and lacks_bias:  # DINOv3's biases of q, k, v are 0 in most sizes; timm leaves them out
        if any(value.any() for name, value in named.items() if name.endswith("qkv.bias")):
            raise ValueError("the file has biases of q, k and v; choose timm's network whose name has _qkvb")
        named = {name: value for name, value in named.items() if not name.endswith("qkv.bias")}
    with redirect_stdout(StringIO()):  # timm prints some of the names that it leaves out
        converted: dict[str, Tensor] = convert(dict(named), net)
    return converted


def _splits(child: str) -> list[tuple[str, str]]:
    return [(child[:at], child[at + 1 :]) for at, letter in enumerate(child) if letter == "_"]


def _flattened(name: str, flat: Mapping[str, str]) -> str:
    """Write ``stages.0.blocks.1`` as ``stages_0.blocks.1``."""
    first = ".".join(name.split(".")[:2])
    return flat[first] + name[len(first) :] if first in flat else name


def _mirage(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename MIRAGE (Morano et al. 2025): one input of several, a global token and the blocks."""
    inputs = sorted({name.split(".")[1] for name in named if name.startswith("input_adapters.")})
    chosen = f"input_adapters.{'bscan' if 'bscan' in inputs else inputs[0]}."
    found: dict[str, Tensor] = {}
    for name, value in named.items():
        if name.startswith("encoder."):
            found["blocks." + name.removeprefix("encoder.")] = value
        elif name == "global_tokens":
            found["cls_token"] = value  # it has no position embedding: zeros are put before those of the grid
        elif name == f"{chosen}pos_emb":
            grid = value.flatten(2).transpose(1, 2)
            found["pos_embed"] = torch.cat([torch.zeros_like(grid[:, :1]), grid], 1)
            assert isqrt(grid.shape[1]) ** 2 == grid.shape[1]
        elif name.startswith(chosen):
            found["patch_embed." + name.removeprefix(chosen)] = value
        else:
            found[name] = value
    return found
