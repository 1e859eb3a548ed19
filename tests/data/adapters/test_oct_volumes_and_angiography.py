"""RETOUCH and DRAC 2022, on small trees with the original names and encodings."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from foveate.core.types import MaskSource, Row
from foveate.data import read
from foveate.data.adapters import scan
from foveate.data.check import check
from foveate.data.manifest import Manifest
from foveate.data.split import split

ROWS, COLS, COUNT = 24, 16, 3
TYPES = {np.dtype(np.uint8): "MET_UCHAR", np.dtype(np.uint16): "MET_USHORT"}


def by_id(manifest: Manifest) -> dict[str, Row]:
    return {row.id: row for row in manifest}


def warned(manifest: Manifest, *words: str) -> bool:
    return any(all(word in line for word in words) for line in manifest.info["warnings"])


# -- RETOUCH ---------------------------------------------------------------------------------------------------------


def volume(folder: Path, name: str, values: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    count, rows, cols = values.shape
    (folder / f"{name}.raw").write_bytes(values.astype(values.dtype.newbyteorder("<")).tobytes())
    (folder / f"{name}.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nCenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\n"
        f"ElementSpacing = 0.0117 0.0039 0.0469\nDimSize = {cols} {rows} {count}\n"
        f"ElementType = {TYPES[values.dtype]}\nElementDataFile = {name}.raw\n"
    )


def fluid() -> np.ndarray:
    """First B-scan: IRF and PED; second: SRF; third: none."""
    index = np.zeros((COUNT, ROWS, COLS), np.uint8)
    index[0, 2:5, 3:9] = 1
    index[0, 12:14] = 3
    index[1, 10:12, :4] = 2
    return index


def retouch(root: Path) -> Path:
    rng = np.random.default_rng(0)
    places = {
        "TrainingCirrus/RETOUCH-TrainingSet-Cirrus/TRAIN001": np.uint8,
        "RETOUCH-TrainingSet-Spectralis/TRAIN025": np.uint16,
        "RETOUCH-TestSet-Topcon/TEST029": np.uint8,
        "elsewhere/TRAIN070": np.uint8,
    }
    for place, kind in places.items():
        values = rng.integers(0, np.iinfo(kind).max, (COUNT, ROWS, COLS), kind, endpoint=True)
        volume(root / place, "oct", values)
        if "TRAIN" in place:
            volume(root / place, "reference", fluid())
    return root


def test_retouch(tmp_path: Path) -> None:
    manifest = scan("retouch", retouch(tmp_path))
    assert len(manifest) == 4 * COUNT
    rows = by_id(manifest)
    row = rows["TRAIN001_000"]
    assert row.image == "TrainingCirrus/RETOUCH-TrainingSet-Cirrus/TRAIN001/oct.mhd"
    assert (row.patient, row.volume, row.position, row.frame, row.split) == ("TRAIN001", "TRAIN001", 0, 0, "train")
    assert row.spacing == (0.0039, 0.0117)
    assert row.answers == {"irf_present": "yes", "srf_present": "no", "ped_present": "yes"}
    assert rows["TRAIN001_001"].answers == {"irf_present": "no", "srf_present": "yes", "ped_present": "no"}
    assert set(rows["TRAIN001_002"].answers.values()) == {"no"}
    assert {row.volume: row.source for row in manifest} == {
        "TRAIN001": "retouch/cirrus",
        "TRAIN025": "retouch/spectralis",
        "TEST029": "retouch/topcon",
        "TRAIN070": "retouch",
    }
    assert warned(manifest, "TRAIN070", "its device is unknown")
    test = rows["TEST029_002"]
    assert (test.split, test.masks, test.answers) == ("test", {}, {})
    assert warned(manifest, "volumes: 4 found, 112 expected")


def test_retouch_masks_are_those_of_the_slice(tmp_path: Path) -> None:
    manifest = scan("retouch", retouch(tmp_path))
    assert manifest.schema.exclusive
    for volume in ("TRAIN001", "TRAIN025"):
        for frame, index in enumerate(fluid()):
            row = by_id(manifest)[f"{volume}_{frame:03d}"]
            masks, known = read.masks(row, tmp_path, manifest.schema, shape=(ROWS, COLS))
            assert known.all()
            for value, mask in enumerate(masks, 1):
                assert (mask == (index == value)).all()
    report = check(manifest)
    assert report.ok, str(report)
    assert not report.contradictions


def test_retouch_sixteen_bits_are_scaled_alike(tmp_path: Path) -> None:
    manifest = scan("retouch", retouch(tmp_path))
    row = by_id(manifest)["TRAIN025_001"]
    raw = np.fromfile(tmp_path / "RETOUCH-TrainingSet-Spectralis/TRAIN025/oct.raw", "<u2").reshape(COUNT, ROWS, COLS)
    assert (read.image(tmp_path / row.image, frame=1)[..., 0] == np.rint(raw[1] * (255 / 65535))).all()


def test_retouch_what_does_not_fit_is_told(tmp_path: Path) -> None:
    retouch(tmp_path)
    volume(tmp_path / "RETOUCH-TrainingSet-Spectralis/TRAIN025", "reference", fluid()[:2])
    (tmp_path / "elsewhere/TRAIN070/oct.raw").write_bytes(b"short")
    shutil.copytree(tmp_path / "RETOUCH-TestSet-Topcon", tmp_path / "Topcon again")
    manifest = scan("retouch", tmp_path)
    assert {row.volume for row in manifest} == {"TRAIN001", "TRAIN025", "TEST029"}
    assert by_id(manifest)["TRAIN025_000"].masks == {}
    assert warned(manifest, "TRAIN025/reference.mhd has other sizes")
    assert warned(manifest, "TRAIN070", "left out")
    assert warned(manifest, "Topcon again", "the same volume name") or warned(manifest, "TEST029", "is taken")


# -- DRAC 2022 -------------------------------------------------------------------------------------------------------

SHAPE = (20, 20)
LESION = np.zeros(SHAPE, np.uint8)
LESION[5:9, 3:12] = 255


def angiogram(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)).save(path)


def grey(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def drac(root: Path) -> Path:
    seg, quality, grade = (
        root / name for name in ("A._Segmentation", "B.%20Image Quality Assessment", "C. Diabetic Retinopathy Grading")
    )
    train, test = "1. Original Images/a. Training Set", "1. Original Images/b. Testing Set"
    for number in (65, 82):
        angiogram(seg / train / f"{number:03d}.png", number)
    for number in (65, 82, 100):
        angiogram(quality / train / f"{number:03d}.png", number)
    angiogram(grade / train / "100.png", 100)
    angiogram(grade / train / "065.png", 999)  # another image of that name
    angiogram(grade / test / "082.png", 82)
    angiogram(grade / test / "500.png", 500)
    truth = seg / "2. Groundtruths/a. Training Set"
    grey(truth / "1. Intraretinal Microvascular Abnormalities/082.png", LESION)
    grey(truth / "2. Nonperfusion Areas/065.png", 255 - LESION)
    grey(truth / "2. Nonperfusion Areas/077.png", LESION)
    (quality / "2. Groundtruths").mkdir()
    (quality / "2. Groundtruths/a. DRAC2022_ Image Quality Assessment_Training Labels.csv").write_text(
        "image name,image quality level\n065.png,2\n082.png,0\n100.png,7\n"
    )
    (grade / "2. Groundtruths").mkdir()
    (grade / "2. Groundtruths/a. DRAC2022_ Diabetic Retinopathy Grading_Training Labels.csv").write_text(
        "image name,DR grade\n100.png,1\n065.png,2\n"
    )
    return root


def test_drac(tmp_path: Path) -> None:
    manifest = scan("drac2022", drac(tmp_path))
    rows = by_id(manifest)
    assert set(rows) == {"065", "082", "100", "500", "grade/065"}
    assert rows["065"].answers == {"quality": "2"}
    assert rows["grade/065"].answers == {"grade": "2"}
    assert rows["100"].answers == {"grade": "1"}
    assert warned(manifest, "'7'")
    assert rows["100"].masks == {}
    assert rows["500"].answers == {}
    assert {name: row.split for name, row in rows.items()} == {
        "065": "train",
        "082": "test",  # tested in the grading task
        "100": "train",
        "500": "test",
        "grade/065": "train",
    }
    assert warned(manifest, "1 images are trained on in one task and tested in another", "082")
    assert warned(manifest, "1 names are of different images")
    assert warned(manifest, "1 files belong to no image", "077.png")
    assert all(row.modality == "enface" for row in manifest)
    assert split(manifest).where(split="test").rows == manifest.where(split="test").rows


def test_drac_masks(tmp_path: Path) -> None:
    manifest = scan("drac2022", drac(tmp_path))
    rows = by_id(manifest)
    assert rows["082"].masks["nonperfusion"] == (MaskSource(),)
    assert "neovascularization" not in rows["082"].masks  # its folder is not there
    masks, known = read.masks(rows["082"], tmp_path, manifest.schema, shape=SHAPE)
    assert (masks[0] == (LESION > 0)).all()
    assert not masks[1].any()
    assert known[:2].all()
    assert not known[2].any()
    masks, _ = read.masks(rows["065"], tmp_path, manifest.schema, shape=SHAPE)
    assert (masks[1] == (LESION == 0)).all()


def test_drac_without_tables(tmp_path: Path) -> None:
    drac(tmp_path)
    for path in tmp_path.rglob("*.csv"):
        path.unlink()
    manifest = scan("drac2022", tmp_path)
    assert all(not row.answers for row in manifest)
    assert warned(manifest, "B. Image Quality Assessment: there is no", "3 images")
    shutil.rmtree(tmp_path / "B.%20Image Quality Assessment")
    shutil.rmtree(tmp_path / "C. Diabetic Retinopathy Grading")
    assert {row.id for row in scan("drac2022", tmp_path)} == {"065", "082"}
