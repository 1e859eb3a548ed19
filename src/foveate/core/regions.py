"""The eight regions of a fundus photograph that follow from disc and fovea (Son et al. 2018, section 2.1).

D is the distance from disc to fovea. One circle of radius 2 D / 5 is about the disc, one of 2 D / 3 about the fovea.
The chord through their intersections separates them. The line through both centres halves the disc's circle and the
nasal side. Two half-lines along the fovea's circle, away from the disc, bound the temporal strip. The perpendicular at
the disc's centre separates the nasal side from the regions above and below. The regions cover the plane, do not
overlap.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

Point = tuple[float, float]
"""(row, col) in pixels."""

NAMES = (
    "disc superior",
    "disc inferior",
    "macula",
    "temporal",
    "superior",
    "inferior",
    "nasal superior",
    "nasal inferior",
)
"""The regions, in the order of `Regions.index`."""

DISC_LABELS = ("disc", "optic_disc")
"""Labels whose mask gives the place and the size of the disc."""

DISC, FOVEA = 2 / 5, 2 / 3
"""Radii of the circles, in units of D."""

CHORD = (1 + DISC**2 - FOVEA**2) / 2
"""Position at which the chord through the intersections crosses the line from disc (0) to fovea (1): 0.358."""

FIELD, APART = 45.0, 15.5
"""Degrees that a usual photograph shows across, and from the disc's centre to the fovea."""

DIAMETERS, BELOW = 2.5, np.radians(6.0)
"""Assumed position of the fovea: disc diameters from the disc's centre, and angle below the horizontal (radians)."""

FAR = 1e4
"""An outline's corner at infinity, in units of D, before it is cut to the image."""


@dataclass(frozen=True)
class Regions:
    """The eight regions of one image.

    Args:
        disc: its centre.
        fovea: its centre.
        laterality: "OD" or "OS" of an image that is not mirrored: superior and inferior are then right for any
            rotation of the image. None: superior is the side that is higher in the image.
        assumed: names of the values that were unknown and set to a default (`located`).

    Raises:
        ValueError: disc and fovea are at one position, or the laterality is not "OD", "OS" or None.
    """

    disc: Point
    fovea: Point
    laterality: str | None = None
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not np.isfinite([*self.disc, *self.fovea]).all() or not self.distance > 1e-6:
            raise ValueError(f"disc={self.disc} and fovea={self.fovea}: give two different positions (row, col)")
        if self.laterality not in (None, "OD", "OS"):
            raise ValueError(f"laterality={self.laterality!r}: give 'OD', 'OS' or None")

    @property
    def distance(self) -> float:
        """D, from disc to fovea in pixels."""
        return float(np.hypot(self.fovea[0] - self.disc[0], self.fovea[1] - self.disc[1]))

    @property
    def axes(self) -> Float[np.ndarray, "2 2"]:
        """Unit vectors (row, col): towards the fovea, and towards superior."""
        along = np.subtract(self.fovea, self.disc) / self.distance
        up = np.array([-along[1], along[0]])  # a quarter turn against the clock as seen: superior of a left eye
        if self.laterality == "OD" or (self.laterality is None and (up[0] > 0 or (up[0] == 0 and up[1] < 0))):
            up = -up
        return np.stack([along, up])

    def index(
        self,
        rows: Float[np.ndarray, "*n"] | Int[np.ndarray, "*n"],
        cols: Float[np.ndarray, "*n"] | Int[np.ndarray, "*n"],
    ) -> Int[np.ndarray, "*n"]:
        """Position in `NAMES` of the region that contains each point; every point is in exactly one region."""
        along, up = self.axes
        r, c = (rows - self.disc[0]) / self.distance, (cols - self.disc[1]) / self.distance
        a, b = r * along[0] + c * along[1], r * up[0] + c * up[1]
        higher = b >= 0
        in_disc = (a * a + b * b <= DISC**2) & (a <= CHORD)
        in_macula = ((a - 1) ** 2 + b * b <= FOVEA**2) & (a > CHORD)
        choices = [in_disc & higher, in_disc, in_macula, (a > 1) & (np.abs(b) <= FOVEA)]
        choices += [(a >= 0) & higher, a >= 0, higher]
        return np.asarray(np.select(choices, list(range(7)), 7), np.int64)

    def masks(self, shape: tuple[int, int]) -> Bool[np.ndarray, "8 h w"]:
        """Each region's pixels in an image of (rows, cols); each pixel is in exactly one."""
        rows, cols = np.ogrid[: shape[0], : shape[1]]
        here = self.index(*np.broadcast_arrays(rows, cols))
        return np.asarray(here[None] == np.arange(len(NAMES))[:, None, None])

    def at(self, point: Point) -> str:
        """Name of the region that contains a position (row, col)."""
        return NAMES[int(self.index(np.array(point[0]), np.array(point[1])))]

    def holding(self, mask: Bool[np.ndarray, "h w"], *, least: int = 1) -> tuple[str, ...]:
        """Names of the regions with at least ``least`` marked pixels, in the order of `NAMES`."""
        rows, cols = np.nonzero(mask)
        counts = np.bincount(self.index(rows, cols), minlength=len(NAMES))
        return tuple(name for name, count in zip(NAMES, counts, strict=True) if count >= least)

    def cover(self, names: Collection[str], shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
        """Pixels of the named regions; ValueError if a name is unknown."""
        wanted = [position(name) for name in names]
        return np.asarray(self.masks(shape)[wanted].any(0))

    def outlines(self, shape: tuple[int, int]) -> dict[str, tuple[Point, ...]]:
        """Each region as a closed polygon (row, col), cut to the image's outer edge; only regions in the image.

        Arcs have one corner per degree, so they are within 2.6e-5 D of the circle. Neighbours share their corners.
        """
        along, up = self.axes
        out = {}
        for name, corners in _PLANE.items():
            plane = np.array(self.disc) + self.distance * (corners[:, :1] * along + corners[:, 1:] * up)
            seen = _cut(plane, shape)
            if len(seen) > 2 and _area(seen) > 1e-9:
                out[name] = tuple((float(r), float(c)) for r, c in seen)
        return out


def position(name: str) -> int:
    """Position of a region in `NAMES`; ValueError if the name is unknown."""
    if name not in NAMES:
        raise ValueError(f"region must be one of {list(NAMES)}, got {name!r}")
    return NAMES.index(name)


def located(
    *,
    shape: tuple[int, int],
    disc: Point | None,
    fovea: Point | None = None,
    diameter: float | None = None,
    laterality: str | None = None,
) -> Regions | None:
    """Regions from what is known of an image; unknown values get a default and are named in ``assumed``.

    If the fovea is unknown, it is assumed 2.5 disc diameters temporal of the disc's centre and 6 degrees below the
    horizontal (15.5 by 1.5 degrees of the visual field). If the disc's size is unknown, the image is assumed to show
    45 degrees across, so that 2.5 diameters are 0.34 of its columns. If the laterality is unknown, temporal is the
    side of the disc with more of the image, or the left one (a right eye) if both sides are equal.

    Args:
        shape: (rows, cols) of the image.
        disc: its centre; None = no regions: the function returns None.
        fovea: its centre.
        diameter: of the disc in pixels.
        laterality: "OD" or "OS".
    """
    if disc is None:
        return None
    if fovea is not None:
        return Regions(disc, fovea, laterality)
    assumed = ["fovea"]
    away = DIAMETERS * diameter if diameter else APART / FIELD * shape[1]
    if not diameter:
        assumed.append("disc diameter (a field of 45 degrees)")
    temporal = {"OD": -1.0, "OS": 1.0}.get(laterality or "")
    if temporal is None:
        assumed.append("laterality (temporal is the side with more of the image)")
        temporal = 1.0 if disc[1] < (shape[1] - 1) / 2 else -1.0
    place = (disc[0] + away * float(np.sin(BELOW)), disc[1] + temporal * away * float(np.cos(BELOW)))
    return Regions(disc, place, laterality, tuple(assumed))


def disc_of(mask: Bool[np.ndarray, "h w"]) -> tuple[Point, float] | None:
    """Centre and diameter (of the circle of the same area) of a marked disc; None if nothing is marked."""
    rows, cols = np.nonzero(mask)
    if not rows.size:
        return None
    return (float(rows.mean()), float(cols.mean())), float(2 * np.sqrt(rows.size / np.pi))


# -- outlines --------------------------------------------------------------------------------------------------------


def _arc(centre: float, radius: float, start: float, end: float) -> Float[np.ndarray, "n 2"]:
    """Points of a circle about (centre, 0), both ends included, about a degree apart."""
    angles = np.linspace(start, end, 2 + int(np.degrees(abs(end - start))))
    return np.stack([centre + radius * np.cos(angles), radius * np.sin(angles)], 1)


def _plane() -> dict[str, Float[np.ndarray, "n 2"]]:
    """Corners of the regions with the disc at (0, 0), the fovea at (1, 0) and superior up."""
    meet = float(np.arccos(CHORD / DISC))  # angle of the intersection at the disc, and at the fovea
    meet_fovea = float(np.pi - np.arccos((1 - CHORD) / FOVEA))
    front, back = _arc(0, DISC, meet, np.pi / 2), _arc(0, DISC, np.pi / 2, np.pi)
    near, far = _arc(1, FOVEA, meet_fovea, np.pi / 2), _arc(1, FOVEA, np.pi / 2, 0)
    near[0] = front[0]  # the intersection, to the last digit

    def flip(points: np.ndarray) -> np.ndarray:
        return points * [1, -1]

    half = np.concatenate([[[CHORD, 0]], front, back[1:]])
    above = np.concatenate([front[::-1], near[1:], [[FAR, FOVEA], [FAR, FAR], [0, FAR]]])
    nasal = np.concatenate([back, [[-FAR, 0], [-FAR, FAR], [0, FAR]]])
    whole = np.concatenate([near, far[1:]])
    strip = np.concatenate([far, flip(far)[-2::-1], [[FAR, -FOVEA], [FAR, FOVEA]]])
    parts = (half, flip(half), np.concatenate([whole, flip(whole)[-2::-1]]), strip)
    return dict(zip(NAMES, (*parts, above, flip(above), nasal, flip(nasal)), strict=True))


def _cut(corners: Float[np.ndarray, "n 2"], shape: tuple[int, int]) -> Float[np.ndarray, "m 2"]:
    """A polygon cut to the image's outer edge (Sutherland and Hodgman 1974)."""
    for axis, edge, sign in ((0, -0.5, 1), (0, shape[0] - 0.5, -1), (1, -0.5, 1), (1, shape[1] - 0.5, -1)):
        if not len(corners):
            break
        depth = sign * (corners[:, axis] - edge)
        after, deeper = np.roll(corners, -1, 0), np.roll(depth, -1)
        kept = []
        for here, there, d, e in zip(corners, after, depth, deeper, strict=True):
            if d >= 0:
                kept.append(here)
            if (d >= 0) != (e >= 0):
                crossing = here + (there - here) * (d / (d - e))
                crossing[axis] = edge
                kept.append(crossing)
        corners = np.array(kept).reshape(-1, 2)
    return corners


def _area(corners: Float[np.ndarray, "n 2"]) -> float:
    r, c = corners.T
    return float(abs((r * np.roll(c, -1) - c * np.roll(r, -1)).sum()) / 2)


_PLANE = _plane()
