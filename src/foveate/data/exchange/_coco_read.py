"""COCO JSON files to a manifest; their shapes become mask files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from foveate.core.files import file_name, hidden, id_of, put_folder
from foveate.core.labels import LabelSchema
from foveate.core.shapes import polygon
from foveate.core.types import MaskSource, Row
from foveate.data import read as files
from foveate.data.exchange import _rle
from foveate.data.exchange._coco_files import Picture, Sheet, find_sheets
from foveate.data.manifest import Manifest, sha256
from foveate.data.writing import save

MASKS = "coco_masks"
NO_PATIENTS = "COCO names no patients: images of one patient may be divided; add column patient to the manifest"


def read(root: Path, *, complete: bool = False, masks: Path | None = None) -> Manifest:
    """The manifest of COCO files; masks are drawn into PNG files, replaced whole where they are there from before.

    Polygons (a pixel belongs to one that holds its centre), run lengths as numbers or as text; several annotations of
    a category are united, ``iscrowd`` ones too. Of a category without annotation in an image: it is absent where the
    image lists it in ``neg_category_ids``; else unknown, unless ``complete``. A category in
    ``not_exhaustive_category_ids``, or with a box but no shape, is known only where it is marked.

    Args:
        root: a JSON file, or the folder with annotations/*.json (or \\*.json) and the images at any depth.
        complete: every category was looked for in every image, so that one without annotation is absent there. That is
            what COCO means by its format and what many a file does not keep.
        masks: folder for the mask files; ``coco_masks`` in the root if None.

    Returns:
        the manifest; ``info["warnings"]`` lists unexpected files and values.

    Raises:
        ValueError: no such file, none with images, annotations and categories, or none of the images is there.
    """
    base = root if root.is_dir() else root.parent if root.parent.name != "annotations" else root.parent.parent
    sheets = find_sheets(root, base)
    warnings = [NO_PATIENTS]
    labels = tuple(dict.fromkeys(name for sheet in sheets for name in sheet.categories.values()))
    target = masks or base / MASKS
    aside = hidden(target)
    seen: dict[str, _Image] = {}
    for sheet in sheets:
        warnings += sheet.warnings
        for picture in sheet.pictures:
            seen.setdefault(picture.path, _Image(picture)).add(sheet, picture, complete=complete)
    unsure: dict[str, int] = {}
    try:
        aside.mkdir(parents=True)
        rows = []
        names = _names(list(seen))
        for path, image in seen.items():
            try:
                shape = files.size(base / path)
            except files.Unreadable as error:
                warnings.append(str(error))
                continue
            if shape != image.shape:
                warnings.append(f"{path} is {shape} (rows, cols), but {image.shape} in its JSON file; left out")
                continue
            drawn, lost = image.draw(labels, names[path], aside, Path(os.path.relpath(target, base)))
            warnings += lost
            for label in set(labels) - set(drawn):
                unsure[label] = unsure.get(label, 0) + 1
            rows.append(
                Row(
                    id=names[path],
                    image=path,
                    masks={label: drawn[label] for label in labels if label in drawn},
                    split=image.split,
                    sha256=sha256(base / path),
                )
            )
        if not rows:
            raise ValueError(f"root={str(root)!r}: none of the {len(seen)} images is there; {' '.join(warnings[1:3])}")
        put_folder(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    if unsure and not complete:
        told = ", ".join(f"{label} in {unsure[label]}" for label in labels if label in unsure)
        warnings.append(
            f"where an image has no annotation of a label, it is unknown there, not absent: {told} images; "
            "if every label was looked for everywhere, read with complete=True (or list neg_category_ids)"
        )
    info: dict[str, Any] = {"name": base.name, "warnings": warnings}
    return Manifest(LabelSchema((), labels), tuple(rows), base, info=info)


@dataclass
class _Image:
    """One image with the entries of all files on it."""

    first: Picture
    split: str | None = None
    shapes: dict[str, list[Any]] = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.first.shape

    def add(self, sheet: Sheet, picture: Picture, *, complete: bool) -> None:
        """Take one file's annotations of it into account."""
        self.split = self.split or sheet.split
        there = set()
        for category, segmentation in picture.annotations:
            there.add(category)
            if segmentation:
                self.shapes.setdefault(category, []).append(segmentation)
            else:
                self.loose.add(category)
        self.loose |= picture.loose
        without = set(sheet.categories.values()) - there
        self.absent |= without & picture.absent if sheet.tells_absence else without if complete else set()

    def draw(
        self, labels: tuple[str, ...], name: str, folder: Path, as_seen: Path
    ) -> tuple[dict[str, tuple[MaskSource, ...]], list[str]]:
        """Draw its masks: eight labels a file as bits; one known only where it is marked in a file of its own."""
        drawn: dict[str, tuple[MaskSource, ...]] = {}
        made: dict[str, UInt8[np.ndarray, "h w"]] = {}
        told: list[str] = []
        for number, label in enumerate(labels):
            if label in self.shapes:
                mask = self._mask(label, told)
                if not mask.any():
                    told.append(f"{self.first.path}, {label}: the shapes cover no pixel; it is unknown there")
                elif label not in self.loose:
                    path = f"{file_name(name)}.{number // 8}.png"
                    bits = made.setdefault(path, np.zeros(self.shape, np.uint8))
                    bits |= mask.astype(np.uint8) << (number % 8)
                    drawn[label] = (MaskSource((as_seen / path).as_posix(), bit=number % 8),)
                else:
                    path = f"{file_name(name)}.marked{number}.png"
                    made[path] = mask.astype(np.uint8)
                    drawn[label] = (MaskSource((as_seen / path).as_posix(), index=(1,), ignore=(0,)),)
            elif label in self.absent and label not in self.loose:
                drawn[label] = (MaskSource(),)
        for path, values in made.items():
            save(values, folder / path)
        return drawn, told

    def _mask(self, label: str, told: list[str]) -> Bool[np.ndarray, "h w"]:
        mask = np.zeros(self.shape, bool, order="F")
        for segmentation in self.shapes[label]:
            try:
                draw(segmentation, mask)
            except ValueError as error:
                told.append(f"{self.first.path}, {label}: {error}; the shape was left out")
                self.loose.add(label)
        return mask


def draw(segmentation: Any, mask: Bool[np.ndarray, "h w"]) -> None:
    """Mark a COCO segmentation: a list of polygons, or run lengths as numbers or text.

    Args:
        segmentation: as in the JSON; positions count from the outer corner of the first pixel.
        mask: marked in place; stored column by column (``order="F"``).

    Raises:
        ValueError: it is not a segmentation, or it has another size.
    """
    if isinstance(segmentation, Mapping):
        counts, size = segmentation.get("counts"), segmentation.get("size")
        if size is None or tuple(size) != mask.shape:
            raise ValueError(f"segmentation of size {size}, but the image has {list(mask.shape)} (rows, cols)")
        if not isinstance(counts, str | list):
            raise ValueError("segmentation has no counts")
        _rle.draw(_rle.from_text(counts) if isinstance(counts, str) else counts, mask)
        return
    for flat in segmentation:
        if not isinstance(flat, list) or len(flat) < 6 or len(flat) % 2:
            raise ValueError("polygons are lists of x, y in turn, three corners or more")
        corners = np.array([flat[1::2], flat[0::2]], float).T - 0.5  # (row, col), pixel centres at whole numbers
        top, left = (int(v) for v in np.clip(np.floor(corners.min(0)), 0, mask.shape))
        bottom, right = (int(v) for v in np.clip(np.ceil(corners.max(0)) + 1, (top, left), mask.shape))
        inside = [(float(row), float(col)) for row, col in corners - (top, left)]
        mask[top:bottom, left:right] |= polygon((bottom - top, right - left), inside)


def _names(paths: list[str]) -> dict[str, str]:
    """Ids of images: the file's name, with its folders where that is not enough."""
    stems = [PurePosixPath(path).stem for path in paths]
    if len(set(stems)) == len(stems):
        return {path: id_of(stem) for path, stem in zip(paths, stems, strict=True)}
    return {path: str(PurePosixPath(path).with_suffix("")) for path in paths}
