"""Adapters of sets with lesions and grades, on small trees with the original names and encodings."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.core.types import MaskSource, Row
from foveate.data import read
from foveate.data.adapters import ddr, fgadr, idrid, retinal_lesions, scan
from foveate.data.manifest import Manifest
from foveate.data.split import split

SHAPE = (40, 48)
LESION = np.zeros(SHAPE, bool)
LESION[10:20, 15:30] = True


def photo(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    Image.fromarray(colours).save(path)


def grey(path: Path, values: np.ndarray, palette: list[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values.astype(np.uint8))
    if palette is not None:
        picture.putpalette(palette)
    picture.save(path)


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def truth(manifest: Manifest, row: Row, label: str, annotators: str = "union") -> tuple[np.ndarray, np.ndarray]:
    masks, known = read.masks(row, manifest.root, manifest.schema, annotators=annotators, shape=SHAPE)
    at = manifest.schema.labels.index(label)
    return masks[at].astype(bool), known[at].astype(bool)


def by_id(manifest: Manifest) -> dict[str, Row]:
    return {row.id: row for row in manifest}


def warned(manifest: Manifest, *words: str) -> bool:
    return any(all(word in line for word in words) for line in manifest.info["warnings"])


def without(path: Path, *unused: object) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


# -- IDRiD -----------------------------------------------------------------------------------------------------------


def make_idrid(root: Path) -> Path:
    seg = root / "A. Segmentation"
    for name, folder in (
        ("IDRiD_01", "a. Training Set"),
        ("IDRiD_02", "a. Training Set"),
        ("IDRiD_55", "b. Testing Set"),
    ):
        photo(seg / "1. Original Images" / folder / f"{name}.jpg", int(name[-2:]))
    masks = seg / "2. All Segmentation Groundtruths"
    red = [0, 0, 0, 76, 0, 0]  # a palette: index 1 is dark red
    grey(masks / "a. Training Set/1. Microaneurysms/IDRiD_01_MA.tif", LESION, red)
    grey(masks / "a. Training Set/1. Microaneurysms/IDRiD_02_MA.tif", LESION * 255)
    grey(masks / "a. Training Set/4. Soft Exudates/IDRiD_02_SE.tif", LESION, red)
    grey(masks / "a. Training Set/5. Optic Disc/IDRiD_01_OD.tif", ~LESION, red)
    grey(masks / "b. Testing Set/1. Microaneurysms/IDRiD_55_MA.tif", LESION, red)
    for part, name in (("B. Disease Grading", "IDRiD_001"), ("B. Disease Grading", "IDRiD_002")):
        for folder, seed in (("a. Training Set", 100), ("b. Testing Set", 200)):
            photo(root / part / "1. Original Images" / folder / f"{name}.jpg", seed + int(name[-1]))
    grades = root / "B. Disease Grading/2. Groundtruths"
    head = "Image name,Retinopathy grade,Risk of macular edema ,,,"
    text(grades / "a. IDRiD_Disease Grading_Training Labels.csv", head, "IDRiD_001,3,2,,,", "IDRiD_002,0,0,,,")
    text(grades / "b. IDRiD_Disease Grading_Testing Labels.csv", head, "IDRiD_001,4,1,,,", "IDRiD_002,9,0,,,")
    place = root / "C. Localization"
    photo(place / "1. Original Images/a. Training Set/IDRiD_001.jpg", 101)  # that of part B
    photo(place / "1. Original Images/a. Training Set/IDRiD_002.jpg", 999)  # another photograph
    centres = place / "2. Groundtruths"
    text(
        centres / "1. Optic Disc Center Location/a. IDRiD_OD_Center_Training Set_Markups.csv",
        "Image No,X- Coordinate,Y - Coordinate,,",
        "IDRiD_001,30,12,,",
        "IDRiD_002,31,13,,",
        ",,,,",
    )
    text(
        centres / "2. Fovea Center Location/IDRiD_Fovea_Center_Training Set_Markups.csv",
        "Image No,X- Coordinate,Y - Coordinate",
        "IDRiD_001,20.5,14",
        "IDRiD_002,here,14",
    )
    return root


def test_idrid_parts_stay_apart_and_polarity_is_any_value_above_zero(tmp_path: Path) -> None:
    manifest = scan("idrid", make_idrid(tmp_path))
    rows = by_id(manifest)
    graded = {f"grade/{part}/IDRiD_00{n}" for part in ("train", "test") for n in (1, 2)}
    assert set(rows) == {"seg/IDRiD_01", "seg/IDRiD_02", "seg/IDRiD_55", "place/train/IDRiD_002"} | graded
    for name in ("seg/IDRiD_01", "seg/IDRiD_02", "seg/IDRiD_55"):
        marked, known = truth(manifest, rows[name], "microaneurysm")
        assert (marked == LESION).all()
        assert known.all()
    assert (truth(manifest, rows["seg/IDRiD_01"], "disc")[0] == ~LESION).all()
    assert rows["seg/IDRiD_01"].masks["cotton_wool_spot"] == (MaskSource(),)  # missing file: absent
    assert "haemorrhage" not in rows["seg/IDRiD_01"].masks  # no file of that kind anywhere: not unpacked
    assert "cotton_wool_spot" not in rows["seg/IDRiD_55"].masks
    assert [rows[f"seg/IDRiD_{n}"].split for n in ("01", "55")] == ["train", "test"]
    assert all(row.source == "idrid" and row.modality == "fundus" and row.sha256 for row in manifest)


def test_idrid_grades_and_centres(tmp_path: Path) -> None:
    manifest = scan("idrid", make_idrid(tmp_path))
    rows = by_id(manifest)
    assert rows["grade/train/IDRiD_001"].answers == {"grade": "3", "oedema_risk": "2"}
    assert rows["grade/test/IDRiD_001"].answers == {"grade": "4", "oedema_risk": "1"}
    assert rows["grade/test/IDRiD_002"].answers == {"oedema_risk": "0"}
    assert warned(manifest, "Testing Labels.csv, line 3", "grade must be one of", "got '9'")
    assert rows["grade/train/IDRiD_001"].disc == (12, 30)
    assert rows["grade/train/IDRiD_001"].fovea == (14, 20.5)
    assert rows["grade/train/IDRiD_002"].disc is None  # part C has another photograph under that name
    assert rows["place/train/IDRiD_002"].disc == (13, 31)
    assert rows["place/train/IDRiD_002"].fovea is None
    assert warned(manifest, "x must be a number, got 'here'")
    assert warned(manifest, "seg images: 3 found, 81 expected")


@pytest.mark.parametrize("part", ["A. Segmentation", "B. Disease Grading"])
def test_idrid_part_alone_and_as_the_root(tmp_path: Path, part: str) -> None:
    make_idrid(tmp_path)
    alone = scan("idrid", tmp_path / part)
    assert {row.id.partition("/")[0] for row in alone} == {"seg" if part.startswith("A") else "grade"}


def test_idrid_other_spelling_of_folders(tmp_path: Path) -> None:
    make_idrid(tmp_path / "plain")
    other = tmp_path / "other"
    for path in (tmp_path / "plain").rglob("*"):
        if path.is_file():
            parts = [part.replace(" ", "%20") for part in path.relative_to(tmp_path / "plain").parts]
            target = other.joinpath(parts[0], *parts[:-1], parts[-1].upper())  # nested once more, upper case
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    plain, spelled = scan("idrid", tmp_path / "plain"), scan("idrid", other)
    assert {row.id.upper() for row in plain} == {row.id.upper() for row in spelled}
    assert [r.answers for r in sorted(plain, key=lambda r: r.id)] == [
        r.answers for r in sorted(spelled, key=lambda r: r.id)
    ]
    assert sum(len(row.masks) for row in plain) == sum(len(row.masks) for row in spelled)


# -- Retinal-Lesions -------------------------------------------------------------------------------------------------


def make_retinal_lesions(root: Path) -> Path:
    base = root / "retinal-lesions-v20191227"
    for seed, name in enumerate(("10_left", "10_right", "25_left")):
        photo(base / "images_896x896" / f"{name}.jpg", seed)
    ignored = LESION * 255
    ignored[30:35] = 127
    grey(base / "lesion_segs_896x896/10_left/microaneurysm.png", ignored)
    grey(base / "lesion_segs_896x896/10_left/retinal_hemorrhage.png", LESION * 255)
    grey(base / "lesion_segs_896x896/10_right/fibrous_proliferation.png", LESION * 255)
    grey(base / "lesion_segs_896x896/99_left/hard_exudate.png", LESION * 255)
    text(base / "dr_grades.csv", "image id,kaggle label,our label", "10_left,1,2", "10_right,4,4", "77_left,0,0")
    text(
        base / "od_fovea_autoloc.txt",
        "#img odx_0 ody_0 odx_1 ody_1 fx_0 fy_0 fx_1 fy_1 ",
        "10_left.jpg 30 10 40 20 5 11 15 21",
    )
    return root


def test_retinal_lesions(tmp_path: Path) -> None:
    manifest = scan("retinal_lesions", make_retinal_lesions(tmp_path))
    rows = by_id(manifest)
    assert {name: (row.patient, row.laterality) for name, row in rows.items()} == {
        "10_left": ("eyepacs-10", "OS"),
        "10_right": ("eyepacs-10", "OD"),
        "25_left": ("eyepacs-25", "OS"),
    }
    marked, known = truth(manifest, rows["10_left"], "microaneurysm")
    assert (marked == LESION).all()
    assert not known[30:35].any()
    assert known[:30].all()
    assert (truth(manifest, rows["10_left"], "haemorrhage")[0] == LESION).all()
    assert rows["10_right"].masks["microaneurysm"] == (MaskSource(),)
    assert rows["10_left"].answers == {"grade": "2"}
    assert rows["10_left"].disc == (15, 35)
    assert rows["10_left"].fovea == (16, 10)
    assert rows["25_left"].answers == {}
    assert warned(manifest, "1 files belong to no image", "99_left")
    assert warned(manifest, "1 lines are about images that are not there", "77_left")
    assert warned(manifest, "patients: 2 found, 1505 expected")


# -- DDR -------------------------------------------------------------------------------------------------------------


def make_ddr(root: Path, valid: str = "segmentation label") -> Path:
    base = root / "DDR-dataset"
    for seed, (folder, name) in enumerate((("train", "007-0004-000"), ("valid", "007-0005-000"), ("test", "20170323"))):
        photo(base / "DR_grading" / folder / f"{name}.jpg", seed)
        text(base / "DR_grading" / f"{folder}.txt", f"{name}.jpg {(2, 5, 0)[seed]}")
        truth = base / "lesion_segmentation" / folder / (valid if folder == "valid" else "label")
        photo(base / "lesion_segmentation" / folder / "image" / f"{name}.jpg", seed)  # the same photograph again
        for code in ("EX", "HE", "MA", "SE"):
            grey(truth / code / f"{name}.tif", (LESION if code == "EX" else ~LESION & False) * 255)
    without(base / "lesion_segmentation/test/label/SE")
    return root


@pytest.mark.parametrize("valid", ["segmentation label", "segmentation%20label", "label"])
def test_ddr(tmp_path: Path, valid: str) -> None:
    manifest = scan("ddr", make_ddr(tmp_path, valid))
    rows = by_id(manifest)
    assert len(rows) == 6
    assert rows["grade/train/007-0004-000"].answers == {"gradable": "yes", "grade": "2"}
    assert rows["grade/val/007-0005-000"].answers == {"gradable": "no"}
    assert rows["seg/val/007-0005-000"].split == "val"
    marked, known = truth(manifest, rows["seg/val/007-0005-000"], "hard_exudate")
    assert (marked == LESION).all()
    assert known.all()
    marked, known = truth(manifest, rows["seg/train/007-0004-000"], "haemorrhage")
    assert not marked.any()
    assert known.all()
    assert "cotton_wool_spot" not in rows["seg/test/20170323"].masks  # no file: unknown
    assert all(row.patient is None for row in manifest)
    assert not warned(manifest, "same name")


def test_ddr_keeps_a_photograph_of_both_parts_together(tmp_path: Path) -> None:
    manifest = scan("ddr", make_ddr(tmp_path))
    free = manifest.with_rows(Row(**{**row.__dict__, "split": None}) for row in manifest)
    divided = by_id(split(free, ratios=(0.34, 0.33, 0.33)))
    for part, name in (("train", "007-0004-000"), ("val", "007-0005-000"), ("test", "20170323")):
        assert divided[f"seg/{part}/{name}"].split == divided[f"grade/{part}/{name}"].split


# -- FGADR -----------------------------------------------------------------------------------------------------------


def test_fgadr(tmp_path: Path) -> None:
    base = tmp_path / "Seg-set"
    for seed, name in enumerate(("0000_1", "0001_2")):
        photo(base / "Original_Images" / f"{name}.png", seed)
    soft = np.where(LESION, 255, 0)
    soft[9, 15:30] = 127  # the soft edge
    soft[20, 15:30] = 128
    grey(base / "Hemohedge_Masks/0000_1.png", soft)
    grey(base / "HardExudate_Masks/0000_1.png", soft * 0)
    text(base / "DR_Seg_Grading_Label.csv", "0000_1.png,3", "0001_2.png,1")
    manifest = scan("fgadr", tmp_path)
    rows = by_id(manifest)
    marked, _ = truth(manifest, rows["0000_1"], "haemorrhage")
    assert marked[20, 15:30].all()
    assert not marked[9].any()
    empty, known = truth(manifest, rows["0000_1"], "hard_exudate")
    assert not empty.any()
    assert known.all()
    assert not truth(manifest, rows["0001_2"], "haemorrhage")[1].any()
    assert [rows[name].answers["grade"] for name in ("0000_1", "0001_2")] == ["3", "1"]


# -- what all withstand ----------------------------------------------------------------------------------------------

MADE: dict[str, tuple[object, Callable[[Path], Path]]] = {
    "idrid": (idrid, make_idrid),
    "retinal_lesions": (retinal_lesions, make_retinal_lesions),
    "ddr": (ddr, make_ddr),
}


@pytest.mark.parametrize("name", MADE)
def test_files_of_no_use_are_told_and_the_rest_goes_on(tmp_path: Path, name: str) -> None:
    before = scan(name, MADE[name][1](tmp_path))
    for folder in {(tmp_path / row.image).parent for row in before}:
        (folder / "Thumbs.db").write_bytes(b"\0")
        (folder / "notes.txt").write_text("hello")
        (folder / "._copy.jpg").write_bytes(b"\0")
    for path in list(tmp_path.rglob("*.csv")) + list(tmp_path.rglob("train.txt")):
        path.write_bytes(b"\xff\xfe\0garbage\0" * 5)
    after = scan(name, tmp_path)
    assert {row.id for row in after} == {row.id for row in before}
    assert warned(after, "is not UTF-8")
    assert not any(row.answers.get("grade") for row in after if row.split == "train" or name != "ddr")


def test_an_empty_folder_is_an_error_that_names_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing of FGADR.*give the folder that holds Seg-set"):
        scan("fgadr", tmp_path)


def test_a_module_alone_gives_rows_and_warns(tmp_path: Path) -> None:
    told: list[str] = []
    rows = list(fgadr.scan(tmp_path, warn=told.append))
    assert rows == []
    make_retinal_lesions(tmp_path)
    (tmp_path / "retinal-lesions-v20191227/dr_grades.csv").unlink()
    with pytest.warns(UserWarning, match=r"no dr_grades\.csv|belong to no image"):
        assert len(list(retinal_lesions.scan(tmp_path))) == 3
