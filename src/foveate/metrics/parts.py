"""Parts of the counts, which a metric's function gets: a label, question or finding, under many weightings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from foveate.core.labels import Question
from foveate.metrics import operating
from foveate.metrics.counts import LabelCounts, QuestionScores
from foveate.metrics.weighted import mean

Weights = Float[np.ndarray, "r m"]
Values = Float[np.ndarray, " r"]


class Part:
    """Named columns of m images and how often each image counts.

    Args:
        columns: name -> one value per image.
        weights: ``(r, m)``.
    """

    def __init__(self, columns: Mapping[str, np.ndarray], weights: Weights) -> None:
        self.columns, self.weights = columns, weights

    def __getitem__(self, name: str) -> np.ndarray:
        """A column.

        Raises:
            ValueError: the counts have no such column.

        >>> part_of(tp=[3], fp=[1])["distance"]
        Traceback (most recent call last):
        ValueError: the counts have no column 'distance'; they have ['tp', 'fp']
        """
        if name not in self.columns:
            raise ValueError(f"the counts have no column {name!r}; they have {list(self.columns)}")
        return self.columns[name]

    def total(self, name: str) -> Values:
        """Weighted sum of a column over the images.

        >>> part_of(tp=[3, 5]).total("tp")
        array([8.])
        """
        return self.number(self[name])

    def number(self, values: np.ndarray) -> Values:
        """Weighted sum of one value per image; of a condition the weighted number of images."""
        found: Values = self.weights @ values.astype(np.float64)
        return found

    def mean(self, values: np.ndarray) -> Values:
        """Weighted mean of one value per image over the images where it is defined.

        >>> part_of(tp=[3, 5]).mean(np.array([1.0, np.nan]))
        array([1.])
        """
        return mean(np.asarray(values, np.float64)[:, None], self.weights)[:, 0]


class LabelPart(Part):
    """One label: columns ``tp``, ``fp``, ``fn``, ``tn``, ``probability``, ``truth``, and others of the counts."""

    def __init__(self, counts: LabelCounts, weights: Float[np.ndarray, "r n"]) -> None:
        columns = {name: getattr(counts, name) for name in LabelCounts._fields[1:-1]} | dict(counts.more)
        super().__init__(columns, weights[:, counts.image])


class QuestionPart(Part):
    """One question: ``probability (m, k)``, ``truth (m,)`` and ``given (m,)``, positions of its k answers."""

    def __init__(self, question: Question, scores: QuestionScores, weights: Float[np.ndarray, "r n"]) -> None:
        super().__init__({name: getattr(scores, name) for name in scores._fields[1:]}, weights[:, scores.image])
        self.question, self.scores = question, scores

    @cached_property
    def matrix(self) -> Float[np.ndarray, "r k k"]:
        """Confusion matrices ``[truth, given]``, summed weights of the images."""
        k = len(self.question.answers)
        cells: np.ndarray = self.weights @ np.eye(k * k)[self["truth"] * k + self["given"]]
        return cells.reshape(-1, k, k)

    @cached_property
    def cells(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """tp, fp, fn, tn of each answer against the rest, ``(r, k)`` each."""
        tp = np.diagonal(self.matrix, axis1=1, axis2=2)
        fp, fn = self.matrix.sum(1) - tp, self.matrix.sum(2) - tp
        return tp, fp, fn, self.matrix.sum((1, 2))[:, None] - tp - fp - fn

    @cached_property
    def best(self) -> tuple[Values, Values, Values]:
        """Harmonic mean of sensitivity and specificity at the best threshold of each weighting, and both of them."""
        if not len(self["truth"]):
            nothing = np.full(len(self.weights), np.nan)
            return nothing, nothing, nothing
        rows = np.arange(len(self.weights))
        mean_, sensitivity, specificity, _, at = operating.swept(self["probability"][:, 1], self["truth"], self.weights)
        return mean_[rows, at], sensitivity[rows, at], specificity[rows, at]


class FindingPart(Part):
    """One finding's activation maps: ``cue``, ``share``, ``mask``, ``hit``, ``dice`` (`Counts.looks`), ``given`` (the
    answer; -1 = unknown) and ``called (r, m)``, whether the image scores "yes" at the best point of each weighting."""

    def __init__(self, columns: Mapping[str, np.ndarray], weights: Weights, called: Bool[np.ndarray, "r m"]) -> None:
        super().__init__(columns, weights)
        self.called = called

    def among(self, values: np.ndarray, chosen: Bool[np.ndarray, "r m"]) -> Values:
        """Weighted mean over chosen images, which may differ from weighting to weighting."""
        return mean(np.asarray(values, np.float64)[:, None], self.weights * chosen)[:, 0]


def part_of(**columns: Sequence[float]) -> Part:
    """Columns of images that count once each: for examples and tests.

    >>> part_of(tp=[3, 5]).weights
    array([[1., 1.]])
    """
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    return Part(arrays, np.ones((1, len(next(iter(arrays.values()))))))


def question_of(question: Question, probability: Sequence[Sequence[float]], truth: Sequence[int]) -> QuestionPart:
    """Answers of images that count once each, the likeliest being given: for examples and tests.

    >>> question_of(Question("dr"), [[0.9, 0.1], [0.4, 0.6]], [0, 0]).matrix
    array([[[1., 1.],
            [0., 0.]]])
    """
    scores = np.asarray(probability, np.float64)
    found = QuestionScores(np.arange(len(truth)), scores, np.asarray(truth), scores.argmax(1))
    return QuestionPart(question, found, np.ones((1, len(truth))))


def finding_of(called: Sequence[bool], **columns: Sequence[float]) -> FindingPart:
    """Maps of images that count once each: for examples and tests.

    >>> finding_of([True, False], cue=[0.8, 0.2]).mean(np.array([0.8, 0.2]))
    array([0.5])
    """
    plain = part_of(**columns)
    return FindingPart(plain.columns, plain.weights, np.asarray([called], bool))
