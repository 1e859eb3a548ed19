"""Masks as the marks that a protocol allows: painted layers, polygons, ellipses, points, regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool

from foveate.core.components import components
from foveate.core.regions import Regions
from foveate.core.shapes import packed

Mask = Bool[np.ndarray, "h w"]


def as_shapes(
    mask: Mask, label: str, *, allowed: Sequence[str], regions: Regions | None, doubtful: bool = False
) -> list[dict[str, Any]] | None:
    """Return shapes, as plain data, in the most exact of the allowed kinds; None if none of them can express the mask.

    A painted layer is exact; polygons contain the same pixels, but fill holes; an ellipse has the moments of a
    connected component; a point is its centre; regions are those that contain a marked pixel.

    Args:
        mask: marked pixels, at least one.
        label: its finding.
        allowed: kinds of mark.
        regions: of the image; None if disc and fovea are not known.
        doubtful: it is not sure.
    """
    base = {"label": label, "doubtful": doubtful}
    name = f"{'perhaps ' if doubtful else ''}{label[:24]}"
    if "brush" in allowed:
        return [base | {"id": name, "kind": "brush", "runs": list(packed(mask).runs)}]
    if {"polygon", "ellipse", "point"} & set(allowed):
        found = components(mask)
        out = []
        for number in range(len(found.area)):
            piece = base | {"id": f"{name} {number}"}
            if "polygon" in allowed:
                out.append(piece | {"kind": "polygon", "corners": _corners(found.numbers == number + 1)})
            elif "ellipse" in allowed:
                out.append(piece | {"kind": "ellipse"} | _ellipse(np.argwhere(found.numbers == number + 1)))
            else:
                out.append(piece | {"kind": "point", "at": found.centre[number].tolist()})
        return out
    if "regions" in allowed and regions is not None:
        return [base | {"id": name, "kind": "regions", "regions": list(regions.holding(mask))}]
    return None


def _corners(piece: Mask) -> list[list[float]]:
    """The outer edge of a piece, a quarter pixel inside it: it holds the same pixels. Holes are filled."""
    rows, cols = np.nonzero(piece)
    top, left = rows.min(), cols.min()
    small = np.pad(piece[top : rows.max() + 1, left : cols.max() + 1].astype(np.uint8), 1)
    large = np.kron(small, np.ones((2, 2), np.uint8))  # each pixel becomes four: then even one alone has an outline
    outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    edge = max(outlines, key=cv2.contourArea)[:, 0, ::-1].astype(float)
    points = (edge - 0.5) / 2 - 1 + [top, left]
    return [[float(r), float(c)] for r, c in points]


def _ellipse(points: np.ndarray) -> dict[str, Any]:
    """The ellipse of the same centre, second moments and so, of an ellipse, the same pixels."""
    centre = points.mean(0)
    spread = np.cov((points - centre).T, bias=True).reshape(2, 2) + np.eye(2) / 12  # pixels are one wide
    values, axes = np.linalg.eigh(spread)
    along = axes[:, 1]  # (row, col) of the longer axis
    turn = float(np.arctan2(along[0], along[1]))
    radii = 2 * np.sqrt(values)
    return {"centre": centre.tolist(), "radii": [float(radii[0]), float(radii[1])], "turn": turn}
