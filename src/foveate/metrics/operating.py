"""The threshold of a yes/no question: where the harmonic mean of sensitivity and specificity is best.

Chosen on the very images that it is reported on (`figures`) it flatters; `best_harmonic` serves to choose it on others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from foveate.metrics.counts import Counts, QuestionScores
from foveate.metrics.ranking import sweep
from foveate.metrics.weighted import Figures, ratio, with_means

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


def best_harmonic(counts: Counts, question: str) -> Point | None:
    """The point with the best harmonic mean; of equal ones that of the highest threshold. None where it is undefined.

    Between the chosen score and the next one below the threshold lies half way, so that it does not cling to an image.

    Args:
        counts: of validation images.
        question: yes/no.

    Raises:
        ValueError: the question is not yes/no.
    """
    if not counts.schema.question(question).yes_no:
        raise ValueError(f"question={question!r} is not yes/no; it has no threshold")
    scores = counts.questions[question]
    if len(np.unique(scores.truth)) < 2:
        return None
    _, (sensitivity,), (specificity,), threshold, (at,) = _swept(scores, np.ones((1, len(counts))))
    below = threshold[at + 1] if at + 1 < len(threshold) else threshold[at]
    return Point(float((threshold[at] + below) / 2), float(sensitivity[at]), float(specificity[at]))


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
    hits, alarms, threshold = sweep(scores.probability[:, 1], scores.truth, weights[:, scores.image])
    sensitivity = ratio(hits, np.broadcast_to(hits[:, -1:], hits.shape))
    specificity = 1 - ratio(alarms, np.broadcast_to(alarms[:, -1:], alarms.shape))
    mean = ratio(2 * sensitivity * specificity, sensitivity + specificity)
    return mean, sensitivity, specificity, threshold, np.where(np.isnan(mean), -1.0, mean).argmax(1)
