"""Intervals: whole patients are drawn again with replacement, and every metric is computed on each draw.

Two eyes, or two visits, of one patient are alike; drawing images one by one would make the interval too narrow. So the
group is drawn, with all its images. Ref.: Field and Welsh, "Bootstrapping clustered data", JRSS B 69 (2007).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from foveate.metrics.counts import Counts
from foveate.metrics.listing import Named
from foveate.metrics.weighted import Metrics

Statistic = Callable[[Counts, Float[np.ndarray, "r n"]], Metrics]
"""(counts, how often each image counts) -> metrics; many weightings are computed at once."""

AT_ONCE = 1_000_000
"""Weights held at a time (8 MB): 1000 repeats of the summary of 5000 images, 5 labels and 2 questions took 4.8 s and
650 MB; with 1e5 6.9 s, with 1e7 11.6 s and 940 MB (one core). 200 images took 0.4 s."""


@dataclass(frozen=True)
class Estimate:
    """A metric with its interval.

    Args:
        value: the metric itself; nan where it is undefined.
        low: lower end of the interval; nan with fewer than two groups.
        high: upper end.
        images: images counted.
        groups: groups (patients) drawn from.
        undefined: draws on which the metric was nan (such as an AUC without positives); they are left out.
        p: of a difference, its two-sided bootstrap p-value (`p_of_draws`); None for other metrics.
    """

    value: float
    low: float
    high: float
    images: int
    groups: int
    undefined: int = 0
    p: float | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """The value as a table prints it.

        >>> str(Estimate(0.8123, 0.77, 0.8502, 200, 120)), str(Estimate(-0.01, -0.04, 0.02, 200, 120))
        ('0.812 (0.770-0.850)', '-0.010 (-0.040 to 0.020)')
        """
        return f"{self.value:.3f} ({self.low:.3f}{' to ' if self.low < 0 else '-'}{self.high:.3f})"


def value(statistic: Statistic, counts: Counts) -> Named[float]:
    """The metrics themselves: every image counts once."""
    found = statistic(counts, np.ones((1, len(counts))))
    return Named({name: float(values[0]) for name, values in found.items()})


def draws(counts: Counts, *, repeats: int, seed: int) -> Iterator[Float[np.ndarray, "r n"]]:
    """Weights of the draws, some at a time: how often each image's group was drawn.

    The groups are drawn in the order of their names, so neither the order of images nor that of folds changes a draw.
    """
    names, group = np.unique(np.array(list(counts.groups.values()), str), return_inverse=True)
    generator = np.random.default_rng(seed)
    step = max(1, AT_ONCE // len(counts))
    for start in range(0, repeats, step):
        drawn = generator.integers(len(names), size=(min(step, repeats - start), len(names)))
        times = np.stack([np.bincount(row, minlength=len(names)) for row in drawn]).astype(np.float64)
        yield times[:, group]


def interval(
    statistic: Statistic, counts: Counts, *, repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> Named[Estimate]:
    """Percentile bootstrap intervals of all metrics of a statistic, from the same draws.

    The value comes from all images pooled, not from a mean over folds: `Counts.join` the folds first.

    Args:
        statistic: such as ``measure.measure`` or ``partial(summary.metrics, absent="one")``.
        counts: of the images; their groups are drawn.
        repeats: number of draws.
        level: share of the draws inside the interval, between 0 and 1.
        seed: of the draws; the same seed gives the same interval.

    Raises:
        ValueError: repeats or level are out of range.
    """
    return _estimates(statistic, counts, repeats=repeats, level=level, seed=seed, tested=False)


def difference(
    statistic: Statistic, a: Counts, b: Counts, *, repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> Named[Estimate]:
    """Intervals of ``a - b`` on the same images: each draw is given to both, so what the images share cancels.

    Metrics that only one of the two has (a question that the other was not asked) are left out.

    Args:
        statistic: as for `interval`.
        a: counts of one method.
        b: counts of the other, of the same images in any order.
        repeats: number of draws.
        level: share of the draws inside the interval.
        seed: of the draws.

    Raises:
        ValueError: an image is in one of them only, or in another group; repeats or level are out of range.
    """
    if single := sorted(set(a.images) ^ set(b.images)):
        raise ValueError(
            f"images in one of the two only: {single[:10]} ({len(single)} in all); compare what both have (Counts.take)"
        )
    if moved := [image for image in a.images if a.groups[image] != b.groups[image]]:
        raise ValueError(f"images in different groups in a and b: {moved[:10]}; evaluate both with the same manifest")
    position = {image: at for at, image in enumerate(a.images)}
    order = np.array([position[image] for image in b.images], np.int64)

    def minus(counts: Counts, weights: Float[np.ndarray, "r n"]) -> Metrics:
        ours, theirs = statistic(counts, weights), statistic(b, weights[:, order])
        return {name: ours[name] - theirs[name] for name in ours if name in theirs}

    return _estimates(minus, a, repeats=repeats, level=level, seed=seed, tested=True)


def p_of_draws(drawn: Float[np.ndarray, " r"]) -> float:
    """Two-sided p-value of a difference of 0 from its bootstrap draws: twice the share on the other side of 0.

    p = 2 (1 + min(draws <= 0, draws >= 0)) / (draws + 1), at most 1; so it is never 0 (Davison and Hinkley 1997, 4.2).

    >>> p_of_draws(np.linspace(0.1, 1, 99)), p_of_draws(np.array([-1.0, 1.0, 0.0]))
    (0.02, 1.0)
    """
    if not drawn.size:
        return float("nan")
    rarer = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (1 + rarer) / (len(drawn) + 1))


def _estimates(
    statistic: Statistic, counts: Counts, *, repeats: int, level: float, seed: int, tested: bool
) -> Named[Estimate]:
    """Estimates of all metrics of a statistic; with ``tested`` also the p-value of 0."""
    if repeats < 1:
        raise ValueError(f"repeats={repeats}; give at least 1, 1000 for a publication")
    if not 0 < level < 1:
        raise ValueError(f"level={level}; give a share between 0 and 1, such as 0.95")
    values, groups = value(statistic, counts), len(set(counts.groups.values()))
    if groups < 2:
        return Named({name: Estimate(one, np.nan, np.nan, len(counts), groups) for name, one in values.items()})
    parts = [statistic(counts, weights) for weights in draws(counts, repeats=repeats, seed=seed)]
    out: Named[Estimate] = Named()
    for name, one in values.items():
        drawn = np.concatenate([part[name] for part in parts])
        defined = drawn[~np.isnan(drawn)]
        tails = [(1 - level) / 2, (1 + level) / 2]
        low, high = np.quantile(defined, tails).tolist() if defined.size else (np.nan, np.nan)
        out[name] = Estimate(one, low, high, len(counts), groups, repeats - defined.size)
        if tested:
            out[name] = replace(out[name], p=p_of_draws(defined))
    return out
