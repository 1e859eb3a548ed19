"""Weighted cross entropies: the pixels of a rare label weigh more than the pixels without it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses._masked import label_log_odds, masked_cross_entropy, mean_over_known
from foveate.losses._sums import Foreground, overlap_sums, per_label
from foveate.losses._sums import predicted_area as predicted_area
from foveate.losses._sums import true_area as true_area


def weighted_bce(
    outputs: Outputs, batch: Batch, *, area: Foreground = predicted_area, most: float = 1000.0
) -> Float[Tensor, ""]:
    """Weighted cross entropy, -mean(w t ln q + (1 - t) ln(1 - q)), w = (N - A) / A with A the label's area in N pixels.

    The marked pixels of a rare label weigh as much in total as all other pixels (Sudre et al. 2017, section 2).

    w is one number per label and batch (the batches of other processes included) and has no gradient of its own. Wei
    et al. 2020 compare their loss with this one.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks, and where they are known; 0 if nowhere.
        area: `predicted_area` (the source) or `true_area`.
        most: largest w, > 0: the area may be next to nothing.

    Raises:
        ValueError: the network gives no pixel logits, or ``most`` is not positive.
    """
    _check_most(most)
    sums = per_label(overlap_sums(outputs, batch, term="weighted_bce"))
    amount = area(sums)
    w = ((sums.known - amount) / amount.clamp(min=1e-6)).clamp(0, most).detach()[0, :, None, None]
    odds = label_log_odds(outputs, batch, term="weighted_bce")
    loss = F.binary_cross_entropy_with_logits(odds, batch.masks.to(odds.dtype), reduction="none", pos_weight=w)
    return mean_over_known(loss, batch.known)


def rare_cross_entropy(
    outputs: Outputs, batch: Batch, *, power: float = 0.75, most: float = 1000.0
) -> Float[Tensor, ""]:
    """Cross entropy whose marked pixels weigh w = ((N - A) / A)^power, with A the label's true area in N known pixels.

    With w = 1 a network first learns a label on a share s of the pixels as a constant q = s. The gradient of a Dice
    loss is proportional to q (1 - q), so it vanishes there, and the label is marked late or never. With w the constant
    is larger, w s / (w s + 1 - s): for s = 0.0005 and power 0.75 it is 0.13, from which a network begins to mark. Later
    it marks too much; for this reason recipes fade this term out (`Ramp`).

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``; exclusive labels share one softmax, and their mean
            divides by the sum of the weights.
        batch: masks, and where they are known; 0 if nowhere. A label that the batch does not bear has w = 1.
        power: from 0 (plain cross entropy) to 1 (marked pixels weigh as much as all others).
        most: largest w, > 0.

    Raises:
        ValueError: the network gives no pixel logits, power is outside of its range, or ``most`` is not positive.
    """
    if not 0 <= power <= 1:
        raise ValueError(f"power={power} must be from 0 (plain cross entropy) to 1 (balanced)")
    _check_most(most)
    known = batch.known.sum((0, 2, 3)).float()
    area = (batch.masks & batch.known).sum((0, 2, 3)).float()
    w = torch.where(area > 0, ((known - area) / area.clamp(min=1)).pow(power).clamp(max=most), 1.0)
    if batch.schema.exclusive:
        return masked_cross_entropy(outputs, batch, weights=torch.cat([w.new_ones(1), w]))
    odds = label_log_odds(outputs, batch, term="rare_cross_entropy")
    loss = F.binary_cross_entropy_with_logits(
        odds, batch.masks.to(odds.dtype), reduction="none", pos_weight=w[:, None, None]
    )
    return mean_over_known(loss, batch.known)


def _check_most(most: float) -> None:
    if not most > 0:
        raise ValueError(f"most={most} must be positive; it bounds the weight of marked pixels, such as 1000")
