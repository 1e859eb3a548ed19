"""Scores of masks from their pixels, and what an image that is free of the label scores.

An image may be free of a label; then most per-image scores are 0/0, and what is put there moves a mean by tenths.
So the policy has a name (`ABSENT`) that every table states. Pooled metrics need none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from foveate.metrics.counts import LabelCounts
from foveate.metrics.weighted import ratio

Number = Num[np.ndarray, "*s"]
Score = Callable[[Number, Number, Number, Number], Float[np.ndarray, "*s"]]
"""(tp, fp, fn, tn) -> values; nan where it is 0/0."""


def dice(tp: Number, fp: Number, fn: Number, tn: Number) -> Float[np.ndarray, "*s"]:
    """Dice coefficient = F1 = 2 tp / (2 tp + fp + fn).

    >>> dice(np.array([6]), np.array([2]), np.array([2]), np.array([90]))
    array([0.75])
    """
    return ratio(2 * tp, 2 * tp + fp + fn)


def iou(tp: Number, fp: Number, fn: Number, tn: Number) -> Float[np.ndarray, "*s"]:
    """Intersection over union (Jaccard) = tp / (tp + fp + fn).

    >>> iou(np.array([6]), np.array([2]), np.array([2]), np.array([90]))
    array([0.6])
    """
    return ratio(tp, tp + fp + fn)


def sensitivity(tp: Number, fp: Number, fn: Number, tn: Number) -> Float[np.ndarray, "*s"]:
    """Sensitivity (recall) = tp / (tp + fn).

    >>> sensitivity(np.array([6]), np.array([2]), np.array([2]), np.array([90]))
    array([0.75])
    """
    return ratio(tp, tp + fn)


def specificity(tp: Number, fp: Number, fn: Number, tn: Number) -> Float[np.ndarray, "*s"]:
    """Specificity = tn / (tn + fp).

    >>> specificity(np.array([6]), np.array([2]), np.array([2]), np.array([6]))
    array([0.75])
    """
    return ratio(tn, tn + fp)


def precision(tp: Number, fp: Number, fn: Number, tn: Number) -> Float[np.ndarray, "*s"]:
    """Precision (positive predictive value) = tp / (tp + fp).

    >>> precision(np.array([6]), np.array([2]), np.array([2]), np.array([90]))
    array([0.75])
    """
    return ratio(tp, tp + fp)


def accuracy(tp: Number, fp: Number, fn: Number, tn: Number) -> Float[np.ndarray, "*s"]:
    """Accuracy = (tp + tn) / (tp + fp + fn + tn).

    >>> accuracy(np.array([6]), np.array([2]), np.array([2]), np.array([6]))
    array([0.75])
    """
    return ratio(tp + tn, tp + fp + fn + tn)


SCORES: dict[str, Score] = {
    "dice": dice, "iou": iou, "sensitivity": sensitivity, "specificity": specificity, "precision": precision,
    "pixel_accuracy": accuracy,
}  # fmt: skip


@dataclass(frozen=True)
class Absent:
    """Score of an image without the label, for which the formula is 0/0.

    Args:
        empty: the value if nothing was predicted either.
        marked: the value if something was predicted (sensitivity alone; Dice, IoU and precision are 0 there anyway).
        counted: False leaves such images out of every score of the label, those that are defined too.
    """

    empty: float
    marked: float
    counted: bool = True


ABSENT = {
    "one": Absent(1.0, 0.0),
    "zero": Absent(0.0, 0.0),
    "nan": Absent(np.nan, np.nan),
    "exclude": Absent(np.nan, np.nan, counted=False),
}
"""The policies by name: "one" rewards a rightly empty mask; "zero" punishes it; "nan" leaves out what is 0/0 alone;
"exclude" counts only the images that bear the label. Means leave nan out."""


def policy(absent: str) -> Absent:
    """The policy of that name; ValueError lists the policies if there is not one."""
    if absent not in ABSENT:
        raise ValueError(f"absent must be one of {list(ABSENT)}, got {absent!r}")
    return ABSENT[absent]


def per_image(counts: LabelCounts, *, absent: str) -> dict[str, Float[np.ndarray, " m"]]:
    """Every score of one label in each of its images, nan where it does not count.

    If an image has the label and none was predicted, its precision is undefined under every policy.
    An empty mask scores a point in sensitivity and precision too under "one": read ``pixel/sensitivity_present`` and
    ``pixel/precision_marked`` beside them.

    Args:
        counts: ``Counts.labels[label]``.
        absent: name of an `ABSENT` policy.
    """
    cells = (counts.tp, counts.fp, counts.fn, counts.tn)
    return {name: fill(score(*cells), counts, absent=absent) for name, score in SCORES.items()}


def fill(raw: Float[np.ndarray, " m"], counts: LabelCounts, *, absent: str) -> Float[np.ndarray, " m"]:
    """The values of a label's images under a policy: what is nan in an image free of the label is filled or left out.

    Args:
        raw: one value per image, nan where the formula is 0/0.
        counts: ``Counts.labels[label]``.
        absent: name of an `ABSENT` policy.
    """
    rule = policy(absent)
    free, marked = counts.truth == 0, counts.tp + counts.fp > 0
    filled = np.where(marked, rule.marked, rule.empty)
    # specificity is 0/0 only where the label fills all that is known: never in an image free of it
    out: Float[np.ndarray, " m"] = np.where(
        free & (not rule.counted), np.nan, np.where(free & np.isnan(raw), filled, raw)
    )
    return out
