"""The threshold of a yes/no question: where sensitivity and specificity are best together, by a rule.

Chosen on the very images that it is reported on (`figures`) it flatters; `best_point` serves to choose it on others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from foveate.metrics.counts import Counts, QuestionScores
from foveate.metrics.ranking import sweep
from foveate.metrics.weighted import Figures, ratio, with_means

Curve = Float[np.ndarray, "r t"]


def harmonic(sensitivity: Curve, specificity: Curve) -> Curve:
    """Their harmonic mean (Son et al. 2018); nan where both are 0."""
    return ratio(2 * sensitivity * specificity, sensitivity + specificity)


def youden(sensitivity: Curve, specificity: Curve) -> Curve:
    """Youden's J (1950): sensitivity + specificity - 1."""
    found: Curve = sensitivity + specificity - 1
    return found


RULES: dict[str, Callable[[Curve, Curve], Curve]] = {"harmonic": harmonic, "youden": youden}
"""What is highest at the chosen point."""

LEAST = ("sensitivity", "specificity")
"""Rules with a number, as "sensitivity=0.95": the best of the other that keeps this one at least so high."""

NAMES = ("harmonic", "harmonic_sensitivity", "harmonic_specificity")


@dataclass(frozen=True)
class Point:
    """An operating point: "yes" from the threshold on."""

    threshold: float
    sensitivity: float
    specificity: float

    @property
    def harmonic(self) -> float:
        """Harmonic mean of sensitivity and specificity; 0 where both are."""
        total = self.sensitivity + self.specificity
        return 2 * self.sensitivity * self.specificity / total if total else 0.0


def best_point(counts: Counts, question: str, *, rule: str = "harmonic") -> Point | None:
    """The best point by a rule; of equal ones that of the highest threshold. None where only one answer is known.

    Between the chosen score and the next one below the threshold lies half way, so that it does not cling to an image.

    Args:
        counts: of validation images.
        question: yes/no.
        rule: a name of `RULES`, or "sensitivity=0.95", "specificity=0.95": the best of the other with at least that
            much of the one named.

    Raises:
        ValueError: the question is not yes/no, or the rule is none.
    """
    judge = judged(rule)
    if not counts.schema.question(question).yes_no:
        raise ValueError(f"question={question!r} is not yes/no; it has no threshold")
    scores = counts.questions[question]
    if len(np.unique(scores.truth)) < 2:
        return None
    sensitivity, specificity, threshold = _curves(scores, np.ones((1, len(counts))))
    worth = judge(sensitivity, specificity)[0]
    if np.isnan(worth).all():  # the surest answer is wrong already: nothing is "yes"
        return Point(float((threshold[0] + 1) / 2), 0.0, 1.0)
    at = int(np.nanargmax(worth))
    below = threshold[at + 1] if at + 1 < len(threshold) else threshold[at]
    return Point(float((threshold[at] + below) / 2), float(sensitivity[0, at]), float(specificity[0, at]))


def judged(rule: str) -> Callable[[Curve, Curve], Curve]:
    """What a rule makes highest: sensitivity and specificity -> worth; nan where a point is out of question.

    Raises:
        ValueError: no such rule, or its number is no share.
    """
    if rule in RULES:
        return RULES[rule]
    name, mark, text = rule.partition("=")
    try:
        least = float(text)
    except ValueError:
        least = -1.0
    if name not in LEAST or not mark or not 0 <= least <= 1:
        raise ValueError(f"rule={rule!r} is none of {[*RULES, *(f'{name}=SHARE' for name in LEAST)]}")

    def worth(sensitivity: Curve, specificity: Curve) -> Curve:
        kept, other = (sensitivity, specificity) if name == "sensitivity" else (specificity, sensitivity)
        return np.where(kept >= least - 1e-9, other, np.nan)

    return worth


def figures(counts: Counts, weights: Float[np.ndarray, "r n"]) -> Figures:
    """Best harmonic mean of each yes/no question, sensitivity and specificity there; a statistic for `interval`.

    The point is chosen anew on every draw, on the images it is reported on, as papers do; it flatters small sets.

    Args:
        counts: of the images.
        weights: how often each image of ``counts.images`` counts.
    """
    parts: dict[str, Figures] = {}
    rows = np.arange(len(weights))
    for q in counts.schema.questions:
        scores = counts.questions[q.name]
        if not q.yes_no:
            continue
        if not len(scores.truth):
            parts[q.name] = {name: np.full(len(weights), np.nan) for name in NAMES}
            continue
        mean, sensitivity, specificity, _, at = _swept(scores, weights)
        found = (mean, sensitivity, specificity)
        parts[q.name] = {name: values[rows, at] for name, values in zip(NAMES, found, strict=True)}
    return with_means(parts)


def called(scores: QuestionScores, weights: Float[np.ndarray, "r n"]) -> Bool[np.ndarray, "r m"]:
    """Which images score "yes" at the best point of each weighting.

    Args:
        scores: of a yes/no question, m images.
        weights: how often each of all n images counts.
    """
    if not len(scores.truth):
        return np.zeros((len(weights), 0), bool)
    _, _, _, threshold, at = _swept(scores, weights)
    return np.asarray(scores.probability[:, 1] >= threshold[at][:, None])


def _swept(scores: QuestionScores, weights: Float[np.ndarray, "r n"]) -> tuple[np.ndarray, ...]:
    """Harmonic mean, sensitivity and specificity ``(r, t)``, the thresholds ``(t,)`` and where the mean is best."""
    sensitivity, specificity, threshold = _curves(scores, weights)
    mean = harmonic(sensitivity, specificity)
    return mean, sensitivity, specificity, threshold, np.where(np.isnan(mean), -1.0, mean).argmax(1)


def _curves(scores: QuestionScores, weights: Float[np.ndarray, "r n"]) -> tuple[np.ndarray, ...]:
    """Sensitivity and specificity ``(r, t)`` and the thresholds ``(t,)``, the highest first."""
    hits, alarms, threshold = sweep(scores.probability[:, 1], scores.truth, weights[:, scores.image])
    sensitivity = ratio(hits, np.broadcast_to(hits[:, -1:], hits.shape))
    specificity = 1 - ratio(alarms, np.broadcast_to(alarms[:, -1:], alarms.shape))
    return sensitivity, specificity, threshold
