"""Predictions of another program: each way to give them, and what is refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.manifest import Manifest
from foveate.data.read import Unreadable
from foveate.engine.import_predictions import import_predictions
from foveate.engine.prediction_files import probabilities
from foveate.engine.predictions import RECORD, read_predictions

SCHEMA = LabelSchema((Question("dr"), Question("grade", ("0", "1", "2"), ordered=True)), ("exudate", "drusen"))


def put(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def square(low: int, high: int) -> np.ndarray:
    mask = np.zeros((16, 20), np.uint8)
    mask[low:high, low:high] = 255
    return mask


@pytest.fixture
def rows(tmp_path: Path) -> Manifest:
    """Three images; the truth of each has an exudate in the square from 4 to 8."""
    found = []
    for name in ("a", "b", "c"):
        put(tmp_path / f"{name}.png", np.zeros((16, 20, 3)))
        put(tmp_path / "truth" / f"{name}.png", square(4, 8))
        masks = {"exudate": (MaskSource(f"truth/{name}.png", above=127),), "drusen": (MaskSource(None),)}
        found.append(Row(name, f"{name}.png", {"dr": "yes", "grade": "1"}, masks, patient=name))
    return Manifest(SCHEMA, tuple(found), tmp_path)


def test_masks_in_a_folder_per_label_are_counted(rows: Manifest, tmp_path: Path) -> None:
    lines: list[str] = []
    put(tmp_path / "p" / "exudate" / "a.png", square(4, 10))
    put(tmp_path / "p" / "exudate" / "b.png", square(0, 0))
    put(tmp_path / "p" / "exudate" / "z.png", square(0, 0))
    counts = import_predictions(tmp_path / "p", rows, out=tmp_path / "run", warn=lines.append)
    one = counts.labels["exudate"]
    assert [one.tp.tolist(), one.fp.tolist(), one.fn.tolist()] == [[16, 0], [20, 0], [0, 16]]
    assert not len(counts.labels["drusen"].image)  # no file: not predicted, so not a miss
    assert lines == ["1 images have no prediction: c", "1 predictions are of images not asked for: z"]
    assert read_predictions(tmp_path / "run") == counts
    assert (tmp_path / "run" / "lesions.csv").read_text().count("\n") == 1 + 3


def test_nnunet_output_is_read_by_the_values_of_its_record(rows: Manifest, tmp_path: Path) -> None:
    place = tmp_path / "nnunet"
    for name in "abc":
        put(place / f"{name}.png", square(4, 8) // 255 * 2 + square(10, 12) // 255)
    (place / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "drusen": 1, "exudate": [2, 3]}}))
    counts = import_predictions(place, rows, out=tmp_path / "run")
    assert counts.labels["exudate"].tp.tolist() == [16] * 3
    assert counts.labels["drusen"].fp.tolist() == [4] * 3


def test_probabilities_are_scores_of_the_same_images(rows: Manifest, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    text = "id,dr,grade/0,grade/1,grade/2\na,0.9,0.1,0.7,0.2\nb,0.2,,,\n"
    (tmp_path / "p" / "probabilities.csv").write_text(text)
    counts = import_predictions(tmp_path / "p", rows, out=tmp_path / "run")
    assert counts.questions["dr"].probability[:, 1].tolist() == [0.9, 0.2]
    assert counts.questions["dr"].given.tolist() == [1, 0]
    assert counts.questions["grade"].probability.tolist() == [pytest.approx([0.1, 0.7, 0.2])]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("id,dr\na,1.2\n", r"image 'a', question 'dr': probabilities must be in \[0, 1\], got \[1.2\]"),
        ("id,dr\na,nan\n", r"must be in \[0, 1\]"),
        ("id,dr\na,often\n", "must be numbers"),
        ("id,grade/0,grade/1,grade/2\na,0.5,0.5,0.5\n", "must add up to 1, got 1.5"),
        ("id,dr\na,0.5\na,0.6\n", "image 'a' is there twice"),
        ("id,dme\na,0.5\n", r"must be id and all of a question's columns among \['dr', 'grade/0'"),
        ("id,grade/0\na,0.5\n", "must be id and all"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ValueError, match=fault):
        probabilities(tmp_path / "p.csv", SCHEMA)


def test_a_mask_of_another_size_and_a_folder_without_predictions_are_refused(rows: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no prediction of these 3 images"):
        import_predictions(tmp_path / "none", rows, out=tmp_path / "run")
    put(tmp_path / "p" / "exudate" / "a.png", np.zeros((8, 8)))
    with pytest.raises(Unreadable, match=r"the mask is \(8, 8\)"):
        import_predictions(tmp_path / "p", rows, out=tmp_path / "run")
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "dataset.json").write_text(json.dumps({"labels": {"vessel": 1}}))
    with pytest.raises(ValueError, match="must name some of"):
        import_predictions(tmp_path / "q", rows, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_newer_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text(json.dumps({"version": 99, "schema": SCHEMA.to_json()}))
    with pytest.raises(ValueError, match="version 99 must be at most 1"):
        read_predictions(tmp_path)
