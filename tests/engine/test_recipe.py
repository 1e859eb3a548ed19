"""The grammar's small parts: what chooses weights."""

import math

import pytest

from foveate.engine.keep import best, lowest


def test_several_figures_choose_by_their_mean() -> None:
    figures = {"dice": 0.5, "accuracy/class": 0.9, "loss": 2.0, "auc": float("nan")}
    assert best("dice").of(figures) == 0.5
    assert best("accuracy/class", "dice").of(figures) == pytest.approx(0.7)
    assert lowest("loss").of(figures) == -2.0
    assert best("auc", "dice").of(figures) == 0.5  # what is not defined does not count
    assert math.isnan(best("auc").of(figures))
    with pytest.raises(
        ValueError, match=r"metric must be one of \['dice', 'accuracy/class', 'loss', 'auc'\], got 'f1'"
    ):
        best("dice", "f1").of(figures)
