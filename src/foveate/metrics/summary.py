"""The figures of a run under flat names: for logs, for model selection, and with intervals for tables.

Of the pixel labels: dice, dice_all (a rightly empty mask is 1, whatever the policy), dice_present (images that bear the
label), found (share of the images with the label in which a true pixel was marked), false_alarms (share of the images
without it in which anything was marked), dice_pooled (F1 over the pixels of all images), iou, sensitivity, specificity,
precision (mean over images), presence_f1 (F1 of "the image bears it", read from its mask).
Of the questions: accuracy, auc, ap, f1, kappa, qkappa ("yes", or the mean over answers), brier and nll (less is
better), skill (Brier skill, more is better), and the sensitivity and specificity of each answer. The bare name is the
mean over labels or questions; ``dice/<label>``, ``auc/<question>``, ``sensitivity/<question>/<answer>``.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float

from foveate.metrics import grading, interval, localisation, operating, segmentation
from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate
from foveate.metrics.weighted import Figures

OF_LABELS = (
    "dice", "dice_all", "dice_present", "found", "false_alarms", "dice_pooled", "iou", "sensitivity", "specificity",
    "precision", "presence_f1",
)  # fmt: skip
OF_QUESTIONS = ("accuracy", "auc", "ap", "f1", "kappa", "qkappa", "brier", "nll", "skill")
OF_ANSWERS = ("sensitivity", "specificity")
LESS_IS_BETTER = (*grading.LESS_IS_BETTER, "false_alarms")
"""Figures that are the better the lower they are."""


def names(counts: Counts) -> list[str]:
    """The names of the figures, which follow from the schema alone: what has no image is there, and nan.

    Only those of activations (`localisation`) and operating points (`operating`) are left out where none was looked at.
    """
    labels, questions = counts.schema.labels, counts.schema.questions
    out = [*(OF_LABELS if labels else ()), *(OF_QUESTIONS if questions else ())]
    out += [f"{name}/{label}" for label in labels for name in OF_LABELS]
    for q in questions:
        out += [f"{name}/{q.name}" for name in OF_QUESTIONS]
        out += [f"{name}/{q.name}/{answer}" for answer in (("yes",) if q.yes_no else q.answers) for name in OF_ANSWERS]
    if len(counts.looks["image"]):
        findings = localisation.findings(counts)
        out += [*localisation.OF_LOOKS, *(f"{name}/{q}" for q in findings for name in localisation.OF_LOOKS)]
        out += [f"{name}/{q}" for q in findings for name in operating.NAMES]
    return out


def figures(counts: Counts, weights: Float[np.ndarray, "r n"], *, absent: str = "exclude") -> Figures:
    """The figures of the summary; a statistic for `interval`.

    Args:
        counts: of the images.
        weights: how often each image of ``counts.images`` counts.
        absent: what an image free of a label scores: a name of ``segmentation.ABSENT``.
    """
    # Labels win: sensitivity, specificity and precision without an answer are about pixels
    every = grading.figures(counts, weights) | segmentation.figures(counts, weights, absent=absent)
    if len(counts.looks["image"]):
        every |= localisation.figures(counts, weights) | operating.figures(counts, weights)
    return {name: every[name] for name in names(counts)}


def summary(counts: Counts, *, absent: str = "exclude") -> dict[str, float]:
    """The figures, every image counting once; nan where undefined.

    Args:
        counts: of the images.
        absent: a name of ``segmentation.ABSENT``.
    """
    return interval.value(partial(figures, absent=absent), counts)


def estimates(
    counts: Counts, *, absent: str = "exclude", repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Estimate]:
    """The figures of `summary` with intervals by patient (`interval.interval`)."""
    return interval.interval(partial(figures, absent=absent), counts, repeats=repeats, level=level, seed=seed)


def estimates_difference(
    a: Counts, b: Counts, *, absent: str = "exclude", repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Estimate]:
    """The figures of ``a`` minus those of ``b`` on the same images, with paired intervals (`interval.difference`)."""
    return interval.difference(partial(figures, absent=absent), a, b, repeats=repeats, level=level, seed=seed)
