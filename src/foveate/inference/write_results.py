"""Write results as files: per image a JSON, one mask PNG per label and an overlay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from foveate.core.files import write_file, write_json
from foveate.core.reading import placed
from foveate.core.text import printable
from foveate.data.formats import list_files
from foveate.inference.evidence import Evidence
from foveate.inference.predictor import ImageResult
from foveate.report.overlay import activation


def write_reading(reading: ImageResult, folder: Path, *, name: str | None = None) -> Path:
    """Write one result; return the path of its JSON.

    Files: ``NAME.json``, ``NAME_<label>.png`` (0 and 255, original size), ``NAME_overlay.png``, and
    ``NAME_cam_<question>_<answer>.png`` per activation map. A label of which the network gives the presence only has no
    mask and no area; its probability is under ``presence``, as for every label.
    """
    stem, shown = name or reading.id, placed(reading)
    masks = {}
    for label, mask in zip(shown.labels, shown.masks, strict=True):
        masks[label] = _png(Image.fromarray(mask.astype(np.uint8) * 255), folder / f"{stem}_{label}.png")
    cams = {
        question: {
            answer: _png(activation(reading.image, cam=cam), folder / f"{stem}_cam_{question}_{answer}.png")
            for answer, cam in answers.items()
        }
        for question, answers in reading.cam.items()
    }
    files = {"masks": masks, "overlay": _png(shown.overlay(), folder / f"{stem}_overlay.png")}
    path = folder / f"{stem}.json"
    plain = {**shown.to_json(), "presence": reading.to_json()["presence"]}
    write_json(path, {**plain, "files": {**files, **({"cam": cams} if cams else {})}})
    return path


def write_evidence(evidence: Evidence, folder: Path, *, name: str | None = None) -> Path:
    """Write the evidence of one result: ``NAME_evidence.json`` (return its path) and ``.txt``, in words."""
    stem = name or evidence.id
    path = folder / f"{stem}_evidence.json"
    write_json(path, evidence.to_json())
    write_file(folder / f"{stem}_evidence.txt", str(evidence))
    return path


def list_images(paths: list[Path], *, report: Callable[[str], None] | None = None) -> list[Path]:
    """The files named, and the images in the folders named, sorted; what a file is follows from its content.

    Args:
        paths: files and folders.
        report: called with a line per file of a folder that is passed over, and with the number of texts and the like.

    Raises:
        ValueError: a path is not there, or nothing is left.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        listing = list_files(path)
        found += listing.images
        if report is None:
            continue
        for other in listing.passed_over:
            report(f"{printable(str(other))}: passed over, not an image file that foveate reads (foveate list formats)")
        if listing.others:
            report(f"{path}: {listing.others} texts, tables and parts of images passed over")
    if not found:
        raise ValueError(f"{', '.join(map(str, paths))}: no image there; see the formats with: foveate list formats")
    return found


def _png(picture: Image.Image, path: Path) -> str:
    def save(aside: Path) -> None:
        picture.save(aside, format="PNG")

    write_file(path, save)
    return path.name
