"""Losses that look at one pixel at a time: binary and exclusive cross entropy, focal, and deep supervision.

t is the truth of a label at a pixel, q its probability; every mean is over the pixels (and labels) that are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses._masked import Term, known_mean, per_name, pixel_logits, unsure


def log_odds(outputs: Outputs, batch: Batch, *, term: str) -> Float[Tensor, "b l h w"]:
    """log q / (1 - q) of every label: the logit itself where labels overlap, stable in exclusive schemas too.

    1 - q is summed over the other classes in logarithms, so that it does not cancel where q rounds to 1.
    """
    logits = pixel_logits(outputs, batch, term=term)
    if not (batch.schema.exclusive and batch.schema.labels):
        return logits
    log_p = batch.schema.pixel_log_probability(logits)
    classes = log_p.unbind(1)
    odds = [own - reduce(torch.logaddexp, classes[:c] + classes[c + 1 :]) for c, own in enumerate(classes) if c]
    return torch.stack(odds, 1)


def bce(outputs: Outputs, batch: Batch, *, positive: Mapping[str, float] | None = None) -> Float[Tensor, ""]:
    """Binary cross entropy of every label, -mean(w t ln q + (1 - t) ln(1 - q)) (Diao et al. 2023, eq. 2, w = 1).

    In exclusive schemas q is the softmax probability of the label; the background has no term of its own.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks and what is known of them; 0 where nothing is.
        positive: label -> weight w >= 0 of its marked pixels (1 where not given): the weighted cross entropy.

    Raises:
        ValueError: the network has no pixel logits, or ``positive`` names no label or is negative.
    """
    odds = log_odds(outputs, batch, term="bce")
    w = None
    if positive is not None:
        w = odds.new_tensor(per_name(positive, batch.schema.labels, argument="positive"))[:, None, None]
    # Known-ness as a weight and one sum: 5.3 ms forward and backward at 8x3x256x256, torch.where on the map 8.7.
    loss = F.binary_cross_entropy_with_logits(
        odds, batch.masks.to(odds.dtype), weight=batch.known.to(odds.dtype), pos_weight=w, reduction="sum"
    )
    return loss / batch.known.sum().clamp(min=1)


def focal(outputs: Outputs, batch: Batch, *, alpha: float = 0.25, gamma: float = 2.0) -> Float[Tensor, ""]:
    """Focal loss of every label, -mean(alpha_t (1 - p_t)^gamma ln p_t) (Lin et al. 2017, eq. 5).

    p_t is q where the label is marked and 1 - q elsewhere. The mean is over known pixels (the source, a detector,
    divides by the number of boxes).

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks and what is known of them; 0 where nothing is.
        alpha: weight of marked pixels in [0, 1]; the others weigh 1 - alpha. Wei et al. 2020 use 0.8.
        gamma: how much what is already learnt is turned down, >= 0; 0 = weighted cross entropy.

    Raises:
        ValueError: the network has no pixel logits, or alpha or gamma is outside its range.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha} must lie in [0, 1]; it weighs marked pixels, 1 - alpha all others")
    odds = log_odds(outputs, batch, term="focal")
    truth = batch.masks.to(odds.dtype)
    ce = F.binary_cross_entropy_with_logits(odds, truth, reduction="none")
    share = truth * (2 * alpha - 1) + (1 - alpha)
    return known_mean(share * unsure(ce, gamma=gamma) * ce, batch.known)


def pixel_cross_entropy(
    outputs: Outputs, batch: Batch, *, weights: Mapping[str, float] | None = None
) -> Float[Tensor, ""]:
    """Cross entropy of exclusive labels, -mean(w ln sum of p_c over the classes c that the pixel may still have).

    Where a pixel's class is known this is the ordinary cross entropy. Where it is only known not to bear some labels,
    the probability of those that remain is raised as a whole; where nothing is known the pixel does not count.

    Args:
        outputs: pixel logits ``(b, 1 + labels, h, w)``, background first.
        batch: masks and what is known of them; 0 where nothing is.
        weights: label or ``"background"`` -> weight >= 0 (1 where not given); the mean divides by their sum. A pixel
            with several classes left has their mean weight.

    Raises:
        ValueError: labels overlap, the network has no pixel logits, or a weight has a strange name or is negative.
    """
    names = ("background", *batch.schema.labels)
    w = None if weights is None else torch.tensor(per_name(weights, names, argument="weights"))
    return weighted_cross_entropy(outputs, batch, weights=w)


def weighted_cross_entropy(outputs: Outputs, batch: Batch, *, weights: Float[Tensor, " c"] | None) -> Float[Tensor, ""]:
    """`pixel_cross_entropy` with the weights as a tensor: one per class, the background's first; None = all 1."""
    schema = batch.schema
    if not schema.exclusive:
        raise ValueError("pixel_cross_entropy needs a schema with exclusive=True; take bce for labels that overlap")
    log_p = schema.pixel_log_probability(pixel_logits(outputs, batch, term="pixel_cross_entropy"))
    possible = schema.possible(batch.masks, batch.known)
    loss = -(log_p + torch.where(possible, 0.0, -torch.inf)).logsumexp(1)
    known = ~possible.all(1)
    if weights is None:
        return known_mean(loss, known)
    w = weights.to(loss)[:, None, None]
    return known_mean(loss, known, weights=(w * possible).sum(1) / possible.sum(1))


def deep(outputs: Outputs, batch: Batch, *, term: Term, weights: float | Sequence[float] = 1.0) -> Float[Tensor, ""]:
    """Deep supervision: a pixel term of the output plus the weighted sum of the same term of the auxiliary outputs.

    Args:
        outputs: pixel logits and ``aux``, each ``(b, pixel_channels, h, w)``.
        batch: masks and what is known of them.
        term: the pixel term, its settings fixed with `functools.partial`.
        weights: of the auxiliary outputs: one number for all, or one each, in their order.

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
