"""Metrics of a score that ranks images: ROC curve, area under it, average precision; for weighted images."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from foveate.metrics.weighted import ratio

Ranked = Callable[[Float[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, "r n"]], Float[np.ndarray, " r"]]
"""(score, truth, how often each image counts) -> values."""


class Roc(NamedTuple):
    """Points of a ROC curve, from (0, 0) to (1, 1); a score from ``threshold`` on counts as positive."""

    false_positive_rate: Float[np.ndarray, " t"]
    true_positive_rate: Float[np.ndarray, " t"]
    threshold: Float[np.ndarray, " t"]


def sweep(
    score: Float[np.ndarray, " n"], truth: Int[np.ndarray, " n"], weights: Float[np.ndarray, "r n"]
) -> tuple[Float[np.ndarray, "r t"], Float[np.ndarray, "r t"], Float[np.ndarray, " t"]]:
    """True and false positives (summed weights) at every different score as threshold, highest first."""
    order = np.argsort(-score, kind="stable")
    ranked, positive = score[order], truth[order].astype(np.float64)
    last = np.flatnonzero(np.diff(ranked, append=np.nan) != 0)  # last image of each tie; nan differs from everything
    drawn = weights[:, order]
    hits = np.cumsum(drawn * positive, 1)[:, last]
    return hits, np.cumsum(drawn, 1)[:, last] - hits, ranked[last]


def auc(
    score: Float[np.ndarray, " n"], truth: Int[np.ndarray, " n"], weights: Float[np.ndarray, "r n"]
) -> Float[np.ndarray, " r"]:
    """Area under the ROC curve: P(score of a positive > score of a negative) + half of P(equal).

    nan where positives or negatives are missing.

    >>> auc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([1, 1, 0, 0]), np.ones((1, 4)))
    array([0.875])
    """
    hits, alarms, _ = sweep(score, truth, weights)
    step = np.diff(alarms, axis=1, prepend=0.0)
    area = (step * (hits - np.diff(hits, axis=1, prepend=0.0) / 2)).sum(1)
    return ratio(area, hits[:, -1:].sum(1) * alarms[:, -1:].sum(1))


def average_precision(
    score: Float[np.ndarray, " n"], truth: Int[np.ndarray, " n"], weights: Float[np.ndarray, "r n"]
) -> Float[np.ndarray, " r"]:
    """AP = sum over thresholds of (recall - recall before) * precision; nan where there is no positive or no negative.

    >>> average_precision(np.array([0.9, 0.4, 0.3, 0.1]), np.array([1, 0, 1, 0]), np.ones((1, 4)))
    array([0.83333333])
    """
    hits, alarms, _ = sweep(score, truth, weights)
    gained = np.diff(hits, axis=1, prepend=0.0)
    # Where nothing was gained the precision may be 0/0 (no image drawn so far) and does not count
    total = np.nansum(gained * ratio(hits, hits + alarms), 1)
    both = (hits[:, -1:] * alarms[:, -1:]).sum(1) > 0
    return ratio(np.where(both, total, 0.0), np.where(both, hits[:, -1:].sum(1), 0.0))


def roc(score: Float[np.ndarray, " n"], truth: Int[np.ndarray, " n"]) -> Roc:
    """ROC curve at every different score; a rate is nan where there is no image to take it of.

    >>> roc(np.array([0.9, 0.4, 0.1]), np.array([1, 0, 1])).true_positive_rate
    array([0. , 0.5, 0.5, 1. ])
    """
    hits, alarms, threshold = sweep(score, truth, np.ones((1, len(score))))
    tp, fp = (np.concatenate([[0.0], part[0]]) for part in (hits, alarms))
    return Roc(
        ratio(fp, np.full_like(fp, fp[-1])), ratio(tp, np.full_like(tp, tp[-1])), np.concatenate([[np.inf], threshold])
    )
