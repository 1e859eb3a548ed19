"""Adapters of sets with disc, cup, myopia or grades alone, on small trees with the original names and encodings."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.core.shapes import ellipse
from foveate.core.types import MaskSource, Row
from foveate.data import read
from foveate.data.adapters import scan
from foveate.data.manifest import Manifest

SHAPE = (40, 48)
DISC = ellipse(SHAPE, (20, 24), (10, 9))
CUP = ellipse(SHAPE, (20, 24), (5, 4))


def photo(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)).save(path)


def grey(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def sheet(path: Path, *rows: list[object]) -> None:
    """A workbook as spreadsheet programs write it: numbers as they are, texts in a table of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    texts = sorted({cell for row in rows for cell in row if isinstance(cell, str)})
    body = ""
    for number, row in enumerate(rows, 1):
        body += f'<row r="{number}">'
        for column, cell in enumerate(row):
            if cell is None:
                continue
            kind, value = (' t="s"', texts.index(cell)) if isinstance(cell, str) else ("", cell)
            body += f'<c r="{chr(65 + column)}{number}"{kind}><v>{value}</v></c>'
        body += "</row>"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{body}</sheetData></worksheet>")
        items = "".join(f"<si><t>{t}</t></si>" for t in texts)
        book.writestr("xl/sharedStrings.xml", f"<sst {space}>{items}</sst>")


def truth(manifest: Manifest, row: Row, label: str, annotators: str = "union") -> tuple[np.ndarray, np.ndarray]:
    masks, known = read.masks(row, manifest.root, manifest.schema, annotators=annotators, shape=SHAPE)
    at = manifest.schema.labels.index(label)
    return masks[at].astype(bool), known[at].astype(bool)


def by_id(manifest: Manifest) -> dict[str, Row]:
    return {row.id: row for row in manifest}


def warned(manifest: Manifest, *words: str) -> bool:
    return any(all(word in line for word in words) for line in manifest.info["warnings"])


def test_palm_is_dark_on_white_and_missing_is_absent(tmp_path: Path) -> None:
    train = tmp_path / "PALM-Training400/PALM-Training400"
    for seed, name in enumerate(("H0003", "N0001", "P0053")):
        photo(train / f"{name}.jpg", seed)
    marks = tmp_path / "PALM-Training400/PALM-Training400-Annotation-Lession"
    grey(marks / "Lesion_Masks/Atrophy/P0053.bmp", np.where(CUP, 0, 255))
    grey(marks / "Lesion_Masks/Detachment/P0053.bmp", np.where(DISC, 0, 255))
    for name in ("H0003", "P0053"):
        grey(marks / f"Disc_Masks/{name}.bmp", np.where(DISC, 0, 255))
    photo(tmp_path / "PALM-Validation400/V0001.jpg", 9)
    photo(tmp_path / "PALM-Validation400/V0002.jpg", 10)
    photo(tmp_path / "PALM-Validation400/readme.jpg", 11)
    sheet(
        tmp_path / "PALM-Validation-GT/PM_Label_and_Fovea_Location.xlsx",
        ["ID", "imgName", "Label", "Fovea_X", "Fovea_Y"],
        [1, "V0001.jpg", 1, 21.25, 13.5],
        [2, "V0002.jpg", 0, 0, 0],
    )
    manifest = scan("palm", tmp_path)
    rows = by_id(manifest)
    assert set(rows) == {"H0003", "N0001", "P0053", "V0001", "V0002"}
    assert (truth(manifest, rows["P0053"], "atrophy")[0] == CUP).all()
    assert (truth(manifest, rows["P0053"], "disc")[0] == DISC).all()
    assert rows["N0001"].masks == dict.fromkeys(("atrophy", "detachment", "disc"), (MaskSource(),))
    assert rows["V0001"].masks == {}  # no masks of that set at all: unknown
    assert rows["P0053"].answers == {"pathologic_myopia": "yes", "myopia": "pathologic"}
    assert rows["H0003"].answers == {"pathologic_myopia": "no", "myopia": "high"}
    assert rows["V0001"].answers == {"pathologic_myopia": "yes"}
    assert rows["V0001"].fovea == (13.5, 21.25)
    assert rows["V0002"].answers == {"pathologic_myopia": "no"}
    assert rows["V0002"].fovea is None
    assert [rows[name].split for name in ("N0001", "V0001")] == ["train", "val"]
    assert warned(manifest, "readme.jpg")


def test_refuge_cup_is_black_rim_grey(tmp_path: Path) -> None:
    mask = np.where(CUP, 0, np.where(DISC, 128, 255))
    marks = tmp_path / "Annotation-Training400/Disc_Cup_Masks"
    for seed, (folder, name) in enumerate((("Glaucoma", "g0001"), ("Non-Glaucoma", "n0001"))):
        photo(tmp_path / "REFUGE-Training400/Training400" / folder / f"{name}.jpg", seed)
        grey(marks / folder / f"{name}.bmp", mask)
    photo(tmp_path / "REFUGE-Training400/Training400/Non-AMD/N0001.jpg", 5)  # another challenge's, same name
    photo(tmp_path / "REFUGE-Validation400/V0001.jpg", 6)
    photo(tmp_path / "REFUGE-Test400/Test400/T0001.jpg", 7)
    grey(tmp_path / "REFUGE-Validation400-GT/Disc_Cup_Masks/V0001.bmp", mask)
    grey(tmp_path / "REFUGE-Validation400-GT/Disc_Cup_Masks/V0001.png", mask // 128)
    sheet(
        tmp_path / "REFUGE-Validation400-GT/Fovea_locations.xlsx",
        ["ID", "ImgName", "Fovea_X", "Fovea_Y", "Glaucoma Label"],
        [1, "V0001.jpg", 30.5, 20, 1],
    )
    text(
        tmp_path / "REFUGE-Test-GT/Glaucoma_label_and_Fovea_location.csv",
        "ID,ImgName,Label(Glaucoma=1),Fovea_X,Fovea_Y",
        "1,T0001.jpg,0,11,12",
    )
    manifest = scan("refuge", tmp_path)
    rows = by_id(manifest)
    assert set(rows) == {"g0001", "n0001", "V0001", "T0001"}
    for name in ("g0001", "V0001"):
        assert (truth(manifest, rows[name], "disc")[0] == DISC).all()
        assert (truth(manifest, rows[name], "cup")[0] == CUP).all()
    assert rows["T0001"].masks == {}
    assert {name: row.answers["glaucoma"] for name, row in rows.items()} == {
        "g0001": "yes",
        "n0001": "no",
        "V0001": "yes",
        "T0001": "no",
    }
    assert rows["V0001"].fovea == (20, 30.5)
    assert rows["T0001"].fovea == (12, 11)
    assert [rows[name].split for name in ("g0001", "V0001", "T0001")] == ["train", "val", "test"]
    assert warned(manifest, "1 masks are .png")


@pytest.mark.parametrize("kinds", [("GLAUCOMA", "NORMAL"), ("", "")])
def test_drishti_soft_maps_are_the_agreement_of_four(tmp_path: Path, kinds: tuple[str, str]) -> None:
    base = tmp_path / "Drishti-GS1_files/Drishti-GS1_files"
    votes = np.zeros((4, *SHAPE), bool)
    for k in range(4):
        votes[k] = ellipse(SHAPE, (20, 24), (10 - 2 * k, 9 - 2 * k))
    soft = np.rint(votes.mean(0) * 255)
    for folder, truths, name, kind in (
        ("Training", "GT", "drishtiGS_002", kinds[0]),
        ("Test", "Test_GT", "drishtiGS_001", kinds[1]),
    ):
        photo(base / folder / "Images" / kind / f"{name}.png", len(name))
        grey(base / folder / truths / name / "SoftMap" / f"{name}_ODsegSoftmap.png", soft)
        grey(base / folder / truths / name / "SoftMap" / f"{name}_cupsegSoftmap.png", soft * 0)
        text(base / folder / truths / name / "AvgBoundary" / f"{name}_diskCenter.txt", "20 24")
    manifest = scan("drishti_gs1", tmp_path)
    rows = by_id(manifest)
    for row in rows.values():
        for rule in ("union", "intersection", "majority"):
            marked, known = truth(manifest, row, "disc", rule)
            expected, sure = read.MERGE[rule](votes, np.ones_like(votes))
            assert (known == sure).all()
            assert (marked == (expected & sure)).all()
        assert not truth(manifest, row, "cup")[0].any()
    assert rows["drishtiGS_002"].split == "train"
    assert rows["drishtiGS_001"].split == "test"
    assert rows["drishtiGS_002"].answers == ({"glaucoma": "yes"} if kinds[0] else {})
    assert rows["drishtiGS_001"].answers == ({"glaucoma": "no"} if kinds[1] else {})
    assert not warned(manifest, "belong to no image")


def test_papila_outlines_of_two_experts(tmp_path: Path) -> None:
    base = tmp_path / "PapilaDB-PAPILA-17f8fa77"
    for seed, name in enumerate(("RET002OD", "RET002OS", "RET004OD")):
        photo(base / "FundusImages" / f"{name}.jpg", seed)
    outlines = base / "ExpertsSegmentations/Contours"
    text(outlines / "RET002OD_disc_exp1.txt", "10.0 5.0", "30.0 5.0", "30.0 25.0", "10.0 25.0")
    text(outlines / "RET002OD_disc_exp2.txt", "20 5", "40 5", "40 25", "20 25")
    text(outlines / "RET002OD_cup_exp1.txt", "15 10", "20 10", "20 15", "15 15")
    text(outlines / "RET999OD_cup_exp1.txt", "15 10", "20 10", "20 15")
    head: list[object] = [None, "Age", "Gender", "Diagnosis"]
    sheet(base / "ClinicalData/patient_data_od.xlsx", [None, "x"], head, ["ID"], ["#002", 61, 0, 1], ["#004", 60, 1, 2])
    sheet(base / "ClinicalData/patient_data_os.xlsx", [None, "x"], head, ["ID"], ["#002", 61, 0, 0], ["#004", 60, 1, 7])
    manifest = scan("papila", tmp_path)
    rows = by_id(manifest)
    assert {(row.patient, row.laterality) for row in manifest} == {
        ("papila-002", "OD"),
        ("papila-002", "OS"),
        ("papila-004", "OD"),
    }
    one, known = truth(manifest, rows["RET002OD"], "disc", "exp1")
    assert known.all()
    assert one[6:25, 11:30].all()
    assert one.sum() == 20 * 20
    two = truth(manifest, rows["RET002OD"], "disc", "exp2")[0]
    assert (truth(manifest, rows["RET002OD"], "disc", "intersection")[0] == (one & two)).all()
    assert not truth(manifest, rows["RET002OD"], "cup", "exp2")[1].any()
    assert "disc" not in rows["RET004OD"].masks
    assert rows["RET002OD"].answers == {"diagnosis": "glaucoma", "glaucoma": "yes"}
    assert rows["RET002OS"].answers == {"diagnosis": "healthy", "glaucoma": "no"}
    assert rows["RET004OD"].answers == {"diagnosis": "suspect"}
    assert warned(manifest, "RET999OD_cup_exp1.txt")
    assert warned(manifest, "patient_data_os.xlsx, line 5", "'7'")
    again = Manifest.read(manifest.write(tmp_path / "papila.jsonl").path or tmp_path)
    assert again.rows == manifest.rows


def test_papila_damaged_outline_is_named(tmp_path: Path) -> None:
    photo(tmp_path / "FundusImages/RET002OD.jpg")
    for name, lines in (("disc_exp1", ("1 2", "3 4")), ("disc_exp2", ("1 2", "3", "5 6")), ("cup_exp1", ("a b",) * 3)):
        text(tmp_path / f"ExpertsSegmentations/Contours/RET002OD_{name}.txt", *lines)
    manifest = scan("papila", tmp_path)
    for annotator, label in (("exp2", "disc"), ("exp1", "disc|cup")):
        with pytest.raises(read.Unreadable, match=rf"RET002OD_({label})_{annotator}\.txt: must be an outline"):
            truth(manifest, manifest[0], "disc", annotator)


@pytest.mark.parametrize("lines", [("1 2", "3 4"), ("1 2", "3", "5 6"), ("a b",) * 3, ("1 2 3",) * 3, ("1 inf",) * 3])
def test_outline_of_what_is_none(tmp_path: Path, lines: tuple[str, ...]) -> None:
    text(tmp_path / "o.txt", *lines)
    with pytest.raises(read.Unreadable, match=r"o\.txt: must be an outline"):
        read.outline(tmp_path / "o.txt", SHAPE)
    with pytest.raises(read.Unreadable, match=r"p\.txt: there is no such file"):
        read.outline(tmp_path / "p.txt", SHAPE)


def test_outline_outside_the_image_is_cut(tmp_path: Path) -> None:
    text(tmp_path / "o.txt", "-10,-10", "20,-10", "20,15", "-10,15")
    mask = read.outline(tmp_path / "o.txt", SHAPE)
    assert mask.sum() == 20 * 15
    assert mask[:15, :20].all()


def test_messidor2(tmp_path: Path) -> None:
    for seed, name in enumerate(("20051020_1_PP.png", "20051020_2_PP.png", "IM000023.JPG", "IM000024.JPG")):
        photo(tmp_path / "IMAGES" / name, seed)
    text(tmp_path / "messidor-2.csv", "left;right", "20051020_1_PP.png;20051020_2_PP.png", "IM000023.jpg;IM000024.jpg")
    text(
        tmp_path / "messidor_data.csv",
        "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable",
        "20051020_1_PP.png,2,1,1",
        "20051020_2_PP.png,0.0,0.0,1",
        "IM000023.jpg,,,0",
    )
    manifest = scan("messidor2", tmp_path)
    rows = by_id(manifest)
    assert rows["20051020_1_PP"].answers == {"grade": "2", "macular_oedema": "yes", "gradable": "yes"}
    assert rows["20051020_2_PP"].answers == {"grade": "0", "macular_oedema": "no", "gradable": "yes"}
    assert rows["IM000023"].answers == {"gradable": "no"}
    assert rows["IM000024"].answers == {}
    assert rows["20051020_1_PP"].patient == rows["20051020_2_PP"].patient
    assert rows["IM000023"].patient == rows["IM000024"].patient != rows["20051020_1_PP"].patient
    assert [rows[n].laterality for n in ("IM000023", "IM000024")] == ["OS", "OD"]
    text(tmp_path / "messidor_data.csv", "id_code,diagnosis", "20051020_1_PP.png,2")
    look_alike = scan("messidor2", tmp_path)
    assert not any(row.answers for row in look_alike)
    assert warned(look_alike, "no column 'image_id'", "was not used")


def test_aptos2019(tmp_path: Path) -> None:
    for seed, name in enumerate(("000c1434d8d7", "001639a390f0")):
        photo(tmp_path / "train_images" / f"{name}.png", seed)
    photo(tmp_path / "test_images/0005cfc8afb6.png")
    text(tmp_path / "train.csv", "id_code,diagnosis", "000c1434d8d7,2", "001639a390f0,4")
    manifest = scan("aptos2019", tmp_path)
    assert {row.id: row.answers["grade"] for row in manifest} == {"000c1434d8d7": "2", "001639a390f0": "4"}
    assert all(row.patient is None for row in manifest)
    assert warned(manifest, "images: 2 found, 3662 expected")


def test_eyepacs_shares_its_patients_with_retinal_lesions(tmp_path: Path) -> None:
    for seed, name in enumerate(("10_left", "10_right", "13_left")):
        photo(tmp_path / "train/train" / f"{name}.jpeg", seed)
    photo(tmp_path / "test/1_left.jpeg", 9)
    photo(tmp_path / "test/strange.jpeg", 10)
    text(tmp_path / "trainLabels.csv", "image,level", "10_left,0", "10_right,0", "13_left,3", "999_left,1")
    text(tmp_path / "retinopathy_solution.csv", "image,level,Usage", "1_left,4,Private")
    photo(tmp_path / "lesions/images_896x896/10_left.jpg", 11)
    manifest = scan("eyepacs", tmp_path)
    rows = by_id(manifest)
    assert {name: (row.split, row.answers.get("grade"), row.laterality) for name, row in rows.items()} == {
        "10_left": ("train", "0", "OS"),
        "10_right": ("train", "0", "OD"),
        "13_left": ("train", "3", "OS"),
        "1_left": ("test", "4", "OS"),
    }
    assert warned(manifest, "strange.jpeg")
    lesions = scan("retinal_lesions", tmp_path / "lesions")
    rest = manifest.where(lambda row: row.patient not in {r.patient for r in lesions})
    assert [row.id for row in rest] == ["13_left", "1_left"]
