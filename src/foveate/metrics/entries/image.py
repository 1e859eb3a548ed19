"""Metrics of whole images: the answers of questions, and whether a label is there, read from its mask."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from foveate.metrics import found, grading, ranking, segmentation
from foveate.metrics.metric import Metric
from foveate.metrics.parts import Part, QuestionPart, Values


def present(score: segmentation.Score) -> Callable[[Part], Values]:
    """The score of "the image has the label", which is called if a known pixel was given the label."""

    @wraps(score)
    def values(part: Part) -> Values:
        truth, called = part["truth"] > 0, part["tp"] + part["fp"] > 0
        cells = (truth & called, ~truth & called, truth & ~called, ~truth & ~called)
        return score(*(part.number(cell) for cell in cells))

    return values


def present_by(rank: ranking.Ranked) -> Callable[[Part], Values]:
    """The same from the highest probability of a known pixel."""

    @wraps(rank)
    def values(part: Part) -> Values:
        return rank(part["probability"], part["truth"], part.weights)

    return values


def answer(score: segmentation.Score) -> Callable[[QuestionPart], np.ndarray]:
    """The score of each answer against the rest."""

    @wraps(score)
    def values(part: QuestionPart) -> np.ndarray:
        return score(*part.cells)

    return values


def answer_by(rank: ranking.Ranked) -> Callable[[QuestionPart], np.ndarray]:
    """The same from the probability of each answer."""

    @wraps(rank)
    def values(part: QuestionPart) -> np.ndarray:
        columns = enumerate(part["probability"].T)
        return np.stack([rank(one, (part["truth"] == k).astype(np.int64), part.weights) for k, one in columns], 1)

    return values


F1 = answer(segmentation.dice)

METRICS = (
    Metric("image/found", "found", found.found, table=False),
    Metric("image/false_alarms", "false alarms", found.false_alarms, better="lower", silent=True, table=False),
    Metric("image/presence_f1", "presence F1", present(segmentation.dice), table=False),
    Metric(
        "image/presence_accuracy", "presence accuracy", present(segmentation.accuracy), silent=True, logged="never",
        table=False,
    ),
    Metric(
        "image/presence_sensitivity", "presence sensitivity", present(segmentation.sensitivity), logged="never",
        table=False,
    ),
    Metric(
        "image/presence_specificity", "presence specificity", present(segmentation.specificity), silent=True,
        logged="never", table=False,
    ),
    Metric("image/presence_auc", "presence AUC", present_by(ranking.auc), logged="never", table=False),
    Metric("image/presence_ap", "presence AP", present_by(ranking.average_precision), logged="never", table=False),
    Metric("image/auc", "AUC", answer_by(ranking.auc), of="question"),
    Metric("image/ap", "AP", answer_by(ranking.average_precision), of="question"),
    Metric(
        "image/accuracy", "accuracy", answer(segmentation.accuracy), of="question", whole=grading.overall_accuracy
    ),
    Metric("image/sensitivity", "sensitivity", answer(segmentation.sensitivity), of="question", logged="answers"),
    Metric("image/specificity", "specificity", answer(segmentation.specificity), of="question", logged="answers"),
    Metric("image/precision", "precision", answer(segmentation.precision), of="question", logged="never", table=False),
    Metric("image/f1", "F1", F1, of="question"),
    Metric("image/kappa", "κ", grading.plain_kappa, of="question"),
    Metric("image/qkappa", "quadratic κ", grading.quadratic_kappa, of="question"),
    Metric("image/f1_macro", "macro F1", grading.f1_macro, of="question", logged="never", table=False),
    Metric("image/f1_weighted", "weighted F1", grading.f1_weighted, of="question", logged="never", table=False),
    Metric("image/brier", "Brier score", grading.brier, of="question", better="lower", table=False),
    Metric("image/nll", "negative log-likelihood", grading.likelihood, of="question", better="lower", table=False),
    Metric("image/skill", "Brier skill", grading.skill, of="question", table=False),
    Metric("image/harmonic", "best harmonic mean", grading.best_harmonic, of="question", logged="never", table=False),
    Metric(
        "image/harmonic_sensitivity", "sensitivity at best harmonic mean", grading.best_sensitivity, of="question",
        logged="never", table=False,
    ),
    Metric(
        "image/harmonic_specificity", "specificity at best harmonic mean", grading.best_specificity, of="question",
        logged="never", table=False,
    ),
)  # fmt: skip
