"""Intervals over patients and seeds: an interval over test images alone does not cover a second training.

Each draw takes patients again with replacement, the same ones for every training, and trainings again with replacement
(a crossed bootstrap). Ref.: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, Statistic, difference, interval, value
from foveate.metrics.listing import Named
from foveate.metrics.weighted import Metrics, over

ONE_SEED = "One training per method: the intervals cover patients only, so they cannot separate methods."


def seeds_note(seeds: int) -> str:
    """The note below a table on the number of trainings of each method.

    >>> seeds_note(3)
    '3 trainings per method: the intervals cover patients and seeds.'
    """
    return ONE_SEED if seeds < 2 else f"{seeds} trainings per method: the intervals cover patients and seeds."


def seed_interval(
    statistic: Statistic, seeds: Sequence[Counts], *, repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> Named[Estimate]:
    """Means over trainings with percentile intervals over patients and seeds; of one training, over patients.

    Few trainings spread too little when they are drawn again: the variance over seeds is (s - 1) / s of the true one.

    Args:
        statistic: as for `interval.interval`.
        seeds: counts of each training, of the same images.
        repeats: bootstrap draws.
        level: share of the draws inside the interval.
        seed: of the draws.

    Raises:
        ValueError: there is no training, or the trainings do not have the same images.
    """
    crossed = _crossed(statistic, seeds, first=_first(seeds), seed=seed + 1)
    return interval(crossed, _first(seeds), repeats=repeats, level=level, seed=seed)


def seed_difference(
    statistic: Statistic,
    a: Sequence[Counts],
    b: Sequence[Counts],
    *,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Named[Estimate]:
    """Means of ``a`` minus means of ``b``: patients are drawn for both together, the seeds of each by themselves.

    Args:
        statistic: as for `interval.interval`.
        a: counts of each training of one method.
        b: of the other, of the same images.
        repeats: bootstrap draws.
        level: share of the draws inside the interval.
        seed: of the draws.

    Raises:
        ValueError: a method has no training, or the trainings do not have the same images.
    """
    of_a = _crossed(statistic, a, first=_first(a), seed=seed + 1)
    of_b = _crossed(statistic, b, first=_first(b), seed=seed + 2)

    def both(counts: Counts, weights: Float[np.ndarray, "r n"]) -> Metrics:
        return (of_a if counts is a[0] else of_b)(counts, weights)

    return difference(both, a[0], b[0], repeats=repeats, level=level, seed=seed)


def seed_spread(statistic: Statistic, seeds: Sequence[Counts]) -> Named[float]:
    """Sample standard deviation of each metric over trainings, every image counting once; nan of one training."""
    found = [value(statistic, one) for one in seeds]
    names = [name for name in found[0] if all(name in one for one in found)]
    columns = {name: np.array([one[name] for one in found]) for name in names}
    return Named({name: float(one.std(ddof=1)) if len(one) > 1 else float("nan") for name, one in columns.items()})


def _crossed(statistic: Statistic, seeds: Sequence[Counts], *, first: Counts, seed: int) -> Statistic:
    """The mean of a statistic over trainings that are drawn again in each row of weights."""
    orders = [_order(first, one) for one in seeds]
    draw = _times(len(seeds), seed=seed)

    def mean(_: Counts, weights: Float[np.ndarray, "r n"]) -> Metrics:
        found = [statistic(one, weights[:, order]) for one, order in zip(seeds, orders, strict=True)]
        # The value itself, of one row of ones, takes every training once
        single = len(weights) == 1 and bool((weights == 1).all())
        times = np.ones((1, len(seeds)), int) if single else draw(len(weights))
        out: Metrics = {}
        for name in (name for name in found[0] if all(name in one for one in found)):
            values = np.stack([one[name] for one in found], 1)
            out[name] = over(np.take_along_axis(values, times, 1)) if not single else over(values)
        return out

    return mean


def _times(seeds: int, *, seed: int) -> Callable[[int], np.ndarray]:
    """Positions of the trainings of each draw, ``(r, seeds)``, as many rows as asked for, one after the other."""
    generator = np.random.default_rng(seed)
    return lambda rows: generator.integers(seeds, size=(rows, seeds))


def _first(seeds: Sequence[Counts]) -> Counts:
    if not seeds:
        raise ValueError("seeds is empty; give the counts of at least one training")
    return seeds[0]


def _order(first: Counts, other: Counts) -> np.ndarray:
    """Position in ``first`` of each image of another training."""
    if single := sorted(set(first.images) ^ set(other.images)):
        raise ValueError(f"seeds: images {single[:5]} are not in all trainings; evaluate all with the same rows")
    position = {image: at for at, image in enumerate(first.images)}
    return np.array([position[image] for image in other.images], np.int64)
