"""Cost and benefit of labels: metrics against the hours that annotators spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, interval
from foveate.metrics.listing import full
from foveate.metrics.measure import measure
from foveate.report import canvas, colours
from foveate.report.tables import heading

SECONDS: Mapping[str, float] = {"image": 10.0, "regions": 10.0, "boxes": 25.0, "ellipses": 60.0, "masks": 300.0}
"""Assumed seconds per label: for the answer of an image, and for the drawing in addition if the finding is present.

Replace these assumptions by a reading centre's own times; only their order is certain.
"""

AXES = {"image/auc": "AUROC", "map/air": "AIR within regions", "map/air_mask": "AIR within masks"}
"""Axes that need more words than the table's heading."""


@dataclass(frozen=True)
class Labels:
    """Labels that a method learns from.

    Args:
        kind: "image" (answers alone), "regions", "boxes", "ellipses" or "masks".
        share: share of the images with the finding that have a drawing.
    """

    kind: str
    share: float = 1.0


@dataclass(frozen=True)
class Labelled:
    """Number of labels of one training.

    Args:
        images: images with an answer, to train and to validate on.
        drawn: those of them with a drawing of the finding.
    """

    images: int
    drawn: int


def timed(seconds: Mapping[str, float]) -> dict[str, float]:
    """`SECONDS` with some of them replaced by measured times.

    Raises:
        ValueError: a kind is unknown, or a time is not positive.
    """
    if strange := sorted(set(seconds) - set(SECONDS)):
        raise ValueError(f"seconds: the kind of label must be one of {list(SECONDS)}, got {strange[0]!r}")
    for kind, time in seconds.items():
        if isinstance(time, bool) or not isinstance(time, int | float) or not 0 < time < float("inf"):
            raise ValueError(f"seconds: {kind}={time!r}: give a number of seconds above 0")
    return {**SECONDS, **seconds}


def hours(labels: Labels, *, images: int, present: int, seconds: Mapping[str, float] = SECONDS) -> float:
    """Hours to label images for training and validation: one answer per image, and drawings in those with the finding.

    Args:
        labels: kind of the drawings, and the share of images with the finding that have one.
        images: number of images.
        present: number of images with the finding.
        seconds: time of one label of each kind.

    Raises:
        ValueError: the kind has no time.
    """
    if strange := {labels.kind, "image"} - set(seconds):
        raise ValueError(f"seconds: no time of {sorted(strange)}; there are {sorted(seconds)}")
    drawn = 0.0 if labels.kind == "image" else labels.share * present * seconds[labels.kind]
    return (images * seconds["image"] + drawn) / 3600


def cost_curves(
    counts: Mapping[str, Counts],
    labels: Mapping[str, Labels],
    *,
    labelled: Mapping[str, Sequence[Labelled]],
    question: str,
    metrics: Sequence[str] = ("image/auc", "map/air", "map/air_mask"),
    seconds: Mapping[str, float] = SECONDS,
    repeats: int = 1000,
) -> Figure:
    """One panel per metric: its value with its interval against the hours of labelling, one line per kind of label.

    The hours are those of the training and validation images, not of the test images; for several folds their mean.

    Args:
        counts: row -> counts of the test images.
        labels: row -> labels that it learnt from; rows without labels are left out. ``share`` is the share that was
            asked for; ``labelled`` has the numbers of images that were really drawn in.
        labelled: row -> number of labels, one entry per fold.
        question: the finding.
        metrics: names of `metrics.entries`, without the finding's name.
        seconds: of one label of each kind.
        repeats: bootstrap draws.

    Raises:
        ValueError: no row has both counts and labels, or ``labelled`` lacks a row that has.
    """
    rows = [row for row in counts if row in labels]
    if not rows:
        raise ValueError(f"labels={list(labels)} name none of the rows {list(counts)}")
    if lost := [row for row in rows if not labelled.get(row)]:
        raise ValueError(
            f"labelled={list(labelled)} lacks {lost}; give the number of labels of each fold of these rows"
        )
    kinds = [full(name, questions=[question]) for name in metrics]
    names = [f"{name}/{question}" for name in kinds]
    found = {row: interval(partial(measure, names=names), counts[row], repeats=repeats) for row in rows}
    spent = {row: _spent(labels[row].kind, labelled[row], seconds=seconds) for row in rows}
    figure, panels = canvas.panels(len(kinds))
    for axes, kind, name in zip(panels, kinds, names, strict=True):
        title = AXES.get(kind, heading(kind))
        canvas.name(axes, title, x="hours of labelling", y=title)
        for number, label in enumerate(dict.fromkeys(labels[row].kind for row in rows)):
            some = sorted((row for row in rows if labels[row].kind == label), key=lambda row: spent[row])
            points = [(spent[row], found[row][name]) for row in some if name in found[row]]
            _line(axes, label, points, number)
        canvas.log_axis(axes)
        axes.grid(True, axis="y", color="#e4e6ea")
    canvas.legend_below(figure, panels[0], columns=len(SECONDS))
    return figure


def _spent(kind: str, folds: Sequence[Labelled], *, seconds: Mapping[str, float]) -> float:
    """Mean hours of the folds."""
    every = [hours(Labels(kind), images=one.images, present=one.drawn, seconds=seconds) for one in folds]
    return sum(every) / len(every)


def _line(axes: canvas.Axes, kind: str, points: Sequence[tuple[float, Estimate]], number: int) -> None:
    if not points:
        return
    x = [at for at, _ in points]
    y = [e.value for _, e in points]
    reach = [[e.value - e.low for _, e in points], [e.high - e.value for _, e in points]]
    colour, dash = colours.line(number)
    axes.errorbar(
        x, y, yerr=np.nan_to_num(reach).clip(0), color=colour, linestyle=dash, marker="o", markersize=4, capsize=2,
        linewidth=1.3, label=kind,
    )  # fmt: skip
