"""Random variations: geometry moves image, masks, cues and prior by ONE warp, colour touches the image alone.

Geometric steps are multiplied into one matrix, so that pixels are interpolated once; brightness, contrast and gamma
are composed into one table of 256 values. A step draws as many numbers whether it acts or not, and noise its grains
last, so that changing one step leaves the draws of the others as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from foveate.core.types import Sample

Matrix = Float[np.ndarray, "3 3"]
Table = Float[np.ndarray, "256"]
Image = UInt8[np.ndarray, "h w c"]
LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class _Step:
    """One variation: ``act`` is given numbers drawn evenly between low and high, with probability p."""

    name: str
    low: float
    high: float
    p: float

    def __post_init__(self) -> None:
        if not (0 <= self.p <= 1 and self.low <= self.high and np.isfinite([self.low, self.high]).all()):
            raise ValueError(f"{self}: give a probability p in 0 to 1 and a range from low to high")

    def __repr__(self) -> str:
        drawn = "" if self.low == self.high else f"{self.low:g}..{self.high:g}, "
        return f"{self.name}({drawn}p={self.p:g})"

    def draw(self, rng: np.random.Generator) -> tuple[float, float] | None:
        chance, first, second = rng.random(3)
        if chance >= self.p:
            return None
        return self.low + (self.high - self.low) * first, self.low + (self.high - self.low) * second


@dataclass(frozen=True, repr=False)
class Move(_Step):
    """A geometric step: two drawn numbers and (rows, cols) -> matrix on (col, row, 1) about the centre of the frame."""

    act: Callable[[float, float, tuple[int, int]], Matrix] = field(kw_only=True)


@dataclass(frozen=True, repr=False)
class Tone(_Step):
    """A step of brightness alone: a table of grey values in [0, 1], the image's mean, a drawn number -> new table."""

    act: Callable[[Table, float, float], Table] = field(kw_only=True)


@dataclass(frozen=True, repr=False)
class Paint(_Step):
    """A step on the image's pixels: image, drawn number, generator -> image."""

    act: Callable[[Image, float, np.random.Generator], Image] = field(kw_only=True)


Step = Move | Tone | Paint

WARPED = 0.3
"""Chance of a step that interpolates, so that training images are also seen as validation images are: not interpolated.

If each training image is turned, each is a little blurred and no validation image is. On drawn en-face images the
answers then collapse to one of four (accuracy 0.25 after 20 epochs); with this chance it is 0.62.
"""

# -- geometry ------------------------------------------------------------------------------------------------------


def flip_horizontal(p: float = 0.5) -> Move:
    """Mirror left and right with probability p; exact, without interpolation, where no other geometric step acts."""
    return Move("flip_horizontal", 0, 0, p, act=_mirror_cols)


def flip_vertical(p: float = 0.5) -> Move:
    """Mirror up and down with probability p; exact, without interpolation, where no other geometric step acts."""
    return Move("flip_vertical", 0, 0, p, act=_mirror_rows)


def rotate(degrees: float, *, p: float = WARPED) -> Move:
    """Turn about the centre by an angle within plus and minus ``degrees``."""
    return Move("rotate", -degrees, degrees, p, act=_turn)


def zoom(low: float, high: float, *, p: float = WARPED) -> Move:
    """Magnify about the centre by a factor between low and high, drawn evenly in its logarithm; 1 leaves it."""
    if not 0 < low <= high:
        raise ValueError(f"zoom({low}, {high}): give positive factors, the smaller one first")
    return Move("zoom", low, high, p, act=_Zoom(low, high))


def shift(fraction: float, *, p: float = WARPED) -> Move:
    """Move rows and columns, each by a part of the frame's side within plus and minus ``fraction``."""
    return Move("shift", -fraction, fraction, p, act=_shift)


def shear(degrees: float, *, p: float = WARPED) -> Move:
    """Slant rows and columns, each by an angle within plus and minus ``degrees``."""
    return Move("shear", -degrees, degrees, p, act=_slant)


def _mirror_cols(_a: float, _b: float, _shape: tuple[int, int]) -> Matrix:
    return np.diag([-1.0, 1.0, 1.0])


def _mirror_rows(_a: float, _b: float, _shape: tuple[int, int]) -> Matrix:
    return np.diag([1.0, -1.0, 1.0])


def _turn(degrees: float, _b: float, _shape: tuple[int, int]) -> Matrix:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1.0]])


def _shift(down: float, across: float, shape: tuple[int, int]) -> Matrix:
    return np.array([[1, 0, across * shape[1]], [0, 1, down * shape[0]], [0, 0, 1.0]])


def _slant(rows: float, cols: float, _shape: tuple[int, int]) -> Matrix:
    return np.array([[1, np.tan(np.radians(cols)), 0], [np.tan(np.radians(rows)), 1, 0], [0, 0, 1.0]])


@dataclass(frozen=True)
class _Zoom:
    low: float
    high: float

    def __call__(self, drawn: float, _b: float, _shape: tuple[int, int]) -> Matrix:
        share = 0.0 if self.low == self.high else (drawn - self.low) / (self.high - self.low)
        factor = self.low * (self.high / self.low) ** share
        return np.diag([factor, factor, 1.0])


# -- colour --------------------------------------------------------------------------------------------------------


def brightness(x: float, *, p: float = 1.0) -> Tone:
    """Multiply all values by a factor within 1 - x and 1 + x."""
    return Tone("brightness", 1 - x, 1 + x, p, act=_scale)


def contrast(x: float, *, p: float = 1.0) -> Tone:
    """Multiply the distance from the image's mean by a factor within 1 - x and 1 + x."""
    return Tone("contrast", 1 - x, 1 + x, p, act=_spread)


def gamma(low: float, high: float, *, p: float = 1.0) -> Tone:
    """Raise all values to a power between low and high; below 1 it brightens."""
    if not 0 < low <= high:
        raise ValueError(f"gamma({low}, {high}): give positive powers, the smaller one first")
    return Tone("gamma", low, high, p, act=_power)


def saturation(x: float, *, p: float = 1.0) -> Paint:
    """Multiply the distance of each colour from its grey by a factor within 1 - x and 1 + x; grey images stay."""
    return Paint("saturation", 1 - x, 1 + x, p, act=_saturate)


def blur(sigma: float, *, p: float = 0.5) -> Paint:
    """Blur by a Gaussian of a standard deviation between 0 and sigma pixels."""
    return Paint("blur", 0, sigma, p, act=_blur)


def noise(std: float, *, p: float = 0.5) -> Paint:
    """Add Gaussian noise of a standard deviation between 0 and std (values in [0, 1]); a warp after it softens it."""
    return Paint("noise", 0, std, p, act=_noise)


def _scale(table: Table, _mean: float, factor: float) -> Table:
    return table * factor


def _spread(table: Table, mean: float, factor: float) -> Table:
    pivot = float(np.interp(mean * 255, np.arange(256), table))
    return pivot + (table - pivot) * factor


def _power(table: Table, _mean: float, power: float) -> Table:
    return np.asarray(table**power)


def _saturate(image: Image, factor: float, _rng: np.random.Generator) -> Image:
    if image.shape[2] == 1:
        return image
    mix = factor * np.eye(3) + (1 - factor) * np.array([LUMINANCE] * 3)
    return np.asarray(cv2.transform(image, mix))


def _blur(image: Image, sigma: float, _rng: np.random.Generator) -> Image:
    return image if sigma < 0.05 else np.asarray(cv2.GaussianBlur(image, (0, 0), sigma)).reshape(image.shape)


def _noise(image: Image, std: float, rng: np.random.Generator) -> Image:
    grains = rng.standard_normal(image.shape, np.float32)
    grains *= 255 * std
    return np.asarray(cv2.add(image, grains, dtype=cv2.CV_8U)).reshape(image.shape)


# -- all together --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Augment:
    """Steps in order; ``augment(sample, rng)`` gives a varied sample, the same for the same state of ``rng``.

    What comes from outside of the frame is 0 and unknown. Colour acts on the picture inside the padding. The sample
    keeps the geometry of the frame it was made of, so maps of a varied sample cannot be taken back to the original.

    Args:
        steps: of the functions in this file. Those of colour act first, in their order, on the frame as it was
            prepared; the geometric ones then, in theirs, as one warp.
    """

    steps: tuple[Step, ...] = ()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Vary a sample; its own arrays are left as they are.

        Args:
            sample: uint8 image.
            rng: every random number is drawn from it.
        """
        matrix, colours = np.eye(3), []
        for step in self.steps:
            drawn = step.draw(rng)
            if drawn is None:
                continue
            if isinstance(step, Move):
                matrix = step.act(*drawn, sample.image.shape[:2]) @ matrix
            else:
                colours.append((step, drawn[0]))
        if colours:
            sample = replace(sample, image=_painted(sample, colours, rng))
        return _moved(sample, matrix)


def _painted(sample: Sample, colours: list[tuple[Tone | Paint, float]], rng: np.random.Generator) -> Image:
    top, left, height, width = sample.geometry.inner
    part = sample.image[top : top + height, left : left + width]
    mean: float | None = None
    table: Table | None = None
    for step, drawn in colours:
        if isinstance(step, Tone):
            if table is None:
                mean, table = float(np.mean(cv2.mean(part)[: part.shape[2]])) / 255, np.arange(256) / 255
            table = step.act(table, mean or 0.0, drawn).clip(0, 1)
        else:
            part = step.act(part if table is None else _looked_up(part, table), drawn, rng)
            table = None
    if table is not None:
        part = _looked_up(part, table)
    if part.shape == sample.image.shape:
        return part
    out = np.zeros_like(sample.image)
    out[top : top + height, left : left + width] = part
    return out


def _looked_up(part: Image, table: Table) -> Image:
    return np.asarray(cv2.LUT(part, np.rint(table * 255).astype(np.uint8))).reshape(part.shape)


def _moved(sample: Sample, matrix: Matrix) -> Sample:
    """All arrays by one matrix about the centre; mirrors and the identity without interpolation."""
    if np.array_equal(matrix, np.eye(3)):
        return sample
    if np.array_equal(matrix, np.diag(np.sign(np.diag(matrix)))):
        rows, cols = (slice(None, None, int(matrix[i, i])) for i in (1, 0))
        return replace(
            sample,
            image=np.ascontiguousarray(sample.image[rows, cols]),
            masks=np.ascontiguousarray(sample.masks[:, rows, cols]),
            known=np.ascontiguousarray(sample.known[:, rows, cols]),
            prior=None if sample.prior is None else np.ascontiguousarray(sample.prior[:, rows, cols]),
            cues=None if sample.cues is None else np.ascontiguousarray(sample.cues[:, rows, cols]),
        )
    height, width = size = sample.image.shape[:2]
    to_centre, back = np.eye(3), np.eye(3)
    back[:2, 2] = (width - 1) / 2, (height - 1) / 2
    to_centre[:2, 2] = -back[:2, 2]
    affine = (back @ matrix @ to_centre)[:2]
    cues = np.zeros((0, *size), np.uint8) if sample.cues is None else sample.cues
    bits = _warped_bits(np.concatenate([sample.masks, sample.known, cues]), affine)
    labels = len(sample.masks)
    return replace(
        sample,
        image=cv2.warpAffine(sample.image, affine, (width, height)).reshape(sample.image.shape),
        masks=bits[:labels],
        known=bits[labels : 2 * labels],
        prior=None if sample.prior is None else _warped(sample.prior, affine),
        cues=None if sample.cues is None else bits[2 * labels :],
    )


def _warped(maps: Float[np.ndarray, "k h w"], affine: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "k h w"]:
    out = np.empty_like(maps)
    for place, one in zip(out, maps, strict=True):
        place[:] = cv2.warpAffine(one, affine, one.shape[::-1])
    return out


def _warped_bits(bits: UInt8[np.ndarray, "n h w"], affine: Float[np.ndarray, "2 3"]) -> UInt8[np.ndarray, "n h w"]:
    """0/1 planes moved by the nearest pixel, eight of them in one warp."""
    height, width = bits.shape[1:]
    out = []
    for first in range(0, len(bits), 8):
        group = bits[first : first + 8]
        packed = group[-1].copy()
        for plane in group[-2::-1]:  # doubling and adding: a tenth of the time of shifting each plane to its place
            packed += packed
            packed |= plane
        packed = cv2.warpAffine(packed, affine, (width, height), flags=cv2.INTER_NEAREST)
        out.append(packed >> np.arange(len(group), dtype=np.uint8)[:, None, None] & np.uint8(1))
    return np.concatenate(out) if out else bits
