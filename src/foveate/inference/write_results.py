"""Write results as files: per image a JSON, one mask PNG per label and an overlay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from foveate.core.files import write_file, write_json
from foveate.core.reading import placed
from foveate.inference.evidence import Evidence
from foveate.inference.predictor import ImageResult
from foveate.report.overlay import activation

PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".ppm", ".pgm")
VOLUMES = (".dcm", ".vol", ".e2e", ".fda", ".mha", ".mhd", ".nii", ".gz")
IMAGES = (*PICTURES, *VOLUMES)


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

    def save(aside: Path) -> None:
        aside.write_text(str(evidence), encoding="utf-8")

    write_file(folder / f"{stem}_evidence.txt", save)
    return path


def list_images(paths: list[Path]) -> list[Path]:
    """The files named, and those in the folders named (by their ending, sorted).

    Raises:
        ValueError: a path is not there, or nothing is left.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGES and p.is_file())
        else:
            found.append(path)
    if not found:
        raise ValueError(f"{', '.join(map(str, paths))}: no image there; known endings are {' '.join(IMAGES)}")
    return found


def _png(picture: Image.Image, path: Path) -> str:
    def save(aside: Path) -> None:
        picture.save(aside, format="PNG")

    write_file(path, save)
    return path.name
