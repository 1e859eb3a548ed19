import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.labels import LabelSchema, Question
from foveate.metrics import grading, segmentation
from foveate.metrics.counts import Counts
from foveate.metrics.interval import value
from foveate.metrics.segmentation import per_image
from foveate.metrics.summary import estimates, summary


def test_the_names_of_the_summary(make_counts):
    assert list(summary(make_counts(8))) == [
        "dice", "dice_all", "dice_present", "found", "false_alarms", "dice_pooled", "iou", "sensitivity", "specificity",
        "precision", "presence_f1",
        "accuracy", "auc", "ap", "f1", "kappa", "qkappa", "brier", "nll", "skill",
        "dice/disc", "dice_all/disc", "dice_present/disc", "found/disc", "false_alarms/disc", "dice_pooled/disc",
        "iou/disc", "sensitivity/disc", "specificity/disc", "precision/disc", "presence_f1/disc",
        "dice/cup", "dice_all/cup", "dice_present/cup", "found/cup", "false_alarms/cup", "dice_pooled/cup",
        "iou/cup", "sensitivity/cup", "specificity/cup", "precision/cup", "presence_f1/cup",
        "accuracy/grade", "auc/grade", "ap/grade", "f1/grade", "kappa/grade", "qkappa/grade",
        "brier/grade", "nll/grade", "skill/grade",
        "sensitivity/grade/0", "specificity/grade/0", "sensitivity/grade/1", "specificity/grade/1",
        "sensitivity/grade/2", "specificity/grade/2", "sensitivity/grade/3", "specificity/grade/3",
        "accuracy/dme", "auc/dme", "ap/dme", "f1/dme", "kappa/dme", "qkappa/dme", "brier/dme", "nll/dme",
        "skill/dme",
        "sensitivity/dme/yes", "specificity/dme/yes",
        "accuracy/kind", "auc/kind", "ap/kind", "f1/kind", "kappa/kind", "qkappa/kind", "brier/kind", "nll/kind",
        "skill/kind",
        "sensitivity/kind/a", "specificity/kind/a", "sensitivity/kind/b", "specificity/kind/b",
        "sensitivity/kind/c", "specificity/kind/c",
    ]  # fmt: skip


@pytest.mark.parametrize("absent", list(segmentation.ABSENT))
def test_dice_is_the_mean_over_labels_of_the_mean_over_images(make_counts, absent):
    counts = make_counts(15)
    found = summary(counts, absent=absent)
    means = [np.nanmean(per_image(part, absent=absent)["dice"]) for part in counts.labels.values()]
    assert found["dice"] == pytest.approx(np.mean(means))
    assert [found["dice/disc"], found["dice/cup"]] == pytest.approx(means)
    assert found["auc"] == pytest.approx(np.mean([found[f"auc/{q}"] for q in ("grade", "dme", "kind")]))
    assert found["brier"] == pytest.approx(np.mean([found[f"brier/{q}"] for q in ("grade", "dme", "kind")]))
    assert found["qkappa"] == pytest.approx(np.mean([found["qkappa/grade"], found["qkappa/dme"]]))  # kind has no order


def test_estimates_have_the_same_names_and_values(make_counts):
    counts = make_counts(15)
    found = estimates(counts, absent="one", repeats=20)
    assert {name: e.value for name, e in found.items()} == pytest.approx(summary(counts, absent="one"), nan_ok=True)
    assert {e.images for e in found.values()} == {15}
    assert {e.groups for e in found.values()} == {8}
    assert all(e.low <= e.high for e in found.values() if e.undefined < 20)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_joined_folds_are_pooled_image_by_image(make_counts, seed):
    counts = make_counts(12, seed=seed)
    folds = [counts.take(counts.images[k::3]) for k in range(3)]
    assert summary(Counts.join(folds)) == pytest.approx(summary(counts), nan_ok=True)


def test_a_label_and_a_question_may_bear_the_same_name(make_counts):
    schema = LabelSchema((Question("cup"),), ("disc", "cup"))
    counts = make_counts(12, schema=schema)
    found, ones = summary(counts), np.ones((1, 12))
    assert found["sensitivity/cup"] == segmentation.figures(counts, ones)["sensitivity/cup"][0]
    assert found["sensitivity/cup/yes"] == grading.figures(counts, ones)["sensitivity/cup"][0]
    assert found["auc/cup"] == grading.figures(counts, ones)["auc/cup"][0]


def test_names_follow_from_the_schema_and_what_is_not_known_is_nan(make_counts):
    counts = make_counts(5)
    none = summary(counts.take([]))
    assert list(none) == list(summary(counts))
    assert all(np.isnan(v) for v in none.values())
    alone = Counts(LabelSchema(labels=("disc", "cup")), counts.pixels, {k: v[:0] for k, v in counts.answers.items()})
    assert not any("auc" in name or name == "accuracy" for name in summary(alone))
    assert summary(alone)["dice"] == summary(counts)["dice"] == value(segmentation.figures, counts)["dice"]


def test_a_strange_policy_is_refused(make_counts):
    with pytest.raises(ValueError, match="absent='skip'"):
        summary(make_counts(3), absent="skip")
