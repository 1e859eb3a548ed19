"""A plan: each setting of a recipe with the reason for it and the measurement that the reason rests on."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

from foveate.core.files import read_json

FORMAT = 1
"""Of ``plan.json``; a file of a newer format is refused."""

FILE = "plan.json"
BY_USER = "set by the user"


class Decision(NamedTuple):
    """One setting.

    Args:
        name: keyword of the recipe, or the name of a fact that others rest on ("modality").
        value: plain JSON.
        reason: why.
        measured: the measurement it rests on; empty if there is none.
    """

    name: str
    value: Any
    reason: str
    measured: str = ""


@dataclass
class Deciding:
    """Decisions being made, in order; a later one may read the value of an earlier one (``deciding["size"]``).

    Args:
        asked: keyword -> value that the user has set; it wins over the rule.
        decisions: made so far.
        notes: what the user should read before training starts.
    """

    asked: Mapping[str, Any]
    decisions: dict[str, Decision] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> Any:
        return self.decisions[name].value

    def __contains__(self, name: str) -> bool:
        return name in self.decisions

    def get(self, name: str) -> Any:
        """The value of a decision; None if it has not been made."""
        return self.decisions[name].value if name in self.decisions else None

    def set(self, name: str, value: Any, reason: str, measured: str = "") -> Any:
        """Decide, again if need be; returns the value that holds, which is the user's if there is one."""
        if name in self.asked:
            value, reason, measured = self.asked[name], BY_USER, ""
        self.decisions[name] = Decision(name, value, reason, measured)
        return value

    def note(self, text: str) -> None:
        """Add a note once."""
        if text not in self.notes:
            self.notes.append(text)


@dataclass(frozen=True)
class Asked:
    """A user's wishes for a plan.

    Args:
        keywords: of the recipe; they win over the rules.
        recipe: its name.
        seconds: that training may take; None = the data decide.
        memory: MiB that training may take; None = half of what is free.
        device: that it will run on.
        progress: called with (done, of) as images are measured.
    """

    keywords: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = "auto"
    seconds: float | None = None
    memory: float | None = None
    device: str = "auto"
    progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True)
class Plan:
    """The decisions of a recipe and their reasons.

    Args:
        recipe: its name.
        decisions: in the order in which they were made.
        known: keywords of the recipe; the other decisions are facts.
        notes: what the user should read before training starts.
        survey: the measurements of the data, as plain JSON.
    """

    recipe: str
    decisions: tuple[Decision, ...]
    known: tuple[str, ...]
    notes: tuple[str, ...] = ()
    survey: Mapping[str, Any] = field(default_factory=dict)

    @property
    def keywords(self) -> dict[str, Any]:
        """The decisions that are keywords of the recipe."""
        return {d.name: d.value for d in self.decisions if d.name in self.known}

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Name, value, reason and measurement as text."""
        return [(d.name, _text(d.value), d.reason, d.measured) for d in self.decisions]

    def __str__(self) -> str:
        width = max((len(d.name) for d in self.decisions), default=0)
        lines = [f"plan of {self.recipe}"]
        for name, value, reason, measured in self.rows():
            lines.append(f"  {name:<{width}}  {value}")
            text = reason + (f" [{measured}]" if measured else "")
            indent = " " * (width + 6)
            lines.append(fill(text, 110, initial_indent=indent, subsequent_indent=indent))
        lines += [fill(f"note: {note}", 110, subsequent_indent="      ") for note in self.notes]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as ``plan.json`` holds it."""
        return {
            "format": FORMAT,
            "recipe": self.recipe,
            "known": list(self.known),
            "decisions": [d._asdict() for d in self.decisions],
            "notes": list(self.notes),
            "survey": dict(self.survey),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """Inverse of `to_json`.

        Raises:
            ValueError: a newer format, or not a plan.
        """
        if not isinstance(data.get("format"), int) or not 1 <= data["format"] <= FORMAT:
            raise ValueError(
                f"plan: format={data.get('format')!r}; this version reads 1 to {FORMAT}, update foveate to read it"
            )
        try:
            made = tuple(Decision(**one) for one in data["decisions"])
            return cls(data["recipe"], made, tuple(data["known"]), tuple(data["notes"]), data["survey"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"plan: damaged ({error}); make it again with `foveate fit --dry`") from None

    @classmethod
    def read(cls, folder: str | Path) -> Plan | None:
        """The plan kept in a run folder; None if the run has none.

        Raises:
            ValueError: ``plan.json`` is damaged or of a newer format.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            return None
        data = read_json(path)
        try:
            return cls.from_json(data)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def plan_rows(folder: str | Path) -> list[tuple[str, str, str, str]]:
    """Name, value, reason and measurement of each decision of a run, for tables; empty if the run has no plan.

    Args:
        folder: of the run.
    """
    plan = Plan.read(folder)
    return [] if plan is None else plan.rows()


def check_asked(asked: Mapping[str, Any], known: Collection[str], *, recipe: str) -> None:
    """ValueError if the user has set a keyword that the recipe does not know."""
    if strange := set(asked) - set(known):
        raise ValueError(f"recipe {recipe!r}: unknown keyword {sorted(strange)}; it knows {sorted(known)}")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
