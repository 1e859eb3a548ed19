"""OCT5k: B-scans of AMD, DME and healthy eyes with four layers, each drawn three times (Arikan et al. 2025)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data.adapters._about import About
from foveate.data.adapters._layout import IMAGES, Tree, Warn, plain, tell

ABOUT = About(
    name="oct5k",
    title="OCT5k: multi-disease and multi-graded annotations for retinal layers",
    modality="oct",
    source="UCL Research Data Repository, doi 10.5522/04/22128671",
    terms="as stated there; check your version",
    citation="Arikan et al., OCT5k: A dataset of multi-disease and multi-graded annotations for retinal layers, "
    "Scientific Data 12:267, 2025",
    layout="Images/Images_Manual (or Images_Original) and Masks/Masks_Manual/Grading_1, Grading_2, Grading_3",
    expects={"images": 1672, "patients": 60},
    missing="unknown for that annotator",
    notes="Values 0 to 5 count the regions from the top: vitreous, four layers between the boundaries ILM, OPL, "
    "IS-OS, inner and outer border of the RPE, and the tissue below; the first and the last are background. Masks of "
    "a copy with other values are unknown, with a warning. The gradings are three annotators. The patient is "
    "diagnosis and number of the folder (AMD (1).E2E), over its parts; the volume is the visit. Its boxes are not "
    "read.",
)
ANSWERS = {"amd": "AMD", "dme": "DME", "normal": "NORMAL"}
LAYERS = {"ilm_opl": 1, "opl_isos": 2, "isos_rpe": 3, "rpe": 4}
BELOW = 5
SCHEMA = LabelSchema((Question("diagnosis", tuple(ANSWERS.values())),), tuple(LAYERS), exclusive=True)
PERSON = re.compile(r"(amd|dme|normal)\D*?(\d+)\D*?(?:e2e)?")
ENDINGS = tuple(dict.fromkeys((*IMAGES, ".tiff")))
Key = tuple[str, ...]


def scan(root: Path, *, warn: Warn = tell) -> Iterator[Row]:
    """One row per B-scan that was graded.

    Args:
        root: folder with Images and Masks, at any depth.
        warn: called with a message for each unexpected file or value.
    """
    tree = Tree(root, warn)
    gradings = {f"grading{n}": _by_place(tree, f"Grading_{n}", "Masks_Manual") for n in (1, 2, 3)}
    gradings = {
        annotator: files for annotator, files in gradings.items() if _as_described(root, files, annotator, warn)
    }
    images = _by_place(tree, "Images_Manual", "Images")
    if not images:
        graded = {place for files in gradings.values() for place in files}
        original = _by_place(tree, "Images_Original", "Images")
        images = {place: path for place, path in original.items() if place in graded}
    if odd := sum(place not in images for files in gradings.values() for place in files):
        warn(f"{odd} masks belong to no image and were not used")
    for place, path in images.items():
        yield _row(place, path, gradings, warn)


def _by_place(tree: Tree, folder: str, above: str) -> dict[Key, str]:
    """Plain names of the folders below ``folder`` and of the file, without its ending -> path."""
    found: dict[Key, str] = {}
    for path in tree.files(above, folder, suffixes=ENDINGS):
        parts = PurePosixPath(path).with_suffix("").parts
        names = [plain(part) for part in parts]
        start = names.index(plain(folder)) + 1
        found.setdefault(tuple(names[start:]), path)
    return found


def _as_described(root: Path, files: Mapping[Key, str], annotator: str, warn: Warn) -> bool:
    """Whether the first mask holds the values 0 to 5, each below the one before."""
    if not files:
        return False
    first = next(iter(files.values()))
    try:
        with Image.open(root / first) as file:
            values = np.asarray(file.convert("L"))
    except OSError as error:
        warn(f"{first}: {error}; {annotator} was not used")
        return False
    there = np.unique(values)
    depth = [float(np.nonzero(values == v)[0].mean()) for v in there]
    if there.max() > BELOW or sorted(depth) != depth:
        said = f"values {there[:8].tolist()}, not 0 to {BELOW} from the top down"
        warn(f"{first}: {said}; {annotator} was not used, its masks are unknown")
        return False
    return True


def _row(place: Key, path: str, gradings: Mapping[str, Mapping[Key, str]], warn: Warn) -> Row:
    parts = PurePosixPath(path).with_suffix("").parts[-len(place) :]
    match = next((m for name in place[:-1] if (m := PERSON.fullmatch(name)) and "part" not in name), None)
    if match is None:
        warn(f"{path}: no folder names diagnosis and patient, like 'AMD (1).E2E'; both are unknown")
    drawn = {annotator: files[place] for annotator, files in gradings.items() if place in files}
    masks = {
        label: tuple(MaskSource(file, index=(value,), annotator=annotator) for annotator, file in drawn.items())
        for label, value in LAYERS.items()
    }
    number = re.search(r"\d+", parts[-1])
    return Row(
        "/".join(parts),
        path,
        {"diagnosis": ANSWERS[match[1]]} if match else {},
        masks if drawn else {},
        patient=f"{ANSWERS[match[1]]}_{int(match[2])}" if match else None,
        volume="/".join(parts[:-1]) or None,
        position=int(number[0]) if number else None,
    )
