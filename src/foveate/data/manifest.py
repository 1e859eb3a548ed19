"""Manifest: the images of a study and all that is known of them, as JSON lines.

The first line has the questions and labels, each further line is one image::

    {"foveate": 2, "schema": {"questions": [{"name": "fluid", "evidence": ["fluid"]}], "labels": ["fluid"], "exclusive": false}, "info": {}}
    {"id": "S01_00", "image": "images/S01_00.png", "answers": {"fluid": "yes"}, "masks": {"fluid": [{"path": "masks/S01_00.png", "bit": 0}]}}

Paths are relative to the manifest's folder. What a line does not name is unknown, never "no". A label that is known to
be absent from the whole image is written as ``"masks": {"fluid": "absent"}``.

Rough marks are ``cues``, answers of single annotators are ``readings``; positions are (row, col)::

    "cues": {"exudate": [{"regions": ["macula"], "annotator": "a"}, {"box": [10, 20, 40, 60], "annotator": "b"}]}
    "readings": {"a": {"exudate": "yes"}, "b": {"exudate": "yes"}, "c": {"exudate": "no"}}

A cue without a shape means that its annotator did not find the label; ``"absent"`` means the same for a single
annotator.
"""  # noqa: E501

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from foveate.core.files import write_file
from foveate.core.labels import LabelSchema
from foveate.core.notebook import summary
from foveate.core.types import MaskSource, Row
from foveate.data.lines import header_from_line, header_to_line, problem, row_from_line, row_to_line

COLUMNS = tuple(f.name for f in fields(Row) if f.name not in ("answers", "masks", "cues", "readings"))
"""What `Manifest.where` may ask for by name."""

WHOLE = 1 << 16  # bytes of a file that is hashed in one piece


@dataclass(frozen=True)
class Manifest:
    """Rows, the schema that explains them, and the folder their paths start from.

    Args:
        schema: what is asked of the images and marked in them.
        rows: one an image.
        root: folder that the rows' paths are relative to.
        path: the file it was read from or written to; None for one that was never on disk.
        info: what else is worth keeping (name, licence, citation, how it was split); plain JSON values.

    Raises:
        ValueError: an id is there twice, or a row has an answer or a label that the schema does not know.
    """

    schema: LabelSchema
    rows: tuple[Row, ...]
    root: Path
    path: Path | None = None
    info: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen = set()
        for row in self.rows:
            if row.id in seen:
                raise ValueError(f"rows: id {row.id!r} is there twice; every image needs an id of its own")
            seen.add(row.id)
            if wrong := problem(row, self.schema):
                raise ValueError(f"rows, image {row.id!r}: {wrong}")

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, position: int) -> Row:
        return self.rows[position]

    def _repr_html_(self) -> str:
        """In a notebook: how many images, splits, answers and marked labels there are."""
        pairs: list[tuple[str, object]] = [
            ("images", len(self)),
            ("patients or groups", len({row.group for row in self.rows})),
            ("splits", _counted(row.split or "none" for row in self.rows)),
        ]
        for question in self.schema.questions:
            given = _counted(str(row.answers[question.name]) for row in self.rows if question.name in row.answers)
            pairs.append((f"answers of {question.name}", given or "none known"))
        for label in self.schema.labels:
            pairs.append((f"images in which {label} is known", sum(label in row.masks for row in self.rows)))
        return summary(f"Manifest {self.info.get('name') or self.path or ''}".strip(), pairs)

    # -- file --------------------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | Path) -> Manifest:
        """The manifest in a file, every line checked.

        Raises:
            ValueError: a line is not as it should be; the message names file, line, value and remedy.
            FileNotFoundError: there is no such file.
        """
        path = Path(path)
        rows: list[Row] = []
        lines: dict[str, int] = {}
        schema: LabelSchema | None = None
        info: dict[str, Any] = {}
        for number, text in _lines(path):
            try:
                if schema is None:
                    schema, info = header_from_line(text)
                    continue
                row = row_from_line(text)
                if row.id in lines:
                    raise ValueError(f"id {row.id!r} is that of line {lines[row.id]} too; every image needs its own")
                if wrong := problem(row, schema):
                    raise ValueError(wrong)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            lines[row.id] = number
            rows.append(row)
        if schema is None:
            raise ValueError(
                f"{path} is empty; its first line must be " + '{"foveate": 2, "schema": {...}, "info": {}}'
            )
        return cls(schema, tuple(rows), path.parent, path, info)

    def write(self, path: str | Path) -> Manifest:
        """Write the manifest, whole or not at all; paths are rewritten relative to the file's folder.

        Returns:
            the manifest as `read` would give it back.

        Raises:
            ValueError: info holds what JSON cannot.
        """
        path = Path(path)
        moved = replace(self, rows=self._rows_from(path.parent), root=path.parent, path=path)
        try:
            text = "\n".join([header_to_line(self.schema, self.info), *map(row_to_line, moved.rows), ""])
        except TypeError as error:
            raise ValueError(
                f"info={dict(self.info)!r}: {error}; keep plain text, numbers, lists and tables in it"
            ) from None
        write_file(path, text)
        return moved

    def at(self, root: Path) -> Manifest:
        """The same manifest with paths that start from another folder."""
        return replace(self, rows=self._rows_from(root), root=root)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over schema and rows: the same in any folder, different if any ground truth or split differs.

        Paths count from the deepest folder that holds all the files.
        """
        base = os.path.realpath(self.root)
        folders = {os.path.dirname(os.path.normpath(os.path.join(base, p))) for row in self.rows for p in _paths(row)}
        rows = self._rows_from(Path(os.path.commonpath(folders))) if folders else ()
        text = "\n".join(
            [json.dumps(self.schema.to_json(), sort_keys=True), *(row_to_line(row, version=1) for row in rows)]
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def _rows_from(self, folder: Path) -> tuple[Row, ...]:
        """The rows with paths relative to another folder."""
        start, end = os.path.realpath(self.root), os.path.realpath(folder)
        if start == end and not any(path.startswith(("/", ".")) for row in self.rows for path in _paths(row)):
            return self.rows

        def move(path: str) -> str:
            return Path(os.path.relpath(os.path.join(start, path), end)).as_posix()

        def source(mask: MaskSource) -> MaskSource:
            return mask if mask.path is None else replace(mask, path=move(mask.path))

        return tuple(
            replace(row, image=move(row.image), masks={k: tuple(map(source, m)) for k, m in row.masks.items()})
            for row in self.rows
        )

    # -- part of it --------------------------------------------------------------------------------------------------

    def where(self, predicate: Callable[[Row], bool] | None = None, **columns: object) -> Manifest:
        """The rows for which the predicate holds and every named column has the value (or one of several).

        ``where(split="test")``, ``where(fold=(0, 1))``, ``where(lambda row: row.answers.get("fluid") == "yes")``.

        Raises:
            ValueError: a row has no such column.
        """
        if strange := sorted(set(columns) - set(COLUMNS)):
            raise ValueError(
                f"where({strange[0]}=...): rows have no such column; there are {list(COLUMNS)}, else a predicate"
            )

        def fits(row: Row) -> bool:
            for name, wanted in columns.items():
                several = isinstance(wanted, Container) and not isinstance(wanted, str)
                value = getattr(row, name)
                if value not in wanted if several else value != wanted:  # type: ignore[operator]
                    return False
            return predicate is None or predicate(row)

        return self.with_rows(row for row in self.rows if fits(row))

    def fold(self, k: int) -> Manifest:
        """Turn ``k`` of the cross-validation: fold k tests, the next one (cyclic) validates, the others train.

        Raises:
            ValueError: rows have no fold, or there are fewer than three, or no fold k.
        """
        if missing := [row.id for row in self.rows if row.fold is None]:
            raise ValueError(
                f"fold({k}): {len(missing)} of {len(self)} rows have no fold, like {missing[0]!r}; split with folds=5"
            )
        count = 1 + max((row.fold or 0 for row in self.rows), default=-1)
        if count < 3 or not 0 <= k < count:
            raise ValueError(
                f"fold({k}): there are {count} folds; k counts from 0, and three folds are the least (train, val, test)"
            )
        parts = {k: "test", (k + 1) % count: "val"}
        return self.with_rows(replace(row, split=parts.get(row.fold or 0, "train")) for row in self.rows)

    def select(self, *, questions: Iterable[str] | None = None, labels: Iterable[str] | None = None) -> Manifest:
        """Only these questions and labels (None = all), in the schema and in the rows.

        Raises:
            ValueError: the schema has no such question or label.
        """
        schema = self.schema.select(
            questions=None if questions is None else tuple(questions), labels=None if labels is None else tuple(labels)
        )
        asked = {q.name for q in schema.questions}
        rows = (
            replace(
                row,
                answers={k: a for k, a in row.answers.items() if k in asked},
                masks={k: m for k, m in row.masks.items() if k in schema.labels},
                cues={k: c for k, c in row.cues.items() if k in schema.labels},
                readings={
                    reader: kept
                    for reader, given in row.readings.items()
                    if (kept := {k: a for k, a in given.items() if k in asked})
                },
            )
            for row in self.rows
        )
        return replace(self, schema=schema, rows=tuple(rows))

    def with_rows(self, rows: Iterable[Row]) -> Manifest:
        """The same manifest with other rows; ``path`` remains that of their file."""
        return replace(self, rows=tuple(rows))


def sha256(path: Path) -> str:
    """SHA-256 of a file, as `Row.sha256` keeps it."""
    with path.open("rb") as file:
        head = file.read(WHOLE)  # most images at once: `file_digest` first makes itself a buffer, 10 us each
        if len(head) < WHOLE:
            return hashlib.sha256(head).hexdigest()
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield number, text
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None


def _paths(row: Row) -> Iterator[str]:
    yield row.image
    for sources in row.masks.values():
        yield from (source.path for source in sources if source.path is not None)


def _counted(values: Iterable[str]) -> str:
    """Each value with the number of times it comes, such as "no 12, yes 4"."""
    return ", ".join(f"{value} {number}" for value, number in sorted(Counter(values).items()))
