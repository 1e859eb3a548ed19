"""Figures of the answers: AUC, AP, accuracy, sensitivity, F1, kappa, Brier score, likelihood, confusion matrix, ROC.

Of a yes/no question the headline figure is that of "yes"; of any other the mean over its answers, one against the
rest. What is undefined (one class only) is nan, never 0, and means leave it out.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from foveate.core.labels import Question
from foveate.metrics.counts import Counts, QuestionScores
from foveate.metrics.ranking import Roc, auc, average_precision
from foveate.metrics.ranking import roc as roc_of
from foveate.metrics.segmentation import accuracy, dice, precision, sensitivity, specificity
from foveate.metrics.weighted import Figures, mean, over, ratio, with_means

RATES = {
    "sensitivity": sensitivity, "specificity": specificity, "precision": precision, "f1": dice, "accuracy": accuracy,
}  # fmt: skip
LESS_IS_BETTER = ("brier", "nll")
"""Figures of the answers that are the better the lower they are."""
LEAST = 1e-7
"""Probability of the true answer below which its logarithm is not taken."""


def confusion(scores: QuestionScores, weights: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r k k"]:
    """Confusion matrices, one a weighting: ``[truth, given]``, summed weights of the images."""
    k = scores.probability.shape[1]
    cells: np.ndarray = weights[:, scores.image] @ np.eye(k * k)[scores.truth * k + scores.given]
    return cells.reshape(-1, k, k)


def kappa(matrix: Float[np.ndarray, "r k k"], *, power: int = 0) -> Float[np.ndarray, " r"]:
    """Cohen's kappa = 1 - sum(w o) / sum(w e), o observed and e expected shares, w = ``|i - j| ** power``, 0 if i = j.

    Args:
        matrix: confusion matrices.
        power: 0 = plain kappa; 1 = linear, 2 = quadratic weights for ordered answers.

    Returns:
        kappa; nan where truth and answers are one and the same class throughout.

    >>> kappa(np.array([[[2.0, 1.0], [0.0, 1.0]]]))
    array([0.5])
    """
    k = matrix.shape[-1]
    distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    weight = (distance > 0) * distance.astype(np.float64) ** power
    expected = matrix.sum(-1)[..., :, None] * matrix.sum(-2)[..., None, :]
    total = matrix.sum((-2, -1))
    return 1 - ratio((weight * matrix).sum((-2, -1)) * total, (weight * expected).sum((-2, -1)))


def per_answer(scores: QuestionScores, weights: Float[np.ndarray, "r n"]) -> dict[str, Float[np.ndarray, "r k"]]:
    """AUC, AP, sensitivity, specificity, precision, F1 and accuracy of each answer against the rest."""
    drawn, matrix = weights[:, scores.image], confusion(scores, weights)
    tp = np.diagonal(matrix, axis1=1, axis2=2)
    fp, fn = matrix.sum(1) - tp, matrix.sum(2) - tp
    tn = matrix.sum((1, 2))[:, None] - tp - fp - fn
    out = {name: rate(tp, fp, fn, tn) for name, rate in RATES.items()}
    for name, figure in (("auc", auc), ("ap", average_precision)):
        columns = enumerate(scores.probability.T)
        out[name] = np.stack([figure(column, (scores.truth == k).astype(np.int64), drawn) for k, column in columns], 1)
    return out


def proper_scores(
    question: Question, scores: QuestionScores, weights: Float[np.ndarray, "r n"]
) -> dict[str, Float[np.ndarray, " r"]]:
    """Brier score, negative log-likelihood and Brier skill: how far the probabilities are from the truth.

    ``brier`` (Brier 1950), mean over images of ``(p - y)^2`` for a yes/no question, with p the probability of "yes" and
    y = 1 where that is true, so 0.25 for p = 0.5; of ``sum_k (p_k - y_k)^2`` over all answers for any other, up to 2.
    ``nll``, mean over images of ``-ln p`` of the true answer, in nats, p being clipped at 1e-7: up to 16.1.
    ``skill`` = 1 - brier / brier of the constant forecast by the shares of the answers among these images (Brier skill
    score, Murphy 1973): 1 = perfect, 0 = no better than knowing how common each answer is. More is better.

    Args:
        question: says which Brier score it is.
        scores: its probabilities and truth.
        weights: how often each of all n images counts; those whose answer is unknown do not.

    Returns:
        figure -> one value a weighting; nan where no image counts.
    """
    gaps = (scores.probability - np.eye(len(question.answers))[scores.truth]) ** 2
    right = scores.probability[np.arange(len(scores.truth)), scores.truth]
    each = {
        "brier": gaps[:, 1] if question.yes_no else gaps.sum(1),
        "nll": -np.log(right.clip(LEAST, 1.0)),
    }
    drawn = weights[:, scores.image]
    out = {name: mean(values[:, None], drawn)[:, 0] for name, values in each.items()}
    shares = mean(np.eye(len(question.answers))[scores.truth], drawn)
    spread = shares[:, 1] * shares[:, 0] if question.yes_no else (shares * (1 - shares)).sum(1)
    return out | {"skill": 1 - ratio(out["brier"], spread)}


def headline(
    question: Question, matrix: Float[np.ndarray, "r k k"], answers: dict[str, Float[np.ndarray, "r k"]]
) -> Figures:
    """One question's figures: those of "yes" or the mean over answers, and those of the whole matrix.

    ``f1_macro`` and ``f1_weighted`` (by the number of true images) are means over answers for every question.
    ``qkappa`` needs an order: nan for three or more answers without one (two always have one).

    Args:
        question: says which figure is the headline.
        matrix: its confusion matrices.
        answers: what `per_answer` gave.
    """
    support = matrix.sum(2)
    ranked = question.ordered or len(question.answers) == 2
    return {name: values[:, 1] if question.yes_no else over(values) for name, values in answers.items()} | {
        "accuracy": ratio(np.trace(matrix, axis1=1, axis2=2), matrix.sum((1, 2))),
        "f1_macro": over(answers["f1"]),
        "f1_weighted": ratio(np.nansum(support * answers["f1"], 1), support.sum(1)),
        "kappa": kappa(matrix),
        "qkappa": kappa(matrix, power=2) if ranked else np.full(len(matrix), np.nan),
    }


def figures(counts: Counts, weights: Float[np.ndarray, "r n"]) -> Figures:
    """All figures of the answers; a statistic for `interval`.

    Names: ``auc/<question>`` (of "yes", or the mean over answers), ``auc/<question>/<answer>``, and ``auc``, the mean
    over the questions that have one; so for ap, sensitivity, specificity, precision, f1, accuracy (of the question:
    the share of images answered rightly; of an answer: against the rest); without answers for f1_macro, f1_weighted,
    kappa, qkappa, brier, nll, skill.

    Args:
        counts: of the images.
        weights: how often each image of ``counts.images`` counts.
    """
    parts, answers = {}, {}
    for q in counts.schema.questions:
        scores = counts.questions[q.name]
        answers[q.name] = per_answer(scores, weights)
        parts[q.name] = headline(q, confusion(scores, weights), answers[q.name]) | proper_scores(q, scores, weights)
    return with_means(parts) | {
        f"{name}/{q.name}/{answer}": values[:, k]
        for q in counts.schema.questions
        for name, values in answers[q.name].items()
        for k, answer in enumerate(q.answers)
    }


def roc(counts: Counts, *, question: str, answer: str = "yes") -> Roc:
    """ROC curve of one answer against the rest.

    Raises:
        ValueError: there is no such question or answer.
    """
    position, scores = counts.schema.question(question).index(answer), counts.questions[question]
    return roc_of(scores.probability[:, position], (scores.truth == position).astype(np.int64))
