"""Squares about a label: the pixels are the original's, places move with them, nothing is lost without a word."""

import math
from pathlib import Path

import numpy as np
import pytest
from exchange_cases import IGNORE, SHAPE, build, mask
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from foveate import load_recipe
from foveate.cli.main import app
from foveate.core.labels import Question
from foveate.core.regions import disc_of
from foveate.core.types import Cue
from foveate.data import read, synthetic
from foveate.data.check import check
from foveate.data.crop import crop, square
from foveate.data.manifest import Manifest
from foveate.data.split import split
from foveate.engine.fit import fit


def discs(tmp_path: Path, **columns: object) -> Manifest:
    """a: a disc with a lesion at it; b: a disc at the border, the lesion known to be nowhere; c: no disc."""
    lesion = mask(9, 12, 2, 2)
    lesion[0] = IGNORE
    lesion[10, 22] = 1
    return build(
        tmp_path / "in",
        {
            "a": {"disc": mask(8, 10, 6, 6), "lesion": lesion},
            "b b": {"disc": mask(0, 25, 6, 6), "lesion": None},
            "c": {"disc": None},
        },
        labels=("disc", "lesion"),
        colour=True,
        questions=(Question("ill", evidence=("lesion",)),),
        answers={"a": {"ill": "yes"}, "b b": {"ill": "no"}},
        **columns,  # type: ignore[arg-type]
    )


def seen(manifest: Manifest, id: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row = next(row for row in manifest if row.id == id)
    image = read.image(manifest.root / row.image)
    return (image, *read.masks(row, manifest.root, manifest.schema, shape=image.shape[:2]))


def test_squares_hold_the_original_pixels(tmp_path: Path) -> None:
    rows = discs(tmp_path, patient={"a": "P1"}, fold={"a": 3}, spacing={"a": (0.01, 0.02)})
    cut = crop(rows, tmp_path / "out", around="disc", reach=2.0)
    assert [row.id for row in cut.manifest] == ["a", "b b"]
    assert cut.lost == ("c",)
    assert cut.manifest.path == tmp_path / "out/manifest.jsonl"
    for id, (top, left, height, width) in cut.boxes.items():
        inside = np.s_[top : top + height, left : left + width]
        for whole, part in zip(seen(rows, id), seen(cut.manifest, id), strict=True):
            axes = (whole.ndim == 3 and whole.shape[-1] != 3) * (slice(None),)
            np.testing.assert_array_equal(part, whole[axes + inside])
    a, b = cut.manifest
    assert (a.patient, a.fold, a.spacing, a.answers) == ("P1", 3, (0.01, 0.02), {"ill": "yes"})
    assert b.masks["lesion"][0].path is None
    assert cut.beyond == {"disc": 0, "lesion": 1}
    assert "1 images have some of 'lesion' outside their square" in cut.notes
    assert any("1 images are left out" in note and "(c)" in note for note in cut.notes)
    assert cut.manifest.info["cut"] == {"around": "disc", "reach": 2.0}
    assert check(cut.manifest, workers=0).ok


def test_places_move_with_the_pixels(tmp_path: Path) -> None:
    cues = (
        Cue(box=(9.0, 11.0, 12.0, 15.0)),
        Cue(ellipse=(10.0, 12.0, 2.0, 3.0, 0.1)),
        Cue(polygon=((9.0, 9.0), (9.0, 12.0), (12.0, 9.0))),
        Cue(regions=("macula",)),
    )
    rows = discs(tmp_path, disc={"a": (10.5, 12.5)}, fovea={"a": (10.5, 30.0)}, cues={"a": {"lesion": cues}})
    cut = crop(rows, tmp_path / "out", around="disc", reach=2.0)
    top, left, height, width = cut.boxes["a"]
    row = cut.manifest[0]
    assert row.disc == (10.5 - top, 12.5 - left) == ((height - 1) / 2, (width - 1) / 2)
    assert row.fovea == (10.5 - top, 30.0 - left)
    box, ellipse, polygon, regions = row.cues["lesion"]
    assert box.box == (9.0 - top, 11.0 - left, 12.0 - top, 15.0 - left)
    assert ellipse.ellipse == (10.0 - top, 12.0 - left, 2.0, 3.0, 0.1)
    assert polygon.polygon == ((9.0 - top, 9.0 - left), (9.0 - top, 12.0 - left), (12.0 - top, 9.0 - left))
    assert regions == cues[3]


@given(st.integers(0, 20), st.integers(0, 27), st.integers(1, 30), st.integers(1, 30), st.floats(0.1, 9))
def test_the_square_lies_about_the_label(top: int, left: int, tall: int, wide: int, reach: float) -> None:
    marked = mask(top, left, tall, wide) > 0
    box = square(marked, reach=reach)
    assert box is not None
    row, col, height, width = box
    found = disc_of(marked)
    assert found is not None
    (centre_row, centre_col), diameter = found
    assert height == width == max(1, min(round(reach * diameter), *SHAPE))
    assert 0 <= row <= SHAPE[0] - height
    assert 0 <= col <= SHAPE[1] - width
    for start, centre, length in ((row, centre_row, SHAPE[0]), (col, centre_col, SHAPE[1])):
        if 0 < start < length - height:  # not pushed by the border
            assert math.isclose(start + (height - 1) / 2, centre, abs_tol=0.51)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    rows = discs(tmp_path)
    with pytest.raises(ValueError, match=r"around must be one of the labels \['disc', 'lesion'\], got 'cup'"):
        crop(rows, tmp_path / "out", around="cup")
    with pytest.raises(ValueError, match=r"reach=0: give the side of the square in diameters of 'disc'"):
        crop(rows, tmp_path / "out", around="disc", reach=0)
    none = rows.with_rows([row for row in rows if row.id == "c"])
    with pytest.raises(ValueError, match="around='disc': it is known to be in none of the 1 images"):
        crop(none, tmp_path / "out", around="disc")
    assert not (tmp_path / "out").exists()
    crop(rows, tmp_path / "out", around="disc")
    with pytest.raises(ValueError, match="is there already"):
        crop(rows, tmp_path / "out", around="disc")


def test_a_run_finds_what_the_manifest_does_not_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the command line: a network that marks the disc places the squares of images without a mask of it."""
    monkeypatch.setenv("FOVEATE_CACHE", str(tmp_path / "cache"))
    drawn = synthetic.write("fundus", tmp_path / "drawn", n=12, size=64)
    rows = Manifest(synthetic.SCHEMAS["fundus"], tuple(drawn), tmp_path / "drawn")
    rows = split(rows.select(labels=["disc"]), ratios=(0.5, 0.25, 0.25), seed=0)
    small = {"encoder": "resnet10t", "size": 64, "width": 8, "batch": 3, "epochs": 12, "lr": 5e-3, "classify": 0}
    run = fit(load_recipe("image_quality", rows.schema, **small), rows, out=tmp_path / "run", quiet=True, device="cpu")
    bare = rows.with_rows([row.__class__(row.id, row.image) for row in rows]).write(tmp_path / "bare.jsonl")
    words = ["crop", str(tmp_path / "bare.jsonl"), "--around", "disc", "-o", str(tmp_path / "cut"), "-q"]
    assert CliRunner().invoke(app, words).exit_code != 0
    done = CliRunner().invoke(app, [*words, "--run", str(run.folder), "--reach", "3", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    cut = Manifest.read(tmp_path / "cut/manifest.jsonl")
    assert 0 < len(cut) <= len(bare)
    assert f"{len(cut)} of 12 images" in done.output
    true = crop(rows, tmp_path / "true", around="disc", reach=3.0)
    places = {row.id: _place(rows, cut, row.id) for row in cut}
    assert np.median([math.dist(place, true.boxes[id][:2]) for id, place in places.items()]) < 12


def _place(rows: Manifest, cut: Manifest, id: str) -> tuple[int, int]:
    """Where a square lies in its image, found by its pixels."""
    whole, part = (read.image(m.root / next(r for r in m if r.id == id).image).astype(int) for m in (rows, cut))
    side = part.shape[0]
    for top in range(whole.shape[0] - side + 1):
        for left in range(whole.shape[1] - side + 1):
            if np.array_equal(whole[top : top + side, left : left + side], part):
                return top, left
    raise AssertionError(f"{id}: the square is none of the image")
