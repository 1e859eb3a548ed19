"""nnU-Net v2: what is written is what nnU-Net expects, and reads back with the same masks and the same unknown."""

import json
from pathlib import Path

import numpy as np
import pytest
from exchange_cases import SHAPE, build, mask, same
from PIL import Image

from foveate.core.labels import Question
from foveate.core.types import MaskSource
from foveate.data import read
from foveate.data.exchange import nnunet
from foveate.data.manifest import Manifest


def data(folder: Path) -> dict:
    return json.loads((folder / "dataset.json").read_text())


def values(path: Path) -> set[int]:
    with Image.open(path) as file:
        return set(np.unique(np.asarray(file)).tolist())


def mode(path: Path) -> str:
    with Image.open(path) as file:
        return file.mode


def test_exclusive_labels_are_one_index_mask(tmp_path: Path) -> None:
    truth = {
        "a": {"disc": mask(2, 2, 5, 5), "cyst": mask(10, 10, 4, 9)},
        "b": {"disc": mask(1, 1, 2, 2), "cyst": None},
        "c": {"disc": None, "cyst": None},
    }
    manifest = build(tmp_path / "in", truth, labels=("disc", "cyst"), exclusive=True, split={"c": "test"})
    done: list[tuple[int, int]] = []
    written = nnunet.write(manifest, tmp_path / "raw", progress=lambda i, n: done.append((i, n)))
    assert done == [(i, 6) for i in range(1, 7)]
    (folder,) = written.paths
    assert folder == tmp_path / "raw" / "Dataset001_drawn"
    assert data(folder) == {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "disc": 1, "cyst": 2},
        "numTraining": 2,
        "file_ending": ".png",
        "name": "drawn",
    }
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*.png")} == {
        "imagesTr/a_0000.png",
        "imagesTr/b_0000.png",
        "imagesTs/c_0000.png",
        "labelsTr/a.png",
        "labelsTr/b.png",
        "labelsTs/c.png",
    }
    assert mode(folder / "imagesTr/a_0000.png") == "L"
    assert values(folder / "labelsTr/a.png") == {0, 1, 2}
    back = nnunet.read(tmp_path / "raw")
    same(manifest, back)
    assert back.schema == manifest.schema
    assert [row.split for row in back] == ["train", "train", "test"]
    same(manifest, nnunet.read(folder))


def test_unknown_pixels_are_the_ignore_label(tmp_path: Path) -> None:
    part = mask(2, 2, 5, 5)
    part[15:] = 9
    truth = {"a": {"disc": part}, "b": {"disc": mask(0, 0, 3, 3)}, "nothing": {}}
    manifest = build(tmp_path / "in", truth, labels=("disc",), colour=True)
    written = nnunet.write(manifest, tmp_path / "raw")
    (folder,) = written.paths
    said = data(folder)
    assert said["labels"] == {"background": 0, "disc": 1, "ignore": 2}
    assert said["channel_names"] == {"0": "R", "1": "G", "2": "B"}
    assert mode(folder / "imagesTr/a_0000.png") == "RGB"
    assert any("nothing" in note for note in written.notes)
    same(manifest, nnunet.read(tmp_path / "raw"), only={"a", "b"})


def test_a_label_inside_another_is_a_region(tmp_path: Path) -> None:
    truth = {
        "a": {"cup": mask(5, 5, 3, 3), "disc": mask(3, 3, 8, 8), "bleeding": mask(15, 15, 2, 2)},
        "b": {"cup": None, "disc": mask(3, 3, 8, 8), "bleeding": None},
    }
    manifest = build(tmp_path / "in", truth, labels=("cup", "disc", "bleeding"))
    (folder,) = nnunet.write(manifest, tmp_path / "raw").paths
    said = data(folder)
    assert said["labels"] == {"background": 0, "disc": [1, 3], "bleeding": 2, "cup": 3}
    assert said["regions_class_order"] == [1, 2, 3]
    back = nnunet.read(tmp_path / "raw")
    assert not back.schema.exclusive
    same(manifest, back)


def test_equal_labels_stay_equal(tmp_path: Path) -> None:
    truth = {"a": {"x": mask(5, 5, 3, 3), "y": mask(5, 5, 3, 3)}}
    manifest = build(tmp_path / "in", truth, labels=("x", "y"))
    (folder,) = nnunet.write(manifest, tmp_path / "raw").paths
    assert data(folder)["labels"] == {"background": 0, "x": [1, 2], "y": 2}
    same(manifest, nnunet.read(folder))


def test_labels_that_overlap_in_part_are_a_data_set_each(tmp_path: Path) -> None:
    truth = {"a": {"x": mask(5, 5, 6, 6), "y": mask(8, 8, 6, 6)}, "b": {"x": None, "y": mask(0, 0, 1, 1)}}
    manifest = build(tmp_path / "in", truth, labels=("x", "y"))
    written = nnunet.write(manifest, tmp_path / "raw")
    assert [p.name for p in written.paths] == ["Dataset001_drawn_x", "Dataset002_drawn_y"]
    assert any("one data set for each of 2 labels" in note for note in written.notes)
    first, second = (folder / "imagesTr/a_0000.png" for folder in written.paths)
    assert first.samefile(second)
    same(manifest, nnunet.read(tmp_path / "raw"))


def test_labels_known_in_different_images_keep_what_is_known(tmp_path: Path) -> None:
    loose = mask(5, 5, 6, 6)
    loose[:, 20:] = 9
    truth = {"a": {"x": loose}, "b": {"x": None, "y": mask(0, 0, 1, 1)}, "c": {"y": None}}
    manifest = build(tmp_path / "in", truth, labels=("x", "y"), exclusive=True)
    written = nnunet.write(manifest, tmp_path / "raw")
    assert len(written.paths) == 2
    assert [data(folder)["numTraining"] for folder in written.paths] == [2, 2]
    same(manifest, nnunet.read(tmp_path / "raw"))


def test_exclusive_marks_tell_of_all_labels(tmp_path: Path) -> None:
    x, y = np.full(SHAPE, 9, np.uint8), np.full(SHAPE, 9, np.uint8)
    x[2:5], y[8:9] = 1, 1
    manifest = build(tmp_path / "in", {"a": {"x": x, "y": y}}, labels=("x", "y"), exclusive=True)
    (folder,) = nnunet.write(manifest, tmp_path / "raw").paths
    assert data(folder)["labels"] == {"background": 0, "x": 1, "y": 2, "ignore": 3}
    back = nnunet.read(folder)
    masks, known = read.masks(back[0], back.root, back.schema, shape=SHAPE)
    assert (masks[0] == (x == 1)).all()
    assert (masks[1] == (y == 1)).all()
    assert (known[0] == ((x == 1) | (y == 1))).all()  # where y is marked, x is absent


def test_folds_and_validation_become_splits(tmp_path: Path) -> None:
    truth = {name: {"x": mask(1, 1, 3, 3)} for name in "abcdef"}
    folds = build(tmp_path / "in", truth, labels=("x",), fold={n: i % 3 for i, n in enumerate("abcdef")})
    (folder,) = nnunet.write(folds, tmp_path / "raw").paths
    turns = json.loads((folder / "splits_final.json").read_text())
    assert [turn["val"] for turn in turns] == [["a", "d"], ["b", "e"], ["c", "f"]]
    assert all(sorted(turn["train"] + turn["val"]) == sorted("abcdef") for turn in turns)
    assert [row.fold for row in nnunet.read(folder)] == [0, 1, 2, 0, 1, 2]
    parts = build(
        tmp_path / "in", truth, labels=("x",), split=dict.fromkeys("abc", "train") | dict.fromkeys("de", "val")
    )
    (folder,) = nnunet.write(parts, tmp_path / "raw2").paths
    assert [row.split for row in nnunet.read(folder)] == ["train", "train", "train", "val", "val", "train"]


def test_ids_that_are_no_file_names(tmp_path: Path) -> None:
    truth = {name: {"x": mask(1, 1, 3, 3)} for name in ("seg/A 1", "grade/A 1", "50%", "é_0000")}
    manifest = build(tmp_path / "in", truth, labels=("x",))
    nnunet.write(manifest, tmp_path / "raw")
    same(manifest, nnunet.read(tmp_path / "raw"))


def test_notes_say_what_is_lost(tmp_path: Path) -> None:
    manifest = build(
        tmp_path / "in",
        {"a": {"x": mask(1, 1, 3, 3)}},
        labels=("x",),
        questions=(Question("fluid"),),
        answers={"a": {"fluid": "yes"}},
        patient={"a": "P1"},
        spacing={"a": (0.004, 0.01)},
    )
    two = (*manifest[0].masks["x"], MaskSource("data/0_0.png", index=(1,), annotator="second"))
    manifest = manifest.with_rows([type(manifest[0])(**{**vars(manifest[0]), "masks": {"x": two}})])
    notes = " | ".join(nnunet.write(manifest, tmp_path / "raw").notes)
    for word in ("fluid", "patients", "several annotators", "1 mm"):
        assert word in notes


def test_numbers_go_on_and_taken_ones_are_refused(tmp_path: Path) -> None:
    manifest = build(tmp_path / "in", {"a": {"x": mask(1, 1, 3, 3)}}, labels=("x",))
    assert nnunet.write(manifest, tmp_path, number=7, name="my set!").paths[0].name == "Dataset007_my_set"
    assert nnunet.write(manifest, tmp_path).paths[0].name == "Dataset008_drawn"
    with pytest.raises(ValueError, match="number=7: Dataset007_my_set is there already"):
        nnunet.write(manifest, tmp_path, number=7)


@pytest.mark.parametrize("bad", [(), ("background",), ("ignore", "x")])
def test_labels_nnunet_cannot_have(tmp_path: Path, bad: tuple[str, ...]) -> None:
    manifest = build(tmp_path / "in", {"a": {}}, labels=bad)
    with pytest.raises(ValueError, match="nnU-Net needs 1 to 253"):
        nnunet.write(manifest, tmp_path / "raw")


def test_nothing_stays_where_writing_fails(tmp_path: Path) -> None:
    truth = {"a": {"x": mask(5, 5, 6, 6), "y": mask(8, 8, 6, 6)}, "b": {"x": None, "y": mask(0, 0, 1, 1)}}
    manifest = build(tmp_path / "in", truth, labels=("x", "y"))

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nnunet.write(manifest, tmp_path / "raw", progress=stop)
    assert list((tmp_path / "raw").iterdir()) == []
    only_test = build(tmp_path / "in", truth, labels=("x", "y"), split=dict.fromkeys("ab", "test"))
    with pytest.raises(ValueError, match="no row outside of split 'test'"):
        nnunet.write(only_test, tmp_path / "raw")
    assert list((tmp_path / "raw").iterdir()) == []


def foreign(root: Path, **more: object) -> Path:
    """A data set as others write it: regions, ignore, a test image without label, a case without label."""
    said = {
        "channel_names": {"0": "OCT"},
        "labels": {"background": 0, "retina": [1, 2], "fluid": [2], "ignore": 3},
        "numTraining": 2,
        "file_ending": ".png",
        "regions_class_order": [1, 2],
    } | more
    folder = root / "Dataset042_Fluid"
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / part).mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps(said))
    index = np.zeros(SHAPE, np.uint8)
    index[2:9], index[5:7], index[20:] = 1, 2, 3
    for name in ("imagesTr/s1_0000", "imagesTr/s2_0000", "imagesTs/t1_0000", "labelsTr/s1", "imagesTr/s1_0001"):
        Image.fromarray(index).save(folder / f"{name}.png")
    return folder


def test_a_foreign_data_set(tmp_path: Path) -> None:
    foreign(tmp_path)
    manifest = nnunet.read(tmp_path)
    assert manifest.schema.labels == ("retina", "fluid")
    assert not manifest.schema.exclusive
    assert {row.id: row.split for row in manifest} == {"s1": "train", "s2": "train", "t1": "test"}
    masks, known = read.masks(manifest[0], tmp_path, manifest.schema, shape=SHAPE)
    assert masks[0].sum() == 7 * SHAPE[1]
    assert masks[1].sum() == 2 * SHAPE[1]
    assert not known[:, 20:].any()
    assert known[:, :20].all()
    assert manifest[1].masks == {}
    told = " | ".join(manifest.info["warnings"])
    assert "no label file (s2)" in told
    assert "further channels" in told
    assert "names no patients" in told
    manifest.write(tmp_path / "m.jsonl")
    assert Manifest.read(tmp_path / "m.jsonl").rows == manifest.rows


def test_the_same_name_in_unrelated_data_sets(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two")):
        shift = {"a": {name: mask(number, number, 4, 4)}}
        manifest = build(tmp_path / name, shift, labels=(name,), colour=bool(number))
        nnunet.write(manifest, tmp_path / "raw", name=name)
    back = nnunet.read(tmp_path / "raw")
    assert [row.id for row in back] == ["a", "Dataset002_two/a"]
    assert [sorted(row.masks) for row in back] == [["one"], ["two"]]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"file_ending": ".nii.gz"}, "that of a two-dimensional image"),
        ({"labels": {"background": 0}}, "background alone"),
        ({"labels": {"background": 0, "x": "1"}}, "not as nnU-Net v2 has it"),
        ({"labels": None}, "not as nnU-Net v2 has it"),
    ],
)
def test_what_is_no_data_set_is_told(tmp_path: Path, more: dict, said: str) -> None:
    foreign(tmp_path, **more)
    with pytest.raises(ValueError, match=said):
        nnunet.read(tmp_path)


def test_no_data_set_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no dataset\.json"):
        nnunet.read(tmp_path)


@pytest.mark.parametrize("text", ["no json", '[{"train": []}]', '[{"val": ["s1"]}, {"val": ["s1"]}]'])
def test_splits_that_are_none_are_told(tmp_path: Path, text: str) -> None:
    folder = foreign(tmp_path)
    (folder / "splits_final.json").write_text(text)
    manifest = nnunet.read(folder)
    assert all(row.fold is None for row in manifest)
    assert any("splits_final.json" in line for line in manifest.info["warnings"])
