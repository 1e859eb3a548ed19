"""Whether an answer can be guessed without looking at the retina: from the source, the size, the kind of file.

A network finds such a shortcut before it finds a lesion, and a test set from the same sources does not show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Float, Int

from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data.inspect_files import FileFacts

FOLDS, SHUFFLES = 5, 200
LEAST = 20  # groups below which nothing is reported
RARE = 5  # groups below which an answer is left out
MARGIN = 0.1  # balanced accuracy above chance from which a shortcut is reported
KINDS = 20  # different values from which a number is cut into fifths


@dataclass(frozen=True)
class Shortcut:
    """An answer that follows from something that is not in the retina.

    Args:
        question: what is asked, or "any LABEL" for whether a label is marked at all.
        feature: what it can be guessed from.
        accuracy: balanced accuracy of "the commonest answer for that value, each answer weighed alike", by
            cross-validation.
        chance: 1 / number of answers.
        limit: what 99 % of shuffled answers stay below.
        information: normalised mutual information (over the mean of both entropies), in [0, 1].
        images: one a group.
    """

    question: str
    feature: str
    accuracy: float
    chance: float
    limit: float
    information: float
    images: int

    def __str__(self) -> str:
        return (
            f"{self.question} can be guessed from the {self.feature} alone: balanced accuracy {self.accuracy:.2f} "
            f"(chance {self.chance:.2f}, 99 % of shuffled answers below {self.limit:.2f}; normalised mutual "
            f"information {self.information:.2f}; {self.images} images, one a group)"
        )


def find_shortcuts(
    rows: Sequence[Row], found: Sequence[FileFacts], schema: LabelSchema, *, seed: int = 0
) -> tuple[Shortcut, ...]:
    """Answers that can be guessed from source, image size, aspect, kind of file or brightness; the surest first.

    One image per group counts (`Row.group`, drawn by the seed), so that a patient with many images counts once. A
    shortcut is reported if it beats chance by 0.1, and 99 % of shuffled answers. It is only a warning, because a
    disease may really look darker.

    Args:
        rows: all of a manifest.
        found: what `inspect_row` found of each.
        schema: its questions; whether a label is marked at all is asked too.
        seed: of the draw, the folds and the shuffles.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    chosen = sorted({rows[i].group: int(i) for i in order if found[i].pixels}.values())
    features = _features([rows[i] for i in chosen], [found[i] for i in chosen])
    out = []
    for question, answers in _answers([rows[i] for i in chosen], [found[i] for i in chosen], schema).items():
        counts = np.bincount(answers[answers >= 0], minlength=1)
        use = np.isin(answers, np.flatnonzero(counts >= RARE))
        if use.sum() < LEAST or (counts >= RARE).sum() < 2:
            continue
        truth = np.unique(answers[use], return_inverse=True)[1]
        for feature, values in features.items():
            value = np.unique(values[use], return_inverse=True)[1]
            if value.max() > 0 and (hint := _hint(question, feature, value, truth, rng)) is not None:
                out.append(hint)
    return tuple(sorted(out, key=lambda hint: (hint.chance - hint.accuracy, hint.question, hint.feature)))


def accuracy(value: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"], fold: Int[np.ndarray, " n"]) -> float:
    """Balanced accuracy of the commonest answer for each value, each answer weighed alike, learnt on the other folds.

    Args:
        value: what to guess from, from 0.
        truth: the answer, from 0; every one is there.
        fold: which fold each is in, from 0.
    """
    shape = (int(fold.max()) + 1, int(value.max()) + 1, int(truth.max()) + 1)
    flat = np.ravel_multi_index((fold, value, truth), shape)
    counts = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)
    train = counts.sum(0) - counts
    share = train / np.maximum(train.sum(1, keepdims=True), 1)
    unseen = train.sum(2) == 0
    guess = np.where(unseen, train.sum(1).argmax(1)[:, None], share.argmax(2))
    right = np.take_along_axis(counts, guess[..., None], 2)[..., 0]
    hit = np.zeros(shape[2])
    np.add.at(hit, guess, right)
    return float((hit / counts.sum((0, 1))).mean())


def information(value: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"]) -> float:
    """Mutual information over the mean of both entropies; 0 where both are constant."""
    joint = np.zeros((value.max() + 1, truth.max() + 1))
    np.add.at(joint, (value, truth), 1 / len(value))
    each = _entropy(joint.sum(1)) + _entropy(joint.sum(0))
    return 2 * (each - _entropy(joint.ravel())) / each if each > 0 else 0.0


def _hint(
    question: str, feature: str, value: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"], rng: np.random.Generator
) -> Shortcut | None:
    fold = np.empty(len(truth), np.int64)  # stratified: every answer goes round the folds
    order = np.lexsort((rng.random(len(truth)), truth))
    fold[order] = np.arange(len(truth)) % FOLDS
    got, chance = accuracy(value, truth, fold), 1 / (int(truth.max()) + 1)
    if got < chance + MARGIN:
        return None
    shuffled = [accuracy(rng.permutation(value), truth, fold) for _ in range(SHUFFLES)]
    limit = float(np.quantile(shuffled, 0.99))
    if got <= limit:
        return None
    return Shortcut(question, feature, got, chance, limit, information(value, truth), len(truth))


def _answers(rows: Sequence[Row], found: Sequence[FileFacts], schema: LabelSchema) -> dict[str, Int[np.ndarray, " n"]]:
    """Question -> position of each row's answer, -1 unknown; "any LABEL" -> 0, 1, -1."""
    out = {q.name: np.array([q.index(row.answers.get(q.name)) for row in rows], np.int64) for q in schema.questions}
    for i, label in enumerate(schema.labels):
        seen = [(int(f.marked[i] > 0) if f.known[i] else -1) if f.known else -1 for f in found]
        out[f"any {label}"] = np.array(seen, np.int64)
    return out


def _features(rows: Sequence[Row], found: Sequence[FileFacts]) -> dict[str, np.ndarray]:
    """Properties of a row that are known without looking at the image, as categories."""
    shapes = np.array([f.shape for f in found], np.float64).reshape(-1, 2)
    sizes = [f"{f.shape[0]} x {f.shape[1]}" for f in found]
    return {
        "source": np.array([row.source or "" for row in rows]),
        "image size": np.array(sizes) if len(set(sizes)) <= KINDS else _fifths(shapes.prod(1)),
        "aspect": _few(np.round(shapes[:, 1] / np.maximum(shapes[:, 0], 1), 2)),
        "kind of file": np.array([PurePosixPath(row.image).suffix.lower() for row in rows]),
        "brightness": _fifths(np.array([f.brightness for f in found])),
    }


def _few(values: Float[np.ndarray, " n"]) -> np.ndarray:
    return values if len(np.unique(values)) <= KINDS else _fifths(values)


def _fifths(values: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    return np.searchsorted(np.quantile(values, [0.2, 0.4, 0.6, 0.8]), values) if len(values) else np.zeros(0, np.int64)


def _entropy(share: Float[np.ndarray, " k"]) -> float:
    some = share[share > 0]
    return float(-(some * np.log(some)).sum())
