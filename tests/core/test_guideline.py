"""Table I of the guideline: what speaks for which grade, and what contradicts it."""

import numpy as np
import pytest

from foveate.core.components import quarters
from foveate.core.guideline import GUIDELINE, Guideline, Marks, Sign, marks_of


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
    with pytest.raises(ValueError, match=r"'drusen' is none of the guideline's \['microaneurysm'"):
        GUIDELINE.named({"drusen": "drusen"})


def test_strange_grades_are_refused() -> None:
    with pytest.raises(ValueError, match=r"grade='2-3' is none of .*merged"):
        GUIDELINE.contradictions({}, grade="2-3")
    with pytest.raises(ValueError, match=r"grade '9' is none"):
        Guideline("grade", ("0", "1"), (Sign("drusen", "9"),))


def test_marks_are_counted_by_quadrant() -> None:
    mask = np.zeros((20, 20), bool)
    mask[1, 1] = mask[2, 2] = True  # touch at a corner: one lesion
    mask[1:3, 15:18] = True
    mask[15, 3] = True
    assert marks_of(mask, quarters=quarters((20, 20))) == Marks(3, 9, (1, 1, 1, 0))
    assert marks_of(np.zeros((20, 20), bool), quarters=quarters((20, 20))) == Marks(0, 0, (0, 0, 0, 0))
