"""Lesions that contradict the grade: found, and made unknown, as in the Retinal-Lesions set (Wei et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from foveate.core.components import quarters
from foveate.core.guideline import GUIDELINE, Contradiction, Guideline, marks_of
from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data import read
from foveate.data.manifest import Manifest
from foveate.data.parallel import run_parallel


@dataclass(frozen=True)
class Cleaned:
    """A manifest without contradictions, and what was done: a line for each image and lesion."""

    manifest: Manifest
    changes: tuple[str, ...]


def clean(
    manifest: Manifest,
    *,
    guideline: Guideline,
    indirect: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Cleaned:
    """Make unknown what is marked against the grade: those pixels alone; elsewhere the lesion stays absent.

    Annotators are united to find a contradiction, and every annotator's mask of the lesion becomes doubtful
    (`MaskSource.doubtful`); no file is changed. A lesion that is only too numerous for its grade stays, because nobody
    knows which of the marks are wrong. An image whose grade lacks evidence, or whose files cannot be read, does not
    change.

    Args:
        manifest: its rows with a grade are looked at.
        guideline: in the words of the manifest's schema (`Guideline.named`).
        indirect: whether indirect evidence of a graver grade contradicts too.
        progress: called with (rows done, rows) after each.

    Raises:
        ValueError: the schema does not ask the guideline's question, or marks none of its lesions.
    """
    fits(guideline, manifest.schema)
    rows: list[Row] = []
    changes: list[str] = []
    task = partial(refuted_marks, root=manifest.root, schema=manifest.schema, guideline=guideline, indirect=indirect)
    for row, found in zip(manifest.rows, run_parallel(task, manifest.rows, workers=0), strict=True):
        wrong = [one for one in found if one.lesion is not None and not one.by_number]
        lesions = dict.fromkeys(one.lesion for one in wrong)
        doubted = {label: tuple(map(_doubt, m)) if label in lesions else m for label, m in row.masks.items()}
        rows.append(replace(row, masks=doubted) if wrong else row)
        changes += [f"{row.id}: {one.words}" for one in wrong]
        if progress is not None:
            progress(len(rows), len(manifest))
    return Cleaned(manifest.with_rows(rows), tuple(changes))


def refuted_marks(
    row: Row, root: Path, schema: LabelSchema, *, guideline: Guideline, indirect: bool = False
) -> list[Contradiction]:
    """Marks in a row's files that contradict its grade; empty without a grade, or if the files cannot be read.

    Args:
        row: its masks are read, annotators united.
        root: folder that its paths start from.
        schema: names its labels.
        guideline: in the words of the schema.
        indirect: as for `clean`.
    """
    if guideline.question not in row.answers:
        return []
    try:
        shape = read.size(root / row.image, frame=row.frame)
        masks, known = read.masks(row, root, schema, shape=shape)
    except read.Unreadable:
        return []
    return against(row, masks, known, schema=schema, guideline=guideline, indirect=indirect)


def against(
    row: Row,
    masks: UInt8[np.ndarray, "l h w"],
    known: UInt8[np.ndarray, "l h w"],
    *,
    schema: LabelSchema,
    guideline: Guideline,
    indirect: bool = False,
) -> list[Contradiction]:
    """Marks in these masks that contradict the row's grade; empty without a grade.

    Args:
        row: gives the grade, and the positions of disc and fovea.
        masks: 0/1, by schema order.
        known: pixels where their ground truth is known. A lesion counts as looked for if all its pixels are known.
        schema: names the labels.
        guideline: in the words of the schema.
        indirect: as for `clean`.
    """
    given = row.answers.get(guideline.question)
    if given is None:
        return []
    about = quarters((masks.shape[1], masks.shape[2]), disc=row.disc, fovea=row.fovea, laterality=row.laterality)
    where = {label: i for i, label in enumerate(schema.labels) if label in guideline.lesions}
    marks = {
        label: marks_of(masks[i], quarters=about, known=bool(known[i].all()))
        for label, i in where.items()
        if known[i].any()
    }
    return guideline.contradictions(marks, grade=given, indirect=indirect)


def fits(guideline: Guideline, schema: LabelSchema) -> None:
    """Check that a guideline fits a schema.

    Raises:
        ValueError: the schema does not ask its question with its grades, or marks none of its lesions.
    """
    grades = {q.name: q.answers for q in schema.questions}
    if grades.get(guideline.question) != guideline.grades:
        raise ValueError(
            f"guideline: the set has no question {guideline.question!r} with the answers {list(guideline.grades)}; "
            f"it asks {grades}"
        )
    if not set(guideline.lesions) & set(schema.labels):
        raise ValueError(
            f"guideline: none of the labels {list(schema.labels)} is one of its lesions {list(guideline.lesions)}; "
            "relate them, as exudate=hard_exudate"
        )


def _doubt(source: MaskSource) -> MaskSource:
    return source if source.path is None else replace(source, doubtful=True)


def guideline_of(
    schema: LabelSchema, *, lesions: Mapping[str, str], grade: str | None = None, indirect: bool = False
) -> Guideline:
    """The guideline of diabetic retinopathy in the words of a set.

    Args:
        schema: of the set.
        lesions: the set's label -> the guideline's lesion.
        grade: the graded question; None = ``grade``, else the only ordered one with five answers.
        indirect: whether indirect evidence contradicts a grade too.

    Raises:
        ValueError: no such lesion, no such question, none that can be the graded one, or several.
    """
    own = replace(GUIDELINE.named(lesions).in_labels(schema.labels), indirect=indirect)
    question = own.question_in(schema.questions, name=grade)
    if question is None:
        raise ValueError(
            f"guideline: the set asks nothing called {own.question!r} and nothing with {len(own.grades)} ordered "
            f"answers, only {[q.name for q in schema.questions]}; name the graded question with --grade QUESTION"
        )
    return own.asked(question)


def in_words(guideline: Guideline, schema: LabelSchema) -> str:
    """The question and labels of a data set that the check compares, in one line."""
    marked = [lesion for lesion in guideline.lesions if lesion in schema.labels]
    grades = f"{guideline.question} ({', '.join(guideline.grades)})"
    return f"guideline: {grades} against {', '.join(marked)}{', indirect ones too' if guideline.indirect else ''}"


def write_clean(path: Path, *, manifest: Manifest, guideline: Guideline) -> str:
    """Write the cleaned manifest; returns what was done in a line."""
    cleaned = clean(manifest, guideline=guideline)
    cleaned.manifest.write(path)
    images = sum(old != new for old, new in zip(manifest, cleaned.manifest, strict=True))
    return f"{path}: {len(cleaned.changes)} masks of {images} images are unknown where they contradict the grade"
