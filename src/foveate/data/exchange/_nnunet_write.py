"""A manifest to nnU-Net v2 raw data sets, each whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from foveate.core.files import file_name, hidden, put_folder
from foveate.core.types import Row
from foveate.data.exchange._nnunet_plan import Sheet, Survey, describe
from foveate.data.manifest import Manifest
from foveate.data.writing import (
    Progress,
    Truth,
    Written,
    grey,
    link,
    listed,
    pixels,
    said_of,
    save,
    truths,
)

ENDING = ".png"
TAKEN = ("background", "ignore")


def write(
    manifest: Manifest,
    out: Path,
    *,
    name: str | None = None,
    number: int | None = None,
    annotators: str = "union",
    progress: Progress | None = None,
) -> Written:
    """Write a manifest as nnU-Net v2 raw data sets; each appears whole or not at all.

    Images become PNG (one channel if all are grey), upright; rows of ``test`` go to imagesTs and labelsTs, all
    others to imagesTr and labelsTr. Labels share one mask if it can express all that is known of them
    (`_nnunet_plan`): as values 1, 2, ..., or as regions if one label is inside another; the last value is nnU-Net's
    ignore label, for unknown pixels. Otherwise there is one data set per label, with the images in which that label
    is known. Rows with a fold (or, without folds, with the split ``val``) make a ``splits_final.json``.

    Args:
        manifest: rows to write.
        out: folder of the data sets (nnU-Net's nnUNet_raw); others in it stay as they are.
        name: of the data set after its number; the manifest's own name if None.
        number: of the first data set; the next free one if None.
        annotators: rule that merges annotators, or an annotator's name.
        progress: called after each image of two rounds: looking, then writing.

    Returns:
        the folders, and the facts that nnU-Net cannot express.

    Raises:
        ValueError: no labels, a label called background or ignore, no training image with a known mask, a number that
            is taken.
        Unreadable: an image or a mask cannot be read.
    """
    labels = manifest.schema.labels
    if not labels or set(labels) & set(TAKEN) or len(labels) > 253:
        raise ValueError(f"labels={list(labels)}: nnU-Net needs 1 to 253, none of them called background or ignore")
    survey, all_grey, done, total = Survey(manifest.schema), True, 0, 2 * len(manifest)
    for truth in truths(manifest, annotators=annotators):
        survey.see(truth)
        all_grey = all_grey and grey(pixels(truth.row, manifest.root))
        done += 1
        if progress is not None:
            progress(done, total)
    sheets = survey.sheets()
    start = _free(out) if number is None else number
    title = _word(name or str(manifest.info.get("name", "")) or "foveate")
    names = [
        f"Dataset{start + i:03d}_{title}" + (f"_{_word(sheet.labels[0])}" if len(sheets) > 1 else "")
        for i, sheet in enumerate(sheets)
    ]
    if taken := [p.name for i in range(len(sheets)) for p in out.glob(f"Dataset{start + i:03d}_*")]:
        raise ValueError(f"number={start}: {taken[0]} is there already; give another number")
    notes = describe(sheets, manifest.schema) + said_of(manifest)
    out.mkdir(parents=True, exist_ok=True)
    aside = hidden(out / "foveate")
    made: list[Path] = []
    try:
        books = [_Book(sheet, aside / folder, all_grey) for sheet, folder in zip(sheets, names, strict=True)]
        for truth in truths(manifest, annotators=annotators):
            first: Path | None = None
            for book in books:
                first = book.add(truth, manifest.root, first, alone=len(books) == 1) or first
            done += 1
            if progress is not None:
                progress(done, total)
        for book in books:
            notes += book.close(manifest)
        for folder in names:
            put_folder(aside / folder, out / folder)
            made.append(out / folder)
    except BaseException:
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    if any(row.spacing for row in manifest):
        notes.append("PNG has no spacing: nnU-Net will take a pixel for 1 mm")
    written = {row.id for book in books for row in (*book.train, *book.test)}
    if lost := [row.id for row in manifest if row.id not in written]:
        notes.append(f"{len(lost)} images with no known mask were left out ({listed(lost)})")
    return Written(tuple(out / folder for folder in names), len(written), tuple(dict.fromkeys(notes)))


class _Book:
    """One data set being written."""

    def __init__(self, sheet: Sheet, folder: Path, all_grey: bool) -> None:
        self.sheet, self.folder, self.all_grey = sheet, folder, all_grey
        self.train: list[Row] = []
        self.test: list[Row] = []
        for part in ("imagesTr", "labelsTr"):
            (folder / part).mkdir(parents=True)

    def add(self, truth: Truth, root: Path, first: Path | None, *, alone: bool) -> Path | None:
        """An image and its mask; ``first`` is the same image in another data set, the answer where it was written."""
        testing, knows = truth.row.split == "test", self.sheet.knows(truth)
        if not knows and not (testing and alone):
            return None
        part = "Ts" if testing else "Tr"
        for kind in ("images", "labels")[: 2 if knows else 1]:
            (self.folder / f"{kind}{part}").mkdir(exist_ok=True)
        stem = file_name(truth.row.id)
        path = self.folder / f"images{part}" / f"{stem}_0000{ENDING}"
        if first is not None:
            link(first, path)
        else:
            image = pixels(truth.row, root)
            save(np.ascontiguousarray(image[..., 0]) if self.all_grey else image, path)
        if knows:
            save(self.sheet.draw(truth), self.folder / f"labels{part}" / f"{stem}{ENDING}")
        (self.test if testing else self.train).append(truth.row)
        return path

    def close(self, manifest: Manifest) -> list[str]:
        """Write dataset.json and, where rows are divided, splits_final.json."""
        if not self.train:
            raise ValueError(
                f"labels={list(self.sheet.labels)}: no row outside of split 'test' has a known mask; "
                "nnU-Net needs training images"
            )
        labels: dict[str, Any] = {"background": 0}
        for label, values in zip(self.sheet.labels, self.sheet.within, strict=True):
            labels[label] = list(values) if len(values) > 1 else values[0]
        if self.sheet.ignore is not None:
            labels["ignore"] = self.sheet.ignore
        data: dict[str, Any] = {
            "channel_names": {"0": "grey"} if self.all_grey else {"0": "R", "1": "G", "2": "B"},
            "labels": labels,
            "numTraining": len(self.train),
            "file_ending": ENDING,
        }
        if self.sheet.regions:
            data["regions_class_order"] = [*range(1, len(self.sheet.labels) + 1)]
        for key, of in (("name", "name"), ("licence", "licence"), ("reference", "citation")):
            if isinstance(value := manifest.info.get(of), str):
                data[key] = value
        _json(self.folder / "dataset.json", data)
        if parts := self._parts():
            _json(self.folder / "splits_final.json", parts)
            return ["splits_final.json is in the data set; nnU-Net looks for it in nnUNet_preprocessed/DatasetXXX"]
        return []

    def _parts(self) -> list[dict[str, list[str]]]:
        names = {row.id: file_name(row.id) for row in self.train}
        if all(row.fold is not None for row in self.train):
            turns = [{row.id for row in self.train if row.fold == k} for k in sorted({r.fold or 0 for r in self.train})]
        else:
            turns = [{row.id for row in self.train if row.split == "val"}]
        return [
            {"train": [n for i, n in names.items() if i not in val], "val": [n for i, n in names.items() if i in val]}
            for val in turns
            if val and len(val) < len(names)
        ]


def _free(out: Path) -> int:
    """The number after the highest that is taken."""
    taken = [int(m[1]) for p in (out.iterdir() if out.is_dir() else ()) if (m := re.match(r"Dataset(\d+)_", p.name))]
    return max(taken, default=0) + 1


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "x"


def _json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
