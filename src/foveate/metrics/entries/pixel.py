"""Metrics of a label's pixels: averaged over images, under a policy for images free of the label, and pooled."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from foveate.metrics import segmentation
from foveate.metrics.metric import Metric
from foveate.metrics.parts import Part

CELLS = ("tp", "fp", "fn", "tn")


def in_image(score: segmentation.Score) -> Callable[[Part], np.ndarray]:
    """The score of each image."""

    @wraps(score)
    def values(part: Part) -> np.ndarray:
        return score(*(part[name] for name in CELLS))

    return values


def pooled(score: segmentation.Score) -> Callable[[Part], np.ndarray]:
    """The score of the pixels of all images together: large lesions weigh more; it needs no policy."""

    @wraps(score)
    def values(part: Part) -> np.ndarray:
        return score(*(part.total(name) for name in CELLS))

    return values


DICE, IOU, ACCURACY = (in_image(score) for score in (segmentation.dice, segmentation.iou, segmentation.accuracy))
SENSITIVITY, SPECIFICITY, PRECISION = (
    in_image(score) for score in (segmentation.sensitivity, segmentation.specificity, segmentation.precision)
)

METRICS = (
    Metric("pixel/dice", "Dice", DICE, per_image=True, table=False),
    Metric("pixel/dice_all", "Dice of all images", DICE, per_image=True, absent="one", table=False),
    Metric("pixel/dice_present", "Dice where present", DICE, per_image=True, absent="exclude", table=False),
    Metric("pixel/dice_pooled", "Dice pooled", pooled(segmentation.dice)),
    Metric("pixel/iou", "IoU", IOU, per_image=True, table=False),
    Metric("pixel/sensitivity", "sensitivity", SENSITIVITY, per_image=True, table=False),
    Metric("pixel/specificity", "specificity", SPECIFICITY, per_image=True, silent=True, table=False),
    Metric("pixel/precision", "precision", PRECISION, per_image=True, marked=True, table=False),
    Metric(
        "pixel/accuracy", "pixel accuracy", ACCURACY, per_image=True, silent=True, logged="never", table=False,
        short="pixel_accuracy",
    ),
    Metric("pixel/iou_present", "IoU where present", IOU, per_image=True, absent="exclude", logged="never"),
    Metric(
        "pixel/sensitivity_present", "sensitivity where present", SENSITIVITY, per_image=True, absent="exclude",
        logged="never",
    ),
    Metric(
        "pixel/precision_marked", "precision where marked", PRECISION, per_image=True, absent="nan", logged="never"
    ),
    Metric(
        "pixel/specificity_all", "specificity of all images", SPECIFICITY, per_image=True, absent="nan", silent=True,
        logged="never",
    ),
    Metric("pixel/iou_pooled", "IoU pooled", pooled(segmentation.iou), logged="never", table=False),
    Metric(
        "pixel/sensitivity_pooled", "sensitivity pooled", pooled(segmentation.sensitivity), logged="never",
        table=False,
    ),
    Metric(
        "pixel/specificity_pooled", "specificity pooled", pooled(segmentation.specificity), logged="never",
        table=False,
    ),
    Metric(
        "pixel/precision_pooled", "precision pooled", pooled(segmentation.precision), logged="never", table=False
    ),
    Metric(
        "pixel/accuracy_pooled", "pixel accuracy pooled", pooled(segmentation.accuracy), logged="never", table=False,
        short="pixel_accuracy_pooled",
    ),
)  # fmt: skip
"""`dice_all` and what follows with a policy of its own keep it, whatever the others have: papers print Dice of all
images and where present side by side (Wei et al., Table 1). Only ``_all`` gives a point for an empty mask: ``_present``
is the mean over the images with the label, ``_marked`` over those in which it was marked (a false alarm is 0)."""
