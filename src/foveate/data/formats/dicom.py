"""DICOM through pydicom: ophthalmic photography and tomography, one frame or many, compressed or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from foveate.data.formats._pixels import Pixels, Slice, chosen, within_limit
from foveate.data.formats._unreadable import Unreadable

TITLE = "DICOM"
ENDINGS = (".dcm", ".dicom")
MODALITIES = {"OPT": "oct", "OPTBSV": "oct", "OPTENF": "enface", "OP": "photograph"}


def fits(head: bytes) -> bool:
    """``DICM`` after a preamble of 128 bytes."""
    return head[128:132] == b"DICM"


def companions(path: Path, frame: int | None) -> tuple[Path, ...]:
    """None."""
    return ()


def slices(path: Path) -> list[Slice]:
    """Every frame, with the facts of the shared functional groups and its own."""
    with _header(path) as header:
        size = within_limit(path, int(header.Rows), int(header.Columns))
        patient = str(header.get("PatientID") or "").strip() or None
        kind = MODALITIES.get(str(header.get("Modality")), "unknown")
        return [
            Slice(size, _spacing(groups), _side(groups), patient, "", kind)
            for groups in (_groups(header, frame) for frame in range(_count(path, header)))
        ]


def pixels(path: Path, frame: int | None) -> Pixels:
    """One frame: RGB whatever its colour space; grey as stored, seen through its window, inverted if MONOCHROME1.

    A window of any shape (linear, exact, sigmoid) is a straight line between its ends; of several the first counts.
    """
    with _header(path) as header:
        from pydicom.pixels import apply_color_lut, pixel_array

        within_limit(path, int(header.Rows), int(header.Columns))
        place = chosen(path, frame, _count(path, header), word="frames")
        try:
            values = pixel_array(path, index=place)
        except (RuntimeError, NotImplementedError) as error:
            how = header.file_meta.TransferSyntaxUID.name
            if "missing dependencies" not in str(error):
                raise Unreadable(path, f"cannot be decoded ({how}: {' '.join(str(error).split())})") from error
            remedy = 'pip install "foveate[dicom]", or unpack the file (dcmdjpeg, gdcmconv --raw)'
            raise Unreadable(path, f"there is no decoder here for {how}; {remedy}") from None
        shape = (int(header.Rows), int(header.Columns))
        if header.PhotometricInterpretation == "PALETTE COLOR":
            values = apply_color_lut(values, header)
        if values.shape[:2] != shape:
            raise Unreadable(path, f"a frame is {values.shape[:2]} (rows, cols), but {shape} in the header")
        if values.ndim == 3:
            return Pixels((values[:, :, :3] >> (8 * (values.dtype.itemsize - 1))).astype(np.uint8))
        black, white, window = _ends(header, _groups(header, place))
        if header.PhotometricInterpretation == "MONOCHROME1":
            black, white = white, black
        return Pixels(values, black, white, window)


@contextmanager
def _header(path: Path) -> Iterator[Any]:
    try:
        from pydicom import dcmread
    except ImportError:
        raise Unreadable(path, 'is DICOM, and what reads it is not installed: pip install "foveate[dicom]"') from None
    header = dcmread(path, defer_size=4096)
    if not {"PixelData", "Rows", "Columns", "PhotometricInterpretation"} <= {e.keyword for e in header}:
        what = header.file_meta.get("MediaStorageSOPClassUID")
        raise Unreadable(path, f"holds no image ({what.name if what else 'of no stated kind'})")
    yield header


def _count(path: Path, header: Any) -> int:
    """Frames, checked against the frames that are described."""
    stated = int(header.get("NumberOfFrames") or 1)
    described = len(header.get("PerFrameFunctionalGroupsSequence") or ())
    if stated < 1 or (described and described != stated):
        raise Unreadable(path, f"states {stated} frames and describes {described}; export it again")
    syntax = header.file_meta.TransferSyntaxUID
    packed = syntax.is_compressed or syntax.is_deflated
    least = stated * (8 if packed else int(header.Rows) * int(header.Columns) * int(header.BitsAllocated) // 8)
    if (there := path.stat().st_size) < least:
        raise Unreadable(path, f"holds {there} bytes, and {stated} frames need {least} or more; export it again")
    return stated


def _groups(header: Any, frame: int) -> list[Any]:
    """Where a frame's properties are looked for: its own group, the shared one, the file."""
    own = header.get("PerFrameFunctionalGroupsSequence") or ()
    shared = header.get("SharedFunctionalGroupsSequence") or ()
    return [*own[frame : frame + 1], *shared[:1], header]


def _item(groups: list[Any], sequence: str, keyword: str) -> Any:
    """The first value under a keyword, of a group's sequence or of the file itself; None where there is none."""
    for group in groups:
        inside = group.get(sequence) or (group,)
        if (value := inside[0].get(keyword)) not in (None, ""):
            return value
    return None


def _spacing(groups: list[Any]) -> tuple[float, float] | None:
    given = _item(groups, "PixelMeasuresSequence", "PixelSpacing")
    return (float(given[0]), float(given[1])) if given is not None and len(given) == 2 else None


def _side(groups: list[Any]) -> str | None:
    for sequence, keyword in (("FrameAnatomySequence", "FrameLaterality"), ("", "ImageLaterality"), ("", "Laterality")):
        if value := _item(groups, sequence, keyword):
            return str(value)
    return None


def _ends(header: Any, groups: list[Any]) -> tuple[float, float, bool]:
    """(stored value seen black, seen white, whether they are a window)."""
    centre = _item(groups, "FrameVOILUTSequence", "WindowCenter")
    width = _item(groups, "FrameVOILUTSequence", "WindowWidth")
    bits, signed = int(header.BitsStored), int(header.PixelRepresentation)
    if centre is None or width is None:
        return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1, False) if signed else (0.0, 2.0**bits - 1, False)
    middle, wide = _first(centre), _first(width)
    if not wide > 1:
        raise ValueError(f"window width {wide:g}: it is greater than 1")
    low, high = middle - 0.5 - (wide - 1) / 2, middle - 0.5 + (wide - 1) / 2  # part 3, C.11.2.1.2.1
    slope = float(_item(groups, "PixelValueTransformationSequence", "RescaleSlope") or 1)
    intercept = float(_item(groups, "PixelValueTransformationSequence", "RescaleIntercept") or 0)
    return (low - intercept) / slope, (high - intercept) / slope, True


def _first(value: Any) -> float:
    try:
        return float(value)
    except TypeError:
        return float(value[0])
