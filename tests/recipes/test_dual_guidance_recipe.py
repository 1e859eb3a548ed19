"""Images that the second stage of dual guidance trains on, and its gate, by the healthy answer of the question."""

import pytest
from recipes_cases import narrow

from foveate.core.decisions import Gate
from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Row
from foveate.recipes import load_recipe
from foveate.recipes.dual_guidance import pathological
from foveate.studies import load_study


def schema(*answers: str, healthy: str | None = None) -> LabelSchema:
    return LabelSchema((Question("class", answers, healthy=healthy),), ("fluid",))


def trained_on(learnt: LabelSchema, **answers: str) -> bool:
    return pathological(Row("i", "i.png", answers=answers), question=learnt.questions[0])


@pytest.mark.parametrize("word", ["normal", "NORMAL", "Normal"])
def test_capitals_make_no_difference(word: str) -> None:
    learnt = schema(word, "CNV", "DRUSEN")
    assert [trained_on(learnt, **{"class": a}) for a in (word, "CNV", "DRUSEN")] == [False, True, True]
    assert not trained_on(learnt)
    recipe = load_recipe("dual_guidance", learnt, gate=True)
    assert recipe.gates == (Gate("class", ("fluid",), answers=("CNV", "DRUSEN")),)


def test_a_stated_healthy_answer_decides() -> None:
    learnt = schema("0", "1", "2", healthy="0")
    assert [trained_on(learnt, **{"class": a}) for a in "012"] == [False, True, True]
    assert load_recipe("dual_guidance", learnt, gate=True).gates[0].answers == ("1", "2")


def test_a_gate_needs_a_healthy_answer() -> None:
    """Nor are the pathological images known; all that have an answer can be asked for."""
    learnt = schema("0", "1", "2")
    with pytest.raises(ValueError, match="the healthy answer of question 'class' is not known; state it"):
        trained_on(learnt, **{"class": "1"})
    stage = load_recipe("dual_guidance", learnt, segment_on="answered").stages[1]
    assert stage.rows is not None
    assert [stage.rows(Row("i", "i.png", answers=a)) for a in ({"class": "0"}, {"class": "2"}, {})] == [
        True,
        True,
        False,
    ]
    for name in ("dual_guidance", "comparisons/dual_guidance"):
        with pytest.raises(ValueError, match="gate=True: the healthy answer of question 'class' is not known; "):
            load_recipe(name, learnt, gate=True)


def test_a_study_of_two_answers_scores_the_one_that_is_not_healthy() -> None:
    for answers in (("NORMAL", "CNV"), ("CNV", "NORMAL")):
        assert "auc/class/CNV" in load_study("dual_guidance", schema(*answers))["Table 7"].metrics


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"classifier": "vgg16", "segmenter": "unet"}, "segmenter='unet' has no effect with classifier='vgg16'"),
        ({"classifier": "vgg16", "encoder": "resnet34"}, "encoder='resnet34' has no effect with classifier='vgg16'"),
        ({"guided": False, "guide": "true"}, "guide='true' has no effect with guided=False; leave guide out, or set"),
        ({"segmenter": None, "guide": "true"}, "guide='true' has no effect with segmenter=None"),
        ({"segmenter": "unet", "fuse": "widen"}, "fuse='widen' has no effect with segmenter='unet'"),
        ({"classifier": "ynet", "stride": 8}, "stride=8 has no effect with classifier='ynet'"),
        ({"mask": "none", "segmenter": None, "printed": True}, "printed=True has no effect with classifier='cm_cnn'"),
        ({"classifier": "resnet"}, r"classifier must be one of \['cm_cnn', 'opticnet71', .* got 'resnet'"),
        ({"segmenter": "fcn"}, r"segmenter must be one of \['cam_unet', 'unet', .* got 'fcn'"),
        ({"guide": "none"}, r"guide must be one of \['predicted', 'true', 'blank'\], got 'none'"),
    ],
)
def test_what_cannot_be_is_refused(keywords: dict, message: str) -> None:
    settings = {"encoder": "resnet10t"} if "classifier" not in keywords else {}
    with pytest.raises(ValueError, match=message):
        load_recipe("comparisons/dual_guidance", schema("normal", "cnv"), **settings, **keywords)


def test_a_keyword_of_the_comparison_names_it() -> None:
    with pytest.raises(ValueError, match=r"unknown keyword \['classifier'\].*'comparisons/dual_guidance' knows"):
        narrow("dual_guidance", "oct", classifier="vgg16")
