"""Srinivasan 2014: OCT volumes of 45 eyes with dry AMD, diabetic macular oedema, or healthy (Duke)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import Row
from foveate.data.adapters._about import About
from foveate.data.adapters._layout import Tree, Warn, stem, tell

ABOUT = About(
    name="srinivasan",
    title="Duke SD-OCT classification set of dry AMD, DME and normal volumes",
    modality="oct",
    source="people.duke.edu/~sf59/Srinivasan_BOE_2014_dataset.htm",
    terms="as stated on that page; no licence is named there",
    citation="Srinivasan et al., Fully automated detection of diabetic macular edema and dry age-related macular "
    "degeneration from optical coherence tomography images, Biomedical Optics Express 5(10):3568-3577, 2014",
    layout="Publication_Dataset/AMD1 ... NORMAL15/TIFFs/8bitTIFFs",
    expects={
        "images": 3231,
        "volumes": 45,
        "patients": 45,
        "diagnosis AMD": 723,
        "diagnosis DME": 1101,
        "diagnosis NORMAL": 1407,
    },
    notes="One volume per eye and one eye per patient, so the folder is all three. No official split. The B-scans "
    "have white borders where the volume was registered: prepare with fill_white. The diagnosis is that of the "
    "volume; not every B-scan of it shows the disease.",
)
ANSWERS = {"amd": "AMD", "dme": "DME", "normal": "NORMAL"}
SCHEMA = LabelSchema((Question("diagnosis", tuple(ANSWERS.values())),))
VOLUME = re.compile(r"(amd|dme|normal)(\d+)")
EIGHT_BIT = "8bittiffs"


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """One row per B-scan.

    Args:
        root: folder with the volumes, at any depth.
        warn: called with a message for each unexpected file or value.
    """
    found: dict[str, list[tuple[str, bool]]] = {}
    for path, folders in Tree(root, warn).all:
        match = next((m for name in reversed(folders) if (m := VOLUME.fullmatch(name))), None)
        if match and path.casefold().endswith((".tif", ".tiff")):
            volume = f"{ANSWERS[match[1]]}{int(match[2])}"
            found.setdefault(volume, []).append((path, EIGHT_BIT in folders))
    for volume in sorted(found, key=lambda v: (v.rstrip("0123456789"), int(re.sub(r"\D", "", v)))):
        eight = [path for path, is_eight in found[volume] if is_eight]
        if not eight:
            warn(f"{volume}: there is no folder 8bitTIFFs; its other TIFF files are taken")
        yield from _rows(volume, eight or [path for path, _ in found[volume]], warn)


def _rows(volume: str, paths: list[str], warn: Warn) -> Iterator[Row]:
    seen: dict[str, str] = {}
    for path in paths:
        name = f"{volume}/{stem(path)}"
        if name in seen:
            warn(f"{path}: {seen[name]} is the same B-scan and is taken; remove one of them")
            continue
        seen[name] = path
        yield Row(
            name,
            path,
            {"diagnosis": volume.rstrip("0123456789")},
            patient=volume,
            eye=volume,
            volume=volume,
            position=int(stem(path)) if stem(path).isdecimal() else None,
        )
