"""The values of a table's cells, and their text."""

from __future__ import annotations

import math
from dataclasses import dataclass

from foveate.metrics.interval import Estimate


@dataclass(frozen=True)
class Share:
    """A number of images out of all images of a kind: "18 of 25"; undefined if no image is of that kind."""

    count: int
    of: int


Cell = str | int | float | Estimate | Share | None
"""Words, a number, a number with its interval, a share, or nothing."""

UNDEFINED = "—"
LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "—": "---",
    "−": "$-$",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "κ": r"$\kappa$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def number(cell: Cell) -> float:
    """The value of a cell; nan for words and for nothing."""
    if isinstance(cell, Estimate):
        return float(cell.value)
    if isinstance(cell, Share):
        return cell.count / cell.of if cell.of else math.nan
    return float(cell) if isinstance(cell, (int, float)) else math.nan


def say(cell: Cell, *, digits: int) -> str:
    """A cell without its interval; a dash if the metric is not defined, empty for None."""
    if cell is None:
        return ""
    if isinstance(cell, (str, int)):
        return str(cell)
    if isinstance(cell, Share) and cell.of:
        return f"{cell.count} of {cell.of}"
    return UNDEFINED if math.isnan(value := number(cell)) else f"{value:.{digits}f}"


def span(cell: Cell, *, digits: int) -> str:
    """The interval of a cell: "0.870–0.944", with "to" where it reaches below 0; empty where there is none."""
    if not isinstance(cell, Estimate) or math.isnan(cell.low) or math.isnan(cell.value):
        return ""
    return f"{cell.low:.{digits}f}{' to ' if cell.low < 0 else '–'}{cell.high:.{digits}f}"


def joined(value: str, between: str) -> str:
    """Value and interval on one line."""
    return f"{value} ({between})" if between else value


def tex(text: str) -> str:
    """Text with what means something to LaTeX escaped."""
    return "".join(LATEX.get(sign, sign) for sign in text)


def pipe(text: str) -> str:
    """Text with what means something in a Markdown table escaped."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")
