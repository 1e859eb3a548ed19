"""How a recipe trains a pretrained encoder: rates of its own, rates by depth, LoRA."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from foveate.models.parts.groups import by_depth
from foveate.models.parts.lora import adapted
from foveate.models.parts.vit import is_plain


def check_encoder(encoder: str, *, weights: str, normalise: str | None, lora: int | None) -> None:
    """ValueError if a keyword of the encoder would change nothing, or train beside weights that are not there.

    Args:
        encoder: name of a timm network.
        weights: "none", "hub", "auto" or a file.
        normalise: belongs to weights.
        lora: rank; belongs to weights and to plain vision transformers.
    """
    if weights == "none" and normalise is not None:
        raise ValueError(f"normalise={normalise!r} belongs to weights; random ones take images as they are")
    if lora is not None and weights == "none":
        raise ValueError(f"lora={lora} freezes the encoder, whose weights are random; give weights")
    if lora is not None and not is_plain(encoder):
        raise ValueError(f"lora={lora} changes plain vision transformers, not {encoder!r}; take vit_small_patch16_224")


def rates(
    lr: float, *, layer_decay: float | None, encoder_lr: float | None
) -> Callable[[nn.Module], list[dict[str, Any]]] | None:
    """Parameter groups of a stage (``Stage.groups``); None if all parameters learn at one rate.

    Args:
        lr: of the recipe.
        layer_decay: factor of the rate per layer, over 0, at most 1.
        encoder_lr: rate of the encoder; None = lr.

    Raises:
        ValueError: a number is out of its range.
    """
    if layer_decay is None and encoder_lr is None:
        return None
    decay = 1.0 if layer_decay is None else layer_decay
    if not 0 < decay <= 1:
        raise ValueError(f"layer_decay must be over 0 and at most 1, got {layer_decay}")
    if encoder_lr is not None and encoder_lr <= 0:
        raise ValueError(f"encoder_lr must be over 0, got {encoder_lr}")
    return partial(by_depth, lr=lr, decay=decay, encoder=1.0 if encoder_lr is None else encoder_lr / lr)


def tuned(network: Callable[[], nn.Module], *, lora: int | None) -> Callable[[], nn.Module]:
    """The maker of a stage's network: as it is, or with LoRA of this rank."""
    return network if lora is None else partial(adapted, network, rank=lora)
