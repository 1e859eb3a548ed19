"""OCT volumes and DICOM files of a folder: one B-scan a row."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data import read
from foveate.data.adapters._about import About
from foveate.data.adapters._layout import Warn, tell
from foveate.data.formats._pixels import Slice, series_of

ABOUT = About(
    name="volumes",
    title="OCT volumes and DICOM files",
    modality="oct",
    source="your own devices and archives",
    terms="your own",
    citation="none",
    layout=".vol, .e2e, HEYEX .xml, .fda, .mhd, .mha, .nii, .nii.gz or DICOM files, in whatever folders",
    notes="Files are known by their content, whatever their names; pictures (PNG, JPEG, TIFF ...) are left to the "
    "adapter folder. Rows have no answers and no masks. A patient's name is a hash of the number in the header, an "
    "eye's name is patient and side; names and dates are not read. The hash is the same in all files of a person. It "
    "hides the number in the manifest, but not from someone who tries all numbers.",
)
SCHEMA = LabelSchema()
SIDES = {"R": "OD", "OD": "OD", "L": "OS", "OS": "OS"}
UNSAID = ("", "U", "B")  # DICOM's codes for unknown and for both eyes
SPACING = (0.0005, 1.0)
"""Smallest and largest plausible mm per pixel; axial pixels of OCT are near 0.004, photographs near 0.01."""


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """One row per B-scan, slice or frame, in the order of paths and of the scan.

    A file with fewer B-scans than its header states is left out, with a warning. Side and spacing are taken from the
    header and checked; they are unknown if they are absent or impossible. A spacing of 1 x 1 mm counts as unknown:
    programs write it if they do not know the spacing.

    Args:
        root: folder with the files; linked folders are entered, each once.
        warn: called with a message for each unexpected file or value.
    """
    found: dict[str, tuple[Slice, ...]] = {}
    for path in _files(root, warn):
        try:
            if read.is_volume(root / path):
                found[path] = read.slices(root / path)
        except read.Unreadable as error:
            warn(f"{path}: {error.reason}; left out")
    bare = Counter(_name(path) for path in found)
    for path, slices in found.items():
        name = _name(path)
        yield from _rows(path, name if bare[name] == 1 else path, slices, warn)


def _rows(path: str, name: str, slices: tuple[Slice, ...], warn: Warn) -> Iterator[Row]:
    several = len({one.series for one in slices}) > 1
    told: set[str] = set()

    def once(text: str) -> None:
        if text not in told:
            told.add(text)
            warn(f"{path}: {text}")

    for frame, (one, place) in enumerate(zip(slices, series_of(slices), strict=True)):
        patient = None if one.patient is None else pseudonym(one.patient)
        side = laterality(one.laterality, warn=once)
        alone = len(slices) == 1
        yield Row(
            id=name if alone else f"{name}_{frame:03d}",
            image=path,
            patient=patient,
            eye=f"{patient}_{side}" if patient and side else None,
            laterality=side,
            modality=one.modality or ABOUT.modality,
            volume=None if alone else f"{name}_{one.series}" if several else name,
            position=None if alone else place,
            spacing=spacing(one.spacing, warn=once),
            frame=None if alone else frame,
        )


def pseudonym(number: str) -> str:
    """The same short word for the same patient number, which it does not show: the start of its SHA-256."""
    return "p" + hashlib.sha256(f"foveate patient {number}".encode()).hexdigest()[:15]


def laterality(code: str | None, *, warn: Warn = tell) -> str | None:
    """Return "OD" or "OS" of a header's code (R, L, OD, OS); None for an absent code, both eyes or another code."""
    plain = (code or "").strip("\0 ").upper()
    if plain not in SIDES and plain not in UNSAID:
        warn(f"laterality must be one of {list(SIDES)}, got {code!r}; left unknown")
    return SIDES.get(plain)


def spacing(pair: tuple[float, float] | None, *, warn: Warn = tell) -> tuple[float, float] | None:
    """(mm per row, mm per column) if both are plausible for a retinal image; None if absent or implausible."""
    if pair is None or pair == (1.0, 1.0):
        return None
    low, high = SPACING
    if not all(low <= value <= high for value in pair):
        warn(f"spacing {pair[0]:g} x {pair[1]:g} mm (rows x columns) is not within {low} to {high} mm; left unknown")
        return None
    return pair


def _name(path: str) -> str:
    pure = PurePosixPath(path)
    stem = pure.name.removesuffix(".gz").rpartition(".")[0] or pure.name
    return str(pure.with_name(stem))


def _files(root: Path, warn: Warn) -> list[str]:
    """Files below a folder, sorted, relative to it."""
    found, entered = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:  # a link to a folder that was entered, perhaps to one above
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder).relative_to(root)
        for name in files:
            path = (here / name).as_posix()
            if name.startswith("."):
                continue
            if (root / path).is_file():
                found.append(path)
            else:
                warn(f"{path}: leads to no file; left out")
    return sorted(found)
