"""Metrics of the answers: accuracy, kappa, F1, Brier score, likelihood, confusion matrix, ROC.

A yes/no question has the value of "yes"; any other the mean over its answers, one against the rest. What is undefined
(one class only) is nan, never 0, and means leave it out.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from foveate.core.kappa import kappa
from foveate.metrics.counts import Counts, QuestionScores
from foveate.metrics.parts import QuestionPart, Values
from foveate.metrics.ranking import Roc
from foveate.metrics.ranking import roc as roc_of
from foveate.metrics.segmentation import dice
from foveate.metrics.weighted import mean, over, ratio

LEAST = 1e-7
"""Probability of the true answer below which its logarithm is not taken."""


def confusion(scores: QuestionScores, weights: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r k k"]:
    """Confusion matrices, one a weighting: ``[truth, given]``, summed weights of the images."""
    k = scores.probability.shape[1]
    cells: np.ndarray = weights[:, scores.image] @ np.eye(k * k)[scores.truth * k + scores.given]
    return cells.reshape(-1, k, k)


def plain_kappa(part: QuestionPart) -> Values:
    """Cohen's kappa of the answers given and the true ones.

    >>> from foveate.core.labels import Question
    >>> from foveate.metrics.parts import question_of
    >>> plain_kappa(question_of(Question("dr"), [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]], [0, 0, 1, 1]))
    array([0.5])
    """
    return kappa(part.matrix)


def quadratic_kappa(part: QuestionPart) -> Values:
    """Cohen's kappa with quadratic weights; nan for three or more answers without an order (two always have one).

    >>> from foveate.core.labels import Question
    >>> from foveate.metrics.parts import question_of
    >>> grade = Question("grade", ("0", "1", "2"), ordered=True)
    >>> quadratic_kappa(question_of(grade, [[0.9, 0.1, 0], [0, 0.8, 0.2], [0, 0.6, 0.4]], [0, 1, 2])).round(3)
    array([0.667])
    """
    ordered = part.question.ordered or len(part.question.answers) == 2
    return kappa(part.matrix, power=2) if ordered else np.full(len(part.matrix), np.nan)


def overall_accuracy(part: QuestionPart) -> Values:
    """Share of images that are answered rightly.

    >>> from foveate.core.labels import Question
    >>> from foveate.metrics.parts import question_of
    >>> overall_accuracy(question_of(Question("dr"), [[0.9, 0.1], [0.4, 0.6]], [0, 0]))
    array([0.5])
    """
    return ratio(np.trace(part.matrix, axis1=1, axis2=2), part.matrix.sum((1, 2)))


def f1_macro(part: QuestionPart) -> Values:
    """F1 of each answer against the rest, its mean over the answers.

    >>> from foveate.core.labels import Question
    >>> from foveate.metrics.parts import question_of
    >>> f1_macro(question_of(Question("dr"), [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], [0, 0, 1])).round(3)
    array([0.667])
    """
    return over(dice(*part.cells))


def f1_weighted(part: QuestionPart) -> Values:
    """F1 of each answer against the rest, its mean by the number of images with that answer.

    >>> from foveate.core.labels import Question
    >>> from foveate.metrics.parts import question_of
    >>> f1_weighted(question_of(Question("dr"), [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], [0, 0, 1])).round(3)
    array([0.667])
    """
    support = part.matrix.sum(2)
    return ratio(np.nansum(support * dice(*part.cells), 1), support.sum(1))


def brier(part: QuestionPart) -> Values:
    """Brier score (Brier 1950): mean squared distance of the probabilities from the truth.

    Mean over images of ``(p - y)^2`` for a yes/no question, with p the probability of "yes" and y = 1 if that is true,
    so 0.25 for p = 0.5; of ``sum_k (p_k - y_k)^2`` over all answers for any other, up to 2. nan if no image counts.

    >>> from foveate.core.labels import Question
    >>> from foveate.metrics.parts import question_of
    >>> brier(question_of(Question("dr"), [[0.5, 0.5], [0.0, 1.0]], [0, 1]))
    array([0.125])
    """
    gaps = (part["probability"] - np.eye(len(part.question.answers))[part["truth"]]) ** 2
    return part.mean(gaps[:, 1] if part.question.yes_no else gaps.sum(1))


def likelihood(part: QuestionPart) -> Values:
    """Negative log-likelihood: mean of ``-ln p`` of the true answer, in nats.

    p is clipped at 1e-7, so at most 16.1.

    >>> from foveate.core.labels import Question
    >>> from foveate.metrics.parts import question_of
    >>> likelihood(question_of(Question("dr"), [[0.5, 0.5], [0.0, 1.0]], [0, 1])).round(4)
    array([0.3466])
    """
    right = part["probability"][np.arange(len(part["truth"])), part["truth"]]
    return part.mean(-np.log(right.clip(LEAST, 1.0)))


def skill(part: QuestionPart) -> Values:
    """Brier skill score (Murphy 1973): 1 - brier / brier of the constant forecast by the shares of the answers.

    1 = perfect, 0 = no better than knowing how common each answer is among these images.

    >>> from foveate.core.labels import Question
    >>> from foveate.metrics.parts import question_of
    >>> skill(question_of(Question("dr"), [[0.5, 0.5], [0.0, 1.0]], [0, 1]))
    array([0.5])
    """
    shares = mean(np.eye(len(part.question.answers))[part["truth"]], part.weights)
    spread = shares[:, 1] * shares[:, 0] if part.question.yes_no else (shares * (1 - shares)).sum(1)
    return 1 - ratio(brier(part), spread)


def best_harmonic(part: QuestionPart) -> Values | None:
    """Best harmonic mean of sensitivity and specificity over all thresholds; None unless the question is yes/no.

    The point is chosen anew on every draw, on the images that it is reported on, as papers do; it flatters small sets.

    >>> from foveate.core.labels import Question
    >>> from foveate.metrics.parts import question_of
    >>> best_harmonic(question_of(Question("dr"), [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], [0, 0, 1]))
    array([1.])
    """
    return part.best[0] if part.question.yes_no else None


def best_sensitivity(part: QuestionPart) -> Values | None:
    """Sensitivity at the threshold of `best_harmonic`.

    >>> from foveate.core.labels import Question
    >>> from foveate.metrics.parts import question_of
    >>> best_sensitivity(question_of(Question("dr"), [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], [0, 0, 1]))
    array([1.])
    """
    return part.best[1] if part.question.yes_no else None


def best_specificity(part: QuestionPart) -> Values | None:
    """Specificity at the threshold of `best_harmonic`.

    >>> from foveate.core.labels import Question
    >>> from foveate.metrics.parts import question_of
    >>> best_specificity(question_of(Question("dr"), [[0.9, 0.1], [0.7, 0.3], [0.8, 0.2]], [0, 0, 1]))
    array([0.5])
    """
    return part.best[2] if part.question.yes_no else None


def roc(counts: Counts, *, question: str, answer: str = "yes") -> Roc:
    """ROC curve of one answer against the rest.

    Raises:
        ValueError: there is no such question or answer.
    """
    position, scores = counts.schema.question(question).index(answer), counts.questions[question]
    return roc_of(scores.probability[:, position], (scores.truth == position).astype(np.int64))
