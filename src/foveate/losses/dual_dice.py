"""Dual Dice: the overlap of pixels and the presence of lesions in images, learnt together (Wei et al. 2020).

Where the paper is silent
  epsilon: none is printed. In a batch without lesions eqs 3 and 4 are 0/0 for a right prediction and have no gradient
  for a wrong one. ``eps`` (in pixels, and in images) makes both defined.
  pixels without known truth: the highest probability is taken over the known pixels of an image, and a lesion is
  present if one of them is marked, as `metrics.counts` counts it. An image without known pixels does not count. Lesions
  that contradict the guideline are unknown (``ignore``), while the rest of the image is known to be free.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses._presence import presence
from foveate.losses._sums import Pool, Sums, dice_ratio, mean_loss, whole_batch
from foveate.losses.overlap import dice_squared


def presence_dice(
    outputs: Outputs, batch: Batch, *, eps: float = 1.0, pool: Pool = whole_batch, absent: bool = True
) -> Float[Tensor, ""]:
    """Dice of presence, 1 - (2 sum P T + eps) / (sum P^2 + sum T^2 + eps) (Wei et al. 2020, eq. 4).

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``; P is their highest probability (`presence`).
        batch: masks, and where they are known; 0 if nowhere.
        eps: in images, > 0. In a batch without lesions the loss is 1 - eps / (sum P^2 + eps).
        pool: which sums are added up before the ratio: `whole_batch` as printed (all processes included), or
            `per_label` for the mean over lesions.
        absent: whether a label counts that no image of the (pooled) batch bears.

    Raises:
        ValueError: the network gives no pixel logits, or eps <= 0.
    """
    found, truth, known = presence(outputs, batch)
    there = truth.to(found.dtype)
    sums = pool(Sums(found * there, found * found, there, known.to(found.dtype)))
    return mean_loss(dice_ratio(sums, eps=eps), sums, absent=absent)


def dual_dice(
    outputs: Outputs,
    batch: Batch,
    *,
    share: float = 0.8,
    eps: float = 1.0,
    pool: Pool = whole_batch,
    absent: bool = True,
) -> Float[Tensor, ""]:
    """Dual loss, share * segmentation + (1 - share) * presence (Wei et al. 2020, eqs 2, 3 and 4).

    The source trains on eq. 3 alone (``partial(dice_squared, pool=whole_batch)``) until the first drop of the learning
    rate.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks, and where they are known; 0 if nowhere.
        share: of the segmentation, lambda in [0, 1]; 0.8 in the source.
        eps: in pixels and in images, > 0; as for `dice_squared` and `presence_dice`.
        pool: as for `presence_dice`, for both parts.
        absent: as for `presence_dice`, for both parts.

    Raises:
        ValueError: the network gives no pixel logits, share is out of range, or eps <= 0.
    """
    if not 0 <= share <= 1:
        raise ValueError(
            f"share={share} must be from 0 to 1; 0.8 weighs the segmentation four times as much as the presence"
        )
    pixel = dice_squared(outputs, batch, eps=eps, pool=pool, absent=absent)
    image = presence_dice(outputs, batch, eps=eps, pool=pool, absent=absent)
    return torch.lerp(image, pixel, share)
