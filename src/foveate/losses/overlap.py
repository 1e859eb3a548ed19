"""Losses of the overlap of prediction and truth: Dice in its readings, Jaccard, Tversky.

Each is 1 minus a ratio of sums over known pixels. Papers differ in three choices and rarely report them, so each is an
argument: which sums are pooled before the ratio is taken (``pool``), the power of the probability in the denominator
(``power``), and whether an image that is known to be free of a label counts (``absent``).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from foveate.core.types import Batch, Outputs
from foveate.losses._masked import mean_over_known, pixel_logits
from foveate.losses._sums import Pool as Pool
from foveate.losses._sums import check_eps, dice_ratio, mean_loss, overlap_sums
from foveate.losses._sums import per_image as per_image
from foveate.losses._sums import per_image_and_label as per_image_and_label
from foveate.losses._sums import per_label as per_label
from foveate.losses._sums import whole_batch as whole_batch


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
        batch: masks, and where they are known; 0 if nowhere.
        power: of the probability in the denominator: 1, or 2 (`dice_squared`).
        eps: in pixels, > 0. If the truth is empty, the loss is 1 - eps / (sum q^power + eps): 0 for an empty
            prediction, near 1 for any other.
        pool: which sums are added up before the ratio: `per_image_and_label`, `per_image`, `per_label`, `whole_batch`.
        absent: whether images (after pooling) whose known truth is empty count; False leaves them out of the mean.

    Raises:
        ValueError: the network gives no pixel logits, power < 1 or eps <= 0.
    """
    sums = pool(overlap_sums(outputs, batch, power=power, term="dice"))
    return mean_loss(dice_ratio(sums, eps=eps), sums, absent=absent)


def dice_squared(
    outputs: Outputs, batch: Batch, *, eps: float = 1.0, pool: Pool = per_image_and_label, absent: bool = True
) -> Float[Tensor, ""]:
    """Soft Dice with squares, mean of 1 - (2 sum q t + eps) / (sum q^2 + sum t^2 + eps).

    With ``pool=whole_batch`` it is eqs 3 and 4 of Wei et al. 2020. By default it is our reading of eq. 3 of Diao et al.
    2023, as a ratio of sums; `dice_per_pixel` is the printed form. Arguments and errors as for `dice`.
    """
    return dice(outputs, batch, power=2, eps=eps, pool=pool, absent=absent)


def dice_per_pixel(outputs: Outputs, batch: Batch) -> Float[Tensor, ""]:
    """Dice per pixel, eq. 3 of Diao et al. 2023 as printed: 1 - mean over pixels of 2 q t / (q^2 + t^2).

    An unmarked pixel has ratio 0 for any prediction (0/0 at q = t = 0 is read as its limit, 0). So false positives cost
    nothing, and an image without the label has loss 1 and no gradient. For comparison; train with `dice_squared`.

    Args:
        outputs: pixel logits ``(b, pixel_channels, h, w)``.
        batch: masks, and where they are known; 0 if nowhere.

    Raises:
        ValueError: the network gives no pixel logits.
    """
    q = batch.schema.pixel_probability(pixel_logits(outputs, batch, term="dice_per_pixel"))
    # t is 0 or 1: with t = 1 the ratio is 2 q / (q^2 + 1), and the product with the mask gives the 0 elsewhere.
    return mean_over_known(1 - batch.masks * (2 * q / (q * q + 1)), batch.known)


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
        batch: masks, and where they are known; 0 if nowhere.
        alpha: cost of false positives, >= 0.
        beta: cost of false negatives, >= 0.
        eps: in pixels, > 0; empty truth as for `dice`.
        pool: as for `dice`.
        absent: as for `dice`.

    Raises:
        ValueError: the network gives no pixel logits, alpha or beta is negative, or eps <= 0.
    """
    check_eps(eps)
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
