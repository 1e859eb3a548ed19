"""Diabetic lesions of the fundus: each function gives what is covered and paints it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from foveate.data.synthetic import brush
from foveate.data.synthetic.brush import Map, Place
from foveate.data.synthetic.retina import FIELD, Colour
from foveate.data.synthetic.vessels import Vessel

Canvas = UInt8[np.ndarray, "h w"]

TRIES = 80
"""Places looked at for each lesion before it is given up."""

QUADRANTS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
"""Signs of (row, col) from the middle of the field: the four quadrants in which haemorrhages are counted."""


def as_map(canvas: Canvas) -> Map:
    """Coverage 0..255 as 0..1."""
    return np.asarray(canvas, np.float32) / np.float32(255)


def somewhere(rng: np.random.Generator, quadrant: Sequence[int] | None = None, *, outer: float = 0.9) -> np.ndarray:
    """A position spread evenly over the field of view (or one quadrant of it), up to ``outer`` of its radius."""
    radius, turn = outer * FIELD * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    offset = radius * np.array([np.sin(turn), np.cos(turn)])
    return np.asarray(0.5 + (offset if quadrant is None else np.abs(offset) * quadrant))


def put(canvas: Canvas, outline: brush.Path, taken: Bool[np.ndarray, "h w"]) -> bool:
    """Add an outline to the canvas unless it meets taken pixels or touches other marks; return whether it was added."""
    where, window = brush.cover(outline, len(canvas))
    core = window >= 128
    if (taken[where] & core).any():
        return False
    near = cv2.dilate(core.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    if (near & (canvas[where] >= 128)).any():
        return False
    np.maximum(canvas[where], window, out=canvas[where])
    return True


def microaneurysms(
    rng: np.random.Generator, count: int, taken: Bool[np.ndarray, "h w"], around: Place
) -> tuple[Canvas, list[np.ndarray]]:
    """Round red dots of 60 to 110 micrometres, most of them in the posterior pole; also their centres."""
    canvas = np.zeros(taken.shape, np.uint8)
    found: list[np.ndarray] = []
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        spread = np.asarray(around) + rng.normal(0, 0.16, 2)
        centre = spread if np.hypot(*(spread - 0.5)) < 0.9 * FIELD else somewhere(rng)
        if put(canvas, brush.blob(rng, centre, rng.uniform(0.0030, 0.0048), rough=0.04), taken):
            found.append(centre)
    return canvas, found


def haemorrhages(
    rng: np.random.Generator, per_quadrant: Sequence[int], taken: Bool[np.ndarray, "h w"], disc: Place
) -> tuple[Canvas, Canvas]:
    """Deep blots and superficial flames that never touch each other, so that they can be counted: (blots, flames)."""
    both, flames = np.zeros(taken.shape, np.uint8), np.zeros(taken.shape, np.uint8)
    crowd = min(1.0, 60 / max(1, sum(per_quadrant)))
    for quadrant, wanted in zip(QUADRANTS, per_quadrant, strict=True):
        placed = 0
        for attempt in range(TRIES * wanted):
            if placed == wanted:
                break
            shrink = 1 - 0.7 * attempt / (TRIES * wanted)
            centre = somewhere(rng, quadrant)
            row, col = (centre * len(both)).astype(int)
            if taken[row, col] or both[row, col] >= 128:
                continue
            away = centre - np.asarray(disc)
            if rng.random() < 0.3 and np.hypot(*away) < 0.42:
                # flames follow the nerve fibres, about radial to the disc
                angle = float(np.arctan2(*away)) + rng.normal(0, 0.25)
                shape = _flame(rng, centre, rng.uniform(0.007, 0.007 + 0.008 * crowd) * shrink, angle)
                if put(both, shape, taken):
                    where, window = brush.cover(shape, len(flames))
                    np.maximum(flames[where], window, out=flames[where])
                    placed += 1
            else:
                radius = (0.0052 + 0.013 * crowd * rng.random() ** 2.5) * shrink
                shape = brush.blob(
                    rng, centre, radius, rough=0.16, stretch=rng.uniform(1, 1.2), angle=rng.uniform(0, 3)
                )
                placed += put(both, shape, taken)
    return np.where(flames > 0, 0, both).astype(np.uint8), flames


def _flame(rng: np.random.Generator, centre: Place, radius: float, angle: float) -> brush.Path:
    """A spindle with frayed ends."""
    t = np.linspace(-1, 1, 15)
    half = (1 - t**2) ** 0.8 * (1 + 0.35 * rng.normal(size=15) * np.abs(t)) * 0.62
    fray = 0.35 * rng.normal(size=15) * (np.abs(t) > 0.55)
    u = np.concatenate([t * 2.1 + fray, (t * 2.1 - fray)[::-1]])
    v = np.concatenate([half, -half[::-1]])
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + radius * (u * s + v * c), centre[1] + radius * (u * c - v * s)], 1)


def hard_exudates(
    rng: np.random.Generator, taken: Bool[np.ndarray, "h w"], fovea: Place, leaks: Sequence[np.ndarray]
) -> Canvas:
    """Waxy yellow deposits: clusters, rings round a leaking microaneurysm (circinate), a star at the macula."""
    canvas = np.zeros(taken.shape, np.uint8)
    for group in range(int(rng.integers(1, 5))):
        centre = np.asarray(fovea) + rng.normal(0, 0.12, 2)
        kind = rng.random()
        if kind < 0.4 and len(leaks):
            centre, ring = leaks[int(rng.integers(len(leaks)))], rng.uniform(0.03, 0.055)
            turn = rng.uniform(0, 2 * np.pi) + np.linspace(
                0, rng.uniform(0.6, 1) * 2 * np.pi, int(rng.integers(14, 30))
            )
            radial = ring * (1 + 0.14 * rng.normal(size=len(turn)))
            spots = centre + radial[:, None] * np.stack([np.sin(turn), np.cos(turn)], 1)
        elif kind < 0.55 and group == 0:
            turn = np.repeat(np.linspace(0, 2 * np.pi, int(rng.integers(8, 13))), 4)
            radial = np.tile(np.linspace(0.03, 0.075, 4), len(turn) // 4) + rng.normal(0, 0.004, len(turn))
            spots = np.asarray(fovea) + radial[:, None] * np.stack([np.sin(turn), np.cos(turn)], 1)
        else:
            spots = centre + rng.normal(0, rng.uniform(0.012, 0.035), (int(rng.integers(5, 26)), 2))
        largest = 0.0085 if kind >= 0.55 or group else 0.0045
        for spot in spots:
            if np.hypot(*(spot - 0.5)) < 0.92 * FIELD:
                radius = 0.0024 + largest * rng.random() ** 3
                outline = brush.blob(rng, spot, radius, rough=0.2, stretch=rng.uniform(1, 1.3), angle=rng.uniform(0, 3))
                where, window = brush.cover(outline, len(canvas))
                if not taken[where][window > 0].any():
                    np.maximum(canvas[where], window, out=canvas[where])
    return canvas


def cotton_wool(rng: np.random.Generator, count: int, taken: Bool[np.ndarray, "h w"], disc: Place) -> Map:
    """Fluffy white infarcts of the nerve-fibre layer, within a few disc diameters of the disc; soft-edged."""
    canvas, placed = np.zeros(taken.shape, np.uint8), 0
    for _ in range(TRIES * count):
        if placed == count:
            break
        turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.13, 0.36)
        centre = np.asarray(disc) + away * np.array([np.sin(turn), np.cos(turn)])
        if np.hypot(*(centre - 0.5)) < 0.85 * FIELD:
            across = turn + np.pi / 2 + rng.normal(0, 0.3)
            outline = brush.blob(rng, centre, rng.uniform(0.013, 0.026), rough=0.3, stretch=1.25, angle=across)
            placed += put(canvas, outline, taken)
    return brush.soften(as_map(canvas), 0.0045)


def new_vessels(
    rng: np.random.Generator, size: int, eye_disc: Place, disc_radius: float, vessels: Sequence[Vessel]
) -> tuple[Map, Bool[np.ndarray, "h w"], list[np.ndarray]]:
    """Lacy tangles on the disc or at a vein: coverage of the fine vessels, the area they occupy, and their roots."""
    lines, roots = [], []
    veins = [v for v in vessels if v.vein and v.widths[0] > 0.006]
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.45:
            root = np.asarray(eye_disc) + rng.normal(0, 0.35 * disc_radius, 2)
        else:
            vein = veins[int(rng.integers(len(veins)))]
            root = vein.points[int(rng.integers(len(vein.points) // 3, len(vein.points)))]
            if np.hypot(*(root - 0.5)) > 0.8 * FIELD:
                root = np.asarray(eye_disc) + rng.normal(0, 0.35 * disc_radius, 2)
        roots.append(root)
        reach, facing = rng.uniform(0.05, 0.1), rng.uniform(0, 2 * np.pi)
        for _ in range(int(rng.integers(14, 26))):
            t = np.linspace(0, 1, 40)
            heading = (
                facing + rng.uniform(-1.3, 1.3) + np.cumsum(0.12 * brush.wave(rng, t, waves=4)) + rng.normal(0, 3.2) * t
            )
            step = reach * rng.uniform(0.8, 2.0) / 40
            path = root + np.cumsum(step * np.stack([np.sin(heading), np.cos(heading)], 1), 0)
            lines.append((path, np.full(40, max(rng.uniform(0.0026, 0.0042), 0.7 / size))))
    lace = brush.strokes(lines, size)
    area = brush.filled(lace > 0.3, 0.03).astype(np.float32)
    return lace, np.asarray(brush.soften(area, 0.009) > 0.4), roots


def fibrous(rng: np.random.Generator, size: int, roots: Sequence[np.ndarray], disc: Place) -> Map:
    """Grey-white membranes: strands that join roots of new vessels and the disc, with webs between; soft-edged."""
    lines = []
    for root in [*roots[:2], np.asarray(disc)]:
        facing = rng.uniform(0, 2 * np.pi)
        for _ in range(int(rng.integers(3, 6))):
            t = np.linspace(0, 1, 24)
            heading = facing + rng.uniform(-0.9, 0.9) + 0.5 * brush.wave(rng, t) + rng.normal(0, 0.5) * t
            path = root + np.cumsum(rng.uniform(0.08, 0.2) / 24 * np.stack([np.sin(heading), np.cos(heading)], 1), 0)
            lines.append((path, rng.uniform(0.008, 0.020) * (1 - 0.8 * t) * (1 + 0.3 * brush.wave(rng, t))))
    strands = brush.strokes(lines, size)
    web = brush.filled(strands > 0.5, 0.025).astype(np.float32)
    return brush.smoothstep(0.2, 0.8, brush.soften(np.maximum(strands, web), 0.007))


def preretinal(rng: np.random.Generator, size: int, disc: Place) -> Canvas:
    """Boat-shaped pool of blood in front of the retina: level above, rounded below."""
    canvas = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(1, 3))):
        for _ in range(50):
            centre = somewhere(rng, outer=0.6)
            if np.hypot(*(centre - np.asarray(disc))) > 0.16:
                break
        half, depth = rng.uniform(0.06, 0.11), rng.uniform(0.045, 0.08)
        t = np.linspace(0, np.pi, 30)
        hull = np.stack([depth * np.sin(t) ** 0.8, half * np.cos(t)], 1) * (1 + 0.06 * brush.wave(rng, t / 7))[:, None]
        level = np.stack([0.0015 * brush.wave(rng, np.linspace(0, 0.8, 16)), np.linspace(-half, half, 16)], 1)
        where, window = brush.cover(centre + np.concatenate([hull, level]), size)
        np.maximum(canvas[where], window, out=canvas[where])
    return canvas


def vitreous(rng: np.random.Generator, size: int, disc: Place) -> Map:
    """Density of blood dispersed in the vitreous, 0..1: clouds that sink, and streamers; the disc stays in view."""
    shape = (size, size)
    centre = (rng.uniform(0.62, 0.8), rng.uniform(0.25, 0.6))
    away = brush.distance(shape, centre, rng.uniform(1.05, 1.4), rng.normal(0, 0.4)) / rng.uniform(0.17, 0.3)
    clouds = brush.noise(rng, shape, (5, 5), octaves=4, falloff=0.6)
    clear = brush.smoothstep(0.07, 0.15, brush.distance(shape, disc))
    return np.asarray(brush.smoothstep(0.1, 1.0, 1.25 - away + 0.34 * clouds) * clear, np.float32)


def paint_red(image: Colour, coverage: Map, texture: Map, *, deep: float) -> None:
    """Blood in or before the retina; ``deep`` 0..1 is how dark it is."""
    amount = coverage * (0.86 + 0.08 * np.clip(texture, -1, 1))
    brush.tint(image, amount, (0.76 - 0.24 * deep, 0.40 - 0.22 * deep, 0.46 - 0.2 * deep))
