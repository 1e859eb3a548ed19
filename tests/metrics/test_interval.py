import time
from functools import partial

import numpy as np
import pytest

from foveate.core.labels import LabelSchema
from foveate.metrics import interval, summary
from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, difference, draws, value
from foveate.metrics.measure import measure
from foveate.metrics.weighted import mean


def repeated(counts, weights):
    """The images of one draw as counts of their own: an image drawn twice is there twice under two names."""
    parts = []
    for copy in range(int(weights.max())):
        part = counts.take([image for image, times in zip(counts.images, weights, strict=True) if times > copy])
        renamed = [
            {k: np.char.add(v, f"#{copy}") if k == "image" else v for k, v in rows.items()}
            for rows in (part.pixels, part.answers)
        ]
        parts.append(Counts(counts.schema, *renamed))
    return Counts.join(parts)


@pytest.mark.parametrize("statistic", [measure, partial(measure, absent="one")])
def test_the_fast_bootstrap_is_exactly_the_slow_one(make_counts, statistic):
    counts = make_counts(14)
    found = interval.interval(statistic, counts, repeats=25, seed=3)
    slow = [
        value(statistic, repeated(counts, weights)) for chunk in draws(counts, repeats=25, seed=3) for weights in chunk
    ]
    for name, estimate in found.items():
        drawn = np.array([figures[name] for figures in slow])
        assert estimate.undefined == np.isnan(drawn).sum(), name
        if not np.isnan(drawn).all():
            expected = np.nanquantile(drawn, [0.025, 0.975])
            assert [estimate.low, estimate.high] == pytest.approx(expected, abs=1e-9), name
    assert {k: e.value for k, e in found.items()} == pytest.approx(value(statistic, counts), nan_ok=True)


def test_draws_take_whole_groups(make_counts):
    counts = make_counts(12, groups=list("aaabbcdddddd"))
    for weights in draws(counts, repeats=50, seed=0):
        assert weights.shape == (50, 12)
        by_group = {g: weights[:, [counts.groups[i] == g for i in counts.images]] for g in "abcd"}
        assert all((columns == columns[:, :1]).all() for columns in by_group.values())
        np.testing.assert_array_equal(sum(columns[:, 0] for columns in by_group.values()), 4)


def test_neither_chunks_nor_the_order_of_folds_change_an_interval(make_counts, monkeypatch):
    counts = make_counts(12)
    found = summary.estimates(counts, repeats=40)
    monkeypatch.setattr(interval, "AT_ONCE", 12 * 7)
    assert [len(w) for w in draws(counts, repeats=40, seed=0)] == [7] * 5 + [5]
    turned = Counts.join([counts.take(counts.images[6:]), counts.take(counts.images[:6])])
    again = summary.estimates(turned, repeats=40)
    for name, estimate in found.items():
        pair = [(e.value, e.low, e.high, e.undefined) for e in (estimate, again[name])]
        assert pair[0] == pytest.approx(pair[1], nan_ok=True), name


def coverage(pairs: bool) -> float:
    """Share of drawn studies whose interval holds the true share of 0.3; two alike images a patient if paired."""
    schema = LabelSchema((), ("disc",))
    draw, held = np.random.default_rng(0), 0
    n, studies = 80, 150
    for study in range(studies):
        truth = (draw.random(n // 2) < 0.3).repeat(2)
        mask = truth[:, None, None, None]
        groups = [str(k // 2 if pairs else k) for k in range(n)]
        counts = Counts.of(
            schema, images=[str(k) for k in range(n)], groups=groups, probability=mask * 1.0, predicted=mask,
            masks=mask, known=np.ones_like(mask), answer_probability={}, given={}, answers=np.zeros((n, 0), int),
        )  # fmt: skip

        def share(c: Counts, w: np.ndarray) -> dict[str, np.ndarray]:
            return {"share": mean(c.labels["disc"].truth[:, None].astype(float), w)[:, 0]}

        found = interval.interval(share, counts, repeats=200, seed=study)["share"]
        held += found.low <= 0.3 <= found.high
    return held / studies


def test_intervals_by_patient_hold_the_truth_and_intervals_by_image_do_not():
    assert coverage(pairs=True) >= 0.89  # 0.95 but for the small sample: 40 patients
    assert coverage(pairs=False) <= 0.87


def test_a_wider_level_is_wider_and_the_seed_fixes_the_interval(make_counts):
    counts = make_counts(20)
    narrow, wide = (summary.estimates(counts, repeats=100, level=level)["dice"] for level in (0.5, 0.95))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert summary.estimates(counts, repeats=100)["dice"] == wide
    assert summary.estimates(counts, repeats=100, seed=1)["dice"] != wide


def test_undefined_draws_are_left_out_and_counted(make_counts, make_arrays):
    arrays = make_arrays(6)
    arrays["answers"][:, 1] = [1, 0, 0, 0, 0, 0]  # the only "yes" is of one patient in three
    counts = make_counts(6, answers=arrays["answers"])
    found = summary.estimates(counts, repeats=300)["auc/dme"]
    assert 50 < found.undefined < 150  # (2/3) ** 3 of 300 draws are without that patient
    assert 0 <= found.low <= found.high <= 1


def test_one_patient_has_a_figure_and_no_interval(make_counts):
    found = summary.estimates(make_counts(4, groups=["p"] * 4))["dice"]
    assert 0 < found.value < 1
    assert np.isnan([found.low, found.high]).all()
    assert (found.images, found.groups) == (4, 1)
    nothing = summary.estimates(make_counts(4).take([]))["dice"]
    assert np.isnan([nothing.value, nothing.low]).all()
    assert (nothing.images, nothing.groups) == (0, 0)


def test_difference_is_paired(make_counts, make_arrays):
    a = make_counts(20)
    noise = np.random.default_rng(9).random(a.pixels["tp"].shape) < 0.3
    moved = np.minimum(noise * 1, a.pixels["tp"])
    worse = Counts(a.schema, dict(a.pixels) | {"tp": a.pixels["tp"] - moved, "fn": a.pixels["fn"] + moved}, a.answers)
    found = summary.estimates_difference(a, worse, repeats=200)
    one, other = summary.estimates(a, repeats=200), summary.estimates(worse, repeats=200)
    assert found["dice"].value == pytest.approx(one["dice"].value - other["dice"].value)
    assert found["dice"].low > 0  # every image is as good or worse: the pairing shows it
    assert one["dice"].low < other["dice"].high  # two intervals side by side do not
    assert found["auc/dme"] == Estimate(0.0, 0.0, 0.0, 20, 10, found["auc/dme"].undefined)
    swapped = summary.estimates_difference(worse, a.take(a.images[::-1]), repeats=200)
    assert swapped["dice"].value == pytest.approx(-found["dice"].value)
    assert swapped["dice"].low == pytest.approx(-found["dice"].high)


def test_difference_of_methods_with_different_questions_is_of_what_both_have(make_arrays, schema):
    arrays = make_arrays(8)
    arrays["known"][:] = True
    arrays["answers"][:] = arrays["answers"].clip(0)
    fewer = schema.select(questions=["dme"])
    scores = {k: {"dme": arrays[k]["dme"]} for k in ("answer_probability", "given")}
    b = Counts.of(fewer, **arrays | scores | {"answers": arrays["answers"][:, 1:2]})
    found = difference(summary.metrics, Counts.of(schema, **arrays), b, repeats=10)
    assert "auc/dme" in found
    assert "auc/grade" not in found


def test_difference_refuses_other_images_and_other_groups(make_counts):
    a = make_counts(6)
    with pytest.raises(ValueError, match=r"\['image005'\] \(1 in all\)"):
        summary.estimates_difference(a, a.take(a.images[:5]))
    moved = make_counts(6, groups=["patient000"] * 2 + ["x"] * 4)
    with pytest.raises(ValueError, match="image002"):
        summary.estimates_difference(a, moved)


@pytest.mark.parametrize(("changed", "message"), [({"repeats": 0}, "repeats=0"), ({"level": 95.0}, "level=95")])
def test_settings_out_of_range_are_refused(make_counts, changed, message):
    with pytest.raises(ValueError, match=message):
        interval.interval(measure, make_counts(4), **changed)


def test_a_thousand_repeats_of_200_images_take_seconds(make_counts):
    counts = make_counts(200)
    start = time.process_time()
    summary.estimates(counts)
    assert time.process_time() - start < 10  # 0.4 s measured; a loop over repeats took minutes


def test_an_estimate_reads_like_a_table():
    assert str(Estimate(0.8123, 0.77, 0.8502, 200, 120)) == "0.812 (0.770-0.850)"
    assert str(Estimate(-0.01, -0.04, -0.002, 200, 120)) == "-0.010 (-0.040 to -0.002)"
