"""NIfTI-1 and -2 in one file (.nii, .nii.gz) through nibabel; the last axis counts the B-scans.

As ITK and ANTs write them: the first axis runs along a row, the second down the columns.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from foveate.data.formats._pixels import Pixels, Slice, chosen, packs_so_far, span, within_limit
from foveate.data.formats._unreadable import Unreadable

TITLE = "NIfTI"
ENDINGS = (".nii", ".nii.gz")
MAGIC = {348: (344, b"n+1\0", b"ni1\0"), 540: (4, b"n+2\0", b"ni2\0")}  # bytes of the header -> where, one file, two
MM = {"mm": 1.0, "micron": 0.001, "meter": 1000.0}


def fits(head: bytes) -> bool:
    """NIfTI's magic word, also under gzip."""
    return _version(head) is not None


def companions(path: Path, frame: int | None) -> tuple[Path, ...]:
    """None."""
    return ()


def slices(path: Path) -> list[Slice]:
    """Every slice."""
    with _opened(path) as image:
        cols, rows, count = _shape(path, image)
        across, down = (float(n) for n in image.header.get_zooms()[:2])
        unit = MM.get(image.header.get_xyzt_units()[0])
        return [Slice((rows, cols), (down * unit, across * unit) if unit else None)] * count


def pixels(path: Path, frame: int | None) -> Pixels:
    """One slice, with the header's slope and intercept; black is 0, white the largest number of its type."""
    with _opened(path) as image:
        place = chosen(path, frame, _shape(path, image)[2], word="slices")
        rest = image.shape[2:]
        values = np.asarray(image.dataobj[(slice(None), slice(None), *np.unravel_index(place, rest))])
    if values.dtype.fields:
        return Pixels(np.stack([values[name].T for name in ("R", "G", "B")], -1))
    if values.dtype.kind not in "iuf":
        raise Unreadable(path, f"holds values of type {values.dtype}; save it as numbers of 8 bit")
    return Pixels(np.ascontiguousarray(values.T), white=span(values.dtype))


def _shape(path: Path, image: Any) -> tuple[int, int, int]:
    """(cols, rows, slices)."""
    axes = tuple(int(n) for n in image.shape)
    if len(axes) < 2 or sum(n > 1 for n in axes[2:]) > 1:
        raise Unreadable(path, f"has the axes {list(axes)}; a volume has columns, rows and slices")
    if min(axes) < 1:
        raise Unreadable(path, f"has the axes {list(axes)}; there is no image in it")
    within_limit(path, axes[1], axes[0])
    return axes[0], axes[1], math.prod(axes[2:])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        from nibabel import FileHolder, Nifti1Image, Nifti2Image
    except ImportError:
        raise Unreadable(path, 'is NIfTI, and what reads it is not installed: pip install "foveate[oct]"') from None
    with path.open("rb") as raw:
        head = raw.read(1024)
        raw.seek(0)
        version = _version(head)
        if version is None or not version[1]:
            raise Unreadable(path, "is the header of a NIfTI in two files; save it as one file (.nii or .nii.gz)")
        packed = head.startswith(b"\x1f\x8b")
        file: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        image = (Nifti1Image if version[0] == 348 else Nifti2Image).from_file_map(
            {"header": FileHolder(fileobj=file), "image": FileHolder(fileobj=file)}
        )
        _shape(path, image)
        stated = int(image.dataobj.offset) + math.prod(image.shape) * image.dataobj.dtype.itemsize
        there = path.stat().st_size
        if packed:
            packs_so_far(path, there, stated)
        elif there < stated:
            raise Unreadable(path, f"holds {there} bytes, and its header states {stated}; copy or save it again")
        yield image


def _version(head: bytes) -> tuple[int, bool] | None:
    """(bytes of the header, whether the pixels are in the same file); None if it is not NIfTI."""
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(31).decompress(head, 600)
        except zlib.error:
            return None
    for size, (at, one, two) in MAGIC.items():
        order = next((o for o in ("little", "big") if int.from_bytes(head[:4], o) == size), None)
        if order is not None and head[at : at + 4] in (one, two):
            return size, head[at : at + 4] == one
    return None
