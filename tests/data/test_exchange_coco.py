"""COCO: run lengths and outlines lose nothing, unknown never becomes absent, foreign files read as they mean it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchange_cases import SHAPE, build, mask, same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from foveate.core.labels import Question
from foveate.core.types import MaskSource
from foveate.data import read
from foveate.data.exchange import _rle, coco
from foveate.data.exchange._coco_read import draw
from foveate.data.exchange._outline import outlines
from foveate.data.manifest import Manifest

ANY_MASK = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


# -- run lengths and outlines ----------------------------------------------------------------------------------------


def test_run_lengths_go_down_the_columns() -> None:
    mask = np.array([[0, 1, 1], [1, 1, 0]], bool)
    assert _rle.encode(mask) == [1, 4, 1]
    assert _rle.encode(~mask) == [0, 1, 4, 1]
    assert _rle.encode(np.zeros((2, 3), bool)) == [6]


def test_text_of_run_lengths_worked_out_by_hand() -> None:
    counts = [6, 1, 40, 4, 5, 4, 5, 4, 21]
    assert _rle.to_text(counts) == "61X13mN000`0"
    assert _rle.from_text("61X13mN000`0") == counts


@given(ANY_MASK)
def test_run_lengths_and_their_text_lose_nothing(mask: np.ndarray) -> None:
    counts = _rle.encode(mask)
    assert (_rle.decode(counts, mask.shape) == mask).all()
    assert _rle.from_text(_rle.to_text(counts)) == counts


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=9))
def test_text_holds_any_counts(counts: list[int]) -> None:
    assert _rle.from_text(_rle.to_text(counts)) == counts


@pytest.mark.parametrize("counts", [[5], [7], [3, -1, 4], []])
def test_counts_must_fill_the_image(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="6 pixels"):
        _rle.decode(counts, (2, 3))


@pytest.mark.parametrize("text", ["6é", "X", "6 1"])
def test_text_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="counts"):
        _rle.from_text(text)


@given(ANY_MASK)
def test_outlines_give_back_the_mask_or_tell_of_a_hole(mask: np.ndarray) -> None:
    found = outlines(mask)
    if found is None:
        return
    flat = [[v for row, col in corners for v in (col, row)] for corners in found]
    back = np.zeros(mask.shape, bool, order="F")
    draw(flat, back)
    assert (back == mask).all()


def test_outlines_of_a_hole_and_of_a_square() -> None:
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    assert outlines(ring) is None
    assert outlines(np.ones((2, 3), bool)) == [[(0, 0), (0, 3), (2, 3), (2, 0)]]


# -- there and back --------------------------------------------------------------------------------------------------


def drawn(tmp_path: Path, **columns: Any) -> Manifest:
    """Overlap, pieces that touch by a corner, a hole, and all ways of not knowing."""
    hole = mask(2, 2, 8, 8)
    hole[4:6, 4:6] = 0
    corners = mask(12, 12, 2, 2) | mask(14, 14, 3, 3)
    half = mask(1, 1, 4, 4)
    half[:, 15:] = 9
    dark = np.zeros(SHAPE, np.uint8)
    dark[5:] = 9
    truth = {
        "seg/a": {"ring": hole, "spot": corners | mask(3, 3, 9, 2)},
        "b": {"ring": None, "spot": mask(23, 30, 1, 1)},
        "c": {"ring": half},
        "d": {"spot": np.zeros(SHAPE, np.uint8)},
        "e": {"spot": mask(0, 0, *SHAPE)},
        "f": {},
    }
    return build(tmp_path / "in", truth, labels=("ring", "spot"), colour=True, **columns)


@pytest.mark.parametrize("polygons", [False, True])
def test_there_and_back(tmp_path: Path, polygons: bool) -> None:
    manifest = drawn(tmp_path)
    known = manifest.with_rows(row for row in manifest if row.id != "c")
    coco.write(known, tmp_path / "out", polygons=polygons)
    back = coco.read(tmp_path / "out")
    assert back.schema.labels == ("ring", "spot")
    same(known, back)
    assert back[0].id == "seg/a"
    assert back[-1].masks == {}
    back.write(tmp_path / "out" / "m.jsonl")
    same(known, Manifest.read(tmp_path / "out" / "m.jsonl"))


def test_marked_but_not_known_everywhere_stays_marked_and_unknown(tmp_path: Path) -> None:
    manifest = drawn(tmp_path)
    written = coco.write(manifest, tmp_path / "out")
    assert any("ring in 3 images and, where marked, around it in 1" in note for note in written.notes)
    back = coco.read(tmp_path / "out")
    row = next(row for row in back if row.id == "c")
    masks, known = read.masks(row, back.root, back.schema, shape=SHAPE)
    assert (masks[0] == mask(1, 1, 4, 4)).all()
    assert (known[0] == masks[0]).all()
    assert not known[1].any()


def test_partly_looked_for_and_nothing_found_is_unknown(tmp_path: Path) -> None:
    dark = np.zeros(SHAPE, np.uint8)
    dark[5:] = 9
    manifest = build(tmp_path / "in", {"a": {"x": dark}}, labels=("x",))
    assert any("x in 1 images" in note for note in coco.write(manifest, tmp_path / "out").notes)
    assert coco.read(tmp_path / "out")[0].masks == {}


def test_the_file_is_coco(tmp_path: Path) -> None:
    manifest = drawn(tmp_path, split={"seg/a": "train", "b": "val", "c": "test"})
    coco.write(manifest, tmp_path / "out")
    names = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")}
    assert {n for n in names if n.endswith("json")} == {
        f"annotations/instances_{part}.json" for part in ("train", "val", "test", "all")
    }
    assert {"images/train/seg%2Fa.png", "images/val/b.png", "images/test/c.png", "images/all/d.png"} <= names
    said = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert said["categories"] == [
        {"id": 1, "name": "ring", "supercategory": "retina"},
        {"id": 2, "name": "spot", "supercategory": "retina"},
    ]
    (image,) = said["images"]
    assert (image["file_name"], image["height"], image["width"]) == ("seg%2Fa.png", *SHAPE)
    assert image["neg_category_ids"] == image["not_exhaustive_category_ids"] == []
    ring, *spots = said["annotations"]
    assert ring["bbox"] == [2, 2, 8, 8]
    assert ring["area"] == 60
    assert ring["iscrowd"] == 0
    assert len(spots) == 2  # two that touch by a corner are one piece
    assert len({one["id"] for one in said["annotations"]}) == 3
    (val,) = json.loads((tmp_path / "out/annotations/instances_val.json").read_text())["images"]
    assert val["neg_category_ids"] == [1]
    assert {row.id: row.split for row in coco.read(tmp_path / "out")} == {
        "seg/a": "train", "b": "val", "c": "test", "d": None, "e": None, "f": None,
    }  # fmt: skip


def test_polygons_are_polygons_but_for_holes(tmp_path: Path) -> None:
    coco.write(drawn(tmp_path), tmp_path / "out", polygons=True)
    said = json.loads((tmp_path / "out/annotations/instances_all.json").read_text())
    ring, *others = (one["segmentation"] for one in said["annotations"])
    assert set(ring) == {"size", "counts"}
    assert all(isinstance(one, list) and len(one[0]) >= 8 for one in others)


def test_more_labels_than_bits(tmp_path: Path) -> None:
    labels = tuple(f"l{i}" for i in range(19))
    truth = {"a": {label: mask(0, i, 20, 3) for i, label in enumerate(labels)}}
    manifest = build(tmp_path / "in", truth, labels=labels)
    coco.write(manifest, tmp_path / "out")
    same(manifest, coco.read(tmp_path / "out"))


def test_images_are_copied_unless_they_need_turning(tmp_path: Path) -> None:
    manifest = build(tmp_path / "in", {n: {"x": None} for n in "ab"}, labels=("x",), colour=True)
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (24, 31, 3), np.uint8))
    exif = picture.getexif()
    exif[read.ORIENTATION] = 6
    picture.save(tmp_path / "in/turned.jpg", exif=exif)
    picture.save(tmp_path / "in/plain.jpg")
    rows = [
        type(row)(**{**vars(row), "image": name})
        for row, name in zip(manifest, ("turned.jpg", "plain.jpg"), strict=True)
    ]
    manifest = manifest.with_rows(rows)
    coco.write(manifest, tmp_path / "out")
    assert (tmp_path / "out/images/all/b.jpg").read_bytes() == (tmp_path / "in/plain.jpg").read_bytes()
    assert not (tmp_path / "out/images/all/a.jpg").exists()
    back = coco.read(tmp_path / "out")
    assert (read.image(back.root / back[0].image) == read.image(tmp_path / "in/turned.jpg")).all()


def test_notes_and_refusals(tmp_path: Path) -> None:
    manifest = build(
        tmp_path / "in",
        {"a": {"x": mask(1, 1, 2, 2)}},
        labels=("x",),
        questions=(Question("fluid"),),
        answers={"a": {"fluid": "yes"}},
        patient={"a": "P1"},
    )
    written = coco.write(manifest, tmp_path / "out")
    assert written.images == 1
    assert written.paths == (tmp_path / "out",)
    assert "fluid" in " | ".join(written.notes)
    assert "patients" in " | ".join(written.notes)
    with pytest.raises(ValueError, match="is there already"):
        coco.write(manifest, tmp_path / "out")
    with pytest.raises(ValueError, match="labels="):
        coco.write(manifest.select(labels=()), tmp_path / "out2")


def test_nothing_stays_where_writing_fails(tmp_path: Path) -> None:
    manifest = drawn(tmp_path)
    (tmp_path / "in" / manifest[-1].image).unlink()
    with pytest.raises(read.Unreadable):
        coco.write(manifest, tmp_path / "new" / "out")
    assert list((tmp_path / "new").iterdir()) == []


# -- files of others -------------------------------------------------------------------------------------------------


def foreign(root: Path, annotations: list[dict[str, Any]], **more: Any) -> Path:
    (root / "train2017").mkdir(parents=True, exist_ok=True)
    (root / "annotations").mkdir(exist_ok=True)
    for name in ("1", "2"):
        Image.fromarray(np.full(SHAPE, int(name), np.uint8)).save(root / "train2017" / f"{name}.png")
    size = {"height": SHAPE[0], "width": SHAPE[1]}
    said = {
        "images": [{"id": 10, "file_name": "1.png", **size}, {"id": 20, "file_name": "2.png", **size}],
        "categories": [{"id": 3, "name": "drusen"}, {"id": 7, "name": "fluid"}],
        "annotations": [{"id": i, "image_id": 10, "category_id": 3, **one} for i, one in enumerate(annotations)],
    } | more
    path = root / "annotations" / "instances_train2017.json"
    path.write_text(json.dumps(said))
    return path


def first(manifest: Manifest) -> tuple[np.ndarray, np.ndarray]:
    return read.masks(manifest[0], manifest.root, manifest.schema, shape=SHAPE)


def test_all_kinds_of_segmentation_are_united(tmp_path: Path) -> None:
    square = [2, 3, 6, 3, 6, 8, 2, 8]
    other = mask(10, 20, 3, 3)
    crowd = mask(20, 0, 1, 5)
    foreign(
        tmp_path,
        [
            {"segmentation": [square, [0, 0, 1, 0, 1, 1, 0, 1]], "iscrowd": 0},
            {"segmentation": {"size": list(SHAPE), "counts": _rle.to_text(_rle.encode(other > 0))}},
            {"segmentation": {"size": list(SHAPE), "counts": _rle.encode(crowd > 0)}, "iscrowd": 1},
        ],
    )
    manifest = coco.read(tmp_path)
    assert manifest[0].split == "train"
    masks, known = first(manifest)
    assert (masks[0] == (mask(3, 2, 5, 4) | mask(0, 0, 1, 1) | other | crowd)).all()
    assert known[0].all()


def test_without_annotation_is_unknown_unless_complete(tmp_path: Path) -> None:
    path = foreign(tmp_path, [{"segmentation": [[2, 3, 6, 3, 6, 8]]}])
    manifest = coco.read(tmp_path)
    assert [sorted(row.masks) for row in manifest] == [["drusen"], []]
    assert any("drusen in 1, fluid in 2 images" in line for line in manifest.info["warnings"])
    whole = coco.read(path, complete=True)
    assert whole.root == tmp_path
    assert [sorted(row.masks) for row in whole] == [["drusen", "fluid"]] * 2
    assert whole[1].masks["drusen"] == (MaskSource(),)
    assert not any("unknown there" in line for line in whole.info["warnings"])


def test_a_box_alone_is_no_mask(tmp_path: Path) -> None:
    foreign(tmp_path, [{"bbox": [1, 1, 5, 5]}, {"segmentation": [[2, 3, 6, 3, 6, 8, 2, 8]]}])
    masks, known = first(coco.read(tmp_path))
    assert (masks[0] == mask(3, 2, 5, 4)).all()
    assert (known[0] == masks[0]).all()
    foreign(tmp_path, [{"bbox": [1, 1, 5, 5], "segmentation": []}])
    assert coco.read(tmp_path, complete=True)[0].masks.keys() == {"fluid"}


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ({"size": [5, 5], "counts": [25]}, "size"),
        ({"size": list(SHAPE), "counts": [3]}, "pixels"),
        ({"size": list(SHAPE)}, "no counts"),
        ([[1, 2, 3, 4]], "three corners"),
        ([[2.6, 2.6, 2.9, 2.6, 2.9, 2.9]], "cover no pixel"),
    ],
)
def test_shapes_that_are_none_leave_it_unknown(tmp_path: Path, segmentation: Any, said: str) -> None:
    foreign(tmp_path, [{"segmentation": segmentation}])
    manifest = coco.read(tmp_path, complete=True)
    assert "drusen" not in manifest[0].masks
    assert any(said in line for line in manifest.info["warnings"])


def test_what_is_missing_or_strange_is_told(tmp_path: Path) -> None:
    good = {"segmentation": [[2, 3, 6, 3, 6, 8]]}
    size = {"height": SHAPE[0], "width": SHAPE[1]}
    images = [
        {"id": 10, "file_name": "1.png", **size},
        {"id": 20, "file_name": "gone.png", **size},
        {"id": 30, "file_name": "2.png", "height": 5, "width": 5},
    ]
    foreign(tmp_path, [good, {**good, "image_id": 99}, {**good, "category_id": 99}], images=images)
    manifest = coco.read(tmp_path)
    assert [row.id for row in manifest] == ["1"]
    told = " | ".join(manifest.info["warnings"])
    for part in ("2 annotations name no image or category", "gone.png", "2.png is (24, 31)", "names no patients"):
        assert part in told


def test_scanning_again_replaces_the_masks(tmp_path: Path) -> None:
    foreign(tmp_path, [{"segmentation": [[2, 3, 6, 3, 6, 8]]}])
    coco.read(tmp_path)
    (tmp_path / "coco_masks" / "old.png").write_bytes(b"")
    coco.read(tmp_path)
    assert [p.name for p in (tmp_path / "coco_masks").iterdir()] == ["1.0.png"]
    elsewhere = coco.read(tmp_path, masks=tmp_path / "beside" / "m")
    assert elsewhere[0].masks["drusen"][0].path == "beside/m/1.0.png"
    assert {p.name for p in tmp_path.iterdir()} == {"annotations", "train2017", "coco_masks", "beside"}


def test_files_of_several_categories_are_joined(tmp_path: Path) -> None:
    path = foreign(tmp_path, [{"segmentation": [[2, 3, 6, 3, 6, 8, 2, 8]]}], categories=[{"id": 3, "name": "drusen"}])
    said = json.loads(path.read_text())
    said["categories"] = [{"id": 3, "name": "fluid"}]
    (tmp_path / "annotations" / "instances_second.json").write_text(json.dumps(said))
    manifest = coco.read(tmp_path)
    assert manifest.schema.labels == ("fluid", "drusen")
    assert sorted(manifest[0].masks) == ["drusen", "fluid"]


@pytest.mark.parametrize("text", ["{", "[]", '{"images": []}'])
def test_no_coco_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    for root in (tmp_path, tmp_path / "x.json"):
        with pytest.raises(ValueError, match="JSON"):
            coco.read(root)


def test_a_broken_coco_file(tmp_path: Path) -> None:
    foreign(tmp_path, [], categories=[{"name": "x"}])
    with pytest.raises(ValueError, match=r"instances_train2017\.json: not as COCO has it"):
        coco.read(tmp_path)
    assert not (tmp_path / "coco_masks").exists()


def test_no_image_at_all(tmp_path: Path) -> None:
    foreign(tmp_path, [], images=[{"id": 1, "file_name": "z.png", "height": 1, "width": 1}])
    with pytest.raises(ValueError, match=r"none of the .* images is there"):
        coco.read(tmp_path)
    assert not (tmp_path / "coco_masks").exists()
