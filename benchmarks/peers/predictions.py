"""Predictions as every method leaves them: probabilities in one JSON file, masks in the original pixels as PNG.

predictions/predictions.json   {"labels": [...], "images": {id: {"answers": {question: {answer: p}},
                                "presence": {label: highest probability of a pixel}}}}
predictions/masks/FILE.png     bit i of a pixel = label i
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from foveate.core.files import write_json
from foveate.core.labels import LabelSchema
from foveate.core.shapes import Geometry
from foveate.data.writing import file_name, save
from peers.frames import bits, unbits

Probabilities = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Predictions:
    """What a method gave for the test images of a cell.

    Args:
        folder: where it lies.
        labels: labels that the method marks; none if it only answers.
        answers: image -> question -> answer -> probability; no question if it only marks.
        presence: image -> label -> highest probability of a pixel.
    """

    folder: Path
    labels: tuple[str, ...]
    answers: Mapping[str, Probabilities]
    presence: Mapping[str, Mapping[str, float]]

    @classmethod
    def read(cls, folder: Path) -> Predictions:
        """Inverse of `Writer.close`."""
        data = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
        images = data["images"]
        answers = {name: one["answers"] for name, one in images.items()}
        return cls(folder, tuple(data["labels"]), answers, {name: one["presence"] for name, one in images.items()})

    def masks(self, image: str) -> np.ndarray:
        """``(label, row, col)`` bool, in the original pixels."""
        with Image.open(self.folder / "masks" / f"{file_name(image)}.png") as file:
            return unbits(np.asarray(file), len(self.labels))


class Writer:
    """Writes `Predictions` image by image; they are there once `close` was called."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        self.folder, self.labels = folder, tuple(labels)
        self.images: dict[str, dict[str, Any]] = {}
        (folder / "masks").mkdir(parents=True, exist_ok=True)

    def add(self, image: str, *, masks: np.ndarray, presence: Sequence[float], answers: Probabilities) -> None:
        """One image.

        Args:
            image: its id.
            masks: ``(label, row, col)`` bool, in the original pixels; of no label if the method only answers.
            presence: highest probability of a pixel, for each label.
            answers: question -> answer -> probability.
        """
        if self.labels:
            save(bits(masks.astype(np.uint8)), self.folder / "masks" / f"{file_name(image)}.png")
        highest = {label: float(p) for label, p in zip(self.labels, presence, strict=True)}
        self.images[image] = {"answers": {q: dict(ps) for q, ps in answers.items()}, "presence": highest}

    def close(self) -> Predictions:
        """Write the JSON file."""
        write_json(self.folder / "predictions.json", {"labels": list(self.labels), "images": self.images})
        return Predictions.read(self.folder)


def place(raw: Path, folder: Path, *, geometries: Mapping[str, Geometry], schema: LabelSchema) -> Predictions:
    """A peer's raw output, in its frames, to predictions in the original pixels.

    Probabilities are enlarged first (bilinear) and decided then, as in `core.reading.read_out`.

    Args:
        raw: ``answers.json`` {id: {question: [p of each answer]}}, empty if the peer only marks, and
            ``FILE.npy`` ``(label, row, col)`` probabilities for each image, none if it only answers.
        folder: of the predictions.
        geometries: image -> how its frame lies in it.
        schema: of the data set.

    Raises:
        ValueError: the probabilities of an image are not of the frame's shape.
    """
    told = json.loads((raw / "answers.json").read_text(encoding="utf-8"))
    marks = any(raw.glob("*.npy"))
    writer = Writer(folder, schema.labels if marks else ())
    for image, given in told.items():
        answers = {q: dict(zip(schema.question(q).answers, ps, strict=True)) for q, ps in given.items()}
        if not marks:
            writer.add(image, masks=np.zeros((0, 1, 1), bool), presence=(), answers=answers)
            continue
        maps = np.load(raw / f"{file_name(image)}.npy", allow_pickle=False).astype(np.float32)
        if maps.shape != (len(schema.labels), *geometries[image].size):
            raise ValueError(f"{image}: probabilities of shape {maps.shape}; the frame is {geometries[image].size}")
        full = geometries[image].undo(torch.from_numpy(maps)).clamp(0, 1)
        writer.add(image, masks=schema.masks(full).numpy(), presence=full.amax((1, 2)).tolist(), answers=answers)
    return writer.close()


def from_readings(folder: Path, out: Path, *, stems: Mapping[str, str], schema: LabelSchema) -> Predictions:
    """What `foveate predict` wrote, as predictions.

    Args:
        folder: of `foveate predict`.
        out: of the predictions.
        stems: image id -> name of its file without ending.
        schema: of the data set; gives the order of the labels.
    """
    read = {image: json.loads((folder / f"{stem}.json").read_text(encoding="utf-8")) for image, stem in stems.items()}
    marked = {label for one in read.values() for label in one["files"]["masks"]}
    writer = Writer(out, [label for label in schema.labels if label in marked])
    for image, one in read.items():
        masks = []
        for label in writer.labels:
            with Image.open(folder / one["files"]["masks"][label]) as file:
                masks.append(np.asarray(file) > 127)
        shown = np.stack(masks) if masks else np.zeros((0, *one["size"]), bool)
        presence = [one["presence"][label] for label in writer.labels]
        writer.add(image, masks=shown, presence=presence, answers=one["probabilities"])
    return writer.close()
