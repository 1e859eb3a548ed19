"""Retinal vessels: arcades that leave the optic disc, bend round the macula and branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from foveate.data.synthetic.brush import Path, normals, wave

# Trunks as (temporal, superior) from the disc centre, in disc-fovea distances: the fovea is at (1, 0).
TEMPORAL = (
    (-0.04, 0.0),
    (-0.03, 0.15),
    (0.09, 0.38),
    (0.40, 0.60),
    (0.85, 0.68),
    (1.30, 0.58),
    (1.75, 0.48),
    (2.25, 0.44),
)
NASAL = ((-0.05, 0.0), (-0.11, 0.16), (-0.32, 0.36), (-0.70, 0.58), (-1.20, 0.90))
MEDIAL = ((-0.06, 0.0), (-0.20, 0.06), (-0.50, 0.15), (-0.95, 0.22))
MACULAR = ((-0.02, 0.0), (0.16, 0.09), (0.40, 0.17), (0.70, 0.15), (0.95, 0.10))
AVASCULAR = 0.11
"""Radius of the foveal avascular zone in disc-fovea distances (about 0.5 mm)."""


@dataclass(frozen=True)
class Vessel:
    """A vessel's middle line and its width at each point, in sides of the image."""

    points: Path
    widths: Float[np.ndarray, " n"]
    vein: bool


def tree(rng: np.random.Generator, disc: Sequence[float], fovea: Sequence[float], *, width: float) -> list[Vessel]:
    """Arteries and veins of one eye.

    Args:
        disc: centre (row, col) in sides of the image.
        fovea: centre; it sets the scale and the way that the arcades bend.
        width: of the largest vein at the disc; arteries have about 0.72 of it.
    """
    origin, axis = np.asarray(disc), np.subtract(fovea, disc)
    reach = float(np.hypot(*axis))
    # rows grow downwards: of the two normals "superior" is the one that points up
    up = np.array([-abs(axis[1]), np.sign(axis[1]) * axis[0]])
    found: list[Vessel] = []
    plan = ((TEMPORAL, 1.0, True), (NASAL, 0.72, True), (MEDIAL, 0.42, False), (MACULAR, 0.34, False))
    for trunk, girth, paired in plan:
        for side in (1, -1):
            for vein in (True, False) if paired else (bool(rng.random() < 0.5),):
                line = np.array(trunk)
                grow = rng.normal(1, 0.07) + rng.normal(0, 0.06) * np.linspace(-1, 1, len(line))
                line = line * np.stack([np.full(len(line), rng.normal(1, 0.05)), grow], 1)
                line[1:] += rng.normal(0, 0.012, (len(line) - 1, 2)) * np.arange(1, len(line))[:, None] ** 0.5
                line[0] += rng.normal(0, 0.012, 2)
                bend = CubicSpline(np.linspace(0, 1, len(line)), line)(np.linspace(0, 1, 64))
                points = origin + bend[:, :1] * axis + side * bend[:, 1:] * up
                start = width * girth * (1.0 if vein else 0.72) * rng.uniform(0.9, 1.1)
                _grow(rng, found, _winding(rng, points, 0.010 * reach, 6), start, vein, np.asarray(fovea), reach, 0)
    return found


def _winding(rng: np.random.Generator, points: Path, amount: float, waves: int) -> Path:
    at = np.arange(len(points)) / (len(points) - 1)
    return np.asarray(points + (amount * np.minimum(4 * at, 1) * wave(rng, at, waves=waves))[:, None] * normals(points))


def _grow(
    rng: np.random.Generator, found: list[Vessel], points: Path, start: float, vein: bool, fovea: np.ndarray,
    reach: float, depth: int,
) -> None:  # fmt: skip
    """Add a vessel and, up to three generations deep, its branches."""
    near = np.hypot(*(points - fovea).T) < AVASCULAR * reach
    outside = (np.abs(points - 0.5) > 0.6).any(1)
    stop = np.flatnonzero(near | outside)
    points = points[: stop[0] if len(stop) else len(points)]
    if len(points) < 4 or start < 0.0013:  # less than half a pixel at 256
        return
    taper = np.linspace(1, 0.4, len(points))
    found.append(Vessel(points, start * taper, vein))
    if depth == 3 or start < 0.0018:
        return
    first = 9 if depth == 0 else 5
    run = float(np.hypot(*np.diff(points[first:], axis=0).T).sum()) / reach
    count = int(run / (0.22, 0.24, 0.34)[depth] + rng.random())
    spots = np.linspace(first, len(points) - 3, count + 1)[:-1] + rng.uniform(0, 3, count)
    for turn, spot in enumerate(spots.astype(int)):
        at = min(int(spot), len(points) - 2)
        ahead = points[at + 1] - points[at - 1]
        ahead = ahead / max(float(np.hypot(*ahead)), 1e-9)
        bend = (1 if turn % 2 else -1) * rng.uniform(0.45, 0.95)
        c, s = np.cos(bend), np.sin(bend)
        leave = np.array([ahead[0] * c - ahead[1] * s, ahead[0] * s + ahead[1] * c])
        inward = fovea - points[at]
        far = max(float(np.hypot(*inward)), 1e-9)
        goal = inward / far if leave @ inward > 0 else 0.6 * ahead + 0.4 * leave
        length = reach * rng.uniform(0.35, 0.8) * (1, 0.6, 0.4)[depth]
        if leave @ inward > 0:
            length = min(length, 0.95 * far)
        t = np.linspace(0, 1, (26, 18, 12)[depth])[:, None]
        end = points[at] + length * (0.55 * leave + 0.45 * goal)
        curve = (1 - t) ** 2 * points[at] + 2 * t * (1 - t) * (points[at] + 0.5 * length * leave) + t**2 * end
        local = start * taper[at] * rng.uniform(0.45, 0.72)
        _grow(rng, found, _winding(rng, curve, 0.028 * length, 3), local, vein, fovea, reach, depth + 1)
