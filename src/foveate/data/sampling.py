"""How often each training image is drawn, so that images with a rare label come often enough."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from foveate.core.labels import LabelSchema

if TYPE_CHECKING:
    from foveate.data.loader import Dataset

MOST = 8.0
"""Largest factor by which a rare label makes an image more likely: one image of a hundred would otherwise fill a third
of each epoch, and would be learnt by heart."""

ROUNDS = 200


def label_presence(data: Dataset, *, threads: int = 2) -> Int[np.ndarray, "n labels"]:
    """Per image and label 1 = some pixel has it, 0 = known to be free of it, -1 = unknown.

    Reads every image once, which fills the cache for the first epoch.

    Args:
        data: whose masks are read.
        threads: that read.
    """

    def of(index: int) -> Int[np.ndarray, " labels"]:
        sample = data.sample(index)
        known = sample.known.astype(bool)
        shown = (sample.masks.astype(bool) & known).any((1, 2))
        return np.where(shown, 1, np.where(known.any((1, 2)), 0, -1))

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        found = list(pool.map(of, range(len(data))))
    return np.array(found, np.int64).reshape(len(data), len(data.schema.labels))


def raised(
    weights: Float[np.ndarray, " n"],
    presence: Int[np.ndarray, "n labels"],
    *,
    share: float,
    groups: Int[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, " n"]:
    """Weights of `batches` by which each rare label is in at least a share of the drawn images that know it.

    A label is rare if it is in a smaller share of the images of which it is known, drawn by ``weights``; an image of
    which it is unknown counts neither as having it nor as free of it. Images with a rare label get a common factor, of
    at most `MOST`; a label whose share would need more stays below it.

    Args:
        weights: of the images before, none negative.
        presence: of `label_presence`.
        share: from 0 to below 1.
        groups: number per image; each group keeps its part of the weights (the answers that `balanced` evens out).

    Returns:
        weights whose sum is 1.
    """
    base = np.asarray(weights, float) / np.sum(weights)
    rare = [column for column in presence.T if 0 < drawn_share(base, column) < share]
    factor, level = np.ones(len(base)), np.ones(len(base))
    for _ in range(ROUNDS):
        before = factor * level
        for column in rare:
            now = drawn_share(base * factor * level, column)
            if 0 < now < share:
                up = share / (1 - share) * (1 - now) / now
                factor[column == 1] = np.minimum(factor[column == 1] * up, MOST)
        for group in () if groups is None else np.unique(groups):
            inside = groups == group
            if (mass := (base * factor)[inside].sum()) > 0:
                level[inside] = base[inside].sum() / mass
        if np.allclose(before, factor * level, rtol=1e-9, atol=0):
            break
    made = base * factor * level
    return np.asarray(made / made.sum())


def drawn_share(weights: Float[np.ndarray, " n"], column: Int[np.ndarray, " n"]) -> float:
    """Share of the drawn images that have a label, of those that know it; nan if none does.

    Args:
        weights: of the images.
        column: of `label_presence`.
    """
    known = weights[column >= 0].sum()
    return float(weights[column == 1].sum() / known) if known > 0 else float("nan")


def answer_groups(given: Sequence[str | None], schema: LabelSchema, question: str) -> Int[np.ndarray, " n"]:
    """Number of each image's answer, for `raised`; -1 = unknown.

    Args:
        given: answers as the manifest has them.
        schema: has the question.
        question: its name.
    """
    asked = schema.question(question)
    return np.array([asked.index(answer) for answer in given])


def spread(weights: Float[np.ndarray, " n"], rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    """As many indices as there are weights, in random order, each as often as its weight asks, rounded up or down.

    Independent draws would give a rare label with a share of a third 4 to 16 of 30 images; here images of equal weight
    follow each other, and marks at equal distances count them, so that their number is rounded too.

    Args:
        weights: none negative, not all 0.
        rng: of the epoch.
    """
    count = len(weights)
    mixed = rng.permutation(count)
    mixed = mixed[np.argsort(np.asarray(weights)[mixed], kind="stable")]
    ends = np.cumsum(np.asarray(weights, float)[mixed])
    marks = (rng.random() + np.arange(count)) / count * ends[-1]
    drawn = mixed[np.minimum(np.searchsorted(ends, marks, side="right"), count - 1)]
    return np.asarray(rng.permutation(drawn))
