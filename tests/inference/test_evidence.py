"""Why an answer: what is told is what the masks hold, and what the guideline says of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_predictor import Bright, bright, photograph
from torch import Tensor
from typer.testing import CliRunner

from foveate import recipes
from foveate.cli.main import app
from foveate.core.guideline import GUIDELINE
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Outputs, Prediction
from foveate.data.synthetic import SCHEMAS, draw
from foveate.engine.run import Run
from foveate.inference.evidence import Evidence, explain
from foveate.inference.predict_files import bound, guideline_for, predict_all
from foveate.inference.write_results import write_evidence

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
        "haemorrhage: 3 (12 px, 0.25 % of the image, 0.0024 mm2, probability 1.00); "
        "2 superior nasal, 1 superior temporal"
    )
    assert [one.label for one in found.lesions] == ["haemorrhage", "disc"]


def test_quadrants_lie_about_the_fovea_where_it_is_known() -> None:
    seen = prediction({"haemorrhage": [(5, 5)]})
    assert explain(seen, SCHEMA).lesions[0].quadrants == {"upper left": 1}
    found = explain(seen, SCHEMA, disc=(2.0, 70.0), fovea=(2.0, 2.0))
    assert found.lesions[0].quadrants == {"inferior nasal": 1}
    assert "quadrants around the fovea" in str(found)
    assert explain(seen, SCHEMA, laterality="OS").lesions[0].quadrants == {"superior nasal": 1}


def test_what_speaks_against_the_grade_is_told() -> None:
    found = reasons(explain(prediction({"haemorrhage": [(5, 5)]}, grade="1"), SCHEMA))["grade"]
    assert found.support == ()
    assert found.against == ("haemorrhage speaks for grade 2, not 1",)
    assert found.by_lesions == "2"
    assert str(found) == (
        "grade: 1 (probability 0.20)\n"
        "  for it: no lesion found supports it directly\n"
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


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ({}, "no lesion was found (looked for: haemorrhage, hard exudate)"),
        ({"disc": [(30, 70)]}, "no lesion was found (looked for: haemorrhage, hard exudate)"),
        ({"haemorrhage": [(5, 5)]}, "nothing; lesions that contradict it were found"),
        ({"hard_exudate": [(5, 5)]}, "nothing found contradicts it directly, only hard exudate (indirect)"),
    ],
)
def test_for_the_lowest_grade_speaks_that_no_lesion_was_found(
    masks: dict[str, list[tuple[int, int]]], said: str
) -> None:
    found = reasons(explain(prediction(masks, grade="0"), SCHEMA))["grade"]
    assert f"\n  for it: {said}\n" in str(found)
    assert found.support == ()


def test_what_was_not_looked_for_speaks_for_no_grade() -> None:
    seen = prediction({}, grade="0")
    alone = Prediction("eye", seen.probabilities, seen.answers, seen.probability[:0], seen.masks[:0], ())
    assert "for it: nothing; the network marks no lesion that would contradict it" in str(explain(alone, SCHEMA))
    answered = reasons(explain(prediction({}, dme="no"), SCHEMA))["dme"]
    assert "for it: no lesion was found (looked for: hard exudate)" in str(answered)


def presence_of(*labels: str, grade: str = "1") -> Prediction:
    """A prediction that says of each label whether it is there, all over a field that is cut out of the image."""
    seen = prediction({}, grade=grade)
    probability = np.zeros((3, 60, 80), np.float32)
    for k, label in enumerate(SCHEMA.labels):
        probability[k, 4:56, 10:70] = 0.9 if label in labels else 0.1
    return Prediction("eye", seen.probabilities, seen.answers, probability, probability >= 0.5, SCHEMA.labels)


def test_presence_alone_speaks_without_number_and_place() -> None:
    found = explain(presence_of("haemorrhage", "disc"), SCHEMA, spacing=(0.01, 0.01))
    assert [str(one) for one in found.lesions] == [
        "haemorrhage: present (probability 0.90); place not predicted",
        "disc: present (probability 0.90); place not predicted",
    ]
    assert found.lesions[0].to_json() == {
        "label": "haemorrhage",
        "count": None,
        "area": None,
        "presence": pytest.approx(0.9),
    }
    graded = reasons(found)["grade"]
    assert graded.against == ("haemorrhage speaks for grade 2, not 1",)
    assert graded.by_lesions == "2"
    assert "%" not in str(found)
    absent = reasons(explain(presence_of(grade="2"), SCHEMA))["grade"]
    assert absent.against == ("nothing marked speaks for grade 2",)


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
            "probability": 1.0,
        }
    ]
    assert [one["question"] for one in data["reasons"]] == ["grade", "dme"]
    assert data["reasons"][0]["against"] == ["haemorrhage speaks for grade 2, not 1"]
    assert "preferred practice pattern" in data["reasons"][0]["source"]
    assert (tmp_path / "other_evidence.txt").read_text() == str(evidence)


def test_predict_explains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bright(tmp_path / "run")
    monkeypatch.setattr(recipes, "load_run", lambda _: run)
    Image.fromarray(photograph((80, 96))[0]).save(tmp_path / "eye.png")
    assert not predict_all(tmp_path / "run", [tmp_path / "eye.png"], out=tmp_path / "out", why=True, device="cpu")
    data = json.loads((tmp_path / "out/eye_evidence.json").read_text())
    assert [one["label"] for one in data["lesions"]] == ["spot", "bright"]
    assert data["reasons"][0]["question"] == "spot_present"
    assert "spot: 1 (" in (tmp_path / "out/eye_evidence.txt").read_text()


WORDS = Question("dr_grade", ("none", "mild", "moderate", "severe", "proliferative"), ordered=True)


def test_the_guideline_is_bound_to_the_grade_of_a_run() -> None:
    """By its own name, else to the only question of five ordered answers, else the lesions speak alone."""
    schema = LabelSchema((Question("dme"), WORDS), SCHEMA.labels)
    mine = bound(GUIDELINE, schema)
    assert (mine.question, mine.grades) == ("dr_grade", WORDS.answers)
    seen = prediction({"haemorrhage": [(5, 5)]}, grade=None)
    told = dict.fromkeys(WORDS.answers, 0.2)
    seen = Prediction(**{**vars(seen), "answers": {"dr_grade": "mild"}, "probabilities": {"dr_grade": told}})
    assert reasons(explain(seen, schema))["grade"].answer is None  # unbound, as before
    found = reasons(explain(seen, schema, guideline=mine))
    assert found["dr_grade"].against == ("haemorrhage speaks for dr_grade moderate, not mild",)
    assert set(found) == {"dr_grade"}
    assert bound(GUIDELINE, SCHEMA) is GUIDELINE
    assert bound(GUIDELINE, LabelSchema((WORDS,), ("disc",))) is GUIDELINE  # no lesion: five answers of what, who knows
    assert bound(GUIDELINE, SCHEMA.select(questions=["dme"])) is GUIDELINE
    both = LabelSchema((WORDS, Question("quality", WORDS.answers, ordered=True)), SCHEMA.labels)
    assert bound(GUIDELINE, both, grade="dr_grade").question == "dr_grade"
    with pytest.raises(ValueError, match="name the graded one"):
        bound(GUIDELINE, both)
    with pytest.raises(ValueError, match="question 'dme': its answers"):
        bound(GUIDELINE, SCHEMA, grade="dme")


class Graded(Bright):
    """Marks what is bright, and answers one question of five answers with the first of them."""

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        return super().forward(image)._replace(image=torch.eye(5, device=image.device)[:1].expand(len(image), -1))


def test_predict_grades_a_question_of_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = LabelSchema((replace(WORDS, name="dr"),), ("spot", "bright"))
    recipe = replace(bright(tmp_path / "run").recipe, schema=schema)
    run = Run(tmp_path / "run", replace(recipe, stages=(replace(recipe.stages[0], network=Graded),)))
    monkeypatch.setattr(recipes, "load_run", lambda _: run)
    Image.fromarray(photograph((80, 96))[0]).save(tmp_path / "eye.png")
    words = ["predict", str(tmp_path / "run"), str(tmp_path / "eye.png"), "--device", "cpu", "-o"]
    for more in ([], ["--grade", "dr"]):
        told = CliRunner().invoke(app, [*words, str(tmp_path / "out"), "--lesion", "spot=haemorrhage", *more])
        assert told.exit_code == 0, told.exception
        data = json.loads((tmp_path / "out/eye_evidence.json").read_text())
        assert [(one["question"], one["answer"], one["by_lesions"]) for one in data["reasons"]] == [
            ("dr", "none", "moderate")
        ]
    wrong = CliRunner().invoke(app, [*words, str(tmp_path / "no"), "--grade", "age"])
    assert "grade must be one of the questions ['dr'], got 'age'" in str(wrong.exception)
    assert guideline_for(run.recipe.schema, {}) == GUIDELINE  # the run marks no lesion of the guideline


class Everywhere(Bright):
    """A classifier in the form of a network that marks: a spot is all over the image, brightness nowhere."""

    def forward(self, image: Tensor, prior: Tensor | None = None) -> Outputs:
        odds = torch.tensor([2.0, -2.0], device=image.device)[None, :, None, None]
        return super().forward(image)._replace(pixel=odds.expand(len(image), -1, *image.shape[2:]))


def test_presence_alone_has_no_area_mask_or_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the network saw a part of the photograph."""
    recipe = bright(tmp_path / "run", crop_field=True).recipe
    run = Run(tmp_path / "run", replace(recipe, stages=(replace(recipe.stages[0], network=Everywhere),)))
    monkeypatch.setattr(recipes, "load_run", lambda _: run)
    pixels = photograph((97, 161), border=11)[0]
    Image.fromarray(pixels).save(tmp_path / "eye.png")
    said: list[str] = []
    predict_all(run.folder, [tmp_path / "eye.png"], out=tmp_path / "out", why=True, device="cpu", say=said.append)
    assert "spot 0.88 (presence only), bright 0.12 (presence only)" in said[0]
    data = json.loads((tmp_path / "out/eye.json").read_text())
    assert data["areas"] == data["files"]["masks"] == {}
    assert data["presence"] == {"spot": pytest.approx(0.880797), "bright": pytest.approx(0.119203)}
    assert not list((tmp_path / "out").glob("*_spot.png"))
    assert (np.asarray(Image.open(tmp_path / "out/eye_overlay.png")) == pixels).all()
    assert "spot: present (probability 0.88); place not predicted" in (tmp_path / "out/eye_evidence.txt").read_text()
