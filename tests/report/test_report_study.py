import pytest

from foveate import report
from foveate.metrics import interval
from foveate.metrics.interval import Estimate
from foveate.metrics.measure import measure
from foveate.metrics.summary import estimates_difference
from foveate.report.study import measured


def test_comparison_has_ours_the_paper_and_the_paired_difference(counts, noisy):
    table = report.comparison(
        "Table 3",
        {"CAM-UNet": counts, "U-Net": noisy},
        ["dice", "auc/glaucoma"],
        paper={"CAM-UNet": {"dice": 0.93}, "DeepLab": {"dice": 0.9}},
        reference="U-Net",
        repeats=100,
    )
    assert [c.name for c in table.columns] == [
        "method",
        "Dice",
        "Dice, paper",
        "Δ Dice",
        "Dice where present",
        "found",
        "false alarms",
        "AUC, glaucoma",
        "Δ AUC, glaucoma",
    ]
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == ["CAM-UNet", "U-Net", "DeepLab"]
    assert rows["DeepLab"] == (None, 0.9, None, None, None, None, None, None)
    gap = estimates_difference(counts, noisy, absent="one", repeats=100)["dice"]
    assert isinstance(rows["CAM-UNet"][2], Estimate)
    assert (rows["CAM-UNet"][2].value, rows["CAM-UNet"][2].low) == (pytest.approx(gap.value), pytest.approx(gap.low))
    assert rows["U-Net"][2] is None
    assert table.best(1) == {0}
    for words in ("absent=one", "minus U-Net, paired", "as published", "100 draws of 12 patients"):
        assert words in str(table)


def test_the_better_side_of_a_figure(counts, noisy):
    rows = {"exact": counts, "noisy": noisy}
    table = report.comparison("", rows, ["auc", "brier", "nll", "dice_std"], repeats=2)
    assert [c.name for c in table.columns][1:3] == ["AUC", "Brier score"]
    better = {c.name.split(",")[0].split(" (")[0]: c.better for c in table.columns[1:]}
    assert better == {"AUC": max, "Brier score": min, "negative log-likelihood": min, "Dice SD": None}
    beside = report.comparison("", rows, ["dice/cup"], repeats=2).columns
    assert {c.name: c.better for c in beside[2:]} == {
        "Dice where present, cup": max, "found, cup": max, "false alarms, cup": min
    }  # fmt: skip
    lowest = min(float(row[2].value) for row in table.rows)
    assert all((float(table.rows[i][2].value) == lowest) == (i in table.best(2)) for i in range(2))


def test_headings_may_be_given(counts):
    table = report.comparison(
        "", {"a": counts}, {"Dice of the cup": "dice/cup"}, paper={"a": {"Dice of the cup": 0.8}}, repeats=2
    )
    assert [c.name for c in table.columns] == [
        "method", "Dice of the cup", "Dice of the cup, paper", "Dice where present, cup", "found, cup",
        "false alarms, cup",
    ]  # fmt: skip


def test_other_images_are_told_apart(counts, noisy):
    text = str(report.comparison("", {"a": counts, "b": noisy.take(noisy.images[:12])}, ["dice"], repeats=2))
    assert "a: 24 images" in text
    assert "b: 12 images" in text
    few = {"a": counts, "b": noisy.take(noisy.images[:12])}
    both = {"a": counts.take(noisy.images[:12]), "b": few["b"]}
    gap, same = (report.comparison("", rows, ["dice"], reference="b", repeats=9).rows[0][2] for rows in (few, both))
    assert gap == same  # of the images that both count
    with pytest.raises(ValueError, match="a: no image in common with the reference"):
        report.comparison("", few | {"a": counts.take(counts.images[12:])}, ["dice"], reference="b", repeats=2)


def test_published_figures_alone_make_a_table():
    table = report.comparison("", {}, ["dice"], paper={"U-Net": {"dice": 0.8}, "V-Net": {"dice": 0.7}})
    assert table.best(2) == {0}
    assert "No method was run" in str(table)


def test_what_is_not_there_is_refused(counts):
    with pytest.raises(ValueError, match="got 'x'"):
        report.comparison("", {"a": counts}, ["dice"], reference="x")
    with pytest.raises(ValueError, match="dicee"):
        report.comparison("", {"a": counts}, ["dicee"], repeats=2)
    with pytest.raises(ValueError, match="auc"):
        report.comparison("", {"a": counts}, ["dice"], paper={"a": {"auc": 1.0}}, repeats=2)


def test_answers_get_a_line_each_and_costs_a_column(counts):
    """Tables of one-against-rest figures: the method's own figures and costs stand on its first line."""
    table = report.comparison(
        "Table 2",
        {"CM-CNN": counts},
        ["auc/grade/*", "accuracy/grade/*", "accuracy/grade"],
        paper={"CM-CNN": {"auc/grade/1": 0.98, "accuracy/grade": 0.9, "MiB": 60.63}, "VGG16": {"auc/grade/0": 0.7}},
        costs={"MiB": {"CM-CNN": 60.623}},
        repeats=2,
    )
    assert [c.name for c in table.columns] == [
        "method", "class", "AUC, each grade", "AUC, each grade, paper", "accuracy, each grade", "accuracy, grade",
        "accuracy, grade, paper",         "MiB", "MiB, paper",
    ]  # fmt: skip
    answers = counts.schema.question("grade").answers
    assert [row[:2] for row in table.rows] == [("CM-CNN" if k == 0 else "", a) for k, a in enumerate(answers)] + [
        ("VGG16" if k == 0 else "", a) for k, a in enumerate(answers)
    ]
    every = summary_of(counts)
    for row, answer in zip(table.rows, answers, strict=False):
        assert row[2].value == pytest.approx(every[f"image/auc/grade/{answer}"], nan_ok=True)
        assert row[4].value == pytest.approx(every[f"image/accuracy/grade/{answer}"], nan_ok=True)
    assert table.rows[1][3] == 0.98
    assert [row[5] is None for row in table.rows[: len(answers)]] == [False, True, True]
    assert table.rows[0][-3:] == (0.9, 60.623, 60.63)
    assert table.rows[len(answers)][2] is None


def summary_of(counts):
    return interval.value(measure, counts)


def test_two_questions_cannot_share_lines(counts):
    with pytest.raises(ValueError, match="cannot share a table"):
        report.comparison("", {"a": counts}, ["auc/grade/*", "auc/other/*"], repeats=2)


def test_differences_may_be_of_some_figures_only(counts, noisy):
    table = report.comparison(
        "", {"a": counts, "b": noisy}, ["dice", "iou"], reference="b", compared=["iou"], repeats=2
    )
    assert [c.name for c in table.columns] == [
        "method", "Dice", "Dice where present", "found", "false alarms", "IoU", "Δ IoU"
    ]  # fmt: skip


def test_several_references_have_columns_of_their_own(counts, noisy):
    rows = {"a": counts, "b": noisy, "c": counts}
    table = report.comparison("", rows, ["dice"], reference=("b", "c"), repeats=9)
    assert [column.name for column in table.columns][:4] == ["method", "Dice", "Δ Dice (minus b)", "Δ Dice (minus c)"]
    alone = report.comparison("", rows, ["dice"], reference="b", repeats=9)
    assert [line[2] for line in table.rows] == [line[2] for line in alone.rows]
    assert table.rows[1][2] is None
    assert table.rows[2][3] is None
    assert table.rows[0][3].value == 0
    assert any("minus b or c" in note for note in table.note)
    with pytest.raises(ValueError, match="got 'x'"):
        report.comparison("", rows, ["dice"], reference=("b", "x"))


def test_figures_that_no_row_has_yet_are_left_out(counts):
    assert measured(["dice", "auc/nothing", "iou"], {"a": counts}) == ("dice", "iou")
