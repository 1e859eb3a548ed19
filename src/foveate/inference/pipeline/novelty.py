"""Images unlike the training images: the distance of the deepest features, its threshold from validation images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from foveate.core.files import whole_file
from foveate.core.types import Sample
from foveate.data.loader import collate
from foveate.data.manifest import Manifest
from foveate.inference.predictor import Predictor

FORMAT = 1
LEAST = 10
"""Images of each split below which no threshold can be stated."""


@dataclass(frozen=True)
class Novelty:
    """Mean and precision of the training images' features, and the validation images' distances.

    Args:
        mean: ``(channel,)``.
        precision: ``(channel, channel)``, inverse of the shrunk covariance (Ledoit and Wolf).
        distances: of the validation images, sorted.
        sha256: digest of the model's weights, so that it is used with no other model.
    """

    mean: Float[np.ndarray, " c"]
    precision: Float[np.ndarray, "c c"]
    distances: Float[np.ndarray, " n"]
    sha256: str

    def distance(self, features: Float[np.ndarray, " c"]) -> float:
        """Mahalanobis distance of an image's features."""
        away = features - self.mean
        return float(np.sqrt(max(away @ self.precision @ away, 0.0)))

    def threshold(self, rate: float) -> float:
        """Distance above which at most this share of the validation images would be refused.

        >>> Novelty(np.zeros(1), np.eye(1), np.arange(1.0, 11.0), "").threshold(0.1)
        9.0
        """
        allowed = math.floor(rate * len(self.distances) + 1e-9)
        return float(self.distances[len(self.distances) - 1 - allowed])

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        with whole_file(path) as aside, aside.open("wb") as file:
            np.savez(
                file,
                format=np.array(FORMAT),
                mean=self.mean,
                precision=self.precision,
                distances=self.distances,
                sha256=np.array(self.sha256),
            )

    @classmethod
    def load(cls, path: Path, *, sha256: str) -> Novelty:
        """Read it; ValueError if it is not there, or of another model."""
        if not path.is_file():
            raise ValueError(f"{path}: there are no feature statistics; make them with: foveate pipeline fit")
        with np.load(path, allow_pickle=False) as data:
            if int(data["format"]) > FORMAT:
                raise ValueError(f"{path}: format {int(data['format'])}; this version reads up to {FORMAT}")
            found = cls(data["mean"], data["precision"], data["distances"], str(data["sha256"]))
        if found.sha256 != sha256:
            raise ValueError(f"{path}: made for another model; make it again with: foveate pipeline fit")
        return found


def features_of(predictor: Predictor, sample: Sample) -> Float[np.ndarray, " c"]:
    """Mean of the deepest feature map of each stage's last pass, in float64.

    Raises:
        ValueError: the model gives no features (a bundle without PyTorch).
    """
    batch = collate([sample], predictor.schema).to(predictor.networks.device)
    first = next(iter(predictor.networks.pipeline.passes(batch)))
    maps = [step.outputs.features[-1] for step in first.steps if step.outputs.features]
    if not maps:
        raise ValueError("unlike: this model gives no features; leave the check out, or use the run instead")
    return np.asarray(maps[-1].float().mean((2, 3))[0].cpu().numpy(), np.float64)


def fit_novelty(predictor: Predictor, rows: Manifest, *, sha256: str) -> Novelty:
    """Fit the statistics on a run's training images, and measure its validation images.

    Args:
        predictor: of the run.
        rows: the manifest of its training.
        sha256: digest of the model.

    Raises:
        ValueError: fewer than 10 training or validation images.
    """
    from sklearn.covariance import ledoit_wolf

    splits = predictor.run.splits
    found: dict[str, list[Any]] = {"train": [], "val": []}
    for row in rows:
        split = splits.get(row.id)
        if split in found:
            framed = predictor.prepare.file(rows.root / row.image, frame=row.frame)
            sample = predictor.prepare.image_only(framed, schema=predictor.schema, id=row.id)
            found[split].append(features_of(predictor, sample))
    for split, several in found.items():
        if len(several) < LEAST:
            raise ValueError(f"rows: {len(several)} images of the split {split}; the check needs {LEAST} or more")
    known = np.stack(found["train"])
    covariance, _ = ledoit_wolf(known)
    fitted = Novelty(known.mean(0), np.linalg.pinv(covariance), np.zeros(0), sha256)
    distances = np.sort([fitted.distance(one) for one in found["val"]])
    return Novelty(fitted.mean, fitted.precision, distances, sha256)


def statistics_of(folder: Path, step: str) -> Path:
    """Path of a step's feature statistics, beside the pipeline's file."""
    return folder / f"{step}.features.npz"
