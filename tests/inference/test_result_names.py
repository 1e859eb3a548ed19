"""Files of results: one per image, inside the folder, never over another file, and never read as images later."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate import recipes
from foveate.inference.predict_files import predict_all
from foveate.inference.predictor import Predictor
from foveate.inference.write_results import list_images, write_reading
from tests.inference.test_predictor import bright, photograph


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = bright(tmp_path / "run")
    monkeypatch.setattr(recipes, "load_run", lambda _: made)
    return tmp_path / "run"


def test_inputs_of_one_name_keep_their_results_and_each_names_its_file(run: Path, tmp_path: Path) -> None:
    names = ("visit1/001.png", "visit2/001.png", "visit2/001_2.png", "visit3/É.png", "visit4/é.png")
    for i, name in enumerate(names):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph((80 + i, 96))[0]).save(tmp_path / "in" / name)
    assert predict_all(run, [tmp_path / "in"], out=tmp_path / "out", device="cpu", say=lambda _: None) == 0
    found = {}
    for path in (tmp_path / "out").glob("*.json"):
        data = json.loads(path.read_text())
        found[Path(data["source"]).relative_to(tmp_path / "in").as_posix()] = data["size"][0]
        assert all((path.parent / name).is_file() for name in data["files"]["masks"].values())
    assert found == {name: 80 + i for i, name in enumerate(names)}


def test_results_are_not_read_as_images(run: Path, tmp_path: Path) -> None:
    for name in ("a.png", "a_spot.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(photograph((80, 96))[0]).save(tmp_path / "in" / name)
    before = (tmp_path / "in/a_spot.png").read_bytes()
    said: list[str] = []
    for out in (tmp_path / "in/out", tmp_path / "in", tmp_path / "in"):
        said.clear()
        predict_all(run, [tmp_path / "in"], out=out, device="cpu", say=said.append)
        assert said[-1].startswith("2 of 2 images read")
    assert any("masks and overlays of earlier results passed over" in line for line in said)
    assert (tmp_path / "in/a_spot.png").read_bytes() == before, "an image of the user was overwritten by a mask"


@pytest.mark.parametrize("label", ["IRF/SRF", "x/../../../stolen", "..", "/etc/x", "overlay", "a\\b", "x" * 400])
def test_no_label_writes_outside_the_folder(tmp_path: Path, label: str) -> None:
    reading = Predictor(bright(tmp_path / "run"), device="cpu")(photograph((70, 81))[0], name="eye")
    reading = replace(reading, labels=(label, label.upper() + "2"))
    before = {*tmp_path.rglob("*")}
    path = write_reading(reading, tmp_path / "deep/out")
    files = json.loads(path.read_text())["files"]
    written = {p for p in {*tmp_path.rglob("*")} - before if p.is_file()}
    named = {path, *(path.parent / name for name in (*files["masks"].values(), files["overlay"]))}
    assert written == named
    assert len(named) == 4
    stored = np.asarray(Image.open(path.parent / files["masks"][label]))
    np.testing.assert_array_equal(stored > 0, reading.masks[0])


def test_other_json_files_hide_no_image(tmp_path: Path) -> None:
    Image.fromarray(photograph((70, 81))[0]).save(tmp_path / "a.png")
    for name, text in {"x": '{"files": {"masks": {"s": "a.png"}}}', "y": "no json", "z": '["foveate predict"]'}.items():
        (tmp_path / f"{name}.json").write_text(text)
    assert [p.name for p in list_images([tmp_path])] == ["a.png"]
