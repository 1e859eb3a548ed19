import io
import math
import threading

import matplotlib
import numpy as np
import pytest
from PIL import Image
from sklearn.calibration import calibration_curve

from foveate.report import canvas
from foveate.report.answers import confusion, reliability, roc
from foveate.report.curves import curves, stages


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_curves_part_losses_from_metrics_and_mark_what_was_kept(log):
    left, middle, right = curves(log, stage="cam_unet").axes
    assert {"grade", "overlap", "loss (validation)", "kept"} == set(lines(left))
    assert {"Dice", "AUC", "kept"} == set(lines(middle))
    assert lines(middle)["kept"].get_xdata()[0] == 3
    assert math.isnan(lines(middle)["AUC"].get_ydata()[0])
    assert list(lines(middle)["Dice"].get_xdata()) == [0, 1, 2, 3, 4]
    assert right.get_yscale() == "log"


@pytest.mark.parametrize("kind", ["dice_present", "dice"])
def test_the_dice_where_present_of_each_label_has_a_panel(kind):
    """Logs of earlier versions, with and without "dice_present": validation left out images without the label."""
    log = [{"epoch": k, "val": {"dice": 0.4, f"{kind}/disc": 0.8, f"{kind}/spot": 0.0, "auc": 0.7}} for k in (1, 2)]
    if kind == "dice_present":
        log = [r | {"val": r["val"] | {"dice/spot": 0.9, "dice_all/spot": 0.9, "dice_present": 0.4}} for r in log]
    _, middle, each, _ = curves(log).axes
    assert set(lines(each)) == {"disc", "spot"}
    assert list(lines(each)["spot"].get_ydata()) == [0, 0]
    assert each.get_title(loc="left") == "Validation, Dice where present"
    first = {"dice": {"Dice", "AUC"}, "dice_present": {"Dice where present", "AUC", "Dice of all images, spot"}}
    assert set(lines(middle)) == first[kind]


def test_curves_cope_with_gaps_and_nothing():
    log = [{"epoch": 0, "train": {"a": 1.0}, "val": None}, {"epoch": 2, "train": {}, "val": {"dice": None}}]
    left, middle, _ = curves(log).axes
    assert list(lines(left)) == ["a"]
    assert "none recorded" in middle.texts[0].get_text()
    assert Image.open(io.BytesIO(canvas.png(curves([]), dpi=50))).size[0] > 100


def test_unknown_stage_is_refused(log):
    assert list(stages(log)) == ["cm_cnn", "cam_unet"]
    with pytest.raises(ValueError, match="got 'x'"):
        curves(log, stage="x")


def test_confusion_says_counts_and_shares_of_the_row():
    (axes,) = confusion(np.array([[3, 1], [0, 0]]), answers=("no", "yes"), title="amd").axes
    assert [text.get_text() for text in axes.texts] == ["3\n75%", "1\n25%"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["no\n(n = 4)", "yes\n(n = 0)"]
    with pytest.raises(ValueError, match="3 answers"):
        confusion(np.zeros((2, 2), int), answers=("a", "b", "c"))


def test_roc_draws_every_curve_and_says_when_there_is_none():
    line = (np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    (axes,) = roc({"yes: AUC 1.000": line}).axes
    assert "yes: AUC 1.000" in lines(axes)
    assert "one answer only" in roc({}).axes[0].texts[0].get_text()


def test_reliability_agrees_with_scikit_learn():
    draw = np.random.default_rng(0)
    p = draw.random(400)
    truth = draw.random(400) < p**2
    (axes,) = reliability(p, truth=truth).axes
    curve = next(line for name, line in lines(axes).items() if name.startswith("observed"))
    observed, mean = calibration_curve(truth, p, n_bins=10)
    np.testing.assert_allclose(curve.get_xdata(), mean)
    np.testing.assert_allclose(curve.get_ydata(), observed)
    count = np.histogram(p, 10, (0, 1))[0]
    assert curve.get_label() == f"observed, ECE {(count / 400 * abs(observed - mean)).sum():.3f}"
    assert "no image" in reliability(np.zeros(0), truth=np.zeros(0, bool)).axes[0].texts[0].get_text()


def test_charts_leave_global_settings_alone_and_work_in_threads(log):
    before, out = dict(matplotlib.rcParams), []
    threads = [threading.Thread(target=lambda: out.append(canvas.png(curves(log), dpi=40))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(out)) == 1
    assert dict(matplotlib.rcParams) == before
