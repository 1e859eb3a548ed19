import numpy as np
import pytest

from foveate.report import colours
from foveate.report.overlay import activation, errors, overlay, resized


def test_overlay_paints_marked_pixels_and_no_other(case):
    drawn = np.asarray(overlay(case.image, masks=case.masks, labels=case.prediction.labels, legend=False))
    changed = (drawn != case.image).any(2)
    assert (changed == case.masks.any(0)).all()
    assert tuple(drawn[8, 8]) == colours.marks(case.prediction.labels)["disc"]


def test_overlay_leaves_the_image_itself_alone(case):
    before = case.image.copy()
    overlay(case.image, masks=case.masks, labels=case.prediction.labels)
    errors(case.image, truth=case.masks, predicted=case.prediction.masks, labels=case.prediction.labels)
    assert (case.image == before).all()


def test_a_single_pixel_survives_shrinking():
    mask = np.zeros((1, 600, 800), np.uint8)
    mask[0, 333, 401] = 1
    drawn = np.asarray(overlay(np.zeros((600, 800, 3), np.uint8), masks=mask, labels=("ma",), width=100, legend=False))
    assert drawn.shape == (75, 100, 3)
    assert drawn.any(2).sum() >= 1


def test_legend_adds_a_strip_below(case):
    plain = overlay(case.image, masks=case.masks, labels=case.prediction.labels, width=300, legend=False)
    told = overlay(case.image, masks=case.masks, labels=case.prediction.labels, width=300)
    assert told.width == plain.width
    assert told.height > plain.height


def test_unknown_is_not_called_none(case):
    known = case.known.copy()
    known[2] = 0
    said = overlay(case.image, masks=case.masks, known=known, labels=case.prediction.labels, width=400)
    unsaid = overlay(case.image, masks=case.masks, labels=case.prediction.labels, width=400)
    assert said.tobytes() != unsaid.tobytes()


def test_errors_have_the_colours_of_the_papers(case):
    drawn = np.asarray(
        errors(
            case.image,
            truth=case.masks,
            predicted=case.prediction.masks,
            labels=case.prediction.labels,
            alpha=1,
            legend=False,
        )
    )
    assert tuple(drawn[10, 14]) == colours.FOUND
    assert tuple(drawn[10, 9]) == colours.MISSED
    assert tuple(drawn[10, 18]) == colours.FALSE
    assert tuple(drawn[29, 29]) == colours.FALSE
    assert tuple(drawn[2, 20]) == (90, 90, 90)


def test_what_was_missed_is_red_and_a_false_alarm_green():
    """By the channels of the picture, so that neither the layers nor the two constants can be exchanged."""
    image = np.full((8, 8, 3), 90, np.uint8)
    truth, predicted = np.zeros((2, 1, 8, 8), bool)
    truth[0, :, :4], predicted[0, :4] = True, True
    drawn = np.asarray(errors(image, truth=truth, predicted=predicted, labels=("a",), alpha=1, legend=False), int)
    (red, green, _), (red_of_false, green_of_false, _) = drawn[6, 1], drawn[1, 6]
    assert red > green + 100
    assert green_of_false > red_of_false + 100


def test_another_label_is_one_error_not_two(case):
    swapped = case.masks[[1, 0, 2]]
    seen = errors(case.image, truth=case.masks, predicted=swapped, labels=("a", "b", "c"), alpha=1, legend=False)
    drawn = np.asarray(seen)
    assert tuple(drawn[10, 10]) == colours.CONFUSED


def test_unknown_pixels_are_hatched_and_not_judged(case):
    everywhere = np.ones_like(case.masks)
    drawn = np.asarray(
        errors(
            case.image,
            truth=case.masks,
            predicted=everywhere,
            known=case.known,
            labels=case.prediction.labels,
            legend=False,
            alpha=1,
        )
    )
    left = drawn[:, :8].reshape(-1, 3)
    assert (left[:, 0] == left[:, 1]).all()
    assert (left != 90).all()
    assert (left == 150).any()
    assert tuple(drawn[10, 10]) == colours.FALSE


def test_a_map_of_zeros_changes_nothing_and_a_peak_is_seen(case):
    assert (np.asarray(activation(case.image, cam=np.zeros((4, 4), np.float32), legend=False)) == case.image).all()
    peak = np.zeros((4, 4), np.float32)
    peak[3, 0] = 1
    drawn = np.asarray(activation(case.image, cam=peak, legend=False)).astype(int)
    row, col = np.unravel_index(np.abs(drawn - 90).sum(2).argmax(), (32, 32))
    assert row >= 24
    assert col < 8


def test_no_labels_gives_the_image():
    image = np.zeros((20, 30, 3), np.uint8)
    assert overlay(image, masks=np.zeros((0, 20, 30), bool), labels=()).size == (30, 20)
    assert resized(image, 60).shape == (40, 60, 3)


def test_sizes_that_do_not_fit_are_refused(case):
    with pytest.raises(ValueError, match="2 labels"):
        overlay(case.image, masks=case.masks, labels=("a", "b"))
    with pytest.raises(ValueError, match="on an image of"):
        errors(case.image[:16], truth=case.masks, predicted=case.masks, labels=case.prediction.labels)
