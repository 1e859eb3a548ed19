"""A run's predictions as drafts for the annotators, and the order of images by the run's uncertainty."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import select

from foveate.annotate.domain.marks import Marks
from foveate.annotate.domain.outlining import as_shapes
from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import Draft, Item
from foveate.core.components import components
from foveate.core.regions import DISC_LABELS, disc_of, located
from foveate.core.types import Prediction, Row
from foveate.data.read import Unreadable

LEAST = 4
"""A connected component of a draft with fewer pixels is left out."""

MOST = 500
"""Connected components of a finding that are drafted, the largest: with more, drawing is faster than reviewing."""

WARM = 0.5
"""A region is drafted if the activation map of an answer reaches this share of its highest value in it."""

Predict = Callable[..., Prediction]
"""`inference.predictor.Predictor`, or a function with its arguments."""


def draft_images(
    project: Project, predict: Predict, *, name: str, progress: Callable[[int, int], None] | None = None
) -> int:
    """Draft every image that is not settled; drafts of an earlier run are replaced.

    A draft is never part of an annotation; it becomes a mark only if an annotator accepts it.

    Args:
        project: open.
        predict: reads an image file, with ``frame``, ``name`` and, if findings are marked by regions, ``cam``.
        name: of the run, shown to annotators.
        progress: called after each image.

    Returns:
        number of images drafted; those that cannot be read are skipped.
    """
    with project.store.read() as db:
        items = [(i.id, project.row(i)) for i in db.scalars(select(Item).where(Item.state != "settled"))]
    regional = any(f.question is not None and "regions" in f.marks for f in project.protocol.findings)
    count = 0
    for done, (number, row) in enumerate(items, 1):
        try:
            found = predict(project.manifest.root / row.image, frame=row.frame, name=row.id, cam=regional)
        except Unreadable:
            continue
        marks = as_marks(project, row, found)
        with project.store.write() as db:
            old = db.get(Draft, number)
            if old is not None:
                db.delete(old)
                db.flush()
            db.add(Draft(item_id=number, run=name, at=time.time(), uncertainty=uncertainty(found), marks=marks.pack()))
        count += 1
        if progress is not None:
            progress(done, len(items))
    return count


def as_marks(project: Project, row: Row, found: Prediction) -> Marks:
    """Convert a prediction to marks that the protocol allows; the rest is left out.

    A finding is drafted from its mask; from a run that only answers, by the regions where its "yes" was seen.
    """
    shape = (found.probability.shape[1], found.probability.shape[2])
    masks = dict(zip(found.labels, found.masks, strict=True))
    disc = row.disc
    for label in DISC_LABELS:
        if disc is None and label in masks and (there := disc_of(masks[label])) is not None:
            disc = there[0]
    regions = located(shape=shape, disc=disc, fovea=row.fovea, laterality=row.laterality)
    shapes: list[dict[str, Any]] = []
    states = {}
    for f in project.protocol.findings:
        if f.name in masks:
            mask = _large(masks[f.name])
            made = as_shapes(mask, f.name, allowed=f.marks, regions=regions) if mask.any() else []
            shapes += made or []
            states[f.name] = "present" if mask.any() else "absent"
        elif f.question is not None and f.question in found.answers:
            states[f.name] = "present" if found.answers[f.question] == "yes" else "absent"
            seen = found.cam.get(f.question, {}).get("yes")
            if states[f.name] == "present" and seen is not None and "regions" in f.marks and seen.max() > 0:
                shapes += as_shapes(seen >= WARM * seen.max(), f.name, allowed=("regions",), regions=regions) or []
    answers = {
        q.name: found.answers[q.name]
        for q in project.protocol.questions
        if found.answers.get(q.name) in project.schema.question(q.name).answers
    }
    numbered = [one | {"id": f"d{i}"} for i, one in enumerate(shapes[:5000], 1)]
    data = {"answers": answers, "findings": states, "shapes": numbered}
    return Marks.model_validate(data | {"disc": disc if row.disc is None else None})


def uncertainty(found: Prediction) -> float:
    """Return the uncertainty of a prediction, in [0, 1]: the mean over its questions and labels.

    A question has the entropy of its answers, over that of a blind guess. A label that is marked has 1 - Dice of its
    probabilities and its mask (soft and hard differ at uncertain edges); one that is not marked the entropy of its
    highest probability.
    """
    parts = [
        -sum(p * math.log(p) for p in answers.values() if p > 0) / math.log(len(answers))
        for answers in found.probabilities.values()
    ]
    for probability, mask in zip(found.probability, found.masks, strict=True):
        if mask.any():
            parts.append(1 - 2 * float(probability[mask].sum()) / float(probability.sum() + mask.sum()))
        else:
            top = min(max(float(probability.max(initial=0.0)), 1e-12), 1 - 1e-12)
            parts.append(-(top * math.log2(top) + (1 - top) * math.log2(1 - top)))
    return float(np.clip(np.mean(parts), 0, 1)) if parts else 0.0


def _large(mask: np.ndarray) -> np.ndarray:
    """Keep the largest connected components, without specks."""
    found = components(mask)
    kept = np.argsort(-found.area, kind="stable")[:MOST]
    kept = kept[found.area[kept] >= LEAST]
    return np.asarray(np.isin(found.numbers, kept + 1) & mask)
