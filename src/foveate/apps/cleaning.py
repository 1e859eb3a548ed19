"""``foveate check --guideline --clean``: the guideline in the words of a data set, and a manifest that keeps to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from foveate.core.guideline import GUIDELINE, Guideline
from foveate.core.labels import LabelSchema
from foveate.data.cleaning import clean
from foveate.data.manifest import Manifest


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
    own = replace(GUIDELINE.named(lesions), indirect=indirect)
    question = own.question_in(schema.questions, name=grade)
    if question is None:
        raise ValueError(
            f"guideline: the set asks nothing called {own.question!r} and nothing with {len(own.grades)} ordered "
            f"answers, only {[q.name for q in schema.questions]}; name the graded question with --grade QUESTION"
        )
    return own.asked(question)


def in_words(guideline: Guideline, schema: LabelSchema) -> str:
    """Which question and labels of a set are held against each other, in a line."""
    marked = [lesion for lesion in guideline.lesions if lesion in schema.labels]
    grades = f"{guideline.question} ({', '.join(guideline.grades)})"
    return f"guideline: {grades} against {', '.join(marked)}{', indirect ones too' if guideline.indirect else ''}"


def write_clean(path: Path, *, manifest: Manifest, guideline: Guideline) -> str:
    """Write the cleaned manifest; returns what was done in a line."""
    cleaned = clean(manifest, guideline=guideline)
    cleaned.manifest.write(path)
    images = sum(old != new for old, new in zip(manifest, cleaned.manifest, strict=True))
    return f"{path}: {len(cleaned.changes)} masks of {images} images are unknown where they contradict the grade"
