"""Paired differences over seeds and patients: both are drawn again, so that neither alone decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, Statistic, draws


def seeds_difference(
    statistic: Statistic,
    a: Sequence[Counts],
    b: Sequence[Counts],
    *,
    metric: str,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Interval of the mean of ``a - b`` over seeds, on the same images.

    Each draw takes seeds with replacement and patients with replacement; both methods get the same patients, and seed
    k of one is paired with seed k of the other. With one seed only patients are drawn, and the interval does not know
    how much another seed would change.

    Args:
        statistic: as of `metrics.interval.interval`.
        a: counts of one method, one per seed.
        b: counts of the other, in the same order of seeds.
        metric: whose difference is wanted.
        repeats: number of draws.
        level: share of the draws inside the interval.
        seed: of the draws.

    Raises:
        ValueError: there are no seeds or not as many of both; a method has other images, or lacks the metric.
    """
    if not a or len(a) != len(b):
        raise ValueError(f"a has {len(a)} seeds and b {len(b)}; give as many of both, at least one")
    images = set(a[0].images)
    if any(set(counts.images) != images for counts in (*a, *b)):
        raise ValueError("the runs have different images; evaluate all of them on the same rows of one manifest")
    gaps, drawn = [], []
    for ours, theirs in zip(a, b, strict=True):
        whole = [_values(statistic, counts, np.ones((1, len(counts))), metric)[0] for counts in (ours, theirs)]
        gaps.append(whole[0] - whole[1])
        both = [
            np.concatenate([_values(statistic, counts, w, metric) for w in draws(counts, repeats=repeats, seed=seed)])
            for counts in (ours, theirs)
        ]
        drawn.append(both[0] - both[1])
    table = np.stack(drawn)
    chosen = np.random.default_rng([seed, 1]).integers(len(a), size=(len(a), repeats))
    means = np.take_along_axis(table, chosen, 0).mean(0)
    defined = means[~np.isnan(means)]
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]) if defined.size else (np.nan, np.nan)
    groups = len(set(a[0].groups.values()))
    return Estimate(float(np.mean(gaps)), float(low), float(high), len(a[0]), groups, repeats - defined.size)


def _values(statistic: Statistic, counts: Counts, weights: np.ndarray, metric: str) -> np.ndarray:
    found = statistic(counts, weights)
    if metric not in found:
        raise ValueError(f"metric {metric!r} must be one that both methods have, such as {list(found)[:5]}")
    return np.asarray(found[metric], float)
