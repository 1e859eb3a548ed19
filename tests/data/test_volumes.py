"""The adapter of volumes: one B-scan a row, with what the header says and nothing that it does not."""

import os
from pathlib import Path

import numpy as np
import pytest
from dicom_files import dicom, tomography
from format_files import e2e, fda, heyex_xml, metaimage, nifti, vol, volume
from PIL import Image

from foveate.data import read
from foveate.data.adapters import scan as scan_set
from foveate.data.adapters.volumes import laterality, pseudonym, scan, spacing


def rows_of(root: Path) -> tuple[dict, list[str]]:
    told: list[str] = []
    rows = list(scan(root, warn=told.append))
    assert len({row.id for row in rows}) == len(rows)
    return {row.id: row for row in rows}, told


def test_every_kind_in_one_folder(tmp_path: Path) -> None:
    values = volume()
    for name in ("x", "x/deep"):
        (tmp_path / name).mkdir()
    (tmp_path / "v.vol").write_bytes(vol(values / np.float32(255), side=b"OS"))
    (tmp_path / "both.e2e").write_bytes(e2e([values.astype(np.uint16), values[:2].astype(np.uint16)]))
    (tmp_path / "t.fda").write_bytes(fda(values))
    head, pixels = metaimage(values, data="m.raw")
    (tmp_path / "x/m.mhd").write_bytes(head)
    (tmp_path / "x/m.raw").write_bytes(pixels)
    (tmp_path / "x/m.nii.gz").write_bytes(nifti(values, packed=True))
    heyex_xml(tmp_path / "x/deep", values)
    tomography(tmp_path / "d", values).save_as(tmp_path / "d")
    dicom(tmp_path / "p", values[:1]).save_as(tmp_path / "p")
    Image.fromarray(values[0]).save(tmp_path / "picture.png")
    (tmp_path / "notes.txt").write_text("no image")
    rows, told = rows_of(tmp_path)
    assert told == []
    stems = {"v": 3, "both": 5, "t": 3, "x/m.mhd": 3, "x/m.nii.gz": 3, "x/deep/scan": 3, "d": 3}
    assert set(rows) == {f"{stem}_{i:03d}" for stem, count in stems.items() for i in range(count)} | {"p"}
    for row in rows.values():
        assert read.image(tmp_path / row.image, frame=row.frame).shape == (10, 16, 3)
        assert row.answers == {}
        assert row.masks == {}
    someone = pseudonym("4711")
    v = rows["v_001"]
    assert (v.volume, v.position, v.frame, v.laterality, v.modality) == ("v", 1, 1, "OS", "oct")
    assert (v.patient, v.eye, v.spacing) == (someone, f"{someone}_OS", (0.0039, 0.0117))
    fourth = rows["both_003"]
    assert (fourth.volume, fourth.position, fourth.frame, fourth.laterality) == ("both_1", 0, 3, "OS")
    assert fourth.spacing is None
    photograph = rows["p"]
    assert (photograph.volume, photograph.position, photograph.frame) == (None, None, None)
    assert (photograph.modality, photograph.laterality) == ("photograph", "OD")
    assert rows["x/m.mhd_000"].patient is None
    assert rows["x/m.mhd_000"].laterality is None
    assert {row.patient for row in rows.values()} == {someone, None}, "one person over all formats"
    text = "".join(map(repr, rows.values()))
    assert not any(secret in text for secret in ("4711", "Doe", "Jane", "ller"))


def test_as_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "v.vol").write_bytes(vol(volume() / np.float32(255)))
    dicom(tmp_path / "p", volume(1)).save_as(tmp_path / "p")
    manifest = scan_set("volumes", tmp_path)
    assert len(manifest) == 4
    again = manifest.write(tmp_path / "m.jsonl").read(tmp_path / "m.jsonl")
    assert again.rows == manifest.rows
    assert {row.id: row.frame for row in again} == {"v_000": 0, "v_001": 1, "v_002": 2, "p": None}
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="there is nothing of OCT volumes"):
        scan_set("volumes", tmp_path / "empty")


def test_what_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "a.vol").write_bytes(vol(volume() / np.float32(255), side=b"XX", scale=(3.9, 11.7)))
    (tmp_path / "cut.vol").write_bytes(vol(volume() / np.float32(255))[:-9])
    (tmp_path / "one.mha").write_bytes(b"".join(metaimage(volume())).replace(b"0.0117 0.0039 0.12", b"1 1 1"))
    rows, told = rows_of(tmp_path)
    assert {row.spacing for row in rows.values()} == {None}
    assert {row.laterality for row in rows.values()} == {None}
    assert len(told) == 3, "each once a file, not once a B-scan"
    assert any("cut.vol: its header states 3 B-scans and 2 are there" in text for text in told)
    assert any("a.vol: laterality must be one of" in text and "got 'XX'" in text for text in told)
    assert any("a.vol: spacing 3.9 x 11.7 mm" in text for text in told)


def test_sides_and_spacings() -> None:
    told: list[str] = []
    given = ("R", "l ", "od", "OS\0", "U", "B", "", None, "right", "1")
    assert [laterality(code, warn=told.append) for code in given] == ["OD", "OS", "OD", "OS"] + [None] * 6
    assert len(told) == 2
    told.clear()
    good = ((0.0005, 1.0), (0.0039, 0.0117), (1.0, 0.5))
    assert [spacing(pair, warn=told.append) for pair in good] == list(good)
    assert told == []
    for pair in ((0.0, 0.01), (0.01, 1.01), (-0.01, 0.01), (float("nan"), 0.01), (0.01, float("inf")), (0.0004, 0.01)):
        assert spacing(pair, warn=told.append) is None
    assert len(told) == 6
    assert spacing(None, warn=told.append) is None
    assert spacing((1.0, 1.0), warn=told.append) is None
    assert len(told) == 6, "a program that was not told a spacing writes 1"


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "v.vol").write_bytes(vol(volume(1) / np.float32(255)))
    os.symlink(root, root / "a" / "up")
    os.symlink(tmp_path / "far", root / "a" / "far")
    os.symlink("self", root / "self")
    os.symlink("gone", root / "dead.vol")
    rows, told = rows_of(root)
    assert set(rows) == {"a/far/v"}
    assert sorted(told) == ["dead.vol: leads to no file; left out", "self: leads to no file; left out"]
