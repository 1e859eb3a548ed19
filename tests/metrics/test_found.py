import numpy as np
import pytest

from foveate.core.labels import LabelSchema
from foveate.metrics import listing
from foveate.metrics.counts import Counts
from foveate.metrics.found import Found, found_of, total
from foveate.metrics.interval import value
from foveate.metrics.measure import measure
from foveate.metrics.summary import summary

TWO = LabelSchema(labels=("disc", "spot"))


def marks(*images, label=0, labels=2):
    """Images of four pixels as "truth predicted known" strings of one label: "1100 0100 1111"."""
    arrays = np.zeros((3, len(images), labels, 1, 4), bool)
    for i, image in enumerate(images):
        for k, part in enumerate(image.split()):
            arrays[k, i, label, 0] = [pixel == "1" for pixel in part]
    masks, predicted, known = arrays
    n = len(images)
    return Counts.of(
        TWO, images=[f"i{k}" for k in range(n)], groups=[f"p{k}" for k in range(n)], probability=predicted * 0.9,
        predicted=predicted, masks=masks, known=known, answer_probability={}, given={},
        answers=np.zeros((n, 0), np.int64),
    )  # fmt: skip


EVERY = marks(
    "1100 0110 1111",  # found
    "1100 0011 1111",  # marked beside it: not found
    "1100 0000 1111",  # not marked
    "0000 0001 1111",  # false alarm
    "0000 0000 1111",
    "1000 1001 0111",  # the true pixel is unknown: an image without it, and a false alarm
    "1100 1000 0111",  # the marked pixel is unknown: not found
)


def test_a_mark_elsewhere_in_the_image_does_not_find_the_label():
    assert found_of(EVERY.labels["disc"]) == Found(found=1, present=4, alarms=2, absent=3)
    assert found_of(EVERY.labels["spot"]) == Found(0, 0, 0, 0) == found_of(EVERY.take([]).labels["disc"])
    metrics = value(measure, EVERY)
    assert (metrics["found/disc"], metrics["false_alarms/disc"]) == (0.25, pytest.approx(2 / 3))
    assert metrics["presence_sensitivity/disc"] == 0.5  # any mark
    assert np.isnan(metrics["found/spot"])
    assert metrics["found"] == 0.25  # the mean over the labels that have one


def test_images_count_as_often_as_they_weigh():
    weights = np.array([[4.0, 1.0, 0.0, 0.0, 3.0, 0.0, 0.0], [0.0] * 4 + [1.0, 0.0, 0.0]])
    metrics = measure(EVERY, weights)
    np.testing.assert_array_equal(metrics["found/disc"], [0.8, np.nan])
    np.testing.assert_array_equal(metrics["false_alarms/disc"], [0, 0])


def test_the_total_is_over_labels(make_counts):
    counts = make_counts(12)
    parts = [found_of(part) for part in counts.labels.values()]
    assert total(counts) == tuple(map(sum, zip(*parts, strict=True)))
    assert total(counts).present > parts[0].present > 0


def test_the_summary_has_them_for_logs_and_selection():
    found = summary(EVERY)
    assert (found["found/disc"], found["dice_present/disc"]) == (0.25, found["dice/disc"])
    assert listing.every()["image/false_alarms"].better == "lower"


@pytest.mark.parametrize("absent", ["one", "zero", "nan", "exclude"])
def test_a_label_that_is_marked_nowhere_has_no_precision(absent):
    silent = marks("1100 0000 1111", "0000 0000 1111", "0000 0000 1111")
    metrics = value(lambda counts, weights: measure(counts, weights, absent=absent), silent)
    assert np.isnan(metrics["precision/disc"])
    assert np.isnan(metrics["precision_marked/disc"])
    fixed = {name: metrics[f"{name}/disc"] for name in ("dice_present", "iou_present", "sensitivity_present", "found")}
    assert set(fixed.values()) == {0}
    assert metrics["dice_all/disc"] == pytest.approx(2 / 3)


def test_precision_where_marked_has_false_alarms_and_no_empty_masks():
    metrics = value(lambda counts, weights: measure(counts, weights, absent="one"), EVERY)
    assert metrics["precision_marked/disc"] == pytest.approx((0.5 + 0 + 0 + 0) / 4)
    assert metrics["precision/disc"] == pytest.approx((0.5 + 0 + 0 + 1 + 0) / 5)
    assert metrics["specificity_all/disc"] == pytest.approx((0.5 + 0 + 1 + 0.75 + 1 + 2 / 3 + 1) / 7)
