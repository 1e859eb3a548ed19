"""Drawn en-face OCT of the optic nerve head (6 mm x 6 mm) with the artefacts that spoil it and a quality grade.

Signal lost is a weighted sum of the parts of the image under artefacts and of the fall of the signal itself:

    loss = dark + 0.5 shallow + 0.9 motion + 0.6 (1 - strength)

A pixel has one label: motion before dark shadow before nerve head before shallow shadow, which does not hide it.
Each quality grade draws the loss from a range of its own; neighbouring ranges overlap as annotators' opinions do.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

from foveate.core.labels import LabelSchema, Question
from foveate.data.synthetic import brush
from foveate.data.synthetic.brush import Map
from foveate.data.synthetic.drawing import Drawing
from foveate.data.synthetic.retina import fibres
from foveate.data.synthetic.vessels import tree

SCHEMA = LabelSchema(
    questions=(Question("quality", ("0", "1", "2", "3"), ordered=True),),
    labels=("nerve_head", "shallow_shadow", "dark_shadow", "motion"),
    exclusive=True,
)
WIDTH = 6.0
REACH = 0.75
"""Disc to fovea in sides of the image: the fovea is outside the image."""

WEIGHTS = {"dark": 1.0, "shallow": 0.5, "motion": 0.9, "signal": 0.6}
RANGES = ((0.31, 0.58), (0.18, 0.35), (0.085, 0.20), (0.0, 0.10))
"""Signal lost, lowest and highest, for quality 0, 1, 2, 3."""


def draw(seed: int, *, size: int) -> Drawing:
    """Draw one nerve head; seeds 2k and 2k + 1 are the right and left eye of a patient. Grades cycle with the seed."""
    patient = np.random.default_rng([seed // 2, 0xE0])
    quality = (seed + seed // 4) % 4  # a plain cycle of four would give each eye two grades only
    drawing = draw_right(np.random.default_rng([seed, 0xE1]), patient, quality=quality, size=size)
    return drawing.mirrored() if seed % 2 else drawing


def draw_right(rng: np.random.Generator, patient: np.random.Generator, *, quality: int, size: int) -> Drawing:
    """Draw a right eye (temporal on the left).

    Args:
        rng: of this eye and its scan.
        patient: of what both eyes share.
        quality: 0 (unusable) to 3 (no concern).
        size: side of the image in pixels.
    """
    layout, healthy, artefact, camera = rng.spawn(4)
    radius = float(np.clip(patient.normal(0.145, 0.012), 0.12, 0.175))
    cup = float(np.clip(patient.normal(0.5, 0.12), 0.25, 0.75))
    centre = 0.5 + layout.normal(0, 0.03, 2)
    image, head = _nerve_head(layout, healthy, size, (float(centre[0]), float(centre[1])), radius, cup)
    budget = artefact.uniform(*RANGES[quality])
    shallow, dark, motion, shift = _artefacts(artefact, size, budget)
    image, head = _displaced(image, shift), _displaced(head, shift) > 0.5
    shallow, dark = _displaced(shallow, shift), _displaced(dark, shift)
    image *= (1 - 0.42 * shallow) * (1 - 0.90 * dark)
    left = max(budget - loss(shallow > 0.5, dark > 0.5, motion, strength=1.0), 0.0)
    strength = 1 - left / WEIGHTS["signal"]
    grey = _exposed(camera, image, strength, motion)
    masks = np.zeros((4, size, size), np.uint8)
    masks[3] = motion
    masks[2] = (dark > 0.5) & ~motion
    masks[0] = head & (dark <= 0.5) & ~motion
    masks[1] = (shallow > 0.5) & ~masks[[0, 2, 3]].any(0)
    row = centre[0] * size - 0.5
    col = centre[1] * size - 0.5 + shift[int(np.clip(round(row), 0, size - 1))]
    return Drawing(
        image=grey[..., None],
        masks=masks,
        answers={"quality": str(quality)},
        disc=(float(row), float(col)),
        laterality="OD",
        spacing=(WIDTH / size, WIDTH / size),
    )


def loss(shallow: np.ndarray, dark: np.ndarray, motion: np.ndarray, *, strength: float) -> float:
    """Signal lost, 0 to about 1.

    Args:
        shallow, dark, motion: ``(row, col)`` bool, pixels of each artefact; a graver one hides a lighter one.
        strength: signal of the scan, 1 = full.
    """
    parts = {
        "dark": float((dark & ~motion).mean()),
        "shallow": float((shallow & ~dark & ~motion).mean()),
        "motion": float(motion.mean()),
        "signal": 1 - strength,
    }
    return sum(WEIGHTS[name] * part for name, part in parts.items())


def _nerve_head(
    layout: np.random.Generator,
    rng: np.random.Generator,
    size: int,
    disc: tuple[float, float],
    radius: float,
    cup: float,
) -> tuple[Map, Map]:
    """Undisturbed reflectance, 0..1, and the coverage of the nerve head."""
    shape = (size, size)
    tilt = np.radians(layout.normal(6.5, 2))
    fovea = (disc[0] + REACH * np.sin(tilt), disc[1] - REACH * np.cos(tilt))
    rows = ((np.arange(size, dtype=np.float32) + 0.5) / size - np.float32(disc[0]))[:, None]
    cols = ((np.arange(size, dtype=np.float32) + 0.5) / size - np.float32(disc[1]))[None]
    away = np.hypot(rows, cols)
    # thick nerve-fibre bundles leave above and below, a little temporal, and fade with distance
    lean = np.abs(np.arctan2(np.abs(rows), -cols) - 1.25)
    bundles = np.exp(-((lean / 0.55) ** 2)) * np.exp(-away / 0.5)
    image = 0.50 + 0.20 * bundles + 0.03 * brush.noise(rng, shape, (5, 5), octaves=3)
    image = image * (1 + (0.05 + 0.10 * bundles) * fibres(rng, size, disc, REACH, fine=110))
    outline = brush.blob(layout, disc, radius, rough=0.02, stretch=1.05, angle=np.pi / 2 + layout.normal(0, 0.15))
    where, window = brush.cover(outline, size)
    head = np.zeros(shape, np.float32)
    head[where] = window / np.float32(255)
    ring = np.clip(brush.soften(head, 0.02) * (1 - head) * 2, 0, 1)
    image = image * (1 + 0.18 * ring)
    rim = brush.soften(head, 0.006)
    image = image + rim * (0.33 + 0.05 * brush.noise(rng, shape, (20, 20), octaves=2) - image)
    pit = (disc[0] + layout.normal(0, 0.05) * radius, disc[1] - 0.12 * radius)
    depth = brush.distance(shape, pit, 0.97) / (radius * cup)
    pores = np.clip(brush.noise(rng, shape, (min(size // 3, 60), min(size // 3, 60))), -1, 1)
    image = image + brush.smoothstep(1.2, 0.75, depth) * (0.16 - image)
    image = image + brush.smoothstep(0.75, 0.45, depth) * (0.30 + 0.07 * pores)
    vessels = tree(rng, disc, fovea, width=0.027)
    lumen = brush.strokes(((v.points, v.widths) for v in vessels if v.widths[0] > 0.006), size)
    core = brush.strokes(((v.points, 0.35 * v.widths) for v in vessels if v.widths[0] > 0.014), size)
    image = image * (1 - 0.58 * brush.soften(lumen, 0.002)) + 0.07 * core
    return np.asarray(np.clip(image, 0.02, 1), np.float32), head


def _artefacts(rng: np.random.Generator, size: int, budget: float) -> tuple[Map, Map, np.ndarray, np.ndarray]:
    """Shadows (density 0..1) and motion bands that together lose no more signal than the budget; part is left over.

    Returns:
        shallow and dark density, motion (bool), and the sideways shift of every row in whole pixels.
    """
    shape = (size, size)
    shallow, dark, motion = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, bool)
    shift = np.zeros(size, np.int64)
    spend = budget * rng.uniform(0.45, 0.95)
    for _ in range(int(rng.integers(2, 8))):
        kind = rng.random()
        if kind < 0.4:
            new = np.maximum(shallow, _cloud(rng, shape)), dark, motion, shift
        elif kind < 0.72:
            shade = (_floater, _corner)[int(rng.integers(2))](rng, shape)
            new = shallow, np.maximum(dark, shade), motion, shift
        else:
            new = (shallow, dark, *_break(rng, motion, shift))
        if loss(new[0] > 0.5, new[1] > 0.5, new[2], strength=1.0) <= spend:
            shallow, dark, motion, shift = new
    return shallow, dark, motion, shift


def _cloud(rng: np.random.Generator, shape: tuple[int, int]) -> Map:
    """A faint shadow with a broad, soft edge: media opacity."""
    away = brush.distance(shape, rng.uniform(0, 1, 2), rng.uniform(1, 1.6), rng.uniform(0, np.pi)) / rng.uniform(
        0.1, 0.36
    )
    return brush.smoothstep(
        1.35, 0.65, np.asarray(away + 0.16 * brush.noise(rng, shape, (5, 5), octaves=2), np.float32)
    )


def _floater(rng: np.random.Generator, shape: tuple[int, int]) -> Map:
    """The dense shadow of a strand or clump in the vitreous, away from the middle of the nerve head."""
    turn, off = rng.uniform(0, 2 * np.pi), rng.uniform(0.24, 0.45)
    start = 0.5 + off * np.array([np.sin(turn), np.cos(turn)])
    t = np.linspace(0, 1, 40)
    heading = turn + np.pi / 2 + rng.normal(0, 0.5) + 1.2 * brush.wave(rng, t) + rng.normal(0, 1.5) * t
    step = rng.uniform(0.08, 0.4) / 40
    path = start + np.cumsum(step * np.stack([np.sin(heading), np.cos(heading)], 1), 0)
    width = rng.uniform(0.03, 0.10) * (0.55 + np.sin(np.pi * t) ** 0.5) * (1 + 0.25 * brush.wave(rng, t, waves=5))
    strand = brush.soften(brush.strokes([(path, np.maximum(width, 0.01))], shape[0]), 0.009)
    clear = brush.smoothstep(0.06, 0.12, brush.distance(shape, (0.5, 0.5)))
    return np.asarray(brush.smoothstep(0.1, 0.9, strand) * clear, np.float32)


def _corner(rng: np.random.Generator, shape: tuple[int, int]) -> Map:
    """The pupil's edge cuts off a corner or a side."""
    turn = rng.uniform(0, 2 * np.pi)
    centre = 0.5 + rng.uniform(0.12, 0.5) * np.array([np.sin(turn), np.cos(turn)])
    away = brush.distance(shape, centre) + 0.012 * brush.noise(rng, shape, (4, 4), octaves=2)
    edge = rng.uniform(0.62, 0.85)
    return brush.smoothstep(edge - 0.05, edge + 0.05, np.asarray(away, np.float32))


def _break(rng: np.random.Generator, motion: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eye movement during some lines: they jump sideways, and what follows stays a little displaced."""
    size = len(shift)
    high = max(2, round(size * rng.uniform(0.008, 0.045)))
    top = int(rng.integers(1, size - high - 1))
    moved, lines = shift.copy(), motion.copy()
    moved[top : top + high] += round(size * float(rng.choice([-1, 1]) * rng.uniform(0.03, 0.09)))
    moved[top + high :] += round(size * float(rng.normal(0, 0.008)))
    lines[top : top + high] = True
    return lines, moved


def _displaced(image: Map, shift: np.ndarray) -> Map:
    """Each row moved right by its own whole number of pixels; what enters repeats the edge."""
    size = image.shape[1]
    columns = np.clip(np.arange(size)[None] - shift[:, None], 0, size - 1)
    return np.asarray(np.take_along_axis(image, columns, 1), np.float32)


def _exposed(
    rng: np.random.Generator, image: Float32[np.ndarray, "h w"], strength: float, motion: np.ndarray
) -> UInt8[np.ndarray, "h w"]:
    """Speckle and noise (more as the signal falls), line-by-line gain, 8 bits."""
    shape = image.shape
    gain = 1 + 0.025 * rng.standard_normal((shape[0], 1), dtype=np.float32)
    tremor = 1 + 0.30 * rng.standard_normal((shape[0], 1), dtype=np.float32)
    gain = np.where(motion.any(1, keepdims=True), np.clip(tremor, 0.45, 1.6), gain)
    signal = image * gain * np.float32(0.35 + 0.65 * strength) * np.float32(rng.uniform(0.92, 1.15))
    grain = rng.standard_normal(shape, dtype=np.float32)
    broad = rng.standard_normal(shape, dtype=np.float32)
    speckle = 0.6 * grain + 0.8 * brush.soften(broad, 0.004) * np.float32(max(1.0, 0.0142 * shape[0]))
    signal = signal * (1 + np.float32(0.10 + 0.10 * (1 - strength)) * speckle)
    signal += np.float32(0.012 + 0.075 * (1 - strength)) * broad + np.float32(0.02 + 0.06 * (1 - strength))
    return np.asarray(np.rint(255 * np.clip(1.15 * signal, 0, 1)), np.uint8)
