"""Images in which a label was found, and images with a false alarm: what a mean over all images can hide."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from foveate.metrics.counts import Counts, LabelCounts
from foveate.metrics.weighted import Figures, ratio


class Found(NamedTuple):
    """Numbers of images: of those with a label those in which it was found, of those without it the false alarms."""

    found: int
    present: int
    alarms: int
    absent: int


def found_of(counts: LabelCounts) -> Found:
    """Count the images in which one label was found, and those with a false alarm.

    An image has the label if a known pixel bears it. It is *found* if at least one of its true pixels was marked: a
    mark elsewhere in the image does not count (``presence_sensitivity`` of `segmentation.figures` counts any mark). A
    *false alarm* is an image without the label in which any known pixel was marked.

    Args:
        counts: ``Counts.labels[label]``; of no image, all four numbers are 0.
    """
    there = counts.truth > 0
    found, alarms = there & (counts.tp > 0), ~there & (counts.fp > 0)
    return Found(int(found.sum()), int(there.sum()), int(alarms.sum()), int((~there).sum()))


def total(counts: Counts) -> Found:
    """The sums over all labels of the schema."""
    every = [found_of(part) for part in counts.labels.values()]
    return Found(*(sum(column) for column in zip(*every, strict=True))) if every else Found(0, 0, 0, 0)


def figures(counts: LabelCounts, weights: Float[np.ndarray, "r n"]) -> Figures:
    """The shares of `found_of`: ``found`` (of the images with the label), ``false_alarms`` (of those without it).

    Args:
        counts: ``Counts.labels[label]``.
        weights: how often each of all n images counts.

    Returns:
        name -> one value per weighting; nan if no image with the label (or none without it) counts.
    """
    drawn, there = weights[:, counts.image], counts.truth > 0

    def share(hit: np.ndarray, of: np.ndarray) -> np.ndarray:
        return ratio(drawn @ (hit & of).astype(np.float64), drawn @ of.astype(np.float64))

    return {"found": share(counts.tp > 0, there), "false_alarms": share(counts.fp > 0, ~there)}
