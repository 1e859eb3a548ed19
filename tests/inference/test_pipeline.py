"""Steps in order: conditions, stops, bands, unlike images, and the faults that a check names."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_predictor import bright, photograph

from foveate.core.types import Row
from foveate.data.manifest import Manifest
from foveate.inference.pipeline import check as checking
from foveate.inference.pipeline import steps as working
from foveate.inference.pipeline.check import check_pipeline
from foveate.inference.pipeline.novelty import Novelty, features_of, fit_novelty
from foveate.inference.pipeline.spec import is_pipeline, meets, read_spec
from foveate.inference.pipeline.steps import About, Pipeline
from foveate.inference.predictor import Predictor


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two models and one image; the models open without their recipes' names."""
    runs = {name: bright(tmp_path / name) for name in ("first", "second")}

    def load(folder: Path, *, device: str = "auto") -> Predictor:
        return Predictor(runs[Path(folder).name], device="cpu")

    def load_run(folder: Path) -> object:
        if Path(folder).name not in runs:
            raise ValueError(f"{Path(folder).name}: there is no run")
        return runs[Path(folder).name]

    monkeypatch.setattr(working.Predictor, "load", load)
    monkeypatch.setattr(checking, "load_run", load_run)
    Image.fromarray(photograph((60, 90))[0]).save(tmp_path / "eye.png")
    return tmp_path


def pipeline(folder: Path, text: str) -> Path:
    path = folder / "pipeline.toml"
    path.write_text(f'name = "test"\ndefault_modality = "fundus"\n{text}')
    return path


def step(name: str, model: str, more: str = "") -> str:
    return f'[[step]]\nname = "{name}"\nmodel = "{model}"\n{more}\n'


def test_every_step_reads_an_image_and_names_its_operating_point(clinic: Path) -> None:
    path = pipeline(clinic, step("a", "first", "thresholds = { spot_present = 0.9 }") + step("b", "second"))
    found = Pipeline.load(path)(clinic / "eye.png")
    assert [one.skipped for one in found.steps] == [None, None]
    assert found.steps[0].points == {"spot_present": (0.9, "pipeline.toml")}
    assert found.steps[1].points == {"spot_present": (0.5, "default, not calibrated")}
    alone = Predictor(bright(clinic / "third"), device="cpu")(clinic / "eye.png")
    assert np.array_equal(found.steps[1].results[0].masks, alone.masks)
    assert found.about.modality == "fundus"


def test_an_image_that_is_stopped_goes_no_further(clinic: Path) -> None:
    plain = Pipeline.load(pipeline(clinic, step("a", "first")))(clinic / "eye.png")
    answer = plain.steps[0].answers["size"][0]
    text = step("quality", "first", f'stop = {{ size = ["{answer}"] }}') + step("b", "second")
    found = Pipeline.load(pipeline(clinic, text))(clinic / "eye.png")
    assert found.stopped == f"size is {answer} (step quality)"
    assert found.steps[1].skipped == found.stopped
    assert not found.steps[1].results


def test_a_step_reads_by_modality_side_and_earlier_answer(clinic: Path) -> None:
    text = step("a", "first", 'modality = "oct"') + step("b", "second", 'laterality = "OS"')
    found = Pipeline.load(pipeline(clinic, text))(clinic / "eye.png")
    assert found.steps[0].skipped == "modality is fundus; the step reads oct"
    assert found.steps[1].skipped == "laterality is unknown; the step reads OS"
    seen = Pipeline.load(pipeline(clinic, text))(clinic / "eye.png", about=About(modality="oct", laterality="OS"))
    assert [one.skipped for one in seen.steps] == [None, None]
    later = step("a", "first") + step("b", "second", 'when = { size = "none" }')
    other = Pipeline.load(pipeline(clinic, later))(clinic / "eye.png")
    answer = other.steps[0].answers["size"][0]
    assert (other.steps[1].skipped is None) == (answer == "none")
    assert meets({}, {"size": ("none",)}) == "size has no answer"


def test_an_answer_in_the_band_is_withheld_and_counts_for_no_later_step(clinic: Path) -> None:
    plain = Pipeline.load(pipeline(clinic, step("a", "first")))(clinic / "eye.png")
    answer, probability = plain.steps[0].answers["spot_present"]
    yes = 1 - probability if answer == "no" else probability
    low, high = max(yes - 0.01, 0), min(yes + 0.01, 1)
    text = step("a", "first", f"withhold = {{ spot_present = [{low}, {high}] }}")
    text += step("b", "second", 'when = { spot_present = ["yes", "no"] }')
    found = Pipeline.load(pipeline(clinic, text))(clinic / "eye.png")
    assert "in the band" in found.steps[0].withheld["spot_present"]
    assert found.steps[1].skipped == "spot_present has no answer"
    away = step("a", "first", "withhold = { spot_present = [0.0, 0.001] }")
    assert bool(Pipeline.load(pipeline(clinic, away))(clinic / "eye.png").steps[0].withheld) == (yes <= 0.001)


def test_an_unlike_image_has_all_answers_withheld(clinic: Path) -> None:
    path = pipeline(clinic, step("a", "first", "unlike = 0.1"))
    predictor = Predictor(bright(clinic / "x"), device="cpu")
    sample = predictor.recipe.prepare.image_only(
        predictor.recipe.prepare.file(clinic / "eye.png"), schema=predictor.recipe.schema, id="eye"
    )
    features = features_of(predictor, sample)
    sha = working.Algorithm.of(clinic / "first").sha256
    near = Novelty(features, np.eye(len(features)), np.linspace(0.1, 1, 20), sha)
    near.save(clinic / "a.features.npz")
    assert not Pipeline.load(path)(clinic / "eye.png").steps[0].withheld
    Novelty(features + 5, np.eye(len(features)), np.linspace(0.1, 1, 20), sha).save(clinic / "a.features.npz")
    found = Pipeline.load(path)(clinic / "eye.png").steps[0]
    assert set(found.withheld) == {"spot_present", "size"}
    assert found.unlike is not None
    assert found.unlike > 1
    Novelty(features, np.eye(len(features)), np.ones(20), "other").save(clinic / "a.features.npz")
    with pytest.raises(ValueError, match="made for another model"):
        Pipeline.load(path)


def test_the_threshold_keeps_the_stated_rate_on_validation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, splits = [], {}
    for i in range(60):
        image = rng.integers(60, 190, (40, 40, 3)).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f"{i}.png")
        rows.append(Row(f"{i}", f"{i}.png"))
        splits[f"{i}"] = "train" if i < 40 else "val"
    run = bright(tmp_path / "run")
    run.__dict__["splits"] = splits
    predictor = Predictor(run, device="cpu")
    found = fit_novelty(predictor, Manifest(predictor.recipe.schema, tuple(rows), root=tmp_path), sha256="x")
    assert len(found.distances) == 20
    for rate, most in ((0.05, 1), (0.1, 2), (0.25, 5)):
        assert (found.distances > found.threshold(rate)).sum() <= most
    few = Manifest(predictor.recipe.schema, tuple(rows[:45]), root=tmp_path)
    with pytest.raises(ValueError, match="5 images of the split val"):
        fit_novelty(predictor, few, sha256="x")


def test_a_check_names_each_fault(clinic: Path) -> None:
    good = step("a", "first", 'stop = { size = "none" }') + step("b", "second", 'when = { size = "large" }')
    assert check_pipeline(pipeline(clinic, good)) == []
    shutil.rmtree(clinic / "second")
    text = 'modalities = ["fundus", "oct"]\n' + step("a", "first", 'modality = "fundus"\nthresholds = { size = 0.4 }')
    text += step("b", "nowhere", 'modality = "fundus"\nwhen = { grade = "yes", size = "huge" }')
    faults = "\n".join(check_pipeline(pipeline(clinic, text)))
    assert "step b: model: nowhere: there is no run" in faults
    assert "step b: when: 'grade': no earlier step answers it" in faults
    assert "size: the answer must be one of ['none', 'small', 'large'], got 'huge'" in faults
    assert "nobody reads 'oct'" in faults
    assert "thresholds: 'size' must be one of ['spot_present']" in faults


def test_a_malformed_file_is_named_with_its_entry(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such file"):
        read_spec(tmp_path)
    for text, words in (
        (step("a", "first", "withhold = { q = [0.6, 0.4] }"), "lower one first"),
        (step("a", "first") + step("a", "first"), "is there twice"),
        (step("a/b", "first"), "use letters"),
        (step("a", "first", "threshold = 3"), "threshold"),
        ("[[step", "not TOML"),
    ):
        with pytest.raises(ValueError, match=words):
            read_spec(pipeline(tmp_path, text))
    assert is_pipeline(tmp_path)
    assert not is_pipeline(tmp_path / "run")


def test_torch_is_in_evaluation(clinic: Path) -> None:
    """The same file gives the same probabilities twice."""
    found = Pipeline.load(pipeline(clinic, step("a", "first")))
    first, second = found(clinic / "eye.png"), found(clinic / "eye.png")
    assert torch.equal(
        torch.tensor(first.steps[0].results[0].probability), torch.tensor(second.steps[0].results[0].probability)
    )
    assert first.sha256 == second.sha256
