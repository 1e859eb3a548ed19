"""Means, spreads and ratios over weighted images, for many weightings at once.

Weights are ``(r, n)``: r weightings of n images. A bootstrap resample is one row, how often each image was drawn; all
ones is the metric itself. So a statistic is written once and its interval costs a matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Num

Metrics = dict[str, np.ndarray]
"""Name of a metric -> ``(r,)`` values, one per weighting; nan where it is not defined."""


def ratio(above: Num[np.ndarray, "*s"], below: Num[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
    """``above / below``, nan where ``below`` is 0.

    >>> ratio(np.array([1, 0]), np.array([4, 0]))
    array([0.25,  nan])
    """
    out = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=out, where=np.asarray(below) != 0)
    return out


def mean(values: Float[np.ndarray, "n k"], weights: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r k"]:
    """Weighted mean of each column over the images where it is defined; nan where it is nowhere.

    >>> mean(np.array([[1.0], [3.0], [np.nan]]), np.array([[1.0, 1.0, 1.0], [3.0, 1.0, 0.0]]))
    array([[2. ],
           [1.5]])
    """
    defined = ~np.isnan(values)
    return ratio(weights @ np.where(defined, values, 0.0), weights @ defined.astype(np.float64))


def std(values: Float[np.ndarray, "n k"], weights: Float[np.ndarray, "r n"]) -> Float[np.ndarray, "r k"]:
    """Sample standard deviation (n - 1) of each column over the images where it is defined; nan for fewer than two.

    >>> std(np.array([[1.0], [3.0], [np.nan]]), np.ones((1, 3)))
    array([[1.41421356]])
    """
    defined = ~np.isnan(values)
    # Centred first: sums of squares of values near 1 with a spread of 1e-6 would cancel
    centred = np.where(defined, values - mean(values, np.ones((1, len(values)))), 0.0)
    count = weights @ defined.astype(np.float64)
    spread = weights @ centred**2 - ratio((weights @ centred) ** 2, count)
    out: Float[np.ndarray, "r k"] = np.sqrt(ratio(np.maximum(spread, 0.0), np.maximum(count - 1, 0.0)))
    return out


def over(values: Float[np.ndarray, "*r k"]) -> Float[np.ndarray, "*r"]:
    """Mean over the last axis of what is defined there; nan where nothing is.

    >>> over(np.array([[0.5, np.nan, 1.0], [np.nan, np.nan, np.nan]]))
    array([0.75,  nan])
    """
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(-1), defined.sum(-1))


def with_means(parts: Mapping[str, Metrics]) -> Metrics:
    """Metrics of several parts (labels, questions) as ``metric/part``, and as ``metric`` the mean over those with one.

    >>> with_means({"disc": {"dice": np.array([0.5])}, "cup": {"dice": np.array([1.0])}})
    {'dice': array([0.75]), 'dice/disc': array([0.5]), 'dice/cup': array([1.])}
    """
    names = list(dict.fromkeys(name for found in parts.values() for name in found))
    out = {name: over(np.stack([found[name] for found in parts.values() if name in found], -1)) for name in names}
    return out | {f"{name}/{part}": values for part, found in parts.items() for name, values in found.items()}
