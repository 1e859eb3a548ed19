"""A drawn retina: an image and its exact ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

Point = tuple[float, float]
"""(row, col) in pixels, pixel centres at whole numbers."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """One drawn image and all that is true of it.

    Args:
        image: ``(row, col, channel)``, three channels (RGB) for colour fundus images, one for OCT.
        masks: ``(label, row, col)`` 0/1 in the order of the schema's labels.
        answers: question -> answer, every question of the schema.
        disc: centre of the optic disc; None if it is not in view.
        fovea: centre of the fovea; None if it is not in view.
        laterality: "OD" or "OS".
        spacing: (mm per row, mm per column).
    """

    image: UInt8[np.ndarray, "h w c"]
    masks: UInt8[np.ndarray, "l h w"]
    answers: Mapping[str, str]
    disc: Point | None = None
    fovea: Point | None = None
    laterality: str | None = None
    spacing: tuple[float, float] | None = None

    def mirrored(self) -> Drawing:
        """The same eye on the other side of the face: columns reversed, OD <-> OS."""
        last = self.image.shape[1] - 1
        return replace(
            self,
            image=np.ascontiguousarray(self.image[:, ::-1]),
            masks=np.ascontiguousarray(self.masks[:, :, ::-1]),
            disc=None if self.disc is None else (self.disc[0], last - self.disc[1]),
            fovea=None if self.fovea is None else (self.fovea[0], last - self.fovea[1]),
            laterality=None if self.laterality is None else {"OD": "OS", "OS": "OD"}[self.laterality],
        )
