"""What a survey measures, against images whose truth is known by construction."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.lines import ABSENT
from foveate.data.manifest import Manifest
from foveate.data.survey import Survey, survey

SIZE = (120, 160)
SCHEMA = LabelSchema((Question("lesion"), Question("side", ("left", "right"))), ("spot", "disc", "never"))


def image(path: Path, *, colour: bool = True, dark: bool = True) -> None:
    """A lit disc on black (or a full frame), orange or grey."""
    lit = np.zeros(SIZE, bool)
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]]
    lit[:] = (rows - 60) ** 2 + (cols - 80) ** 2 < 50**2 if dark else True
    values = np.array((40, 110, 200) if colour else (120, 120, 120))
    cv2.imwrite(str(path), (lit[..., None] * values + rows[..., None] % 7).astype(np.uint8))


def mask(path: Path, spots: int) -> None:
    """Spots of 5 x 5 pixels as bit 0, a disc label of 20 x 20 that overlaps the first as bit 1."""
    packed = np.zeros(SIZE, np.uint8)
    for k in range(spots):
        packed[40:45, 50 + 10 * k : 55 + 10 * k] |= 1
    packed[40:60, 50:70] |= 2
    cv2.imwrite(str(path), packed)


def manifest(folder: Path, n: int = 8, **how: bool) -> Manifest:
    rows = []
    for i in range(n):
        image(folder / f"{i}.png", **how)
        mask(folder / f"{i}_m.png", i % 3)
        sources = {"spot": (MaskSource(f"{i}_m.png", bit=0),), "disc": (MaskSource(f"{i}_m.png", bit=1),)}
        rows.append(
            Row(
                f"i{i}",
                f"{i}.png",
                answers={"lesion": "yes" if i % 3 else "no", **({"side": "left"} if i == 0 else {})},
                masks={**sources, **({"never": ABSENT} if i % 2 else {})},
                patient=f"p{i // 2}",
                laterality="OD" if i % 2 else "OS",
                split="val" if i >= n - 2 else "train",
            )
        )
    return Manifest(SCHEMA, tuple(rows), folder)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return survey(manifest(tmp_path_factory.mktemp("survey")))


def test_images_and_patients(found: Survey) -> None:
    assert found.images == {"train": 6, "val": 2}
    assert found.patients == {"train": 3, "val": 1}
    assert (found.several, found.both_eyes, found.sampled) == (4, 4, 8)
    assert found.size == SIZE
    assert found.longest == (160, 160, 160)


def test_field_and_colour(found: Survey) -> None:
    assert found.field == pytest.approx((99, 99), abs=4)
    assert found.lit == pytest.approx(99 * 99 / (120 * 160), abs=0.03)
    assert (found.grey, found.white, found.modality, found.guessed) == (0.0, 0.0, "fundus", True)


def test_labels(found: Survey) -> None:
    spot = found.labels["spot"]
    assert spot.with_it == {"train": 4, "val": 1}
    assert spot.without_it == {"train": 2, "val": 1}
    diameter = 2 * np.sqrt(25 / np.pi)
    assert spot.diameter == pytest.approx((diameter, diameter), abs=0.06)
    assert spot.share is not None
    assert spot.share[0] == pytest.approx(diameter / max(found.field), rel=0.02)
    assert spot.lesions == 1 + 2 + 1 + 2 + 1
    assert spot.overlaps == {"disc": 5}
    never = found.labels["never"]
    assert never.with_it == {"train": 0, "val": 0}
    assert never.without_it == {"train": 3, "val": 1}
    assert never.unknown == {"train": 3, "val": 1}
    assert never.diameter is None


def test_questions(found: Survey) -> None:
    assert found.questions["lesion"]["train"] == {"no": 2, "yes": 4}
    assert found.questions["side"]["train"] == {"left": 1, "unknown": 5}
    assert list(found.sided) == ["side"]


def test_plain_data_and_back(found: Survey) -> None:
    assert Survey.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_label_that_the_sample_lacks_is_sought_in_the_rest(tmp_path: Path) -> None:
    rows = manifest(tmp_path, n=9)
    packed = np.zeros(SIZE, np.uint8)
    cv2.imwrite(str(tmp_path / "none.png"), packed)
    empty = MaskSource("none.png", bit=0)
    bare = [replace(row, masks={"spot": (empty if i else MaskSource("1_m.png", bit=0),)}) for i, row in enumerate(rows)]
    one = survey(rows.with_rows(bare), sample=3, seed=1)
    assert one.sampled == 3
    assert one.labels["spot"].with_it["train"] == 1  # of 7 training images one has it, and two are in the sample


def test_grey_images_with_layers_are_scans_and_flat_ones_are_not(tmp_path: Path) -> None:
    assert survey(manifest(tmp_path, colour=False, dark=False)).modality == "oct"
    for i in range(8):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.random.default_rng(i).integers(0, 255, SIZE).astype(np.uint8))
    assert survey(manifest_again(tmp_path)).modality == "enface"


def manifest_again(folder: Path) -> Manifest:
    rows = tuple(Row(f"i{i}", f"{i}.png", split="train", answers={"lesion": "no"}) for i in range(8))
    return Manifest(SCHEMA, rows, folder)


def test_without_splits(tmp_path: Path) -> None:
    rows = manifest(tmp_path, n=4)
    with pytest.raises(ValueError, match=r"no row has split 'train'.*foveate split"):
        survey(rows.with_rows(replace(row, split=None) for row in rows))
