"""Heidelberg .e2e: directories of 44-byte entries, chained from the last to the first; each entry leads to one record.

No specification is public; offsets are those that the eyepy, OCT-Converter and LibE2E projects found out. B-scan pixels
are numbers of 16 bit without sign: 6 bits exponent (bias 63), 10 bits mantissa. The width of a column is not stored
(only degrees, and an eye's length is needed to make them mm), so the spacing is unknown.

Not read through eyepy: its reading of a damaged file may never end (each directory has the position of the next one),
and it does not notice B-scans that were cut off.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from foveate.data.formats._pixels import Pixels, Slice, chosen, complete, within_limit
from foveate.data.formats._spectralis import shown
from foveate.data.formats._unreadable import Unreadable

TITLE = "Heidelberg .e2e"
ENDINGS = (".e2e",)
VERSION, DIRECTORY, RECORD = 36, 52, 60  # sizes of the headers
ENTRY = np.dtype(
    {
        "names": ["at", "start", "patient", "study", "series", "slice", "type"],
        "formats": ["<u4", "<u4", "<i4", "<i4", "<i4", "<i4", "<u4"],
        "offsets": [0, 4, 16, 20, 24, 28, 36],
        "itemsize": 44,
    }
)
PATIENT, SIDE, SCAN, IMAGE = 9, 11, 10004, 0x40000000  # types of records
BSCAN = 35652097  # type of an image record that holds a B-scan
MOST = 100_000  # entries of one directory; they have 512


@dataclass(frozen=True)
class _Scan:
    start: int
    slice: Slice


def fits(head: bytes) -> bool:
    """Starts with ``CMDb`` and the first directory."""
    return head.startswith(b"CMDb") and head[VERSION : VERSION + 7] == b"MDbMDir"


def companions(path: Path, frame: int | None) -> tuple[Path, ...]:
    """None."""
    return ()


def slices(path: Path) -> list[Slice]:
    """Every B-scan of every series, in order."""
    return [scan.slice for scan in _scans(path)]


def pixels(path: Path, frame: int | None) -> Pixels:
    """One B-scan, grey as the camera's viewer shows it."""
    found = _scans(path)
    scan = found[chosen(path, frame, len(found))]
    rows, cols = scan.slice.size
    stored = np.fromfile(path, "<u2", rows * cols, offset=scan.start)
    return shown(np.ldexp(1 + (stored & 1023) / 1024, (stored >> 10).astype(np.int32) - 63).reshape(rows, cols))


def _scans(path: Path) -> list[_Scan]:
    end = path.stat().st_size
    with path.open("rb") as file:
        entries = _entries(path, file)

        def record(entry: np.void, size: int) -> bytes:
            return _at(path, file, int(entry["start"]) + RECORD, size)

        patients: dict[int, str] = {}
        sides: dict[tuple[int, ...], str] = {}
        metas: dict[tuple[int, ...], tuple[int, int]] = {}
        images: dict[tuple[int, ...], tuple[int, tuple[int, int]]] = {}
        for entry in entries:
            eye = int(entry["patient"]), int(entry["study"]), int(entry["series"])
            key = (*eye, int(entry["slice"]))
            if entry["type"] == PATIENT:
                patients[eye[0]] = record(entry, 127)[102:].partition(b"\0")[0].decode("latin-1").strip()
            elif entry["type"] == SIDE:
                sides[eye] = record(entry, 15)[14:].decode("latin-1")
            elif entry["type"] == SCAN:
                count, place = struct.unpack_from("<2I", record(entry, 72), 64)
                metas[key] = count, place
            elif entry["type"] == IMAGE:
                _, kind, values, rows, cols = struct.unpack("<5I", record(entry, 20))
                if kind == BSCAN:
                    start = int(entry["start"]) + RECORD + 20
                    within_limit(path, rows, cols)
                    if values != rows * cols or start + 2 * values > end:
                        raise Unreadable(path, f"a B-scan of {rows} x {cols} is cut off; copy or export it again")
                    images[key] = start, (rows, cols)
    return _in_order(path, images, metas, sides, patients)


def _in_order(
    path: Path,
    images: dict[tuple[int, ...], tuple[int, tuple[int, int]]],
    metas: dict[tuple[int, ...], tuple[int, int]],
    sides: dict[tuple[int, ...], str],
    patients: dict[int, str],
) -> list[_Scan]:
    by_series: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
    for key in images:
        by_series[key[:3]].append((metas.get(key, (0, key[3]))[1], key[3]))
    found = []
    for position, (eye, places) in enumerate(sorted(by_series.items())):
        stated = max((metas[(*eye, number)][0] for _, number in places if (*eye, number) in metas), default=len(places))
        complete(path, len(places), stated)
        for _, number in sorted(places):
            start, size = images[(*eye, number)]
            said = Slice(size, None, sides.get(eye), patients.get(eye[0]) or None, str(position), "oct")
            found.append(_Scan(start, said))
    return found


def _entries(path: Path, file: BinaryIO) -> np.ndarray:
    """Entries of all directories, in the order of the file."""
    found, seen = [], set()
    at = _directory(path, file, VERSION)[1]
    while at and at not in seen:  # a chain that comes back to itself ends
        seen.add(at)
        count, _, before = _directory(path, file, at)
        if count > MOST:
            raise Unreadable(path, f"a directory claims {count} entries; copy or export it again")
        table = np.frombuffer(_at(path, file, at + DIRECTORY, count * ENTRY.itemsize), ENTRY)
        found.append(table[table["start"] > table["at"]])  # the others are spare
        at = before
    return np.concatenate(found[::-1]) if found else np.zeros(0, ENTRY)


def _directory(path: Path, file: BinaryIO, at: int) -> tuple[int, int, int]:
    """(entries, position of the last directory or its own, position of the one before)."""
    head = _at(path, file, at, DIRECTORY)
    if not head.startswith((b"MDbDir", b"MDbMDir")):
        raise Unreadable(path, f"there is no directory at byte {at}; copy or export it again")
    count, current, before = struct.unpack_from("<3I", head, 36)
    return count, current, before


def _at(path: Path, file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    data = file.read(size)
    if len(data) < size:
        raise Unreadable(path, f"ends before byte {at + size}, where a record should be; copy or export it again")
    return data
