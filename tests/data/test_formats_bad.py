"""Files that are cut off, empty, mislabelled, too large or not numbers: one error, with file, reason and remedy."""

import gzip
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_files import dicom, tomography
from format_files import e2e, fda, heyex_xml, metaimage, nifti, png_claiming, vol, volume
from PIL import Image

from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data import read


def bytes_of(save: Callable[[Path], object], folder: Path) -> bytes:
    save(folder / "whole")
    return (folder / "whole").read_bytes()


def whole(kind: str, folder: Path) -> bytes:
    values = volume()
    if kind in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP", "JPEG2000"):
        return bytes_of(lambda p: Image.fromarray(np.repeat(values[0], 8, 1)).save(p, kind), folder)
    if kind == "dicom":
        return bytes_of(lambda p: tomography(p, values).save_as(p), folder)
    return {
        "vol": lambda: vol(values / np.float32(255)),
        "e2e": lambda: e2e([values.astype(np.uint16)]),
        "fda": lambda: fda(values),
        "fda bare": lambda: fda(values, bare=True),
        "mha": lambda: b"".join(metaimage(values)),
        "mha packed": lambda: b"".join(metaimage(values, packed=True)),
        "nii": lambda: nifti(values),
        "nii.gz": lambda: nifti(values, packed=True),
        "xml": lambda: heyex_xml(folder, values).read_bytes(),
    }[kind]()


KINDS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP", "JPEG2000", "dicom")
VOLUMES = ("vol", "e2e", "fda", "fda bare", "mha", "mha packed", "nii", "nii.gz", "xml")


@pytest.mark.parametrize("kind", KINDS + VOLUMES)
def test_no_cut_is_taken_for_the_whole(tmp_path: Path, kind: str) -> None:
    """The last frame of a file cut anywhere before its last pixel is an error, never an image."""
    data = whole(kind, tmp_path)
    path = tmp_path / "a"
    path.write_bytes(data)
    last = read.frames(path) - 1
    there = read.image(path, frame=last)
    # what may follow the last pixel: JPEG's end mark, GIF's trailer, PNG's empty chunk, gzip's checksum, a closing tag
    spare = {"PNG": 12, "JPEG": 2, "GIF": 2, "JPEG2000": 2, "TIFF": 0, "xml": 1}.get(kind, 1)
    for kept in sorted({0, 1, 5, len(data) // 3, len(data) // 2, 9 * len(data) // 10, len(data) - spare - 40}):
        path.write_bytes(data[:kept])
        with pytest.raises(read.Unreadable, match=r"a: .{10,}"):
            read.image(path, frame=last)
    path.write_bytes(data)
    np.testing.assert_array_equal(read.image(path, frame=last), there)


def test_counts_are_checked_against_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a"
    data = vol(volume() / np.float32(255))
    path.write_bytes(data[: len(data) - 700])
    with pytest.raises(read.Unreadable, match="its header states 3 B-scans and 2 are there; copy or export it again"):
        read.image(path, frame=0)
    path.write_bytes(e2e([volume().astype(np.uint16)], told=25))
    with pytest.raises(read.Unreadable, match="states 25 B-scans and 3 are there"):
        read.frames(path)
    for bare in (False, True):
        path.write_bytes(fda(volume(), told=4, bare=bare))
        with pytest.raises(read.Unreadable, match="states 4 B-scans and 3 are there"):
            read.frames(path)
    path.write_bytes(b"".join(metaimage(volume())).replace(b"16 10 3", b"16 10 4"))
    with pytest.raises(read.Unreadable, match="holds 480 bytes of pixels, and its header states 640"):
        read.frames(path)
    path.write_bytes(nifti(volume())[:-1])
    with pytest.raises(read.Unreadable, match="holds 831 bytes, and its header states 832"):
        read.frames(path)


def test_empty_files(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    for look in (read.image, read.size, read.frames):
        with pytest.raises(read.Unreadable, match=r"a\.png: is empty \(0 bytes\)"):
            look(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.dcm", "a.vol", "a", "a.nii.gz"])
def test_content_decides_and_not_the_ending(tmp_path: Path, name: str) -> None:
    Image.fromarray(volume()[0]).save(tmp_path / name, format="PNG")
    np.testing.assert_array_equal(read.image(tmp_path / name)[:, :, 0], volume()[0])
    (tmp_path / name).write_bytes(nifti(volume()))
    assert read.frames(tmp_path / name) == 3


def test_one_pixel(tmp_path: Path) -> None:
    for kind in ("png", "tif", "bmp", "gif", "webp", "pgm"):
        Image.new("L", (1, 1), 77).save(tmp_path / f"a.{kind}")
        assert np.abs(read.image(tmp_path / f"a.{kind}").astype(int) - 77).max() <= 3
        assert read.size(tmp_path / f"a.{kind}") == (1, 1)
    one = np.array([[[200]]], np.uint8)
    (tmp_path / "a.mha").write_bytes(b"".join(metaimage(one)))
    assert read.image(tmp_path / "a.mha").tolist() == [[[200, 200, 200]]]


def test_decompression_bombs(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_claiming(30000, 30000))
    for look in (read.image, read.size, read.frames):
        with pytest.raises(read.Unreadable, match=r"more than the 178956970 that are decoded .*MAX_IMAGE_PIXELS"):
            look(path)
    path.write_bytes(b"".join(metaimage(volume())).replace(b"16 10 3", b"30000 30000 3"))
    with pytest.raises(read.Unreadable, match=r"30000 x 30000 pixels .*MAX_IMAGE_PIXELS"):
        read.frames(path)
    path.write_bytes(b"".join(metaimage(volume(), packed=True)).replace(b"16 10 3", b"10000 10000 9999"))
    with pytest.raises(read.Unreadable, match="claims 999900000000 bytes once unpacked"):
        read.image(path, frame=0)
    header = bytearray(vol(volume() / np.float32(255)))
    struct.pack_into("<3I", header, 12, 30000, 1, 30000)
    path.write_bytes(header)
    with pytest.raises(read.Unreadable, match="30000 x 30000 pixels"):
        read.frames(path)
    header = bytearray(nifti(volume()))
    struct.pack_into("<8h", header, 40, 3, 30000, 30000, 3, 1, 1, 1, 1)
    path.write_bytes(header)
    with pytest.raises(read.Unreadable, match="30000 x 30000 pixels"):
        read.frames(path)


def test_claims_of_many_slices_that_few_bytes_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"".join(metaimage(volume(), packed=True)).replace(b"16 10 3", b"1 1 4000000000"))
    with pytest.raises(read.Unreadable, match="which cannot be the 4000000000 that it states"):
        read.frames(path)
    header = bytearray(nifti(volume()))
    struct.pack_into("<8h", header, 40, 5, 1, 1, 1, 1, 32767, 1, 1)
    path.write_bytes(header)
    with pytest.raises(read.Unreadable, match="its header states 33119"):
        read.frames(path)
    path.write_bytes(gzip.compress(header[:352]))
    with pytest.raises(read.Unreadable, match=r"cannot be decoded|cannot be the 33119"):
        read.image(path, frame=32766)
    file = dicom(path, volume(1))
    file.NumberOfFrames = 2**31 - 1
    file.save_as(path)
    with pytest.raises(read.Unreadable, match="2147483647 frames need 343597383520 or more"):
        read.frames(path)


def test_what_are_no_numbers(tmp_path: Path) -> None:
    values = volume().astype(np.float32) / 255
    values[1, 2, 3], values[1, 2, 4] = np.nan, np.inf
    (tmp_path / "a.mha").write_bytes(b"".join(metaimage(values)))
    (tmp_path / "a.nii").write_bytes(nifti(values))
    (tmp_path / "a.vol").write_bytes(vol(values))
    Image.fromarray(values[1]).save(tmp_path / "a.tif")
    for name, frame in (("a.mha", 1), ("a.nii", 1), ("a.vol", 1), ("a.tif", None)):
        with pytest.raises(read.Unreadable, match=rf"{name}: .*2 of 160 values are not numbers"):
            read.image(tmp_path / name, frame=frame)
        if frame:
            assert read.image(tmp_path / name, frame=0).shape == (10, 16, 3)
    sources = {"cup": (MaskSource("a.tif", above=0.5),)}
    with pytest.raises(read.Unreadable, match="2 of 160 values are not numbers"):
        read.masks(Row("a", "a", masks=sources), tmp_path, LabelSchema(labels=("cup",)), shape=(10, 16))


def test_a_mask_of_another_size_than_the_slice(tmp_path: Path) -> None:
    (tmp_path / "m.mha").write_bytes(b"".join(metaimage(volume())))
    sources = {"cup": (MaskSource("m.mha", above=0.5, frame=1),)}
    with pytest.raises(read.Unreadable, match=r"the mask is \(10, 16\) \(rows, cols\), its image \(9, 16\)"):
        read.masks(Row("a", "a", masks=sources), tmp_path, LabelSchema(labels=("cup",)), shape=(9, 16))


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    os.symlink("b", tmp_path / "a")
    os.symlink("a", tmp_path / "b")
    with pytest.raises(read.Unreadable, match="a: is a link that leads back to itself"):
        read.image(tmp_path / "a")
    os.symlink("gone", tmp_path / "c")
    with pytest.raises(read.Unreadable, match="c: there is no such file"):
        read.size(tmp_path / "c")
    with pytest.raises(read.Unreadable, match="is a folder; give a file"):
        read.image(tmp_path)
    with pytest.raises(read.Unreadable, match="there is no such file"):
        read.image(tmp_path / "c" / "d")
    with pytest.raises(read.Unreadable, match="too long"):
        read.image(tmp_path / ("x" * 300))


@pytest.mark.parametrize(("module", "extra"), [("nibabel", "oct"), ("pydicom", "dicom")])
def test_a_reader_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    data = whole("nii" if extra == "oct" else "dicom", tmp_path)
    (tmp_path / "a").write_bytes(data)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.pixels", None)
    for look in (read.image, read.size, read.frames):
        with pytest.raises(read.Unreadable, match=rf'not installed: pip install "foveate\[{extra}\]"'):
            look(tmp_path / "a")


def test_metaimage_headers_that_say_too_little(tmp_path: Path) -> None:
    path = tmp_path / "a.mha"
    good = b"".join(metaimage(volume()))
    for old, new, said in (
        (b"DimSize = 16 10 3\n", b"", "no line DimSize"),
        (b"ElementDataFile = LOCAL\n", b"", "no line ElementDataFile"),
        (b"MET_UCHAR", b"MET_OTHER", "ElementType must be one of .* got MET_OTHER"),
        (b"16 10 3", b"16 10 3 2", "two or three axes"),
        (b"16 10 3", b"0 10 3", "none of them empty"),
        (b"LOCAL", b"a%03d.raw", "one file of pixels is read"),
        (b"LOCAL", b"LIST", "one file of pixels is read"),
        (b"LOCAL", b"gone.raw", r"gone\.raw: there is no such file"),
        (b"LOCAL", b"/etc/passwd", "only files beside it"),
        (b"LOCAL", b"x/../../secret", "only files beside it"),
        (b"LOCAL", rb"C:\secret", "only files beside it"),
        (b"NDims = 3", b"BinaryData = False", "pixels as text"),
        (b"NDims = 3", b"NDims = 3\nElementNumberOfChannels = 2", "has 2 channels"),
    ):
        path.write_bytes(good.replace(old, new))
        with pytest.raises(read.Unreadable, match=said):
            read.frames(path)
