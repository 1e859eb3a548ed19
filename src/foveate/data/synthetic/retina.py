"""The healthy fundus in colour: field of view, pigment, choroid, macula, nerve fibres, optic disc, atrophy."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from foveate.data.synthetic import brush
from foveate.data.synthetic.brush import Map
from foveate.data.synthetic.vessels import Vessel

Colour = Float32[np.ndarray, "h w 3"]

FIELD = 0.478
"""Radius of the round field of view (45 degrees, about 12.4 mm on the retina)."""


@dataclass(frozen=True)
class Eye:
    """Properties of a patient's eyes (pigment, disc size), and positions in the right eye, in sides of the image."""

    pigment: tuple[float, float, float]
    choroid: float
    sheen: float
    disc: tuple[float, float]
    fovea: tuple[float, float]
    disc_radius: float
    cup: float

    @classmethod
    def born(cls, patient: np.random.Generator, rng: np.random.Generator) -> Eye:
        """Draw the traits: those of the person from ``patient``, the place in the picture from ``rng``."""
        dark = patient.uniform(0, 1)
        pigment = np.array([0.86, 0.47, 0.24]) * (1 - dark) + np.array([0.62, 0.29, 0.115]) * dark
        pigment = pigment * patient.normal(1, 0.05, 3)
        fovea = np.array([0.5, 0.47]) + rng.normal(0, 0.012, 2)
        tilt, reach = np.radians(rng.normal(6.5, 1.5)), rng.normal(0.352, 0.01)
        disc = fovea + reach * np.array([-np.sin(tilt), np.cos(tilt)])
        return cls(
            pigment=(float(pigment[0]), float(pigment[1]), float(pigment[2])),
            choroid=float(patient.uniform(0.03, 0.13)),
            sheen=float(patient.uniform(0, 1) ** 2),
            disc=(float(disc[0]), float(disc[1])),
            fovea=(float(fovea[0]), float(fovea[1])),
            disc_radius=float(np.clip(patient.normal(0.068, 0.005), 0.058, 0.08)),
            cup=float(np.clip(patient.normal(0.42, 0.1) + rng.normal(0, 0.03), 0.22, 0.68)),
        )


def field_of_view(rng: np.random.Generator, size: int) -> Map:
    """Coverage of the camera's field of view: a circle, often cut off above and below."""
    away = brush.distance((size, size), (0.5, 0.5))
    rows = np.abs((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5)[:, None]
    cut = rng.choice([0.5, 0.455, 0.42], p=[0.55, 0.25, 0.2])
    edge = np.float32(size)
    return np.asarray(np.clip((FIELD - away) * edge, 0, 1) * np.clip((cut - rows) * edge, 0, 1), np.float32)


def light_field(rng: np.random.Generator, size: int) -> Map:
    """Illumination, about 1 in the middle and falling off towards an edge that is not quite concentric."""
    away = brush.distance((size, size), 0.5 + rng.normal(0, 0.035, 2)) / FIELD
    fall = rng.uniform(0.22, 0.42)
    return np.asarray(1.06 - fall * away**2.6 + 0.025 * brush.noise(rng, (size, size), (3, 3)), np.float32)


def fibres(rng: np.random.Generator, size: int, disc: tuple[float, float], reach: float, *, fine: int) -> Map:
    """Nerve-fibre striations, mean 0: they leave the disc radially and, temporally (left), arch over the macula.

    Args:
        reach: distance from disc to fovea.
        fine: number of striations round the disc.
    """
    rows = ((np.arange(size, dtype=np.float32) + 0.5) / size - np.float32(disc[0]))[:, None]
    cols = np.float32(disc[1]) - ((np.arange(size, dtype=np.float32) + 0.5) / size)[None]
    temporal = np.clip(cols / np.float32(reach), 0, 1.6)
    away = np.hypot(rows, cols)
    # a fibre that starts at a steep angle returns to the horizontal raphe beyond the fovea
    angle = np.arctan2(rows * (1 + 0.55 * temporal**2), cols) / np.float32(2 * np.pi) + 0.5
    strip = brush.noise(rng, (4 * fine, 32), (fine, 3), octaves=2, falloff=0.7)
    strip[-fine:] += np.linspace(0, 1, fine, dtype=np.float32)[:, None] * (strip[:1] - strip[-1:])
    at_row = np.asarray(angle * (4 * fine - 1), np.float32)
    at_col = np.asarray(np.clip(away / 0.7, 0, 1) * 31, np.float32)
    return np.asarray(cv2.remap(strip, at_col, at_row, cv2.INTER_LINEAR), np.float32)


def background(rng: np.random.Generator, size: int, eye: Eye) -> Colour:
    """Pigment epithelium over choroid, with macula and nerve-fibre sheen; not yet lit."""
    shape = (size, size)
    image = np.empty((*shape, 3), np.float32)
    image[:] = np.asarray(eye.pigment, np.float32)
    patches = brush.noise(rng, shape, (4, 4), octaves=2)
    brush.tint(image, 0.10 * patches, (0.85, 0.65, 0.6))
    # choroidal vessels: pale bands between darker islands, hidden by the pigment of the macula
    ridge = np.abs(brush.noise(rng, shape, (13, 10), octaves=2, falloff=0.45))
    near = brush.distance(shape, eye.fovea)
    seen = eye.choroid * brush.smoothstep(0.10, 0.34, near)
    image *= (1 - seen * (np.minimum(ridge, 1.6) - 0.75))[..., None]
    grain = brush.noise(rng, shape, (size // 4, size // 4))
    image *= (1 + 0.010 * grain)[..., None]
    reach = float(np.hypot(eye.disc[0] - eye.fovea[0], eye.disc[1] - eye.fovea[1]))
    glow = np.exp(-(((brush.distance(shape, eye.disc) - 0.09) / 0.15) ** 2)) * (0.35 + eye.sheen)
    brush.blend(image, 0.028 * glow * (1 + 1.2 * fibres(rng, size, eye.disc, reach, fine=160)), (0.95, 0.85, 0.6))
    macula = np.exp(-((brush.distance(shape, eye.fovea, 1.12) / 0.105) ** 2)) * (1 + 0.12 * patches)
    brush.tint(image, macula, (0.80, 0.70, 0.66))
    brush.tint(image, np.exp(-((near / 0.036) ** 2)), (0.86, 0.76, 0.78))
    pit = np.exp(-((near / 0.0055) ** 2)) * (0.25 + 0.4 * eye.sheen)
    brush.blend(image, pit, (0.95, 0.75, 0.5))
    ring = np.exp(-(((brush.distance(shape, eye.fovea, 1.1) - 0.085) / 0.012) ** 2)) * eye.sheen
    brush.blend(image, 0.07 * ring * (1 + 0.6 * patches), (1.0, 0.9, 0.7))
    return image


def disc_coverage(rng: np.random.Generator, size: int, eye: Eye) -> Map:
    """Coverage of the optic disc, a slightly upright oval."""
    outline = brush.blob(
        rng, eye.disc, eye.disc_radius, rough=0.02, stretch=1.035, angle=np.pi / 2 + rng.normal(0, 0.2)
    )
    where, window = brush.cover(outline, size)
    coverage = np.zeros((size, size), np.float32)
    coverage[where] = window / np.float32(255)
    return coverage


def paint_disc(rng: np.random.Generator, image: Colour, eye: Eye, coverage: Map) -> None:
    """Pale orange rim, yellow-white cup, a thin pigment line at the temporal border."""
    shape, r = coverage.shape, eye.disc_radius
    halo = np.exp(-((brush.distance(shape, eye.disc) / (1.5 * r)) ** 4))
    brush.blend(image, 0.14 * halo, (0.93, 0.66, 0.36))
    line = np.clip(brush.soften(coverage, 0.006) * (1 - coverage) * 2.2, 0, 1)
    temporal = brush.smoothstep(0.0, -0.06, _column(shape) - np.float32(eye.disc[1]))
    brush.tint(image, 0.5 * line * temporal, (0.6, 0.5, 0.5))
    body = brush.soften(coverage, 0.004)
    mottle = brush.noise(rng, shape, (28, 28), octaves=2)
    brush.blend(image, 0.86 * body, (0.96, 0.64, 0.41))
    nasal = np.clip((_column(shape) - np.float32(eye.disc[1])) / r, -1, 1)
    brush.tint(image, body * (0.5 + 0.5 * nasal) * 0.55, (0.93, 0.78, 0.72))
    brush.tint(image, body * np.abs(mottle) * 0.07, (0.9, 0.75, 0.7))
    centre = (eye.disc[0] + rng.normal(0, 0.05) * r, eye.disc[1] - (0.06 + 0.1 * rng.random()) * r)
    away = brush.distance(shape, centre, 0.96) / (r * eye.cup)
    cup = brush.smoothstep(1.22, 0.72, away)
    brush.blend(image, cup * 0.85, (1.0, 0.90, 0.70))
    pores = brush.noise(rng, shape, (size_of(shape, 0.010), size_of(shape, 0.010)))
    brush.tint(image, brush.smoothstep(0.9, 0.4, away) * np.clip(pores - 0.4, 0, 1) * 0.25, (0.85, 0.78, 0.75))


def size_of(shape: tuple[int, ...], bump: float) -> int:
    """Cells of noise whose bumps are ``bump`` sides wide, no finer than two pixels."""
    return max(2, min(shape[0] // 2, round(1 / bump)))


def _column(shape: tuple[int, ...]) -> Map:
    return np.asarray((np.arange(shape[1], dtype=np.float32)[None] + 0.5) / shape[1], np.float32)


def atrophy_coverage(rng: np.random.Generator, size: int, eye: Eye, disc: Map) -> Map:
    """Peripapillary atrophy: a temporal crescent, sometimes a whole ring; the disc itself is left out."""
    grow, shift = rng.uniform(1.2, 1.6), rng.uniform(0.12, 0.5)
    if rng.random() < 0.2:
        grow, shift = rng.uniform(1.45, 1.75), rng.uniform(0.0, 0.15)
    centre = (eye.disc[0] + rng.normal(0, 0.1) * eye.disc_radius, eye.disc[1] - shift * eye.disc_radius)
    outline = brush.blob(rng, centre, grow * eye.disc_radius, rough=0.06, stretch=1.05, angle=np.pi / 2)
    where, window = brush.cover(outline, size)
    coverage = np.zeros((size, size), np.float32)
    coverage[where] = window / np.float32(255)
    return np.asarray(coverage * (disc < 0.5), np.float32)


def paint_atrophy(rng: np.random.Generator, image: Colour, coverage: Map) -> None:
    """Bare sclera and large choroidal vessels, clumps of pigment towards the outer border."""
    shape = coverage.shape
    ridge = np.abs(brush.noise(rng, shape, (size_of(shape, 0.035), size_of(shape, 0.05)), octaves=2))
    body = brush.soften(coverage, 0.003)
    brush.blend(image, body * np.clip(0.78 - 0.2 * (ridge < 0.28), 0, 1), (0.97, 0.83, 0.62))
    brush.tint(image, body * np.clip(1 - ridge * 2.5, 0, 1) * 0.7, (0.88, 0.62, 0.55))
    inner = brush.soften(coverage, 0.012)
    clumps = brush.smoothstep(0.5, 1.1, brush.noise(rng, shape, (size_of(shape, 0.022), size_of(shape, 0.022))))
    brush.tint(image, body * brush.smoothstep(0.85, 0.45, inner) * clumps * 0.8, (0.5, 0.42, 0.42))


def paint_vessels(image: Colour, vessels: list[Vessel], disc: Map) -> Bool[np.ndarray, "h w"]:
    """Veins, then the brighter arteries with their light reflex over them; returns where there is a vessel."""
    size = image.shape[0]
    veins = brush.strokes(((v.points, v.widths) for v in vessels if v.vein), size)
    arteries = brush.strokes(((v.points, v.widths) for v in vessels if not v.vein), size)
    wide = [v for v in vessels if v.widths[0] * size > 1.6]
    reflex = brush.strokes(((v.points, v.widths * (0.2 if v.vein else 0.32)) for v in wide), size)
    strength = 1 - 0.25 * disc  # thinner blood column and bright ground at the disc
    brush.tint(image, veins * strength, (0.66, 0.36, 0.46))
    brush.tint(image, np.clip(brush.soften(arteries, 0.004) - arteries, 0, 1) * veins, (1.25, 1.25, 1.25))
    brush.blend(image, arteries * veins, (0.66, 0.24, 0.13))
    brush.tint(image, arteries * (1 - 0.6 * veins) * strength, (0.83, 0.50, 0.52))
    brush.blend(image, reflex * np.maximum(0.30 * arteries, 0.12 * veins), (0.98, 0.62, 0.40))
    return np.asarray(np.maximum(veins, arteries) > 0.4)
