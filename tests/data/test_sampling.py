"""Images with rare labels are drawn often enough, whatever is unknown, balanced, or drawn by several processes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.data.sampling import MOST, drawn_share, raised, spread

TABLES = st.integers(4, 40).flatmap(
    lambda n: st.lists(st.lists(st.sampled_from((-1, 0, 0, 0, 1)), min_size=n, max_size=n), min_size=1, max_size=4)
)


@given(TABLES, st.floats(0.05, 0.6), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_rare_labels_reach_the_share_or_the_limit(table: list[list[int]], share: float, groups: int) -> None:
    presence = np.array(table).T
    even = np.ones(len(presence))
    weights = raised(even, presence, share=share)
    assert weights.sum() == pytest.approx(1)
    assert weights.min() > 0
    assert weights.max() <= MOST * weights.min() * (1 + 1e-9)
    for column in presence.T:
        before, now = drawn_share(even, column), drawn_share(weights, column)
        if 0 < before < share:  # reached, or every image that shows it is as likely as may be
            assert now >= share - 1e-6 or weights[column == 1].min() == pytest.approx(MOST * weights.min())
    if all(not 0 < drawn_share(even, column) < share for column in presence.T):
        np.testing.assert_allclose(weights, 1 / len(weights))


def test_unknown_is_not_absent() -> None:
    """Two of four images that know the label have it: it is not rare, although 36 images do not know it."""
    column = np.array([1, 1, 0, 0] + [-1] * 36)[:, None]
    np.testing.assert_allclose(raised(np.ones(40), column, share=0.4), 1 / 40)
    rarer = np.array([1, 0, 0, 0] + [-1] * 36)[:, None]
    weights = raised(np.ones(40), rarer, share=0.4)
    assert drawn_share(weights, rarer[:, 0]) == pytest.approx(0.4)
    assert weights[4:] == pytest.approx(weights[1])


def test_each_answer_keeps_its_part() -> None:
    """Raising a label moves weight inside an answer, not between answers."""
    rng = np.random.default_rng(0)
    groups = np.repeat([-1, 0, 1], (10, 60, 30))
    presence = (rng.random((100, 2)) < (0.1, 0.2)).astype(int)
    base = np.where(groups == 0, 1 / 60, np.where(groups == 1, 1 / 30, 1 / 45))
    weights = raised(base, presence, share=0.33, groups=groups)
    for group in (-1, 0, 1):
        assert weights[groups == group].sum() == pytest.approx(base[groups == group].sum() / base.sum())
    for column in presence.T:
        assert drawn_share(weights, column) == pytest.approx(0.33, abs=1e-3)


@given(st.lists(st.sampled_from((0.0, 1.0, 2.5, 7.0)), min_size=1, max_size=60).filter(any), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_an_epoch_has_each_image_as_often_as_its_weight_asks(weights: list[float], seed: int) -> None:
    array = np.array(weights)
    asked = array / array.sum() * len(array)
    counts = Counter(spread(array, np.random.default_rng(seed)).tolist())
    times = np.array([counts[i] for i in range(len(array))])
    assert times.sum() == len(array)
    assert (times >= np.floor(asked - 1e-6)).all()
    assert (times <= np.ceil(asked + 1e-6)).all()
    for value in set(weights):  # images of one weight together, too
        assert abs(times[array == value].sum() - asked[array == value].sum()) < 1 + 1e-6


def test_the_order_follows_from_the_seed_and_is_mixed() -> None:
    weights = np.r_[np.ones(50), np.full(10, 5.0)]
    first, again, other = (spread(weights, np.random.default_rng([3, epoch])) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    heavy = np.flatnonzero(first >= 50)
    assert heavy.min() < 10
    assert heavy.max() > 50
