"""Adapters of sets with a diagnosis for each B-scan, on small trees with the original names."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foveate.core.types import Row
from foveate.data import read
from foveate.data.adapters import scan
from foveate.data.manifest import Manifest
from foveate.data.split import leaks, split

SHAPE = (30, 20)


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)).save(path)


def by_id(manifest: Manifest) -> dict[str, Row]:
    return {row.id: row for row in manifest}


def warned(manifest: Manifest, *words: str) -> bool:
    return any(all(word in line for word in words) for line in manifest.info["warnings"])


# -- Kermany ---------------------------------------------------------------------------------------------------------


def kermany(root: Path, *names: str) -> Manifest:
    for seed, name in enumerate(names):
        picture(root / name, seed)
    return scan("kermany", root)


def test_kermany_keeps_a_split_that_does_not_leak(tmp_path: Path) -> None:
    manifest = kermany(
        tmp_path,
        "OCT2017%20/train/CNV/CNV-1016042-1.jpeg",
        "OCT2017%20/train/DRUSEN/DRUSEN-1016042-7.jpeg",
        "OCT2017%20/Test/normal/NORMAL-77-1.jpeg",
        "OCT2017%20/val/DME/DME-5-1.jpeg",
        "OCT2017%20/train/DME/odd.jpeg",
    )
    rows = by_id(manifest)
    assert {name: row.split for name, row in rows.items()} == {
        "train/CNV-1016042-1": "train",
        "train/DRUSEN-1016042-7": "train",
        "train/odd": "train",
        "test/NORMAL-77-1": "test",
        "val/DME-5-1": "val",
    }
    assert rows["train/CNV-1016042-1"].group == rows["train/DRUSEN-1016042-7"].group == "1016042"
    assert rows["test/NORMAL-77-1"].answers == {"diagnosis": "NORMAL"}
    assert rows["train/odd"].patient is None
    assert rows["train/odd"].answers == {"diagnosis": "DME"}
    assert warned(manifest, "1 names are not as CNV-PATIENT-NUMBER", "odd.jpeg")
    assert warned(manifest, "train images: 3 found, 83484 expected")
    assert rows["train/odd"].modality == "oct"


def test_kermany_gives_up_a_split_that_leaks(tmp_path: Path) -> None:
    manifest = kermany(
        tmp_path,
        *(f"CellData/OCT/train/CNV/CNV-{n}-1.jpeg" for n in range(8)),
        "CellData/OCT/test/CNV/CNV-3-2.jpeg",
        "CellData/OCT/test/NORMAL/NORMAL-99-1.jpeg",
    )
    assert {row.split for row in manifest} == {None}
    assert warned(manifest, "1 patients are in more than one of train, val, test")
    divided = split(manifest, ratios=(0.5, 0.0, 0.5))
    assert leaks(divided) == []
    assert len(manifest.where(lambda row: row.id.startswith("test/"))) == 2
    assert warned(manifest, "test images: 2 found, 1000 expected")


def test_kermany_that_was_unpacked_twice(tmp_path: Path) -> None:
    manifest = kermany(tmp_path, "OCT2017/train/CNV/CNV-1-1.jpeg", "oct2017/OCT2017/train/CNV/CNV-1-1.jpeg")
    assert len(manifest) == 1
    assert warned(manifest, "1 images are there twice")


# -- Srinivasan ------------------------------------------------------------------------------------------------------


def test_srinivasan(tmp_path: Path) -> None:
    top = tmp_path / "publication_dataset"
    for seed, name in enumerate(("AMD2", "AMD10", "dme1", "Normal15")):
        picture(top / name / "TIFFs/8bitTIFFs/001.tif", seed)
        picture(top / name / "TIFFs/8bitTIFFs/012.tif", 10 + seed)
        picture(top / name / "TIFFs/001.tif", 20 + seed)  # not 8 bit: left alone
    picture(top / "NORMAL3/TIFFs/001.tif", 30)
    picture(top / "thumbs/001.tif", 31)
    manifest = scan("srinivasan", tmp_path)
    assert [row.id for row in manifest] == [
        *("AMD2/001", "AMD2/012", "AMD10/001", "AMD10/012", "DME1/001", "DME1/012"),
        *("NORMAL3/001", "NORMAL15/001", "NORMAL15/012"),
    ]
    row = by_id(manifest)["AMD10/012"]
    assert row.image == "publication_dataset/AMD10/TIFFs/8bitTIFFs/012.tif"
    assert row.answers == {"diagnosis": "AMD"}
    assert (row.patient, row.eye, row.volume, row.position, row.split) == ("AMD10", "AMD10", "AMD10", 12, None)
    assert warned(manifest, "NORMAL3: there is no folder 8bitTIFFs")
    assert warned(manifest, "volumes: 5 found, 45 expected")


def test_srinivasan_unpacked_twice(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        picture(tmp_path / folder / "AMD1/TIFFs/8bitTIFFs/001.tif", 1)
    manifest = scan("srinivasan", tmp_path)
    assert [row.image for row in manifest] == ["a/AMD1/TIFFs/8bitTIFFs/001.tif"]
    assert warned(manifest, "same B-scan")


# -- OCTDL -----------------------------------------------------------------------------------------------------------

HEAD = "file_name,disease,subcategory,condition,patient_id,eye,sex,year,image_width,image_height"


def octdl(root: Path, *lines: str) -> Manifest:
    for seed, name in enumerate(("AMD/amd_1047099_1", "AMD/amd_1047099_2", "no/no_129_1", "VID/vid_55_1")):
        picture(root / "OCTDL" / f"{name}.jpg", seed)
    if lines:
        (root / "OCTDL_labels.csv").write_text("\n".join([HEAD, *lines]) + "\n")
    return scan("octdl", root)


def test_octdl(tmp_path: Path) -> None:
    manifest = octdl(
        tmp_path,
        "amd_1047099_1,AMD,early,drusen,12,OD,F,70,954,681",
        "amd_1047099_2.jpg,amd,early,drusen,12,os,F,70,954,681",
        "no_129_1,VID,,,13,,,,,",
        "gone_1_1,DME,,,14,,,,,",
    )
    rows = by_id(manifest)
    first = rows["amd_1047099_1"]
    assert (first.answers, first.patient, first.laterality, first.eye) == ({"diagnosis": "AMD"}, "12", "OD", "12_OD")
    assert (rows["amd_1047099_2"].eye, rows["amd_1047099_2"].group) == ("12_OS", "12")
    assert rows["no_129_1"].answers == {}
    assert rows["no_129_1"].laterality is None
    assert warned(manifest, "the disease is VID, but the image is in NO")
    assert rows["vid_55_1"].patient == "55"
    assert warned(manifest, "1 images are not in the table", "vid_55_1")
    assert warned(manifest, "gone_1_1")
    assert warned(manifest, "diagnosis AMD: 2 found, 1231 expected")


def test_octdl_without_its_table(tmp_path: Path) -> None:
    manifest = octdl(tmp_path)
    assert warned(manifest, "no OCTDL_labels.csv")
    assert [row.patient for row in manifest] == ["1047099", "1047099", "129", "55"]
    assert all(row.answers for row in manifest)


# -- OCT5k -----------------------------------------------------------------------------------------------------------

LAYERED = np.repeat(np.arange(6, dtype=np.uint8), 5)[:, None].repeat(20, 1)  # five rows a region, from the top


def oct5k(root: Path, images: str = "Images_Manual", values: np.ndarray = LAYERED) -> Manifest:
    places = {
        "AMD Part1/AMD (1).E2E/2- 25- 2017 9- 10- 42 PM/Image 10": (1, 2, 3),
        "AMD Part2/AMD (1).E2E/3- 1- 2018 9- 10- 42 PM/Image 2": (1,),
        "DME/DME (12).E2E/x/Image 7": (2,),
        "Normal/Normal (3).E2E/x/Image 7": (),
        "other/Image 1": (),
    }
    for seed, (place, gradings) in enumerate(places.items()):
        ending = ".png" if images == "Images_Manual" else ".TIFF"
        picture(root / "OCT5k/Images" / images / f"{place}{ending}", seed)
        for n in gradings:
            path = root / "OCT5k/Masks/Masks_Manual" / f"Grading_{n}" / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.roll(values, n - 1, 0) if n == 2 and (values == LAYERED).all() else values).save(path)
    return scan("oct5k", root)


def test_oct5k(tmp_path: Path) -> None:
    manifest = oct5k(tmp_path)
    rows = by_id(manifest)
    first = rows["AMD Part1/AMD (1).E2E/2- 25- 2017 9- 10- 42 PM/Image 10"]
    assert (first.answers, first.patient, first.position) == ({"diagnosis": "AMD"}, "AMD_1", 10)
    assert first.volume == "AMD Part1/AMD (1).E2E/2- 25- 2017 9- 10- 42 PM"
    second = rows["AMD Part2/AMD (1).E2E/3- 1- 2018 9- 10- 42 PM/Image 2"]
    assert (second.patient, second.volume == first.volume) == ("AMD_1", False)
    assert rows["Normal/Normal (3).E2E/x/Image 7"].masks == {}
    assert rows["Normal/Normal (3).E2E/x/Image 7"].answers == {"diagnosis": "NORMAL"}
    assert rows["other/Image 1"].answers == {}
    assert warned(manifest, "other/Image 1", "unknown")
    masks, known = read.masks(second, manifest.root, manifest.schema, shape=SHAPE)
    assert known.all()
    assert [np.nonzero(m[:, 0])[0].tolist() for m in masks] == [list(range(5 * i, 5 * i + 5)) for i in (1, 2, 3, 4)]
    assert [s.annotator for s in first.masks["rpe"]] == [
        "grading1",
        "grading3",
    ]  # the second has vitreous at the bottom
    assert warned(manifest, "grading2 was not used")


def test_oct5k_of_original_images_has_the_graded_ones(tmp_path: Path) -> None:
    manifest = oct5k(tmp_path, "Images_Original")
    assert len(manifest) == 2 + 0  # DME's only mask is in the grading that is not as described
    assert all(row.image.endswith(".TIFF") and row.masks for row in manifest)


@pytest.mark.parametrize("values", [LAYERED * 51, LAYERED[::-1].copy()])
def test_oct5k_with_other_values_has_no_masks(tmp_path: Path, values: np.ndarray) -> None:
    manifest = oct5k(tmp_path, values=values)
    assert len(manifest) == 5
    assert all(row.masks == {} for row in manifest)
    assert warned(manifest, "not 0 to 5 from the top down", "grading1")
