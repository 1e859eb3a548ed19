"""Before a training starts: every stage has rows to train and to validate on, and every question is answered."""

from __future__ import annotations

from collections.abc import Iterable

from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data.manifest import Manifest
from foveate.engine.recipe import Loss, Recipe, Stage


def check_rows(recipe: Recipe, rows: Manifest, *, stages: Iterable[Stage] | None = None) -> None:
    """Raise ValueError if a stage has nothing to learn from; known before the first step of the first stage.

    A loss averages over what is known. A question that nobody answered would have a loss of 0.0 in every step, and its
    answers would be those of random weights.

    Args:
        recipe: of the run.
        rows: with splits.
        stages: those that are not trained yet; None = all.

    Raises:
        ValueError: a stage has no row of "train" or "val", or no training row answers a question that it learns.
    """
    for stage in recipe.stages if stages is None else stages:
        parts = {part: [row for row in rows if row.split == part] for part in ("train", "val")}
        mine = {part: [r for r in some if stage.rows is None or stage.rows(r)] for part, some in parts.items()}
        for part, some in mine.items():
            if not some:
                left = f" that stage {stage.name!r} trains on, of {len(parts[part])}" if parts[part] else ""
                raise ValueError(
                    f"stage {stage.name!r}: no row has split {part!r}{left}; run `foveate split` first, or choose rows "
                    "of which this stage's ground truth is known"
                )
        for name in questions_of(stage.loss, recipe.schema):
            if not any(answered(row, name, recipe.schema) for row in mine["train"]):
                raise ValueError(
                    f"question {name!r}: none of the {len(mine['train'])} training images of stage {stage.name!r} has "
                    f"an answer, so nothing can be learnt of it; answer it (`foveate derive` makes answers from masks),"
                    " name another question (question=...), or leave it out of the manifest"
                )


def questions_of(loss: Loss, schema: LabelSchema) -> tuple[str, ...]:
    """Questions that a loss learns from; none if it does not state them (`losses.weigh.Weigh.asked` does)."""
    asked = getattr(loss, "asked", None)
    return () if asked is None else tuple(asked(schema))


def answered(row: Row, question: str, schema: LabelSchema) -> bool:
    """Whether an image has an answer that the schema knows."""
    return schema.question(question).index(row.answers.get(question)) >= 0
