"""Losses of single pixels: binary and exclusive cross entropy, focal, and deep supervision.

t is the truth of a label at a pixel, q its probability. Every mean is over the pixels (and labels) that are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses._masked import (
    Term,
    focal_weight,
    label_log_odds,
    masked_cross_entropy,
    mean_over_known,
    weights_in_order,
)


def bce(outputs: Outputs, batch: Batch, *, positive: Mapping[str, float] | None = None) -> Float[Tensor, ""]:
    """Binary cross entropy of every label, -mean(w t ln q + (1 - t) ln(1 - q)) (Diao et al. 2023, eq. 2, w = 1).

    In exclusive schemas q is the softmax probability of the label; the background has no term of its own.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks, and where they are known; 0 if nowhere.
        positive: label -> weight w >= 0 of its marked pixels (1 if not given): the weighted cross entropy.

    Raises:
        ValueError: the network gives no pixel logits, or ``positive`` names something else than labels or is
            negative.
    """
    odds = label_log_odds(outputs, batch, term="bce")
    w = None
    if positive is not None:
        w = odds.new_tensor(weights_in_order(positive, batch.schema.labels, argument="positive"))[:, None, None]
    # Label validity is a weight inside one sum: 5.3 ms forward and backward at 8x3x256x256; torch.where takes 8.7.
    loss = F.binary_cross_entropy_with_logits(
        odds, batch.masks.to(odds.dtype), weight=batch.known.to(odds.dtype), pos_weight=w, reduction="sum"
    )
    return loss / batch.known.sum().clamp(min=1)


def focal(outputs: Outputs, batch: Batch, *, alpha: float = 0.25, gamma: float = 2.0) -> Float[Tensor, ""]:
    """Focal loss of every label, -mean(alpha_t (1 - p_t)^gamma ln p_t) (Lin et al. 2017, eq. 5).

    p_t is q if the label is marked and 1 - q otherwise. The mean is over known pixels. The source, a detector, divides
    by the number of boxes instead.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks, and where they are known; 0 if nowhere.
        alpha: weight of marked pixels in [0, 1]; the others weigh 1 - alpha. Wei et al. 2020 use 0.8.
        gamma: how strongly pixels that are already learnt are weighed down, >= 0; 0 = weighted cross entropy.

    Raises:
        ValueError: the network gives no pixel logits, or alpha or gamma is outside its range.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha} must be from 0 to 1; it weighs marked pixels, 1 - alpha all others")
    odds = label_log_odds(outputs, batch, term="focal")
    truth = batch.masks.to(odds.dtype)
    ce = F.binary_cross_entropy_with_logits(odds, truth, reduction="none")
    share = truth * (2 * alpha - 1) + (1 - alpha)
    return mean_over_known(share * focal_weight(ce, gamma=gamma) * ce, batch.known)


def pixel_cross_entropy(
    outputs: Outputs, batch: Batch, *, weights: Mapping[str, float] | None = None
) -> Float[Tensor, ""]:
    """Cross entropy of exclusive labels, -mean(w ln sum of p_c over the classes c that the pixel may still have).

    If a pixel's class is known, this is the ordinary cross entropy. If only some labels are known to be absent, the
    term raises the total probability of the classes that remain. If nothing is known, the pixel does not count.

    Args:
        outputs: pixel logits ``(b, 1 + labels, h, w)``, background first.
        batch: masks, and where they are known; 0 if nowhere.
        weights: label or ``"background"`` -> weight >= 0 (1 if not given); the mean divides by their sum. A pixel
            with several classes left has their mean weight.

    Raises:
        ValueError: labels overlap, the network gives no pixel logits, or a weight has an unknown name or is negative.
    """
    names = ("background", *batch.schema.labels)
    w = None if weights is None else torch.tensor(weights_in_order(weights, names, argument="weights"))
    return masked_cross_entropy(outputs, batch, weights=w)


def deep(outputs: Outputs, batch: Batch, *, term: Term, weights: float | Sequence[float] = 1.0) -> Float[Tensor, ""]:
    """Deep supervision: a pixel term of the output, plus its weighted sum over the auxiliary outputs.

    Args:
        outputs: pixel logits and ``aux``, each ``(b, pixel_channels, h, w)``.
        batch: masks, and where they are known.
        term: the pixel term, its settings fixed with `functools.partial`.
        weights: of the auxiliary outputs: one number for all, or one for each, in their order.

    Raises:
        ValueError: there are no auxiliary outputs, or not as many as weights.
    """
    if not outputs.aux:
        raise ValueError(
            "deep needs outputs.aux, which is empty; take the term itself or a network with deep supervision"
        )
    each = list(weights) if isinstance(weights, Sequence) else [weights] * len(outputs.aux)
    if len(each) != len(outputs.aux):
        raise ValueError(
            f"weights={each}: give one number, or one for each of the {len(outputs.aux)} auxiliary outputs"
        )
    loss = term(outputs, batch)
    for weight, aux in zip(each, outputs.aux, strict=True):
        loss = loss + weight * term(outputs._replace(pixel=aux, aux=()), batch)
    return loss
