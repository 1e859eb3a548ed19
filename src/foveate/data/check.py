"""Check a manifest against its files: what is there, what cannot be read, what contradicts itself, what leaks."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data import read
from foveate.data.lines import SPLITS
from foveate.data.manifest import Manifest, sha256
from foveate.data.split import Leak, groups, leaks

UNKNOWN = "unknown"


@dataclass(frozen=True)
class LabelCount:
    """How much is known of one label: images, those with a known pixel, those with a marked one, marked pixels."""

    images: int = 0
    known: int = 0
    positive: int = 0
    pixels: int = 0


@dataclass(frozen=True)
class Report:
    """What `check` found.

    Args:
        images: number of rows.
        groups: number of groups that must stay together.
        labels: part -> label -> counts; the parts are the splits and "all".
        answers: part -> question -> answer -> images; "unknown" counts those without.
        unreadable: files that are missing or cannot be decoded, with the reason.
        mismatching: masks of another size than their image.
        changed: images that are not those that were scanned (`Row.sha256`).
        duplicates: ids that show the same pixels.
        contradictions: answers that the masks refute, and duplicates that are answered differently.
        leaks: groups and duplicates in more than one split or fold.
    """

    images: int
    groups: int
    labels: Mapping[str, Mapping[str, LabelCount]]
    answers: Mapping[str, Mapping[str, Mapping[str, int]]]
    unreadable: tuple[str, ...] = ()
    mismatching: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    contradictions: tuple[str, ...] = ()
    leaks: tuple[Leak, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether training on it is sound: every file read as what it should be, and nothing leaks."""
        return not (self.unreadable or self.mismatching or self.changed or self.leaks)

    def __str__(self) -> str:
        parts = list(self.labels)
        lines = [f"{self.images} images in {self.groups} groups (patient, else eye, volume, image)", ""]
        if questions := self.answers[parts[0]]:
            table = [["question", "answer", *parts]]
            for question, answers in questions.items():
                table += [
                    [question, answer, *(str(self.answers[p][question][answer]) for p in parts)] for answer in answers
                ]
            lines += [*_table(table, text=2), ""]
        if labels := self.labels[parts[0]]:
            table = [["label", "part", "images", "known", "positive", "pixels"]]
            for label in labels:
                for part in parts:
                    c = self.labels[part][label]
                    table.append([label, part, *map(str, (c.images, c.known, c.positive, c.pixels))])
            lines += [*_table(table, text=2), ""]
        listed: dict[str, Sequence[object]] = {
            "unreadable": self.unreadable,
            "masks of another size": self.mismatching,
            "changed since the scan": self.changed,
            "leaks": self.leaks,
            "same pixels": [" = ".join(ids) for ids in self.duplicates],
            "contradictions": self.contradictions,
        }
        for title, items in listed.items():
            if items:
                lines += [f"{title}: {len(items)}", *(f"  {item}" for item in items[:10])]
                lines += [f"  ... and {len(items) - 10} more"] if len(items) > 10 else []
        return "\n".join([*lines, "ok" if self.ok else "NOT OK"])


def check(manifest: Manifest, *, progress: Callable[[int, int], None] | None = None) -> Report:
    """Decode every image and mask of a manifest and report what is there and what is wrong.

    Graders are united, as in training. An answer "no" contradicts a marked pixel of its evidence, a "yes" contradicts
    evidence that is wholly known and empty; both are told, as duplicates with different answers are, and neither makes
    the report fail: a reader may be right where the mask is not.

    Args:
        manifest: what to check.
        progress: called with (rows done, rows) after each.
    """
    done = []
    with ThreadPoolExecutor(2) as pool:  # Pillow decodes without the interpreter's lock
        for found in pool.map(lambda row: _look(row, manifest.root, manifest.schema), manifest.rows):
            done.append(found)
            if progress is not None:
                progress(len(done), len(manifest))
    by_pixels: dict[str, list[Row]] = defaultdict(list)
    for row, found in zip(manifest.rows, done, strict=True):
        if found.pixels is not None:
            by_pixels[found.pixels].append(row)
    same = [rows for rows in by_pixels.values() if len(rows) > 1]
    ids = tuple(tuple(row.id for row in rows) for rows in same)
    parts = {"all": list(zip(manifest.rows, done, strict=True))}
    for part in SPLITS:
        if inside := [(row, found) for row, found in parts["all"] if row.split == part]:
            parts[part] = inside
    return Report(
        images=len(manifest),
        groups=len(groups(manifest.rows, same=ids)),
        labels={p: {name: _counted(seen, name) for name in manifest.schema.labels} for p, seen in parts.items()},
        answers={p: _answered([row for row, _ in seen], manifest.schema) for p, seen in parts.items()},
        unreadable=tuple(dict.fromkeys(text for found in done for text in found.unreadable)),
        mismatching=tuple(text for found in done for text in found.mismatching),
        changed=tuple(text for found in done for text in found.changed),
        duplicates=ids,
        contradictions=tuple(text for found in done for text in found.contradictions) + tuple(_disagreeing(same)),
        leaks=tuple(leaks(manifest, same=ids)),
    )


@dataclass
class _Found:
    """What one row's files hold."""

    pixels: str | None = None
    labels: dict[str, LabelCount] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    mismatching: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)


def _look(row: Row, root: Path, schema: LabelSchema) -> _Found:
    found = _Found()
    try:
        image = read.image(root / row.image)
    except read.Unreadable as error:
        found.unreadable.append(str(error))
        return found
    shape = image.shape[:2]
    found.pixels = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
    if row.sha256 and sha256(root / row.image) != row.sha256:
        found.changed.append(
            f"{root / row.image} is not the file that was scanned (sha256 {row.sha256[:12]}...); scan again"
        )
    for path in dict.fromkeys(s.path for sources in row.masks.values() for s in sources if s.path is not None):
        try:
            size = read.size(root / path)
        except read.Unreadable as error:
            found.unreadable.append(str(error))
            continue
        if size != shape:
            found.mismatching.append(f"{root / path} is {_size(size)}, its image {_size(shape)} (rows x columns)")
    if found.unreadable or found.mismatching:
        return found
    try:
        masks, known = read.masks(row, root, schema, shape=shape)
    except read.Unreadable as error:
        found.unreadable.append(str(error))
        return found
    for label, mask, sure in zip(schema.labels, masks, known, strict=True):
        found.labels[label] = LabelCount(1, int(sure.any()), int(mask.any()), int(mask.sum()))
    found.contradictions += _refuted(row, schema, masks, known)
    return found


def _refuted(
    row: Row, schema: LabelSchema, masks: UInt8[np.ndarray, "l h w"], known: UInt8[np.ndarray, "l h w"]
) -> list[str]:
    out = []
    for q in schema.questions:
        answer = row.answers.get(q.name)
        where = [schema.labels.index(label) for label in q.evidence]
        if not where or answer is None:
            continue
        marked = [schema.labels[i] for i in where if masks[i].any()]
        if answer == "no" and marked:
            pixels = int(sum(masks[i].sum() for i in where))
            out.append(f"{row.id}: {q.name} is 'no', and {pixels} pixels are marked {' or '.join(marked)}")
        if answer == "yes" and not marked and known[where].all():
            out.append(f"{row.id}: {q.name} is 'yes', and no pixel is marked {' or '.join(q.evidence)}")
    return out


def _disagreeing(same: Sequence[Sequence[Row]]) -> list[str]:
    """Questions that the same pixels are answered differently for."""
    out = []
    for rows in same:
        for question in dict.fromkeys(q for row in rows for q in row.answers):
            answers = {row.id: row.answers[question] for row in rows if question in row.answers}
            if len(set(answers.values())) > 1:
                out.append(f"{question} of the same pixels: " + ", ".join(f"{i} {a!r}" for i, a in answers.items()))
    return out


def _counted(seen: Sequence[tuple[Row, _Found]], label: str) -> LabelCount:
    counts = [found.labels.get(label, LabelCount()) for _, found in seen]
    return LabelCount(
        len(seen), sum(c.known for c in counts), sum(c.positive for c in counts), sum(c.pixels for c in counts)
    )


def _answered(rows: Sequence[Row], schema: LabelSchema) -> dict[str, dict[str, int]]:
    out = {}
    for q in schema.questions:
        given = Counter(q.index(row.answers.get(q.name)) for row in rows)
        out[q.name] = {answer: given[i] for i, answer in enumerate(q.answers)} | {UNKNOWN: given[-1]}
    return out


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _table(rows: Sequence[Sequence[str]], *, text: int) -> list[str]:
    """Columns side by side: the first ones ragged right, the others flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if i < text else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
