"""A false alarm of a few pixels is listed, and does not decide the most severe grade."""

import numpy as np
import pytest

from foveate.core.guideline import GUIDELINE
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Prediction
from foveate.inference.evidence import explain
from foveate.inference.lesion_rules import PLAIN, SEVERE, LesionRule, counted_part, rules_for, rules_given

LABELS = ("microaneurysm", "vitreous_haemorrhage")
SCHEMA = LabelSchema((Question("grade", GUIDELINE.grades, ordered=True),), LABELS)


def prediction(*, pixels: int, probability: float) -> Prediction:
    """896 x 896 pixels with one microaneurysm of 9 pixels and a vitreous haemorrhage in one row."""
    sure = np.zeros((2, 896, 896), np.float32)
    sure[0, 100:103, 100:103] = 0.55
    sure[1, 400, 200 : 200 + pixels] = probability
    told = {"grade": {"0": 0.1, "1": 0.6, "2": 0.1, "3": 0.1, "4": 0.1}}
    return Prediction("eye", told, {"grade": "1"}, sure, sure >= 0.5, LABELS)


@pytest.mark.parametrize(
    ("pixels", "probability", "grade"), [(26, 0.99, "1"), (300, 0.6, "1"), (300, 0.9, "4"), (161, 0.75, "4")]
)
def test_size_and_probability_decide_what_counts(pixels: int, probability: float, grade: str) -> None:
    found = explain(prediction(pixels=pixels, probability=probability), SCHEMA)
    assert found.reasons[0].by_lesions == grade
    blood = found.lesions[1]
    assert (blood.marks.pixels, bool(blood.doubt)) == (pixels, grade == "1")
    assert bool(found.reasons[0].against) == (grade == "4")
    assert found.to_json()["lesions"][1]["probability"] == pytest.approx(probability)
    assert ("doubt" in found.to_json()["lesions"][1]) == (grade == "1")


def test_probability_and_size_are_beside_the_sentence() -> None:
    text = str(explain(prediction(pixels=26, probability=0.62), SCHEMA))
    assert "for it: microaneurysm (9 px, probability 0.55)" in text
    assert "vitreous haemorrhage: 1 (26 px, 0.00324 % of the image, probability 0.62)" in text
    assert "does not count: a vitreous haemorrhage needs at least 0.02 % of the image and a probability of 0.75" in text


def test_a_rule_may_be_given_for_each_lesion() -> None:
    rules = rules_given(["vitreous_haemorrhage=0.001,0.5", "microaneurysm=1,0.5"])
    found = explain(prediction(pixels=26, probability=0.62), SCHEMA, rules=rules)
    assert found.reasons[0].by_lesions == "4"
    assert found.lesions[0].doubt
    assert rules_for(GUIDELINE, LABELS) == {"microaneurysm": PLAIN, "vitreous_haemorrhage": SEVERE}
    with pytest.raises(ValueError, match="the label must be one of"):
        rules_for(GUIDELINE, LABELS, given={"drusen": PLAIN})
    for text in ("drusen", "drusen=1", "drusen=1,2", "drusen=x,0.5", "=1,0.5"):
        with pytest.raises(ValueError, match="write LABEL=PERCENT,PROBABILITY"):
            rules_given([text])
    with pytest.raises(ValueError, match="must be in"):
        LesionRule(2.0, 0.5)


def test_each_single_lesion_must_meet_the_rule() -> None:
    mask = np.zeros((10, 10), bool)
    mask[1, 1:3] = mask[5:9, 5:9] = True
    sure = np.where(mask, 0.8, 0.1)
    assert counted_part(mask, sure, LesionRule(share=0.1)).sum() == 16
    assert counted_part(mask, sure, LesionRule(probability=0.9)).sum() == 0
    assert counted_part(mask, sure, PLAIN).sum() == 18
