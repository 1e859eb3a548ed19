"""The healthy answer: found among usual words, stated, kept when answers are merged and when schemas are written."""

from dataclasses import replace

import pytest

from foveate.core.labels import LabelSchema
from foveate.core.questions import HEALTHY, Question


@pytest.mark.parametrize(
    ("answers", "healthy"),
    [
        (("no", "yes"), "no"),
        (("NO", "YES"), "NO"),
        (("CNV", "NORMAL", "DRUSEN"), "NORMAL"),
        (("Healthy", "Glaucoma"), "Healthy"),
        (("none", "mild", "severe"), "none"),
        (("0", "1", "2"), None),
        (("no", "normal", "ill"), None),  # two usual words: the answers do not decide it
        (("abnormal", "anomaly"), None),
    ],
)
def test_the_healthy_answer_is_a_usual_word_in_any_case(answers: tuple[str, ...], healthy: str | None) -> None:
    question = Question("q", answers)
    assert (question.healthy, question.healthy_stated) == (healthy, False)
    assert "healthy" not in repr(question)
    assert "healthy" not in LabelSchema((question,)).to_json()["questions"][0]


@pytest.mark.parametrize("word", HEALTHY)
def test_every_usual_word_is_found(word: str) -> None:
    assert Question("q", ("ill", word.upper())).healthy == word.upper()


def test_a_stated_answer_is_written_and_read() -> None:
    schema = LabelSchema((Question("grade", ("0", "1", "2"), ordered=True, healthy="0"), Question("dr")))
    assert schema.to_json()["questions"][0]["healthy"] == "0"
    assert LabelSchema.from_json(schema.to_json()) == schema
    assert schema.question("grade").healthy_stated
    assert "healthy='0'" in repr(schema.question("grade"))
    with pytest.raises(ValueError, match=r"question 'grade': healthy must be one of \['0', '1'\], got 'zero'"):
        Question("grade", ("0", "1"), healthy="zero")


def test_merged_answers_keep_the_healthy_one_if_it_is_alone() -> None:
    grade = Question("grade", ("0", "1", "2"), ordered=True, healthy="0")
    assert grade.group("0|12").healthy == "0"
    assert grade.group("01|2").healthy is None
    words = Question("q", ("none", "mild", "severe"), ordered=True)
    assert words.group("none|mild,severe").healthy == "none"
    assert words.group("none,mild|severe").healthy is None


def test_evidence_changes_nothing() -> None:
    stated = Question("q", ("a", "b"), healthy="b")
    assert replace(stated, ordered=True).healthy == "b"
