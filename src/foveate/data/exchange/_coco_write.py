"""A manifest to COCO JSON files with their images, whole or not at all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from foveate.core.files import whole_folder
from foveate.data.exchange import _rle
from foveate.data.exchange._outline import outlines
from foveate.data.manifest import Manifest
from foveate.data.writing import Progress, Truth, Written, put, said_of, truths


def write(
    manifest: Manifest,
    out: Path,
    *,
    polygons: bool = False,
    annotators: str = "union",
    progress: Progress | None = None,
) -> Written:
    """Write a manifest as COCO, one JSON file per split, whole or not at all.

    ``images/SPLIT/ID.jpg`` and ``annotations/instances_SPLIT.json`` ("all" for rows without a split). Each connected
    piece (8 neighbours) of a label is one annotation with ``iscrowd`` 0; both ways of writing it give back the same
    pixels. COCO cannot express "unknown". So each image lists, as LVIS does, ``neg_category_ids`` (looked for and
    absent) and ``not_exhaustive_category_ids`` (marked, but not known everywhere). A category that is in neither list
    and has no annotation is unknown. Programs that read plain COCO take it for absent: the notes give the number of
    such images.

    Args:
        manifest: rows to write.
        out: a new folder.
        polygons: outlines along the pixels' edges instead of run lengths, for programs that want them; pieces with
            holes stay run lengths, as polygons have none.
        annotators: rule that merges annotators, or an annotator's name.
        progress: called after each image.

    Returns:
        the folder, and the facts that COCO cannot express.

    Raises:
        ValueError: no labels, or ``out`` is there already.
        Unreadable: an image or a mask cannot be read.
    """
    labels = manifest.schema.labels
    if not labels:
        raise ValueError("labels=[]: COCO holds marked labels alone, and this manifest has none")
    categories = [{"id": i, "name": name, "supercategory": "retina"} for i, name in enumerate(labels, 1)]
    books: dict[str, dict[str, list[Any]]] = {}
    unknown: Counter[str] = Counter()
    partly: Counter[str] = Counter()
    pieces = 0
    with whole_folder(out) as aside:
        for done, truth in enumerate(truths(manifest, annotators=annotators), 1):
            part = truth.row.split or "all"
            book = books.setdefault(part, {"images": [], "annotations": []})
            folder = aside / "images" / part
            folder.mkdir(parents=True, exist_ok=True)
            rows, cols = truth.masks.shape[1:]
            image = {"id": done, "file_name": put(truth.row, manifest.root, folder), "width": cols, "height": rows}
            book["images"].append(image | _known(truth, labels, unknown, partly))
            for number, mask in enumerate(truth.masks, 1):
                for piece in _pieces(mask, polygons=polygons):
                    pieces += 1
                    book["annotations"].append(
                        {"id": pieces, "image_id": done, "category_id": number, **piece, "iscrowd": 0}
                    )
            if progress is not None:
                progress(done, len(manifest))
        (aside / "annotations").mkdir()
        for part, book in books.items():
            text = json.dumps({"info": _info(manifest), "licenses": [], **book, "categories": categories})
            (aside / "annotations" / f"instances_{part}.json").write_text(text + "\n", encoding="utf-8")
    return Written((out,), len(manifest), tuple(said_of(manifest) + _notes(labels, unknown, partly)))


def _known(truth: Truth, labels: tuple[str, ...], unknown: Counter[str], partly: Counter[str]) -> dict[str, list[int]]:
    """Categories looked for and absent, and those marked but not known everywhere; what is neither is counted."""
    absent, loose = [], []
    for number, (label, mask, known) in enumerate(zip(labels, truth.masks, truth.known, strict=True), 1):
        if known.all():
            if not mask.any():
                absent.append(number)
        elif mask.any():
            loose.append(number)
            partly[label] += 1
        else:
            unknown[label] += 1
    return {"neg_category_ids": absent, "not_exhaustive_category_ids": loose}


def _pieces(mask: UInt8[np.ndarray, "h w"], *, polygons: bool) -> Iterator[dict[str, Any]]:
    """Segmentation, area and box (x, y, width, height) of each connected piece."""
    rows, cols = mask.shape
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    for i in range(1, count):
        left, top, width, height, area = (int(v) for v in boxes[i])
        piece = numbers[top : top + height, left : left + width] == i
        found = outlines(piece) if polygons else None
        segmentation: Any
        if found is None:
            x, y = np.nonzero(piece.T)
            counts = _rle.runs((x + left) * rows + y + top, rows * cols)
            segmentation = {"size": [rows, cols], "counts": _rle.to_text(counts)}
        else:
            segmentation = [[v for row, col in corners for v in (col + left, row + top)] for corners in found]
        yield {"segmentation": segmentation, "area": area, "bbox": [left, top, width, height]}


def _info(manifest: Manifest) -> dict[str, str]:
    said = {"description": "name", "licence": "licence", "citation": "citation"}
    return {key: str(manifest.info[of]) for key, of in said.items() if manifest.info.get(of)}


def _notes(labels: tuple[str, ...], unknown: Counter[str], partly: Counter[str]) -> list[str]:
    lost = [
        f"{label} in {unknown[label]} images and, where marked, around it in {partly[label]}"
        for label in labels
        if unknown[label] or partly[label]
    ]
    if not lost:
        return []
    return [
        f"COCO cannot express what is not known ({'; '.join(lost)}): it is in the images' neg_category_ids and "
        "not_exhaustive_category_ids, as in LVIS; a program that does not read them takes it for absent"
    ]
