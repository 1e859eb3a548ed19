"""Table I of the guideline: what speaks for which grade, and what contradicts it."""

from dataclasses import replace

import numpy as np
import pytest

from foveate.core.components import quarters
from foveate.core.guideline import GUIDELINE, Guideline, Marks, Sign, marks_of
from foveate.core.labels import Question


def some(count: int = 1, *, each: int = 0, known: bool = True) -> Marks:
    quadrants = (each,) * 4 if each else (count, 0, 0, 0)
    return Marks(sum(quadrants), 10 * sum(quadrants), quadrants, known)


NONE = some(0)


@pytest.mark.parametrize(
    ("marks", "grade", "words"),
    [
        ({"microaneurysm": some(3)}, "1", []),
        ({"microaneurysm": some(3)}, "0", ["microaneurysm speaks for grade 1, not 0"]),
        ({"microaneurysm": some(), "haemorrhage": some()}, "1", ["haemorrhage speaks for grade 2, not 1"]),
        ({"microaneurysm": some(), "haemorrhage": some()}, "2", []),
        ({"haemorrhage": some(each=20)}, "2", []),
        ({"haemorrhage": some(each=21)}, "3", []),
        (
            {"haemorrhage": some(each=21)},
            "2",
            ["more than 20 haemorrhage in each of 4 quadrants speaks for grade 3, not 2"],
        ),
        ({"haemorrhage": some(100)}, "2", []),  # all in one quadrant
        ({"hard_exudate": some(), "microaneurysm": some()}, "1", []),  # indirect: may have another reason
        ({"neovascularisation": some(), "fibrous_proliferation": some()}, "4", []),
        ({"neovascularisation": some()}, "3", ["neovascularisation speaks for grade 4, not 3"]),
        ({"microaneurysm": NONE}, "1", ["nothing marked speaks for grade 1"]),
        ({"microaneurysm": some(0, known=False)}, "1", []),
        ({}, "1", []),
        ({"microaneurysm": NONE, "hard_exudate": some()}, "1", []),  # something graver is there, indirectly
        ({"haemorrhage": NONE, "hard_exudate": NONE}, "2", ["nothing marked speaks for grade 2"]),
        ({"haemorrhage": NONE, "cotton_wool_spot": NONE}, "3", []),  # venous beading was not looked for
        ({}, "0", []),
    ],
)  # fmt: skip
def test_contradictions(marks: dict[str, Marks], grade: str, words: list[str]) -> None:
    assert [one.words for one in GUIDELINE.contradictions(marks, grade=grade)] == words


def test_indirect_evidence_contradicts_where_asked() -> None:
    marks = {"hard_exudate": some(), "microaneurysm": some()}
    found = GUIDELINE.contradictions(marks, grade="1", indirect=True)
    assert [(one.lesion, one.words) for one in found] == [
        ("hard_exudate", "hard exudate (indirect) speaks for grade 2, not 1")
    ]


def test_only_the_number_of_haemorrhages_is_wrong() -> None:
    marks = {"haemorrhage": some(each=30)}
    assert [one.by_number for one in GUIDELINE.contradictions(marks, grade="2")] == [True]
    assert [one.by_number for one in GUIDELINE.contradictions(marks, grade="1")] == [True, False]


def test_evidence_is_told_the_gravest_first() -> None:
    marks = {"microaneurysm": some(), "haemorrhage": some(each=21), "cotton_wool_spot": some()}
    found = {grade: [s.lesion for s in signs] for grade, signs in GUIDELINE.evidence(marks).items()}
    assert found == {"3": ["haemorrhage", "cotton_wool_spot"], "2": ["haemorrhage"], "1": ["microaneurysm"]}
    assert list(found) == ["3", "2", "1"]


def test_a_set_has_its_own_words() -> None:
    mine = GUIDELINE.named({"exudate": "hard_exudate", "ma": "microaneurysm"}, question="dr")
    assert {"exudate", "ma"} <= set(mine.lesions)
    assert "hard_exudate" not in mine.lesions
    assert mine.contradictions({"ma": some()}, grade="0")[0].words == "ma speaks for dr 1, not 0"
    with pytest.raises(ValueError, match=r"lesion must be one of \['microaneurysm'.* got 'drusen'"):
        GUIDELINE.named({"drusen": "drusen"})


def graded(name: str, answers: tuple[str, ...] = GUIDELINE.grades) -> Question:
    return Question(name, answers, ordered=True)


def test_a_guideline_may_take_indirect_evidence_for_enough() -> None:
    marks = {"hard_exudate": some(), "microaneurysm": some()}
    strict = replace(GUIDELINE, indirect=True).asked(graded("dr"))
    assert [one.words for one in strict.contradictions(marks, grade="1")] == [
        "hard exudate (indirect) speaks for dr 2, not 1"
    ]


def test_the_graded_question_is_found() -> None:
    own, other, plain = graded("grade", ("a", "b")), graded("dr_grade"), Question("dme")
    assert GUIDELINE.question_in((plain, other, own)) is own  # by its name, whatever its answers
    assert GUIDELINE.question_in((plain, other)) is other
    assert GUIDELINE.question_in((plain, other, own), name="dr_grade") is other
    unordered, four = Question("class", GUIDELINE.grades), graded("quality", ("0", "1", "2", "3"))
    assert GUIDELINE.question_in((plain, unordered, four)) is None
    with pytest.raises(ValueError, match=r"grade must be one of the questions \['dme', 'dr_grade'\], got 'dr'"):
        GUIDELINE.question_in((plain, other), name="dr")
    with pytest.raises(ValueError, match=r"\['dr_grade', 'quality'\] all have 5 ordered answers; name the graded one"):
        GUIDELINE.question_in((other, graded("quality")))


def test_grades_of_other_names_are_taken_in_order() -> None:
    words = ("none", "mild", "moderate", "severe", "proliferative")
    mine = GUIDELINE.asked(graded("dr", words))
    assert (mine.question, mine.grades, mine.source) == ("dr", words, GUIDELINE.source)
    found = mine.contradictions({"haemorrhage": some()}, grade="mild")
    assert [one.words for one in found] == ["haemorrhage speaks for dr moderate, not mild"]
    for strange in (Question("dr", words), graded("dr", words[:4])):
        with pytest.raises(
            ValueError, match=r"question 'dr': its answers .* are neither the grades .* name the question"
        ):
            GUIDELINE.asked(strange)


def test_strange_grades_are_refused() -> None:
    with pytest.raises(ValueError, match=r"grade must be one of .* got '2-3'.*merged"):
        GUIDELINE.contradictions({}, grade="2-3")
    with pytest.raises(ValueError, match=r"grade must be one of .* got '9'"):
        Guideline("grade", ("0", "1"), (Sign("drusen", "9"),))


def test_marks_are_counted_by_quadrant() -> None:
    mask = np.zeros((20, 20), bool)
    mask[1, 1] = mask[2, 2] = True  # touch at a corner: one lesion
    mask[1:3, 15:18] = True
    mask[15, 3] = True
    assert marks_of(mask, quarters=quarters((20, 20))) == Marks(3, 9, (1, 1, 1, 0))
    assert marks_of(np.zeros((20, 20), bool), quarters=quarters((20, 20))) == Marks(0, 0, (0, 0, 0, 0))
