"""Found and false alarms beside the Dice of a comparison, and no best value for what a network never marks."""

import numpy as np
import pytest

from foveate import report
from foveate.metrics.counts import Counts
from foveate.metrics.found import found_of, total
from foveate.report.found import first, flattered, parts, warnings
from foveate.report.table_cells import Share, number


@pytest.fixture(scope="module")
def silent(clean):
    """The same images, and drusen marked in none of them."""
    at = clean.pixels["label"] == "drusen"
    old = clean.pixels
    new = {"tp": np.where(at, 0, old["tp"]), "fp": np.where(at, 0, old["fp"])}
    new |= {"fn": np.where(at, old["tp"] + old["fn"], old["fn"]), "tn": np.where(at, old["fp"] + old["tn"], old["tn"])}
    return Counts(clean.schema, old | new, clean.answers)


def test_one_label_has_them_in_columns_of_its_own(clean, silent):
    table = report.comparison("t", {"a": clean, "silent": silent}, ["dice_all/drusen", "iou/drusen"], repeats=5)
    names = [c.name for c in table.columns]
    assert names[1:] == [
        "Dice of all images, drusen", "Dice where present, drusen", "found, drusen", "false alarms, drusen",
        "IoU, drusen",
    ]  # fmt: skip
    assert table.below is None
    one = found_of(clean.labels["drusen"])
    assert table.rows[0][3:5] == (Share(one.found, one.present), Share(one.alarms, one.absent))
    assert table.rows[1][3:5] == (Share(0, one.present), Share(0, one.absent))
    assert table.note[0] == f"Warning: label drusen: in {one.present} images, marked in none (silent)."


def test_the_mean_over_labels_has_the_sums(clean):
    table = report.comparison("t", {"a": clean}, ["dice", "accuracy/grade"], repeats=2)
    every = total(clean)
    assert table.rows[0][3:5] == (Share(every.found, every.present), Share(every.alarms, every.absent))
    assert "are sums" in str(table)


def test_several_labels_have_a_table_below(clean, silent):
    rows = {"a": clean, "silent": silent}
    table = report.comparison("t", rows, ["dice", "dice/drusen", "dice_pooled/cup"], repeats=5)
    assert [c.name for c in table.columns] == ["method", "Dice", "Dice, drusen", "Dice pooled, cup"]
    under = table.below
    assert under is not None
    assert [c.name for c in under.columns][2:] == [
        "found", "false alarms", "Dice where present", "Dice, all images (absent=one)"
    ]  # fmt: skip
    assert [row[:2] for row in under.rows] == [(m, k) for m in rows for k in ("disc", "cup", "drusen")]
    assert under.rows[5][2] == Share(0, found_of(clean.labels["drusen"]).present)
    assert number(under.rows[5][4]) == 0 < number(under.rows[5][5])
    few = report.comparison("t", rows, ["dice/drusen", "dice/cup"], absent="exclude", repeats=2).below
    assert few is not None
    assert ([row[1] for row in few.rows], len(few.columns)) == (["cup", "drusen"] * 2, 5)


def test_nothing_is_asked_twice(clean):
    table = report.comparison("t", {"a": clean}, ["dice/cup", "found/cup"], absent="exclude", repeats=2)
    assert [c.name for c in table.columns] == ["method", "Dice, cup", "false alarms, cup", "found, cup"]
    assert report.comparison("t", {"a": clean}, ["auc/grade"], repeats=2).columns[1:] == (
        report.Column("AUC, grade", max),
    )


def test_a_method_without_labels_has_dashes(clean):
    unmarked = {k: v[:0] for k, v in clean.pixels.items()}
    rows = {"a": clean, "answers": Counts(clean.schema, unmarked, clean.answers)}
    table = report.comparison("t", rows, ["dice/cup"], repeats=2)
    assert table.rows[1][3:] == (Share(0, 0), Share(0, 0))
    assert "—: not defined" in str(table)


def test_what_is_never_marked_is_best_of_nothing(clean, silent):
    rows = {"a": clean, "silent": silent}
    for metric in ("pixel/dice_all/drusen", "pixel/specificity/drusen", "pixel/specificity"):
        assert flattered(metric, silent, absent="exclude")
        assert not flattered(metric, clean, absent="one")
    assert not flattered("pixel/dice_all/cup", silent, absent="one")
    for metric in ("pixel/dice_pooled/drusen", "pixel/dice/drusen", "image/found/drusen", "image/presence_f1/drusen"):
        assert flattered(metric, silent, absent="exclude")
    for metric in ("pixel/dice_present", "pixel/dice", "image/auc/drusen"):
        assert not flattered(metric, silent, absent="exclude")  # other labels may be marked best
    assert flattered("pixel/dice", silent, absent="one")
    nothing = {"tp": silent.pixels["tp"] * 0, "fp": silent.pixels["fp"] * 0}
    mute = Counts(silent.schema, silent.pixels | nothing, silent.answers)
    assert flattered("pixel/dice_present", mute, absent="exclude")
    table = report.comparison("t", rows, ["pixel/dice_all/drusen", "pixel/specificity/drusen"], repeats=2)
    assert {(1, column) for column in range(1, 6)} == table.unranked
    assert "Not marked as best" in str(table)
    assert number(table.rows[1][5]) == 1
    assert table.best(5) == frozenset()  # a single number is left


def test_methods_with_the_same_warning_share_a_line(clean, silent):
    assert warnings({"a": clean}) == []
    (line,) = warnings({"a": silent, "b": clean, "c": silent})
    assert line.endswith("marked in none (a; c).")
    assert warnings({"": silent}) == [line.removesuffix(" (a; c).") + "."]


def test_parts_are_of_masks_alone():
    names = ["image/auc/grade", "image/sensitivity/grade", "pixel/iou/cup", "pixel/dice/cup", "pixel/dice"]
    assert parts(names) == ["/cup", ""]
    assert first(names, "/cup") == "pixel/iou/cup"
