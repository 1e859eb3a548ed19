import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foveate.core.shapes import ellipse
from foveate.metrics.localisation import air, pointing

CUE = ellipse((20, 30), (8.0, 12.0), (4.0, 6.0))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_air_is_a_share_whatever_the_scale(seed, scale):
    activation = np.random.default_rng(seed).random((20, 30)).astype(np.float32)
    inside = sum(float(activation[r, c]) for r, c in np.argwhere(CUE))
    expected = inside / sum(float(a) for a in activation.ravel())
    assert air(activation * np.float32(scale), CUE) == pytest.approx(expected, rel=1e-5)
    assert air(activation, CUE) + air(activation, ~CUE) == pytest.approx(1)
    assert air(np.flip(activation, 1), np.flip(CUE, 1)) == pytest.approx(air(activation, CUE))


def test_air_of_a_flat_map_is_the_share_of_the_cue():
    assert air(np.full((20, 30), 0.2), CUE) == pytest.approx(CUE.mean())
    assert air(CUE * 0.7, CUE) == 1.0


def test_pointing_hits_within_the_tolerance():
    activation = np.zeros((20, 30))
    activation[8, 21] = 1  # the cue ends at column 18
    assert pointing(activation, CUE) == 0.0
    assert pointing(activation, CUE, tolerance=2.9) == 0.0
    assert pointing(activation, CUE, tolerance=3.0) == 1.0
    activation[8, 12] = 1
    assert pointing(activation, CUE) == 0.5
    assert pointing(activation - 5, CUE) == 0.5


def test_what_points_nowhere_is_undefined():
    assert np.isnan(air(np.zeros((20, 30)), CUE))
    assert np.isnan(air(np.ones((20, 30)), np.zeros_like(CUE)))
    assert np.isnan(pointing(np.ones((20, 30)), CUE))
    assert np.isnan(pointing(np.eye(20, 30), np.zeros_like(CUE)))


@pytest.mark.parametrize("figure", [air, pointing])
def test_maps_that_do_not_fit_are_refused(figure):
    with pytest.raises(ValueError, match=r"activation has shape \(4, 4\)"):
        figure(np.ones((4, 4)), CUE)
    with pytest.raises(ValueError, match="nan"):
        figure(np.full((20, 30), np.nan), CUE)


def test_negative_activation_or_tolerance_is_refused():
    with pytest.raises(ValueError, match="clip"):
        air(np.full((20, 30), -1.0), CUE)
    with pytest.raises(ValueError, match="tolerance=-1"):
        pointing(np.eye(20, 30), CUE, tolerance=-1.0)
