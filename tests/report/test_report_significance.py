"""The table of paired tests: what it tests, against what, and how often it corrects."""

import numpy as np
import pytest

from foveate.core.labels import LabelSchema, Question
from foveate.metrics.counts import Counts
from foveate.metrics.paired_tests import delong, holm
from foveate.report.significance import in_common, significance

SCHEMA = LabelSchema((Question("dr"),), ("disc",))


def counts(n: int, *, seed: int, skill: float) -> Counts:
    """The same truth for every seed; a method of some skill."""
    truth = np.random.default_rng(0).integers(0, 2, n)
    masks = np.random.default_rng(1).random((n, 1, 8, 8)) < 0.3
    draw = np.random.default_rng(seed)
    score = np.clip(0.5 + skill * (truth - 0.5) + 0.3 * draw.standard_normal(n), 0, 1)
    marked = np.where(draw.random(masks.shape) < skill, masks, ~masks)
    return Counts.of(
        SCHEMA, images=[f"i{k}" for k in range(n)], groups=[f"p{k // 2}" for k in range(n)], masks=masks,
        probability=marked * 1.0, predicted=marked, known=np.ones_like(masks),
        answer_probability={"dr": np.stack([1 - score, score], 1)}, given={"dr": (score > 0.5).astype(int)},
        answers=truth[:, None],
    )  # fmt: skip


def test_each_method_is_tested_metric_by_metric_against_the_reference() -> None:
    rows = {"a": counts(60, seed=2, skill=0.9), "b": counts(60, seed=3, skill=0.6), "c": counts(60, seed=4, skill=0.9)}
    table = significance("Tests", rows, reference="a", repeats=199)
    assert table is not None
    assert [(row[0], row[1], row[5]) for row in table.rows] == [
        (method, metric, test)
        for method in "bc"
        for metric, test in (
            ("AUC, dr", "DeLong"),
            ("accuracy, dr", "McNemar"),
            ("Dice where present, disc", "Wilcoxon"),
        )
    ]
    assert "6 comparisons" in table.note[0]
    p = [row[6] for row in table.rows]
    assert [row[7] for row in table.rows] == pytest.approx(holm(p))
    ours, theirs = rows["b"].questions["dr"], rows["a"].questions["dr"]
    assert p[0] == pytest.approx(delong(ours.probability[:, 1], theirs.probability[:, 1], ours.truth))
    assert table.rows[2][2].value < 0  # b marks worse
    assert table.rows[2][3] == pytest.approx(2 / 200)  # no draw is on the other side of 0
    assert table.rows[2][4] == pytest.approx(6 * 2 / 200)


def test_only_images_that_both_count_are_tested() -> None:
    whole, part = counts(40, seed=2, skill=0.9), counts(40, seed=3, skill=0.6)
    part = part.take(part.images[:30][::-1])
    a, b = in_common(part, whole)
    assert a.images == b.images == part.images
    assert significance("Tests", {"a": whole, "b": part}, reference="a", repeats=20) is not None
    with pytest.raises(ValueError, match="no image in common"):
        in_common(whole.take(whole.images[:5]), whole.take(whole.images[5:]))


def test_one_method_has_no_tests_and_a_strange_reference_is_refused() -> None:
    rows = {"a": counts(10, seed=2, skill=0.9)}
    assert significance("Tests", rows, reference="a") is None
    with pytest.raises(ValueError, match="must be one of the rows"):
        significance("Tests", rows, reference="z")
