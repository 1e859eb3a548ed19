"""Outputs to Predictions: probabilities, answers and masks of each image, on its own pixel grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float

from foveate.core import arrays
from foveate.core.arrays import Array
from foveate.core.components import without_small
from foveate.core.decisions import Decisions
from foveate.core.labels import LabelSchema
from foveate.core.shapes import Geometry
from foveate.core.types import Outputs, Prediction

Read = TypeVar("Read", bound=Prediction)

EVEN = 1e-4
"""Variation, as a share of its highest value, up to which a map counts as constant: resampling rounds."""


def read_out(
    outputs: Outputs,
    *,
    schema: LabelSchema,
    ids: Sequence[str],
    geometries: Sequence[Geometry],
    decisions: Decisions | None = None,
) -> list[Prediction]:
    """Turn a network's logits into one prediction per image of a batch.

    Args:
        outputs: logits; without pixel logits the predictions have no masks, without image logits no answers.
        schema: the meaning of the channels.
        ids: one per image.
        geometries: position of each frame in its original image; masks are decided on the original pixels.
        decisions: calibration, thresholds, gates and smallest lesions; None = the schema's own rules.

    Raises:
        ValueError: a gate needs the answer to a question that the network does not answer.
    """
    chosen = decisions or Decisions()
    answers = image_probabilities(outputs, schema, decisions=chosen)
    decided = schema.decide(answers, thresholds=chosen.thresholds) if answers else {}
    closed = chosen.closed(answers, schema)
    pixel = None if outputs.pixel is None else schema.pixel_probability(outputs.pixel)
    predictions = []
    for i, (name, geometry) in enumerate(zip(ids, geometries, strict=True)):
        maps: Any = empty(geometry) if pixel is None else arrays.clip(geometry.undo(pixel[i]), 0, 1)
        if closed and closed[i] and pixel is not None:
            maps = arrays.clip(schema.without(maps, closed[i]), 0, 1)
        predictions.append(
            Prediction(
                id=name,
                probabilities={
                    q: dict(zip(schema.question(q).answers, p[i].tolist(), strict=True)) for q, p in answers.items()
                },
                answers={q: schema.question(q).answers[index[i]] for q, index in decided.items()},
                probability=arrays.as_numpy(maps),
                masks=marked(maps, schema=schema, geometry=geometry, decisions=chosen),
                labels=schema.labels if pixel is not None else (),
            )
        )
    return predictions


def marked(
    maps: Float[Array, "l h w"], *, schema: LabelSchema, geometry: Geometry, decisions: Decisions
) -> Bool[np.ndarray, "l h w"]:
    """Pixels whose probability reaches the label's threshold, without parts that are too small.

    Args:
        maps: probability of each label in the original pixels; without labels if the network has no pixel logits.
        schema: the meaning of the channels.
        geometry: of the image: shares are of ``crop``, the part that the frame shows.
        decisions: its ``cuts`` and ``specks``.
    """
    masks: Bool[np.ndarray, "l h w"] = arrays.as_numpy(schema.masks(maps, thresholds=decisions.cuts))
    for label, share in decisions.specks.items() if len(masks) else ():
        at = schema.labels.index(label)
        largest = share * field_pixels(geometry) * (1 + 1e-9)  # share = area / field, rounded
        masks[at] = without_small(masks[at], largest)
    return masks


def field_pixels(geometry: Geometry) -> int:
    """Pixels of the part of the original image that the frame shows."""
    return geometry.crop[2] * geometry.crop[3]


def image_probabilities(
    outputs: Outputs, schema: LabelSchema, *, decisions: Decisions | None = None
) -> dict[str, Float[np.ndarray, "b _"]]:
    """Probability of every answer of every question, calibrated if ``decisions`` has temperatures.

    Empty without image logits.
    """
    if outputs.image is None:
        return {}
    logits = outputs.image if decisions is None else decisions.tempered(outputs.image, schema)
    return {q: arrays.as_numpy(p) for q, p in schema.image_probability(logits).items()}


def empty(geometry: Geometry) -> Float[np.ndarray, "0 h w"]:
    """An array of zero maps, with the size of the original image."""
    return np.zeros((0, *geometry.source), np.float32)


def presence_only(prediction: Prediction) -> tuple[str, ...]:
    """Labels for which a prediction states whether the image has them, but not where.

    Their map has one value above 0 in the whole frame that the network saw, and 0 outside. This frame is a rectangle of
    at least half the image's height and width. The networks in ``models.baselines.presence`` make such maps. A network
    that marks pixels never gives so many of them the same value. A map of zeros marks nothing and does not count.
    """
    return tuple(name for name, p in zip(prediction.labels, prediction.probability, strict=True) if _even(p))


def placed(prediction: Read) -> Read:
    """The prediction with only the labels whose place it shows, without those of `presence_only`."""
    whole = presence_only(prediction)
    if not whole:
        return prediction
    kept = [i for i, label in enumerate(prediction.labels) if label not in whole]
    return replace(
        prediction,
        probability=prediction.probability[kept],
        masks=prediction.masks[kept],
        labels=tuple(prediction.labels[i] for i in kept),
    )


def _even(probability: Float[np.ndarray, "h w"]) -> bool:
    """Whether a map is constant in one large rectangle and 0 outside."""
    seen = probability > 0
    rows, cols = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if not rows.size:
        return False
    part = probability[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    large = all(2 * own >= whole for own, whole in zip(part.shape, probability.shape, strict=True))
    return large and bool(part.min() >= (1 - EVEN) * part.max())
