"""Weighted cross entropies: the pixels of a rare label weigh more than those that are free of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses._masked import known_mean
from foveate.losses.overlap import Sums, overlap_sums, per_label
from foveate.losses.pixel import log_odds, weighted_cross_entropy

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

    A rare label weighs as much as all that is free of it (Sudre et al. 2017, section 2).

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


def rare_cross_entropy(
    outputs: Outputs, batch: Batch, *, power: float = 0.75, most: float = 1000.0
) -> Float[Tensor, ""]:
    """Cross entropy whose marked pixels weigh w = ((N - A) / A)^power, with A the label's true area in N known pixels.

    With w = 1 a label on a share s of the pixels is first learnt as a constant q = s. The gradient of a Dice loss goes
    with q (1 - q) and is lost there, so that the label is marked late or never. With w the constant is larger,
    w s / (w s + 1 - s): for s = 0.0005 and power 0.75 it is 0.13, from which a network begins to mark. Later it
    marks too much, so that recipes fade this term out (`Ramp`).

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``; exclusive labels share one softmax, and their mean
            divides by the sum of the weights.
        batch: masks and what is known of them; 0 if nothing is. A label that the batch does not bear has w = 1.
        power: from 0 (plain cross entropy) to 1 (marked pixels weigh as much as all others).
        most: largest w, > 0.

    Raises:
        ValueError: the network has no pixel logits, power is outside of its range, or ``most`` is not positive.
    """
    if not 0 <= power <= 1:
        raise ValueError(f"power={power} must be from 0 (plain cross entropy) to 1 (balanced)")
    if not most > 0:
        raise ValueError(f"most={most} must be positive; it bounds the weight of marked pixels, such as 1000")
    known = batch.known.sum((0, 2, 3)).float()
    area = (batch.masks & batch.known).sum((0, 2, 3)).float()
    w = torch.where(area > 0, ((known - area) / area.clamp(min=1)).pow(power).clamp(max=most), 1.0)
    if batch.schema.exclusive:
        return weighted_cross_entropy(outputs, batch, weights=torch.cat([w.new_ones(1), w]))
    odds = log_odds(outputs, batch, term="rare_cross_entropy")
    loss = F.binary_cross_entropy_with_logits(
        odds, batch.masks.to(odds.dtype), reduction="none", pos_weight=w[:, None, None]
    )
    return known_mean(loss, batch.known)
