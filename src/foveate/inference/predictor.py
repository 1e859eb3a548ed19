"""A run folder and an image -> what is there and where, in the image's own pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from foveate.core.reading import read_out
from foveate.core.types import Batch, Prediction, Sample
from foveate.data import read
from foveate.data.adapters.volumes import spacing as checked_spacing
from foveate.data.loader import collate
from foveate.engine.run import Run, pick_device
from foveate.models.cam import grad_cam, normalise, of_answer, on_image
from foveate.recipes import load_run
from foveate.report.overlay import overlay


@dataclass(frozen=True)
class Reading(Prediction):
    """A prediction with the image it was made of.

    Args:
        image: RGB, original size.
        spacing: mm a pixel (rows, cols), where known.
    """

    image: UInt8[np.ndarray, "h w 3"] = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8))
    spacing: tuple[float, float] | None = None

    def overlay(self, *, width: int | None = None) -> Image.Image:
        """The image with the masks found in it, and their names below."""
        return overlay(self.image, masks=self.masks, labels=self.labels, width=width)

    def to_json(self) -> dict[str, Any]:
        """Answers, probabilities and areas as plain data."""
        return {
            "id": self.id,
            "size": list(self.image.shape[:2]),
            "answers": dict(self.answers),
            "probabilities": {q: {a: round(p, 6) for a, p in ps.items()} for q, ps in self.probabilities.items()},
            "areas": self.areas(self.spacing),
            "presence": {
                label: round(float(p.max()), 6) for label, p in zip(self.labels, self.probability, strict=True)
            },
            **({"spacing_mm": list(self.spacing)} if self.spacing else {}),
        }


@dataclass(frozen=True)
class Unread:
    """An image that could not be read, and why."""

    path: Path
    reason: str


class Predictor:
    """Reads images with a trained run.

    Args:
        run: from `fit` or `load_run`.
        device: "auto", "cpu", "cuda", ...
        thresholds: question -> probability from which the answer is "yes", instead of what the run was calibrated to.
    """

    def __init__(
        self, run: Run, *, device: str | torch.device = "auto", thresholds: Mapping[str, float] | None = None
    ) -> None:
        self.run, self.recipe = run, run.recipe
        self.decisions = run.decisions.with_thresholds(thresholds)
        self.device = pick_device(device)
        self.reader = run.reader(device=self.device)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "auto") -> Predictor:
        """Open a run folder; ValueError where there is no finished run."""
        return cls(load_run(folder), device=device)

    def __call__(
        self,
        image: str | Path | UInt8[np.ndarray, "h w 3"],
        *,
        cam: bool = False,
        spacing: tuple[float, float] | None = None,
        name: str | None = None,
        frame: int | None = None,
    ) -> Reading:
        """Read one image.

        Args:
            image: a file, or RGB uint8 (row, col, 3).
            cam: also where each answer was seen (Grad-CAM; one backward pass an answer).
            spacing: mm a pixel (rows, cols), for areas in mm2.
            name: the reading's id; None = the file's stem.
            frame: which B-scan of a volume, or page, from 0.

        Raises:
            Unreadable: the file is no image.
            ValueError: the array is not RGB uint8.
        """
        pixels = image if isinstance(image, np.ndarray) else read.image(Path(image), frame=frame)
        called = name or ("image" if isinstance(image, np.ndarray) else Path(image).stem)
        sample = self.recipe.prepare.image_only(pixels, schema=self.recipe.schema, id=called)
        return self.read_sample(sample, pixels, cam=cam, spacing=spacing)

    def read_sample(
        self,
        sample: Sample,
        pixels: UInt8[np.ndarray, "h w 3"],
        *,
        cam: bool = False,
        spacing: tuple[float, float] | None = None,
    ) -> Reading:
        """Read an image that is prepared already."""
        batch = collate([sample], self.recipe.schema).to(self.device)
        outputs = self.reader(batch)
        found = read_out(
            outputs,
            schema=self.recipe.schema,
            ids=[sample.row.id],
            geometries=[sample.geometry],
            decisions=self.decisions,
        )[0]
        if cam and outputs.image is not None:
            found = Prediction(**{**_shallow(found), "cam": self._cams(batch, sample)})
        return Reading(**_shallow(found), image=pixels, spacing=spacing)

    def many(self, images: Sequence[str | Path], *, cam: bool = False) -> Iterator[Reading | Unread]:
        """Read images one after the other, volumes and pages one by one (``NAME_b000``, with the file's spacing).

        What cannot be read becomes an `Unread`, and the rest goes on.
        """
        for path in map(Path, images):
            try:
                scans = read.slices(path)
            except (read.Unreadable, OSError) as error:
                yield Unread(path, _reason(error))
                continue
            for number, scan in enumerate(scans):
                several = len(scans) > 1
                name = f"{path.stem}_b{number:03d}" if several else path.stem
                try:
                    frame = number if several else None
                    known = checked_spacing(scan.spacing, warn=lambda _: None)
                    yield self(path, cam=cam, frame=frame, name=name, spacing=known)
                except (read.Unreadable, OSError) as error:
                    yield Unread(path, _reason(error))

    def _cams(self, batch: Batch, sample: Sample) -> dict[str, dict[str, np.ndarray]]:
        """Grad-CAM of every answer in the original pixels, each divided by its maximum."""
        step = [step for step in self.reader.steps(batch) if step.outputs.image is not None][-1]
        size = (batch.image.shape[2], batch.image.shape[3])
        maps: dict[str, dict[str, np.ndarray]] = {}
        for question in self.recipe.schema.questions:
            maps[question.name] = {}
            for answer in question.answers:
                channel, sign = self.recipe.schema.channel(question.name, answer)
                target = of_answer(channel, sign=sign)
                raw = grad_cam(step.network, step.batch.image, target=target, prior=step.batch.prior)
                full = on_image(normalise(raw), size=size)
                maps[question.name][answer] = sample.geometry.undo(full)[0].cpu().numpy()
        return maps


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, read.Unreadable) else str(error)


def _shallow(prediction: Prediction) -> dict[str, Any]:
    return {f.name: getattr(prediction, f.name) for f in fields(Prediction)}
