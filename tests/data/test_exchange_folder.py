"""Plain folders read back whole through the folder adapter; the command line exports and scans every format."""

from pathlib import Path

import numpy as np
import pytest
from exchange_cases import SHAPE, build, mask, same
from PIL import Image
from typer.testing import CliRunner

from foveate.cli.main import app
from foveate.core import plugins as find
from foveate.core.labels import Question
from foveate.data.adapters import scan
from foveate.data.exchange import folder
from foveate.data.manifest import Manifest

GRADE = Question("grade", ("none", "some", "much"), ordered=True)


def rich(tmp_path: Path) -> Manifest:
    part = mask(2, 2, 5, 5)
    part[15:] = 9
    truth = {
        "a": {"cyst, small": part, "café": mask(3, 3, 9, 9)},
        "b b": {"cyst, small": None},
        "c": {},
    }
    return build(
        tmp_path / "in",
        truth,
        labels=("cyst, small", "café"),
        colour=True,
        questions=(Question("fluid?", evidence=("café",)), GRADE),
        answers={"a": {"fluid?": "yes", "grade": "much"}, "c": {"grade": "none"}},
        patient={"a": "P1", "b b": "P1", "c": "P,2"},
        laterality={"a": "OD"},
        position={"a": 3},
        split={"a": "train", "b b": "val", "c": "test"},
        disc={"a": (3.5, 7.25)},
        spacing={"a": (0.004, 0.011)},
    )


def test_there_and_back(tmp_path: Path) -> None:
    manifest = rich(tmp_path)
    written = folder.write(manifest, tmp_path / "out")
    assert written.notes == ()
    with Image.open(tmp_path / "out/cyst, small/a.png") as file:
        values = np.asarray(file)
    assert set(values[:15].ravel().tolist()) == {0, 255}
    assert set(values[15:].ravel().tolist()) == {127}
    assert not (tmp_path / "out/caf%C3%A9/b b.png").exists()
    back = scan("folder", tmp_path / "out")
    assert back.info["warnings"] == []
    assert back.schema == manifest.schema
    same(manifest, back)
    theirs = {row.id: row for row in back}
    for row in manifest:
        for column in ("answers", "patient", "laterality", "position", "split", "disc", "spacing", "fold"):
            assert getattr(theirs[row.id], column) == getattr(row, column), column


def test_merged_answers_are_written_as_they_count(tmp_path: Path) -> None:
    manifest = rich(tmp_path)
    grouped = Manifest(manifest.schema.group("grade", "none|some,much"), manifest.rows, manifest.root)
    folder.write(grouped, tmp_path / "out")
    back = scan("folder", tmp_path / "out")
    assert back.schema.question("grade").answers == ("none", "some-much")
    assert {row.id: row.answers.get("grade") for row in back} == {"a": "some-much", "b b": None, "c": "none"}


def test_names_that_are_no_file_names_are_told(tmp_path: Path) -> None:
    manifest = build(tmp_path / "in", {"seg/a": {"x": mask(1, 1, 2, 2)}}, labels=("x",))
    assert any("seg/a" in note for note in folder.write(manifest, tmp_path / "out").notes)
    assert [row.id for row in scan("folder", tmp_path / "out")] == ["seg%2Fa"]
    with pytest.raises(ValueError, match="another meaning"):
        folder.write(build(tmp_path / "in", {"a": {}}, labels=("images",)), tmp_path / "out2")


# -- command line ----------------------------------------------------------------------------------------------------


def test_every_format_has_the_same_call(tmp_path: Path) -> None:
    manifest = build(tmp_path / "in", {"a": {"x": mask(1, 1, 2, 2)}, "b": {"x": None}}, labels=("x",))
    manifest.write(tmp_path / "in" / "m.jsonl")
    run = CliRunner()
    for name in find.names("data/exchange"):
        out = tmp_path / name
        made = run.invoke(app, ["export", str(tmp_path / "in/m.jsonl"), "--to", name, "-o", str(out)])
        assert made.exit_code == 0, made.output
        assert "2 of 2 images" in made.output
        made = run.invoke(app, ["scan", name, str(out), "-o", str(out / "m.jsonl")])
        assert made.exit_code == 0, made.output
        same(manifest, Manifest.read(out / "m.jsonl"))


def test_unknown_format(tmp_path: Path) -> None:
    manifest = build(tmp_path / "in", {"a": {"x": mask(1, 1, 2, 2)}}, labels=("x",))
    manifest.write(tmp_path / "in" / "m.jsonl")
    made = CliRunner().invoke(app, ["export", str(tmp_path / "in/m.jsonl"), "--to", "voc", "-o", str(tmp_path / "o")])
    assert isinstance(made.exception, ValueError)
    assert "must be one of ['coco', 'folder', 'nnunet'], got 'voc'" in str(made.exception)


def test_slices_of_a_volume_are_written_as_images(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full(SHAPE, v, np.uint8)) for v in (10, 20, 30)]
    (tmp_path / "in").mkdir()
    pages[0].save(tmp_path / "in/scan.tif", save_all=True, append_images=pages[1:])
    manifest = build(tmp_path / "in", {f"s{i}": {"x": mask(i, 1, 2, 2)} for i in range(3)}, labels=("x",))
    rows = [type(row)(**{**vars(row), "image": "scan.tif", "frame": i}) for i, row in enumerate(manifest)]
    manifest = manifest.with_rows(rows)
    for name in find.names("data/exchange"):
        written = find.load("data/exchange", name).write(manifest, tmp_path / name)
        assert written.images == 3
        (grey,) = (p for p in (tmp_path / name).rglob("*.png") if p.stem in ("s2", "s2_0000") and "image" in str(p))
        with Image.open(grey) as file:
            assert file.getpixel((0, 0)) == 30
