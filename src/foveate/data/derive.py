"""Derive what follows from other ground truth: presence from masks, absence from an answer or from a declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from foveate.core.labels import YES_NO, LabelSchema, Question
from foveate.core.types import Row
from foveate.data import read
from foveate.data.lines import ABSENT
from foveate.data.manifest import Manifest
from foveate.data.parallel import run_parallel

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Derived:
    """A manifest with derived ground truth, and for each question or label the number of images that gained it.

    Args:
        manifest: with the derived answers or masks.
        gained: name -> images.
        refuted: images whose given answer the masks contradict; the given answer stays.
    """

    manifest: Manifest
    gained: Mapping[str, int]
    refuted: tuple[str, ...] = ()


def derive_presence(
    manifest: Manifest, questions: Mapping[str, Sequence[str]], *, progress: Progress | None = None
) -> Derived:
    """Answer yes/no questions by the masks of their labels.

    The answer is "yes" if a known pixel of a label is marked, "no" if every pixel of all labels is known and none is
    marked, and unknown otherwise. An answer that a row has already stays.

    Args:
        manifest: with masks.
        questions: name -> its evidence; a question that the schema does not have is added.
        progress: called with (rows done, rows) after each.

    Raises:
        ValueError: no such label, or a question that is not yes/no.
        Unreadable: a mask or an image cannot be read.
    """
    schema = with_presence(manifest.schema, questions)
    found: list[tuple[Row, tuple[str, ...], bool]] = []
    task = partial(_answered, root=manifest.root, schema=schema, questions=questions)
    for one in run_parallel(task, manifest.rows, workers=0):
        found.append(one)
        if progress is not None:
            progress(len(found), len(manifest))
    gained = {name: sum(name in new for _, new, _ in found) for name in questions}
    rows = tuple(row for row, _, _ in found)
    return Derived(replace(manifest, schema=schema, rows=rows), gained, tuple(r.id for r, _, odd in found if odd))


def every_label(schema: LabelSchema) -> dict[str, tuple[str, ...]]:
    """Name a question of presence for each label: one that has it as its only evidence, else ``LABEL_present``."""
    own = {q.evidence[0]: q.name for q in schema.questions if q.yes_no and len(q.evidence) == 1}
    return {own.get(label, f"{label}_present"): (label,) for label in schema.labels}


def labels_present(value: Any) -> Any:
    """Parse "LABEL present", or "LABEL or LABEL present", to the labels; other values stay for the model to refuse.

    >>> labels_present("irf or srf present")
    ['irf', 'srf']
    """
    if not isinstance(value, str):
        return value
    labels, _, word = value.strip().rpartition(" ")
    if word != "present" or not labels:
        raise ValueError(f'write derive = "LABEL present" or "LABEL or LABEL present", got {value!r}')
    return [label.strip() for label in labels.split(" or ")]


def with_presence(schema: LabelSchema, questions: Mapping[str, Sequence[str]]) -> LabelSchema:
    """Return the schema with these questions and their evidence; ValueError as for `derive_presence`."""
    there = {q.name: q for q in schema.questions}
    for name, labels in questions.items():
        if not labels or (strange := sorted(set(labels) - set(schema.labels))):
            raise ValueError(f"{name}: its labels must be some of {list(schema.labels)}, got {strange or 'none'}")
        before = there.get(name, Question(name))
        if before.answers != YES_NO:
            raise ValueError(f"{name}: presence needs the answers no and yes, but it has {list(before.answers)}")
        there[name] = replace(before, evidence=tuple(labels))
    return replace(schema, questions=tuple(there.values()))


def declare_absent(
    manifest: Manifest, labels: Sequence[str], *, question: str | None = None, answers: Sequence[str] = ()
) -> Derived:
    """State that labels are nowhere in some images; a label whose mask is given stays as it is.

    Args:
        manifest: whose rows are changed.
        labels: of the schema.
        question: only rows with one of some answers to it; None = all rows. A row without an answer stays unknown.
        answers: these answers.

    Raises:
        ValueError: no such label, question or answer.
    """
    schema = manifest.schema
    if not labels or (strange := sorted(set(labels) - set(schema.labels))):
        raise ValueError(f"absent: labels must be some of {list(schema.labels)}, got {strange or 'none'}")
    if question is not None:
        asked = schema.question(question)
        if not answers or (odd := sorted(set(answers) - set(asked.answers))):
            raise ValueError(f"absent: answers of {question!r} must be some of {list(asked.answers)}, got {odd}")
    gained = dict.fromkeys(labels, 0)
    rows = []
    for row in manifest:
        if question is None or row.answers.get(question) in answers:
            new = {label: ABSENT for label in labels if label not in row.masks}
            for label in new:
                gained[label] += 1
            row = replace(row, masks={**row.masks, **new}) if new else row
        rows.append(row)
    return Derived(manifest.with_rows(rows), gained)


def declare_healthy(manifest: Manifest, question: str, answer: str) -> Manifest:
    """State the healthy answer of a question; ValueError as of `Question`."""
    stated = replace(manifest.schema.question(question), healthy=answer)
    questions = tuple(stated if q.name == question else q for q in manifest.schema.questions)
    return replace(manifest, schema=replace(manifest.schema, questions=questions))


def _answered(
    row: Row, *, root: Path, schema: LabelSchema, questions: Mapping[str, Sequence[str]]
) -> tuple[Row, tuple[str, ...], bool]:
    """One row with its derived answers, the questions that gained one, and whether a given answer is contradicted."""
    asked = dict.fromkeys(label for labels in questions.values() for label in labels if row.masks.get(label))
    present = _presence(row, root, schema.select(questions=(), labels=tuple(asked)))
    new, odd = {}, False
    for name, labels in questions.items():
        seen = [present.get(label) for label in labels]
        answer = "yes" if True in seen else "no" if seen and None not in seen else None
        given = row.answers.get(name)
        if given is None and answer is not None:
            new[name] = answer
        odd |= None not in (given, answer) and given != answer
    return (replace(row, answers={**row.answers, **new}) if new else row), tuple(new), odd


def _presence(row: Row, root: Path, schema: LabelSchema) -> dict[str, bool | None]:
    """Whether each label is marked in the image; None if it is not, and some of its pixels are unknown."""
    if not any(source.path is not None for label in schema.labels for source in row.masks[label]):
        return dict.fromkeys(schema.labels, False)
    shape = read.size(root / row.image, frame=row.frame)
    masks, known = read.masks(row, root, schema, shape=shape)
    out: dict[str, bool | None] = {}
    for label, mask, sure in zip(schema.labels, masks, known, strict=True):
        out[label] = True if np.any(mask & sure) else False if sure.all() else None
    return out
