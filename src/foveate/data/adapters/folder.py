"""A user's own data, as a dataset.toml of a dozen lines describes it (docs/reference/dataset_toml.md)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any

from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data.adapters._description import Column, Description, Pair, describe
from foveate.data.adapters._folder_files import FolderFiles
from foveate.data.adapters._table import Record, join
from foveate.data.derive import declare_absent, derive_presence
from foveate.data.lines import SPLITS
from foveate.data.manifest import Manifest, sha256

DESCRIPTION = "dataset.toml"
SIDES = {"od": "OD", "r": "OD", "right": "OD", "re": "OD", "os": "OS", "l": "OS", "left": "OS", "le": "OS"}


def read(root: Path, toml: Path | None = None, *, progress: Callable[[int, int], None] | None = None) -> Manifest:
    """The manifest of a folder.

    Args:
        root: the data set's folder.
        toml: its description; None = the dataset.toml inside.
        progress: called with (images read, images) after each.

    Returns:
        rows in order of their image paths; ``info["warnings"]`` lists csv lines without an image, images without a csv
        line, and images left out.

    Raises:
        ValueError: the folder is not as described; file, line or key, value and remedy are named.
    """
    path = toml or root / DESCRIPTION
    reader = _Reader(root, path, describe(path), progress)
    rows = tuple(reader.rows())
    made = Manifest(reader.said.schema_, rows, root, info={**reader.said.info, "warnings": reader.warnings})
    return _derived(made, reader.said)


def _derived(manifest: Manifest, described: Description) -> Manifest:
    """The manifest with the absence and the answers that its description derives."""
    for question, answers in described.absent_if.items():
        for answer, labels in answers.items():
            manifest = declare_absent(manifest, labels, question=question, answers=[answer]).manifest
    asked = {name: one.derive for name, one in described.questions.items() if one.derive}
    return derive_presence(manifest, asked).manifest if asked else manifest


def scan(root: Path, toml: Path | None = None) -> Iterator[Row]:
    """The rows of a folder; see `read`."""
    yield from read(root, toml)


def schema(root: Path, toml: Path | None = None) -> LabelSchema:
    """Questions and labels of a folder; see `read`."""
    return describe(toml or root / DESCRIPTION).schema_


def info(root: Path, toml: Path | None = None) -> dict[str, Any]:
    """Name, licence and citation of a folder; see `read`."""
    return describe(toml or root / DESCRIPTION).info


def _like(paths: Sequence[str]) -> str:
    return f", like {paths[0]}" if paths else ""


@dataclass
class _Reader:
    """A folder that is read according to its description."""

    root: Path
    toml: Path
    said: Description
    progress: Callable[[int, int], None] | None = None
    warnings: list[str] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    misfits: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.files = FolderFiles(self.root)

    def rows(self) -> Iterator[Row]:
        records = {path: Record(path) for path in self._images()}
        if self.said.file_name is not None:
            for record in records.values():
                self._parts(record, self.said.file_name)
        for table in self.said.table:
            self.warnings += join(records, table, self.root)
        self._columns_are_there(records)
        stems = Counter(PurePosixPath(path).stem for path in records)
        unique = all(count == 1 for count in stems.values())
        left_out: dict[str, list[str]] = {}
        for done, (path, record) in enumerate(records.items(), 1):
            pure = PurePosixPath(path)
            name = pure.stem if unique else str(pure.with_suffix(""))
            if reason := self._left_out(record):
                left_out.setdefault(reason, []).append(name)
            else:
                yield self._row(name, record)
            if self.progress is not None:
                self.progress(done, len(records))
        self._masks_fit(records)
        self.warnings += [f"left out, {why}: {len(ids)} images ({', '.join(ids)})" for why, ids in left_out.items()]

    # -- files -------------------------------------------------------------------------------------------------------

    def _images(self) -> list[str]:
        without = {path for pattern in self.said.exclude for path in self.root.glob(pattern)}
        found = {path for pattern in self.said.images for path in self.files.glob(pattern)} - without
        if not found:
            raise ValueError(
                f"{self.toml}, images={self.said.images}: there are none in {self.root}; correct the pattern"
            )
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def _masks_fit(self, records: Iterable[str]) -> None:
        """Warn of files beside masks that no template fits; refuse a template that fits none of those that are there.

        Raises:
            ValueError: no file fits a template whose missing files mean that the label is absent.
        """
        for label, masks in self.said.labels.items():
            given = [mask for mask in masks if mask.masks is not None]
            if any(mask.missing == "absent" for mask in given) and not self.used.get(label):
                template = next(str(mask.masks) for mask in given if mask.missing == "absent")
                there = self.files.beside([template], (*records,))
                raise ValueError(
                    f"{self.toml}, labels.{label}: masks={template!r} fits no file, so the label would be absent in "
                    f"every image ({len(there)} files are in its folder{_like(there)}); correct it, or state "
                    'missing = "unknown"'
                )
            for other in self.misfits.get(label, [])[:1]:
                number = len(self.misfits[label])
                self.warnings.append(
                    f"labels.{label}: {number} files have the name of a mask but another ending, like {other}; they "
                    "were not used, and the label is unknown in their images"
                )
        templates = [str(mask.masks) for masks in self.said.labels.values() for mask in masks if mask.masks]
        if left := [path for path in self.files.beside(templates, (*records,)) if path not in self.files.found]:
            self.warnings.append(f"{len(left)} files beside masks were not used: no template fits them{_like(left)}")

    def _parts(self, record: Record, pattern: str) -> None:
        match = re.search(pattern, record.path)
        if match is None:
            raise ValueError(
                f"{self.toml}, file_name={pattern!r}: {record.path} does not fit; widen it, or exclude the file"
            )
        for column, text in match.groupdict().items():
            record.add(column, text or "", "its name")

    def _columns_are_there(self, records: dict[str, Record]) -> None:
        there = sorted({column for record in records.values() for column in record.values})
        asked: list[tuple[str, str]] = []
        for key in type(self.said.columns).model_fields:
            spec: Column | Pair | None = getattr(self.said.columns, key)
            names = [] if spec is None else [spec.x, spec.y] if isinstance(spec, Pair) else [spec.column]
            asked += [(f"columns.{key}", name) for name in names]
        asked += [
            (f"questions.{key}.column", q.column) for key, q in self.said.questions.items() if q.column is not None
        ]
        for label, annotators in self.said.labels.items():
            for mask in annotators:
                for name in re.findall(r"\{(\w*)\}", mask.masks or ""):
                    if name not in ("id", "stem", "name", "folder"):
                        asked.append((f"labels.{label}.masks", name))
        for key, name in asked:
            if name not in there:
                raise ValueError(f"{self.toml}, {key}: no column {name!r}; there are {there}")

    # -- values ------------------------------------------------------------------------------------------------------

    def _text(self, record: Record, spec: Column | None) -> str | None:
        if spec is None:
            return None
        raw, _ = record.values.get(spec.column, ("", ""))
        return None if raw == "" or raw in spec.unknown else spec.values.get(raw, raw)

    def _whole(self, record: Record, key: str, spec: Column | None) -> int | None:
        text = self._text(record, spec)
        if text is None or spec is None:
            return None
        try:
            return int(text)
        except ValueError:
            raise self._wrong(record, spec.column, f"columns.{key} needs whole numbers") from None

    def _pair(self, record: Record, key: str, spec: Pair | None) -> tuple[float, float] | None:
        """(down, across)."""
        if spec is None:
            return None
        out = []
        for column in (spec.y, spec.x):
            raw, _ = record.values.get(column, ("", ""))
            if raw == "":
                return None
            try:
                number = float(raw)
            except ValueError:
                raise self._wrong(record, column, f"columns.{key} needs numbers") from None
            if not isfinite(number):
                raise self._wrong(record, column, f"columns.{key} needs numbers; leave the cell empty if unknown")
            out.append(number)
        return out[0], out[1]

    def _point(self, record: Record, key: str, spec: Pair | None) -> tuple[float, float] | None:
        pair = self._pair(record, key, spec)
        if pair is None or spec is None:
            return None
        half = 0.5 * (
            1 - spec.scale
        )  # scaling keeps the outer edge of the image in place, not the first pixel's centre
        return pair[0] * spec.scale - half, pair[1] * spec.scale - half

    def _side(self, record: Record) -> str | None:
        spec = self.said.columns.laterality
        text = self._text(record, spec)
        if text is None or spec is None:
            return None
        if text.lower() not in SIDES:
            remedy = f"columns.laterality takes {sorted(SIDES)}; map it by values, or list it under unknown"
            raise self._wrong(record, spec.column, remedy)
        return SIDES[text.lower()]

    def _split(self, record: Record) -> str | None:
        spec = self.said.columns.split
        text = self._text(record, spec)
        if text is not None and spec is not None and text not in SPLITS:
            raise self._wrong(record, spec.column, f"columns.split takes {list(SPLITS)}; map it by values")
        return text

    def _answers(self, record: Record) -> dict[str, str]:
        out = {}
        for name, asked in self.said.questions.items():
            raw, _ = record.values.get(asked.column or "", ("", ""))
            if raw == "" or raw in asked.unknown:
                continue
            answer = asked.values.get(raw, raw)
            question = asked.question(name)
            if answer not in question.answers or (asked.values and raw not in asked.values):
                remedy = (
                    f"questions.{name} has the answers {list(question.answers)}; add it to values, unknown or leave_out"
                )
                raise self._wrong(record, asked.column or "", remedy)
            out[name] = answer
        return out

    def _left_out(self, record: Record) -> str | None:
        for name, asked in self.said.questions.items():
            raw, _ = record.values.get(asked.column or "", ("", ""))
            if raw in asked.leave_out:
                return f"{name} is {raw!r}"
        return None

    def _wrong(self, record: Record, column: str, remedy: str) -> ValueError:
        raw, where = record.values[column]
        return ValueError(f"{where}, {column}={raw!r} ({record.path}): {remedy} (in {self.toml})")

    # -- row ---------------------------------------------------------------------------------------------------------

    def _masks(self, name: str, record: Record) -> dict[str, tuple[MaskSource, ...]]:
        pure = PurePosixPath(record.path)
        known = {"id": name, "stem": pure.stem, "name": pure.name, "folder": str(pure.parent)}
        known = {column: text for column, (text, _) in record.values.items()} | known
        out = {}
        for label, annotators in self.said.labels.items():
            sources = []
            for mask in annotators:
                if mask.masks is None:
                    continue
                path = re.sub(r"\{(\w*)\}", lambda match: known.get(match[1], ""), mask.masks)
                if (there := self.files.find(path)) is not None:
                    self.used[label] = self.used.get(label, 0) + 1
                    sources.append(mask.source(there))
                elif mask.missing != "error" and (other := self.files.other_ending(path)):
                    self.misfits.setdefault(label, []).append(other)  # what it shows is unknown, not absent
                elif mask.missing == "absent":
                    sources.append(mask.source(None))
                elif mask.missing == "error":
                    raise ValueError(
                        f"{self.toml}, labels.{label}: there is no mask {path} for {record.path}; "
                        'add it, or set its meaning: missing = "absent" or "unknown"'
                    )
            if sources:
                out[label] = tuple(sources)
        return out

    def _row(self, name: str, record: Record) -> Row:
        columns, said = self.said.columns, self.said
        scale = columns.spacing.scale if columns.spacing else 1.0
        pair = self._pair(record, "spacing", columns.spacing)
        spacing = (
            (pair[0] * scale, pair[1] * scale) if pair else (said.spacing[0], said.spacing[1]) if said.spacing else None
        )
        return Row(
            id=name,
            image=record.path,
            answers=self._answers(record),
            masks=self._masks(name, record),
            patient=self._text(record, columns.patient),
            eye=self._text(record, columns.eye),
            laterality=self._side(record),
            modality=self._text(record, columns.modality) or said.modality,
            volume=self._text(record, columns.volume),
            position=self._whole(record, "position", columns.position),
            spacing=spacing,
            disc=self._point(record, "disc", columns.disc),
            fovea=self._point(record, "fovea", columns.fovea),
            source=said.name,
            sha256=sha256(self.root / record.path),
            split=self._split(record),
            fold=self._whole(record, "fold", columns.fold),
        )
