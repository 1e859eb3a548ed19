from functools import partial

import numpy as np
import pytest

from foveate.core.labels import LabelSchema
from foveate.metrics.counts import Counts
from foveate.metrics.interval import difference, interval, p_of_draws
from foveate.metrics.measure import measure
from foveate.metrics.seeds import seed_difference, seed_interval, seed_spread, seeds_note
from foveate.metrics.weighted import mean

DICE = partial(measure, names=["pixel/dice_pooled", "image/auc/dme"])


def test_one_training_has_the_interval_over_patients(make_counts):
    counts = make_counts(20)
    assert seed_interval(DICE, [counts], repeats=50) == interval(DICE, counts, repeats=50)
    other = make_counts(20, seed=0, predicted=make_counts_marks())
    found = seed_difference(DICE, [counts], [other], repeats=50)
    assert found == difference(DICE, counts, other, repeats=50)


def make_counts_marks():
    return np.random.default_rng(5).random((20, 2, 6, 6)) < 0.3


def test_trainings_may_have_their_images_in_any_order(make_counts):
    a, b = make_counts(12), make_counts(12, predicted=make_counts_marks()[:12])
    found, again = (
        seed_interval(DICE, [a, other], repeats=20)["pixel/dice_pooled"] for other in (b, b.take(b.images[::-1]))
    )
    assert (found.value, found.low, found.high) == pytest.approx((again.value, again.low, again.high))
    assert found.value == pytest.approx(np.mean([interval(DICE, c, repeats=1)["dice_pooled"].value for c in (a, b)]))


def test_trainings_of_other_images_are_refused_and_so_is_none(make_counts):
    with pytest.raises(ValueError, match="not in all trainings"):
        seed_interval(DICE, [make_counts(12), make_counts(13)])
    with pytest.raises(ValueError, match="at least one training"):
        seed_interval(DICE, [])


def test_the_spread_over_seeds_is_the_sample_deviation(make_counts):
    a, b = make_counts(12), make_counts(12, predicted=make_counts_marks()[:12])
    values = [interval(DICE, c, repeats=1)["dice_pooled"].value for c in (a, b)]
    assert seed_spread(DICE, [a, b])["pixel/dice_pooled"] == pytest.approx(np.std(values, ddof=1))
    assert np.isnan(seed_spread(DICE, [a])["pixel/dice_pooled"])


def study(draw: np.random.Generator, *, seeds: int, n: int = 60) -> list[Counts]:
    """Trainings whose true share of marked images differs from seed to seed by much more than patients explain."""
    schema, out = LabelSchema((), ("disc",)), []
    for _ in range(seeds):
        mask = (draw.random(n) < np.clip(0.5 + 0.2 * draw.standard_normal(), 0.02, 0.98))[:, None, None, None]
        names = [str(k) for k in range(n)]
        out.append(Counts.of(
            schema, images=names, groups=names, probability=mask * 1.0, predicted=mask, masks=mask,
            known=np.ones_like(mask), answer_probability={}, given={}, answers=np.zeros((n, 0), int),
        ))  # fmt: skip
    return out


def share(counts: Counts, weights: np.ndarray) -> dict[str, np.ndarray]:
    return {"share": mean(counts.labels["disc"].truth[:, None].astype(float), weights)[:, 0]}


def test_two_equal_methods_seldom_differ_over_seeds_but_often_over_images_of_one_training():
    draw, over_images, over_seeds, studies = np.random.default_rng(0), 0, 0, 60
    for _ in range(studies):
        a, b = study(draw, seeds=5), study(draw, seeds=5)
        over_images += difference(share, a[0], b[0], repeats=200)["share"].p < 0.05
        over_seeds += seed_difference(share, a, b, repeats=200)["share"].p < 0.05
    assert over_images / studies > 0.3  # the fault that was seen: intervals of one training exclude zero
    assert over_seeds / studies < 0.2  # five trainings drawn again spread a little too little


def test_the_p_value_of_draws_is_never_zero_and_agrees_with_the_interval(make_counts):
    assert p_of_draws(np.ones(999)) == 0.002
    assert np.isnan(p_of_draws(np.zeros(0)))
    a, b = make_counts(40), make_counts(40, predicted=np.zeros((40, 2, 6, 6), bool))
    for found in difference(measure, a, b, repeats=200).values():
        if found.undefined == 0 and not found.low <= 0 <= found.high:
            assert found.p <= 0.06


def test_the_note_warns_of_one_training():
    assert "cannot separate methods" in seeds_note(1)
    assert "5 trainings" in seeds_note(5)
