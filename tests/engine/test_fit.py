"""The loop: it learns, keeps, hands maps on, refuses what is wrong, and resumes to the bit."""

import json
import multiprocessing
import multiprocessing.context
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import kill_toys
import numpy as np
import pytest
import torch
from engine_toys import CLASSES, Nested, tiny_recipe, toy_manifest
from safetensors.torch import load_file
from torch import nn

from foveate.core.types import Outputs
from foveate.data.loader import Dataset, batches
from foveate.data.manifest import Manifest
from foveate.engine.artifacts import read_map
from foveate.engine.evaluate import evaluate, read_metrics
from foveate.engine.fit import fit
from foveate.engine.keep import Keep, best
from foveate.engine.optimise import averaged, fused
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import DivergedError
from foveate.engine.schedule import divide_when_flat
from foveate.losses.pixel import bce
from foveate.losses.weigh import Weigh


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return toy_manifest(tmp_path_factory.mktemp("toys"))


def test_it_learns_and_writes_what_it_says(rows: Manifest, tmp_path: Path) -> None:
    run = fit(tiny_recipe(epochs=12), rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")
    log = run.log("tiny")
    assert len(log) == 12
    assert log[-1]["train"]["pixels"] < 0.5 * log[0]["train"]["pixels"]
    assert [entry["best"] for entry in log].count(True) >= 1
    assert set(log[0]) == {"stage", "epoch", "step", "lr", "train", "val", "best"}
    assert run.record["versions"]["torch"]
    assert run.record["manifest"]["hash"] == rows.hash
    kept = max(log, key=lambda e: e["val"]["dice"])
    assert json.loads((run.folder / "tiny/done.json").read_text())["best"] == kept["val"]["dice"]
    counts = evaluate(run, rows.where(split="test"), device="cpu", cache=tmp_path / "c", intervals=False)
    assert counts.labels["blob"].tp.sum() > 0
    metrics = read_metrics(run.folder)
    assert metrics["dice"] > 0.6
    assert metrics["auc/blob_present"] > 0.7


def test_first_losses_do_not_change(rows: Manifest, tmp_path: Path) -> None:
    """Same seed, same numbers; another seed, others."""
    logs = [
        fit(
            tiny_recipe(epochs=1),
            rows,
            out=tmp_path / str(i),
            device="cpu",
            seed=seed,
            quiet=True,
            cache=tmp_path / "c",
        ).log("tiny")
        for i, seed in enumerate((0, 0, 1))
    ]
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


def test_killed_at_any_moment_it_ends_with_the_same_bits(
    rows: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = rows.write(rows.root / "kill.jsonl").path
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kill_toys"])
    # The fork server looks for what it imports here, not in sys.path (Python 3.11)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))

    def started(out: Path) -> multiprocessing.context.ForkServerProcess:
        process = context.Process(target=kill_toys.train, args=(manifest, out, tmp_path / "c"))
        process.start()
        return process

    def ended(out: Path) -> None:
        process = started(out)
        process.join(timeout=200)
        assert process.exitcode == 0

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    ended(whole)
    log = broken / "tiny" / "log.jsonl"
    kills = 0
    for lines, delay in ((0, 0.05), (1, 0.0), (2, 0.03), (4, 0.01)):
        process = started(broken)
        deadline = time.monotonic() + 60
        while process.is_alive() and time.monotonic() < deadline:
            if log.is_file() and log.read_bytes().count(b"\n") >= lines:
                time.sleep(delay)
                break
            time.sleep(0.002)
        kills += process.is_alive()
        process.kill()
        process.join(timeout=60)
    assert kills >= 3
    ended(broken)
    assert log.read_bytes() == (whole / "tiny" / "log.jsonl").read_bytes()
    a, b = (load_file(folder / "tiny" / "weights.safetensors") for folder in (whole, broken))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_stages_hand_maps_on_and_start_from_one_another(rows: Manifest, tmp_path: Path) -> None:
    first = tiny_recipe(epochs=2).stages[0]
    writes = {"cam": lambda net, batch, outputs: outputs.features[-1].mean(1, keepdim=True)}
    second = Stage(
        "second",
        network=Nested,
        loss=Weigh(pixels=(1.0, bce)),
        keep=best("dice"),
        rows=lambda row: row.answers.get("blob_present") == "yes",
        reads={"prior": "tiny/cam"},
        starts_from={"inner": "tiny"},
        frozen=("inner",),
        optimizer=partial(torch.optim.SGD, lr=0.0625),
    )
    with pytest.raises(ValueError, match="one of the earlier stages"):
        replace(tiny_recipe(), stages=(replace(second, reads={}),))
    recipe = replace(tiny_recipe(epochs=2), stages=(replace(first, writes=writes), second))
    run = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")
    assert {entry["lr"] for entry in run.log("second")} == {0.0625}
    assert 0.0625 not in {entry["lr"] for entry in run.log("tiny")}
    written = read_map(run.folder / "tiny/maps/cam", rows.rows[0].id)
    assert written.dtype == np.float32
    assert written.shape == (1, 32, 32)
    assert all((run.folder / "tiny/maps/cam" / f"{row.id}.npy").is_file() for row in rows.rows)
    inner, alone = run.network("second").get_submodule("inner").state_dict(), run.network("tiny").state_dict()
    assert all(torch.equal(inner[k], alone[k]) for k in alone)
    counts = evaluate(run, rows.where(split="test"), device="cpu", cache=tmp_path / "c", intervals=False)
    assert len(counts) == len(rows.where(split="test"))


def test_in_one_go_the_later_stage_sees_what_it_saw_in_training(rows: Manifest, tmp_path: Path) -> None:
    writes = {"cam": lambda net, batch, outputs: outputs.features[-1].mean(1, keepdim=True)}
    first = replace(tiny_recipe(epochs=1).stages[0], writes=writes)
    second = Stage("second", network=Nested, loss=Weigh(pixels=(1.0, bce)), reads={"prior": "tiny/cam"})
    run = fit(
        replace(tiny_recipe(epochs=1), stages=(first, second)),
        rows,
        out=tmp_path / "run",
        device="cpu",
        quiet=True,
        cache=tmp_path / "c",
    )
    recipe = run.recipe
    priors = partial(read_map, run.folder / "tiny/maps/cam")
    data = Dataset(rows.rows, rows.root, recipe.schema, recipe.prepare, priors=priors)
    batch = next(iter(batches(data, batch=4, shuffle=False)))
    with torch.inference_mode():
        stored = run.network("second")(batch.image, batch.prior).pixel
    at_once = run.pipeline()(replace(batch, prior=None)).pixel
    torch.testing.assert_close(stored, at_once, atol=1e-5, rtol=1e-5)


def test_frozen_parts_stay(rows: Manifest, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=1)
    stage = replace(recipe.stages[0], frozen=("trunk",))
    kept: dict[str, torch.Tensor] = {}

    def start(network: torch.nn.Module) -> None:
        kept.update({k: v.clone() for k, v in network.state_dict().items()})

    recipe = replace(recipe, stages=(replace(stage, start=start),))
    run = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c")
    after = run.network("tiny").state_dict()
    changed = {k for k in after if not torch.equal(after[k], kept[k])}
    assert changed
    assert not any(k.startswith("trunk") for k in changed)


def test_loss_changes_at_the_first_drop(rows: Manifest, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=6)
    stage = replace(recipe.stages[0], keep=replace(best("dice"), metric="loss"), after_drop=Weigh(later=(1.0, bce)))
    recipe = replace(recipe, stages=(stage,), schedule=divide_when_flat(patience=1))
    log = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c").log("tiny")
    names = [tuple(entry["train"]) for entry in log]
    assert names[0] == ("answers", "pixels")
    assert names[-1] == ("later",)
    first = names.index(("later",))
    assert log[first]["lr"] == pytest.approx(log[0]["lr"] / 10)


def test_accumulated_pieces_are_one_step(rows: Manifest, tmp_path: Path) -> None:
    settings = {"device": "cpu", "quiet": True, "cache": tmp_path / "c"}
    recipes = [replace(tiny_recipe(epochs=1), accumulate=n) for n in (1, 2)]
    logs = [fit(r, rows, out=tmp_path / str(r.accumulate), **settings).log("tiny") for r in recipes]
    assert logs[0][0]["step"] == logs[1][0]["step"]
    assert logs[0][0]["train"]["pixels"] == pytest.approx(logs[1][0]["train"]["pixels"], rel=0.2)


class Flat(nn.Module):
    """One convolution without normalisation: each image has the same gradient in any batch."""

    def __init__(self) -> None:
        super().__init__()
        self.pixel = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, image: torch.Tensor, prior: torch.Tensor | None = None) -> Outputs:
        return Outputs(pixel=self.pixel(image))


def test_accumulated_gradients_are_those_of_the_whole_batch(rows: Manifest, tmp_path: Path) -> None:
    """With SGD, whose step grows with the gradient: Adam would hide a gradient that is n times too large."""
    recipe = replace(tiny_recipe(epochs=1), optimizer=partial(torch.optim.SGD, lr=0.1))
    stage = replace(recipe.stages[0], network=Flat, loss=Weigh(pixels=(1.0, bce)))
    weights = []
    for n in (1, 2, 4):
        fit(
            replace(recipe, stages=(stage,), accumulate=n),
            rows,
            out=tmp_path / str(n),
            device="cpu",
            quiet=True,
            cache=tmp_path / "c",
        )
        weights.append(load_file(tmp_path / str(n) / "tiny/weights.safetensors"))
    for name, whole in weights[0].items():
        torch.testing.assert_close(weights[1][name], whole)
        torch.testing.assert_close(weights[2][name], whole)


def test_it_stops_early(rows: Manifest, tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(epochs=50, lr=0.0), patience=2)
    log = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c").log("tiny")
    values = [entry["val"]["dice"] for entry in log]
    assert len(log) < 50
    assert max(values[-2:]) <= max(values[:-2])


def test_validations_within_an_epoch(rows: Manifest, tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(epochs=2), validate_every=1)
    log = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c").log("tiny")
    assert [entry["step"] for entry in log] == list(range(1, len(log) + 1))


def test_a_run_has_at_least_so_many_validations(rows: Manifest, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=4).with_(validate_every=1000, validations=6)
    log = fit(recipe, rows, out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "c").log("tiny")
    assert [entry["step"] for entry in log] == [2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "another seed"),
        ({"recipe": tiny_recipe(epochs=3)}, "another text"),
        ({"resume": False}, "holds a run already"),
    ],
)
def test_a_folder_belongs_to_one_run(rows: Manifest, tmp_path: Path, change: dict[str, object], words: str) -> None:
    settings = {"out": tmp_path / "run", "device": "cpu", "quiet": True, "cache": tmp_path / "c", "resume": True}
    fit(tiny_recipe(epochs=1), rows, **settings)
    recipe = change.pop("recipe", tiny_recipe(epochs=1))
    with pytest.raises(ValueError, match=words):
        fit(recipe, rows, **{**settings, **change})


def test_what_is_wrong_is_said(rows: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no row has split 'val'"):
        fit(tiny_recipe(), rows.where(split="train"), out=tmp_path / "a", device="cpu", quiet=True)
    leaky = rows.with_rows([replace(row, patient="same") for row in rows.rows])
    with pytest.raises(ValueError, match="split by patient"):
        fit(tiny_recipe(), leaky, out=tmp_path / "b", device="cpu", quiet=True)
    stage = replace(tiny_recipe().stages[0], keep=best("nonsense"))
    with pytest.raises(ValueError, match="nonsense"):
        fit(replace(tiny_recipe(epochs=1), stages=(stage,)), rows, out=tmp_path / "c", device="cpu", quiet=True)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            fit(tiny_recipe(), rows, out=tmp_path / "d", device="cuda", quiet=True)
    with pytest.raises(DivergedError, match="not finite"):
        fit(tiny_recipe(epochs=3, lr=1e30), rows, out=tmp_path / "e", device="cpu", quiet=True)


def test_weights_may_be_chosen_by_several_figures(rows: Manifest, tmp_path: Path) -> None:
    recipe = tiny_recipe(epochs=3)
    stage = replace(recipe.stages[0], keep=best("dice", "iou"))
    run = fit(replace(recipe, stages=(stage,)), rows, out=tmp_path, device="cpu", quiet=False)
    means = [(entry["val"]["dice"] + entry["val"]["iou"]) / 2 for entry in run.log(stage.name)]
    kept = [entry["best"] for entry in run.log(stage.name)]
    assert kept == [value >= max([-1.0, *means[:i]]) for i, value in enumerate(means)]


class Level(Keep):
    """A figure that is always 0."""

    def of(self, figures: Mapping[str, float]) -> float:
        return 0.0


def test_of_equal_validations_the_last_is_kept(rows: Manifest, tmp_path: Path) -> None:
    """A figure that stays where it is must not keep the network of the first epoch."""
    recipe = tiny_recipe(epochs=3)
    stage = replace(recipe.stages[0], keep=Level("dice"))
    run = fit(replace(recipe, stages=(stage,)), rows, out=tmp_path, device="cpu", quiet=True)
    assert [entry["best"] for entry in run.log("tiny")] == [True, True, True]


class Unknown(Keep):
    """A figure that is never defined."""

    def of(self, figures: Mapping[str, float]) -> float:
        return float("nan")


def test_a_figure_that_is_never_defined_is_told(
    rows: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny_recipe(epochs=2)
    stage = replace(recipe.stages[0], keep=Unknown("dice/fovea"))
    run = fit(replace(recipe, stages=(stage,)), rows, out=tmp_path, device="cpu", quiet=False)
    assert [entry["best"] for entry in run.log("tiny")] == [True, True]
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("val dice/fovea not defined") == 2
    assert "dice/fovea was not defined on any validation, so the last weights are kept" in said


def test_what_is_kept_is_the_average_of_the_weights() -> None:
    """It reaches back over the steps given, forgets the random start, and copies whole numbers."""
    network = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))
    assert averaged(network, over=1.0) is None
    average = averaged(network, over=4.0)
    assert average is not None
    expected = None
    for step in range(60):
        torch.nn.init.constant_(network[0].weight, float(step))
        network[1].num_batches_tracked.fill_(step)
        average.update_parameters(network)
        decay = min(0.75, (1 + step) / (10 + step))
        expected = float(step) if expected is None else decay * expected + (1 - decay) * step
    assert average.module[0].weight.item() == pytest.approx(expected)
    assert 54 < expected < 58
    assert average.module[1].num_batches_tracked.item() == 59


def test_validation_and_the_kept_weights_are_of_the_average(rows: Manifest, tmp_path: Path) -> None:
    """With a far too high rate the network jumps about and its average does not."""
    logs = []
    for share in (0.0, 0.5):
        recipe = tiny_recipe(epochs=8, lr=0.3).with_(average=share)
        run = fit(recipe, rows, out=tmp_path / str(share), device="cpu", quiet=True, cache=tmp_path / "c")
        logs.append(run.log("tiny"))
        counts = evaluate(run, rows.where(split="val"), device="cpu", cache=tmp_path / "c", intervals=False)
        assert counts.labels["blob"].tp.sum() > 0
    plain, smooth = ([entry["val"]["loss"] for entry in log] for log in logs)
    assert [entry["train"] for entry in logs[0]] == [entry["train"] for entry in logs[1]]
    assert np.abs(np.diff(smooth)).max() < np.abs(np.diff(plain)).max()


def test_optimizers_have_their_fused_kernel() -> None:
    """Of an optimizer that has one; what else makes optimizers is called as it is, and its errors stay its own."""
    parameters = list(tiny_recipe().stages[0].network().parameters())
    assert fused(partial(torch.optim.Adam, lr=0.1), parameters).param_groups[0]["fused"] is True
    assert isinstance(fused(lambda p: torch.optim.SGD(p, lr=0.1), parameters), torch.optim.SGD)
    assert isinstance(fused(partial(torch.optim.Rprop, lr=0.1), parameters), torch.optim.Rprop)
    with pytest.raises(ValueError, match="Invalid learning rate"):
        fused(partial(torch.optim.Adam, lr=-1.0), parameters)


def test_a_recipe_says_every_number(rows: Manifest) -> None:
    text = str(tiny_recipe(epochs=7, lr=0.0125))
    for part in ("epochs: 7", "lr=0.0125", "pixels", "TinyNet", "blob_present (no / yes)"):
        assert part in text
    assert CLASSES


def test_recipes_are_checked() -> None:
    stage = tiny_recipe().stages[0]
    with pytest.raises(ValueError, match="used twice"):
        replace(tiny_recipe(), stages=(stage, stage))
    with pytest.raises(ValueError, match="earlier stages write"):
        replace(tiny_recipe(), stages=(replace(stage, reads={"prior": "none/cam"}),))
    with pytest.raises(ValueError, match="accumulate"):
        replace(tiny_recipe(), accumulate=3)
    with pytest.raises(ValueError, match="precision"):
        replace(tiny_recipe(), precision="fp8")
    assert isinstance(tiny_recipe(), Recipe)
