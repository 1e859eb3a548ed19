"""Heidelberg .vol: a header of 2048 bytes, the fundus image, then each B-scan with a header of its own.

Read by hand: the header is documented, a B-scan is found by its place, and a clinic's files need no further package.
The tests compare with eyepy, which parses the whole file for one (25 B-scans of 496 x 768: 4 ms, and 2 ms to show it).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foveate.data.formats._pixels import Pixels, Slice, chosen, complete, within_limit
from foveate.data.formats._spectralis import shown

TITLE = "Heidelberg .vol"
ENDINGS = (".vol",)
HEADER = struct.Struct("<12s3I3d2I2dId4sQiI16s16sI24sd")  # the rest of the 2048 bytes is of no use here
START = 2048


@dataclass(frozen=True)
class _Header:
    cols: int
    count: int
    rows: int
    spacing: tuple[float, float]
    side: str
    skip: int
    step: int
    patient: str


def fits(head: bytes) -> bool:
    """Starts with its version, ``HSF-OCT-103`` or another."""
    return head.startswith(b"HSF-OCT-")


def companions(path: Path, frame: int | None) -> tuple[Path, ...]:
    """None."""
    return ()


def slices(path: Path) -> list[Slice]:
    """Every B-scan."""
    header = _header(path)
    one = Slice((header.rows, header.cols), header.spacing, header.side or None, header.patient or None, "", "oct")
    return [one] * header.count


def pixels(path: Path, frame: int | None) -> Pixels:
    """One B-scan, grey as the camera's viewer shows it."""
    header = _header(path)
    place = chosen(path, frame, header.count)
    offset = header.skip + place * header.step + (header.step - 4 * header.rows * header.cols)
    values = np.fromfile(path, "<f4", header.rows * header.cols, offset=offset)
    return shown(values.reshape(header.rows, header.cols))


def _header(path: Path) -> _Header:
    with path.open("rb") as file:
        said = HEADER.unpack(file.read(HEADER.size))
    _, cols, count, rows, across, _, down, slo_cols, slo_rows, *rest = said
    _, _, _, _, side, _, _, own, _, _, number, code, _ = rest
    within_limit(path, rows, cols)
    skip, step = START + slo_cols * slo_rows, own + 4 * rows * cols
    complete(path, min(count, max(0, path.stat().st_size - skip) // step), count)
    patient = _text(code) or (str(number) if number else "")
    return _Header(cols, count, rows, (down, across), _text(side), skip, step, patient)


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("latin-1").strip()
