"""The table of a study: methods side by side, beside the published values, and compared with one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from foveate.metrics import listing
from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, difference, interval
from foveate.metrics.measure import measure
from foveate.report import found
from foveate.report.table import Column, Table
from foveate.report.table_cells import Cell
from foveate.report.tables import KNOWN, heading, said_of_absent, said_of_draws


@dataclass(frozen=True, eq=False)
class Chart:
    """An additional figure of a study, drawn from its counts.

    Args:
        table: title of the table above it.
        file: name of its file, without ending.
        figure: the chart.
        caption: explanation below the chart.
    """

    table: str
    file: str
    figure: Figure
    caption: str


def comparison(
    title: str,
    rows: Mapping[str, Counts],
    metrics: Sequence[str] | Mapping[str, str],
    *,
    paper: Mapping[str, Mapping[str, float]] | None = None,
    reference: str | Sequence[str] | None = None,
    compared: Sequence[str] | None = None,
    costs: Mapping[str, Mapping[str, float]] | None = None,
    absent: str = "one",
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Table:
    """Methods side by side: each metric with its interval, the published one beside it, and the paired difference.

    Beside the Dice or IoU of one label (or of the mean over labels) the table has Dice where present, found and false
    alarms, whether they are asked for or not; metrics of several labels have them in a table below, a line per method
    and label. A value that is high because a label was never marked is not ranked.

    Args:
        title: of the table.
        rows: method -> counts of its test images.
        metrics: names of `metrics.entries` ("pixel/dice", "pixel/dice_pooled/cup", "image/auc/grade"), or heading ->
            name. One that a method does not have is a dash. "image/auc/grade/*" gives every answer of the question a
            line of its own. The level may be left out where that leaves one metric.
        paper: method -> metric ("image/auc/grade/2" of a line of its own), or heading -> published value; methods that
            were not run get a row too.
        reference: method that the others are compared with, on the same draws of the same images; each of several
            references has its own columns.
        compared: metrics, as called in ``metrics``, whose differences are shown; None = all.
        costs: heading -> method -> value; less is better.
        absent: what an image free of a label scores.
        repeats: bootstrap draws.
        level: of the intervals.
        seed: of the draws.

    Raises:
        ValueError: a reference is not in ``rows``; a metric, or a published one, is unknown or lacks its level; or a
            method has no image in common with a reference.
    """
    references = [reference] if isinstance(reference, str) else list(reference or ())
    if strange := [name for name in references if name not in rows]:
        raise ValueError(f"reference must be one of the rows {list(rows)}, got {strange[0]!r}")
    asked = {name: _full(name, rows) for name in (metrics.values() if isinstance(metrics, Mapping) else metrics)}
    headings = {h: asked[n] for h, n in metrics.items()} if isinstance(metrics, Mapping) else {}
    headings = headings or {_heading(name): name for name in asked.values()}
    called = dict(zip(metrics, headings, strict=True))
    answers = _answers(headings.values(), rows)
    names = list(dict.fromkeys(name.replace("*", a) for name in headings.values() for a in answers))
    parts = found.parts(names)
    labels = found.labels_of(parts, rows) if len(parts) > 1 else []
    beside = [f"{kind}{part}" for part in (*parts, *(f"/{label}" for label in labels)) for kind in found.DICE]
    statistic = partial(measure, names=list(dict.fromkeys([*names, *beside])), absent=absent)
    ours = {m: interval(statistic, c, repeats=repeats, level=level, seed=seed) for m, c in rows.items()}
    if lost := [n for n in names if rows and not any(n in values for values in ours.values())]:
        raise ValueError(
            f"metrics={lost} are of labels or questions that no row has; `foveate list metrics` lists the metrics"
        )
    gaps = {
        name: {
            m: difference(statistic, *_in_common(m, c, rows[name]), repeats=repeats, level=level, seed=seed)
            for m, c in rows.items()
            if m != name
        }
        for name in references
    }
    costs = costs or {}
    printed = _published(paper or {}, {**called, **{h: h for h in costs}}, headings, names, rows)
    shown = set(called) if compared is None else set(compared)

    columns: list[tuple[Column, Callable[[str, str], Cell]]] = []
    columns.append((Column("method"), lambda m, a: m if a == answers[0] else ""))
    if answers != [""]:
        columns.append((Column("class"), lambda _, a: a))
    measured: dict[int, str] = {}  # column -> metric of ours

    def add(column: Column, values: Mapping[str, Mapping[str, Cell]], name: str, missing: Cell = None) -> None:
        """Add a column of one metric; a metric without an answer is on the method's first line only."""

        def cell(method: str, answer: str) -> Cell:
            if "*" not in name and answer != answers[0]:
                return None
            return values[method].get(name.replace("*", answer), missing) if method in values else None

        columns.append((column, cell))

    for metric, head in called.items():
        name = headings[head]
        better = _better(name)
        measured[len(columns)] = name
        add(Column(head, better), ours, name, missing=np.nan)
        if any(name.replace("*", a) in values for values in printed.values() for a in answers):
            add(Column(f"{head}, paper", better), printed, name)
        for against, gap in gaps.items() if metric in shown else ():
            add(Column(f"Δ {head}" + f" (minus {against})" * (len(gaps) > 1)), gap, name)
        if len(parts) == 1 and name == found.first(names, parts[0]):
            for more, kind, cells in found.columns(parts[0], rows, ours, asked=names, absent=absent):
                measured[len(columns)] = kind
                add(Column(more, _better(kind)), cells, kind, missing=np.nan)
    for head, values in costs.items():
        add(Column(head, min, digits=2), {m: {head: v} for m, v in values.items()}, head)
        if any(head in values for values in printed.values()):
            add(Column(f"{head}, paper", min, digits=2), printed, head)
    keys = [(m, a) for m in dict.fromkeys([*rows, *printed]) for a in answers]
    lines = [tuple(cell(m, a) for _, cell in columns) for m, a in keys]
    unranked = frozenset(
        (i, column)
        for i, (m, _) in enumerate(keys)
        for column, name in measured.items()
        if m in rows and found.flattered(name, rows[m], absent=absent)
    )
    note = _notes(rows, ours, references=references, absent=absent, repeats=repeats, level=level)
    if printed:
        note.append(
            "Paper: as published, on the authors' own images and split; an empty cell was not published or not run."
        )
    if len(parts) == 1:
        note.append(found.FOUND + f" {found.SUMMED}" * (parts[0] == ""))
    if unranked:
        note.append(
            "Not marked as best: a method that never marks a label that images have (of a mean: one of its labels)."
        )
    under = found.below(title, rows, labels=labels, found=ours, absent=absent) if labels else None
    return Table(title, tuple(column for column, _ in columns), tuple(lines), tuple(note), unranked, under)


def _better(name: str) -> Callable[[Iterable[float]], float] | None:
    """The function that picks the best value of a column; None for a spread, or a metric without a better end."""
    metric = listing.entry(name)
    if metric is None or metric.name != "/".join(name.split("/")[:2]):
        return None
    return {"lower": min, "higher": max}.get(metric.better)


def _full(name: str, rows: Mapping[str, Counts]) -> str:
    """A metric's name with its level, as the labels and questions of the methods decide it.

    Raises:
        ValueError: there is no such metric, or several without a level.
    """
    labels = {label for counts in rows.values() for label in counts.schema.labels}
    return listing.full(name, labels=labels, questions={q.name for c in rows.values() for q in c.schema.questions})


def _in_common(method: str, counts: Counts, reference: Counts) -> tuple[Counts, Counts]:
    """Both counts, reduced to their common images: with partial labels each method counts the images known to it.

    Raises:
        ValueError: there is no common image.
    """
    there = set(reference.images)
    both = [image for image in counts.images if image in there]
    if not both:
        raise ValueError(f"{method}: no image in common with the reference; evaluate both with the same manifest")
    return counts.take(both), reference.take(both)


def _heading(name: str) -> str:
    """A metric in words; "image/auc/grade/*" is "AUC, each grade"."""
    metric, star, _ = name.partition("/*")
    kind, _, question = metric.rpartition("/")
    return f"{heading(kind)}, each {question}" if star else heading(metric)


def _answers(names: Iterable[str], rows: Mapping[str, Counts]) -> list[str]:
    """Answers that get a line each; one empty name if no metric asks for them."""
    asked = {name.split("/")[-2] for name in names if name.endswith("/*")}
    if len(asked) > 1:
        raise ValueError(f"metrics: the answers of {sorted(asked)} cannot share a table; take one question")
    known = {q.name: q.answers for counts in rows.values() for q in counts.schema.questions}
    return [a for question in asked for a in known.get(question, ())] or [""]


def measured(metrics: Iterable[str], rows: Mapping[str, Counts], *, absent: str = "one") -> tuple[str, ...]:
    """Metrics that at least one method has: the table shows only these while some rows are not trained yet.

    Args:
        metrics: as for `comparison`.
        rows: method -> counts of its test images.
        absent: as for `comparison`.
    """
    full = {name: _full(name, rows) for name in metrics}
    answers = _answers(full.values(), rows)
    names = [name.replace("*", answer) for name in full.values() for answer in answers]
    there: set[str] = set()
    for counts in rows.values():
        there |= set(measure(counts, np.ones((1, len(counts.images))), names=names, absent=absent))
    return tuple(n for n, name in full.items() if any(name.replace("*", answer) in there for answer in answers))


def _published(
    paper: Mapping[str, Mapping[str, float]],
    called: Mapping[str, str],
    headings: Mapping[str, str],
    names: Sequence[str],
    rows: Mapping[str, Counts],
) -> dict[str, dict[str, float]]:
    """Method -> name of a metric, or heading of a cost -> value; metrics may be called by their heading too."""
    known = {metric: headings.get(head, head) for metric, head in called.items()}
    known |= {**headings, **{name: name for name in names}}
    given = {name for values in paper.values() for name in values}
    for name in given - set(known):
        if (metric := _full(name, rows)) in names:
            known[name] = metric
    if strange := given - set(known):
        raise ValueError(f"paper: metrics must be of {list(called)}, got {sorted(strange)}")
    return {method: {known[name]: float(value) for name, value in values.items()} for method, values in paper.items()}


def _notes(
    rows: Mapping[str, Counts],
    ours: Mapping[str, Mapping[str, Estimate]],
    *,
    references: Sequence[str],
    absent: str,
    repeats: int,
    level: float,
) -> list[str]:
    if not rows:
        return ["No method was run."]
    note = [f"Warning: {line}" for line in found.warnings(rows)]
    note.append(
        "Scores of masks are means over images unless called pooled; without a label's name, means over the labels. "
        + KNOWN
    )
    note.append(said_of_absent(absent))
    spread = {said_of_draws(c, (), repeats=repeats, level=level): m for m, c in rows.items()}
    if len(spread) == 1:
        every = [e for estimates in ours.values() for e in estimates.values()]
        note.append(said_of_draws(next(iter(rows.values())), every, repeats=repeats, level=level))
    else:
        note += [f"{m}: {said_of_draws(c, ours[m].values(), repeats=repeats, level=level)}" for m, c in rows.items()]
    if references:
        note.append(
            f"Δ: minus {' or '.join(references)}, paired: the same draws of the images that both count; no correction "
            "for several comparisons."
        )
    return note
