"""Dual Dice: the overlap of pixels and the presence of lesions in images, taught together (Wei et al. 2020).

Where the paper is silent
  epsilon: none is printed; eqs 3 and 4 are 0/0 for a right answer to a batch without lesions, and have no gradient
  for a wrong one. ``eps`` (in pixels, and in images) gives both a value.
  pixels that nobody knows: the highest probability is looked for among the known pixels of an image, and a lesion is
  present where one of them is marked, as `metrics.counts` counts it; an image of which no pixel is known does not
  count. What experts marked against the guideline is so left out (``ignore``), and the rest of the image stays free.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses._masked import pixel_logits
from foveate.losses.overlap import Pool, Sums, dice_ratio, dice_squared, mean_loss, whole_batch


def presence(outputs: Outputs, batch: Batch) -> tuple[Float[Tensor, "b l"], Bool[Tensor, "b l"], Bool[Tensor, "b l"]]:
    """Each label in each image: P_j = max over pixels of p_ij (Wei et al. 2020, eq. 1), its truth, what is known of it.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks and what is known of them; only known pixels are looked at.

    Returns:
        probability (0 where nothing is known), truth (some known pixel is marked), known (some pixel is).

    Raises:
        ValueError: the network has no pixel logits.
    """
    q = batch.schema.pixel_probability(pixel_logits(outputs, batch, term="presence"))
    return (q * batch.known).amax((2, 3)), (batch.masks & batch.known).any(3).any(2), batch.known.any(3).any(2)


def presence_dice(
    outputs: Outputs, batch: Batch, *, eps: float = 1.0, pool: Pool = whole_batch, absent: bool = True
) -> Float[Tensor, ""]:
    """Dice of presence, 1 - (2 sum P T + eps) / (sum P^2 + sum T^2 + eps) (Wei et al. 2020, eq. 4).

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``; P is their highest probability (`presence`).
        batch: masks and what is known of them; 0 where nothing is.
        eps: in images, > 0. In a batch free of lesions the loss is 1 - eps / (sum P^2 + eps).
        pool: which sums are added up before the ratio: `whole_batch` as printed (processes included), `per_label` for
            the mean over lesions.
        absent: whether a label counts that no image of the (pooled) batch bears.

    Raises:
        ValueError: the network has no pixel logits, or eps <= 0.
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

    The source trains on eq. 3 alone (``partial(dice_squared, pool=whole_batch)``) until the learning rate drops first.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks and what is known of them; 0 where nothing is.
        share: of the segmentation, lambda in [0, 1]; 0.8 in the source.
        eps: in pixels and in images, > 0; as for `dice_squared` and `presence_dice`.
        pool: as for `presence_dice`, for both parts.
        absent: as for `presence_dice`, for both parts.

    Raises:
        ValueError: the network has no pixel logits, share is out of range, or eps <= 0.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share={share} must lie in [0, 1]; 0.8 weighs the segmentation four times the presence")
    pixel = dice_squared(outputs, batch, eps=eps, pool=pool, absent=absent)
    image = presence_dice(outputs, batch, eps=eps, pool=pool, absent=absent)
    return torch.lerp(image, pixel, share)
