"""The images of an evaluated run that a report shows: best, median and worst, read again with their CAMs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foveate.core.reading import placed
from foveate.core.types import Case, Row
from foveate.data import read
from foveate.data.manifest import Manifest
from foveate.inference.pointing import Eye
from foveate.inference.predictor import Predictor
from foveate.metrics.counts import Counts


def score_images(counts: Counts) -> dict[str, float]:
    """Score each image, to rank them: mean Dice of its labels (1 if a label is absent and not marked).

    Images without masks are scored by the mean probability of their true answers.
    """
    pixels, answers = counts.pixels, counts.answers
    values: dict[str, list[float]] = {}
    both = 2 * pixels["tp"] + pixels["fp"] + pixels["fn"]
    for image, tp, size in zip(pixels["image"], pixels["tp"], both, strict=True):
        values.setdefault(str(image), []).append(2 * tp / size if size else 1.0)
    if not values:
        for image, probability, truth in zip(answers["image"], answers["probability"], answers["truth"], strict=True):
            if truth == 1:
                values.setdefault(str(image), []).append(float(probability))
    return {image: float(np.mean(v)) for image, v in values.items()}


def pick(scores: dict[str, float], *, each: int = 3) -> list[str]:
    """Choose the ids of the best, the median and the worst images, best first, each once."""
    order = sorted(scores, key=lambda image: -scores[image])
    if len(order) <= 3 * each:
        return order
    middle = (len(order) - each) // 2
    return [*order[:each], *order[middle : middle + each], *order[-each:]]


def make_cases(predictor: Predictor, rows: Manifest, ids: Sequence[str], *, scores: dict[str, float]) -> list[Case]:
    """Read these images again; each case has the ground truth beside the prediction, in original pixels."""
    by_id = {row.id: row for row in rows.rows}
    return [make_case(predictor, rows, by_id[i], score=scores.get(i)) for i in ids if i in by_id]


def make_case(predictor: Predictor, rows: Manifest, row: Row, *, score: float | None = None) -> Case:
    """Read one image: ground truth, prediction, and one activation map per answer."""
    schema = predictor.schema
    reading = predictor(
        rows.root / row.image,
        frame=row.frame,
        cam=bool(schema.questions),
        name=row.id,
        spacing=row.spacing,
        eye=Eye.of(row),
    )
    pixels, found = reading.image, placed(reading)
    shape = (pixels.shape[0], pixels.shape[1])
    seen = schema.select(labels=found.labels)
    masks, known = read.masks(row, rows.root, seen, annotators=predictor.prepare.annotators, shape=shape)
    answers = {q.name: q.answers[q.index(row.answers[q.name])] for q in schema.questions if q.name in row.answers}
    return Case(pixels, masks, known, answers, found, score)
