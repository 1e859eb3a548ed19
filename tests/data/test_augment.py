"""One warp for all arrays: what lies on a label stays on it; colour leaves truth alone."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.shapes import Geometry
from foveate.core.types import Row, Sample
from foveate.data import augment as A
from foveate.data.augment import Augment

GEOMETRIC = {
    "flip_horizontal": A.flip_horizontal(1.0),
    "flip_vertical": A.flip_vertical(1.0),
    "rotate": A.rotate(25, p=1),
    "zoom": A.zoom(0.8, 1.3, p=1),
    "shift": A.shift(0.1, p=1),
    "shear": A.shear(10, p=1),
}
COLOURS = {
    "brightness": A.brightness(0.4),
    "contrast": A.contrast(0.4),
    "gamma": A.gamma(0.5, 2.0),
    "saturation": A.saturation(0.5),
    "blur": A.blur(2.0, p=1.0),
    "noise": A.noise(0.1, p=1.0),
}


def drawn(labels: int = 3, rows: int = 48, cols: int = 64, *, channels: int = 3, seed: int = 0) -> Sample:
    """Image, masks, cues and prior that all show the same discs."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((labels, rows, cols), np.uint8)
    for mask in masks:
        cv2.circle(mask, (int(rng.integers(12, cols - 12)), int(rng.integers(12, rows - 12))), 6, 1, -1)
    image = np.repeat(masks.any(0)[:, :, None].astype(np.uint8) * 180 + 20, channels, 2)
    known = np.ones_like(masks)
    geometry = Geometry.whole((rows, cols))
    return Sample(
        Row("a", "a"), image, masks, known, np.array([1]), geometry, masks.astype(np.float32), masks[:2].copy()
    )


def test_pure_flips_are_exact_and_undo_themselves() -> None:
    sample = drawn()
    for steps, index in (
        ([A.flip_horizontal(1.0)], (slice(None), slice(None, None, -1))),
        ([A.flip_vertical(1.0)], (slice(None, None, -1), slice(None))),
        ([A.flip_vertical(1.0), A.flip_horizontal(1.0)], (slice(None, None, -1), slice(None, None, -1))),
    ):
        turn = Augment(tuple(steps))
        got = turn(sample, np.random.default_rng(0))
        np.testing.assert_array_equal(got.image, sample.image[index])
        for name in ("masks", "known", "prior", "cues"):
            np.testing.assert_array_equal(getattr(got, name), getattr(sample, name)[:, index[0], index[1]])
            assert getattr(got, name).flags.c_contiguous
        back = turn(got, np.random.default_rng(0))
        np.testing.assert_array_equal(back.image, sample.image)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(GEOMETRIC)), min_size=1, max_size=4), st.integers(0, 1000), st.integers(0, 11))
def test_image_and_truth_move_together(names: list[str], seed: int, labels: int) -> None:
    sample = drawn(labels, seed=seed)
    got = Augment(tuple(GEOMETRIC[n] for n in names))(sample, np.random.default_rng(seed))
    assert got.masks.shape == sample.masks.shape
    assert set(np.unique(got.masks)) <= {0, 1}
    assert not (got.masks > got.known).any()
    if labels:
        inside = got.known.all(0)
        disagree = ((got.image[:, :, 0] > 110) != got.masks.any(0)) & inside
        border = cv2.morphologyEx(got.masks.any(0).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        assert not (disagree & (border == 0)).any()
        np.testing.assert_array_equal(got.cues, got.masks[:2])
        far = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        for prior, mask in zip(got.prior, got.masks, strict=True):
            border = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
            assert not (((prior > 0.5) != (mask > 0)) & far & (border == 0)).any()
    outside = ~got.known.any(0) if labels else np.zeros(sample.image.shape[:2], bool)
    deep = cv2.erode(outside.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    assert not got.image[deep].any()
    assert got.image.flags.c_contiguous


def test_steps_are_one_matrix_in_their_order() -> None:
    sample = drawn(1)
    there, back = A.rotate(20, p=1), A.shift(0.2, p=1)
    turned = replace(there, low=90.0, high=90.0)
    square = drawn(1, 48, 48)
    got = Augment((turned,))(square, np.random.default_rng(0))
    np.testing.assert_array_equal(got.masks[0], np.rot90(square.masks[0]))
    np.testing.assert_allclose(got.image.astype(int), np.rot90(square.image), atol=1)
    moved = Augment((replace(back, low=0.125, high=0.125),))(sample, np.random.default_rng(0))
    np.testing.assert_array_equal(moved.masks[0, 6:, 8:], sample.masks[0, :-6, :-8])
    assert not moved.known[0, :6].any()
    assert not moved.known[0, :, :8].any()
    mirrored = A.flip_horizontal(1.0)
    first = Augment((replace(back, low=0.125, high=0.125), mirrored))(sample, np.random.default_rng(0))
    np.testing.assert_array_equal(first.masks, moved.masks[:, :, ::-1])


def test_nearest_and_linear_do_not_drift_apart() -> None:
    rows, cols = np.indices((48, 64))
    away = []
    for seed in range(40):
        sample = drawn(1, seed=seed)
        got = Augment((A.rotate(40, p=1), A.zoom(0.7, 1.4, p=1)))(sample, np.random.default_rng(seed))
        if got.known[0, 2:-2, 2:-2].all() or got.masks[0].sum() > 60:
            centres = [((m * rows).sum() / m.sum(), (m * cols).sum() / m.sum()) for m in (got.masks[0], got.prior[0])]
            away.append(np.subtract(*centres))
    assert len(away) > 20
    assert np.abs(np.mean(away, axis=0)).max() < 0.05, "the two interpolations put a disc's centre at the same place"


def test_zoom_is_even_in_its_logarithm() -> None:
    act, factors = GEOMETRIC["zoom"], []
    rng = np.random.default_rng(0)
    for _ in range(2000):
        factors.append(act.act(*act.draw(rng), (9, 9))[0, 0])
    assert 0.8 <= min(factors) < 0.81
    assert 1.29 < max(factors) <= 1.3
    assert abs(np.exp(np.mean(np.log(factors))) - np.sqrt(0.8 * 1.3)) < 0.01


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("channels", [1, 3])
def test_colour_touches_the_picture_alone(name: str, channels: int) -> None:
    sample = drawn(channels=channels)
    sample.image[:] = np.random.default_rng(3).integers(0, 256, sample.image.shape)
    padded = replace(sample, geometry=Geometry((40, 64), (0, 0, 40, 64), (4, 0, 40, 64), (48, 64)))
    padded.image[:4] = padded.image[44:] = 0
    before = padded.image.copy()
    got = Augment((COLOURS[name],))(padded, np.random.default_rng(5))
    np.testing.assert_array_equal(padded.image, before, "the sample given is left as it is")
    assert got.image.shape == before.shape
    assert got.image.dtype == np.uint8
    assert not got.image[:4].any()
    assert not got.image[44:].any()
    assert np.array_equal(got.image, before) == (name == "saturation" and channels == 1)
    for truth in ("masks", "known", "prior", "cues"):
        assert getattr(got, truth) is getattr(padded, truth)


def test_tones_are_one_table() -> None:
    sample = drawn()
    sample.image[:] = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64, 1)
    up = replace(A.brightness(0.0), low=1.5, high=1.5)
    down = replace(A.gamma(1.0, 1.0), low=2.0, high=2.0)
    got = Augment((up, down))(sample, np.random.default_rng(0)).image
    expected = np.rint(np.minimum(sample.image / 255 * 1.5, 1) ** 2 * 255)
    np.testing.assert_array_equal(got, expected)
    flat = replace(A.contrast(0.0), low=0.0, high=0.0)
    got = Augment((flat,))(sample, np.random.default_rng(0)).image
    assert np.ptp(got) == 0
    assert abs(float(got[0, 0, 0]) - sample.image.mean()) <= 1
    grey = replace(A.saturation(0.0), low=0.0, high=0.0)
    colourful = replace(sample, image=np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8))
    got = Augment((grey,))(colourful, np.random.default_rng(0)).image
    np.testing.assert_allclose(got[:, :, 0].astype(int), cv2.cvtColor(colourful.image, cv2.COLOR_RGB2GRAY), atol=1)
    assert np.ptp(got, axis=2).max() <= 1


def test_noise_has_its_strength_and_blur_smooths() -> None:
    flat = replace(drawn(), image=np.full((48, 64, 3), 128, np.uint8))
    loud = replace(A.noise(0.1, p=1.0), low=0.1)
    assert abs(Augment((loud,))(flat, np.random.default_rng(0)).image.std() / 255 - 0.1) < 0.005
    rough = replace(flat, image=np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    assert Augment((A.blur(3.0, p=1.0),))(rough, np.random.default_rng(0)).image.std() < 0.8 * rough.image.std()


def test_same_generator_same_sample_and_probability_is_kept() -> None:
    sample, every = drawn(), Augment((*GEOMETRIC.values(), *COLOURS.values()))
    one, other = (every(sample, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.masks, other.masks)
    assert not np.array_equal(one.image, every(sample, np.random.default_rng(8)).image)
    rng, flip = np.random.default_rng(0), A.flip_horizontal(0.3)
    assert abs(np.mean([flip.draw(rng) is not None for _ in range(4000)]) - 0.3) < 0.03
    assert Augment((A.rotate(9, p=0.0), A.blur(9, p=0.0)))(sample, rng) is sample


def test_a_step_that_stays_out_leaves_later_draws_alone() -> None:
    sample = drawn()
    without = Augment((A.rotate(9, p=0.0), A.shift(0.1)))(sample, np.random.default_rng(4))
    rng = np.random.default_rng(4)
    rng.random(3)
    np.testing.assert_array_equal(without.masks, Augment((A.shift(0.1),))(sample, rng).masks)


def test_repr_shows_every_number_and_wrong_ones_are_named() -> None:
    text = repr(
        Augment((A.flip_horizontal(0.25), A.rotate(15), A.zoom(0.9, 1.1, p=0.5), A.gamma(0.8, 1.2), A.noise(0.02)))
    )
    expected = ("flip_horizontal(p=0.25)", "rotate(-15..15, p=0.3)", "zoom(0.9..1.1, p=0.5)", "gamma(0.8..1.2, p=1)")
    for part in (*expected, "noise(0..0.02, p=0.5)"):
        assert part in text
    for wrong in (
        lambda: A.flip_horizontal(1.5),
        lambda: A.rotate(-3),
        lambda: A.zoom(0, 1),
        lambda: A.gamma(2, 1),
        lambda: A.shift(float("nan")),
    ):
        with pytest.raises(ValueError, match="give"):
            wrong()


def test_by_default_half_of_the_images_are_not_interpolated() -> None:
    """Validation images never are: a network that sees none such in training answers them wrongly."""
    augment = Augment((A.flip_horizontal(), A.flip_vertical(), A.rotate(15), A.zoom(0.9, 1.1)))
    sample = _checkerboard()
    sharp = sum(set(np.unique(augment(sample, np.random.default_rng(s)).image)) == {0, 255} for s in range(400))
    assert 0.42 < sharp / 400 < 0.56


def _checkerboard() -> Sample:
    image = (np.indices((16, 16)).sum(0) % 2 * 255).astype(np.uint8)[:, :, None]
    nothing = np.zeros((1, 16, 16), np.uint8)
    whole = (0, 0, 16, 16)
    return Sample(
        Row("i", ""), image, nothing, nothing, np.zeros(0, np.int64), Geometry((16, 16), whole, whole, (16, 16))
    )
