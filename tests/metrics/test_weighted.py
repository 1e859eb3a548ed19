import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.metrics.weighted import mean, over, ratio, std, with_means


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.sampled_from([0.0, 1.0, 1e6]))
def test_a_weight_is_how_often_an_image_is_there(seed, shift):
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(7, 3)) + shift
    values[draw.random((7, 3)) < 0.3] = np.nan
    weights = draw.integers(0, 3, (5, 7))
    means, spreads = mean(values, weights.astype(float)), std(values, weights.astype(float))
    for r, times in enumerate(weights):
        for k in range(3):
            there = np.repeat(values[:, k], times)
            there = there[~np.isnan(there)]
            expected = there.mean() if there.size else np.nan
            np.testing.assert_allclose(means[r, k], expected, rtol=1e-9, equal_nan=True)
            expected = there.std(ddof=1) if there.size > 1 else np.nan
            np.testing.assert_allclose(spreads[r, k], expected, rtol=1e-4, atol=1e-6, equal_nan=True)


def test_ratio_of_nothing_is_undefined():
    np.testing.assert_array_equal(ratio(np.array([0.0, 2.0, 0.0]), np.array([0.0, 0.0, 4.0])), [np.nan, np.nan, 0.0])


def test_a_mean_over_parts_leaves_out_what_is_undefined():
    np.testing.assert_array_equal(over(np.array([[np.nan, 1.0], [np.nan, np.nan]])), [1.0, np.nan])
    parts = {"a": {"auc": np.array([np.nan, 0.5])}, "b": {"auc": np.array([1.0, 1.0]), "f1": np.array([0.0, 0.2])}}
    found = with_means(parts)
    assert list(found) == ["auc", "f1", "auc/a", "auc/b", "f1/b"]
    assert found["auc"] == pytest.approx([1.0, 0.75])
    assert with_means({}) == {}
