"""The nouns of a comparison: a Study holds tables, a table holds rows, a row is a Recipe."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from foveate.engine.recipe import Recipe


@dataclass(frozen=True)
class StudyTable(Mapping[str, Recipe]):
    """One table: row name -> recipe, and which figures it shows.

    Args:
        rows: in the order of the table.
        figures: columns, names of `metrics.summary` ("f1/quality", "dice", ...).
        paper: row -> figure -> the value printed in the paper, as fractions.
        reference: row that the others are held against, image by image; None = no differences.
        note: what a reader of the table must know.
    """

    rows: Mapping[str, Recipe]
    figures: tuple[str, ...]
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reference: str | None = None
    note: str = ""

    def __getitem__(self, name: str) -> Recipe:
        if name not in self.rows:
            raise ValueError(f"row {name!r} is none of {list(self.rows)}")
        return self.rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Study(Mapping[str, StudyTable]):
    """A paper's comparisons: table name -> table."""

    name: str
    tables: Mapping[str, StudyTable]

    def __getitem__(self, name: str) -> StudyTable:
        if name not in self.tables:
            raise ValueError(f"study {self.name!r}: table {name!r} is none of {list(self.tables)}")
        return self.tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)


def run_name(row: str, recipe: Recipe) -> str:
    """Folder of a row's runs; rows of several tables with the same recipe share it."""
    mark = hashlib.sha256(str(recipe).encode()).hexdigest()[:6]
    return f"{re.sub(r'[^a-z0-9]+', '-', row.lower()).strip('-')}-{mark}"
