"""Results of reading: a prediction with its image, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from foveate.core.reading import placed
from foveate.core.types import Prediction
from foveate.inference.pointing import Eye, Pointed
from foveate.inference.result_html import result_html


@dataclass(frozen=True)
class ImageResult(Prediction):
    """A prediction, with the image that was read.

    Args:
        image: RGB, original size.
        spacing: mm per pixel (rows, cols), if known.
        eye: disc, fovea and laterality, as far as they are known.
        pointed: finding -> regions of the eye that its activation map points to; empty without maps or a disc.
        source: the file that was read; None if the image was given as an array.
        runtime: runtime and precision that computed it, such as "onnx fp32".
    """

    image: UInt8[np.ndarray, "h w 3"] = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8))
    spacing: tuple[float, float] | None = None
    eye: Eye = field(default_factory=Eye)
    pointed: Mapping[str, Pointed] = field(default_factory=dict)
    source: Path | None = None
    runtime: str = "torch fp32"

    def map_of(self, question: str) -> tuple[str, Float[np.ndarray, "h w"]]:
        """Return the given answer and its activation map; "yes" and the finding's map if there is only that.

        Raises:
            ValueError: the image was read without maps.
        """
        maps = self.cam.get(question, {})
        if not maps:
            raise ValueError(
                f"question={question!r}: the result has no activation map for it; read the image with cam=True"
            )
        answer = self.answers[question] if self.answers[question] in maps else next(iter(maps))
        return answer, maps[answer]

    def overlay(self, *, width: int | None = None) -> Image.Image:
        """Draw the masks on the image, their names below; labels of which only the presence is known are left out."""
        from foveate.report.overlay import overlay  # drawn only if it is asked for

        shown = placed(self)
        return overlay(shown.image, masks=shown.masks, labels=shown.labels, width=width)

    def _repr_html_(self) -> str:
        """In a notebook: the overlay and the answers."""
        return result_html(self)

    def to_json(self) -> dict[str, Any]:
        """Return answers, probabilities and areas as plain data."""
        return {
            "id": self.id,
            "size": list(self.image.shape[:2]),
            "answers": dict(self.answers),
            "probabilities": {q: {a: round(p, 6) for a, p in ps.items()} for q, ps in self.probabilities.items()},
            "areas": self.areas(self.spacing),
            "presence": {
                label: round(float(p.max()), 6) for label, p in zip(self.labels, self.probability, strict=True)
            },
            **({"points_to": {q: p.to_json() for q, p in self.pointed.items()}} if self.pointed else {}),
            "runtime": self.runtime,
            **({"spacing_mm": list(self.spacing)} if self.spacing else {}),
        }


@dataclass(frozen=True)
class UnreadImage:
    """An image that could not be read, and the reason."""

    path: Path
    reason: str
