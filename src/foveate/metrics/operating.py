"""The threshold of a yes/no question: where sensitivity and specificity are best together, by a rule.

Chosen on the very images that it is reported on (``image/harmonic``) it flatters; `best_point` chooses it on others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from foveate.metrics.counts import Counts, QuestionScores
from foveate.metrics.ranking import sweep
from foveate.metrics.weighted import ratio

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
    """The best point by a rule; of equal points that with the highest threshold. None if only one answer is known.

    The threshold is half way between the chosen score and the next one below, so that it does not depend on one image.

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
    sensitivity, specificity, threshold = _curves(
        scores.probability[:, 1], scores.truth, np.ones((1, len(scores.truth)))
    )
    worth = judge(sensitivity, specificity)[0]
    if np.isnan(worth).all():  # the surest answer is wrong already: nothing is "yes"
        return Point(float((threshold[0] + 1) / 2), 0.0, 1.0)
    at = int(np.nanargmax(worth))
    below = threshold[at + 1] if at + 1 < len(threshold) else threshold[at]
    return Point(float((threshold[at] + below) / 2), float(sensitivity[0, at]), float(specificity[0, at]))


def judged(rule: str) -> Callable[[Curve, Curve], Curve]:
    """The function that a rule maximises: sensitivity and specificity -> worth; nan for a point that the rule excludes.

    Raises:
        ValueError: no such rule, or its number is not between 0 and 1.
    """
    if rule in RULES:
        return RULES[rule]
    name, mark, text = rule.partition("=")
    try:
        least = float(text)
    except ValueError:
        least = -1.0
    if name not in LEAST or not mark or not 0 <= least <= 1:
        raise ValueError(
            f"rule must be one of {[*RULES, *(f'{name}=SHARE' for name in LEAST)]}, got {rule!r}; SHARE is from 0 to 1"
        )

    def worth(sensitivity: Curve, specificity: Curve) -> Curve:
        kept, other = (sensitivity, specificity) if name == "sensitivity" else (specificity, sensitivity)
        return np.where(kept >= least - 1e-9, other, np.nan)

    return worth


def called(scores: QuestionScores, weights: Float[np.ndarray, "r n"]) -> Bool[np.ndarray, "r m"]:
    """Which images score "yes" at the best point of each weighting.

    Args:
        scores: of a yes/no question, m images.
        weights: how often each of all n images counts.
    """
    if not len(scores.truth):
        return np.zeros((len(weights), 0), bool)
    _, _, _, threshold, at = swept(scores.probability[:, 1], scores.truth, weights[:, scores.image])
    return np.asarray(scores.probability[:, 1] >= threshold[at][:, None])


def swept(
    yes: Float[np.ndarray, " m"], truth: Int[np.ndarray, " m"], weights: Float[np.ndarray, "r m"]
) -> tuple[np.ndarray, ...]:
    """Harmonic mean, sensitivity and specificity ``(r, t)``, the thresholds ``(t,)`` and where it is best ``(r,)``.

    Args:
        yes: probability of "yes" in m images, at least one.
        truth: 1 = yes.
        weights: how often each of these images counts.
    """
    sensitivity, specificity, threshold = _curves(yes, truth, weights)
    mean = harmonic(sensitivity, specificity)
    return mean, sensitivity, specificity, threshold, np.where(np.isnan(mean), -1.0, mean).argmax(1)


def _curves(
    yes: Float[np.ndarray, " m"], truth: Int[np.ndarray, " m"], weights: Float[np.ndarray, "r m"]
) -> tuple[np.ndarray, ...]:
    """Sensitivity and specificity ``(r, t)`` and the thresholds ``(t,)``, the highest first."""
    hits, alarms, threshold = sweep(yes, truth, weights)
    sensitivity = ratio(hits, np.broadcast_to(hits[:, -1:], hits.shape))
    specificity = 1 - ratio(alarms, np.broadcast_to(alarms[:, -1:], alarms.shape))
    return sensitivity, specificity, threshold
