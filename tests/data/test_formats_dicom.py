"""DICOM: one frame and many, compressions, colour spaces, windows, spacing and side."""

from pathlib import Path

import numpy as np
import pytest
from dicom_files import dicom, item, jpeg, tomography
from format_files import volume
from pydicom.sequence import Sequence
from pydicom.uid import UID, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from foveate.data import read


@pytest.mark.parametrize("syntax", [None, JPEG2000Lossless, JPEGLSLossless, RLELossless])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_a_volume_frame_by_frame(tmp_path: Path, syntax: UID | None, dtype: str) -> None:
    values = volume(3, 40, 48, dtype)
    file = tomography(tmp_path / "a", values)
    if syntax is not None:
        file.compress(syntax)
    file.save_as(tmp_path / "a")
    expected = np.rint(values * (255 / np.iinfo(dtype).max)).astype(np.uint8)
    assert read.frames(tmp_path / "a") == 3
    assert read.is_volume(tmp_path / "a")
    for frame in (2, 0, 1):
        assert read.size(tmp_path / "a", frame=frame) == (40, 48)
        np.testing.assert_array_equal(read.image(tmp_path / "a", frame=frame)[:, :, 1], expected[frame])
    one = read.slices(tmp_path / "a")[1]
    assert (one.spacing, one.laterality, one.patient, one.modality) == ((0.0039, 0.0117), "L", "4711", "oct")
    with pytest.raises(read.Unreadable, match="holds 3 frames; give the one that is meant"):
        read.image(tmp_path / "a")
    with pytest.raises(read.Unreadable, match="frame=3 is not there"):
        read.image(tmp_path / "a", frame=3)


def smooth(count: int = 1) -> np.ndarray:
    """Colours without edges, which baseline JPEG keeps within a few grey levels."""
    rows, cols = np.mgrid[:16, :16]
    one = np.stack([100 + 6 * rows, 80 + 5 * cols, 60 + 3 * (rows + cols)], -1).astype(np.uint8)
    return np.stack([one + np.uint8(10 * i) for i in range(count)])


def test_photographs_in_jpeg_and_ybr(tmp_path: Path) -> None:
    colours = smooth()
    jpeg(tmp_path / "c.dcm", colours).save_as(tmp_path / "c.dcm")
    got = read.image(tmp_path / "c.dcm")
    assert got.shape == (16, 16, 3)
    assert np.abs(got.astype(int) - colours[0]).max() <= 6
    one = read.slices(tmp_path / "c.dcm")[0]
    assert (one.spacing, one.laterality, one.modality) == (None, "R", "photograph")
    grey = smooth(3)[:, :, :, 0].copy()
    jpeg(tmp_path / "g.dcm", grey).save_as(tmp_path / "g.dcm")
    for frame in range(3):
        got = read.image(tmp_path / "g.dcm", frame=frame)[:, :, 2]
        assert np.abs(got.astype(int) - grey[frame]).max() <= 2


def test_bare_colours_and_palettes(tmp_path: Path) -> None:
    colours = volume(1, 10, 48).reshape(1, 10, 16, 3)
    dicom(tmp_path / "rgb", colours, colours="RGB").save_as(tmp_path / "rgb")
    np.testing.assert_array_equal(read.image(tmp_path / "rgb"), colours[0])
    red, green, blue = np.array([colours[0]], float).transpose(3, 0, 1, 2)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    ybr = np.stack([luma, 128 + 0.564 * (blue - luma), 128 + 0.713 * (red - luma)], -1)
    dicom(tmp_path / "ybr", np.rint(ybr).clip(0, 255).astype(np.uint8), colours="YBR_FULL").save_as(tmp_path / "ybr")
    assert np.abs(read.image(tmp_path / "ybr").astype(int) - colours[0]).max() <= 3
    file = dicom(tmp_path / "p", np.array([[[0, 1], [1, 0]]], np.uint8), colours="PALETTE COLOR")
    for name, table in (("Red", [0, 65535]), ("Green", [0, 32768]), ("Blue", [257, 0])):
        setattr(file, f"{name}PaletteColorLookupTableDescriptor", [2, 0, 16])
        setattr(file, f"{name}PaletteColorLookupTableData", np.array(table, "<u2").tobytes())
    file.save_as(tmp_path / "p")
    assert read.image(tmp_path / "p").tolist() == [[[0, 0, 1], [255, 128, 0]], [[255, 128, 0], [0, 0, 1]]]


def test_inverted_twelve_bit_and_signed(tmp_path: Path) -> None:
    values = np.array([[[0, 1, 2048, 4095]]], np.uint16)
    dicom(tmp_path / "a", values, colours="MONOCHROME1", bits=12).save_as(tmp_path / "a")
    assert read.image(tmp_path / "a")[0, :, 0].tolist() == [255, 255, 127, 0]
    dicom(tmp_path / "b", values, bits=12).save_as(tmp_path / "b")
    assert read.image(tmp_path / "b")[0, :, 0].tolist() == [0, 0, 128, 255]
    dicom(tmp_path / "c", np.array([[[-32768, 0, 32767, 1]]], np.int16)).save_as(tmp_path / "c")
    assert read.image(tmp_path / "c")[0, :, 0].tolist() == [0, 128, 255, 128]


def test_windows(tmp_path: Path) -> None:
    values = np.array([[[0, 100, 151, 200, 300, 999]]], np.uint16)
    file = dicom(tmp_path / "a", values)
    file.WindowCenter, file.WindowWidth = [151, 7], [101, 7]  # the first of several: 100.5 to 200.5
    file.save_as(tmp_path / "a")
    middle = round(255 * 50.5 / 100)
    assert read.image(tmp_path / "a")[0, :, 0].tolist() == [0, 0, middle, round(255 * 99.5 / 100), 255, 255]
    file.RescaleSlope, file.RescaleIntercept = 2, -2  # stored 51.25 to 101.25
    file.save_as(tmp_path / "b")
    assert read.image(tmp_path / "b")[0, :, 0].tolist() == [0, round(255 * 48.75 / 50), 255, 255, 255, 255]
    file.WindowWidth = [0, 7]
    file.save_as(tmp_path / "c")
    with pytest.raises(read.Unreadable, match="window width 0"):
        read.image(tmp_path / "c")
    several = tomography(tmp_path / "d", volume())
    several.PerFrameFunctionalGroupsSequence[1].FrameVOILUTSequence = Sequence([item(WindowCenter=128, WindowWidth=3)])
    several.save_as(tmp_path / "d")
    assert set(np.unique(read.image(tmp_path / "d", frame=1))) <= {0, 64, 127, 191, 255}
    np.testing.assert_array_equal(read.image(tmp_path / "d", frame=0)[:, :, 0], volume()[0])


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tomography(tmp_path / "a", volume())
    file.NumberOfFrames = 5
    file.save_as(tmp_path / "a")
    with pytest.raises(read.Unreadable, match="states 5 frames and describes 3"):
        read.frames(tmp_path / "a")
    file = jpeg(tmp_path / "b", smooth())
    file.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    file.save_as(tmp_path / "b")
    with pytest.raises(read.Unreadable, match=r"no decoder here for JPEG Lossless.*foveate\[dicom\].*dcmdjpeg"):
        read.image(tmp_path / "b")
    assert read.size(tmp_path / "b") == (16, 16)
    file = dicom(tmp_path / "c", volume(1))
    del file.PixelData
    file.save_as(tmp_path / "c")
    with pytest.raises(read.Unreadable, match="holds no image"):
        read.frames(tmp_path / "c")
    file = dicom(tmp_path / "d", volume(1))
    file.Rows = 9999
    file.save_as(tmp_path / "d")
    with pytest.raises(read.Unreadable, match="1 frames need 159984 or more; export it again"):
        read.image(tmp_path / "d")
    file.Rows = file.Columns = 30000
    file.save_as(tmp_path / "e")
    with pytest.raises(read.Unreadable, match=r"30000 x 30000 .*more than the"):
        read.image(tmp_path / "e")
