from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.report.rows import describe

SCHEMA = LabelSchema((Question("amd"), Question("grade", ("0-1", "2"), merged=(("0", "1"), ("2",)))), ("drusen",))
DRAWN, ABSENT = (MaskSource("a.png", above=0), MaskSource("b.png", above=0, annotator="g2")), (MaskSource(),)


def test_rows_are_counted_a_split():
    rows = [
        Row("a", "a.png", {"amd": "yes", "grade": "1"}, {"drusen": DRAWN}, patient="p1", split="train"),
        Row("b", "b.png", {"amd": "no", "grade": "2"}, {"drusen": ABSENT}, patient="p1", split="train"),
        Row("c", "c.png", {}, {}, patient="p2", split="test"),
    ]
    found = describe(rows, schema=SCHEMA)
    assert (found["images"], found["patients"]) == (3, 2)
    assert found["patients in several splits"] == 0
    assert found["splits"] == {"train": {"images": 2, "patients": 1}, "test": {"images": 1, "patients": 1}}
    assert found["answers: amd"] == {
        "no": {"train": 1, "test": 0},
        "yes": {"train": 1, "test": 0},
        "unknown": {"train": 0, "test": 1},
    }
    assert found["answers: grade"]["0-1"] == {"train": 1, "test": 0}
    assert found["labels"] == {"drusen": {"a mask": 1, "stated absent": 1, "unknown": 1, "annotators at most": 2}}


def test_without_patients_they_are_called_groups():
    found = describe([Row("a", "a.png", eye="e"), Row("b", "b.png", eye="e")], schema=LabelSchema())
    assert found == {"images": 2, "groups": 1, "splits": {"no split": {"images": 2, "groups": 1}}}


def test_a_patient_in_two_splits_is_told():
    rows = [Row(str(k), "a.png", patient="p", split=split) for k, split in enumerate(("train", "val", "test", "test"))]
    assert describe(rows, schema=LabelSchema())["patients in several splits"] == 1
