"""MetaImage (.mhd with its .raw, .mha): lines ``Key = value``, then pixels; the last axis counts the B-scans.

Read by hand: an uncompressed slice is found at once by its place, and a volume that was cut off is an error.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np

from foveate.data.formats._pixels import Pixels, Slice, chosen, packs_so_far, span, within_limit
from foveate.data.formats._unreadable import Unreadable, reading

TITLE = "MetaImage"
ENDINGS = (".mha", ".mhd")
TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
LONGEST = 65536  # bytes of a header
MOST = 4 << 30
"""Bytes of a compressed volume once unpacked; 1000 B-scans of 1024 x 2000 are 2 GB in 8 bit."""


@dataclass(frozen=True)
class _Header:
    size: tuple[int, int]
    count: int
    dtype: np.dtype
    channels: int
    spacing: tuple[float, float] | None
    packed: bool
    data: Path
    start: int

    @property
    def step(self) -> int:
        """Bytes of a slice."""
        return math.prod(self.size) * self.channels * self.dtype.itemsize


def fits(head: bytes) -> bool:
    """Its first line is one of those that MetaImage headers start with."""
    return re.match(rb"\s*(ObjectType|ObjectSubType|NDims|Comment)\s*=", head) is not None


def companions(path: Path, frame: int | None) -> tuple[Path, ...]:
    """The file with the pixels, where it is another one."""
    data = _header(path).data
    return () if data == path else (data,)


def slices(path: Path) -> list[Slice]:
    """Every slice."""
    header = _header(path)
    return [Slice(header.size, header.spacing)] * header.count


def pixels(path: Path, frame: int | None) -> Pixels:
    """One slice; grey is black at 0 and white at the largest number of its type."""
    header = _header(path)
    place = chosen(path, frame, header.count, word="slices")
    with reading(header.data), header.data.open("rb") as file:
        if header.packed:
            file.seek(header.start)
            data = _unpacked(header, file.read(), place)
        else:
            file.seek(header.start + place * header.step)
            data = file.read(header.step)
    values = np.frombuffer(data, header.dtype).reshape(*header.size, -1)
    values = values.astype(header.dtype.newbyteorder("="))
    if header.channels == 1:
        return Pixels(values[:, :, 0], white=span(values.dtype))
    return Pixels(values)


def _unpacked(header: _Header, data: bytes, place: int) -> bytes:
    end = (place + 1) * header.step
    found = zlib.decompressobj().decompress(data, end)
    if len(found) < end:
        raise Unreadable(header.data, f"ends within slice {place}, at byte {len(found)} once unpacked; copy it again")
    return found[-header.step :]


def _header(path: Path) -> _Header:
    said, end = _lines(path)
    axes = tuple(int(n) for n in said["DimSize"].split())
    if len(axes) not in (2, 3) or min(axes) < 1:
        raise Unreadable(
            path, f"DimSize = {said['DimSize']}: volumes of two or three axes are read, none of them empty"
        )
    if not _true(said, "BinaryData", default="true"):
        raise Unreadable(path, "holds its pixels as text (BinaryData = False); save it as binary")
    kind = said["ElementType"]
    if kind not in TYPES:
        raise Unreadable(path, f"ElementType must be one of {list(TYPES)}, got {kind}; save it as MET_UCHAR")
    size = within_limit(path, axes[1], axes[0])
    big = _true(said, "BinaryDataByteOrderMSB") or _true(said, "ElementByteOrderMSB")
    channels = int(said.get("ElementNumberOfChannels", 1))
    if channels != 1 and (channels, kind) != (3, "MET_UCHAR"):
        raise Unreadable(path, f"has {channels} channels of {kind}; one is read, or three of MET_UCHAR (RGB)")
    count = axes[2] if len(axes) == 3 else 1
    data, start = _place(path, said, end)
    packed = _true(said, "CompressedData")
    header = _Header(
        size,
        count,
        np.dtype(TYPES[kind]).newbyteorder(">" if big else "<"),
        channels,
        _spacing(said),
        packed,
        data,
        start,
    )
    _complete(path, header, said)
    return header


def _complete(path: Path, header: _Header, said: Mapping[str, str]) -> None:
    with reading(header.data):
        there = header.data.stat().st_size - header.start
    stated = header.step * header.count
    if header.packed:
        if stated > MOST:
            raise Unreadable(path, f"claims {stated} bytes once unpacked, more than the {MOST} that are read; cut it")
        packs_so_far(path, there, stated)
        stated = int(said.get("CompressedDataSize", 1))
    if there < stated:
        raise Unreadable(header.data, f"holds {there} bytes of pixels, and its header states {stated}; copy it again")


def _place(path: Path, said: Mapping[str, str], end: int) -> tuple[Path, int]:
    """(file of the pixels, where they start in it)."""
    name = said["ElementDataFile"]
    if name.upper() in ("LOCAL", "LIST") or "%" in name:
        if name.upper() != "LOCAL":
            raise Unreadable(path, f"ElementDataFile = {name}: one file of pixels is read; save it as one .mha")
        return path, end
    inside = PureWindowsPath(name)  # takes both kinds of slashes
    if inside.anchor or ".." in inside.parts or name.startswith("/"):
        raise Unreadable(path, f"ElementDataFile = {name}: only files beside it are read; put it there")
    start = int(said.get("HeaderSize", 0))
    if start < 0:
        raise Unreadable(path, f"HeaderSize = {start}: 0 or more bytes before the pixels are read; save it as one .mha")
    return path.parent / name, start


def _spacing(said: Mapping[str, str]) -> tuple[float, float] | None:
    given = [float(n) for n in said.get("ElementSpacing", "").split()]
    return (given[1], given[0]) if len(given) > 1 else None


def _true(said: Mapping[str, str], key: str, *, default: str = "") -> bool:
    return said.get(key, default).lower() in ("true", "1")


def _lines(path: Path) -> tuple[dict[str, str], int]:
    """Key -> value, and where the header ends; ElementDataFile is its last line."""
    found: dict[str, str] = {}
    with path.open("rb") as file:
        lines = file.read(LONGEST).split(b"\n")
    at = 0
    for line in lines:
        key, _, value = line.decode("latin-1").partition("=")
        found[key.strip()] = value.strip()
        at += len(line) + 1
        if "ElementDataFile" in found:
            break
    else:
        raise Unreadable(path, "has no line ElementDataFile = ...; its header is cut off, copy or save it again")
    if missing := [key for key in ("DimSize", "ElementType") if key not in found]:
        raise Unreadable(path, f"has no line {missing[0]} = ...; save it again")
    return found, at
