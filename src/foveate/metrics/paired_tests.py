"""Paired tests of two methods on the same images: DeLong, McNemar, Wilcoxon, and Holm's correction over a table.

They take every image as independent. If patients have several images, prefer the clustered bootstrap
(`interval.difference`), whose p-value is beside theirs in the table of tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, sqrt

import numpy as np
from jaxtyping import Bool, Float, Int

Scores = Float[np.ndarray, " n"]
Truth = Int[np.ndarray, " n"]


def delong(a: Scores, b: Scores, truth: Truth) -> float:
    """p-value (two-sided) of equal AUC of two scores of the same images (DeLong et al. 1988).

    With the placements V10 of positives and V01 of negatives, z = (AUC_a - AUC_b) / sqrt(var), and var =
    S10 / positives + S01 / negatives of the difference of the placements. Ties count half.

    Args:
        a: score of each image by one method.
        b: by the other.
        truth: 1 = positive, 0 = negative.

    Returns:
        1 if the placements are equal; nan with fewer than two positives or two negatives.

    >>> truth = np.array([1, 1, 1, 0, 0, 0])
    >>> round(delong(np.array([0.9, 0.8, 0.3, 0.4, 0.2, 0.1]), np.array([0.3, 0.9, 0.2, 0.4, 0.8, 0.1]), truth), 4)
    0.2207
    """
    positive = truth > 0
    if min(positive.sum(), (~positive).sum()) < 2:
        return float("nan")
    (a10, a01), (b10, b01) = (_placements(score[positive], score[~positive]) for score in (a, b))
    gap10, gap01 = a10 - b10, a01 - b01
    variance = gap10.var(ddof=1) / len(gap10) + gap01.var(ddof=1) / len(gap01)
    gap = abs(float(gap10.mean()))
    if variance <= 1e-18:  # equal in every placement up to rounding, or apart by the same amount in every one
        return 1.0 if gap < 1e-12 else 0.0
    return erfc(gap / sqrt(2 * variance))


def mcnemar(a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " n"]) -> float:
    """Exact p-value (two-sided) of equal accuracy (McNemar 1947): a binomial test of the images that one gets right.

    Args:
        a: whether one method is right in each image.
        b: whether the other is.

    Returns:
        1 if the methods are right in the same images.

    >>> mcnemar(np.array([True] * 6 + [False]), np.array([False] * 6 + [False]))
    0.03125
    """
    from scipy.stats import binomtest

    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def wilcoxon(a: Scores, b: Scores) -> float:
    """p-value (two-sided) of the signed-rank test of one value per image, such as Dice (Wilcoxon 1945).

    Images in which either value is nan, or both are equal, are left out.

    Args:
        a: value of each image by one method.
        b: by the other.

    Returns:
        1 if no image differs.

    >>> wilcoxon(np.array([0.9, 0.8, 0.7, 0.6, np.nan]), np.array([0.8, 0.6, 0.4, 0.2, 0.1]))
    0.125
    """
    from scipy.stats import wilcoxon as signed_rank

    gap = a - b
    gap = gap[~np.isnan(gap) & (gap != 0)]
    if not len(gap):
        return 1.0
    # Ties break the exact distribution of ranks, and rounding may hide them
    exact = len(gap) <= 50 and len(np.unique(np.abs(gap).round(12))) == len(gap)
    return float(signed_rank(gap.round(12), method="exact" if exact else "asymptotic").pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for the number of comparisons (Holm 1979); nan stays nan and is not counted.

    The i-th smallest of m becomes max over j <= i of min(1, (m - j + 1) p_j).

    >>> tuple(round(p, 3) for p in holm([0.01, 0.04, 0.03]))
    (0.03, 0.06, 0.06)
    """
    values = np.asarray(p, np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    out = values.copy()
    out[order] = np.maximum.accumulate(np.minimum(1.0, values[order] * factors))
    return [float(one) for one in out]


def _placements(positive: Scores, negative: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Of each positive the share of negatives below it, of each negative the share of positives above it."""
    low, high = np.sort(negative), np.sort(positive)
    of_positive = (np.searchsorted(low, positive, "left") + np.searchsorted(low, positive, "right")) / 2
    of_negative = (np.searchsorted(high, negative, "left") + np.searchsorted(high, negative, "right")) / 2
    return of_positive / len(low), 1 - of_negative / len(high)
