"""Seconds that a label costs, from annotations by what was drawn in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from foveate.annotate.domain.marks import Marks

DRAWN: Mapping[str, str] = {
    "regions": "regions",
    "ellipse": "ellipses",
    "polygon": "polygons",
    "brush": "brush",
    "point": "points",
}
"""Kind of mark -> what a table calls annotations in which nothing else was drawn."""

ANSWERS, SEVERAL, DRAFTS = "answers alone", "several kinds", "drafts"
ORDER = (ANSWERS, *DRAWN.values(), SEVERAL, DRAFTS)
COSTS: Mapping[str, tuple[str, ...]] = {
    "image": (ANSWERS,),
    "regions": ("regions",),
    "ellipses": ("ellipses",),
    "masks": ("polygons", "brush"),
}
"""Kind of label as `report.cost.SECONDS` names it -> annotations that its seconds are measured on."""

LEAST = 0.1
"""Seconds that a label costs at least: one that costs nothing has no place on a cost curve."""


@dataclass(frozen=True)
class Timed:
    """One annotation that was done by hand.

    Args:
        drawn: what was drawn in it, one of `ORDER`.
        findings: number of findings with marks.
        seconds: of work, pauses left out.
    """

    drawn: str
    findings: int
    seconds: float


def timed(annotations: Iterable[tuple[Marks, float]]) -> list[Timed]:
    """Select annotations that show how long work takes: gradable ones with seconds (imported ones have none).

    Args:
        annotations: marks and seconds of annotations that are done.
    """
    found = []
    for marks, seconds in annotations:
        if marks.ungradable is not None or seconds <= 0:
            continue
        kinds = {DRAWN[shape.kind] for shape in marks.shapes}
        drawn = kinds.pop() if len(kinds) == 1 else SEVERAL if kinds else ANSWERS
        if marks.rejected or any(shape.draft is not None for shape in marks.shapes):
            drawn = DRAFTS
        found.append(Timed(drawn, len({shape.label for shape in marks.shapes}), seconds))
    return found


def medians(found: Sequence[Timed]) -> list[tuple[str, int, float]]:
    """List what was drawn, how many annotations, their median seconds; kinds without annotations are left out."""
    grouped = {drawn: [one.seconds for one in found if one.drawn == drawn] for drawn in ORDER}
    return [(drawn, len(seconds), median(seconds)) for drawn, seconds in grouped.items() if seconds]


def costs(found: Sequence[Timed]) -> dict[str, float]:
    """Return the seconds of one label of each kind, as `report.cost.timed` takes them.

    "image" is the median of the annotations without marks: looking and answering. A kind of mark costs what its
    annotations took longer than that, per finding that was marked: the median of them. Kinds that nobody drew alone are
    left out, and all of them if every annotation has marks: then the two cannot be separated.

    Args:
        found: from `timed`.
    """
    looking = [one.seconds for one in found if one.drawn == ANSWERS]
    if not looking:
        return {}
    out = {"image": median(looking)}
    for kind, drawn in COSTS.items():
        extra = [(one.seconds - out["image"]) / one.findings for one in found if one.findings and one.drawn in drawn]
        if kind != "image" and extra:
            out[kind] = median(extra)
    return {kind: max(LEAST, round(seconds, 1)) for kind, seconds in out.items()}
