"""Choose rows of a manifest: by columns and answers, by lists of names, by number."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data.manifest import COLUMNS, Manifest

UNKNOWN = "unknown"
"""Value of a column or question for which a row has none."""


@dataclass(frozen=True)
class Condition:
    """One demand on a row: its value is one of some values, or is not.

    Args:
        name: a column of the manifest (``source``, ``patient``, ``split``, ...) or a question.
        values: as text; "unknown" means that the row has none.
        among: whether the value must be one of them; False = it must not be.
    """

    name: str
    values: frozenset[str]
    among: bool = True

    def fits(self, row: Row, schema: LabelSchema) -> bool:
        """Check one row."""
        return (value_of(row, self.name, schema) in self.values) == self.among


def choose(
    manifest: Manifest, *, conditions: Collection[Condition] = (), number: int | None = None, seed: int = 0
) -> Manifest:
    """Return the manifest with the rows that meet all conditions, in their order.

    Args:
        manifest: of which rows are chosen.
        conditions: all must hold.
        number: so many of them, drawn at random; None = all.
        seed: of the draw.

    Raises:
        ValueError: a name that the manifest does not have, an answer that its question does not have, no row is left,
            or there are fewer rows than ``number``.
    """
    for one in conditions:
        check_name(one, manifest.schema)
    rows = [row for row in manifest if all(one.fits(row, manifest.schema) for one in conditions)]
    if not rows:
        raise ValueError(f"no row of {len(manifest)} meets all conditions: {'; '.join(map(described, conditions))}")
    if number is not None:
        if not 1 <= number <= len(rows):
            raise ValueError(f"number must be from 1 to {len(rows)}, the rows that meet the conditions; got {number}")
        drawn = np.random.default_rng(seed).choice(len(rows), number, replace=False)
        rows = [rows[at] for at in sorted(drawn.tolist())]
    return manifest.with_rows(rows)


def value_of(row: Row, name: str, schema: LabelSchema) -> str:
    """Return a column or an answer of a row as text; "unknown" if it has none."""
    questions = [q.name for q in schema.questions]
    value = row.answers.get(name) if name in questions else getattr(row, name)
    return UNKNOWN if value is None else str(value)


def check_name(condition: Condition, schema: LabelSchema) -> None:
    """Raise ValueError if a condition names what the manifest does not have."""
    answers = {q.name: q.answers for q in schema.questions}
    if condition.name not in answers and condition.name not in COLUMNS:
        raise ValueError(f"name must be one of the columns {list(COLUMNS)} or questions {list(answers)}, "
                         f"got {condition.name!r}")  # fmt: skip
    if condition.name in answers and (odd := sorted(condition.values - {*answers[condition.name], UNKNOWN})):
        given = answers[condition.name]
        raise ValueError(f"{condition.name}: the answer must be one of {[*given, UNKNOWN]}, got {odd[0]!r}")


def described(condition: Condition) -> str:
    """Describe a condition in a few words."""
    shown = sorted(condition.values)
    values = ", ".join(shown[:5]) + (f", ... ({len(shown)})" if len(shown) > 5 else "")
    return f"{condition.name} {'is' if condition.among else 'is not'} {values}"


def condition_of(text: str) -> Condition:
    """Parse ``NAME=VALUE,VALUE`` or ``NAME!=VALUE,VALUE``.

    >>> condition_of("diagnosis!=DME,DRUSEN").among
    False
    """
    name, mark, values = text.partition("=")
    if not mark or not name.rstrip("!").strip() or not values:
        raise ValueError(f"{text!r}: write NAME=VALUE, NAME=VALUE,VALUE or NAME!=VALUE")
    chosen = frozenset(value.strip() for value in values.split(","))
    return Condition(name.rstrip("!").strip(), chosen, among=not name.endswith("!"))


def listed(text: str, *, among: bool) -> Condition:
    """Read ``NAME=FILE``: the values are the lines of a text file, or those that another manifest has in this column.

    Args:
        text: such as ``patient=lesions.jsonl`` or ``id=chosen.txt``.
        among: as of `Condition`.

    Raises:
        ValueError: the text has another form, or the file has no values.
    """
    name, mark, file = text.partition("=")
    if not mark or not name or not file:
        raise ValueError(f"{text!r}: write NAME=FILE, a text file with one value per line or a manifest (.jsonl)")
    values = _values(Path(file), name)
    if not values:
        raise ValueError(f"{file}: it has no value of {name!r}, so nothing can be chosen by it")
    return Condition(name, values, among=among)


def _values(path: Path, name: str) -> frozenset[str]:
    if path.suffix != ".jsonl":
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        return frozenset(line.strip() for line in lines if line.strip())
    other = Manifest.read(path)
    check_name(Condition(name, frozenset()), other.schema)
    return frozenset(value_of(row, name, other.schema) for row in other) - {UNKNOWN}


def numbers(manifest: Manifest, questions: Collection[str]) -> Mapping[str, int]:
    """Count the rows of each answer to some questions, such as ``{"fluid yes": 680}``."""
    out: dict[str, int] = {}
    for name in questions:
        for row in manifest:
            key = f"{name} {value_of(row, name, manifest.schema)}"
            out[key] = out.get(key, 0) + 1
    return out
