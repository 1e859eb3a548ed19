"""One metric = one entry: its name, title, direction and function. Tables, logs, selection, CSV and help follow."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVELS = {
    "pixel": "of the pixels of a label",
    "lesion": "of single lesions of a label",
    "image": "of whole images: answers, and labels as present or absent",
    "map": "of activation maps against cues and masks",
}
"""Level -> the things that are counted; the first part of a metric's name."""

OF = ("label", "question", "finding", "lesions")
"""Which part of the counts the function of a metric gets."""

BETTER = ("higher", "lower", "neither")
LOGGED = ("whole", "answers", "never")


@dataclass(frozen=True)
class Metric:
    """An entry of `metrics/entries`.

    Args:
        name: level and name, "pixel/dice"; a label, question or answer follows ("pixel/dice/cup").
        title: heading of its column.
        function: the part of the counts that ``of`` names (`metrics.parts`) -> ``(r,)`` values, one per weighting; of a
            question also ``(r, k)``, one per answer against the rest, or None (the question has no such metric). With
            ``per_image`` one value ``(m,)`` per image, nan where it is undefined. Its docstring holds an example.
        of: "label", "question", "finding" (a question with activation maps) or "lesions" (of a label and a size).
        better: "higher", "lower" or "neither".
        per_image: the values are averaged over images, and ``NAME_std`` is their spread.
        absent: policy for images free of the label that it always has (`segmentation.ABSENT`); None = the caller's.
        marked: undefined if no image was given the label, whatever the policy.
        silent: a label that is never marked raises it (specificity, for example), so that it ranks no such method.
        whole: of ``(r, k)`` the value of the question; None = that of "yes", or the mean over answers.
        columns: of ``counts.csv`` that it needs besides the usual ones; without them it is left out of logs.
        logged: in logs and ``metrics.json`` ("whole"; "answers" = only answer by answer), or "never".
        table: it has a column in the report's table of its labels or questions.
        short: the name without a level, as in files of earlier versions; "" = the part of the name behind the level.

    Raises:
        ValueError: the name has no level, or an argument is not one of its values.
    """

    name: str
    title: str
    function: Callable[[Any], Any]
    of: str = "label"
    better: str = "higher"
    per_image: bool = False
    absent: str | None = None
    marked: bool = False
    silent: bool = False
    whole: Callable[[Any], np.ndarray] | None = None
    columns: tuple[str, ...] = ()
    logged: str = "whole"
    table: bool = True
    short: str = ""

    def __post_init__(self) -> None:
        if self.level not in LEVELS or self.name.count("/") != 1:
            raise ValueError(f"name={self.name!r} must be LEVEL/NAME with a level of {list(LEVELS)}")
        for argument, values in (("of", OF), ("better", BETTER), ("logged", LOGGED)):
            if (value := getattr(self, argument)) not in values:
                raise ValueError(f"{self.name}: {argument} must be one of {list(values)}, got {value!r}")
        if not self.short:
            object.__setattr__(self, "short", self.name.partition("/")[2])

    @property
    def level(self) -> str:
        """The level that the name states."""
        return self.name.partition("/")[0]

    @property
    def line(self) -> str:
        """One line for a list: the title, and the first line of the function's documentation."""
        return f"{self.title}: {(inspect.getdoc(self.function) or '').partition(chr(10))[0]}"

    def __call__(self, part: Any) -> Any:
        """The values of a part; an error names the metric."""
        try:
            return self.function(part)
        except ValueError as error:
            raise ValueError(f"metric {self.name!r}: {error}") from None
