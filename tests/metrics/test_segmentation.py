from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, precision_score, recall_score
from torchmetrics.functional.classification import binary_f1_score, binary_jaccard_index, binary_specificity

from foveate.core.labels import LabelSchema
from foveate.metrics.counts import Counts
from foveate.metrics.interval import value
from foveate.metrics.measure import measure
from foveate.metrics.segmentation import ABSENT, per_image

DISC = LabelSchema((), ("disc",))


def counts_of(masks, predicted, known=None):
    """Counts of one label from lists of small images."""
    masks, predicted = np.array(masks, bool)[:, None, None], np.array(predicted, bool)[:, None, None]
    n = len(masks)
    return Counts.of(
        DISC, images=[str(k) for k in range(n)], groups=["p"] * n, probability=predicted * 0.75, predicted=predicted,
        masks=masks, known=np.ones_like(masks) if known is None else np.array(known, bool)[:, None, None],
        answer_probability={}, given={}, answers=np.zeros((n, 0), np.int64),
    )  # fmt: skip


# both present, missed, rightly empty, false alarm
FOUR = counts_of([[1, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4], [[1, 0, 1, 0], [0] * 4, [0] * 4, [1, 0, 0, 0]])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_score_of_an_image_equals_scikit_learn_and_torchmetrics(make_arrays, schema, seed):
    arrays = make_arrays(3, seed=seed)
    counts = Counts.of(schema, **arrays)
    for k, label in enumerate(schema.labels):
        part = counts.labels[label]
        scores = per_image(part, absent="nan")
        for row, image in enumerate(part.image):
            b = int(counts.images[image].removeprefix("image"))
            seen = arrays["known"][b, k]
            truth, predicted = arrays["masks"][b, k][seen], arrays["predicted"][b, k][seen]
            expected = {
                "dice": f1_score(truth, predicted, zero_division=np.nan),
                "iou": jaccard_score(truth, predicted, zero_division=0.0) if (truth | predicted).any() else np.nan,
                "sensitivity": recall_score(truth, predicted, zero_division=np.nan),
                "specificity": recall_score(~truth, ~predicted, zero_division=np.nan),
                "precision": precision_score(truth, predicted, zero_division=np.nan),
                "pixel_accuracy": accuracy_score(truth, predicted),
            }
            assert {n: s[row] for n, s in scores.items()} == pytest.approx(expected, nan_ok=True)
            if truth.any() and not truth.all():
                both = torch.from_numpy(predicted), torch.from_numpy(truth)
                assert scores["dice"][row] == pytest.approx(binary_f1_score(*both).item())
                assert scores["iou"][row] == pytest.approx(binary_jaccard_index(*both).item())
                assert scores["specificity"][row] == pytest.approx(binary_specificity(*both).item())


nan = np.nan


@pytest.mark.parametrize(
    ("absent", "dice", "sensitivity", "precision", "specificity"),
    [
        ("one", [0.5, 0, 1, 0], [0.5, 0, 1, 0], [0.5, nan, 1, 0], [0.5, 1, 1, 0.75]),
        ("zero", [0.5, 0, 0, 0], [0.5, 0, 0, 0], [0.5, nan, 0, 0], [0.5, 1, 1, 0.75]),
        ("nan", [0.5, 0, nan, 0], [0.5, 0, nan, nan], [0.5, nan, nan, 0], [0.5, 1, 1, 0.75]),
        ("exclude", [0.5, 0, nan, nan], [0.5, 0, nan, nan], [0.5, nan, nan, nan], [0.5, 1, nan, nan]),
    ],
)
def test_the_policy_for_images_free_of_the_label(absent, dice, sensitivity, precision, specificity):
    scores = per_image(FOUR.labels["disc"], absent=absent)
    np.testing.assert_array_equal(scores["dice"], dice)
    np.testing.assert_array_equal(scores["sensitivity"], sensitivity)
    np.testing.assert_array_equal(scores["precision"], precision)
    np.testing.assert_array_equal(scores["specificity"], specificity)
    found = value(lambda c, w: measure(c, w, absent=absent), FOUR)
    assert found["dice/disc"] == pytest.approx(np.nanmean(dice))
    assert found["dice_std/disc"] == pytest.approx(np.nanstd(dice, ddof=1))
    assert found["specificity/disc"] == pytest.approx(np.nanmean(specificity))


def test_a_strange_policy_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match=r"absent must be one of \['one', 'zero', 'nan', 'exclude'\], got 'none'"):
        per_image(FOUR.labels["disc"], absent="none")
    assert ABSENT["one"].empty == 1.0


def test_a_label_that_fills_all_that_is_known_has_no_specificity():
    full = counts_of([[1, 1, 0]], [[1, 0, 1]], [[1, 1, 0]])
    for absent in ABSENT:
        assert np.isnan(per_image(full.labels["disc"], absent=absent)["specificity"]).all()
        assert per_image(full.labels["disc"], absent=absent)["dice"] == pytest.approx([2 / 3])


def test_pooled_scores_are_those_of_all_pixels_in_one_image(make_arrays, schema):
    arrays = make_arrays(8)
    found = value(measure, Counts.of(schema, **arrays))
    for k, label in enumerate(schema.labels):
        seen = arrays["known"][:, k]
        truth, predicted = arrays["masks"][:, k][seen], arrays["predicted"][:, k][seen]
        assert found[f"dice_pooled/{label}"] == pytest.approx(f1_score(truth, predicted))
        assert found[f"iou_pooled/{label}"] == pytest.approx(jaccard_score(truth, predicted))
        assert found[f"pixel_accuracy_pooled/{label}"] == pytest.approx(accuracy_score(truth, predicted))
    assert found["dice_pooled"] == pytest.approx(np.mean([found[f"dice_pooled/{label}"] for label in schema.labels]))


def test_the_mean_over_labels_is_of_the_labels_that_have_one(make_arrays, schema):
    arrays = make_arrays(6)
    arrays["known"][:, 1] = False
    found = value(measure, Counts.of(schema, **arrays))
    assert np.isnan(found["dice/cup"])
    assert found["dice"] == found["dice/disc"]


def test_presence_is_read_from_the_mask():
    found = value(measure, FOUR)
    assert found["presence_accuracy/disc"] == 0.5
    assert found["presence_sensitivity/disc"] == 0.5
    assert found["presence_specificity/disc"] == 0.5
    assert found["presence_f1/disc"] == 0.5
    assert found["presence_auc/disc"] == 0.5
    one_class = value(measure, FOUR.take(["0", "1"]))
    assert np.isnan(one_class["presence_specificity/disc"])
    assert np.isnan(one_class["presence_auc/disc"])
    assert np.isnan(one_class["presence_ap/disc"])


def test_no_image_at_all_is_undefined_everywhere(make_counts):
    assert all(np.isnan(v) for v in value(measure, make_counts(3).take([])).values())


def test_the_order_of_images_changes_nothing(make_counts):
    counts = make_counts(9)
    turned = counts.take(counts.images[::-1])
    assert value(measure, turned) == pytest.approx(value(measure, counts), nan_ok=True)


def test_a_label_more_leaves_the_others_as_they_are(make_counts, schema):
    counts = make_counts(9)
    keep = counts.pixels["label"] == "disc"
    alone = Counts(replace(schema, labels=("disc",)), {k: v[keep] for k, v in counts.pixels.items()}, counts.answers)
    every = value(measure, counts)
    assert {k: v for k, v in value(measure, alone).items() if k.endswith("/disc")} == pytest.approx(
        {k: v for k, v in every.items() if k.endswith("/disc")}, nan_ok=True
    )
