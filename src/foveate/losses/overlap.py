"""Losses of the overlap of prediction and truth: Dice in its readings, Jaccard, Tversky.

All are 1 minus a ratio of sums over known pixels. Three things are said each time, because papers differ in them and
rarely tell: which sums are pooled before the ratio is taken (``pool``), what power the probability has in the
denominator (``power``), and whether an image that is known to be free of a label counts (``absent``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses._masked import known_mean, pixel_logits


class Sums(NamedTuple):
    """Soft areas in pixels, one an image (rows) and label (columns), over known pixels only.

    Args:
        both: sum of q t.
        predicted: sum of q^power.
        truth: sum of t.
        known: number of known pixels.
    """

    both: Float[Tensor, "b l"]
    predicted: Float[Tensor, "b l"]
    truth: Float[Tensor, "b l"]
    known: Float[Tensor, "b l"]


Pool = Callable[[Sums], Sums]
"""Which sums are added up before the ratio is taken."""


def overlap_sums(outputs: Outputs, batch: Batch, *, power: int = 1, term: str = "overlap_sums") -> Sums:
    """Sums per image and label of probabilities q and truth t, over known pixels.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``; a background channel has no sums.
        batch: masks and what is known of them.
        power: of the probability in ``predicted``, >= 1.
        term: name of the loss that asks, for messages.

    Raises:
        ValueError: the network has no pixel logits, or power < 1.
    """
    if not power >= 1:
        raise ValueError(f"{term}: power={power} must be at least 1; papers use 1 or 2")
    q = batch.schema.pixel_probability(pixel_logits(outputs, batch, term=term))
    known = batch.known.to(q.dtype)
    truth = (batch.masks & batch.known).to(q.dtype)
    raised = q if power == 1 else q * q if power == 2 else q**power
    return Sums((q * truth).sum((2, 3)), (raised * known).sum((2, 3)), truth.sum((2, 3)), known.sum((2, 3)))


# -- which sums are pooled -------------------------------------------------------------------------------------------


def per_image_and_label(sums: Sums) -> Sums:
    """Nothing pooled: a ratio for each image and label."""
    return sums


def per_image(sums: Sums) -> Sums:
    """Labels pooled: a ratio for each image."""
    return Sums(*(s.sum(1, keepdim=True) for s in sums))


def per_label(sums: Sums) -> Sums:
    """Images pooled, those of other processes too (`across_ranks`): a ratio for each label."""
    return across_ranks(Sums(*(s.sum(0, keepdim=True) for s in sums)))


def whole_batch(sums: Sums) -> Sums:
    """Images and labels pooled, those of other processes too (`across_ranks`): one ratio (Wei et al. 2020, eq. 3)."""
    return across_ranks(Sums(*(s.sum().reshape(1, 1) for s in sums)))


def across_ranks(sums: Sums) -> Sums:
    """Sums over all processes of a distributed training, so that its batch is the whole one; as they are elsewhere.

    The gradient is that of one process with all images, once the gradients of the processes are averaged (as DDP
    does). Without gradients nothing is exchanged: a validation on one process does not wait for the others.
    """
    if not (dist.is_available() and dist.is_initialized() and torch.is_grad_enabled()):
        return sums
    own = torch.stack(sums)
    total = own.detach().clone()
    dist.all_reduce(total)
    # Each process sees only its own part of the graph; times their number, because the average divides by it.
    part = dist.get_world_size() * (own - own.detach())
    return Sums(*(total + part).unbind(0))


# -- losses ----------------------------------------------------------------------------------------------------------


def dice_ratio(sums: Sums, *, eps: float) -> Float[Tensor, "b l"]:
    """(2 both + eps) / (predicted + truth + eps); arguments as for `dice`."""
    _positive(eps)
    return (2 * sums.both + eps) / (sums.predicted + sums.truth + eps)


def mean_loss(ratio: Float[Tensor, "b l"], sums: Sums, *, absent: bool) -> Float[Tensor, ""]:
    """Mean of 1 - ratio over the (pooled) images and labels of which something is known; 0 where there are none.

    Args:
        ratio: the overlap, in [0, 1].
        sums: what it was made of.
        absent: whether those count whose known truth is empty.
    """
    counts = sums.known > 0
    return known_mean(1 - ratio, counts if absent else counts & (sums.truth > 0))


def dice(
    outputs: Outputs,
    batch: Batch,
    *,
    power: int = 1,
    eps: float = 1.0,
    pool: Pool = per_image_and_label,
    absent: bool = True,
) -> Float[Tensor, ""]:
    """Soft Dice, mean of 1 - (2 sum q t + eps) / (sum q^power + sum t + eps) (Milletari et al. 2016 for power 2).

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``; the background of exclusive schemas has no ratio.
        batch: masks and what is known of them; 0 where nothing is.
        power: of the probability in the denominator: 1, or 2 (`dice_squared`).
        eps: in pixels, > 0. Where the truth is empty the loss is 1 - eps / (sum q^power + eps): 0 for an empty
            prediction, towards 1 for any other.
        pool: which sums are added up before the ratio: `per_image_and_label`, `per_image`, `per_label`, `whole_batch`.
        absent: whether images (after pooling) whose known truth is empty count; False leaves them out of the mean.

    Raises:
        ValueError: the network has no pixel logits, power < 1 or eps <= 0.
    """
    sums = pool(overlap_sums(outputs, batch, power=power, term="dice"))
    return mean_loss(dice_ratio(sums, eps=eps), sums, absent=absent)


def dice_squared(
    outputs: Outputs, batch: Batch, *, eps: float = 1.0, pool: Pool = per_image_and_label, absent: bool = True
) -> Float[Tensor, ""]:
    """Soft Dice with squares, mean of 1 - (2 sum q t + eps) / (sum q^2 + sum t^2 + eps).

    With ``pool=whole_batch`` it is eqs 3 and 4 of Wei et al. 2020; as it stands, the reading of eq. 3 of Diao et al.
    2023 as a ratio of sums (literally: `dice_per_pixel`). Arguments and errors as for `dice`.
    """
    return dice(outputs, batch, power=2, eps=eps, pool=pool, absent=absent)


def dice_per_pixel(outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
    """Eq. 3 of Diao et al. 2023 as printed: 1 - mean over pixels of 2 q t / (q^2 + t^2).

    An unmarked pixel has ratio 0 whatever is predicted (0/0 at q = t = 0 is read as its limit, 0), so false positives
    cost nothing and an image without the label has loss 1 and no gradient. For comparison; train with `dice_squared`.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks and what is known of them; 0 where nothing is.

    Raises:
        ValueError: the network has no pixel logits.
    """
    q = batch.schema.pixel_probability(pixel_logits(outputs, batch, term="dice_per_pixel"))
    return known_mean(1 - batch.masks * (2 * q / (q * q + 1)), batch.known)


def tversky(
    outputs: Outputs,
    batch: Batch,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    eps: float = 1.0,
    pool: Pool = per_image_and_label,
    absent: bool = True,
) -> Float[Tensor, ""]:
    """Tversky loss, mean of 1 - (TP + eps) / (TP + alpha FP + beta FN + eps) (Salehi et al. 2017).

    TP = sum q t, FP = sum q (1 - t), FN = sum (1 - q) t. alpha = beta = 0.5 is Dice (with twice the eps), 1 is Jaccard.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks and what is known of them; 0 where nothing is.
        alpha: cost of false positives, >= 0.
        beta: cost of false negatives, >= 0.
        eps: in pixels, > 0; empty truth as for `dice`.
        pool: as for `dice`.
        absent: as for `dice`.

    Raises:
        ValueError: the network has no pixel logits, alpha or beta is negative, or eps <= 0.
    """
    _positive(eps)
    if not (alpha >= 0 and beta >= 0):
        raise ValueError(f"alpha={alpha}, beta={beta} must not be negative; 0.5 and 0.5 is Dice")
    sums = pool(overlap_sums(outputs, batch, term="tversky"))
    wrong = alpha * (sums.predicted - sums.both) + beta * (sums.truth - sums.both)
    return mean_loss((sums.both + eps) / (sums.both + wrong + eps), sums, absent=absent)


def jaccard(
    outputs: Outputs, batch: Batch, *, eps: float = 1.0, pool: Pool = per_image_and_label, absent: bool = True
) -> Float[Tensor, ""]:
    """Soft Jaccard (IoU), mean of 1 - (sum q t + eps) / (sum q + sum t - sum q t + eps); arguments as for `dice`."""
    return tversky(outputs, batch, alpha=1.0, beta=1.0, eps=eps, pool=pool, absent=absent)


def _positive(eps: float) -> None:
    if not 0 < eps < float("inf"):
        raise ValueError(f"eps={eps} must be positive: it decides what an empty truth costs; 1 pixel is usual")
