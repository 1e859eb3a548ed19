"""Nothing becomes truth silently: values and files that nothing names, labels never marked, people and places."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data import adapters, read
from foveate.data.check import check
from foveate.data.doubts import person_key
from foveate.data.manifest import Manifest

SHAPE = (40, 50)


def marked(value: int = 1, rest: int = 0) -> np.ndarray:
    mask = np.full(SHAPE, rest, np.uint8)
    mask[10:20, 10:20] = value
    return mask


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def eyes(root: Path, number: int = 3, *, folder: str = "images", ending: str = ".png") -> list[str]:
    rng = np.random.default_rng(0)
    for i in range(number):
        save(rng.integers(0, 255, (*SHAPE, 3), dtype=np.uint8), root / folder / f"e{i}{ending}")
    return [f"e{i}" for i in range(number)]


def described(root: Path, text: str) -> Manifest:
    (root / "dataset.toml").write_text(f'name = "x"\nimages = "images/*.png"\n{text}')
    return adapters.scan("folder", root)


def known_of(path: Path, source: MaskSource) -> tuple[int, int]:
    """Marked and known pixels of one mask."""
    row = Row("a", "a.png", masks={"spot": (source,)})
    masks, known = read.masks(row, path.parent, LabelSchema(labels=("spot",)), shape=SHAPE)
    return int(masks.sum()), int(known.sum())


@pytest.mark.parametrize(
    ("how", "pixels", "expected"),
    [
        ({"index": (1,)}, marked(255), (0, 1900)),
        ({"index": (1,)}, marked(1), (100, 2000)),
        ({"index": (1,)}, marked(0), (0, 2000)),
        ({"above": 127}, marked(1), (0, 1900)),
        ({"above": 127}, marked(255), (100, 2000)),
        ({"above": 0.5}, marked(0), (0, 2000)),
        ({"index": (0,)}, marked(0, rest=255), (100, 2000)),  # drawn dark: the background is what is left
        ({"below": 128}, marked(0, rest=255), (100, 2000)),
        ({"index": (1,), "ignore": (255,)}, marked(255), (0, 1900)),
    ],
)
def test_a_value_that_nothing_names_is_unknown(
    tmp_path: Path, how: dict[str, object], pixels: np.ndarray, expected: tuple[int, int]
) -> None:
    save(pixels, tmp_path / "m.png")
    assert known_of(tmp_path / "m.png", MaskSource("m.png", **how)) == expected  # type: ignore[arg-type]


def test_values_of_other_labels_are_named(tmp_path: Path) -> None:
    save(marked(2), tmp_path / "m.png")
    row = Row("a", "a.png", masks={k: (MaskSource("m.png", index=(v,)),) for k, v in {"one": 1, "two": 2}.items()})
    masks, known = read.masks(row, tmp_path, LabelSchema(labels=("one",)), shape=SHAPE)
    assert (int(masks.sum()), int(known.sum())) == (0, 2000)


def test_masks_of_other_kinds_of_file(tmp_path: Path) -> None:
    Image.fromarray(marked(255)).save(tmp_path / "m.jpg", quality=60)
    marks, known = known_of(tmp_path / "m.jpg", MaskSource("m.jpg", index=(255,)))
    assert marks + (2000 - known) >= 100, "what a JPEG blurs is unknown, not absent"
    assert known < 2000
    rgba = np.zeros((*SHAPE, 4), np.uint8)
    rgba[..., 3] = marked(255)
    save(rgba, tmp_path / "a.png")
    with pytest.raises(read.Unreadable, match=r"transparency \(alpha\); save that channel"):
        known_of(tmp_path / "a.png", MaskSource("a.png", above=127))
    save(rgba[..., 3], tmp_path / "a.png")  # the remedy
    assert known_of(tmp_path / "a.png", MaskSource("a.png", above=127)) == (100, 2000)


def test_check_names_the_values_and_refuses_a_label_without_any_mark(tmp_path: Path) -> None:
    for name in eyes(tmp_path):
        save(marked(255), tmp_path / "masks" / f"{name}.png")
    label = '[labels.exudate]\nmasks = "masks/{id}.png"\n'
    report = check(described(tmp_path, label + "index = 1\n"))
    assert not report.ok
    assert "exudate: 3 images have mask files and no pixel is marked in any" in report.silent[0]
    assert any("value 255 in masks of 3 images is named by no label" in note for note in report.notes)
    assert check(described(tmp_path, label + "index = 255\n")).ok  # the remedy
    assert check(described(tmp_path, label + "above = 127\n")).ok


def test_nnunet_values_and_empty_folders(tmp_path: Path) -> None:
    about = {"channel_names": {"0": "R"}, "labels": {"background": 0, "vessel": 1}, "file_ending": ".png"}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    for name in eyes(tmp_path, folder="imagesTr"):
        save(marked(255), tmp_path / "labelsTr" / f"{name}.png")
    with pytest.raises(ValueError, match=r"nothing of nnU-Net: no image like imagesTr/CASE_0000.png"):
        adapters.scan("nnunet", tmp_path)
    for path in (tmp_path / "imagesTr").iterdir():
        path.rename(path.with_name(f"{path.stem}_0000.png"))  # the remedy
    report = check(adapters.scan("nnunet", tmp_path))
    assert not report.ok
    assert "value 255" in " ".join(report.notes)


def test_a_template_that_fits_no_file_is_refused(tmp_path: Path) -> None:
    for name in eyes(tmp_path):
        save(marked(255), tmp_path / "masks" / f"{name}.tif")
    label = '[labels.exudate]\nmasks = "masks/{id}.png"\nabove = 127\nmissing = '
    with pytest.raises(ValueError, match=r"fits no file.*\(3 files are in its folder, like masks/e0.tif\)"):
        described(tmp_path, label + '"absent"\n')
    found = described(tmp_path, label + '"unknown"\n')  # the remedy
    assert not any(row.masks for row in found)
    assert any("3 files beside masks were not used" in text for text in found.info["warnings"])


def test_a_mask_of_another_ending_makes_unknown_not_absent(tmp_path: Path) -> None:
    names = eyes(tmp_path)
    save(marked(255), tmp_path / "masks" / f"{names[0]}.png")
    save(marked(255), tmp_path / "masks" / f"{names[1]}.tif")
    found = described(tmp_path, '[labels.spot]\nmasks = "masks/{id}.png"\nabove = 127\nmissing = "absent"\n')
    assert [dict(row.masks).get("spot") for row in found] == [
        (MaskSource("masks/e0.png", above=127),),
        None,
        (MaskSource(),),
    ]
    warnings = " ".join(found.info["warnings"])
    assert "1 files have the name of a mask but another ending, like masks/e1.tif" in warnings


def test_names_are_found_whatever_the_case_of_their_ending_and_their_accents(tmp_path: Path) -> None:
    for name, mask in (("a.png", "a.PNG"), ("b.PNG", "b.png"), ("e\u0301.Png", "\u00e9.png"), ("c d.png", "c%20d.png")):
        save(marked(9)[..., None].repeat(3, 2), tmp_path / "images" / "x.png")
        (tmp_path / "images" / "x.png").rename(tmp_path / "images" / name)
        save(marked(255), tmp_path / "masks" / "x.png")
        (tmp_path / "masks" / "x.png").rename(tmp_path / "masks" / mask)
    (tmp_path / "images/._a.png").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    found = described(tmp_path, '[labels.spot]\nmasks = "masks/{stem}.png"\nabove = 127\nmissing = "absent"\n')
    assert len(found) == 4
    assert all(row.masks["spot"][0].path for row in found)
    report = check(found)
    assert report.labels["all"]["spot"].positive == 4
    assert not report.unreadable


@pytest.mark.parametrize(
    "table",
    [
        "image,dr,,\ne0.png,0,,\ne1.png,1,,\n",
        "image,dr,note\ne0.png,0,x\ne1.png,1\n",
        "sep=;\nimage;dr\ne0.png;0\ne1.png;1\n",
        "image,dr\nimages\\e0.png,0\nimages\\e1.png,1\n",
        "image,dr,note\ne0.png,0,one\vtwo\ne1.png,1,\n",
        'image,dr,note\r\ne0.png,0,"one\r\ntwo"\r\ne1.png,1,\r\n',
        "image,dr\re0.png,0\re1.png,1\r",
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path: Path, table: str) -> None:
    eyes(tmp_path, 2)
    (tmp_path / "t.csv").write_bytes(table.encode())
    asked = '[table]\nfile = "t.csv"\nid = "image"\n[questions.dr]\ncolumn = "dr"\nvalues = {0 = "no", 1 = "yes"}\n'
    found = described(tmp_path, asked)
    assert [row.answers["dr"] for row in found] == ["no", "yes"]


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "NaN"])
def test_a_number_that_is_none_is_named_with_its_line(tmp_path: Path, cell: str) -> None:
    eyes(tmp_path, 2)
    (tmp_path / "t.csv").write_text(f"image,x,y\ne0.png,1,2\ne1.png,{cell},2\n")
    asked = '[table]\nfile = "t.csv"\nid = "image"\n[columns]\ndisc = {x = "x", y = "y"}\n'
    with pytest.raises(ValueError, match=rf"t.csv, line 3, x='{cell}'.*leave the cell empty"):
        described(tmp_path, asked)
    (tmp_path / "t.csv").write_text("image,x,y\ne0.png,1,2\ne1.png,,\n")  # the remedy
    assert [row.disc for row in described(tmp_path, asked)] == [(2.0, 1.0), None]


def test_people_and_places_that_cannot_be(tmp_path: Path) -> None:
    names = eyes(tmp_path, 8)
    patients = ["NA", "NA", "P01", "p01", "12", "12.0", "012", None]
    discs = [(0.0, 0.0), (-1.0, -1.0), (900.0, 1400.0), (20.0, 20.0), *[None] * 4]
    rows = tuple(
        Row(name, f"images/{name}.png", patient=patient, disc=disc, spacing=(0.0039, 11.3) if i == 7 else None)
        for i, (name, patient, disc) in enumerate(zip(names, patients, discs, strict=True))
    )
    notes = "\n".join(check(Manifest(LabelSchema(), rows, tmp_path)).notes)
    assert "2 images share the patient 'NA'" in notes
    assert "'P01', 'p01' may be one person" in notes
    assert "'12', '12.0', '012' may be one person" in notes
    assert "2 images, like e1, have a disc outside the image" in notes
    assert "1 images, like e0, have the disc at (0, 0)" in notes
    assert "1 images, like e7, have a spacing outside" in notes


def test_real_people_give_no_note(tmp_path: Path) -> None:
    names = eyes(tmp_path, 4)
    rows = tuple(
        Row(name, f"images/{name}.png", patient=patient, disc=(20.0, 20.0), spacing=(0.004, 0.011))
        for name, patient in zip(names, ("P1", "P10", "P_1", "0010"), strict=True)
    )
    assert check(Manifest(LabelSchema(), rows, tmp_path)).notes == ()
    assert person_key("1.0.2") == "1.0.2"


def test_black_frames_dark_files_and_single_answers(tmp_path: Path) -> None:
    save(np.zeros(SHAPE, np.uint8), tmp_path / "e0.png")
    save((np.random.default_rng(0).integers(0, 4096, SHAPE)).astype(np.uint16), tmp_path / "e1.png")
    save(np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8), tmp_path / "e2.png")
    rows = tuple(Row(f"e{i}", f"e{i}.png", patient=f"p{i}", answers={"dr": "yes"}) for i in range(3))
    notes = "\n".join(check(Manifest(LabelSchema((Question("dr"),)), rows, tmp_path)).notes)
    assert "1 images, like e0, have one colour throughout" in notes
    assert "1 images, like e1, are nearly black" in notes
    assert "dr: every answer of all images is 'yes'" in notes
