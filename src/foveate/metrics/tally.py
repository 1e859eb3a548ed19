"""From a batch of arrays to rows of the two tables of counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from foveate.core.labels import LabelSchema
from foveate.metrics import table

PIXELS: table.Columns = {
    "image": str, "group": str, "label": str,
    "tp": int, "fp": int, "fn": int, "tn": int, "probability": float, "truth": int,
}  # fmt: skip
ANSWERS: table.Columns = {
    "image": str, "group": str, "question": str, "answer": str,
    "probability": float, "truth": int, "given": int,
}  # fmt: skip
LOOKS: table.Columns = {
    "image": str, "group": str, "question": str,
    "cue": float, "share": float, "mask": float, "hit": float, "dice": float,
}  # fmt: skip


def pixel_rows(
    schema: LabelSchema,
    *,
    images: Sequence[str],
    groups: Sequence[str],
    probability: Float[np.ndarray, "b p h w"],
    predicted: Bool[np.ndarray, "b p h w"],
    masks: Bool[np.ndarray, "b l h w"],
    known: Bool[np.ndarray, "b l h w"],
) -> dict[str, np.ndarray]:
    """A row for each image and label of which a pixel is known, image by image (arguments: `Counts.of`)."""
    p = probability.shape[1]
    if predicted.shape != probability.shape or p not in (0, len(schema.labels)):
        raise ValueError(
            f"probability has shape {probability.shape}, predicted {predicted.shape}; both need (b, labels, h, w) "
            f"with labels = {len(schema.labels)}, or 0 where none are marked"
        )
    if masks.shape != known.shape or (p and masks.shape != probability.shape):
        raise ValueError(
            f"masks {masks.shape} and known {known.shape} need the shape of probability {probability.shape}"
        )
    if not len(images) == len(groups) == len(probability) == len(masks):
        raise ValueError(
            f"images={len(images)}, groups={len(groups)}, probability={len(probability)}, masks={len(masks)}; "
            "give each for every image"
        )
    seen = known[:, :p]
    truth, marked = masks[:, :p] & seen, predicted & seen
    total, tp = np.count_nonzero(seen, (2, 3)), np.count_nonzero(truth & marked, (2, 3))
    fn, fp = np.count_nonzero(truth, (2, 3)) - tp, np.count_nonzero(marked, (2, 3)) - tp
    highest = np.max(probability, (2, 3), initial=-np.inf, where=seen)
    at, label = np.nonzero(total)
    values = {
        "image": np.asarray(images, str)[at], "group": np.asarray(groups, str)[at],
        "label": np.asarray(schema.labels, str)[label],
        "tp": tp[at, label], "fp": fp[at, label], "fn": fn[at, label], "tn": (total - tp - fp - fn)[at, label],
        "probability": highest[at, label], "truth": (tp + fn)[at, label] > 0,
    }  # fmt: skip
    return table.build(PIXELS, values)


def answer_rows(
    schema: LabelSchema,
    *,
    images: Sequence[str],
    groups: Sequence[str],
    answer_probability: Mapping[str, np.ndarray],
    given: Mapping[str, np.ndarray],
    answers: Int[np.ndarray, "b q"],
) -> dict[str, np.ndarray]:
    """A row for each answer of an image and question whose truth is known, image by image (arguments: `Counts.of`)."""
    names = [q.name for q in schema.questions]
    if set(given) != set(answer_probability) or set(given) - set(names):
        raise ValueError(
            f"given={sorted(given)} and answer_probability={sorted(answer_probability)} "
            f"must name the same questions of {names}"
        )
    b = len(images)
    if answers.shape != (b, len(names)) or len(groups) != b:
        raise ValueError(
            f"answers has shape {answers.shape}, groups={len(groups)}; they need {(b, len(names))} and {b}"
        )
    image, group = np.asarray(images, str), np.asarray(groups, str)
    parts, place = [table.build(ANSWERS, dict.fromkeys(ANSWERS, ()))], [np.zeros(0, np.int64)]
    for position, q in enumerate(schema.questions):
        if q.name not in given:
            continue
        probability, chosen, k = answer_probability[q.name], given[q.name], len(q.answers)
        if probability.shape != (b, k) or chosen.shape != (b,):
            raise ValueError(
                f"question {q.name!r}: answer_probability has shape {probability.shape}, given {chosen.shape}; "
                f"they need {(b, k)} and {(b,)}"
            )
        at = np.flatnonzero(answers[:, position] >= 0)
        values = {
            "image": image[at].repeat(k), "group": group[at].repeat(k),
            "question": np.full(len(at) * k, q.name), "answer": np.tile(np.asarray(q.answers, str), len(at)),
            "probability": probability[at].ravel(),
            "truth": (answers[at, position, None] == np.arange(k)).ravel(),
            "given": (chosen[at, None] == np.arange(k)).ravel(),
        }  # fmt: skip
        parts.append(table.build(ANSWERS, values))
        place.append(at.repeat(k))
    return table.rows(table.stack(parts), np.argsort(np.concatenate(place), kind="stable"))
