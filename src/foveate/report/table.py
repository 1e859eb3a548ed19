"""A table of metrics with intervals, as text, CSV, LaTeX, HTML and Markdown."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from markupsafe import Markup, escape

from foveate.metrics.interval import Estimate
from foveate.report.table_cells import UNDEFINED, Cell, Share, joined, number, pipe, say, span, tex

WHY = "no image counts for it (no image has the label or answer, or none was marked) or all images have the same one"
"""Why a metric may be undefined."""


@dataclass(frozen=True)
class Column:
    """A column's name, which of its values is the best (``max``, ``min``; None = none), and its digits."""

    name: str
    better: Callable[[Sequence[float]], float] | None = None
    digits: int = 3

    @property
    def heading(self) -> str:
        """The name with an arrow to the better side."""
        arrow = " ↑" if self.better is max else " ↓" if self.better is min else ""
        return self.name + arrow


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns, and the notes without which they cannot be read.

    The best value of a column (equal at the printed digits: all of them) is marked: ``*`` in text, bold elsewhere.

    Args:
        title: one line.
        columns: the first is the row's name.
        rows: one cell a column.
        note: lines below the table.
        unranked: cells, as (row, column), that are not marked as the best whatever their value.
        below: a table that belongs to this one and is written with it.

    Raises:
        ValueError: a row has more or fewer cells than there are columns.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: tuple[str, ...] = ()
    unranked: frozenset[tuple[int, int]] = frozenset()
    below: Table | None = None

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"row {row[:1]} has {len(row)} cells under {len(self.columns)} columns; give one a column"
                )

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes, and what a dash means if there is one in the table."""
        gaps = any(isinstance(v, (float, Estimate, Share)) and math.isnan(number(v)) for row in self.rows for v in row)
        return (*self.note, f"{UNDEFINED}: not defined, because {WHY}.") if gaps else self.note

    def best(self, column: int) -> frozenset[int]:
        """Rows that hold the best value of a column; none where it has no better side or fewer than two numbers."""
        wanted = self.columns[column]
        values = {
            i: round(v, wanted.digits)
            for i, row in enumerate(self.rows)
            if (i, column) not in self.unranked and not math.isnan(v := number(row[column]))
        }
        if wanted.better is None or len(values) < 2:
            return frozenset()
        top = wanted.better(list(values.values()))
        return frozenset(i for i, v in values.items() if v == top)

    def _cells(self, write: Callable[[str, str, bool], str]) -> list[list[str]]:
        """Every cell as ``write(value, range, whether it is the best)``."""
        top = [self.best(i) for i in range(len(self.columns))]
        return [
            [
                write(say(cell, digits=c.digits), span(cell, digits=c.digits), r in top[i])
                for i, (cell, c) in enumerate(zip(row, self.columns, strict=True))
            ]
            for r, row in enumerate(self.rows)
        ]

    def _numeric(self) -> list[bool]:
        return [all(not isinstance(row[i], str) for row in self.rows) for i in range(len(self.columns))]

    def __str__(self) -> str:
        """Aligned text; the interval is below its value, so that a row fits on a screen."""
        right = self._numeric()
        heads = [
            [h + " " * r for h in textwrap.wrap(c.heading, 14) or [""]]
            for c, r in zip(self.columns, right, strict=True)
        ]
        head = list(zip_longest(*([""] * (max(map(len, heads)) - len(h)) + h for h in heads)))
        values = self._cells(lambda value, _, top: value + ("*" if top else " "))
        ranges = self._cells(lambda _, between, __: between + " ")
        wide = [max(map(len, column)) for column in zip(*head, *values, *ranges, strict=True)]

        def line(row: Sequence[str]) -> str:
            return "  ".join(w.rjust(n) if r else w.ljust(n) for w, n, r in zip(row, wide, right, strict=True)).rstrip()

        rule = "-" * (sum(wide) + 2 * len(wide) - 2)
        body = [line(part) for pair in zip(values, ranges, strict=True) for part in pair if "".join(part).strip()]
        marked = any(self.best(i) for i in range(len(wide)))
        note = [*self.notes, "* best of its column."] if marked else self.notes
        notes = [part for text in note for part in textwrap.wrap(text, max(len(rule), 72), subsequent_indent="  ")]
        text = "\n".join([self.title, rule, *map(line, head), rule, *body, rule, *notes])
        return text if self.below is None else f"{text}\n\n{self.below}"

    def csv(self) -> str:
        """All digits; undefined is empty. The table below is left out.

        A column with intervals becomes three ("Dice", "Dice low", "Dice high"), of shares two ("found", "found of").
        """
        kinds = [_endings([row[i] for row in self.rows]) for i in range(len(self.columns))]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([c.name + ending for c, endings in zip(self.columns, kinds, strict=True) for ending in endings])
        for row in self.rows:
            writer.writerow([part for cell, ends in zip(row, kinds, strict=True) for part in _parts(cell)[: len(ends)]])
        return stream.getvalue()

    def latex(self) -> str:
        """A ``table`` for the package booktabs, escaped; notes in small print below."""
        align = "".join("r" if numeric else "l" for numeric in self._numeric())
        body = self._cells(
            lambda value, between, top: (
                tex(joined(value, between)) if not top else rf"\textbf{{{tex(joined(value, between))}}}"
            )
        )
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{tex(self.title)}}}",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
        ]
        lines += [" & ".join(tex(c.heading) for c in self.columns) + r" \\", r"\midrule"]
        lines += [" & ".join(row) + r" \\" for row in body]
        lines += [r"\bottomrule", r"\end{tabular}"]
        if self.notes:
            lines.append(rf"\par\smallskip{{\footnotesize {' '.join(tex(n) for n in self.notes)}\par}}")
        return "\n".join([*lines, r"\end{table}", "", *([self.below.latex()] if self.below else [])])

    def html(self) -> Markup:
        """A ``<figure class="table">``, escaped, and one for the table below; style is the page's."""

        def write(value: str, between: str, top: bool) -> str:
            shown = escape(value) if not top else Markup("<strong>{}</strong>").format(value)
            return str(shown + Markup("<small>{}</small>").format(between) if between else shown)

        kinds = ["number" if numeric else "word" for numeric in self._numeric()]

        def cells(tag: str, row: Sequence[str]) -> str:
            return "".join(f'<{tag} class="{kind}">{w}</{tag}>' for w, kind in zip(row, kinds, strict=True))

        head = cells("th", [str(escape(c.heading)) for c in self.columns])
        lines = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in self._cells(write))
        note = "".join(f"<p>{escape(n)}</p>" for n in self.notes)
        return Markup(
            f'<figure class="table"><figcaption>{escape(self.title)}</figcaption><div class="scroll"><table>'
            f"<thead><tr>{head}</tr></thead><tbody>\n{lines}</tbody></table></div>"
            f'<div class="note">{note}</div></figure>'
        ) + (self.below.html() if self.below else "")

    def _repr_html_(self) -> str:
        """In a notebook a table shows itself."""
        return str(self.html())

    def markdown(self) -> str:
        """A pipe table under its title, notes below."""

        def line(row: Sequence[str]) -> str:
            return "| " + " | ".join(row) + " |"

        rule = line(["---:" if numeric else "---" for numeric in self._numeric()])
        body = self._cells(
            lambda value, between, top: f"**{joined(pipe(value), between)}**" if top else joined(pipe(value), between)
        )
        head = line([pipe(c.heading) for c in self.columns])
        below = [self.below.markdown()] if self.below else []
        return "\n".join(
            [
                f"**{pipe(self.title)}**",
                "",
                head,
                rule,
                *map(line, body),
                "",
                *(f"{n}  " for n in self.notes),
                "",
                *below,
            ]
        )

    def write(self, folder: str | Path, name: str) -> tuple[Path, ...]:
        """Write ``name.txt``, ``name.csv`` and ``name.tex``; returns their paths.

        The table below is in the first and the last, and is ``name_below.csv``.

        Args:
            folder: made if it is not there.
            name: file name without its ending.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        texts = {"txt": f"{self}\n", "csv": self.csv(), "tex": self.latex()}
        paths = []
        for ending, text in texts.items():
            paths.append(place / f"{name}.{ending}")
            paths[-1].write_text(text, encoding="utf-8")
        if self.below is not None:
            paths.append(place / f"{name}_below.csv")
            paths[-1].write_text(self.below.csv(), encoding="utf-8")
        return tuple(paths)


def _endings(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Endings of the names of the CSV columns that a column becomes."""
    if any(isinstance(cell, Estimate) for cell in cells):
        return ("", " low", " high")
    return ("", " of") if any(isinstance(cell, Share) for cell in cells) else ("",)


def _parts(cell: Cell) -> list[object]:
    """A cell in these columns."""
    if isinstance(cell, Share):
        return [cell.count, cell.of, None]
    parts = [cell.value, cell.low, cell.high] if isinstance(cell, Estimate) else [cell, None, None]
    return ["" if p is None or (isinstance(p, float) and math.isnan(p)) else p for p in parts]
