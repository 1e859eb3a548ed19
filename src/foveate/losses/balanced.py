"""Weighted cross entropy: a rare label weighs as much as all that is free of it (Sudre et al. 2017, section 2)."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses.known import known_mean
from foveate.losses.overlap import Sums, overlap_sums, per_label
from foveate.losses.pixel import log_odds

Foreground = Callable[[Sums], Float[Tensor, "1 l"]]
"""Soft area in pixels that a label has in the batch."""


def predicted_area(sums: Sums) -> Float[Tensor, "1 l"]:
    """What the network gives the label, sum of q: the weight as the source defines it."""
    return sums.predicted


def true_area(sums: Sums) -> Float[Tensor, "1 l"]:
    """What is marked, sum of t: the weight that does not depend on the network."""
    return sums.truth


def weighted_bce(
    outputs: Outputs, batch: Batch, *, area: Foreground = predicted_area, most: float = 1000.0
) -> Float[Tensor, ""]:
    """Weighted cross entropy, -mean(w t ln q + (1 - t) ln(1 - q)), w = (N - A) / A with A the label's area in N pixels.

    w is a number for each label and batch (those of other processes included) without a gradient of its own. Wei et
    al. 2020 compare their loss with this one.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks and what is known of them; 0 where nothing is.
        area: `predicted_area` (the source) or `true_area`.
        most: largest w, > 0: the area may be next to nothing.

    Raises:
        ValueError: the network has no pixel logits, or ``most`` is not positive.
    """
    if not most > 0:
        raise ValueError(f"most={most} must be positive; it bounds the weight of marked pixels, such as 1000")
    sums = per_label(overlap_sums(outputs, batch, term="weighted_bce"))
    amount = area(sums)
    w = ((sums.known - amount) / amount.clamp(min=1e-6)).clamp(0, most).detach()[0, :, None, None]
    odds = log_odds(outputs, batch, term="weighted_bce")
    loss = F.binary_cross_entropy_with_logits(odds, batch.masks.to(odds.dtype), reduction="none", pos_weight=w)
    return known_mean(loss, batch.known)
