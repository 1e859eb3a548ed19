"""The chart of figures against the size of lesions shows every defined point and its interval."""

import math

import numpy as np
import pytest

from foveate.metrics.interval import Estimate
from foveate.report.sizes import against_size

ORDER = ("small", "middle", "large")


def estimate(value: float, width: float = 0.1) -> Estimate:
    return Estimate(value, value - width, value + width, 10, 5)


def test_points_and_intervals_are_drawn() -> None:
    series = {
        "U-Net": {"small": estimate(0.3), "large": estimate(0.8)},
        "Lesion-Net": {"small": estimate(0.5), "middle": Estimate(0.6, math.nan, math.nan, 1, 1)},
        "never": {"small": Estimate(math.nan, math.nan, math.nan, 0, 0)},
    }
    axes = against_size(series, order=ORDER, title="F1").axes[0]
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert list(lines) == ["U-Net", "Lesion-Net"]
    np.testing.assert_array_equal(lines["U-Net"].get_ydata(), [0.3, math.nan, 0.8])
    whiskers = [tuple(line.get_ydata()) for line in axes.lines if line.get_label().startswith("_")]
    assert whiskers == [pytest.approx((0.2, 0.4)), pytest.approx((0.7, 0.9)), pytest.approx((0.4, 0.6))]
    assert [label.get_text() for label in axes.get_xticklabels()] == list(ORDER)
    assert lines["U-Net"].get_xdata()[0] < lines["Lesion-Net"].get_xdata()[0] < 0.5


def test_nothing_to_show_is_said() -> None:
    axes = against_size({}, order=ORDER).axes[0]
    assert "no lesion" in axes.texts[0].get_text()


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lacks \['huge'\]"):
        against_size({"U-Net": {"huge": estimate(0.5)}}, order=ORDER)
