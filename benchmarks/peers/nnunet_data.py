"""Frames to one raw data set of nnU-Net v2, overlapping labels too.

Labels that never meet become classes 1, 2, ... If labels overlap somewhere, each combination of labels has a value of
its own, and each label is a *region*: all values that hold it. So one network learns all labels in one budget, where
`foveate export nnunet` writes a data set per label.
"""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from foveate import Manifest
from foveate.core.types import Row
from foveate.data.writing import file_name, grey, save

NAME = "Dataset001_frames"


def write_raw(frames: Manifest, raw: Path) -> dict[str, list[str]]:
    """Write the data set.

    Args:
        frames: rows of the parts train, val and test, of `frames.frames_of`; of test images no mask is written.
        raw: nnU-Net's folder of raw data sets.

    Returns:
        names of the cases of train and val; frames of which no mask is known are left out.
    """
    folder, labels = raw / NAME, frames.schema.labels
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / part).mkdir(parents=True)
    taught = [row for row in frames if row.split != "test" and row.masks]
    pictures = {row.id: _mask(row, frames) for row in taught}
    found = set().union(*({int(v) for v in np.unique(picture)} for picture in pictures.values()))
    alone = [1 << i for i in range(len(labels))]  # a class of its own for each label, there or not
    values = dict(zip([*alone, *sorted(found - {0, *alone})], count(1)))
    table = np.zeros(256, np.uint8)
    for held, value in values.items():
        table[held] = value
    images = {row.id: _image(row, frames) for row in frames if row.split == "test" or row.masks}
    all_grey = all(grey(image) for image in images.values())
    for row in frames:
        if row.id in images:
            image, part = images[row.id], "imagesTs" if row.split == "test" else "imagesTr"
            name = folder / part / f"{file_name(row.id)}_0000.png"
            save(np.ascontiguousarray(image[..., 0]) if all_grey else image, name)
    for name, picture in pictures.items():
        save(table[picture], folder / "labelsTr" / f"{file_name(name)}.png")
    regions = len(values) > len(labels)
    of: dict[str, Any] = {"background": 0}
    for i, label in enumerate(labels):
        of[label] = [value for held, value in values.items() if held >> i & 1] if regions else i + 1
    about: dict[str, Any] = {
        "channel_names": {"0": "grey"} if all_grey else {"0": "R", "1": "G", "2": "B"},
        "labels": of,
        "numTraining": len(taught),
        "file_ending": ".png",
    }
    if regions:  # what a picture of all labels would show on top; the probabilities do not depend on it
        about["regions_class_order"] = list(range(1, len(labels) + 1))
    (folder / "dataset.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    return {part: [file_name(row.id) for row in taught if row.split == part] for part in ("train", "val")}


def _image(row: Row, frames: Manifest) -> np.ndarray:
    with Image.open(frames.root / row.image) as file:
        return np.asarray(file.convert("RGB"))


def _mask(row: Row, frames: Manifest) -> np.ndarray:
    path = next(iter(row.masks.values()))[0].path
    assert path is not None  # `frames_of` writes one
    with Image.open(frames.root / path) as file:
        return np.asarray(file)
