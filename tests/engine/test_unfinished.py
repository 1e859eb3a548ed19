"""An interrupted run is not a finished one: evaluate, report and predict report it and need --unfinished."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from foveate.cli.main import app
from foveate.data import synthetic
from foveate.data.manifest import Manifest
from foveate.engine.fit import fit
from foveate.engine.unfinished import refuse_unfinished, unfinished_stages
from foveate.recipes import load_recipe, load_run


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run and its manifest; its state is that after a kill."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("interrupted")
    rows = synthetic.write("enface", folder, n=6, size=64)
    parts = ("train", "train", "val", "val", "test", "test")
    split = [replace(row, split=part, patient=row.id) for row, part in zip(rows, parts, strict=True)]
    manifest = Manifest(synthetic.SCHEMAS["enface"], tuple(split), folder).write(folder / "m.jsonl")
    recipe = load_recipe(
        "image_quality", manifest.schema, encoder="resnet10t", width=4, size=32, epochs=1, batch=2, precision="fp32"
    )
    run = fit(recipe, manifest, out=folder / "run", device="cpu", quiet=True, cache=folder / "cache")
    assert unfinished_stages(run) == []
    assert refuse_unfinished(run) is None
    (folder / "run" / "joint" / "done.json").unlink()
    (folder / "run" / "joint" / "state.pt").touch()
    return folder / "run", folder / "m.jsonl"


def test_the_state_is_described(interrupted: tuple[Path, Path]) -> None:
    run = load_run(interrupted[0])
    assert unfinished_stages(run) == [f"{interrupted[0]}: stage 'joint' reached epoch 1, step 1"]
    with pytest.raises(
        ValueError, match=r"interrupted .*stage 'joint' reached epoch 1.*--resume`, or add --unfinished"
    ):
        refuse_unfinished(run)
    assert "weights kept so far are taken" in (refuse_unfinished(run, allow=True) or "")


@pytest.mark.parametrize("command", ["evaluate", "report", "predict"])
def test_commands_need_the_option(interrupted: tuple[Path, Path], tmp_path: Path, command: str) -> None:
    run, manifest = interrupted
    image = tmp_path / "x.png"
    Image.new("RGB", (32, 32)).save(image)
    given = {
        "evaluate": [str(run), str(manifest), "--quiet", "--device", "cpu"],
        "report": [str(run), "--device", "cpu"],
        "predict": [str(run), str(image), "-o", str(tmp_path / "out"), "--device", "cpu"],
    }[command]
    refused = CliRunner().invoke(app, [command, *given])
    assert isinstance(refused.exception, ValueError)
    assert "add --unfinished" in str(refused.exception)
    if command == "report":  # needs an evaluation, which the command before makes in another order of tests
        CliRunner().invoke(app, ["evaluate", str(run), str(manifest), "-q", "--device", "cpu", "--unfinished"])
    allowed = CliRunner().invoke(app, [command, *given, "--unfinished"])
    assert allowed.exit_code == 0, allowed.exception
    assert "warning: the training was interrupted" in allowed.output
    assert json.loads((run / "recipe.json").read_text())["name"] == "image_quality"
