"""Volumes: every format from bytes written as it is documented, and against the library that knows two of them."""

from pathlib import Path

import numpy as np
import pytest
from eyepy.core.utils import from_vol_intensity
from eyepy.io.he import HeE2eReader, HeVolReader
from format_files import e2e, fda, heyex_xml, metaimage, nifti, vol, volume
from PIL import Image

from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data import read


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def assert_grey(path: Path, expected: np.ndarray) -> None:
    """Every frame is the expected one, as three equal channels; size and count agree without decoding."""
    assert read.frames(path) == len(expected)
    for frame, scan in enumerate(expected):
        assert read.size(path, frame=frame) == scan.shape
        got = read.image(path, frame=frame)
        assert got.dtype == np.uint8
        for channel in range(3):
            np.testing.assert_array_equal(got[:, :, channel], scan)
    with pytest.raises(read.Unreadable, match=rf"holds {len(expected)} .*; give the one that is meant, frame=0 to"):
        read.image(path)
    with pytest.raises(read.Unreadable, match=rf"holds {len(expected)} .*; give the one that is meant, frame=0 to"):
        read.size(path)
    for beyond in (len(expected), -1):
        with pytest.raises(read.Unreadable, match=rf"frame={beyond} is not there"):
            read.image(path, frame=beyond)


def reflectivity(count: int = 3, rows: int = 10, cols: int = 16) -> np.ndarray:
    return np.random.default_rng(2).random((count, rows, cols)).astype(np.float32) ** 4


def seen(values: np.ndarray) -> np.ndarray:
    """The formula, slowly."""
    out = np.zeros(values.shape, np.uint8)
    for at, value in np.ndenumerate(values):
        if value <= 1.99:
            out[at] = round(255 * min(1.0, max(0.0, (np.log(min(float(value), 1.0) + 2.44e-4) + 8.3) / 8.285)))
    return out


def test_heidelberg_vol(tmp_path: Path) -> None:
    values = reflectivity()
    values[0, 0, :4] = [0, 1, 1.5, np.finfo(np.float32).max]  # the last says: not measured
    path = written(tmp_path / "a.vol", vol(values))
    assert_grey(path, seen(values))
    assert read.image(path, frame=0)[0, :4, 0].tolist() == [0, 255, 255, 0]
    one = read.slices(path)[2]
    assert (one.spacing, one.laterality, one.patient, one.modality) == ((0.0039, 0.0117), "OD", "4711", "oct")
    alone = written(tmp_path / "one.vol", vol(values[:1]))
    np.testing.assert_array_equal(read.image(alone), read.image(alone, frame=0))


def test_heidelberg_vol_as_eyepy_reads_it(tmp_path: Path) -> None:
    values = reflectivity()
    values[1, 2, 3] = np.finfo(np.float32).max
    path = written(tmp_path / "a.vol", vol(values))
    volume = HeVolReader(path).parsed_file
    np.testing.assert_array_equal(np.stack([scan.data for scan in volume.bscans]), values)
    theirs = from_vol_intensity(values.copy())
    ours = np.stack([read.image(path, frame=i)[:, :, 0] for i in range(3)])
    assert np.abs(theirs.astype(int) - ours).max() <= 1, "one grey level: they compute in 32 bit"


def codes(values: np.ndarray) -> np.ndarray:
    """Numbers as 6 bits exponent and 10 bits mantissa."""
    mantissa, exponent = np.frexp(values)
    return ((exponent + 62) << 10 | np.floor((2 * mantissa - 1) * 1024).astype(int)).astype(np.uint16)


def test_heidelberg_e2e_with_two_eyes(tmp_path: Path) -> None:
    first, second = reflectivity(3), reflectivity(2, 8, 12)
    path = written(tmp_path / "a.e2e", e2e([codes(first), codes(second)]))
    found = read.slices(path)
    assert [(s.series, s.laterality, s.size) for s in found] == [("0", "R", (10, 16))] * 3 + [("1", "L", (8, 12))] * 2
    assert {s.patient for s in found} == {"4711"}
    assert {s.spacing for s in found} == {None}, "the width of a column is not stored"
    for frame, scan in enumerate([*first, *second]):
        got = read.image(path, frame=frame)[:, :, 0].astype(int)
        assert np.abs(got - seen(scan)).max() <= 1, "10 bits of mantissa"


def test_heidelberg_e2e_as_eyepy_reads_it(tmp_path: Path) -> None:
    values = 2.0 ** -np.random.default_rng(0).integers(0, 12, (3, 10, 16))  # mantissa 0: they read its bits backwards
    path = written(tmp_path / "a.e2e", e2e([codes(values)]))
    with HeE2eReader(path) as reader:
        series = next(s for s in reader.series if s.n_bscans)  # a spare entry makes another
        assert series.n_bscans == 3
        assert int(series.laterality()) == ord("R")
        theirs = [series.slices[number].get_bscan() for number in sorted(series.slices)[-3:]]
        np.testing.assert_array_equal(theirs, values.astype(np.float32))
    ours = np.stack([read.image(path, frame=i)[:, :, 0] for i in range(3)])
    np.testing.assert_array_equal(ours, seen(values))


@pytest.mark.parametrize("bare", [False, True])
def test_topcon_fda(tmp_path: Path, bare: bool) -> None:
    values = volume(dtype="u2" if bare else "u1")
    path = written(tmp_path / "a.fda", fda(values, bare=bare))
    assert_grey(path, np.rint(values / 257).astype(np.uint8) if bare else values)
    one = read.slices(path)[0]
    assert one.spacing == pytest.approx((0.0026, 6 / 16))
    assert (one.laterality, one.patient, one.modality) == ("L", "4711", "oct")
    assert read.slices(written(tmp_path / "b.fda", fda(values, bare=bare, side=0)))[0].laterality == "R"
    assert read.slices(written(tmp_path / "c.fda", fda(values, bare=bare, side=9)))[0].laterality is None


def test_heyex_xml(tmp_path: Path) -> None:
    values = volume()
    path = heyex_xml(tmp_path, values)
    assert_grey(path, values)
    one = read.slices(path)[0]
    assert (one.spacing, one.laterality, one.patient) == ((0.0039, 0.0117), "R", "4711")
    assert read.parts(path, frame=1) == (path, tmp_path / "b1.tif")
    Image.fromarray(values[0, :5]).save(tmp_path / "b1.tif")
    with pytest.raises(read.Unreadable, match=r"b1\.tif: is \(5, 16\) .* but \(10, 16\) in scan\.xml"):
        read.image(path, frame=1)
    (tmp_path / "b2.tif").unlink()
    with pytest.raises(read.Unreadable, match=r"b2\.tif: there is no such file"):
        read.image(path, frame=2)
    heyex_xml(tmp_path, values, told=9)
    with pytest.raises(read.Unreadable, match="states 9 images and 4 are there"):
        read.frames(path)


def test_heyex_xml_stays_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = heyex_xml(tmp_path / "in", volume())
    Image.fromarray(volume()[0]).save(tmp_path / "secret.tif")
    path.write_bytes(path.read_bytes().replace(b"C:\\data\\b0.tif", b"../secret.tif"))
    assert read.parts(path, frame=0)[1] == tmp_path / "in" / "secret.tif"
    path.write_bytes(path.read_bytes().replace(b"../secret.tif", b"x/.."))
    with pytest.raises(read.Unreadable, match="names no image file"):
        read.frames(path)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("big", [False, True])
def test_metaimage(tmp_path: Path, dtype: str, packed: bool, big: bool) -> None:
    values = volume(dtype=dtype)
    expected = np.rint(values * (255.0 / np.iinfo(dtype).max)).astype(np.uint8)
    head, pixels = metaimage(values, packed=packed, big=big)
    path = written(tmp_path / "a.mha", head + pixels)
    assert_grey(path, expected)
    assert read.slices(path)[0].spacing == (0.0039, 0.0117)
    assert read.parts(path, frame=0) == (path,)
    head, _ = metaimage(values, data="b.raw", packed=packed, big=big, more="HeaderSize = 5\n")
    path = written(tmp_path / "b.mhd", head)
    written(tmp_path / "b.raw", b"12345" + pixels)
    assert_grey(path, expected)
    assert read.parts(path, frame=0) == (path, tmp_path / "b.raw")


def test_metaimage_fractions_and_colours(tmp_path: Path) -> None:
    values = volume().astype(np.float32) / 255
    assert_grey(written(tmp_path / "f.mha", b"".join(metaimage(values))), volume())
    colours = volume(2, 10, 48)
    head, pixels = metaimage(colours, more="ElementNumberOfChannels = 3\n")
    path = written(tmp_path / "c.mha", head.replace(b"48 10", b"16 10") + pixels)
    np.testing.assert_array_equal(read.image(path, frame=1), colours[1].reshape(10, 16, 3))


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2"])
@pytest.mark.parametrize("packed", [False, True])
def test_nifti(tmp_path: Path, dtype: str, packed: bool) -> None:
    values = volume(dtype=dtype)
    path = written(tmp_path / "any name", nifti(values, packed=packed))
    assert_grey(path, np.rint(values * (255.0 / np.iinfo(dtype).max)).astype(np.uint8))
    assert read.slices(path)[0].spacing == pytest.approx((0.0039, 0.0117))
    micron = written(tmp_path / "micron.nii", nifti(values, units=3, packed=packed))
    assert read.slices(micron)[0].spacing == pytest.approx((0.0000039, 0.0000117))
    assert read.slices(written(tmp_path / "unsaid.nii", nifti(values, units=0)))[0].spacing is None


def test_nifti_slope(tmp_path: Path) -> None:
    values = volume().astype(np.int16)
    path = written(tmp_path / "a.nii", nifti(values, slope=1 / 255))
    np.testing.assert_array_equal(read.image(path, frame=1)[:, :, 0], values[1])


def test_pages_of_a_tiff_and_pictures_of_a_gif(tmp_path: Path) -> None:
    scans = [*volume()]
    pages = [Image.fromarray(scan) for scan in scans]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert_grey(tmp_path / "a.tif", np.stack(scans))
    for name in ("a.gif", "a.webp", "a.png"):
        options = {"lossless": True} if name == "a.webp" else {}
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], **options)
        assert read.frames(tmp_path / name) == 3
        with pytest.raises(read.Unreadable, match=r"holds 3 pages; give the one that is meant, frame=0 to 2"):
            read.image(tmp_path / name)
        np.testing.assert_array_equal(read.image(tmp_path / name, frame=0)[:, :, 0], scans[0])


def test_masks_of_a_volume_by_frame(tmp_path: Path) -> None:
    values = np.zeros((3, 4, 5), np.uint8)
    values[1, 2, 3], values[2, 0, 0] = 1, 2
    written(tmp_path / "m.mha", b"".join(metaimage(values)))
    schema = LabelSchema(labels=("one", "two"))

    def masks(frame: int | None) -> np.ndarray:
        sources = {label: (MaskSource("m.mha", index=(i,), frame=frame),) for i, label in ((1, "one"), (2, "two"))}
        marked, known = read.masks(Row("a", "a", masks=sources), tmp_path, schema, shape=(4, 5))
        assert known.all()
        return np.argwhere(marked)

    assert masks(0).tolist() == []
    assert masks(1).tolist() == [[0, 2, 3]]
    assert masks(2).tolist() == [[1, 0, 0]]
    with pytest.raises(read.Unreadable, match="holds 3 slices"):
        masks(None)


def test_volumes_are_told_from_pictures_by_content(tmp_path: Path) -> None:
    Image.fromarray(volume()[0]).save(tmp_path / "a.vol", format="PNG")
    assert not read.is_volume(tmp_path / "a.vol")
    np.testing.assert_array_equal(read.image(tmp_path / "a.vol")[:, :, 0], volume()[0])
    path = written(tmp_path / "b.png", vol(reflectivity(1)))
    assert read.is_volume(path)
    np.testing.assert_array_equal(read.image(path)[:, :, 0], seen(reflectivity(1)[0]))
