"""Where findings were seen, as counts: rows, metrics with weights, files; and operating points."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from foveate.core.labels import LabelSchema, Question
from foveate.metrics import operating, table
from foveate.metrics.counts import Counts
from foveate.metrics.localisation import look_rows
from foveate.metrics.measure import measure
from foveate.metrics.summary import estimates, summary
from foveate.metrics.tally import LOOKS

SCHEMA = LabelSchema((Question("exudate", evidence=("ex",)), Question("dr")), ("ex",))


def scores(probability: list[float], truth: list[int], *, looks: list[table.Table] | None = None) -> Counts:
    n = len(truth)
    p = np.array(probability)
    empty = np.zeros((n, 0, 2, 2))
    schema = SCHEMA.select(labels=())
    return Counts.of(
        schema,
        images=[f"i{k}" for k in range(n)],
        groups=[f"g{k}" for k in range(n)],
        probability=empty,
        predicted=empty.astype(bool),
        masks=np.zeros((n, 1, 2, 2), bool)[:, :0],
        known=np.zeros((n, 1, 2, 2), bool)[:, :0],
        answer_probability={"exudate": np.stack([1 - p, p], 1)},
        given={"exudate": (p >= 0.5).astype(np.int64)},
        answers=np.stack([truth, np.full(n, -1)], 1),
        looks=looks or [],
    )


def look(image: str, activation: list[list[float]], cue: list[list[int]], mask: list[list[int]]) -> table.Table:
    return look_rows(
        images=[image],
        groups=["g" + image[1:]],
        question="exudate",
        cells=np.array([activation]),
        cues=np.array([cue]) > 0,
        drawn=np.array([mask]) > 0,
        activation=np.array([activation]),
        masks=np.array([mask]) > 0,
    )


@pytest.fixture
def counts() -> Counts:
    looks = [
        look("i0", [[0.9, 0.1]], [[1, 0]], [[1, 0]]),
        look("i1", [[0.2, 0.6]], [[1, 0]], [[1, 0]]),
        look("i2", [[0.3, 0.3]], [[0, 0]], [[1, 0]]),
        look("i3", [[0.3, 0.3]], [[0, 0]], [[0, 0]]),
    ]
    return scores([0.8, 0.3, 0.6, 0.9, 0.1], [1, 1, 1, 1, 0], looks=looks)


def test_a_row_holds_what_was_looked_at(counts: Counts) -> None:
    assert counts.looks["image"].tolist() == ["i0", "i1", "i2"]  # nothing to look at in i3
    np.testing.assert_allclose(counts.looks["cue"], [0.9, 0.25, np.nan])
    np.testing.assert_allclose(counts.looks["share"], [0.5, 0.5, np.nan])
    np.testing.assert_allclose(counts.looks["mask"], [0.9, 0.25, 0.5])
    np.testing.assert_allclose(counts.looks["hit"], [1, 0, np.nan])
    np.testing.assert_allclose(counts.looks["dice"], [1, 0, 0])


def test_metrics_are_means_over_images(counts: Counts) -> None:
    found = summary(counts)
    assert found["air/exudate"] == found["air"] == pytest.approx((0.9 + 0.25) / 2)
    assert found["air_tp/exudate"] == pytest.approx(0.9)
    assert found["air_fn/exudate"] == pytest.approx(0.25)
    # the best threshold is 0.3: every positive image is called, the negative one is not
    assert found["harmonic/exudate"] == 1
    assert found["harmonic_air_tp/exudate"] == pytest.approx((0.9 + 0.25) / 2)
    assert np.isnan(found["harmonic_air_fn/exudate"])
    assert found["cue_share/exudate"] == 0.5
    assert found["pointing/exudate"] == 0.5
    assert found["activation_dice/exudate"] == pytest.approx(1 / 3)
    weights = np.array([[3.0, 1, 0, 0, 1]])
    assert measure(counts, weights)["air/exudate"] == pytest.approx((3 * 0.9 + 0.25) / 4)
    interval = estimates(counts, repeats=200)["air/exudate"]
    assert 0.25 <= interval.low <= interval.value <= interval.high <= 0.9


def test_without_looks_the_summary_is_as_before() -> None:
    found = summary(scores([0.9, 0.1], [1, 0]))
    assert not [name for name in found if name.startswith(("map/", "image/harmonic"))]


def test_looks_are_written_joined_taken_and_compared(counts: Counts, tmp_path: Path) -> None:
    counts.write(tmp_path)
    assert Counts.read(tmp_path, counts.schema) == counts
    parts = [counts.take(["i4", "i1"]), counts.take(["i0", "i2", "i3"])]
    assert parts[0].looks["image"].tolist() == ["i1"]
    together = Counts.join(parts)
    assert summary(together)["air/exudate"] == pytest.approx(summary(counts)["air/exudate"])
    plain = scores([0.8, 0.3, 0.6, 0.9, 0.1], [1, 1, 1, 1, 0])
    assert plain != counts
    plain.write(tmp_path)
    assert not (tmp_path / "looks.csv").exists()
    assert Counts.read(tmp_path, counts.schema) == plain
    stranger = dict(counts.looks) | {"image": np.array(["i0", "i1", "i9"])}
    with pytest.raises(ValueError, match="have no row in pixels or answers"):
        Counts(counts.schema, counts.pixels, counts.answers, stranger)
    assert list(counts.looks) == list(LOOKS)


@pytest.mark.parametrize("seed", range(8))
def test_operating_point_is_the_best_of_the_roc_curve(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, 40)
    truth[:2] = 0, 1
    score = np.round(np.clip(truth * 0.3 + rng.random(40) * 0.7, 0, 1), 2)
    counts = scores(score.tolist(), truth.tolist())
    fpr, tpr, _ = roc_curve(truth, score, drop_intermediate=False)
    best = (2 * tpr * (1 - fpr) / np.maximum(tpr + 1 - fpr, 1e-12)).max()
    found = measure(counts, np.ones((1, 40)))
    assert found["harmonic/exudate"][0] == pytest.approx(best)
    point = operating.best_point(counts, "exudate")
    assert point is not None
    assert point.harmonic == pytest.approx(best)
    called = score >= point.threshold
    assert called[truth == 1].mean() == pytest.approx(point.sensitivity)
    assert (~called[truth == 0]).mean() == pytest.approx(point.specificity)
    np.testing.assert_array_equal(operating.called(counts.questions["exudate"], np.ones((1, 40)))[0], called)
    assert found["harmonic_sensitivity/exudate"][0] == pytest.approx(point.sensitivity)


@pytest.mark.parametrize("seed", range(6))
def test_operating_points_by_rule(seed: int) -> None:
    """Against every threshold that there is."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, 40)
    truth[:2] = 0, 1
    score = np.round(np.clip(truth * 0.3 + rng.random(40) * 0.7, 0, 1), 2)
    counts = scores(score.tolist(), truth.tolist())
    cuts = [(np.mean(score[truth == 1] >= cut), np.mean(score[truth == 0] < cut)) for cut in (*np.unique(score), 2)]
    point = {
        rule: operating.best_point(counts, "exudate", rule=rule)
        for rule in ("youden", "sensitivity=0.9", "specificity=0.9", "specificity=1")
    }
    for found in point.values():
        assert found is not None
        assert np.mean(score[truth == 1] >= found.threshold) == pytest.approx(found.sensitivity)
        assert np.mean(score[truth == 0] < found.threshold) == pytest.approx(found.specificity)
    youden, sure, careful, strict = point.values()
    assert youden is not None
    assert sure is not None
    assert careful is not None
    assert strict is not None
    assert youden.sensitivity + youden.specificity == pytest.approx(max(a + b for a, b in cuts))
    assert sure.sensitivity >= 0.9
    assert sure.specificity == pytest.approx(max(b for a, b in cuts if a >= 0.9))
    assert careful.specificity >= 0.9
    assert careful.sensitivity == pytest.approx(max(a for a, b in cuts if b >= 0.9))
    assert strict.specificity == 1


@pytest.mark.parametrize("rule", ["best", "sensitivity", "sensitivity=2", "sensitivity=much", "harmonic=0.9"])
def test_rules_that_there_are_not(rule: str) -> None:
    with pytest.raises(ValueError, match=r"must be one of \['harmonic', 'youden', 'sensitivity=SHARE'"):
        operating.best_point(scores([0.9, 0.2], [1, 0]), "exudate", rule=rule)


def test_operating_points_that_do_not_exist() -> None:
    alone = scores([0.9, 0.2], [1, 1])
    assert operating.best_point(alone, "exudate") is None
    assert np.isnan(measure(alone, np.ones((1, 2)))["harmonic/exudate"][0])
    graded = LabelSchema((Question("grade", ("0", "1", "2")),))
    empty = np.zeros((1, 0, 1, 1))
    counts = Counts.of(
        graded, images=["a"], groups=["a"], probability=empty, predicted=empty > 0, masks=empty > 0, known=empty > 0,
        answer_probability={"grade": np.full((1, 3), 1 / 3)}, given={"grade": np.array([0])}, answers=np.array([[1]]),
    )  # fmt: skip
    with pytest.raises(ValueError, match="not yes/no"):
        operating.best_point(counts, "grade")
    assert not [name for name in measure(counts, np.ones((1, 1))) if "harmonic" in name]
