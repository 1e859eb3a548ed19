"""Brushes of the drawn retinas: noise, blobs, strokes, tints.

Lengths are fractions of the image's side and points are (row, col) in the same unit, so that a seed draws much the
same eye at any size; a coverage is the part of each pixel that a shape covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

Map = Float32[np.ndarray, "h w"]
Path = Float[np.ndarray, "n 2"]
Place = Sequence[float] | Float[np.ndarray, "2"]
"""(row, col) as a pair or an array of two."""
Window = tuple[slice, slice]

SUBPIXEL = 4
"""Fractional bits of the coordinates that OpenCV draws with."""


def noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], *, octaves: int = 1, falloff: float = 0.5
) -> Map:
    """Smooth random field with mean about 0 and standard deviation about 1.

    Args:
        shape: (rows, cols) of the field.
        cells: number of independent bumps along the rows and the columns in the coarsest octave.
        octaves: each has bumps half as large as the one before.
        falloff: amplitude of an octave over that of the one before.
    """
    field, power = np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        grid = rng.standard_normal([(c << octave) + 1 for c in cells], dtype=np.float32)
        field += falloff**octave * cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC)
        power += falloff ** (2 * octave)
    return np.asarray(field / np.float32(0.72 * np.sqrt(power)), np.float32)  # 0.72: what cubic interpolation leaves


def wave(rng: np.random.Generator, at: Float[np.ndarray, " n"], *, waves: int = 3) -> Float[np.ndarray, " n"]:
    """Smooth random function of one variable, mean about 0, amplitude about 1; periodic in ``at`` with period 1."""
    k = np.arange(1, waves + 1)[:, None]
    height, phase = rng.normal(size=(waves, 1)) / np.sqrt(waves), rng.uniform(0, 2 * np.pi, (waves, 1))
    return np.asarray((height * np.sin(2 * np.pi * k * at + phase)).sum(0))


def smoothstep(low: float, high: float, value: Map) -> Map:
    """0 below low, 1 above high, a smooth rise between (a fall where high < low)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def soften(values: Map, radius: float) -> Map:
    """Gaussian blur; the radius (one standard deviation) is a fraction of the side."""
    sigma = radius * values.shape[0]
    return values if sigma < 0.2 else np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)


def distance(shape: tuple[int, int], centre: Place, stretch: float = 1.0, angle: float = 0.0) -> Map:
    """Distance of each pixel from a point, in sides; along ``angle`` (from the columns to growing rows) it is
    divided by ``stretch``, across it multiplied."""
    rows = ((np.arange(shape[0], dtype=np.float32) + 0.5) / shape[0] - np.float32(centre[0]))[:, None]
    cols = ((np.arange(shape[1], dtype=np.float32) + 0.5) / shape[1] - np.float32(centre[1]))[None]
    c, s, k = np.float32(np.cos(angle)), np.float32(np.sin(angle)), np.float32(stretch)
    return np.asarray(np.hypot((cols * c + rows * s) / k, (rows * c - cols * s) * k), np.float32)


def blob(
    rng: np.random.Generator,
    centre: Place,
    radius: float,
    *,
    rough: float = 0.15,
    stretch: float = 1.0,
    angle: float = 0.0,
) -> Path:
    """Outline of an irregular spot.

    Args:
        centre: (row, col).
        radius: that of the circle of about the same area.
        rough: deviation of the outline from the ellipse, as a part of the radius.
        stretch: square root of long over short axis.
        angle: of the long axis, from the column axis towards growing rows.
    """  # fmt: skip
    turn = np.linspace(0, 1, 36, endpoint=False)
    r = radius * np.maximum(1 + rough * wave(rng, turn, waves=5), 0.3)
    u, v = r * np.cos(2 * np.pi * turn) * stretch, r * np.sin(2 * np.pi * turn) / stretch
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([centre[0] + u * s + v * c, centre[1] + u * c - v * s], 1)


def _fixed(points: Path, size: int) -> np.ndarray:
    return np.rint((points[:, ::-1] * size - 0.5) * (1 << SUBPIXEL)).astype(np.int32)


def cover(outline: Path, size: int) -> tuple[Window, UInt8[np.ndarray, "r c"]]:
    """Coverage (0..255) of an outline in the smallest window that holds it; at least one pixel is over half covered."""
    low = np.clip(np.floor(outline.min(0) * size).astype(int) - 2, 0, size - 1)
    high = np.clip(np.ceil(outline.max(0) * size).astype(int) + 2, low + 1, size)
    window = np.zeros(high - low, np.uint8)
    corners = _fixed(outline, size) - (low[::-1] << SUBPIXEL).astype(np.int32)
    cv2.fillPoly(window, [corners], 255, cv2.LINE_AA, SUBPIXEL)
    if window.max() < 128:
        middle = np.clip((outline.mean(0) * size).astype(int) - low, 0, high - low - 1)
        window[middle[0], middle[1]] = 255
    return (slice(low[0], high[0]), slice(low[1], high[1])), window


def normals(points: Path) -> Path:
    """Unit vectors across a line at each of its points (at least two)."""
    across = np.empty_like(points)
    across[1:-1, 0], across[1:-1, 1] = points[:-2, 1] - points[2:, 1], points[2:, 0] - points[:-2, 0]
    across[0] = points[0, 1] - points[1, 1], points[1, 0] - points[0, 0]
    across[-1] = points[-2, 1] - points[-1, 1], points[-1, 0] - points[-2, 0]
    return np.asarray(across / np.maximum(np.hypot(across[:, 0], across[:, 1]), 1e-9)[:, None])


def strokes(lines: Iterable[tuple[Path, Float[np.ndarray, " n"]]], size: int) -> Map:
    """Coverage of lines with changing width, thick over thin, drawn at twice the size; thin lines grow faint.

    Args:
        lines: (points, width at each point), widths in sides.
        size: side of the image in pixels.
    """
    canvas = np.zeros((2 * size, 2 * size), np.uint8)
    for points, widths in sorted(lines, key=lambda line: float(line[1].mean())):
        # OpenCV paints half a pixel beyond an outline (a quarter of a pixel of the image)
        half = np.maximum(widths / 2 - 0.25 / size, 0.05 / size)[:, None] * normals(points)
        ring = np.concatenate([points + half, (points - half)[::-1]])
        strength = int(255 * min(1.0, float(widths.mean()) * size / 0.9))
        cv2.fillPoly(canvas, [_fixed(ring, 2 * size)], strength, cv2.LINE_AA, SUBPIXEL)
    return np.asarray(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)


def tint(image: Float32[np.ndarray, "h w 3"], amount: Map, factor: Sequence[float]) -> None:
    """Multiply the colours, in place, by ``factor`` where ``amount`` is 1."""
    for channel, f in enumerate(factor):
        image[..., channel] *= 1 - amount * np.float32(1 - f)


def blend(image: Float32[np.ndarray, "h w 3"], amount: Map, colour: Sequence[float], light: Map | float = 1.0) -> None:
    """Mix a colour, lit by ``light``, into the image in place, opaque where ``amount`` is 1."""
    for channel, c in enumerate(colour):
        image[..., channel] += amount * (np.float32(c) * light - image[..., channel])


def filled(mask: Bool[np.ndarray, "h w"], reach: float) -> Bool[np.ndarray, "h w"]:
    """The mask with gaps narrower than ``reach`` (in sides) closed and all holes filled."""
    side = 2 * max(1, round(reach * mask.shape[0] / 2)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    closed = cv2.morphologyEx(
        mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(closed, outlines, -1, 1, cv2.FILLED)
    return np.asarray(closed, bool)
