"""Tables of the page: a row per method, columns per label and question; differences from the best peer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from foveate.core.labels import LabelSchema
from foveate.metrics.counts import Counts
from peers.intervals import Value, differences, replicates, values


class Column(NamedTuple):
    """One column: the metric, of which label or question, by whose masks; ``of`` names the metric it is a part of."""

    title: str
    metric: str
    truth: str
    of: str = ""


@dataclass(frozen=True)
class Row:
    """One method on one data set.

    Args:
        name: of the method.
        runs: its folds and seeds, in words.
        cells: truth -> (fold, seed) -> counts.
    """

    name: str
    runs: str
    cells: Mapping[str, Mapping[tuple[int, int], Counts]]

    @cached_property
    def replicates(self) -> dict[str, list[Counts]]:
        """Truth -> counts of all folds, once per seed."""
        return {truth: replicates(cells) for truth, cells in self.cells.items()}

    @cached_property
    def values(self) -> dict[str, dict[str, Value]]:
        """Truth -> metric -> value with interval."""
        return {truth: values(runs) for truth, runs in self.replicates.items()}

    @property
    def images(self) -> tuple[str, ...]:
        """Images that it was tested on."""
        return tuple(sorted(next(iter(self.replicates.values()))[0].images))

    def has(self, column: Column) -> bool:
        """Whether the method marks that label, or answers that question."""
        return column.metric in self.values[column.truth]


def columns(schema: LabelSchema, truths: Sequence[str], rows: Sequence[Row]) -> list[Column]:
    """The columns of a data set that some row has; those of images free of a label are left out if there are none."""
    found = []
    for label in schema.labels:
        for truth in truths:
            by = f", by {truth}" if len(truths) > 1 else ""
            told = [row.values[truth] for row in rows if f"bear/{label}" in row.values[truth]]
            if not told:  # nobody marks it, or that annotator did not draw it
                continue
            free = any(one[f"free/{label}"].value > 0 for one in told)
            found.append(Column(f"{label}{by}: Dice where present", f"present/{label}", truth))
            found += [Column(f"{label}{by}: Dice, all", f"all/{label}", truth)] if free else []
            found.append(Column(f"{label}{by}: found", f"found/{label}", truth, f"bear/{label}"))
            found += [Column(f"{label}{by}: false alarms", f"alarms/{label}", truth, f"free/{label}")] if free else []
    for question in schema.questions:
        if not any(f"auc/{question.name}" in row.values[truths[0]] for row in rows):
            continue
        found.append(Column(f"{question.name}: AUROC", f"auc/{question.name}", truths[0]))
        found.append(Column(f"{question.name}: AP", f"ap/{question.name}", truths[0]))
    return found


def main_table(
    schema: LabelSchema, truths: Sequence[str], rows: Sequence[Row], people: Mapping[str, Mapping[str, Counts]]
) -> str:
    """A row per method, then a row per annotator judged by the other.

    The highest value of a column is bold if all rows are of the same images.
    """
    asked = columns(schema, truths, rows)
    level = len({row.images for row in rows}) == 1 and len(rows) > 1
    lines = [["method", "fold/seed", "images", *(column.title for column in asked)]]
    for row in rows:
        cells = [_cell(row, column, bold=level and _best(column, rows) is row) for column in asked]
        lines.append([row.name, row.runs, str(len(row.images)), *cells])
    for name, judged in people.items():
        of = {truth: values([counts]) for truth, counts in judged.items()}
        cells = ["" if c.truth not in of or c.metric not in of[c.truth] else _text(of[c.truth], c) for c in asked]
        lines.append([f"annotator {name}", "", str(len(next(iter(judged.values())))), *cells])
    return markdown(lines)


def difference_table(
    schema: LabelSchema, truths: Sequence[str], rows: Sequence[Row], *, compare: str, peers: Sequence[str]
) -> str:
    """One method minus the best peer, column by column, on the images that both were tested on."""
    ours = next((row for row in rows if row.name == compare), None)
    theirs = [row for row in rows if row.name in peers]
    if ours is None or not theirs:
        return f"No differences yet: `{compare}` and a peer must have run."
    found = {(row.name, truth): differences(ours.replicates[truth], row.replicates[truth])
             for row in theirs for truth in truths}  # fmt: skip
    lines = [["column", "best peer", f"{compare} minus best peer"]]
    for column in columns(schema, truths, rows):
        if column.of:
            continue
        told = {row.name: found[row.name, column.truth].get(column.metric) for row in theirs}
        defined = {name: one for name, one in told.items() if one is not None and not math.isnan(one.value)}
        if defined:
            best = min(defined, key=lambda name: defined[name].value)
            lines.append([column.title, best, shown(defined[best], signed=True)])
    return markdown(lines) if len(lines) > 1 else ""


def shown(given: Value, *, signed: bool = False) -> str:
    """A value and its interval as they stand in a table."""
    if math.isnan(given.value):
        return "undefined"
    text = f"{given.value:+.3f}" if signed else f"{given.value:.3f}"
    if math.isnan(given.low):
        return text.replace("-", "−")
    between = f"{given.low:.3f} to {given.high:.3f}" if signed else f"{given.low:.3f}–{given.high:.3f}"
    return f"{text} ({between})".replace("-", "−")


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first line being its heading."""
    head, *rest = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rest])


def _cell(row: Row, column: Column, *, bold: bool) -> str:
    if not row.has(column):
        return ""
    text = _text(row.values[column.truth], column)
    return f"**{text}**" if bold else text


def _text(told: Mapping[str, Value], column: Column) -> str:
    if column.of:
        return f"{_number(told[column.metric].value)} of {_number(told[column.of].value)}"
    return shown(told[column.metric])


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def _best(column: Column, rows: Sequence[Row]) -> Row | None:
    """The row with the highest value of a column; None for counts."""
    told = [(row.values[column.truth][column.metric].value, row) for row in rows if row.has(column)]
    defined = [(value, row) for value, row in told if not math.isnan(value)]
    return max(defined, key=lambda pair: pair[0])[1] if defined and not column.of else None
