"""The tables of joint Dice: rows that are shared, the published values, and that its columns agree with each other."""

import numpy as np
import pytest

from foveate.core.labels import LabelSchema, Question
from foveate.data import synthetic
from foveate.engine.study import run_name
from foveate.metrics import table
from foveate.metrics.counts import Counts
from foveate.metrics.listing import Named
from foveate.metrics.measure import measure
from foveate.metrics.tally import ANSWERS, PIXELS
from foveate.studies import load_study
from foveate.studies.joint_dice import COLUMNS, TABLE1, TABLE2, TABLE3

FUNDUS = synthetic.SCHEMAS["fundus"]
TWO = LabelSchema(
    (Question("bleeding", evidence=("dot", "blot")), Question("oedema", evidence=("fluid",))),
    ("disc", "dot", "blot", "fluid"),
)


def rebuilt(excluded: float, sensitivity: float, specificity: float) -> dict[str, float]:
    """Our metrics of 70 images with the target and 16 without, all that are marked having the same Dice.

    Dice of the positives is ``excluded`` on their mean; a mark in one of the 16 is a false alarm.
    """
    found, quiet = round(70 * sensitivity), round(16 * specificity)
    dice = excluded * 70 / found
    tp = [*[round(5000 * dice)] * found, *[0] * (70 - found), *[0] * 16]
    fp = [*[10000 - 2 * round(5000 * dice)] * found, *[0] * (70 - found), *[0] * quiet, *[7] * (16 - quiet)]
    fn = [*[0] * found, *[10] * (70 - found), *[0] * 16]
    names = [f"i{k:02d}" for k in range(86)]
    pixels = {
        "image": names, "group": names, "label": ["atrophy"] * 86, "tp": tp, "fp": fp, "fn": fn, "tn": [50] * 86,
        "probability": [float(t + f > 0) for t, f in zip(tp, fp, strict=True)], "truth": [1] * 70 + [0] * 16,
    }  # fmt: skip
    schema = LabelSchema((), ("atrophy",))
    counts = Counts(schema, table.build(PIXELS, pixels), table.build(ANSWERS, dict.fromkeys(ANSWERS, ())))
    return Named({name: float(values[0]) for name, values in measure(counts, np.ones((1, 86))).items()})


@pytest.mark.parametrize("row", [*TABLE1, *list(TABLE2)[1:-1]])
def test_dice_of_all_images_follows_from_the_other_columns(row: str) -> None:
    """(70 excluded + 16 specificity) / 86 is the printed Dice of all images, by our own metrics; one row is a slip."""
    printed = dict(zip(COLUMNS, (TABLE1 | TABLE2)[row], strict=True))
    found = rebuilt(printed["dice_present"], printed["presence_sensitivity"], printed["presence_specificity"])
    for name in ("dice_present", "presence_sensitivity", "presence_specificity", "presence_accuracy"):
        assert found[name] == pytest.approx(printed[name], abs=2e-4), name
    expected = 0.7594 if row == "R50 UNet" else printed["dice_all"]
    assert found["dice_all"] == pytest.approx(expected, abs=2e-4)
    assert found["dice_all_std"] > 0


def test_tables_share_their_rows() -> None:
    study = load_study("joint_dice", FUNDUS, neighbour="disc", size=64)
    assert list(study) == ["Table 1", "Table 2", "Table 3", "Gate"]
    runs = {(title, row): name for title in study for row, name in study.runs(title).items()}
    assert runs["Gate", "Joint Dice"] == runs["Table 1", "Ours"]
    assert runs["Gate", "Dice"] == runs["Table 2", "+ neighbour, answer"]
    assert len(set(runs.values())) == 8 + 3 + 1 + 2
    gated = study["Gate"]
    assert gated.reference == "Dice"
    assert [bool(recipe.gates) for recipe in gated.rows.values()] == [False, True, False, True]
    assert [str(r.stages) for r in gated.rows.values()][::2] == [str(r.stages) for r in gated.rows.values()][1::2]
    printed = [title for title in study if title != "Gate"]
    names = {(title, row): run_name(row, recipe) for title in printed for row, recipe in study[title].items()}
    assert len({names[title, "Ours"] for title in printed}) == 1
    assert names["Table 1", "HBA-UNet"] == names["Table 2", "HBA-UNet"]
    assert names["Table 1", "TransUNet"] == names["Table 3", "TransUNet"]
    assert all(study[title].reference == "Ours" for title in printed)
    for table_ in study.values():
        assert table_.metrics == tuple(f"{name}/atrophy" for name in COLUMNS)


def test_rows_are_what_they_say() -> None:
    study = load_study("joint_dice", FUNDUS, neighbour="disc")
    parts = {
        row: ("disc" in r.schema.labels, bool(r.schema.questions), "joint_dice" in str(r.stages[0].loss))
        for row, r in study["Table 2"].items()
    }
    assert list(parts.values()) == [
        (False, False, False), (True, False, False), (True, True, False), (False, True, True), (True, True, True)
    ]  # fmt: skip
    for row, recipe in study["Table 1"].items():
        assert recipe.schema.labels == (("atrophy", "disc") if row == "Ours" else ("atrophy",))
    steps = study["Table 3"]["TransUNet + ResNet"]
    assert [stage.name for stage in steps.stages] == ["presence", "transunet"]
    assert steps.stages[1].network.keywords == study["Table 1"]["TransUNet"].stages[0].network.keywords
    assert study["Table 3"].paper["TransUNet + ResNet"]["dice_all/atrophy"] == 0.8719
    assert "dice_present/atrophy" not in study["Table 3"].paper["TransUNet + ResNet"]
    assert all(TABLE3[row][0] == TABLE1[row][0] for row in ("TransUNet", "Ours"))


def test_rows_may_be_smaller_than_the_others() -> None:
    study = load_study("joint_dice", FUNDUS, each={"TransUNet": {"depth": 2}, "UNet": {"width": 8}}, width=16)
    assert study["Table 1"]["TransUNet"].keywords["depth"] == 2
    assert study["Table 3"]["TransUNet + ResNet"].keywords["depth"] == 2
    assert study["Table 1"]["Swin-UNet"].keywords["depth"] is None
    assert [study["Table 1"][row].keywords["width"] for row in ("UNet", "Ours")] == [8, 16]
    with pytest.raises(ValueError, match=r"each: \['VNet'\] must be some of the rows"):
        load_study("joint_dice", FUNDUS, each={"VNet": {}})


def test_a_target_of_several_labels_has_the_metrics_of_each() -> None:
    study = load_study("joint_dice", TWO)
    for table_ in study.values():
        assert table_.metrics == tuple(f"{name}/{label}" for label in ("dot", "blot") for name in COLUMNS)
        assert not table_.paper
        assert "Targets: dot, blot, each with metrics of its own" in table_.note
    assert study["Table 1"]["Ours"].stages[0].keep.metric == "dice_all/dot + dice_all/blot"
    one = load_study("joint_dice", TWO, question="oedema")
    assert one["Table 2"].metrics == tuple(f"{name}/fluid" for name in COLUMNS)
    assert one["Table 2"].paper["Ours"]["dice_all/fluid"] == 0.8854
    assert one["Table 2"].note == "Target: fluid. Presence is read from the mask: any pixel given the target."
    none = load_study("joint_dice", TWO, question=None)
    assert none.runs("Table 1") == study.runs("Table 1")


@pytest.mark.parametrize("question", ["bleedng", "disc", ["bleeding"], ["bleeding", "oedema"], 1])
def test_a_study_is_of_one_question(question: object) -> None:
    with pytest.raises(ValueError, match=r"compares one question; name one of \['bleeding', 'oedema'\]") as told:
        load_study("joint_dice", TWO, question=question)
    assert f"question={question!r}" in str(told.value)


@pytest.mark.parametrize(
    "keywords", [{"network": "unet"}, {"two_step": True}, {"joint": False}, {"multitask": False}, {"gate": True}]
)
def test_what_makes_a_row_is_no_keyword_of_all(keywords: dict) -> None:
    with pytest.raises(ValueError, match=r"common: .* would change every row into another than its name") as told:
        load_study("joint_dice", FUNDUS, **keywords)
    assert f"each={{'Ours': {keywords}}}" in str(told.value)


def test_detached_answers_are_those_of_joint_dice() -> None:
    study = load_study("joint_dice", FUNDUS, detach=True)
    detached = {row for table_ in study.values() for row, recipe in table_.items() if recipe.keywords["detach"]}
    assert detached == {"Ours", "+ answer, joint Dice", "Joint Dice", "Joint Dice, gated"}


def test_rows_that_given_weights_do_not_fit_are_told() -> None:
    without = "Marked from random weights, which those given do not fit: "
    plain = load_study("joint_dice", FUNDUS)
    assert not [title for title, table_ in plain.items() if without in table_.note]
    filled = load_study("joint_dice", FUNDUS, weights="resnet50.pth")
    said = {title: table_.note.partition(without)[2] for title, table_ in filled.items()}
    assert said == {
        "Table 1": "UNet, Att-UNet, TransUNet, Swin-UNet, TransFuse.",
        "Table 2": "",
        "Table 3": "TransUNet, TransUNet + ResNet.",
        "Gate": "",
    }
    hub = load_study("joint_dice", FUNDUS, weights="hub")
    assert hub["Table 1"].note.endswith(f"{without}UNet, Att-UNet.")


def test_tables_say_where_gates_open() -> None:
    half, best = "where the answer's probability is 0.5 or more", "that serves the Dice of the validation images best"
    for keywords, said in (({}, half), ({"calibrated": "half"}, f"A gate opens from the probability on {best}")):
        notes = {title: table_.note for title, table_ in load_study("joint_dice", FUNDUS, **keywords).items()}
        assert [said in note for note in notes.values()] == [False, False, True, True]
    mixed = load_study("joint_dice", FUNDUS, each={"Dice, gated": {"calibrated": "half"}})
    assert f"A gate, in rows that are calibrated, opens from the probability on {best}" in mixed["Gate"].note
