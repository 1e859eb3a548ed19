"""Why an answer: what is told is what the masks hold, and what the guideline says of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_predictor import bright, photograph

from foveate.apps.predicting import predict_all
from foveate.core.guideline import GUIDELINE
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Prediction
from foveate.data.synthetic import SCHEMAS, draw
from foveate.inference import predictor
from foveate.inference.evidence import Evidence, explain
from foveate.inference.write import write_evidence

GRADE = Question("grade", GUIDELINE.grades, ordered=True)
SCHEMA = LabelSchema((GRADE, Question("dme", evidence=("hard_exudate",))), ("haemorrhage", "hard_exudate", "disc"))


def prediction(masks: dict[str, list[tuple[int, int]]], *, grade: str | None = "1", dme: str = "no") -> Prediction:
    """60 x 80 pixels; each point is a square of 2 x 2."""
    drawn = np.zeros((3, 60, 80), bool)
    for k, label in enumerate(SCHEMA.labels):
        for row, col in masks.get(label, []):
            drawn[k, row : row + 2, col : col + 2] = True
    answers = {"dme": dme} | ({"grade": grade} if grade is not None else {})
    told = {"dme": {"no": 0.7, "yes": 0.3}, "grade": dict.fromkeys(GRADE.answers, 0.2)}
    return Prediction("eye", told, answers, drawn.astype(np.float32), drawn, SCHEMA.labels)


def reasons(evidence: Evidence) -> dict:
    return {one.question: one for one in evidence.reasons}


def test_lesions_are_counted_measured_and_placed() -> None:
    seen = prediction({"haemorrhage": [(5, 5), (5, 60), (8, 70)], "disc": [(30, 70)]})
    found = explain(seen, SCHEMA, spacing=(0.01, 0.02))
    bled = found.lesions[0]
    assert (bled.label, bled.marks.count, bled.marks.pixels) == ("haemorrhage", 3, 12)
    assert bled.share == pytest.approx(12 / 4800)
    assert bled.mm2 == pytest.approx(12 * 0.0002)
    assert bled.quadrants == {"superior nasal": 2, "superior temporal": 1}  # the disc is on the right: a right eye
    assert str(bled) == (
        "haemorrhage: 3 (12 px, 0.25 % of the image, 0.0024 mm2); 2 superior nasal, 1 superior temporal"
    )
    assert [one.label for one in found.lesions] == ["haemorrhage", "disc"]


def test_quadrants_lie_about_the_fovea_where_it_is_known() -> None:
    seen = prediction({"haemorrhage": [(5, 5)]})
    assert explain(seen, SCHEMA).lesions[0].quadrants == {"upper left": 1}
    found = explain(seen, SCHEMA, disc=(2.0, 70.0), fovea=(2.0, 2.0))
    assert found.lesions[0].quadrants == {"inferior nasal": 1}
    assert "quadrants about the fovea" in str(found)
    assert explain(seen, SCHEMA, laterality="OS").lesions[0].quadrants == {"superior nasal": 1}


def test_what_speaks_against_the_grade_is_told() -> None:
    found = reasons(explain(prediction({"haemorrhage": [(5, 5)]}, grade="1"), SCHEMA))["grade"]
    assert found.support == ()
    assert found.against == ("haemorrhage speaks for grade 2, not 1",)
    assert found.by_lesions == "2"
    assert str(found) == (
        "grade: 1 (probability 0.20)\n"
        "  for it: no lesion found speaks for it directly\n"
        "  against it: haemorrhage speaks for grade 2, not 1\n"
        "  the lesions found alone amount to 2"
    )


def test_what_speaks_for_the_grade_is_told() -> None:
    both = {"haemorrhage": [(5, 5)], "hard_exudate": [(40, 40)]}
    found = reasons(explain(prediction(both, grade="2"), SCHEMA))["grade"]
    assert [str(sign) for sign in found.support] == ["haemorrhage", "hard exudate (indirect)"]
    assert found.against == ()
    assert "alone amount" not in str(found)
    nothing = reasons(explain(prediction({}, grade="2"), SCHEMA))["grade"]
    assert nothing.against == ("nothing marked speaks for grade 2",)
    assert nothing.by_lesions == "0"
    unmarked = reasons(explain(prediction({}, grade="1"), SCHEMA))["grade"]
    assert unmarked.against == ()  # microaneurysms are not among what this network marks


def test_a_yes_no_question_has_the_evidence_of_the_schema() -> None:
    seen = {"hard_exudate": [(40, 40)]}
    assert reasons(explain(prediction(seen, dme="no"), SCHEMA))["dme"].against == (
        "hard exudate speaks for dme yes, not no",
    )
    assert [s.lesion for s in reasons(explain(prediction(seen, dme="yes"), SCHEMA))["dme"].support] == ["hard_exudate"]
    assert reasons(explain(prediction({}, dme="yes"), SCHEMA))["dme"].against == ("nothing marked speaks for dme yes",)


def test_lesions_alone_say_the_grade_where_it_was_not_asked() -> None:
    seen = prediction({"haemorrhage": [(5, 5)]}, grade=None)
    found = reasons(explain(seen, SCHEMA.select(questions=["dme"])))["grade"]
    assert (found.answer, found.by_lesions) == (None, "2")
    assert str(found) == "grade: the lesions found amount to 2"


def test_merged_grades_are_groups() -> None:
    schema = SCHEMA.group("grade", "01|23|4")
    seen = prediction({"haemorrhage": [(5, 5)]}, grade="0-1")
    seen = Prediction(**{**vars(seen), "probabilities": {**seen.probabilities, "grade": {"0-1": 1.0}}})
    assert reasons(explain(seen, schema))["grade"].against == ("haemorrhage speaks for grade 2-3, not 0-1",)
    assert "grade" not in reasons(explain(prediction({}), LabelSchema((Question("grade", ("a", "b")),), SCHEMA.labels)))


@pytest.mark.parametrize("seed", range(10))
def test_drawn_retinas_amount_to_their_grade(seed: int) -> None:
    """The truth of a drawn retina, taken for a prediction, contradicts nothing."""
    drawing, schema = draw("fundus", seed, size=192), SCHEMAS["fundus"]
    sure = {q.name: {a: float(a == drawing.answers[q.name]) for a in q.answers} for q in schema.questions}
    masks = drawing.masks.astype(bool)
    seen = Prediction(f"f{seed}", sure, drawing.answers, masks.astype(np.float32), masks, schema.labels)
    found = reasons(explain(seen, schema))
    assert found["grade"].by_lesions == drawing.answers["grade"]
    assert found["grade"].against == found["atrophy_present"].against == ()


def test_evidence_is_written_in_words_and_json(tmp_path: Path) -> None:
    evidence = explain(prediction({"haemorrhage": [(5, 5)]}), SCHEMA, spacing=(0.01, 0.01))
    path = write_evidence(evidence, tmp_path, name="other")
    assert path.name == "other_evidence.json"
    data = json.loads(path.read_text())
    assert data["lesions"] == [
        {
            "label": "haemorrhage",
            "count": 1,
            "area": {"pixels": 4, "percent": 0.083333, "mm2": 0.0004},
            "quadrants": {"upper left": 1},
        }
    ]
    assert [one["question"] for one in data["reasons"]] == ["grade", "dme"]
    assert data["reasons"][0]["against"] == ["haemorrhage speaks for grade 2, not 1"]
    assert "preferred practice pattern" in data["reasons"][0]["source"]
    assert (tmp_path / "other_evidence.txt").read_text() == str(evidence)


def test_predict_explains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bright(tmp_path / "run")
    monkeypatch.setattr(predictor, "load_run", lambda _: run)
    Image.fromarray(photograph((80, 96))[0]).save(tmp_path / "eye.png")
    assert not predict_all(tmp_path / "run", [tmp_path / "eye.png"], out=tmp_path / "out", why=True, device="cpu")
    data = json.loads((tmp_path / "out/eye_evidence.json").read_text())
    assert [one["label"] for one in data["lesions"]] == ["spot", "bright"]
    assert data["reasons"][0]["question"] == "spot_present"
    assert "spot: 1 (" in (tmp_path / "out/eye_evidence.txt").read_text()
