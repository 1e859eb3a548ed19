"""``fit --folds``, and what evaluate, calibrate, predict and report make of the folder."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveate.cli.main import app
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.engine.ensemble import Ensemble
from foveate.engine.evaluate import count_rows
from foveate.inference.predictor import Predictor
from foveate.metrics.counts import Counts
from foveate.recipes import load_run
from foveate.reporting.fold_tables import fold_tables
from foveate.reporting.pages import write_report

RECIPE = "comparisons/joint_dice"
SET = {"network": "unet", "width": 4, "size": 64, "batch": 4, "epochs": 1, "lr": 0.003}
WORDS = [word for key, value in SET.items() for word in ("-s", f"{key}={json.dumps(value).strip(chr(34))}")]


def say(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, (words, result.output, result.exception)
    return result.output


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folds, trained for one epoch, evaluated out of fold."""
    folder = tmp_path_factory.mktemp("folds")
    drawn = synthetic.write("fundus", folder, n=18, size=64)
    Manifest(synthetic.SCHEMAS["fundus"], tuple(drawn), folder).write(folder / "m.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEATE_CACHE", str(folder / "cache"))
        told = say(
            "fit",
            RECIPE,
            folder / "m.jsonl",
            "-o",
            folder / "run",
            *WORDS,
            "--folds",
            3,
            "--device",
            "cpu",
            "-q",
        )
        assert "18 images split into 3 by patient" in told
        assert f"3 folds trained; next: foveate evaluate {folder / 'run'}" in told
        (folder / "evaluated.txt").write_text(say("evaluate", folder / "run", folder / "m.jsonl", "--device", "cpu"))
    return folder


def test_evaluate_reads_every_image_out_of_fold(desk: Path) -> None:
    told = (desk / "evaluated.txt").read_text()
    assert "images read, each by the members that may: 18 by 1 of 3" in told
    assert "in training" not in told
    run, rows = load_run(desk / "run"), Manifest.read(desk / "m.jsonl")
    assert isinstance(run, Ensemble)
    whole = Counts.read(run.folder, run.recipe.schema)
    for member in run.members:
        mine = rows.with_rows(row for row in rows if member.splits[row.id] == "test")
        own = count_rows(member, mine, decisions=member.decisions, device="cpu")
        assert whole.take([row.id for row in mine]) == own
    told = say("evaluate", run.folder, desk / "m.jsonl", "--seen", "-o", desk / "seen", "--device", "cpu", "-q")
    assert "warning: the run has seen 18 of these 18 images in training" in told
    assert "18 by 3 of 3" in told
    some = rows.with_rows(replace(row, split="test" if i < 4 else "train") for i, row in enumerate(rows))
    path = some.write(desk / "some.jsonl").path
    told = say("evaluate", run.folder, path, "-o", desk / "some", "--device", "cpu", "-q")
    assert "4 by 1 of 3" in told  # without --split: the test split, if there is one


def test_predict_reads_with_all_members(desk: Path) -> None:
    image = desk / "images" / "fundus_0000.png"
    say("predict", desk / "run", image, "-o", desk / "out", "--cam", "--device", "cpu")
    found = json.loads((desk / "out" / "fundus_0000.json").read_text())
    members = [Predictor(run, device="cpu")(image, cam=True) for run in load_run(desk / "run").members]
    for question, given in found["probabilities"].items():
        for answer, p in given.items():
            assert p == pytest.approx(np.mean([one.probabilities[question][answer] for one in members]), abs=2e-5)
    for i, label in enumerate(members[0].labels):
        highest = np.mean([one.probability[i] for one in members], 0).max()
        assert found["presence"][label] == pytest.approx(highest, abs=2e-5)
    question, maps = next(iter(found["files"]["cam"].items()))
    with Image.open(desk / "out" / next(iter(maps.values()))) as shown, Image.open(image) as original:
        assert shown.width == original.width
    together = Predictor.load(desk / "run", device="cpu")(image, cam=True)
    for answer, cam in together.cam[question].items():
        mean = np.mean([one.cam[question][answer] for one in members], 0)
        np.testing.assert_allclose(cam, mean / mean.max() if mean.max() > 0 else mean, atol=0.02)


def test_the_report_has_a_table_and_the_curves_of_the_folds(desk: Path) -> None:
    page = write_report(desk / "run", device="cpu").read_text(encoding="utf-8")
    for words in ("fold0, ", "fold2, ", "Folds", "test of fold1", "neither trained nor validated on it or its patient"):
        assert words in page, words
    run = load_run(desk / "run")
    assert isinstance(run, Ensemble)
    counts = Counts.read(run.folder, run.recipe.schema)
    (table,) = fold_tables(run, counts, absent="one")
    assert [row[0] for row in table.rows] == ["fold0", "fold1", "fold2", "all images"]
    assert [row[1] for row in table.rows] == [6, 6, 6, 18]
    assert not any("Warning" in line or line.startswith("fold0:") for line in table.note)
    assert "Dice where present, disc" in [column.name for column in table.columns]


def test_calibrate_reports_what_each_label_rests_on(desk: Path) -> None:
    told = say("calibrate", desk / "run", desk / "m.jsonl", "--device", "cpu", "-q")
    assert "each member has its own temperature" in told
    about = json.loads((desk / "run" / "calibration.json").read_text())["about"]
    assert about["images"] == 18
    for one in about["labels"]:
        assert f"{one['label']}: " in told
        assert one["images"] == 18
    say("calibrate", desk / "run", desk / "m.jsonl", "--no-masks", "--device", "cpu", "-q")
    record = json.loads((desk / "run" / "calibration.json").read_text())
    assert (record["cuts"], record["specks"], record["about"]["labels"]) == ({}, {}, [])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--folds", "3", "--fold", "1"), "give one of the two"),
        (("--folds", "some"), "--folds must be 'all' or a number, got 'some'"),
        (("--folds", "3"), "holds fold0, fold1, fold2 already"),
    ],
)
def test_what_can_not_be_is_refused(words: tuple[str, ...], expected: str, desk: Path) -> None:
    rows = Manifest.read(desk / "m.jsonl")
    numbered = rows.with_rows(replace(row, fold=i % 3) for i, row in enumerate(rows))
    file = numbered.write(desk / "numbered.jsonl").path
    result = CliRunner().invoke(app, ["fit", RECIPE, str(file), "-o", str(desk / "run"), *WORDS, *words])
    assert isinstance(result.exception, ValueError)
    assert expected in str(result.exception)
