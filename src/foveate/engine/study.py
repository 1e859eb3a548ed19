"""The nouns of a comparison: a Study holds tables, a table holds rows, a row is a Recipe."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from foveate.engine.recipe import Recipe

COSTS = {
    "size": "MiB",
    "training": "training, min",
    "test": "test, ms",
    "operations": "GMAC",
    "memory": "memory, MiB",
}
"""Costs of a row: float32 parameters, time of training, time to read one image, multiply-adds of one
image, and the largest memory of its tensors while it is read."""


@dataclass(frozen=True)
class StudyTable(Mapping[str, Recipe]):
    """One table: row name -> recipe, and which metrics it shows.

    Args:
        rows: in the order of the table.
        metrics: columns, names of `metrics.summary` ("f1/quality", "dice", ...).
        paper: row -> metric or cost -> the value printed in the paper (metrics as fractions, costs in our units).
        reference: row that the others are compared with, image by image, or several; None = no differences.
        compared: metrics whose differences are shown; None = all.
        absent: what an image free of a label scores here, a name of `metrics.segmentation.ABSENT`.
        costs: columns of what a row costs, names of `COSTS`.
        stages: first and behind the last of the row's stages that the costs are of; (0, 1) is a cascade's classifier
            alone, (-1, None) its segmenter.
        note: shown below the table.
    """

    rows: Mapping[str, Recipe]
    metrics: tuple[str, ...]
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reference: str | tuple[str, ...] | None = None
    note: str = ""
    compared: tuple[str, ...] | None = None
    absent: str = "one"
    costs: tuple[str, ...] = ()
    stages: tuple[int | None, int | None] = (None, None)

    def __post_init__(self) -> None:
        if strange := set(self.costs) - set(COSTS):
            raise ValueError(f"costs must be some of {list(COSTS)}, got {sorted(strange)}")

    @property
    def references(self) -> tuple[str, ...]:
        """Rows that the others are compared with."""
        return (self.reference,) if isinstance(self.reference, str) else self.reference or ()

    def only(self, rows: Collection[str]) -> StudyTable:
        """The table with some of its rows, in its own order; without a reference of its there are no differences."""
        kept = {row: recipe for row, recipe in self.rows.items() if row in rows}
        return replace(
            self,
            rows=kept,
            paper={row: values for row, values in self.paper.items() if row in kept},
            reference=tuple(row for row in self.references if row in kept) or None,
        )

    def __getitem__(self, name: str) -> Recipe:
        if name not in self.rows:
            raise ValueError(f"row must be one of {list(self.rows)}, got {name!r}")
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
            raise ValueError(f"study {self.name!r}: table must be one of {list(self.tables)}, got {name!r}")
        return self.tables[name]

    def only(self, *, tables: Collection[str] | None = None, rows: Collection[str] | None = None) -> Study:
        """The study with some of its tables, and those with some of their rows; a table without any is left out.

        A table whose reference is not among them shows no differences.

        Args:
            tables: None = all.
            rows: names of rows, in whatever table they are; None = all.

        Raises:
            ValueError: no such table, or a row that is in none of them.
        """
        chosen = {title: self[title] for title in (self.tables if tables is None else tables)}
        if rows is None:
            return replace(self, tables=chosen)
        if strange := set(rows) - {row for table in chosen.values() for row in table}:
            raise ValueError(f"study {self.name!r}: rows={sorted(strange)} are in none of the tables {list(chosen)}")
        some = {title: table.only(rows) for title, table in chosen.items() if set(rows) & set(table)}
        return replace(self, tables=some)

    def runs(self, table: str) -> dict[str, str]:
        """Row -> folder of its runs; rows with the same recipe share one, named after the first of the study."""
        first: dict[str, str] = {}
        for rows in self.tables.values():
            for row, recipe in rows.items():
                first.setdefault(str(recipe), run_name(row, recipe))
        return {row: first[str(recipe)] for row, recipe in self[table].items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)


def run_name(row: str, recipe: Recipe) -> str:
    """Folder of a row's runs."""
    mark = hashlib.sha256(str(recipe).encode()).hexdigest()[:6]
    return f"{re.sub(r'[^a-z0-9]+', '-', row.lower()).strip('-')}-{mark}"
