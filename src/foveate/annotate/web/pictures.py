"""Images as a browser shows them: whole at halved sizes, in tiles, in other looks; a volume from above."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from foveate.core.types import Row
from foveate.data import read

Look = Literal["plain", "clahe", "redfree", "redfree-clahe"]
LOOKS: tuple[Look, ...] = get_args(Look)
TILE = 512
LEAST = 512
"""The smallest level is the first that fits into so many pixels."""

KEPT = 6
"""Decoded pictures kept: one of a large photograph is 37 MB."""

QUALITY = 92
AS_IT_IS = {"JPEG": "image/jpeg", "PNG": "image/png"}

Pixels = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class Picture:
    """Encoded bytes and what they are."""

    data: bytes
    kind: str


def levels(shape: tuple[int, int]) -> int:
    """How many sizes there are: the first is whole, each further one half of it."""
    count = 1
    while max(shape) > LEAST * 2 ** (count - 1):
        count += 1
    return count


@dataclass
class Pictures:
    """Pictures of a manifest's rows, the last decoded ones kept.

    Args:
        root: folder that the rows' paths start from.
    """

    root: Path
    kept: OrderedDict[tuple[Any, ...], Any] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def whole(self, row: Row, *, level: int, look: Look) -> Picture:
        """An image at a level; level 0 has every pixel as it is, without loss.

        Raises:
            Unreadable: the file is missing or damaged.
        """
        if level == 0 and look == "plain" and (same := self._as_it_is(row)) is not None:
            return same
        return encode(self._pixels(row, level, look), lossless=level == 0)

    def tile(self, row: Row, *, level: int, at: tuple[int, int], look: Look) -> Picture | None:
        """A tile of an image; None outside of it. Errors as `whole`."""
        pixels = self._pixels(row, level, look)
        top, left = at[0] * TILE, at[1] * TILE
        part = pixels[top : top + TILE, left : left + TILE]
        return encode(part, lossless=level == 0) if part.size else None

    def enface(self, rows: Sequence[Row]) -> Picture:
        """Return the en-face image of a volume: one row per B-scan, the mean of its columns. Errors as `whole`."""

        def project() -> Pixels:
            lines = [read.image(self.root / row.image, frame=row.frame).mean((0, 2)) for row in rows]
            width = max(line.size for line in lines)
            steps = np.linspace(0, 1, width)
            flat = np.stack([np.interp(steps, np.linspace(0, 1, line.size), line) for line in lines])
            low, high = flat.min(), flat.max()
            scaled = ((flat - low) / max(high - low, 1e-9) * 255).round().astype(np.uint8)
            return np.repeat(scaled[..., None], 3, 2)

        return encode(self._keep(("enface", *(row.id for row in rows)), project), lossless=True)

    def _as_it_is(self, row: Row) -> Picture | None:
        """Return the file itself, if every browser shows exactly the pixels that we read; else None."""
        path = self.root / row.image
        if row.frame is not None or read.is_volume(path):
            return None
        with read.reading(path), Image.open(path) as file:
            plain = file.mode in ("L", "RGB") and file.getexif().get(read.ORIENTATION, 1) == 1
            kind = AS_IT_IS.get(file.format or "")
            profiled = "icc_profile" in file.info or "gamma" in file.info  # a browser would change its colours
        return Picture(path.read_bytes(), kind) if plain and kind and not profiled else None

    def _pixels(self, row: Row, level: int, look: Look) -> Pixels:
        def make() -> Pixels:
            if look != "plain":
                return seen(self._pixels(row, level, "plain"), look)
            if level:
                return np.asarray(halved(self._pixels(row, level - 1, "plain")))
            return read.image(self.root / row.image, frame=row.frame)

        return self._keep((row.id, level, look), make)

    def _keep(self, key: tuple[Any, ...], make: Callable[[], Pixels]) -> Pixels:
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
                found: Pixels = self.kept[key]
                return found
        made = make()
        with self.lock:
            self.kept[key] = made
            while len(self.kept) > KEPT:
                self.kept.popitem(last=False)
        return made


def halved(pixels: Pixels) -> Pixels:
    """Halve the size, rounded up; each pixel is the mean of four (an odd last row or column is repeated)."""
    rows, cols = pixels.shape[0] % 2, pixels.shape[1] % 2
    even = np.pad(pixels, ((0, rows), (0, cols), (0, 0)), mode="edge") if rows or cols else pixels
    return np.asarray(
        cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA), np.uint8
    )


def seen(pixels: Pixels, look: Look) -> Pixels:
    """Another look: contrast evened out in 8 x 8 fields (CLAHE, limit 2), the green channel alone, or both."""
    if look in ("redfree", "redfree-clahe"):
        green = pixels[..., 1]
        if look == "redfree-clahe":
            green = _clahe(green)
        return np.repeat(np.asarray(green)[..., None], 3, 2)
    if look == "clahe":
        lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
        lab[..., 0] = _clahe(lab[..., 0])
        return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)
    return pixels


def _clahe(grey: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(np.ascontiguousarray(grey)))


def encode(pixels: Pixels, *, lossless: bool) -> Picture:
    """Encode as PNG, or as JPEG if loss does not matter; grey as one channel."""
    same = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())
    array = pixels[..., 0] if same else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    how = [cv2.IMWRITE_PNG_COMPRESSION, 3] if lossless else [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    good, data = cv2.imencode(".png" if lossless else ".jpg", np.ascontiguousarray(array), how)
    assert good, f"an image of {pixels.shape} could not be written"
    return Picture(data.tobytes(), "image/png" if lossless else "image/jpeg")
