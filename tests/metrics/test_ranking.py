import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from foveate.metrics.ranking import auc, average_precision, roc


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), digits=st.sampled_from([1, 2, 8]))
def test_weighted_ranking_equals_scikit_learn(seed, digits):
    draw = np.random.default_rng(seed)
    score, truth = np.round(draw.random(20), digits), draw.integers(0, 2, 20)
    weights = draw.integers(0, 3, (4, 20)).astype(float)
    areas, precisions = auc(score, truth, weights), average_precision(score, truth, weights)
    for r, w in enumerate(weights):
        both = len(set(truth[w > 0])) == 2
        assert np.isnan(areas[r]) == np.isnan(precisions[r]) == (not both)
        if both:
            assert areas[r] == pytest.approx(roc_auc_score(truth, score, sample_weight=w))
            assert precisions[r] == pytest.approx(average_precision_score(truth, score, sample_weight=w))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_auc_is_the_share_of_pairs_in_order_and_flips_with_the_score(seed):
    draw = np.random.default_rng(seed)
    score, truth = draw.integers(0, 6, 15) / 5, np.arange(15) % 3 == 0
    pairs = [(p > n) + (p == n) / 2 for p in score[truth] for n in score[~truth]]
    ones, truth = np.ones((1, 15)), truth.astype(int)
    assert auc(score, truth, ones)[0] == pytest.approx(np.mean(pairs))
    assert auc(1 - score, truth, ones)[0] == pytest.approx(1 - np.mean(pairs))


def test_roc_equals_scikit_learn():
    draw = np.random.default_rng(0)
    score, truth = np.round(draw.random(40), 1), draw.integers(0, 2, 40)
    found = roc(score, truth)
    fpr, tpr, threshold = roc_curve(truth, score, drop_intermediate=False)
    np.testing.assert_allclose(found.false_positive_rate, fpr)
    np.testing.assert_allclose(found.true_positive_rate, tpr)
    np.testing.assert_allclose(found.threshold, threshold)
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc(score, truth, np.ones((1, 40)))[0])


def test_one_class_or_no_image_is_undefined_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for truth in (np.zeros(3, int), np.ones(3, int)):
            assert np.isnan(auc(np.array([0.1, 0.2, 0.3]), truth, np.ones((2, 3)))).all()
            assert np.isnan(average_precision(np.array([0.1, 0.2, 0.3]), truth, np.ones((2, 3)))).all()
        none = np.zeros(0)
        assert np.isnan(auc(none, none.astype(int), np.ones((2, 0)))).tolist() == [True, True]
        assert np.isnan(roc(np.array([0.5]), np.array([1])).false_positive_rate).all()
