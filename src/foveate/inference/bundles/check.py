"""``check/``: drawn images with the results that the run gave, and how far a bundle differs from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from foveate.core.files import write_json
from foveate.inference.predictor import ImageResult, Predictor

if TYPE_CHECKING:
    from foveate.engine.run import Run

CHECK = "check"
KINDS = ("fundus", "oct", "enface")
SIZE = 240  # pixels of a drawn image; the frame is larger or smaller, so that resizing is checked, too
PROBABILITY = 1e-3
"""Largest difference of an answer's probability that `Difference.close` allows; a right graph differs by 1e-5."""
PIXELS = 1e-3
"""Largest share of pixels with another mask that `Difference.close` allows."""


@dataclass(frozen=True)
class Difference:
    """How far the results of one image differ from those of the run.

    Args:
        image: name of the drawn image.
        probability: largest difference of an answer's probability.
        label: largest difference of a label's mean probability.
        pixels: share of the masks' pixels that differ.
    """

    image: str
    probability: float
    label: float
    pixels: float

    @property
    def close(self) -> bool:
        """Whether the difference is one of rounding."""
        return max(self.probability, self.label) <= PROBABILITY and self.pixels <= PIXELS

    def __str__(self) -> str:
        return (
            f"{self.image}: answers differ by {self.probability:.1e}, mean probabilities by {self.label:.1e}, "
            f"masks in {100 * self.pixels:.4f} % of pixels"
        )


def write_check(folder: Path, run: Run) -> None:
    """Draw images, read them with the run, and write both into a bundle's ``check/``."""
    from foveate.data.synthetic import draw

    place, predictor = folder / CHECK, Predictor(run, device="cpu")
    place.mkdir()
    expected: dict[str, Any] = {}
    for number, kind in enumerate(KINDS):
        pixels = draw(kind, number, size=SIZE).image
        rgb = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
        name = f"{kind}.png"
        Image.fromarray(rgb).save(place / name)
        found = predictor(rgb, name=kind)
        masks = [f"{kind}_{at}.png" for at in range(len(found.labels))]
        for mask, file in zip(found.masks, masks, strict=True):
            Image.fromarray(mask.astype(np.uint8) * 255).save(place / file)
        expected[name] = {**_numbers(found), "masks": masks}
    write_json(place / "expected.json", expected)


def verify(folder: Path, predictor: Predictor) -> list[Difference]:
    """Read the drawn images of a bundle and compare the results with those of the run.

    Args:
        folder: of the bundle.
        predictor: that opened it.

    Raises:
        ValueError: the bundle has no ``check/``.
    """
    path = folder / CHECK / "expected.json"
    if not path.is_file():
        raise ValueError(f"{path}: missing; write the bundle again with `foveate bundle`")
    expected: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    found = []
    for name, values in expected.items():
        with Image.open(folder / CHECK / name) as picture:
            result = predictor(np.asarray(picture.convert("RGB")), name=name)
        found.append(_difference(name, result, values, folder / CHECK))
    return found


def _difference(name: str, result: ImageResult, expected: Mapping[str, Any], folder: Path) -> Difference:
    seen = _numbers(result)
    wrong = 0.0
    for file, mask in zip(expected["masks"], result.masks, strict=True):
        with Image.open(folder / file) as picture:
            wrong += float(((np.asarray(picture) > 0) != mask).mean())
    return Difference(
        name,
        _largest(seen["answers"], expected["answers"]),
        _largest(seen["labels"], expected["labels"]),
        wrong / max(1, len(expected["masks"])),
    )


def _numbers(result: ImageResult) -> dict[str, dict[str, float]]:
    answers = {f"{q}={a}": float(p) for q, ps in result.probabilities.items() for a, p in ps.items()}
    labels = {name: float(p.mean()) for name, p in zip(result.labels, result.probability, strict=True)}
    return {"answers": answers, "labels": labels}


def _largest(seen: Mapping[str, float], expected: Mapping[str, float]) -> float:
    """The largest difference; infinite if the names differ."""
    if set(seen) != set(expected):
        return float("inf")
    return max((abs(seen[name] - value) for name, value in expected.items()), default=0.0)
