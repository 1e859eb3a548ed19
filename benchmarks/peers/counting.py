"""One scorer for all methods: `foveate.metrics` counts in the original pixels, whoever made the prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from foveate import Manifest
from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data import read
from foveate.metrics.counts import Counts
from peers.predictions import Predictions


def count(made: Predictions, rows: Manifest, *, truth: str) -> Counts:
    """Counts of predictions.

    Args:
        made: of these rows, each.
        rows: the test images.
        truth: rule or annotator whose masks they are judged by; answers are the manifest's.

    Raises:
        ValueError: an image has no prediction, or a label or an answer is not of the schema.
    """
    if missing := [row.id for row in rows if row.id not in made.answers]:
        raise ValueError(f"{made.folder}: {len(missing)} test images have no prediction, as {missing[0]!r}")
    parts = []
    for row in rows:
        shape = read.size(rows.root / row.image, frame=row.frame)
        predicted = made.masks(row.id) if made.labels else np.zeros((0, *shape), bool)
        highest = [made.presence[row.id][label] for label in made.labels]
        parts.append(
            _one(row, rows, truth, labels=made.labels, predicted=predicted, highest=highest, answers=made.answers)
        )
    return Counts.join(parts)


def between(rows: Manifest, *, truth: str, other: str) -> Counts:
    """One annotator's masks judged by another's, as a method's are.

    Args:
        rows: images.
        truth: annotator who counts as ground truth.
        other: annotator who is judged, on the labels that they know of an image.

    Raises:
        ValueError: they know different labels in different images.
    """
    parts = []
    for row in rows:
        shape = read.size(rows.root / row.image, frame=row.frame)
        masks, known = read.masks(row, rows.root, rows.schema, annotators=other, shape=shape)
        judged = known.any((1, 2))
        labels = [label for label, there in zip(rows.schema.labels, judged, strict=True) if there]
        marked = masks[judged].astype(bool)
        highest = [float(mask.any()) for mask in marked]
        parts.append(_one(row, rows, truth, labels=labels, predicted=marked, highest=highest, answers={row.id: {}}))
    return Counts.join(parts)


def _one(
    row: Row,
    rows: Manifest,
    truth: str,
    *,
    labels: Sequence[str],
    predicted: np.ndarray,
    highest: Sequence[float],
    answers: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> Counts:
    given = answers[row.id]
    seen = rows.schema.select(labels=labels, questions=[q.name for q in rows.schema.questions if q.name in given])
    shape = (predicted.shape[1], predicted.shape[2])
    masks, known = read.masks(row, rows.root, seen, annotators=truth, shape=shape)
    probability = {q.name: np.array([[given[q.name][a] for a in q.answers]]) for q in seen.questions}
    # Of the map nothing but its highest value is counted: the score of presence
    shown = np.broadcast_to(np.asarray(highest, np.float32)[:, None, None], predicted.shape)
    return Counts.of(
        seen,
        images=[row.id],
        groups=[row.group],
        probability=shown[None],
        predicted=predicted[None],
        masks=masks[None].astype(bool),
        known=known[None].astype(bool),
        answer_probability=probability,
        given=seen.decide(probability) if probability else {},
        answers=seen.answer_indices(row.answers)[None],
    )


def read_counts(folder: Path, schema: LabelSchema) -> Counts:
    """Counts of a cell, whose method may mark or answer less than the schema asks; the schema is cut to that."""
    counts = Counts.read(folder, schema)
    labels = [label for label in schema.labels if label in set(counts.pixels["label"].tolist())]
    asked = set(counts.answers["question"].tolist())
    left = schema.select(labels=labels, questions=[q.name for q in schema.questions if q.name in asked])
    return replace(counts, schema=left)
