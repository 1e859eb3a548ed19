"""Agreement: kappas against others' figures, Dice by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from foveate.data.agreement import Drawn, agreement, cohen, fleiss


def test_cohen_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = rng.integers(0, 3, (2, 30))
        assert cohen(first, second) == pytest.approx(cohen_kappa_score(first, second))
    assert math.isnan(cohen(np.ones(4), np.ones(4)))
    assert math.isnan(cohen(np.zeros(0), np.zeros(0)))


def test_fleiss_is_that_of_the_paper() -> None:
    """14 raters, 10 subjects, 5 answers: the example that textbooks give with 0.210."""
    counts = """0 0 0 0 14  0 2 6 4 2  0 0 3 5 6  0 3 9 2 0  2 2 8 1 1  7 7 0 0 0  3 2 6 3 0  2 5 3 2 2  6 5 2 1 0
    0 2 2 3 7"""
    assert fleiss(np.array(counts.split(), np.int64).reshape(10, 5)) == pytest.approx(0.210, abs=5e-4)
    assert math.isnan(fleiss(np.zeros((0, 2), np.int64)))
    assert math.isnan(fleiss(np.array([[0, 3], [0, 3]])))


def test_two_graders() -> None:
    two = ("a", "b")
    drawn = [
        Drawn("1", "fluid", two, (10, 10), 5),
        Drawn("2", "fluid", two, (4, 0), 0),
        Drawn("3", "fluid", two, (0, 0), 0),
    ]
    (found,) = agreement(drawn)
    assert (found.label, found.annotators, found.images, found.either) == ("fluid", two, 3, 2)
    assert (found.mean, found.middle) == (0.25, 0.25)
    assert found.kappa == pytest.approx(cohen_kappa_score([1, 1, 0], [1, 0, 0]))
    (none,) = agreement(drawn[2:])
    assert none.either == 0
    assert math.isnan(none.mean)


def test_three_graders_are_also_taken_together() -> None:
    said = [(1, 1, 1), (1, 0, 0), (0, 0, 0), (1, 1, 0)]
    drawn = [
        Drawn(str(i), "fluid", (g, h), (line[j], line[k]), line[j] & line[k])
        for i, line in enumerate(said)
        for (j, g), (k, h) in (((0, "a"), (1, "b")), ((0, "a"), (2, "c")), ((1, "b"), (2, "c")))
    ]
    drawn.append(Drawn("only two", "fluid", ("a", "b"), (1, 1), 1))
    *pairs, all_three = agreement(drawn)
    assert [p.annotators for p in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [p.images for p in pairs] == [5, 4, 4]
    assert (all_three.annotators, all_three.images, all_three.either) == (("a", "b", "c"), 4, 8)
    yes = np.array([3, 1, 0, 2])
    assert all_three.kappa == pytest.approx(fleiss(np.stack([3 - yes, yes], 1)))
    assert all_three.mean == pytest.approx((3 + 0 + 0 + 1 + 0 + 0) / 8)
