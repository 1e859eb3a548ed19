"""Review of a run's drafts: accepted as they were, edited, rejected, or left untouched."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from foveate.annotate.domain.marks import Marks, Shape

Outcome = Literal["accepted", "edited", "rejected", "untouched"]
OUTCOMES: tuple[Outcome, ...] = ("accepted", "edited", "rejected", "untouched")


def outcomes(draft: Marks, marks: Marks) -> dict[str, Outcome]:
    """Map each draft shape (its id) or ``answer:QUESTION`` to its outcome in an annotation.

    Args:
        draft: predicted by the run.
        marks: the annotation; its shapes name the draft that they were made from.
    """
    made: dict[str, list[Shape]] = {}
    for one in marks.shapes:
        if one.draft is not None:
            made.setdefault(one.draft, []).append(one)
    out: dict[str, Outcome] = {}
    for one in draft.shapes:
        kept = made.get(one.id, [])
        if kept:
            out[one.id] = "accepted" if len(kept) == 1 and _same(one, kept[0]) else "edited"
        else:
            out[one.id] = "rejected" if one.id in marks.rejected else "untouched"
    for question, answer in draft.answers.items():
        name = f"answer:{question}"
        given = marks.answers.get(question)
        if given is not None:
            out[name] = "accepted" if given == answer else "edited"
        else:
            out[name] = "rejected" if name in marks.rejected else "untouched"
    return out


def tally(some: list[dict[str, Outcome]]) -> dict[str, int]:
    """Count each outcome."""
    counts = Counter(one for found in some for one in found.values())
    return {name: counts[name] for name in OUTCOMES}


def _same(one: Shape, other: Shape) -> bool:
    loose = {"id": "", "draft": None}
    return one.model_copy(update=loose) == other.model_copy(update=loose)
