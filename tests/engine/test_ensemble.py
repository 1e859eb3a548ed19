"""Folds as one reader: trained and resumed, averaged as by hand, and no image read by who has learnt from it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_toys import tiny_recipe, toy_manifest
from torch import nn

from foveate.core.decisions import Decisions
from foveate.core.files import write_json
from foveate.core.reading import image_probabilities
from foveate.data.loader import Dataset, batches
from foveate.data.manifest import Manifest
from foveate.engine import calibrate as calibration
from foveate.engine.calibrate import calibrate, choices_of, fitted, heated, tempered
from foveate.engine.checkpoint import save_weights
from foveate.engine.ensemble import Ensemble, open_ensemble, write_ensemble
from foveate.engine.evaluate import count_rows, evaluate
from foveate.engine.fit import fit
from foveate.engine.folds import fit_folds, fold_parts, folded
from foveate.engine.run import Run
from foveate.metrics.counts import Counts


def with_folds(rows: Manifest, folds: int = 3) -> Manifest:
    """Two images a patient, patients in turn; no split."""
    return rows.with_rows(replace(row, fold=i // 2 % folds, split=None) for i, row in enumerate(rows))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return with_folds(toy_manifest(tmp_path_factory.mktemp("toys")))


def loud(network: nn.Module) -> nn.Module:
    """Weights so large that every image has pixels on both sides of the threshold."""
    nn.init.normal_(network.pixel.weight, std=3.0)  # type: ignore[union-attr, arg-type]
    nn.init.normal_(network.image.weight, std=2.0)  # type: ignore[union-attr, arg-type]
    return network


@pytest.fixture
def ensemble(rows: Manifest, tmp_path: Path) -> Ensemble:
    """Three members of random weights, as if trained on the folds."""
    recipe, runs = tiny_recipe(), []
    for number, (name, part) in enumerate(fold_parts(rows).items()):
        run = Run(tmp_path / "run" / name, recipe)
        torch.manual_seed(number)
        save_weights(run.stage_folder("tiny") / "weights.safetensors", loud(recipe.stage("tiny").network()))
        write_json(run.folder / "splits.json", {row.id: row.split for row in part})
        runs.append(run)
    return write_ensemble(tmp_path / "run", runs, rows)


@pytest.fixture
def count(rows: Manifest, tmp_path: Path) -> Callable[..., Counts]:
    def counted(run: Run, some: Manifest) -> Counts:
        return count_rows(run, some, decisions=run.decisions, device="cpu", cache=tmp_path / "cache")

    return counted


def test_folds_are_trained_kept_and_resumed(rows: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    settings = {"device": "cpu", "quiet": True, "cache": tmp_path / "cache", "say": said.append}
    recipe = tiny_recipe(epochs=1).with_(calibrated="half", postprocess=True)
    made = fit_folds(recipe, rows, out=tmp_path / "run", **settings)  # type: ignore[arg-type]
    assert said == ["folds: the 3 of the manifest", *(f"fold{k}: 8 images train, 8 validate, 8 test" for k in range(3))]
    assert [run.folder.name for run in made.members] == ["fold0", "fold1", "fold2"]
    for k, run in enumerate(made.members):
        assert run.splits == {row.id: row.split for row in rows.fold(k)}
        assert (run.folder / "calibration.json").is_file()
    assert (made.folder / "calibration.json").is_file()
    assert json.loads((made.folder / "ensemble.json").read_text())["format"] == 1

    with pytest.raises(ValueError, match=r"holds fold0, fold1, fold2 already; resume"):
        fit_folds(recipe, rows, out=tmp_path / "run", **settings)  # type: ignore[arg-type]
    weights = [(run.folder / "tiny/weights.safetensors").stat().st_mtime_ns for run in made.members]
    (made.folder / "ensemble.json").unlink()
    for part in (made.folder / "fold2").rglob("*.json*"):
        part.unlink()  # as if it had not begun
    again = fit_folds(recipe, rows, out=tmp_path / "run", resume=True, **settings)  # type: ignore[arg-type]
    assert [(run.folder / "tiny/weights.safetensors").stat().st_mtime_ns for run in again.members][:2] == weights[:2]
    assert (again.folder / "fold2/tiny/done.json").is_file()
    with pytest.raises(ValueError, match="holds an ensemble"):
        fit(recipe, rows.fold(0), out=tmp_path / "run", device="cpu", quiet=True)

    def stop(*_: object, **__: object) -> None:
        raise AssertionError("calibrated again")

    monkeypatch.setattr("foveate.engine.folds.calibrate", stop)
    fit_folds(recipe, rows, out=tmp_path / "run", resume=True, **settings)  # type: ignore[arg-type]


def test_a_manifest_without_folds_is_split_by_patient_and_its_test_split_kept_out(rows: Manifest) -> None:
    bare = rows.with_rows(replace(row, fold=None, split="test" if i >= 20 else "train") for i, row in enumerate(rows))
    made, words = folded(bare, 4)
    assert words == (
        "folds: the manifest has none; 20 images split into 4 by patient, stratified (seed 0); "
        "4 images of the test split kept out of them"
    )
    assert [row.fold for row in made][20:] == [None] * 4
    homes: dict[str, set[int | None]] = {}
    for row in list(made)[:20]:
        homes.setdefault(row.group, set()).add(row.fold)
    assert all(len(folds) == 1 for folds in homes.values())
    assert {fold for folds in homes.values() for fold in folds} == {0, 1, 2, 3}
    assert folded(bare)[0].rows == folded(bare, 5)[0].rows
    assert made.path == bare.path
    with pytest.raises(ValueError, match="folds=4: the manifest has 3 folds"):
        folded(rows, 4)
    assert folded(rows, 3)[0] is rows


def test_members_are_averaged_each_with_its_temperature(ensemble: Ensemble, rows: Manifest) -> None:
    heats = [0.5, 1.0, 3.0]
    for run, heat in zip(ensemble.members, heats, strict=True):
        write_json(run.folder / "calibration.json", Decisions(temperatures={"blob_present": heat}).to_json())
    recipe = ensemble.recipe
    data = Dataset(rows.rows[:4], rows.root, recipe.schema, recipe.prepare)
    batch = next(iter(batches(data, batch=4, shuffle=False)))
    found = ensemble.pipeline()(batch)
    each = [run.network("tiny")(batch.image) for run in ensemble.members]
    assert found.pixel is not None
    pixel = sum(out.pixel.sigmoid() for out in each) / 3
    torch.testing.assert_close(found.pixel.sigmoid(), pixel.detach(), atol=1e-5, rtol=1e-4)
    yes = sum((out.image[:, 0] / heat).sigmoid() for out, heat in zip(each, heats, strict=True)) / 3
    np.testing.assert_allclose(
        image_probabilities(found, recipe.schema)["blob_present"][:, 1], yes.detach().numpy(), atol=1e-5
    )
    assert len(list(ensemble.pipeline().passes(batch))) == 3
    assert ensemble.decisions.temperatures == {}


def test_each_image_is_read_by_the_member_that_has_not_seen_it(
    ensemble: Ensemble, rows: Manifest, count: Callable[..., Counts], tmp_path: Path
) -> None:
    """The out-of-fold reading is that of the folds' own runs, pooled."""
    counts = evaluate(ensemble, rows, device="cpu", intervals=False, cache=tmp_path / "cache")
    parts = fold_parts(rows).values()
    own = [count(run, part.where(split="test")) for run, part in zip(ensemble.members, parts, strict=True)]
    assert counts == Counts.join(own).take([row.id for row in rows])
    assert list(counts.images) == [row.id for row in rows]
    about = json.loads((ensemble.folder / "metrics.json").read_text())["about"]
    assert about["read by"] == [{"members": [f"fold{k}"], "images": 8} for k in range(3)]
    assert about["seen in training"] == 0
    assert len(about["decisions"]) == 3


def test_another_image_of_a_patient_counts_as_seen(ensemble: Ensemble, rows: Manifest) -> None:
    known, stranger = rows.rows[0], replace(rows.rows[0], id="new", patient="nobody", fold=None)
    sibling = replace(rows.rows[0], id="another", fold=None)
    assert known.fold == 0
    assert ensemble.free_of(known) == ensemble.free_of(sibling) == (0,)
    assert ensemble.free_of(stranger) == (0, 1, 2)
    assert (ensemble.saw(sibling), ensemble.saw(stranger)) == (True, False)
    parts = ensemble.held_out(rows.with_rows([stranger, sibling]))
    assert [(len(part.members), [row.id for row in some]) for part, some in parts] == [
        (1, ["another"]),
        (3, ["new"]),
    ]
    assert parts[0][0] is ensemble.members[0]
    assert parts[1][0] is ensemble


def test_an_image_that_all_have_seen_is_refused_unless_asked_for(
    ensemble: Ensemble, rows: Manifest, count: Callable[..., Counts], tmp_path: Path
) -> None:
    two = write_ensemble(ensemble.folder, ensemble.members[1:], rows)  # nobody is left to test fold 0
    image = rows.rows[0]
    with pytest.raises(ValueError, match=rf"image '{image.id}': every member .*'{image.group}'; leave it out.*--seen"):
        evaluate(two, rows, device="cpu", intervals=False, cache=tmp_path / "cache")
    counts = evaluate(two, rows, device="cpu", intervals=False, cache=tmp_path / "cache", seen=True)
    assert counts == count(two, rows)
    about = json.loads((two.folder / "metrics.json").read_text())["about"]
    assert about["read by"] == [{"members": ["fold1", "fold2"], "images": len(rows)}]
    assert about["seen in training"] == len(rows)


def test_it_is_opened_as_it_was_written(ensemble: Ensemble, rows: Manifest) -> None:
    opened = open_ensemble(ensemble.folder, lambda folder: Run(folder, tiny_recipe()))
    assert [run.folder for run in opened.members] == [run.folder for run in ensemble.members]
    assert opened.groups == {row.id: row.group for row in rows}
    assert opened.splits["i0"] == "test of fold0"
    path = ensemble.folder / "ensemble.json"
    about = json.loads(path.read_text())
    for wrong, words in (
        ({"format": 2}, "format 2; this version reads 1"),
        ({"members": ["../elsewhere"]}, "give names of folders beside this file"),
        ({"members": []}, "names no members"),
    ):
        path.write_text(json.dumps({**about, **wrong}))
        with pytest.raises(ValueError, match=words):
            open_ensemble(ensemble.folder, lambda folder: Run(folder, tiny_recipe()))
    with pytest.raises(ValueError, match="one network per member"):
        ensemble.network("tiny")
    other = Run(ensemble.folder / "fold1", tiny_recipe().with_(prepare=replace(tiny_recipe().prepare, size=48)))
    with pytest.raises(ValueError, match="another schema or preparation"):
        replace(ensemble, runs=(ensemble.runs[0], other))


def test_calibration_pools_the_folds_and_keeps_each_members_own(
    ensemble: Ensemble, rows: Manifest, count: Callable[..., Counts], tmp_path: Path
) -> None:
    """No image decides about itself: a fold's test images follow what its member's validation images chose."""
    found = calibrate(ensemble, rows, device="cpu", cache=tmp_path / "cache")
    assert found == ensemble.decisions
    assert found.temperatures == {}
    pooled = []
    for k, run in enumerate(ensemble.members):
        val = rows.fold(k).where(split="val")
        counts = count_rows(run, val, decisions=Decisions(), device="cpu", cache=tmp_path / "cache")
        own = fitted(counts)
        assert (run.decisions.temperatures, run.decisions.thresholds) == (own.temperatures, own.thresholds)
        assert [c.why.split(";")[0] for c in choices_of(run)] == [
            "4 of 8 validation images bear it, 5 are needed to choose"
        ]
        pooled.append(heated(counts, own.temperatures))
    assert found.thresholds == fitted(Counts.join(pooled), heat=False).thresholds
    (choice,) = choices_of(ensemble)
    assert (choice.images, choice.bearing) == (24, 12)
    assert (choice.cut, choice.speck) == (found.cuts.get("blob"), found.specks.get("blob", 0))
    part, _ = ensemble.held_out(rows.fold(1).where(split="test"))[0]
    assert part.decisions == ensemble.members[1].decisions
    some = replace(ensemble, runs=ensemble.runs[:2], whole=False)
    assert some.decisions.thresholds["blob_present"] == pytest.approx(
        np.mean([run.decisions.thresholds["blob_present"] for run in ensemble.members[:2]])
    )


def test_heated_counts_are_those_of_tempered_answers(
    ensemble: Ensemble, rows: Manifest, count: Callable[..., Counts]
) -> None:
    counts = count(ensemble.members[0], rows)
    found = heated(counts, {"blob_present": 2.5})
    before, after = counts.questions["blob_present"], found.questions["blob_present"]
    np.testing.assert_allclose(after.probability, tempered(before.probability, 2.5))
    assert (after.truth == before.truth).all()
    assert heated(counts, {}).questions["blob_present"].probability == pytest.approx(before.probability)


def test_chosen_masks_are_those_of_the_reading(rows: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Dice that a choice names is the one that counting with it gives, and it is no lower than before."""
    recipe = tiny_recipe(epochs=4)
    run = fit(recipe, rows.fold(0), out=tmp_path / "run", device="cpu", quiet=True, cache=tmp_path / "cache")
    monkeypatch.setattr("foveate.engine.mask_choice.LEAST", 2)
    found = calibration.calibrate(run, rows, threshold=None, device="cpu", cache=tmp_path / "cache")
    (choice,) = choices_of(run)
    val = rows.fold(0).where(split="val")

    def dice(decisions: Decisions) -> float:
        part = count_rows(run, val, decisions=decisions, device="cpu", cache=tmp_path / "cache").labels["blob"]
        total = 2 * part.tp + part.fp + part.fn
        return float(np.where(total > 0, 2 * part.tp / np.maximum(total, 1), 1.0).mean())

    assert choice.before == pytest.approx(dice(replace(found, cuts={}, specks={})))
    assert choice.after == pytest.approx(dice(found))
    assert choice.after > choice.before
    assert found.cuts or found.specks
    plain = calibration.calibrate(run, rows, masks=False, device="cpu", cache=tmp_path / "cache")
    assert (plain.cuts, plain.specks) == ({}, {})
    assert choices_of(run) == []
