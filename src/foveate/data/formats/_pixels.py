"""Stored values of one image, the window through which it is seen, and the facts in its header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from foveate.data.formats._unreadable import Unreadable


@dataclass(frozen=True)
class Slice:
    """Facts of one image in a file's header.

    Args:
        size: (rows, cols) of the image as `Pixels` gives it.
        spacing: mm per row and mm per column as the header states them, unchecked; None where it does not.
        laterality: the header's own code ("R", "OD", ...); None where there is none.
        patient: the header's patient number, never a name; None where there is none.
        series: which scan of the file the image belongs to.
        modality: "oct" where the format holds nothing else; what DICOM states; None where the format is silent.
    """

    size: tuple[int, int]
    spacing: tuple[float, float] | None = None
    laterality: str | None = None
    patient: str | None = None
    series: str = ""
    modality: str | None = None


@dataclass(frozen=True)
class Pixels:
    """One decoded image.

    Args:
        values: ``(row, col)`` as stored (a palette's index, 0 and 1 of a one-bit file), or ``(row, col, 3)`` uint8.
        black: stored value that is seen black.
        white: stored value that is seen white; less than ``black`` where the file is inverted.
        window: values outside black and white are meant to be cut off; else they are an error.
        palette: colours of the index values, ``(value, 3)``.
    """

    values: np.ndarray
    black: float = 0.0
    white: float = 255.0
    window: bool = False
    palette: UInt8[np.ndarray, "n 3"] | None = None

    def __post_init__(self) -> None:
        if self.values.dtype.kind == "f" and not (finite := np.isfinite(self.values)).all():
            raise ValueError(
                f"{int((~finite).sum())} of {finite.size} values are not numbers (NaN or infinite); "
                "replace them by what they mean and save it again"
            )

    @property
    def coloured(self) -> bool:
        """Whether it is in true colours that are not all grey."""
        return self.values.ndim == 3 and bool((self.values != self.values[:, :, :1]).any())

    def bright(self) -> np.ndarray:
        """``(row, col)``: the largest channel of a colour, a palette's colour, else the stored value."""
        if self.palette is not None:
            return np.asarray(self.palette.max(1)[self.values])
        return np.asarray(self.values.max(2)) if self.values.ndim == 3 else self.values

    def rgb(self) -> UInt8[np.ndarray, "h w 3"]:
        """As it is looked at: black to white over 0 to 255, rounded; the same scale for every image of its type.

        Raises:
            ValueError: values beyond black and white.
        """
        if self.palette is not None:
            return np.asarray(self.palette[self.values])
        if self.values.ndim == 3:
            return self.values
        if self.values.dtype == np.uint8 and (self.black, self.white) == (0, 255):
            grey = self.values
        else:
            low, high = sorted((self.black, self.white))
            least, most = self.values.min(), self.values.max()
            slack = 1e-6 * (high - low)  # fractions that a slope has made of whole numbers
            if not self.window and not low - slack <= least <= most <= high + slack:
                raise ValueError(
                    f"grey values {least:g} to {most:g} are not within {low:g} to {high:g}; save it as 8 bit"
                )
            scaled = (self.values.astype(np.float64) - self.black) * (255.0 / (self.white - self.black))
            grey = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, 2)


def span(dtype: np.dtype) -> float:
    """The value that is white in a type without further word: the largest whole number of it, 1 of fractions."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def within_limit(path: Path, rows: int, cols: int) -> tuple[int, int]:
    """(rows, cols), if an image of that size is decoded at all.

    The limit is Pillow's, above which it sees a decompression bomb: 2 * ``PIL.Image.MAX_IMAGE_PIXELS``, some 179
    million pixels.

    Raises:
        Unreadable: no pixels, or more than the limit.
    """
    limit = 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS else None
    if rows < 1 or cols < 1:
        raise Unreadable(path, f"has {rows} x {cols} pixels (rows x columns); there is no image in it")
    if limit is not None and rows * cols > limit:
        raise Unreadable(path, f"has {rows} x {cols} pixels (rows x columns), {too_many(limit)}")
    return rows, cols


def too_many(limit: int) -> str:
    """Words for the size of an image above the limit."""
    return (
        f"more than the {limit} that are decoded (a few bytes can claim to be an image that fills the memory); "
        "shrink or cut it, or raise PIL.Image.MAX_IMAGE_PIXELS where the file is trusted"
    )


def packs_so_far(path: Path, there: int, stated: int) -> None:
    """Check what a compressed file claims to unpack to: deflate makes nothing more than 1032 times smaller.

    Raises:
        Unreadable: it claims more bytes than that.
    """
    if stated > 1032 * (there + 1):
        raise Unreadable(path, f"holds {there} bytes, which cannot be the {stated} that it states; save it again")


def chosen(path: Path, frame: int | None, count: int, *, word: str = "B-scans") -> int:
    """The position of the image that is meant.

    Raises:
        Unreadable: there are several and none is named, or the one named is not there.
    """
    if count < 1:
        raise Unreadable(path, f"holds no {word}")
    if frame is None and count > 1:
        raise Unreadable(path, f"holds {count} {word}; give the one that is meant, frame=0 to {count - 1}")
    if frame is not None and not 0 <= frame < count:
        raise Unreadable(path, f"frame={frame} is not there; it holds {count} {word}, frames 0 to {count - 1}")
    return frame or 0


def complete(path: Path, found: int, stated: int, *, word: str = "B-scans") -> None:
    """Check a count against the header's.

    Raises:
        Unreadable: they differ.
    """
    if found != stated:
        raise Unreadable(path, f"its header states {stated} {word} and {found} are there; copy or export it again")


def series_of(slices: Sequence[Slice]) -> list[int]:
    """Place of every image within its series, from 0."""
    seen: dict[str, int] = {}
    places = []
    for one in slices:
        places.append(seen.get(one.series, 0))
        seen[one.series] = places[-1] + 1
    return places
