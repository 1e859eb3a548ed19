"""Metrics of a method over its folds and seeds, with intervals over seeds and patients, and paired differences.

Folds are pooled: each image is judged by the network that did not see it. A method has one *replicate* per seed; a
fold that was trained with fewer seeds than another is repeated in them. A draw takes as many replicates as there are,
with replacement, then patients with replacement; its value is the mean over the drawn replicates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foveate.metrics.counts import Counts
from foveate.metrics.interval import draws
from foveate.metrics.measure import measure
from foveate.metrics.weighted import Metrics

REPEATS, LEVEL = 1000, 0.95


@dataclass(frozen=True)
class Value:
    """A metric, its interval, and how many images it is of.

    Args:
        value: mean over the replicates; nan if it is defined in none.
        low: lower end of the interval; nan without one.
        high: upper end.
    """

    value: float
    low: float
    high: float


def statistic(counts: Counts, weights: np.ndarray) -> Metrics:
    """The metrics of the tables; a statistic for `metrics.interval`.

    Names: ``present/<label>`` (Dice of the images that bear it), ``all/<label>`` (Dice of all images, a rightly empty
    mask being 1), ``found/<label>`` of ``bear/<label>`` images (a marked pixel lies on the truth), ``alarms/<label>``
    of ``free/<label>`` images (a pixel is marked), ``auc/<question>``, ``ap/<question>``.
    """
    out: Metrics = {}
    metrics = measure(counts, weights, absent="one")
    for label, part in counts.labels.items():
        drawn, there = weights[:, part.image], part.truth > 0
        out |= {
            f"present/{label}": metrics[f"pixel/dice_present/{label}"],
            f"all/{label}": metrics[f"pixel/dice_all/{label}"],
            f"found/{label}": drawn @ (there & (part.tp > 0)),
            f"bear/{label}": drawn @ there,
            f"alarms/{label}": drawn @ (~there & (part.fp > 0)),
            f"free/{label}": drawn @ ~there,
        }
    for question in counts.schema.questions:
        out |= {f"{name}/{question.name}": metrics[f"image/{name}/{question.name}"] for name in ("auc", "ap")}
    return out


def replicates(cells: Mapping[tuple[int, int], Counts]) -> list[Counts]:
    """Counts of all folds together, once per seed.

    Args:
        cells: (fold, seed) -> counts of the fold's test images.
    """
    seeds: dict[int, list[int]] = {}
    for fold, seed in sorted(cells):
        seeds.setdefault(fold, []).append(seed)
    most = max(map(len, seeds.values()), default=0)
    return [Counts.join([cells[fold, of[i % len(of)]] for fold, of in seeds.items()]) for i in range(most)]


def values(runs: Sequence[Counts], *, repeats: int = REPEATS, seed: int = 0) -> dict[str, Value]:
    """The metrics of a method, with intervals.

    Args:
        runs: its replicates, of the same images.
        repeats: number of draws.
        seed: of the draws.
    """
    points, drawn = _points(runs), _drawn(runs, _weights(runs[0], repeats=repeats, seed=seed), seed=seed)
    return {name: _value(points[name], drawn[name]) for name in points}


def differences(
    ours: Sequence[Counts], theirs: Sequence[Counts], *, repeats: int = REPEATS, seed: int = 0
) -> dict[str, Value]:
    """The metrics of one method minus those of another on the images that both judged, with paired intervals.

    Patients are drawn for both alike, replicates for each by themselves. Metrics that only one has are left out;
    nothing is left if no image is in both.
    """
    theirs_too = set(theirs[0].images)
    both = [image for image in ours[0].images if image in theirs_too]
    if not both:
        return {}
    mine, other = [run.take(both) for run in ours], [run.take(both) for run in theirs]
    weights = _weights(mine[0], repeats=repeats, seed=seed)
    points, others = _points(mine), _points(other)
    a, b = _drawn(mine, weights, seed=seed), _drawn(other, weights, seed=seed + 1)
    return {name: _value(points[name] - others[name], a[name] - b[name]) for name in points if name in others}


def _weights(counts: Counts, *, repeats: int, seed: int) -> np.ndarray | None:
    """How often each draw has each image; None if there is one patient alone."""
    if len(set(counts.groups.values())) < 2:
        return None
    return np.concatenate(list(draws(counts, repeats=repeats, seed=seed)))


def _points(runs: Sequence[Counts]) -> dict[str, float]:
    each = [statistic(run, np.ones((1, len(run)))) for run in runs]
    return {name: _mean(np.array([one[name][0] for one in each])) for name in each[0]}


def _drawn(runs: Sequence[Counts], weights: np.ndarray | None, *, seed: int) -> dict[str, np.ndarray]:
    if weights is None:
        return {name: np.full(1, np.nan) for name in statistic(runs[0], np.ones((1, len(runs[0]))))}
    order = [_order(run, runs[0]) for run in runs]
    each = [statistic(run, weights[:, at]) for run, at in zip(runs, order, strict=True)]
    chosen = np.random.default_rng(seed).integers(len(runs), size=(len(weights), len(runs)))
    out = {}
    for name in each[0]:
        table = np.stack([one[name] for one in each], 1)  # (draw, replicate)
        picked = np.take_along_axis(table, chosen, 1)
        counted = ~np.isnan(picked)
        total = np.where(counted, picked, 0.0).sum(1)
        out[name] = np.divide(total, counted.sum(1), out=np.full(len(table), np.nan), where=counted.any(1))
    return out


def _order(run: Counts, first: Counts) -> list[int]:
    place = {image: at for at, image in enumerate(first.images)}
    return [place[image] for image in run.images]


def _mean(numbers: np.ndarray) -> float:
    defined = numbers[~np.isnan(numbers)]
    return float(defined.mean()) if defined.size else float("nan")


def _value(point: float, drawn: np.ndarray) -> Value:
    defined = drawn[~np.isnan(drawn)]
    if not defined.size:
        return Value(point, float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Value(point, float(low), float(high))
