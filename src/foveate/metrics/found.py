"""Images in which a label was found, and images with a false alarm: what a mean over all images can hide."""

from __future__ import annotations

from typing import NamedTuple

from foveate.metrics.counts import Counts, LabelCounts
from foveate.metrics.parts import Part, Values
from foveate.metrics.weighted import ratio


class Found(NamedTuple):
    """Numbers of images: of those with a label those in which it was found, of those without it the false alarms."""

    found: int
    present: int
    alarms: int
    absent: int


def found_of(counts: LabelCounts) -> Found:
    """Count the images in which one label was found, and those with a false alarm.

    An image has the label if a known pixel bears it. It is *found* if at least one of its true pixels was marked: a
    mark elsewhere in the image does not count (``image/presence_sensitivity`` counts any mark). A
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


def found(part: Part) -> Values:
    """Images in which the label was found / images with the label (`found_of`).

    >>> from foveate.metrics.parts import part_of
    >>> found(part_of(truth=[1, 1, 0], tp=[5, 0, 0], fp=[0, 3, 2]))
    array([0.5])
    """
    there = part["truth"] > 0
    return ratio(part.number((part["tp"] > 0) & there), part.number(there))


def false_alarms(part: Part) -> Values:
    """Images with a false alarm / images without the label (`found_of`).

    >>> from foveate.metrics.parts import part_of
    >>> false_alarms(part_of(truth=[1, 0, 0], tp=[5, 0, 0], fp=[0, 3, 0]))
    array([0.5])
    """
    free = part["truth"] == 0
    return ratio(part.number((part["fp"] > 0) & free), part.number(free))
