import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.labels import LabelSchema, Question
from foveate.metrics import segmentation
from foveate.metrics.counts import Counts
from foveate.metrics.interval import value
from foveate.metrics.measure import measure
from foveate.metrics.segmentation import per_image
from foveate.metrics.summary import estimates, summary

OF_LABELS = (
    "pixel/dice", "pixel/dice_all", "pixel/dice_present", "pixel/dice_pooled", "pixel/iou", "pixel/sensitivity",
    "pixel/specificity", "pixel/precision", "image/found", "image/false_alarms", "image/presence_f1",
)  # fmt: skip
OF_QUESTIONS = ("auc", "ap", "accuracy", "f1", "kappa", "qkappa", "brier", "nll", "skill")


def test_the_names_of_the_summary(make_counts):
    expected = [*OF_LABELS, *(f"image/{name}" for name in OF_QUESTIONS)]
    expected += [f"{name}/{label}" for label in ("disc", "cup") for name in OF_LABELS]
    for question, answers in (("grade", "0123"), ("dme", ["yes"]), ("kind", "abc")):
        expected += [f"image/{name}/{question}" for name in OF_QUESTIONS]
        expected += [f"image/{name}/{question}/{a}" for a in answers for name in ("sensitivity", "specificity")]
    assert list(summary(make_counts(8))) == expected


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
    found, every = summary(counts), value(measure, counts)
    assert found["pixel/sensitivity/cup"] == pytest.approx(every["pixel/sensitivity/cup"])
    assert found["image/sensitivity/cup/yes"] == every["image/sensitivity/cup"]
    assert found["sensitivity/cup/yes"] == every["image/sensitivity/cup"]
    assert found["auc/cup"] == every["auc/cup"]
    with pytest.raises(ValueError, match=r"must be one of \['pixel/sensitivity/cup', 'image/sensitivity/cup'\]: state"):
        every["sensitivity/cup"]


def test_names_follow_from_the_schema_and_what_is_not_known_is_nan(make_counts):
    counts = make_counts(5)
    none = summary(counts.take([]))
    assert list(none) == list(summary(counts))
    assert all(np.isnan(v) for v in none.values())
    alone = Counts(LabelSchema(labels=("disc", "cup")), counts.pixels, {k: v[:0] for k, v in counts.answers.items()})
    assert not any("auc" in name or name == "image/accuracy" for name in summary(alone))
    assert summary(alone)["dice"] == summary(counts)["dice"] == value(measure, counts)["dice"]


def test_a_strange_policy_is_refused(make_counts):
    with pytest.raises(ValueError, match="got 'skip'"):
        summary(make_counts(3), absent="skip")
