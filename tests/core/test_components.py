"""Connected parts against scipy, and quadrants that stay with the eye when it is turned or mirrored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from foveate.core.components import QUADRANTS, UPPER, components, quarters, without_small


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.0, 0.1, 0.4, 1.0]))
def test_parts_are_those_of_scipy(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((13, 17)) < share
    numbers, n = ndimage.label(mask, np.ones((3, 3)))
    found = components(mask)
    assert len(found.area) == n
    assert sorted(found.area) == sorted(np.bincount(numbers.ravel())[1:])
    assert ((found.numbers > 0) == mask).all()
    for i in range(n):
        where = np.argwhere(found.numbers == i + 1)
        assert len(where) == found.area[i]
        assert found.centre[i] == pytest.approx(where.mean(0))


CORNERS = np.array([[5.0, 5.0], [5.0, 95.0], [95.0, 5.0], [95.0, 95.0]])


def named(corners: np.ndarray, **place: object) -> list[str]:
    found = quarters((101, 101), **place)
    return [found.names[i] for i in found.of(corners)]


def test_image_quarters_where_nothing_is_known() -> None:
    assert named(CORNERS) == list(UPPER)


def test_nose_is_on_the_side_of_the_disc() -> None:
    right, left = ["superior temporal", "superior nasal"], ["superior nasal", "superior temporal"]
    assert named(CORNERS, laterality="OD")[:2] == right
    assert named(CORNERS, laterality="OS")[:2] == left
    assert named(CORNERS, disc=(50.0, 80.0), fovea=(50.0, 50.0), laterality="OS")[:2] == right  # the disc is seen
    assert named(CORNERS, disc=(50.0, 20.0), fovea=(50.0, 50.0))[:2] == left
    assert named(CORNERS, disc=(50.0, 20.0))[:2] == list(UPPER[:2])  # one point is no axis
    assert named(CORNERS, laterality="OS")[2:] == ["inferior nasal", "inferior temporal"]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), degrees=st.floats(-80, 80), left=st.booleans())
def test_quadrants_turn_and_mirror_with_the_eye(seed: int, degrees: float, left: bool) -> None:
    points = np.random.default_rng(seed).uniform(-40, 40, (30, 2))
    points = points[(np.abs(points) > 1e-6).all(1)]
    told = [QUADRANTS[2 * (row > 0) + (col < 0)] for row, col in points]  # nasal is on the right of a right eye
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    mirror = np.array([1, -1 if left else 1])
    fovea = np.array([50.0, 60.0])
    disc = fovea + (turn @ [0.0, 30.0]) * mirror
    moved = fovea + (points @ turn.T) * mirror
    found = quarters((101, 121), disc=tuple(disc.tolist()), fovea=tuple(fovea.tolist()))
    assert [found.names[i] for i in found.of(moved)] == told


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), largest=st.sampled_from([0.0, 1.0, 2.5, 4.0, 1000.0]))
def test_parts_up_to_an_area_are_removed_whole(seed: int, largest: float) -> None:
    mask = np.random.default_rng(seed).random((13, 17)) < 0.3
    kept = without_small(mask, largest)
    numbers, n = ndimage.label(mask, np.ones((3, 3)))
    expected = np.isin(numbers, [i for i in range(1, n + 1) if (numbers == i).sum() > largest])
    assert (kept == expected).all()
    assert kept.dtype == bool
