import numpy as np
import pytest
import scipy.stats
from MLstatkit import Delong_test
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests

from foveate.metrics.paired_tests import delong, holm, mcnemar, wilcoxon


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [1, 6])  # one digit gives many ties
def test_delong_is_that_of_mlstatkit(seed, digits):
    draw = np.random.default_rng(seed)
    truth = (draw.random(60) < 0.4).astype(int)
    a, b = (np.round(truth * lean + draw.random(60), digits) for lean in (0.3, 0.6))
    expected = Delong_test(truth, a, b, verbose=0)
    assert delong(a, b, truth) == pytest.approx(expected[1], rel=1e-6)


def test_delong_of_equal_scores_is_one_and_of_one_positive_undefined():
    score, truth = np.array([0.3, 0.4, 0.9, 0.1]), np.array([1, 0, 1, 0])
    assert delong(score, score * 2, truth) == 1.0
    assert np.isnan(delong(score, -score, np.array([1, 0, 0, 0])))


def test_delong_of_a_perfect_and_a_reversed_score_is_zero():
    truth = np.array([1, 1, 1, 0, 0, 0])
    assert delong(truth * 1.0, -truth * 1.0, truth) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_is_that_of_statsmodels(seed):
    draw = np.random.default_rng(seed)
    a, b = draw.random(50) < 0.8, draw.random(50) < 0.6
    cells = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert mcnemar(a, b) == pytest.approx(their_mcnemar(cells, exact=True).pvalue)
    assert mcnemar(a, a) == 1.0


@pytest.mark.parametrize("n", [12, 80])
def test_wilcoxon_leaves_out_undefined_and_equal_images(n):
    draw = np.random.default_rng(n)
    a, b = draw.random(n), draw.random(n)
    expected = scipy.stats.wilcoxon(a, b).pvalue
    more_a, more_b = np.append(a, [np.nan, 0.5]), np.append(b, [0.3, 0.5])
    assert wilcoxon(more_a, more_b) == pytest.approx(expected)
    assert wilcoxon(a, a) == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_holm_is_that_of_statsmodels_and_does_not_count_nan(seed):
    p = np.random.default_rng(seed).random(7) ** 3
    expected = multipletests(p, method="holm")[1]
    found = holm([*p[:3], float("nan"), *p[3:]])
    assert [*found[:3], *found[4:]] == pytest.approx(expected)
    assert np.isnan(found[3])
