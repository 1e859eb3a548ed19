"""``foveate calibrate`` between fit and predict: a gate, thresholds and temperatures from the verb to a mask."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveate.cli.main import app
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.data.split import split

SET = {"network": "unet", "width": 4, "size": 64, "batch": 4, "epochs": 1, "lr": 0.003,
       "neighbour": "disc", "gate": True}  # fmt: skip
WORDS = [word for key, value in SET.items() for word in ("-s", f"{key}={json.dumps(value).strip(chr(34))}")]
QUESTION = "atrophy_present"


def say(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, (words, result.output, result.exception)
    return result.output


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run with a gate."""
    folder = tmp_path_factory.mktemp("calibrated")
    drawn = Manifest(synthetic.SCHEMAS["fundus"], tuple(synthetic.write("fundus", folder, n=30, size=64)), folder)
    split(drawn, ratios=(0.4, 0.3, 0.3), seed=0).write(folder / "m.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(folder / "cache"))
        say("fit", "comparisons/joint_dice", folder / "m.jsonl", "-o", folder / "run", *WORDS, "--device", "cpu", "-q")
    return folder


def test_what_was_chosen_is_kept_and_used(desk: Path) -> None:
    """A screening threshold: every validation image with the target is called, and the same cut decides afterwards."""
    run, rows = desk / "run", Manifest.read(desk / "m.jsonl")
    told = say("calibrate", run, desk / "m.jsonl", "--threshold", "sensitivity=1", "--device", "cpu", "-q")
    record = json.loads((run / "calibration.json").read_text())
    assert record["about"]["threshold"] == "sensitivity=1"
    assert record["about"]["images"] == len(rows.where(split="val"))
    cut, (gate,) = record["thresholds"][QUESTION], record["gates"]
    assert f"{QUESTION}: temperature {record['temperatures'][QUESTION]:.3g}, yes from {cut:.3g}" in told
    assert f"atrophy: marked where {QUESTION} is at least {gate['threshold']:.3g}" in told

    say("evaluate", run, desk / "m.jsonl", "--split", "val", "-o", desk / "val", "--device", "cpu", "-q")
    held = json.loads((desk / "val" / "metrics.json").read_text())
    assert held["about"]["decisions"]["thresholds"] == {QUESTION: cut}
    assert held["metrics"][f"image/sensitivity/{QUESTION}/yes"]["value"] == 1


def test_predict_goes_by_the_file(desk: Path) -> None:
    """An answer and its masks follow the thresholds that are kept: 0 lets everything through, 1 nothing."""
    run, rows = desk / "run", Manifest.read(desk / "m.jsonl")
    say("calibrate", run, desk / "m.jsonl", "--threshold", "half", "--device", "cpu", "-q")
    path = run / "calibration.json"
    record = json.loads(path.read_text())
    assert (record["thresholds"], record["about"]["threshold"]) == ({}, None)
    image = rows.root / rows.where(split="test").rows[0].image
    for threshold, answer in ((0.0, "yes"), (1.0, "no")):
        record["gates"][0]["threshold"] = record["thresholds"][QUESTION] = threshold
        path.write_text(json.dumps(record))
        out = desk / f"cut{threshold}"
        assert f"{QUESTION}: {answer}" in say("predict", run, image, "-o", out, "--device", "cpu")
        reading = json.loads((out / f"{image.stem}.json").read_text())
        assert reading["answers"] == {QUESTION: answer}
        assert (reading["presence"]["atrophy"] > 0) == (answer == "yes")
        if answer == "no":
            assert not np.array(Image.open(out / reading["files"]["masks"]["atrophy"])).any()


def test_a_rule_that_there_is_not(desk: Path) -> None:
    told = CliRunner().invoke(app, ["calibrate", str(desk / "run"), str(desk / "m.jsonl"), "--threshold", "best"])
    assert isinstance(told.exception, ValueError)
    assert "rule must be one of ['harmonic', 'youden'" in str(told.exception)


def test_the_guideline_in_the_words_of_a_run(desk: Path) -> None:
    """A label that the guideline calls otherwise speaks for a grade; a manifest places it about the fovea."""
    image = desk / "images" / "fundus_0000.png"
    words = ("predict", desk / "run", image, "-o", desk / "why", "--device", "cpu")
    say(*words, "--lesion", "disc=haemorrhage", "--manifest", desk / "m.jsonl")
    evidence = json.loads((desk / "why" / "fundus_0000_evidence.json").read_text())
    assert evidence["quadrants_about"] == "the fovea"
    assert [reason["question"] for reason in evidence["reasons"]] == [QUESTION, "grade"]
    say(*words, "--explain")
    evidence = json.loads((desk / "why" / "fundus_0000_evidence.json").read_text())
    assert evidence["quadrants_about"] == "the middle of the image"
    assert [reason["question"] for reason in evidence["reasons"]] == [QUESTION]
    for lesion, expected in (
        ("cup=haemorrhage", "must be one of ['atrophy', 'disc'], got 'cup'"),
        ("disc=moon", "got 'moon'"),
    ):
        told = CliRunner().invoke(app, [*map(str, words), "--lesion", lesion])
        assert isinstance(told.exception, ValueError)
        assert expected in str(told.exception)
