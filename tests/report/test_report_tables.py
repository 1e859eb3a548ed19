from dataclasses import replace

import numpy as np
import pytest

from foveate import report
from foveate.core.labels import LabelSchema, Question
from foveate.metrics.counts import Counts
from foveate.metrics.summary import summary
from foveate.report.table_cells import Share, number
from foveate.report.tables import heading


def column(table, name):
    at = [c.name for c in table.columns].index(name)
    return {row[0]: row[at] for row in table.rows}


HEADING = {
    "one": "Dice, all images (absent=one)", "zero": "Dice, all images (absent=zero)", "nan": "Dice (absent=nan)",
    "exclude": "Dice where present",
}  # fmt: skip


@pytest.mark.parametrize("absent", list(HEADING))
def test_segmentation_shows_the_figures_of_metrics_and_says_the_policy(counts, absent):
    table = report.segmentation(counts, absent=absent, repeats=50)
    figures, present = summary(counts, absent=absent), summary(counts, absent="exclude")
    assert number(column(table, HEADING[absent])["drusen"]) == pytest.approx(figures["dice/drusen"])
    assert number(column(table, "Dice where present")["drusen"]) == pytest.approx(present["dice/drusen"])
    assert number(column(table, "IoU where present")["mean of labels"]) == pytest.approx(present["iou"])
    assert (f"absent={absent}" in str(table)) == (absent != "exclude")  # then no column depends on it
    assert "24 images" in str(table)
    assert "50 draws of 12 patients" in str(table)


def test_policies_differ_where_labels_are_absent(counts):
    tables = {a: report.segmentation(counts, absent=a, repeats=2) for a in ("one", "exclude")}
    dice = {a: number(column(table, HEADING[a])["drusen"]) for a, table in tables.items()}
    assert dice["one"] != pytest.approx(dice["exclude"])


def test_images_and_images_with_the_label_are_counted(counts):
    table = report.segmentation(counts, repeats=2)
    seen = [k for k in range(24) if k % 5]
    found, alarms = column(table, "found"), column(table, "false alarms")
    there = sum(k % 3 > 0 for k in seen)
    assert (found["drusen"].of, alarms["drusen"].of) == (there, len(seen) - there)
    assert (found["disc"], alarms["disc"]) == (Share(24, 24), Share(0, 0))
    assert found["mean of labels"] == Share(48 + found["drusen"].count, 48 + there)


def test_a_label_that_was_never_marked_scores_nothing_but_where_the_policy_is_named(counts):
    """The demo's case: 15 of 40 images without the label gave Dice 0.375 and precision 1.000."""
    silent = counts.pixels["label"] == "drusen"
    none = {c: np.where(silent, 0, counts.pixels[c]) for c in ("tp", "fp")}
    none["fn"] = np.where(silent, counts.pixels["tp"] + counts.pixels["fn"], counts.pixels["fn"])
    none["tn"] = np.where(silent, counts.pixels["tn"] + counts.pixels["fp"], counts.pixels["tn"])
    table = report.segmentation(Counts(counts.schema, counts.pixels | none, counts.answers), repeats=10)
    drusen = {c.name: cell for c, cell in zip(table.columns, table.rows[2], strict=True)}
    assert drusen["label"] == "drusen"
    assert drusen["found"].count == drusen["false alarms"].count == 0
    assert number(drusen["Dice, all images (absent=one)"]) > 0.3
    assert np.isnan(number(drusen["precision where marked"]))
    scored = {name for name, cell in drusen.items() if number(cell) > 0}
    assert scored == {"Dice, all images (absent=one)", "specificity of all images"}
    assert table.note[0] == f"Warning: label drusen: in {drusen['found'].of} images, marked in none."
    assert "—: not defined" in str(table)
    assert f"0 of {drusen['found'].of}" in str(table)


def test_an_answer_that_is_never_given_is_named_below_its_table(counts):
    given = np.where(counts.answers["question"] == "grade", counts.answers["answer"] == "0", counts.answers["given"])
    table = report.grading(
        Counts(counts.schema, counts.pixels, counts.answers | {"given": given.astype(int)}), repeats=2
    )
    assert table.note[0].startswith("Warning: question grade: always answered 0; never given: 1 (true in ")
    assert not any("drusen" in line for line in table.note)


def test_grading_has_a_row_an_answer_where_there_are_more_than_two(counts):
    table = report.grading(counts, repeats=50)
    assert [row[0] for row in table.rows] == ["glaucoma", "grade", "grade = 0", "grade = 1", "grade = 2"]
    assert number(column(table, "AUC")["glaucoma"]) == pytest.approx(summary(counts)["auc/glaucoma"])
    positive = column(table, "positive")
    assert sum(positive[f"grade = {k}"] for k in range(3)) == column(table, "images")["grade"] == 24 - 4


def test_unknown_truth_is_undefined_and_said():
    schema = LabelSchema((Question("amd"),), ("drusen",))
    nothing = Counts.of(
        schema,
        images=["a", "b"],
        groups=["a", "b"],
        probability=np.full((2, 1, 4, 4), 0.2),
        predicted=np.zeros((2, 1, 4, 4), bool),
        masks=np.zeros((2, 1, 4, 4), bool),
        known=np.ones((2, 1, 4, 4), bool),
        answer_probability={"amd": np.array([[0.5, 0.5], [0.4, 0.6]])},
        given={"amd": np.array([1, 1])},
        answers=np.array([[1], [1]]),
    )
    graded = report.grading(nothing, repeats=10)
    assert np.isnan(number(column(graded, "AUC")["amd"]))
    assert "—: not defined" in str(graded)
    assert "single images, for no patient is named" in str(graded)
    assert number(column(report.segmentation(nothing, absent="one", repeats=10), HEADING["one"])["drusen"]) == 1
    assert np.isnan(
        number(column(report.segmentation(nothing, absent="exclude", repeats=10), HEADING["exclude"])["drusen"])
    )


def test_one_patient_has_no_interval(counts):
    alone = counts.take(counts.images[:2])
    text = str(report.segmentation(alone, repeats=5))
    assert "no interval" in text
    assert "–" not in text


def test_what_the_schema_lacks_is_refused(counts):
    unmarked = {k: v[:0] for k, v in counts.pixels.items()}
    unasked = {k: v[:0] for k, v in counts.answers.items()}
    with pytest.raises(ValueError, match="no labels"):
        report.segmentation(Counts(replace(counts.schema, labels=()), unmarked, counts.answers))
    with pytest.raises(ValueError, match="no questions"):
        report.grading(Counts(replace(counts.schema, questions=()), counts.pixels, unasked))
    with pytest.raises(ValueError, match="got 'two'"):
        report.segmentation(counts, absent="two")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dice_present/cup", "Dice where present, cup"),
        ("false_alarms/cup", "false alarms, cup"),
        ("dice_pooled/cup", "Dice pooled, cup"),
        ("auc/grade/2", "AUC, grade, 2"),
        ("presence_auc", "presence AUC"),
        ("iou_std", "IoU SD"),
    ],
)
def test_headings(name, words):
    assert heading(name) == words
