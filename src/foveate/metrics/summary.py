"""The metrics of a run under flat names: for logs, for model selection, and with intervals for tables.

They are the entries of `metrics/entries` whose ``logged`` is not "never"; `measure.logged` gives their names, and
``foveate list metrics`` describes them.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float

from foveate.metrics import interval
from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate
from foveate.metrics.listing import Named
from foveate.metrics.measure import logged, measure


def metrics(counts: Counts, weights: Float[np.ndarray, "r n"], *, absent: str = "exclude") -> Named[np.ndarray]:
    """The metrics of the summary; a statistic for `interval`.

    Args:
        counts: of the images.
        weights: how often each image of ``counts.images`` counts.
        absent: what an image free of a label scores: a name of ``segmentation.ABSENT``.
    """
    return measure(counts, weights, names=logged(counts), absent=absent)


def summary(counts: Counts, *, absent: str = "exclude") -> Named[float]:
    """The metrics, every image counting once; nan where undefined.

    Args:
        counts: of the images.
        absent: a name of ``segmentation.ABSENT``.
    """
    return interval.value(partial(metrics, absent=absent), counts)


def estimates(
    counts: Counts, *, absent: str = "exclude", repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> Named[Estimate]:
    """The metrics of `summary` with intervals by patient (`interval.interval`)."""
    return interval.interval(partial(metrics, absent=absent), counts, repeats=repeats, level=level, seed=seed)


def estimates_difference(
    a: Counts, b: Counts, *, absent: str = "exclude", repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> Named[Estimate]:
    """The metrics of ``a`` minus those of ``b`` on the same images, with paired intervals (`interval.difference`)."""
    return interval.difference(partial(metrics, absent=absent), a, b, repeats=repeats, level=level, seed=seed)
