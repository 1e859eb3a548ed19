"""Precision "auto" is decided once, recorded, and neither resuming nor prediction measures again."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_toys import tiny_recipe, toy_manifest

from foveate.data.manifest import Manifest
from foveate.engine import settle
from foveate.engine.fit import fit
from foveate.engine.folds import fit_folds
from foveate.engine.precision import Measured, measured_precision
from foveate.recipes import load_run
from foveate.studies._training import Job, in_one_precision


@pytest.fixture
def rows(tmp_path: Path) -> Manifest:
    return toy_manifest(tmp_path)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine with units for bf16; how often it was measured."""
    calls: list[str] = []

    def once(make_step: Any) -> Measured:
        for name in ("fp32", "bf16"):
            make_step(name)()  # the steps run
        calls.append("measured")
        return Measured("bf16", 0.3, 0.1)

    monkeypatch.setattr(settle, "has_bf16_units", lambda device: True)
    monkeypatch.setattr(settle, "measured_precision", once)
    return calls


def test_a_training_decides_once(
    rows: Manifest, tmp_path: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, settings = tiny_recipe(epochs=1), {"device": "cpu", "cache": tmp_path / "c"}
    assert recipe.precision == "auto"
    run = fit(recipe, rows, out=tmp_path / "run", **settings)
    assert run.recipe.precision == "bf16"
    assert "0.3 s in fp32 and 0.1 s in bf16" in " ".join(capsys.readouterr().err.split())
    assert json.loads((run.folder / "recipe.json").read_text())["precision"] == "bf16"
    again = fit(recipe, rows, out=tmp_path / "run", resume=True, quiet=True, **settings)
    assert again.recipe.precision == "bf16"
    assert load_run(run.folder, recipe=recipe).recipe.precision == "bf16"
    assert measured == ["measured"]


def test_measuring_changes_no_number(rows: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are those of a training that was asked for fp32."""
    settings = {"device": "cpu", "quiet": True, "cache": tmp_path / "c"}
    asked = fit(tiny_recipe(epochs=1).with_(precision="fp32"), rows, out=tmp_path / "asked", **settings)
    monkeypatch.setattr(settle, "has_bf16_units", lambda device: True)
    monkeypatch.setattr(settle, "measured_precision", lambda make: measured_precision(make)._replace(precision="fp32"))
    found = fit(tiny_recipe(epochs=1), rows, out=tmp_path / "found", **settings)
    ours, theirs = (run.network("tiny").state_dict() for run in (asked, found))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_without_units_nothing_is_measured(rows: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "has_bf16_units", lambda device: False)
    monkeypatch.setattr(settle, "measured_precision", None)
    run = fit(tiny_recipe(epochs=1), rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")
    assert run.recipe.precision == "fp32"


def test_all_folds_have_one_precision(rows: Manifest, tmp_path: Path, measured: list[str]) -> None:
    bare = rows.with_rows([type(row)(**{**vars(row), "split": None}) for row in rows])
    made = fit_folds(
        tiny_recipe(epochs=1), bare, out=tmp_path / "f", folds=3, device="cpu", quiet=True, say=lambda line: None
    )
    assert [run.recipe.precision for run in made.runs] == ["bf16"] * 3
    assert measured == ["measured"]


def test_runs_without_a_recorded_precision_have_fp32(rows: Manifest, tmp_path: Path) -> None:
    """As written before there was "auto"; an interrupted one goes on."""
    recipe, settings = tiny_recipe(epochs=1), {"device": "cpu", "quiet": True, "cache": tmp_path / "c"}
    run = fit(recipe, rows, out=tmp_path / "run", **settings)
    path = run.folder / "recipe.json"
    record = json.loads(path.read_text())
    del record["precision"]
    first, *rest = record["text"].splitlines()
    record["text"] = "\n".join([first, "  precision = 'fp32'", "  epochs = 1", *rest])
    path.write_text(json.dumps(record))
    assert load_run(run.folder, recipe=recipe).recipe.precision == "fp32"
    assert fit(recipe, rows, out=tmp_path / "run", resume=True, **settings).recipe.precision == "fp32"


def test_methods_that_are_compared_train_in_one_precision(rows: Manifest, tmp_path: Path, measured: list[str]) -> None:
    """Measured on the first; a study that goes on keeps what its runs have, and a row that names one keeps its own."""
    runs, lines = tmp_path / "runs", []
    jobs = [
        Job(name, tiny_recipe(epochs=1).with_(precision=precision), rows, runs / name / "split", runs)
        for name, precision in (("a", "auto"), ("b", "fp32"), ("c", "auto"))
    ]
    made = in_one_precision(jobs, device="cpu", say=lines.append)
    assert [job.recipe.precision for job in made] == ["bf16", "fp32", "bf16"]
    assert len(lines) == len(measured) == 1
    (runs / "a" / "split").mkdir(parents=True)
    (runs / "a" / "split" / "recipe.json").write_text('{"precision": "fp32"}')
    made = in_one_precision(jobs[1:], device="cpu", say=lines.append)
    assert [job.recipe.precision for job in made] == ["fp32", "fp32"]
    assert len(measured) == 1
