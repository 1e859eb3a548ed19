"""Topcon .fda: named chunks; B-scans as JPEG 2000 in ``@IMG_JPEG``, or bare 16 bit in ``@IMG_MOT_COMP_03``.

No specification is public; offsets are those that the uocte and OCT-Converter projects found out. Not read through
OCT-Converter, which asks for a second OpenCV in place of the headless one and for a build of ffmpeg.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foveate.data.formats import picture
from foveate.data.formats._pixels import Pixels, Slice, chosen, complete, within_limit
from foveate.data.formats._unreadable import Unreadable

TITLE = "Topcon .fda"
ENDINGS = (".fda",)
HEADER = 15  # "FOCT", "FDA" or "FAA", two numbers
SIDES = {0: "R", 1: "L"}


@dataclass(frozen=True)
class _Volume:
    """(start, bytes) of every B-scan, and what they have in common."""

    places: tuple[tuple[int, int], ...]
    bare: bool
    slice: Slice


def fits(head: bytes) -> bool:
    """Starts with ``FOCT``."""
    return head.startswith(b"FOCT")


def companions(path: Path, frame: int | None) -> tuple[Path, ...]:
    """None."""
    return ()


def slices(path: Path) -> list[Slice]:
    """Every B-scan."""
    volume = _volume(path)
    return [volume.slice] * len(volume.places)


def pixels(path: Path, frame: int | None) -> Pixels:
    """One B-scan."""
    volume = _volume(path)
    start, size = volume.places[chosen(path, frame, len(volume.places))]
    rows, cols = volume.slice.size
    if volume.bare:
        return Pixels(np.fromfile(path, "<u2", rows * cols, offset=start).reshape(rows, cols), white=65535.0)
    with path.open("rb") as file:
        file.seek(start)
        found = picture.pixels_of(path, file.read(size))
    if found.values.shape[:2] != (rows, cols):
        raise Unreadable(path, f"a B-scan is {found.values.shape[:2]} (rows, cols), but {(rows, cols)} in its header")
    return found


def _volume(path: Path) -> _Volume:
    chunks = _chunks(path)

    def start_of(name: bytes, size: int) -> bytes | None:
        at, length = chunks.get(name, (0, 0))
        if length < size:
            return None
        with path.open("rb") as file:
            file.seek(at)
            return file.read(size)

    jpeg, bare = start_of(b"@IMG_JPEG", 25), start_of(b"@IMG_MOT_COMP_03", 22)
    if jpeg is not None:
        cols, rows, count = struct.unpack_from("<3I", jpeg, 9)
        places = _listed(path, *chunks[b"@IMG_JPEG"], count)
    elif bare is not None:
        cols, rows, bits, count = struct.unpack_from("<4I", bare, 1)
        at, length = chunks[b"@IMG_MOT_COMP_03"]
        each = 2 * rows * cols
        if bits != 16 or not each:
            raise Unreadable(path, f"its B-scans have {bits} bits a pixel; 16 are read, or those stored as JPEG 2000")
        complete(path, min(count, (length - 22) // each), count)
        places = tuple((at + 22 + i * each, each) for i in range(count))
    else:
        raise Unreadable(path, f"holds no B-scans, but {len(chunks)} other parts; export it again with its B-scans")
    within_limit(path, rows, cols)
    said, side, who = (
        start_of(b"@PARAM_SCAN_04", 36),
        start_of(b"@CAPTURE_INFO_02", 1),
        start_of(b"@PATIENT_INFO_02", 32),
    )
    spacing = None
    if said is not None:
        across, _, down = struct.unpack_from("<3d", said, 12)  # mm per B-scan, mm per volume, µm per pixel
        spacing = down / 1000, across / cols
    patient = None if who is None else who.partition(b"\0")[0].decode("latin-1").strip() or None
    laterality = None if side is None else SIDES.get(side[0])
    return _Volume(places, jpeg is None, Slice((rows, cols), spacing, laterality, patient, "", "oct"))


def _listed(path: Path, at: int, length: int, count: int) -> tuple[tuple[int, int], ...]:
    """(start, bytes) of consecutive B-scans, each after its size."""
    places: list[tuple[int, int]] = []
    end = at + length
    at += 25
    with path.open("rb") as file:
        while len(places) < count and at + 4 <= end:
            file.seek(at)
            (size,) = struct.unpack("<I", file.read(4))
            if at + 4 + size > end:
                break
            places.append((at + 4, size))
            at += 4 + size
    complete(path, len(places), count)
    return tuple(places)


def _chunks(path: Path) -> dict[bytes, tuple[int, int]]:
    """Name -> (start, bytes); of several with one name the first."""
    found: dict[bytes, tuple[int, int]] = {}
    end = path.stat().st_size
    with path.open("rb") as file:
        at = HEADER
        while at < end:
            file.seek(at)
            name = file.read(file.read(1)[0])
            if not name:
                return found
            head = file.read(4)
            if len(head) < 4:
                raise Unreadable(path, f"ends at byte {end} within a chunk; copy or export it again")
            (size,) = struct.unpack("<I", head)
            at = file.tell()
            if at + size > end:
                raise Unreadable(path, f"ends at byte {end}, and a part of it at {at + size}; copy or export it again")
            found.setdefault(name, (at, size))
            at += size
    return found
