"""Drawn retinas: deterministic, and their truth is exact."""

from collections import Counter

import cv2
import numpy as np
import pytest
from PIL import Image

from foveate.core.shapes import ellipse
from foveate.data.synthetic import SCHEMAS, draw, enface, fundus, oct, write

KINDS = ("fundus", "oct", "enface")
CHANNELS = {"fundus": 3, "oct": 1, "enface": 1}


@pytest.fixture(scope="module")
def drawn():
    return {kind: [draw(kind, seed, size=128) for seed in range(20)] for kind in KINDS}


def named(kind, drawing):
    return dict(zip(SCHEMAS[kind].labels, drawing.masks, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same_pixels_and_another_seed_others(kind):
    first, again, other = draw(kind, 7, size=96), draw(kind, 7, size=96), draw(kind, 8, size=96)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.masks, again.masks)
    assert (first.answers, first.disc, first.fovea) == (again.answers, again.disc, again.fovea)
    assert (first.image != other.image).mean() > 0.2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [64, 128, 200])
def test_shapes_and_types(kind, size):
    drawing = draw(kind, 3, size=size)
    assert drawing.image.shape == (size, size, CHANNELS[kind])
    assert drawing.masks.shape == (len(SCHEMAS[kind].labels), size, size)
    assert drawing.image.dtype == drawing.masks.dtype == np.uint8
    assert set(np.unique(drawing.masks)) <= {0, 1}
    assert drawing.spacing is not None
    assert all(step > 0 for step in drawing.spacing)


@pytest.mark.parametrize("kind", KINDS)
def test_every_question_is_answered_and_evidence_agrees(kind, drawn):
    for drawing in drawn[kind]:
        assert set(drawing.answers) == {q.name for q in SCHEMAS[kind].questions}
        SCHEMAS[kind].answer_indices(drawing.answers)
        for question in SCHEMAS[kind].questions:
            if question.evidence:
                marked = any(named(kind, drawing)[label].any() for label in question.evidence)
                assert drawing.answers[question.name] == ("yes" if marked else "no")


@pytest.mark.parametrize("kind", KINDS)
def test_main_answers_are_balanced_and_mixed_between_eyes(kind, drawn):
    question = SCHEMAS[kind].questions[0]
    for part in (drawn[kind], drawn[kind][::2], drawn[kind][1::2]):
        counts = Counter(drawing.answers[question.name] for drawing in part)
        assert set(counts) == set(question.answers)
        assert max(counts.values()) - min(counts.values()) <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_label_is_drawn_somewhere_and_absent_somewhere(kind):
    sizes = np.array([draw(kind, seed, size=64).masks.sum((1, 2)) for seed in range(60)])
    assert (sizes > 0).any(0).all()
    optional = [k for k, label in enumerate(SCHEMAS[kind].labels) if label not in ("disc", "nerve_head")]
    assert (sizes[:, optional] == 0).any(0).all()


@pytest.mark.parametrize("kind", ["oct", "enface"])
def test_exclusive_labels_do_not_overlap(kind, drawn):
    for drawing in drawn[kind]:
        assert drawing.masks.sum(0).max() <= 1


def test_only_some_yes_no_answers_are_yes(drawn):
    assert {d.answers["atrophy_present"] for d in drawn["fundus"]} == {"no", "yes"}
    assert {d.answers["fluid_present"] for d in drawn["oct"]} == {"no", "yes"}


@pytest.mark.parametrize("kind", ["fundus", "enface"])
def test_right_and_left_eyes_mirror_each_other(kind):
    for seed in range(6):
        drawing = draw(kind, seed, size=96)
        assert drawing.laterality == ("OD", "OS")[seed % 2]
    right, left = draw("fundus", 0, size=96), draw("fundus", 1, size=96)
    assert right.disc[1] > 60 > 36 > left.disc[1]
    assert right.disc[1] > right.fovea[1]
    assert left.disc[1] < left.fovea[1]


def test_mirroring_moves_image_masks_and_positions_together():
    drawing = draw("fundus", 4, size=96)
    other = drawing.mirrored()
    assert other.laterality == "OS"
    assert np.array_equal(other.image[:, 0], drawing.image[:, -1])
    assert np.array_equal(other.masks[:, :, 5], drawing.masks[:, :, -6])
    assert other.disc == (drawing.disc[0], 95 - drawing.disc[1])
    back = other.mirrored()
    assert np.array_equal(back.image, drawing.image)
    assert back.fovea == pytest.approx(drawing.fovea)


def test_unknown_kind_size_seed_and_number_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"kind must be one of \['fundus', 'oct', 'enface'\], got 'slo'"):
        draw("slo", 0)
    with pytest.raises(ValueError, match=r"size=32 .* at least 64"):
        draw("oct", 0, size=32)
    with pytest.raises(ValueError, match="seed=-1"):
        draw("oct", -1)
    with pytest.raises(ValueError, match="n=0"):
        write("oct", tmp_path, n=0)


# -- fundus --------------------------------------------------------------------------------------------------------


def test_fundus_is_black_outside_the_field_of_view_and_orange_inside(drawn):
    for drawing in drawn["fundus"]:
        assert not drawing.image[:3, :3].any()
        assert not drawing.masks[:, :3, :3].any()
        red, green, blue = drawing.image[40:88, 40:88].reshape(-1, 3).mean(0)
        assert red > green > blue


def test_disc_lies_round_its_centre_and_is_brighter_than_the_macula():
    for seed in (0, 1, 5, 6):  # grades 0 and 1: nothing hides the disc
        drawing = draw("fundus", seed, size=128)
        disc = named("fundus", drawing)["disc"].astype(bool)
        assert np.argwhere(disc).mean(0) == pytest.approx(drawing.disc, abs=1.0)
        # 1.5 to 2.1 mm across
        assert 1.5 < 2 * np.sqrt(disc.sum() / np.pi) * drawing.spacing[0] < 2.2
        macula = ellipse(disc.shape, drawing.fovea, (6.0, 6.0))
        assert drawing.image[disc, 1].mean() > 1.25 * drawing.image[macula, 1].mean()


def test_atrophy_lies_beside_the_disc_not_on_it(drawn):
    for drawing in drawn["fundus"]:
        masks = named("fundus", drawing)
        assert not (masks["atrophy"] & masks["disc"]).any()
        if masks["atrophy"].any():
            beside = cv2.dilate(masks["disc"], np.ones((5, 5), np.uint8)) & masks["atrophy"]
            assert beside.any()


@pytest.mark.parametrize("size", [64, 128, 256])
def test_grade_follows_table_one(size):
    for seed in range(15):
        drawing = draw("fundus", seed, size=size)
        masks = named("fundus", drawing)
        present = {label for label, mask in masks.items() if mask.any()} - {"disc", "atrophy"}
        grade = drawing.answers["grade"]
        assert grade == str(seed % 5)
        if grade == "0":
            assert not present
        if grade == "1":
            assert present == {"microaneurysm"}
        if grade in ("2", "3"):
            assert {"haemorrhage"} <= present
            allowed = {"microaneurysm", "haemorrhage", "hard_exudate"}
            assert present <= (allowed if grade == "2" else allowed | {"cotton_wool_spot"})
            count, _, _, centres = cv2.connectedComponentsWithStats(masks["haemorrhage"], connectivity=8)
            middle = (size - 1) / 2
            quadrants = Counter((y > middle, x > middle) for x, y in centres[1:])
            assert sum(quadrants.values()) == count - 1
            assert (len(quadrants) == 4 and min(quadrants.values()) > 20) == (grade == "3")
        if grade == "4":
            assert present & {"neovascularisation", "vitreous_haemorrhage", "preretinal_haemorrhage"}


def test_grade_of_counts_haemorrhages_in_each_quadrant():
    mask = np.zeros((128, 128), np.uint8)
    mask[4:60:10, 4:60:10] = 1  # 36 in one quadrant
    assert fundus.haemorrhages_by_quadrant(mask) == (36, 0, 0, 0)
    assert fundus.grade_of({"haemorrhage": mask}) == 2
    whole = mask | mask[::-1] | mask[:, ::-1] | mask[::-1, ::-1]
    assert fundus.haemorrhages_by_quadrant(whole) == (36, 36, 36, 36)
    assert fundus.grade_of({"haemorrhage": whole}) == 3
    assert fundus.grade_of({"haemorrhage": whole, "preretinal_haemorrhage": mask}) == 4
    assert fundus.grade_of({"haemorrhage": 0 * mask, "microaneurysm": mask}) == 1
    assert fundus.grade_of({"haemorrhage": 0 * mask}) == 0


def test_red_lesions_are_darker_and_white_ones_brighter_than_what_surrounds_them():
    signs = {"haemorrhage": -1, "hard_exudate": 1, "cotton_wool_spot": 1, "preretinal_haemorrhage": -1}
    seen = Counter()
    for seed in (2, 3, 7, 8, 13, 4, 9, 14, 19, 24, 29):
        drawing = draw("fundus", seed, size=256)
        masks = named("fundus", drawing)
        anything = cv2.dilate(drawing.masks.max(0), np.ones((3, 3), np.uint8))
        for label, sign in signs.items():
            mask = masks[label]
            ring = cv2.dilate(mask, np.ones((11, 11), np.uint8)).astype(bool) & (anything == 0)
            ring &= drawing.image.any(-1)
            if mask.any():
                green = drawing.image[..., 1].astype(float)
                assert sign * (green[mask == 1].mean() - green[ring].mean()) > 8, (seed, label)
                seen[label] += 1
    assert set(seen) == set(signs)


# -- OCT B-scan ----------------------------------------------------------------------------------------------------


def test_class_follows_the_lesions(drawn):
    for drawing in drawn["oct"]:
        masks = named("oct", drawing)
        answer = drawing.answers["class"]
        assert masks["cnv"].any() == (answer == "cnv")
        if answer == "cnv":
            beside = cv2.dilate(masks["cnv"], np.ones((3, 3), np.uint8)) & masks["drusen"]
            assert not beside.any()  # the flank of a lesion is no drusen
        else:
            assert masks["drusen"].any() == (answer == "drusen")
            assert drawing.answers["fluid_present"] == "no"


def test_fluid_is_darker_than_the_lesion_and_vitreous_darker_than_retina(drawn):
    checked = 0
    for drawing in drawn["oct"]:
        masks, grey = named("oct", drawing), drawing.image[..., 0].astype(float)
        if masks["fluid"].sum() > 30:
            inner = cv2.erode(masks["fluid"], np.ones((3, 3), np.uint8)).astype(bool)
            if inner.any():
                assert grey[inner].mean() < 0.6 * grey[masks["cnv"] == 1].mean()
                checked += 1
    assert checked


def test_white_edges_bear_no_label():
    found = 0
    for seed in range(24):
        drawing = draw("oct", seed, size=64)
        corner = drawing.image[:2, :2, 0].min() == 255 or drawing.image[:2, -2:, 0].min() == 255
        if corner:
            found += 1
            assert not drawing.masks[:, drawing.image[..., 0].min(1) == 255].any()
    assert 0 < found < 24


def test_the_pit_is_where_the_fovea_is_said_to_be(drawn):
    checked = 0
    for drawing in drawn["oct"]:
        if drawing.fovea is not None and drawing.answers["class"] == "normal":
            row, col = (round(v) for v in drawing.fovea)
            above = drawing.image[max(row - 12, 0) : row - 3, col - 1 : col + 2].astype(float)
            below = drawing.image[row + 1 : row + 14, col - 1 : col + 2].astype(float)
            assert below.mean() > 1.5 * above.mean()
            checked += 1
    assert checked


# -- OCT en-face ---------------------------------------------------------------------------------------------------


def test_quality_follows_the_signal_lost(drawn):
    lost = {str(q): [] for q in range(4)}
    for drawing in drawn["enface"]:
        masks = named("enface", drawing)
        area = enface.loss(masks["shallow_shadow"] == 1, masks["dark_shadow"] == 1, masks["motion"] == 1, strength=1.0)
        low, high = enface.RANGES[int(drawing.answers["quality"])]
        assert area <= high
        lost[drawing.answers["quality"]].append(area)
    means = [np.mean(lost[str(q)]) for q in range(4)]
    assert means == sorted(means, reverse=True)
    # neighbouring grades overlap, others do not
    for (low, _), (_, high) in zip(enface.RANGES[:-1], enface.RANGES[1:], strict=True):
        assert low < high
    for (low, _), (_, high) in zip(enface.RANGES[:-2], enface.RANGES[2:], strict=True):
        assert low > high


def test_loss_counts_each_pixel_once():
    everywhere, nowhere = np.ones((8, 8), bool), np.zeros((8, 8), bool)
    assert enface.loss(everywhere, everywhere, nowhere, strength=1.0) == enface.WEIGHTS["dark"]
    assert enface.loss(everywhere, everywhere, everywhere, strength=1.0) == enface.WEIGHTS["motion"]
    assert enface.loss(everywhere, nowhere, nowhere, strength=1.0) == enface.WEIGHTS["shallow"]
    assert enface.loss(nowhere, nowhere, nowhere, strength=0.5) == 0.5 * enface.WEIGHTS["signal"]


def test_dark_shadows_are_dark_and_the_nerve_head_is_in_view(drawn):
    checked = 0
    for drawing in drawn["enface"]:
        masks, grey = named("enface", drawing), drawing.image[..., 0].astype(float)
        clear = drawing.masks.max(0) == 0
        if masks["dark_shadow"].sum() > 40:
            assert grey[masks["dark_shadow"] == 1].mean() < 0.6 * grey[clear].mean()
            checked += 1
        head = masks["nerve_head"]
        assert head.mean() > 0.02
        near = ellipse(head.shape, drawing.disc, (0.2 * len(head), 0.2 * len(head)))
        assert (head[near].sum() / head.sum()) > 0.95
    assert checked


# -- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_written_files_read_back_equal(kind, tmp_path):
    rows = write(kind, tmp_path, n=6, seed=2, size=64)
    assert [row.id for row in rows] == [f"{kind}_{i:04d}" for i in range(6)]
    for number, row in enumerate(rows):
        drawing = draw(kind, 2_000_000 + number, size=64)
        image = np.asarray(Image.open(tmp_path / row.image))
        assert np.array_equal(image if image.ndim == 3 else image[..., None], drawing.image)
        assert list(row.masks) == list(SCHEMAS[kind].labels)
        for label, mask in zip(SCHEMAS[kind].labels, drawing.masks, strict=True):
            (source,) = row.masks[label]
            packed = np.asarray(Image.open(tmp_path / source.path)).astype(int)
            read = (packed >> source.bit) & 1 if source.bit is not None else np.isin(packed, source.index)
            assert np.array_equal(read, mask), label
        assert (row.answers, row.disc, row.fovea) == (drawing.answers, drawing.disc, drawing.fovea)
        assert (row.modality, row.source, row.spacing) == (kind, "synthetic", drawing.spacing)


def test_two_images_a_patient(tmp_path):
    rows = write("fundus", tmp_path, n=4, size=64)
    assert [row.patient for row in rows] == [f"fundus_patient_{i:04d}" for i in (0, 0, 1, 1)]
    assert [row.laterality for row in rows] == ["OD", "OS", "OD", "OS"]
    assert len({row.eye for row in rows}) == 4
    scans = write("oct", tmp_path, n=4, size=64)
    assert scans[0].eye == scans[1].eye != scans[2].eye == scans[3].eye


def test_both_scans_of_an_eye_agree_on_its_side():
    sides = [oct.draw(seed, size=64).laterality for seed in range(24)]
    assert sides[::2] == sides[1::2]
    assert set(sides) == {"OD", "OS"}
