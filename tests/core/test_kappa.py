"""Kappa of confusion matrices: the one implementation that annotators and networks share."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from foveate.core.kappa import kappa


@pytest.mark.parametrize(("power", "weights"), [(0, None), (1, "linear"), (2, "quadratic")])
def test_kappa_equals_scikit_learn(power: int, weights: str | None) -> None:
    draw = np.random.default_rng(power)
    first, second = draw.integers(0, 4, (2, 60))
    matrix = np.zeros((4, 4))
    np.add.at(matrix, (first, second), 1)
    expected = cohen_kappa_score(first, second, weights=weights)
    assert kappa(matrix, power=power).item() == pytest.approx(expected)
    both = kappa(np.stack([matrix, 3 * matrix]), power=power)
    assert both.tolist() == pytest.approx([expected, expected])


def test_one_answer_throughout_has_no_kappa() -> None:
    assert math.isnan(kappa(np.array([[5.0, 0.0], [0.0, 0.0]])).item())
    assert math.isnan(kappa(np.zeros((2, 2))).item())
    assert kappa(np.array([[0.0, 5.0], [5.0, 0.0]])).item() == -1
