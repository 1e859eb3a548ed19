"""A data set of the plan to its manifest, and to the frames that every peer reads.

Frames are made by `foveate.data.prepare`: the same resizing and the same rule for masks as in our own trainings. So
methods differ in their training, not in their pixels.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from foveate import Manifest
from foveate.core.files import write_json
from foveate.core.shapes import Geometry
from foveate.core.types import MaskSource, Row
from foveate.data import read
from foveate.data.adapters import scan
from foveate.data.prepare import Prepare, frame_masks
from foveate.data.split import split
from foveate.data.writing import file_name, save
from peers.plan import DataSet

ROOT = Path(__file__).parent.parent.parent
MOST = 8
"""Labels that one mask file holds, a bit each."""


def manifest_of(data: DataSet, out: Path, *, folds: int) -> Manifest:
    """The manifest of a data set with its folds, as `foveate scan` and `foveate split --folds` make it.

    Args:
        data: of the plan.
        out: folder of the comparison; the manifest is kept there.
        folds: number of folds.

    Raises:
        ValueError: ``$FOVEATE_DATA`` is not set or has no such folder, or more labels than a mask file holds.
    """
    path = out / "sets" / data.name / "manifest.jsonl"
    if path.is_file():
        return Manifest.read(path)
    if "FOVEATE_DATA" not in os.environ:
        raise ValueError(f"set {data.name!r}: FOVEATE_DATA is not set; export the folder that holds the data sets")
    adapter = str(ROOT / data.scan) if data.scan.endswith(".toml") else data.scan
    found = scan(adapter, Path(os.environ["FOVEATE_DATA"]) / (data.data or data.name))
    divided = split(found, folds=folds).select(questions=data.questions, labels=data.labels)
    if len(divided.schema.labels) > MOST:
        raise ValueError(f"set {data.name!r}: {len(divided.schema.labels)} labels; select at most {MOST} (labels = [])")
    return divided.write(path)


def frames_of(rows: Manifest, folder: Path, *, size: int | tuple[int, int]) -> Manifest:
    """Frames of a manifest: PNG images, mask files with a bit per label, and how each frame lies in its original.

    Padding counts as free of every label.

    Args:
        rows: with masks known in whole or not at all.
        folder: for this size; what is there is taken as it is.
        size: of the frame.

    Returns:
        manifest of the frames, with the rows' answers, patients and folds.

    Raises:
        ValueError: a mask is known in part, which no peer can read.
    """
    path = folder / "frames.jsonl"
    if path.is_file():
        return Manifest.read(path)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    prepare, schema = Prepare(size), rows.schema
    framed, geometries = [], {}
    for row in rows:
        image, geometry = prepare.frame(read.image(rows.root / row.image, frame=row.frame))
        name = file_name(row.id) + ".png"
        save(image, folder / "images" / name)
        sources = {}
        masks, known = read.masks(row, rows.root, schema, shape=geometry.source)
        if schema.labels and known.any():
            if not known.all():
                raise ValueError(f"image {row.id!r}: a mask is known in part; peers need masks that are known in whole")
            drawn, _ = frame_masks(masks, known, geometry, exclusive=schema.exclusive)
            save(bits(drawn), folder / "masks" / name)
            sources = {label: (MaskSource(f"masks/{name}", bit=i),) for i, label in enumerate(schema.labels)}
        geometries[row.id] = asdict(geometry)
        framed.append(replace(row, image=f"images/{name}", masks=sources, frame=None, disc=None, fovea=None, cues={}))
    write_json(folder / "geometries.json", geometries)
    return Manifest(schema, tuple(framed), folder, info={"name": rows.info.get("name")}).write(path)


def geometries_of(folder: Path) -> dict[str, Geometry]:
    """Image -> how its frame lies in it, of a folder made by `frames_of`."""
    found = json.loads((folder / "geometries.json").read_text(encoding="utf-8"))
    return {name: Geometry(*(tuple(part[key]) for key in ("source", "crop", "inner", "size")))
            for name, part in found.items()}  # fmt: skip


def bits(masks: UInt8[np.ndarray, "l h w"]) -> UInt8[np.ndarray, "h w"]:
    """Masks as one picture: bit i of a pixel is label i."""
    places = np.arange(len(masks), dtype=np.uint8)[:, None, None]
    return np.bitwise_or.reduce((masks > 0).astype(np.uint8) << places, axis=0).astype(np.uint8)


def unbits(picture: UInt8[np.ndarray, "h w"], count: int) -> np.ndarray:
    """Inverse of `bits`: ``(label, row, col)`` bool."""
    return (picture[None] >> np.arange(count, dtype=np.uint8)[:, None, None]) & 1 == 1


def task_of(frames: Manifest, *, fold: int) -> dict[str, Any]:
    """What a peer is given: training frames with their truth, test frames without; plain JSON values."""
    schema, images = frames.schema, []
    for row in frames.fold(fold):
        if row.split != "val":  # no plain loop looks at it
            images.append(_image(row, frames.root, truth=row.split == "train"))
    return {
        "labels": list(schema.labels), "exclusive": schema.exclusive,
        "questions": [{"name": q.name, "answers": list(q.answers)} for q in schema.questions],
        "images": images,
    }  # fmt: skip


def _image(row: Row, root: Path, *, truth: bool) -> dict[str, Any]:
    masks: Sequence[MaskSource] = next(iter(row.masks.values()), ())
    mask = str((root / masks[0].path).resolve()) if truth and masks and masks[0].path else None
    return {
        "id": row.id, "file": file_name(row.id), "part": row.split, "image": str((root / row.image).resolve()),
        "mask": mask, "answers": dict(row.answers) if truth else {},
    }  # fmt: skip
