"""Figures of the masks: per image (mean and spread over images), pooled over pixels, and presence in an image.

An image may be free of a label; then most per-image scores are 0/0, and what is put there moves a mean by tenths.
So the policy has a name (`ABSENT`) and stands beside every table. Pooled figures need none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from foveate.metrics import found
from foveate.metrics.counts import Counts, LabelCounts
from foveate.metrics.ranking import auc, average_precision
from foveate.metrics.weighted import Figures, mean, ratio, std, with_means

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
    """Intersection over union (Jaccard) = tp / (tp + fp + fn)."""
    return ratio(tp, tp + fp + fn)


def sensitivity(tp: Number, fp: Number, fn: Number, tn: Number) -> Float[np.ndarray, "*s"]:
    """Sensitivity (recall) = tp / (tp + fn)."""
    return ratio(tp, tp + fn)


def specificity(tp: Number, fp: Number, fn: Number, tn: Number) -> Float[np.ndarray, "*s"]:
    """Specificity = tn / (tn + fp)."""
    return ratio(tn, tn + fp)


def precision(tp: Number, fp: Number, fn: Number, tn: Number) -> Float[np.ndarray, "*s"]:
    """Precision (positive predictive value) = tp / (tp + fp)."""
    return ratio(tp, tp + fp)


def accuracy(tp: Number, fp: Number, fn: Number, tn: Number) -> Float[np.ndarray, "*s"]:
    """Accuracy = (tp + tn) / (tp + fp + fn + tn)."""
    return ratio(tp + tn, tp + fp + fn + tn)


SCORES: dict[str, Score] = {
    "dice": dice, "iou": iou, "sensitivity": sensitivity, "specificity": specificity, "precision": precision,
    "pixel_accuracy": accuracy,
}  # fmt: skip
FIXED = {
    "dice_all": ("dice", "one"), "dice_present": ("dice", "exclude"), "iou_present": ("iou", "exclude"),
    "sensitivity_present": ("sensitivity", "exclude"), "precision_marked": ("precision", "nan"),
    "specificity_all": ("specificity", "nan"),
}  # fmt: skip
"""Name -> score and the policy that it always has, whatever the others have. Papers print the first two side by side
(Wei et al., Table 1). None but ``dice_all`` gives a point for an empty mask: ``_present`` is the mean over the images
with the label, ``_marked`` over those in which it was marked (a false alarm is 0), ``_all`` over all."""
PRESENCE: dict[str, Score] = {
    "accuracy": accuracy, "sensitivity": sensitivity, "specificity": specificity, "f1": dice,
}  # fmt: skip


@dataclass(frozen=True)
class Absent:
    """What an image free of a label scores where the formula is 0/0.

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
    """The policy of that name; ValueError names those there are."""
    if absent not in ABSENT:
        raise ValueError(f"absent={absent!r} is none of {list(ABSENT)}")
    return ABSENT[absent]


def per_image(counts: LabelCounts, *, absent: str) -> dict[str, Float[np.ndarray, " m"]]:
    """Every score of one label in each of its images, nan where it does not count.

    The precision of an image that bears the label and was given none of it is undefined under every policy.
    An empty mask scores a point in sensitivity and precision too under "one": read `FIXED` beside them.

    Args:
        counts: ``Counts.labels[label]``.
        absent: name of an `ABSENT` policy.
    """
    rule = policy(absent)
    free, marked = counts.truth == 0, counts.tp + counts.fp > 0
    filled = np.where(marked, rule.marked, rule.empty)
    left_out = free & (not rule.counted)
    out = {}
    for name, score in SCORES.items():
        raw = score(counts.tp, counts.fp, counts.fn, counts.tn)
        # specificity is 0/0 only where the label fills all that is known: never in an image free of it
        out[name] = np.where(left_out, np.nan, np.where(free & np.isnan(raw), filled, raw))
    return out


def pooled(counts: LabelCounts, weights: Float[np.ndarray, "r n"]) -> Figures:
    """Every score of one label from the pixels of all images together: large lesions weigh more; needs no policy."""
    drawn = weights[:, counts.image]
    tp, fp, fn, tn = (drawn @ part.astype(np.float64) for part in (counts.tp, counts.fp, counts.fn, counts.tn))
    return {name: score(tp, fp, fn, tn) for name, score in SCORES.items()}


def presence(counts: LabelCounts, weights: Float[np.ndarray, "r n"]) -> Figures:
    """Whether an image bears the label, read from its mask: accuracy, sensitivity, specificity, F1, AUC, AP.

    An image is called positive if a known pixel was given the label; its score is the highest probability of a known
    pixel.
    """
    drawn = weights[:, counts.image]
    truth, called = counts.truth > 0, counts.tp + counts.fp > 0
    cells = (truth & called, ~truth & called, truth & ~called, ~truth & ~called)
    tp, fp, fn, tn = (drawn @ cell.astype(np.float64) for cell in cells)
    return {name: score(tp, fp, fn, tn) for name, score in PRESENCE.items()} | {
        "auc": auc(counts.probability, counts.truth, drawn),
        "ap": average_precision(counts.probability, counts.truth, drawn),
    }


def figures(counts: Counts, weights: Float[np.ndarray, "r n"], *, absent: str = "exclude") -> Figures:
    """All figures of the masks; a statistic for `interval`.

    Names: ``dice`` (mean over images), ``dice_std`` (spread over images), ``dice_pooled``, and so for each of
    `SCORES`; ``dice_all`` (a rightly empty mask is 1, a false alarm 0), ``dice_present`` (images that bear the label
    alone) and the others of `FIXED` with their ``_std``, whatever ``absent`` is; ``found`` and ``false_alarms`` (shares
    of images, `found.found_of`); ``presence_accuracy``, ``presence_auc`` and so on. ``dice/<label>`` is one label's,
    ``dice`` the mean over the labels that have one. nan where undefined. The precision of a label that is marked in no
    image is undefined under every policy.

    Args:
        counts: of the images.
        weights: how often each image of ``counts.images`` counts.
        absent: name of an `ABSENT` policy.
    """
    parts = {}
    for label, part in counts.labels.items():
        parts[label] = (
            _over_images(part, weights, absent=absent)
            | found.figures(part, weights)
            | {f"{name}_pooled": value for name, value in pooled(part, weights).items()}
            | {f"presence_{name}": value for name, value in presence(part, weights).items()}
        )
    return with_means(parts)


def _over_images(part: LabelCounts, weights: Float[np.ndarray, "r n"], *, absent: str) -> Figures:
    """Mean and spread over images of every score of one label, under the policy and under those of `FIXED`."""
    under = {name: per_image(part, absent=name) for name in {absent, *(policy for _, policy in FIXED.values())}}
    scores = under[absent] | {name: under[fixed][score] for name, (score, fixed) in FIXED.items()}
    values, drawn = np.stack(list(scores.values()), 1), weights[:, part.image]
    out = dict(zip(scores, mean(values, drawn).T, strict=True)) | {
        f"{name}_std": spread for name, spread in zip(scores, std(values, drawn).T, strict=True)
    }
    # Without a single mark only images free of the label would count, and a policy's 1 would be all there is
    silent = drawn @ (part.tp + part.fp > 0).astype(np.float64) == 0
    return out | {name: np.where(silent, np.nan, out[name]) for name in ("precision", "precision_std")}
