"""Place of an activation map among the eye's eight regions, if disc and fovea are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from foveate.core.reading import placed
from foveate.core.regions import DISC_LABELS, NAMES, Point, Regions, disc_of, located
from foveate.core.types import Prediction, Row

STRONG = 0.5
"""Activation from which a finding counts as seen in a region."""


@dataclass(frozen=True)
class Eye:
    """Facts about an eye beside its image.

    Args:
        disc: centre of the optic disc, (row, col) in pixels of the image; None = unknown.
        fovea: (row, col); None = unknown.
        laterality: "OD", "OS" or None.
    """

    disc: Point | None = None
    fovea: Point | None = None
    laterality: str | None = None

    @classmethod
    def of(cls, row: Row) -> Eye:
        """Take the facts from a row of the manifest."""
        return cls(row.disc, row.fovea, row.laterality)

    def regions(self, prediction: Prediction) -> Regions | None:
        """Compute the eight regions of the image; None without a disc.

        If the disc is not known, the one that the prediction marks is used.
        """
        disc, diameter, prediction = self.disc, None, placed(prediction)
        label = next((name for name in DISC_LABELS if name in prediction.labels), None)
        if label is not None and (found := disc_of(prediction.masks[prediction.labels.index(label)])) is not None:
            disc, diameter = disc or found[0], found[1]
        shape = (prediction.probability.shape[1], prediction.probability.shape[2])
        return located(shape=shape, disc=disc, fovea=self.fovea, diameter=diameter, laterality=self.laterality)


@dataclass(frozen=True)
class Pointed:
    """Distribution of one activation map over the regions.

    Args:
        highest: region of the highest activation (if several pixels have it, of their mean position).
        strong: regions with an activation of `STRONG` or more, in the order of `core.regions.NAMES`.
        shares: region -> its share of all activation, the largest first; regions outside the image are left out.
        assumed: assumptions behind the regions, in words (`core.regions.located`).
    """

    highest: str
    strong: tuple[str, ...]
    shares: Mapping[str, float]
    assumed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Convert to plain data."""
        return {
            "highest": self.highest,
            "regions": list(self.strong),
            "shares": {name: round(share, 4) for name, share in self.shares.items()},
            **({"assumed": list(self.assumed)} if self.assumed else {}),
        }


def pointed(cam: Float[np.ndarray, "h w"], regions: Regions) -> Pointed | None:
    """Compute how a map is distributed over the regions; None if it has no activation at all.

    Args:
        cam: in [0, 1], on the image's own pixels.
        regions: of that image.
    """
    total = float(cam.sum(dtype=np.float64))
    if total <= 0:
        return None
    masks = regions.masks((cam.shape[0], cam.shape[1]))
    shares = {
        name: float(cam[mask].sum(dtype=np.float64)) / total
        for name, mask in zip(NAMES, masks, strict=True)
        if mask.any()
    }
    row, col = np.argwhere(cam == cam.max()).mean(0)
    strong = cam >= STRONG
    return Pointed(
        highest=regions.at((float(row), float(col))),
        strong=tuple(name for name, mask in zip(NAMES, masks, strict=True) if (strong & mask).any()),
        shares=dict(sorted(shares.items(), key=lambda item: -item[1])),
        assumed=regions.assumed,
    )
