"""Cohen's kappa: agreement beyond chance, of two annotators or of a network with the truth."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def kappa(matrix: Float[np.ndarray, "*r k k"], *, power: int = 0) -> Float[np.ndarray, "*r"]:
    """Cohen's kappa = 1 - sum(w o) / sum(w e), o observed and e expected shares, w = ``|i - j| ** power``, 0 if i = j.

    Ref.: Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960).

    Args:
        matrix: confusion matrices, counts or weights of images.
        power: 0 = plain kappa; 1 = linear, 2 = quadratic weights for ordered answers.

    Returns:
        kappa; nan where both give one and the same answer throughout, or there is no image.

    >>> kappa(np.array([[2.0, 1.0], [0.0, 1.0]])).item()
    0.5
    """
    k = matrix.shape[-1]
    distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    weight = (distance > 0) * distance.astype(np.float64) ** power
    expected = matrix.sum(-1)[..., :, None] * matrix.sum(-2)[..., None, :]
    above, below = (weight * matrix).sum((-2, -1)) * matrix.sum((-2, -1)), (weight * expected).sum((-2, -1))
    out = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=out, where=np.asarray(below) != 0)
    return np.asarray(1 - out)  # a number where there is one matrix
