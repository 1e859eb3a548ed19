"""Drawn OCT B-scans of the macula (6 mm wide, 2 mm deep): layers, drusen, choroidal neovascularisation, fluid.

Depths are millimetres from the top of the scan, positions millimetres from its middle; both become pixels only when a
boundary is painted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32

from foveate.core.labels import LabelSchema, Question
from foveate.data.synthetic import brush
from foveate.data.synthetic.drawing import Drawing

SCHEMA = LabelSchema(
    questions=(
        Question("class", ("normal", "drusen", "cnv")),
        Question("fluid_present", evidence=("fluid",)),
    ),
    labels=("drusen", "cnv", "fluid"),
    exclusive=True,
)
WIDTH, DEPTH = 6.0, 2.0
PIGMENT = 0.024
"""Thickness of the pigment epithelium, mm."""

Line = Float[np.ndarray, " w"]
Grey = Float32[np.ndarray, "h w"]


@dataclass
class Disease:
    """Profiles along the scan in mm: heights of the layers under the pigment epithelium, on it, and under the retina.

    ``irregular`` (0..1) is the degree to which the outer bands are broken, ``neovascular`` is 1 if a lesion is
    choroidal neovascularisation.
    """

    below: Line
    above: Line
    fluid: Line
    thicken: Line
    irregular: Line
    neovascular: Line
    cysts: list[tuple[float, float, float, float]] = field(default_factory=list)
    """(mm from the middle, place 0..1 in the outer retina, half width, half height)."""


def draw(seed: int, *, size: int) -> Drawing:
    """Draw one B-scan; seeds 2k and 2k + 1 are scans of one eye. Classes cycle with the seed."""
    eye = np.random.default_rng([seed // 2, 0x0C])
    scan = np.random.default_rng([seed, 0x0D])
    left = bool(eye.random() < 0.5)
    drawing = draw_right(scan, eye, answer=SCHEMA.question("class").answers[seed % 3], size=size)
    return drawing.mirrored() if left else drawing


def draw_right(scan: np.random.Generator, eye: np.random.Generator, *, answer: str, size: int) -> Drawing:
    """Draw a B-scan of a right eye (nasal, where the nerve fibres are thick, on the right).

    Args:
        scan: what is this scan's own.
        eye: what all scans of the eye share.
        answer: "normal", "drusen" or "cnv".
        size: side of the image in pixels.
    """
    place, disease, speckle = scan.spawn(3)
    offset = float(np.clip(place.normal(0, 0.35), -0.9, 0.9))
    middle = float(place.normal(0, 0.25))
    x = (np.arange(size) + 0.5) / size * WIDTH - WIDTH / 2 - middle
    ill = {"normal": _healthy, "drusen": _drusen, "cnv": _neovascular}[answer](disease, x)
    bruch = 1.18 + place.normal(0, 0.06) + x * place.normal(0, 0.035) - 0.006 * place.uniform(0, 3) * x**2
    bruch = bruch + 0.004 * brush.wave(place, np.linspace(0, 1, size), waves=5)
    bounds, tones = _layers(eye, x, offset, bruch, ill)
    depth = ((np.arange(size) + 0.5) / size * DEPTH)[:, None]
    image = _paint(bounds, tones, depth)
    masks = _masks(bounds, depth, x, ill)
    _below_the_retina(eye, speckle, image, bruch, depth, ill)
    _inside_lesions(speckle, image, masks, ill)
    _vessels(speckle, image, bounds, depth, x, offset)
    seen = _scanned(place, image, bounds, depth)
    masks *= seen
    at = np.searchsorted(x, 0.0)
    central = abs(offset) < 0.25 and bool(seen[int(bounds[0][at] / DEPTH * size), at])
    return Drawing(
        image=_expose(speckle, image, seen)[..., None],
        masks=masks,
        answers={"class": answer, "fluid_present": "yes" if masks[2].any() else "no"},
        fovea=(float(bounds[0][at]) / DEPTH * size - 0.5, (middle / WIDTH + 0.5) * size - 0.5) if central else None,
        laterality="OD",
        spacing=(DEPTH / size, WIDTH / size),
    )


def _bump(x: Line, centre: float, half: float, power: float = 2.0) -> Line:
    return np.asarray(np.exp(-(np.abs((x - centre) / half) ** power)))


def _healthy(rng: np.random.Generator, x: Line) -> Disease:
    zero = np.zeros_like(x)
    return Disease(zero, zero, zero, zero, zero, zero)


def _drusen(rng: np.random.Generator, x: Line) -> Disease:
    """Rounded elevations of the pigment epithelium, 0.1 to 0.5 mm wide."""
    below = np.zeros_like(x)
    for _ in range(int(rng.integers(2, 9))):
        half = rng.uniform(0.07, 0.26)
        low = _bump(x, rng.uniform(-2.2, 2.2), half, 2.4) * half * rng.uniform(0.25, 0.48)
        below = np.maximum(below, low)
    zero = np.zeros_like(x)
    return Disease(below, zero, zero, zero, 0.25 * (below > 0.02), zero)


def _neovascular(rng: np.random.Generator, x: Line) -> Disease:
    """A fibrovascular detachment under an irregular pigment epithelium, material above it, often fluid."""
    centre, half = rng.normal(0, 0.5), rng.uniform(0.5, 1.2)
    at = (x - x[0]) / WIDTH
    rough = 1 + 0.15 * brush.wave(rng, at * 1.5, waves=6)
    below = rng.uniform(0.07, 0.22) * _bump(x, centre, half, 3.0) * rough
    above = rng.uniform(0.03, 0.14) * _bump(x, centre + rng.normal(0, 0.3) * half, 0.7 * half, 2.6)
    above = above * np.maximum(1 + 0.2 * brush.wave(rng, at * 2.3, waves=6), 0.3)
    ill = Disease(
        below=below,
        above=above,
        fluid=np.zeros_like(x),
        thicken=rng.uniform(0, 0.06) * _bump(x, centre, 1.3 * half),
        irregular=_bump(x, centre, half, 4),
        neovascular=1.0 * (np.abs(x - centre) < 1.75 * half),
    )
    if rng.random() < 0.35:
        drops = _drusen(rng, x).below * (1 - _bump(x, centre, 2.1 * half, 8))
        ill.below = np.maximum(ill.below, drops)
    if rng.random() < 0.65:
        wet = rng.random(2) < 0.65
        if wet[0] or not wet.any():
            side = rng.choice([-1, 1])
            ill.fluid = rng.uniform(0.08, 0.22) * _bump(
                x, centre + side * half * rng.uniform(0.3, 1.0), rng.uniform(0.5, 1.0), 2.6
            )
        if wet[1]:
            ill.thicken = ill.thicken + rng.uniform(0.08, 0.16) * _bump(x, centre, 1.1 * half)
            for _ in range(int(rng.integers(3, 11))):
                wide = rng.uniform(0.05, 0.17)
                ill.cysts.append(
                    (centre + rng.normal(0, 0.45) * half, rng.uniform(0.2, 0.85), wide, wide * rng.uniform(0.35, 0.6))
                )
    return ill


def _layers(
    eye: np.random.Generator, x: Line, offset: float, bruch: Line, ill: Disease
) -> tuple[list[Line], list[Line | float]]:
    """Boundaries from the vitreous down to Bruch's membrane (mm) and the brightness below each of them.

    Thicknesses after histology and common segmentations: about 0.22 mm at the fovea, 0.34 mm at its rim.
    """
    r = np.hypot(x, offset)
    trait = eye.normal(1, 0.05, 6)
    pit = 1 - _bump(r, 0.0, 0.42 * trait[0], 2.2)
    rim = 1 + 0.13 * _bump(r, 1.05, 0.5)
    nasal = np.clip((x - 0.4) / 2.6, 0, 1.2)
    extra = ill.thicken
    top_down: list[tuple[Line, Line | float]] = [
        (pit * (0.016 + 0.012 * np.abs(np.clip(x / 3, -1, 1)) + 0.055 * nasal**1.5), 0.80),  # nerve fibres
        (pit * rim * (0.018 + 0.036 * _bump(r, 0.9, 1.5)) * trait[1], 0.47),  # ganglion cells
        (pit * rim * 0.038 * trait[2], 0.58),  # inner plexiform
        (pit * rim * 0.036 * trait[3] + 0.4 * extra, 0.34),  # inner nuclear
        (0.004 + 0.022 * pit, 0.56),  # outer plexiform
        (
            np.maximum(0.060 + 0.048 * _bump(r, 0, 0.5) + 0.6 * extra - 0.45 * np.minimum(ill.below, 0.09), 0.02)
            * trait[4],
            0.24,
        ),
        (np.full_like(x, 0.008), 0.46),  # external limiting membrane
        (np.full_like(x, 0.018), 0.30),  # myoid
        (np.full_like(x, 0.017), 0.86 - 0.5 * ill.irregular),  # ellipsoid zone
        (0.018 + 0.014 * _bump(r, 0, 0.4), 0.50),  # outer segments
    ]
    bottom = bruch - 0.006 - ill.below - PIGMENT - ill.above - ill.fluid
    tops, at = [], bottom
    for thick, _ in reversed(top_down):
        at = at - thick
        tops.append(at)
    smooth = np.hanning(max(3, len(x) // 14 | 1))
    inner = np.pad(tops[-1], len(smooth) // 2, mode="edge")
    tops[-1] = np.minimum(np.convolve(inner, smooth / smooth.sum(), "valid"), tops[-2])
    bounds: list[Line] = [
        *reversed(tops),
        bottom,
        bottom + ill.fluid,
        bruch - 0.006 - ill.below - PIGMENT,
        bruch - 0.006 - ill.below,
    ]
    tones: list[Line | float] = [tone for _, tone in top_down]
    return [*bounds, bruch - 0.006, bruch], [*tones, 0.06, 0.66, 0.97 - 0.12 * ill.irregular, 0.46, 0.62, 0.60]


def _paint(bounds: list[Line], tones: list[Line | float], depth: Float[np.ndarray, "h 1"]) -> Grey:
    """Brightness of each pixel: a sum of steps, each softened over a little more than a pixel."""
    blur = np.float32(1 / max(1.3 * float(depth[1, 0] - depth[0, 0]), 0.006))
    z, image = depth.astype(np.float32), np.full((len(depth), len(bounds[0])), 0.05, np.float32)
    before: Line | float = 0.05
    for bound, tone in zip(bounds, tones, strict=True):
        step = np.clip((z - bound.astype(np.float32)) * blur + np.float32(0.5), 0, 1)
        image += step * np.asarray(tone - before, np.float32)
        before = tone
    return image


def _masks(bounds: list[Line], depth: Float[np.ndarray, "h 1"], x: Line, ill: Disease) -> np.ndarray:
    """Drusen, lesion and fluid, one label per pixel: fluid first, then the lesion.

    Drusen and the lesion reach from the upper face of the lifted tissue down to Bruch's membrane.
    """
    bottom, wet, pigment, _, bruch = bounds[10], bounds[11], bounds[12], bounds[13], bounds[14]
    neo = ill.neovascular > 0
    lifted = ill.below > 0.012
    cnv = neo & ((ill.below + ill.above) > 0.012)
    body = (depth >= np.where(cnv, wet, pigment)) & (depth < bruch)
    fluid = (depth >= bottom) & (depth < wet) & (ill.fluid > 0.012)
    elm, inl = bounds[6], bounds[3]
    for centre, place, wide, high in ill.cysts:
        column = int(np.clip(np.searchsorted(x, centre), 0, len(x) - 1))
        z = inl[column] + place * (elm[column] - inl[column])
        cyst = ((x - centre) / wide) ** 2 + ((depth - z) / high) ** 2 < 1
        fluid |= cyst & (depth > bounds[1] + 0.015) & (depth < elm - 0.004)
    return np.stack([body & lifted & ~neo & ~fluid, body & cnv & ~fluid, fluid]).astype(np.uint8)


def _below_the_retina(
    eye: np.random.Generator,
    rng: np.random.Generator,
    image: Grey,
    bruch: Line,
    depth: Float[np.ndarray, "h 1"],
    ill: Disease,
) -> None:
    """Choroid with the dark lumina of its vessels, and the sclera under it, fading with depth."""
    under = np.asarray(depth - bruch, np.float32)
    thick = np.float32(eye.uniform(0.18, 0.36)) * (
        1 + 0.08 * brush.wave(rng, np.linspace(0, 1, image.shape[1]))
    ).astype(np.float32)
    small = brush.noise(rng, image.shape, (36, 46))
    large = brush.noise(rng, image.shape, (16, 24))
    lumen = np.where(under < 0.3 * thick, 0.7 * small, large)
    tone = 0.60 - 0.24 * brush.smoothstep(-0.1, 1.0, np.asarray(lumen, np.float32))
    tone = tone + (0.44 + 0.05 * large - tone) * brush.smoothstep(-0.012, 0.012, np.asarray(under - thick, np.float32))
    tone = tone * np.exp(-np.maximum(under, 0) / np.float32(0.30))
    load = np.asarray(1.6 * (ill.below + ill.above) + 0.4 * ill.fluid, np.float32)
    tone = tone * np.clip(1 - load, 0.35, 1) + np.float32(0.03)
    inside = under > 0
    image[inside] = np.asarray(tone, np.float32)[inside]


def _inside_lesions(rng: np.random.Generator, image: Grey, masks: np.ndarray, ill: Disease) -> None:
    """Draw the grain of lesions under and on the pigment epithelium; fluid is dark and even."""
    grain = brush.noise(rng, image.shape, (40, 30), octaves=2)
    cnv = masks[1].astype(bool)
    image[cnv] *= (1 + 0.22 * grain)[cnv]
    wet = brush.soften(masks[2].astype(np.float32), 0.0025)
    image += wet * (np.float32(0.07) - image)


def _vessels(
    rng: np.random.Generator, image: Grey, bounds: list[Line], depth: Float[np.ndarray, "h 1"], x: Line, offset: float
) -> None:
    """Cross-sections of retinal vessels in the inner layers, each with its shadow down to the choroid."""
    for _ in range(int(rng.integers(3, 8))):
        centre, half = rng.uniform(-3, 3), rng.uniform(0.022, 0.06)
        if np.hypot(centre, offset) < 0.6:
            continue
        column = int(np.clip(np.searchsorted(x, centre), 0, len(x) - 1))
        z = bounds[0][column] + half * 0.9 + 0.01
        spot = np.exp(-((((x - centre) / half) ** 2 + ((depth - z) / (0.75 * half)) ** 2) ** 1.5))
        image += np.asarray(0.55 * spot * (0.85 - image), np.float32)
        shadow = _bump(x, centre, half * 0.9, 3) * np.clip((depth - z - 0.4 * half) / 0.05, 0, 1)
        image *= np.asarray(1 - rng.uniform(0.3, 0.55) * shadow, np.float32)


def _scanned(rng: np.random.Generator, image: Grey, bounds: list[Line], depth: Float[np.ndarray, "h 1"]) -> np.ndarray:
    """Where the scan has data: in a third of images the scan was turned and white wedges fill what it left."""
    seen = np.ones(image.shape, np.uint8)
    if rng.random() < 0.35:
        at = np.linspace(-1, 1, image.shape[1])
        slope = rng.normal(0, 0.12)
        top = min(rng.uniform(0.05, 0.3), float(bounds[0].min()) - 0.1) + slope * at
        low = max(rng.uniform(1.65, 1.95), float(bounds[-1].max()) + 0.2) + slope * at
        seen = ((depth > top) & (depth < low)).astype(np.uint8)
    return seen


def _expose(rng: np.random.Generator, image: Grey, seen: np.ndarray) -> np.ndarray:
    """Speckle, signal strength along and across the scan, contrast; 8 bits."""
    shape = image.shape
    strength = rng.uniform(0.78, 1.05) * (1 + 0.07 * brush.noise(rng, shape, (1, 6)))
    wide = 1 - rng.uniform(0, 0.22) * np.linspace(-1, 1, shape[1], dtype=np.float32) ** 4
    signal = image * np.asarray(strength * wide, np.float32)
    grain = rng.standard_normal(shape, dtype=np.float32)
    fine = brush.soften(grain, 0.55 / shape[0]) * np.float32(1.45)
    coarse = brush.noise(rng, shape, (shape[0] // 3, shape[1] // 4))
    spread = np.float32(rng.uniform(0.12, 0.24))
    signal = signal * np.exp(spread * (0.8 * fine + 0.5 * coarse))
    signal += np.float32(rng.uniform(0.012, 0.035)) * np.abs(fine)
    grey = 255 * np.clip(signal, 0, 1) ** np.float32(rng.uniform(0.85, 1.1))
    return np.where(seen == 1, np.rint(grey), 255).astype(np.uint8)
