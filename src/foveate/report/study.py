"""The table of a study: methods side by side, beside the published figures, and held against one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from jaxtyping import Float

from foveate.metrics import grading, segmentation
from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, difference, interval
from foveate.metrics.weighted import Figures
from foveate.report.cells import Cell
from foveate.report.table import Column, Table
from foveate.report.tables import KNOWN, heading, said_of_absent, said_of_draws


def comparison(
    title: str,
    rows: Mapping[str, Counts],
    figures: Sequence[str] | Mapping[str, str],
    *,
    paper: Mapping[str, Mapping[str, float]] | None = None,
    reference: str | None = None,
    absent: str = "one",
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Table:
    """Methods side by side: each figure with its interval, the published one beside it, and the paired difference.

    Args:
        title: of the table.
        rows: method -> counts of its test images.
        figures: names as in ``metrics.segmentation.figures`` and ``metrics.grading.figures`` ("dice",
            "dice_pooled/cup", "auc/grade"), or heading -> name. One that a method does not have is "n/a".
        paper: method -> figure, as called in ``figures`` -> published value; methods that were not run get a row too.
        reference: method that the others are held against, on the same draws of the same images.
        absent: what an image free of a label scores.
        repeats: bootstrap draws.
        level: of the intervals.
        seed: of the draws.

    Raises:
        ValueError: reference is no row; a figure, or a published one, is not known; with a reference: methods hold
            different images.
    """
    if reference is not None and reference not in rows:
        raise ValueError(f"reference={reference!r} is none of the rows {list(rows)}")
    headings = dict(figures) if isinstance(figures, Mapping) else {heading(name): name for name in figures}
    called = dict(zip(figures, headings, strict=True))
    statistic = partial(_figures, names=tuple(headings.values()), absent=absent)
    ours = {m: interval(statistic, c, repeats=repeats, level=level, seed=seed) for m, c in rows.items()}
    if lost := [n for n in headings.values() if rows and not any(n in found for found in ours.values())]:
        raise ValueError(
            f"figures={lost} are not among the figures of any row; see metrics.segmentation and metrics.grading"
        )
    gaps: dict[str, dict[str, Estimate]] = {}
    if reference is not None:
        others = {m: c for m, c in rows.items() if m != reference}
        gaps = {
            m: difference(statistic, c, rows[reference], repeats=repeats, level=level, seed=seed)
            for m, c in others.items()
        }
    printed = _published(paper or {}, called)

    columns = [Column("method")]
    for head, name in headings.items():
        better = None if name.partition("/")[0].endswith("_std") else max
        columns.append(Column(head, better))
        if any(head in values for values in printed.values()):
            columns.append(Column(f"{head}, paper", better))
        if gaps:
            columns.append(Column(f"Δ {head}"))
    lines = []
    for method in dict.fromkeys([*rows, *printed]):
        cells: list[Cell] = [method]
        for head, name in headings.items():
            cells.append(ours[method].get(name, np.nan) if method in rows else None)
            if any(head in values for values in printed.values()):
                cells.append(printed.get(method, {}).get(head))
            if gaps:
                cells.append(gaps.get(method, {}).get(name))
        lines.append(tuple(cells))
    note = _notes(rows, ours, reference=reference, absent=absent, repeats=repeats, level=level)
    if printed:
        note.append(
            "Paper: as published, on the authors' own images and split; an empty cell was not published or not run."
        )
    return Table(title, tuple(columns), tuple(lines), tuple(note))


def _figures(counts: Counts, weights: Float[np.ndarray, "r n"], *, names: Sequence[str], absent: str) -> Figures:
    """The named figures that these counts have; of a name that masks and answers share, the masks'."""
    every = grading.figures(counts, weights) | segmentation.figures(counts, weights, absent=absent)
    return {name: every[name] for name in names if name in every}


def _published(paper: Mapping[str, Mapping[str, float]], called: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Method -> heading -> value; a figure may be called by its heading or as the caller called it."""
    known = {**called, **{head: head for head in called.values()}}
    if strange := {figure for values in paper.values() for figure in values} - set(known):
        raise ValueError(f"paper: figures {sorted(strange)} are none of {list(called)}")
    return {
        method: {known[figure]: float(value) for figure, value in values.items()} for method, values in paper.items()
    }


def _notes(
    rows: Mapping[str, Counts],
    ours: Mapping[str, Mapping[str, Estimate]],
    *,
    reference: str | None,
    absent: str,
    repeats: int,
    level: float,
) -> list[str]:
    if not rows:
        return ["No method was run."]
    note = [
        "Scores of masks are means over images unless called pooled; without a label's name, means over the labels. "
        + KNOWN
    ]
    note.append(said_of_absent(absent))
    spread = {said_of_draws(c, (), repeats=repeats, level=level): m for m, c in rows.items()}
    if len(spread) == 1:
        found = [e for estimates in ours.values() for e in estimates.values()]
        note.append(said_of_draws(next(iter(rows.values())), found, repeats=repeats, level=level))
    else:
        note += [f"{m}: {said_of_draws(c, ours[m].values(), repeats=repeats, level=level)}" for m, c in rows.items()]
    if reference is not None:
        note.append(
            f"Δ: minus {reference}, paired: the same draws of the same images; no correction for several comparisons."
        )
    return note
