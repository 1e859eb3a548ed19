"""Polygons against the even-odd rule, pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.core.shapes import polygon

Corners = list[tuple[float, float]]
NUMBER = st.integers(-5, 15).map(float) | st.floats(-5, 15, allow_subnormal=False)


def inside(row: int, col: int, corners: Corners) -> bool:
    """An odd number of edges lies to the right of the pixel's centre."""
    found = False
    for (r0, c0), (r1, c1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if min(r0, r1) <= row < max(r0, r1) and col < c0 + (row - r0) * (c1 - c0) / (r1 - r0):
            found = not found
    return found


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.lists(st.tuples(NUMBER, NUMBER), min_size=3, max_size=7))
def test_even_odd_rule(shape: tuple[int, int], corners: Corners) -> None:
    expected = [[inside(row, col, corners) for col in range(shape[1])] for row in range(shape[0])]
    assert (polygon(shape, corners) == np.array(expected)).all()


def test_far_outside_and_flat() -> None:
    assert polygon((3, 4), [(-1e18, -1e18), (-1e18, 1e18), (1e18, 1e18), (1e18, -1e18)]).all()
    assert not polygon((3, 4), [(1.0, 0.0), (1.0, 3.0), (1.0, 2.0)]).any()
    with pytest.raises(ValueError, match="at least three"):
        polygon((3, 4), [(0, 0), (1, 1)])
