"""The eight regions: they cover the image, do not overlap, and lie where the paper draws them, for any eye and turn."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from foveate.core.regions import APART, CHORD, FIELD, NAMES, Regions, disc_of, located, position
from foveate.core.shapes import ellipse, polygon

SHAPE = (60, 80)
PLACE = st.tuples(st.floats(-20, 80), st.floats(-20, 100))


def eye(angle: float, *, distance: float = 30.0, disc: tuple[float, float] = (30.0, 40.0), **known: str) -> Regions:
    """A fovea at an angle from the column axis, turning upwards."""
    return Regions(disc, (disc[0] - distance * np.sin(angle), disc[1] + distance * np.cos(angle)), **known)


@settings(max_examples=60, deadline=None)
@given(disc=PLACE, fovea=PLACE, laterality=st.sampled_from([None, "OD", "OS"]))
def test_every_pixel_lies_in_one_region_and_polygons_tile_the_image(
    disc: tuple[float, float], fovea: tuple[float, float], laterality: str | None
) -> None:
    assume(np.hypot(disc[0] - fovea[0], disc[1] - fovea[1]) > 2)
    regions = Regions(disc, fovea, laterality)
    masks = regions.masks(SHAPE)
    assert (masks.sum(0) == 1).all()
    outlines = regions.outlines(SHAPE)
    drawn = {name: polygon(SHAPE, corners) for name, corners in outlines.items()}
    rows, cols = np.broadcast_arrays(*np.ogrid[: SHAPE[0], : SHAPE[1]])
    near = [regions.index(rows + dr, cols + dc) for dr in (-0.01, 0.01) for dc in (-0.01, 0.01)]
    sure = (np.stack(near) == regions.index(rows, cols)).all(0)  # no edge passes the pixel's centre
    assert sure.mean() > 0.8
    assert (sum(d.astype(int) for d in drawn.values())[sure] == 1).all()
    for name, mask in zip(NAMES, masks, strict=True):
        assert (drawn[name] == mask)[sure].all() if name in drawn else not mask[sure].any()


def test_regions_are_those_of_the_figure() -> None:
    """An upright right eye: the disc on the right, the fovea on the left, superior on top."""
    regions = Regions((50.0, 70.0), (50.0, 40.0))
    d = 30
    assert abs(CHORD - 0.358) < 1e-3
    places = {
        "disc superior": (45, 70), "disc inferior": (55, 72), "macula": (50, 40), "temporal": (50, 40 - 0.8 * d),
        "superior": (10, 60), "inferior": (90, 60), "nasal superior": (40, 95), "nasal inferior": (60, 95),
    }  # fmt: skip
    assert {name: regions.at(place) for name, place in places.items()} == {name: name for name in places}
    assert regions.at((50, 70 - 0.35 * d)).startswith("disc")
    assert regions.at((50, 70 - 0.37 * d)) == "macula"
    assert regions.at((50 - 0.66 * d, 40 - 2 * d)) == "temporal"
    assert regions.at((50 - 0.67 * d, 40 - 2 * d)) == "superior"
    assert regions.at((30, 69.9)) == "superior"
    assert regions.at((30, 70.1)) == "nasal superior"


def test_areas_are_those_of_circles_and_chord() -> None:
    """Two halves of the disc's circle, less the lens beyond the chord; the fovea's circle, less its own."""
    regions = Regions((500.0, 700.0), (500.0, 300.0))
    found = regions.masks((1000, 1000)).sum((1, 2)) / 400**2
    r, big, c = 0.4, 2 / 3, CHORD
    cap = r**2 * np.arccos(c / r) - c * np.sqrt(r**2 - c**2)
    other = big**2 * np.arccos((1 - c) / big) - (1 - c) * np.sqrt(big**2 - (1 - c) ** 2)
    assert found[:2] == pytest.approx((np.pi * r**2 - cap) / 2, abs=5e-3)
    assert found[2] == pytest.approx(np.pi * big**2 - other, abs=5e-3)


@settings(max_examples=40, deadline=None)
@given(angle=st.floats(-np.pi, np.pi), turn=st.floats(-np.pi, np.pi), laterality=st.sampled_from(["OD", "OS"]))
def test_regions_turn_with_the_image(angle: float, turn: float, laterality: str) -> None:
    """A laterality makes superior and inferior hold for any turn."""
    first = eye(angle, laterality=laterality)
    second = eye(angle + turn, laterality=laterality)
    rng = np.random.default_rng(0)
    along, across = rng.uniform(-80, 80, (2, 200))

    def names(regions: Regions, a: float) -> np.ndarray:
        rows = 30 - along * np.sin(a) - across * np.cos(a)
        cols = 40 + along * np.cos(a) - across * np.sin(a)
        return regions.index(rows, cols)

    assert (names(first, angle) == names(second, angle + turn)).mean() > 0.98  # rounding at the edges


@settings(max_examples=40, deadline=None)
@given(angle=st.floats(-1.5, 1.5), left=st.booleans())
def test_mirrored_eyes_have_mirrored_regions(angle: float, left: bool) -> None:
    regions = eye(angle + np.pi * left)
    width = 81
    other = Regions((30.0, width - 1 - 40.0), (regions.fovea[0], width - 1 - regions.fovea[1]))
    assert (regions.masks((60, width)) == other.masks((60, width))[:, :, ::-1]).mean() > 0.995
    assert regions.axes[1][0] < 0  # superior is up


def test_upright_eyes_need_no_laterality() -> None:
    for angle, laterality in ((np.pi + 0.2, "OD"), (0.2, "OS")):
        np.testing.assert_array_equal(eye(angle).masks(SHAPE), eye(angle, laterality=laterality).masks(SHAPE))
    upside_down = eye(0.2, laterality="OD")
    assert upside_down.axes[1][0] > 0


def test_marked_pixels_and_names() -> None:
    regions = Regions((30.0, 60.0), (30.0, 30.0))
    mask = np.zeros(SHAPE, bool)
    mask[30, 30], mask[2:4, 50] = True, True
    assert regions.holding(mask) == ("macula", "superior")
    assert regions.holding(mask, least=2) == ("superior",)
    assert regions.holding(mask & False) == ()
    cover = regions.cover(["macula", "superior"], SHAPE)
    assert (cover == regions.masks(SHAPE)[[2, 4]].any(0)).all()
    assert not regions.cover([], SHAPE).any()
    with pytest.raises(ValueError, match=r"region must be one of .* got 'fovea'"):
        position("fovea")
    for bad in ({"disc": (1.0, 1.0), "fovea": (1.0, 1.0)}, {"disc": (1.0, float("nan")), "fovea": (3.0, 1.0)}):
        with pytest.raises(ValueError, match="two different positions"):
            Regions(**bad)
    with pytest.raises(ValueError, match="laterality='left'"):
        Regions((1.0, 1.0), (2.0, 1.0), "left")


def test_the_fovea_is_estimated_and_said_to_be() -> None:
    shape = (600, 800)
    known = located(shape=shape, disc=(300.0, 600.0), fovea=(320.0, 300.0))
    assert known is not None
    assert known.assumed == ()
    assert located(shape=shape, disc=None) is None
    right = located(shape=shape, disc=(300.0, 600.0), diameter=100.0, laterality="OD")
    assert right is not None
    assert right.assumed == ("fovea",)
    assert right.distance == pytest.approx(250)
    assert right.fovea[1] < 400
    assert right.fovea[0] > 300
    left = located(shape=shape, disc=(300.0, 600.0), laterality="OS")
    assert left is not None
    assert left.fovea[1] > 600
    assert left.distance == pytest.approx(APART / FIELD * 800)
    assert any("diameter" in word for word in left.assumed)
    for col, towards in ((100.0, 1), (700.0, -1), (399.5, -1)):
        found = located(shape=shape, disc=(300.0, col), diameter=100.0)
        assert found is not None
        assert np.sign(found.fovea[1] - col) == towards
        assert any("laterality" in word for word in found.assumed)


def test_disc_from_a_mask() -> None:
    mask = ellipse((100, 120), (40.0, 70.0), (15.0, 15.0))
    found = disc_of(mask)
    assert found is not None
    assert found[0] == pytest.approx((40.0, 70.0))
    assert found[1] == pytest.approx(30, rel=0.02)
    assert disc_of(mask & False) is None
