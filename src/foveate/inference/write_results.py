"""Write results as files: per image a JSON, one mask PNG per label and an overlay."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from foveate.core.files import FreeNames, safe_stem, write_file, write_json
from foveate.core.reading import placed
from foveate.core.text import printable
from foveate.data.formats import list_files
from foveate.inference.evidence import Evidence
from foveate.inference.image_result import ImageResult
from foveate.report.overlay import activation

WRITER = "foveate predict"
"""Value of ``written_by`` in the JSON of a result; files that such a JSON names are not read as images."""

EVIDENCE = ("_evidence.json", "_evidence.txt")


def result_files(reading: ImageResult) -> dict[str, str]:
    """Return what follows the stem in the name of each file of a result: key -> ending, each safe and used once.

    Keys: ``json``, ``overlay``, ``mask/LABEL`` and ``cam/QUESTION/ANSWER``.
    """
    ends = {"json": ".json", "overlay": "_overlay.png"}
    free = FreeNames(["overlay", "evidence"])
    for label in placed(reading).labels:
        ends[f"mask/{label}"] = f"_{free.stem(label)}.png"
    for question, answers in reading.cam.items():
        for answer in answers:
            ends[f"cam/{question}/{answer}"] = f"_{free.stem(f'cam_{question}_{answer}')}.png"
    return ends


def write_reading(reading: ImageResult, folder: Path, *, name: str | None = None, source: Path | None = None) -> Path:
    """Write one result; return the path of its JSON.

    Files: ``NAME.json``, ``NAME_<label>.png`` (0 and 255, original size), ``NAME_overlay.png``, and
    ``NAME_cam_<question>_<answer>.png`` per activation map. Characters that no file name can hold are percent-encoded;
    ``files`` in the JSON gives the names. With a source the JSON names it. A label of which the network gives the
    presence only has no mask and no area; its probability is under ``presence``, as for every label.
    """
    ends, shown = result_files(reading), placed(reading)
    stem = safe_stem(name or reading.id)
    masks = {}
    for label, mask in zip(shown.labels, shown.masks, strict=True):
        masks[label] = _png(Image.fromarray(mask.astype(np.uint8) * 255), folder / (stem + ends[f"mask/{label}"]))
    cams = {
        question: {
            answer: _png(activation(reading.image, cam=cam), folder / (stem + ends[f"cam/{question}/{answer}"]))
            for answer, cam in answers.items()
        }
        for question, answers in reading.cam.items()
    }
    files = {"masks": masks, "overlay": _png(shown.overlay(), folder / (stem + ends["overlay"]))}
    path = folder / (stem + ends["json"])
    plain = {**shown.to_json(), "presence": reading.to_json()["presence"]}
    origin = {} if source is None else {"source": str(source)}
    write_json(path, {"written_by": WRITER, **origin, **plain, "files": {**files, **({"cam": cams} if cams else {})}})
    return path


def write_evidence(evidence: Evidence, folder: Path, *, name: str | None = None) -> Path:
    """Write the evidence of one result: ``NAME_evidence.json`` (return its path) and ``.txt``, in words."""
    stem = safe_stem(name or evidence.id)
    path = folder / (stem + EVIDENCE[0])
    write_json(path, evidence.to_json())
    write_file(folder / (stem + EVIDENCE[1]), str(evidence))
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
        own = _results_in(path)
        found += [image for image in listing.images if image not in own]
        if report is not None and (results := sum(image in own for image in listing.images)):
            report(f"{printable(str(path))}: {results} masks and overlays of earlier results passed over")
        if report is None:
            continue
        for other in listing.passed_over:
            report(f"{printable(str(other))}: passed over, not an image file that foveate reads (foveate list formats)")
        if listing.others:
            report(f"{path}: {listing.others} texts, tables and parts of images passed over")
    if not found:
        raise ValueError(f"{', '.join(map(str, paths))}: no image there; see the formats with: foveate list formats")
    return found


def _results_in(folder: Path) -> set[Path]:
    """Return the images that earlier results in a folder name as their own."""
    found: set[Path] = set()
    for path in folder.rglob("*.json"):
        try:
            with path.open(encoding="utf-8") as file:
                if WRITER not in file.read(200):
                    continue
            data = json.loads(path.read_text(encoding="utf-8"))
            if data.get("written_by") == WRITER:
                found |= {path.parent / name for name in _names(data["files"])}
        except (OSError, ValueError, KeyError, AttributeError):
            continue
    return found


def _names(files: Any) -> Iterator[str]:
    """Yield the file names in the ``files`` of a result."""
    if isinstance(files, str):
        yield files
    elif isinstance(files, dict):
        for one in files.values():
            yield from _names(one)


def _png(picture: Image.Image, path: Path) -> str:
    def save(aside: Path) -> None:
        picture.save(aside, format="PNG")

    write_file(path, save)
    return path.name
