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
"""Assumed seconds of one label: the answer of an image, and what is drawn in addition where the finding is there.

Assumptions, to be replaced by a reading centre's own times; only their order is certain.
"""

AXES = {"image/auc": "AUROC", "map/air": "AIR within regions", "map/air_mask": "AIR within masks"}
"""Axes that need more words than the table's heading."""


@dataclass(frozen=True)
class Labels:
    """What a method learns from.

    Args:
        kind: "image" (answers alone), "regions", "boxes", "ellipses" or "masks".
        share: of the images with the finding for which it was drawn.
    """

    kind: str
    share: float = 1.0


@dataclass(frozen=True)
class Labelled:
    """What was labelled for one training.

    Args:
        images: answered, to train and to validate on.
        drawn: those of them with the finding for which more than the answer was given.
    """

    images: int
    drawn: int


def timed(seconds: Mapping[str, float]) -> dict[str, float]:
    """`SECONDS` with some of them measured.

    Raises:
        ValueError: a kind that there is not, or a time that is not positive.
    """
    if strange := sorted(set(seconds) - set(SECONDS)):
        raise ValueError(f"seconds: {strange[0]!r} is none of the kinds of labels {list(SECONDS)}")
    for kind, time in seconds.items():
        if isinstance(time, bool) or not isinstance(time, int | float) or not 0 < time < float("inf"):
            raise ValueError(f"seconds: {kind}={time!r} is no time; give seconds above 0")
    return {**SECONDS, **seconds}


def hours(labels: Labels, *, images: int, present: int, seconds: Mapping[str, float] = SECONDS) -> float:
    """Time to label a set to train and validate on: an answer an image, and the drawing in a share of those with it.

    Args:
        labels: what was drawn.
        images: of the set.
        present: those with the finding.
        seconds: of one label of each kind.

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

    The hours are those of the images that a training was given, not of those that it was tested on: of several folds
    their mean.

    Args:
        counts: row -> counts of the test images.
        labels: row -> what it learnt from; rows without are left out. Its share is the one that was asked for; which
            images were drawn in says ``labelled``.
        labelled: row -> what was labelled for it, one a fold.
        question: the finding.
        metrics: names of `metrics.entries`, without the finding's name.
        seconds: of one label of each kind.
        repeats: bootstrap draws.

    Raises:
        ValueError: no row has both counts and labels, or nobody says what was labelled for one that has.
    """
    rows = [row for row in counts if row in labels]
    if not rows:
        raise ValueError(f"labels={list(labels)} name none of the rows {list(counts)}")
    if lost := [row for row in rows if not labelled.get(row)]:
        raise ValueError(f"labelled={list(labelled)} lacks {lost}; say what was labelled for each fold of these rows")
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
