"""One image, as every network sees it: white edges filled, field cropped, resized, contrast levelled, padded.

Preparing draws no random numbers, and `Geometry.undo` takes maps of the frame back to the original pixels. Images
stay uint8 (the loader scales them), so a cached frame is a quarter of the size.

A JPEG far larger than the frame is decoded at a part of its size (`read.reduced`), never at less than twice the
frame's. Measured on a photograph of 4288 x 2848 with grain and fine lines, at 512 pixels: the frame differs from that
of the whole image by 0.3 grey levels of 255 in the mean at a half and 0.8 at a quarter. Training, validation,
evaluation and `Predictor` with a file see the same frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from foveate.core.labels import UNKNOWN, LabelSchema
from foveate.core.shapes import Box, Geometry
from foveate.core.types import Row, Sample
from foveate.data import read

WHITE = 250  # JPEG leaves borders of 255 at 250 and above
RINGING = 3  # pixels beside a white border that JPEG has brightened
TILES = (8, 8)
COARSE = 512  # pixels of the longer side at which the field of view is found
LARGE = 1 << 20  # pixels from which on a mask with few marked ones is brought to its frame pixel by pixel
SPARSE = 64  # times more pixels than marked ones
TWICE = 2  # a reduced picture has at least so many pixels per pixel of the frame, in rows and in columns
SPARE = 3  # the same where the crop is not known yet: fields down to two thirds of the image are decoded once


class Framed(NamedTuple):
    """An image file as a frame.

    Args:
        image: ``(row, col, channel)`` uint8.
        geometry: how it lies in the whole image.
        whole: the whole image in RGB, if all of it was decoded.
    """

    image: UInt8[np.ndarray, "r c k"]
    geometry: Geometry
    whole: UInt8[np.ndarray, "h w 3"] | None


@dataclass(frozen=True)
class Prepare:
    """How a file becomes a frame.

    Args:
        size: side, or (rows, cols), of the frame in pixels.
        grey: one channel (luminance) instead of three.
        crop_field: crop to the lit field of view of a fundus photograph (`field`).
        fill_white: fill the white edges that registration leaves in OCT B-scans (`fill_white_edges`).
        clahe: clip limit of contrast-limited adaptive histogram equalisation, 8 x 8 tiles, on the grey image or the L
            of Lab; None = off.
        stretch: resize rows and columns each by its own factor; otherwise the aspect is kept and zeros are padded,
            where every label is unknown.
        graders: how several graders' masks are merged (`read.MERGE`), or whose are taken.

    Raises:
        ValueError: size or clahe is not positive.
    """

    size: int | tuple[int, int] = 512
    grey: bool = False
    crop_field: bool = False
    fill_white: bool = False
    clahe: float | None = None
    stretch: bool = False
    graders: str = "union"

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ValueError(f"size={self.size}: give a positive number of pixels, or (rows, cols)")
        if self.clahe is not None and not self.clahe > 0:
            raise ValueError(f"clahe={self.clahe}: give a positive clip limit such as 2.0, or None")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the frame."""
        return (self.size, self.size) if isinstance(self.size, int) else (self.size[0], self.size[1])

    def __call__(self, row: Row, root: Path, schema: LabelSchema) -> Sample:
        """Read and prepare one row.

        Args:
            row: its paths are relative to ``root``.
            root: folder of the manifest.
            schema: what is asked; masks and answers follow its order.

        Raises:
            Unreadable: the image or one of its masks.
            ValueError: an answer that the schema does not have.
        """
        framed = self.file(root / row.image, frame=row.frame)
        masks, known = self.truth(row, root, schema, framed.geometry)
        return Sample(row, framed.image, masks, known, schema.answer_indices(row.answers), framed.geometry)

    def truth(
        self, row: Row, root: Path, schema: LabelSchema, geometry: Geometry
    ) -> tuple[UInt8[np.ndarray, "l r c"], UInt8[np.ndarray, "l r c"]]:
        """Masks of a row and what is known of them, read at full size and brought to its frame.

        Args:
            row, root, schema: as of a call.
            geometry: of the row's frame.

        Raises:
            Unreadable: one of the masks.
        """
        masks, known = read.masks(row, root, schema, graders=self.graders, shape=geometry.source)
        return frame_masks(masks, known, geometry, exclusive=schema.exclusive)

    def file(self, path: Path, *, frame: int | None = None) -> Framed:
        """An image file as a frame; a JPEG far larger than the frame is decoded at a part of its size.

        Args:
            path: as of `read.image`.
            frame: which B-scan, slice or page, from 0; None if the file holds one image.

        Raises:
            Unreadable: as of `read.image`.
        """
        found = read.reduced(path, frame=frame, most=self._most)
        image, crop = self._seen(found.image, found.size)
        if found.factor > (enough := self._factor(crop, TWICE)):  # the field is a small part of the image
            found = read.reduced(path, frame=frame, most=lambda _: enough)
            image = found.image
        whole = found.image if found.factor == 1 else None
        return Framed(*self._framed(image, found.size, crop, found.factor), whole)

    def image_only(
        self, image: UInt8[np.ndarray, "h w 3"] | Framed, *, schema: LabelSchema, id: str = "image"
    ) -> Sample:
        """The same steps for an image without truth: all answers and pixels of the sample are unknown.

        Args:
            image: RGB, as `read.image` gives it, or what `file` made of a file.
            schema: gives the sample as many masks and answers as a training sample has.
            id: the sample's row is called so.
        """
        framed, geometry = (image.image, image.geometry) if isinstance(image, Framed) else self.frame(image)
        nothing = np.zeros((len(schema.labels), *geometry.size), np.uint8)
        answers = np.full(len(schema.questions), UNKNOWN, np.int64)
        return Sample(Row(id, ""), framed, nothing, nothing.copy(), answers, geometry)

    def frame(self, image: UInt8[np.ndarray, "h w 3"]) -> tuple[UInt8[np.ndarray, "r c k"], Geometry]:
        """The image as a frame, and how the frame lies in it."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ValueError(f"image is {image.dtype} of shape {image.shape}; give RGB as uint8 (row, col, 3)")
        size = image.shape[0], image.shape[1]
        image, crop = self._seen(image, size)
        return self._framed(image, size, crop, 1)

    def _seen(self, image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, Box]:
        """The image without white edges, and the part of it that is shown, in pixels of the whole image."""
        if self.fill_white:
            image = fill_white_edges(image)
        return image, field(image, size=size) if self.crop_field else (0, 0, *size)

    def _framed(
        self, image: np.ndarray, size: tuple[int, int], crop: Box, factor: int
    ) -> tuple[UInt8[np.ndarray, "r c k"], Geometry]:
        """The crop of an image that was reduced by a factor, as a frame; the crop begins at a whole reduced pixel."""
        top, left = crop[0] // factor * factor, crop[1] // factor * factor
        crop = (top, left, crop[0] + crop[2] - top, crop[1] + crop[3] - left)
        geometry = Geometry(size, crop, self._inner(crop), self.shape)
        part = _part(image, (top // factor, left // factor, -(-crop[2] // factor), -(-crop[3] // factor)))
        if self.grey:
            part = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
        if factor == 1:
            part = resize(part, geometry.inner[2:])
        else:
            part = _average(part, geometry.inner[2:], (crop[2] / factor, crop[3] / factor))
        part = _level(part, self.clahe)
        out = np.zeros((*self.shape, 1 if self.grey else 3), np.uint8)
        _part(out, geometry.inner)[:] = part.reshape(*part.shape[:2], -1)
        return out, geometry

    def _most(self, size: tuple[int, int]) -> int:
        """The factor by which an image of this size may be reduced before its field is known."""
        if self.fill_white:  # white edges are found by widths in pixels
            return 1
        most = self._factor((0, 0, *size), SPARE if self.crop_field else TWICE)
        return min(most, max(1, max(size) // COARSE)) if self.crop_field else most

    def _factor(self, crop: Box, room: int) -> int:
        """The largest factor that leaves ``room`` pixels of the crop per pixel of the frame, in rows and columns."""
        inner = self._inner(crop)
        return max(1, min(crop[2] // (room * inner[2]), crop[3] // (room * inner[3])))

    def _inner(self, crop: Box) -> Box:
        rows, cols = self.shape
        if self.stretch:
            return (0, 0, rows, cols)
        factor = min(rows / crop[2], cols / crop[3])
        height, width = max(1, round(crop[2] * factor)), max(1, round(crop[3] * factor))
        return ((rows - height) // 2, (cols - width) // 2, height, width)


def _part(image: np.ndarray, box: Box) -> np.ndarray:
    top, left, height, width = box
    return image[top : top + height, left : left + width]


def resize(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """``(row, col[, channel])`` at another size: area average along an axis that shrinks, bilinear where it grows."""
    less = min(image.shape[0], shape[0]), min(image.shape[1], shape[1])
    if less != image.shape[:2]:
        image = cv2.resize(image, less[::-1], interpolation=cv2.INTER_AREA)
    if less != shape:
        image = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return image


def _average(image: np.ndarray, shape: tuple[int, int], extent: tuple[float, float]) -> np.ndarray:
    """Area average of the first ``extent`` rows and columns, of which the last may be a part of a pixel.

    Args:
        image: of ``ceil(extent)`` rows and columns.
        shape: of the result, at most half of the extent.
        extent: in pixels.
    """
    down, across = shape[0] / extent[0], shape[1] / extent[1]
    # without a size OpenCV takes the factors as they are, and rounds the size (to ``shape``: less than half is beyond)
    return np.asarray(cv2.resize(image, None, fx=across, fy=down, interpolation=cv2.INTER_AREA))


def _level(image: np.ndarray, clip: float | None) -> np.ndarray:
    if clip is None:
        return image
    equalise = cv2.createCLAHE(clip, TILES).apply
    if image.ndim == 2:
        return np.asarray(equalise(image))
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = equalise(np.ascontiguousarray(lab[:, :, 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def field(image: UInt8[np.ndarray, "h w 3"], *, size: tuple[int, int] | None = None) -> Box:
    """Bounding box of the lit field of view of a fundus photograph; the whole image where none stands out.

    Brightness is the largest channel (the red of a dark retina is far above a camera's black). Lit is what lies above
    15 % of the way from the 1st to the 99th percentile, after a median filter against specks; the largest connected
    part is the field, so that printed text beside it is left out. Found at 512 pixels and rounded outwards.

    Args:
        image: RGB, the whole photograph or a reduced picture of it, of 512 pixels or more along its longer side.
        size: (rows, cols) of the whole photograph, in whose pixels the box is; None = ``image`` is it.
    """
    rows, cols = size or image.shape[:2]
    factor = min(1.0, COARSE / max(rows, cols))
    coarse = resize(image, (max(1, round(rows * factor)), max(1, round(cols * factor)))).max(2)
    dark, bright = np.percentile(coarse, (1, 99))
    if bright - dark < 16:
        return (0, 0, rows, cols)
    lit = cv2.medianBlur(coarse, 5) > dark + 0.15 * (bright - dark)
    count, _, stats, _ = cv2.connectedComponentsWithStats(lit.astype(np.uint8), connectivity=4)
    if count < 2:
        return (0, 0, rows, cols)
    left, top, width, height, _ = (int(v) for v in stats[1 + stats[1:, cv2.CC_STAT_AREA].argmax()])
    down, across = rows / coarse.shape[0], cols / coarse.shape[1]
    first = int(np.floor(top * down)), int(np.floor(left * across))
    last = min(rows, int(np.ceil((top + height) * down))), min(cols, int(np.ceil((left + width) * across)))
    return (*first, last[0] - first[0], last[1] - first[1])


def fill_white_edges(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The image with its white edges filled by the median of what lies next to each of them.

    An edge is a region of 250 and above in every channel that touches the image's border and holds a square of nine
    pixels (a saturated pigment epithelium that runs out of the image is broken by speckle and does not).
    """
    white = (image.min(2) >= WHITE).astype(np.uint8)
    if not white.any():
        return image
    solid = cv2.morphologyEx(np.pad(white, 9, mode="edge"), cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))[9:-9, 9:-9]
    _, parts = cv2.connectedComponents(np.ascontiguousarray(solid), connectivity=8)
    border = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    edges = np.isin(parts, np.setdiff1d(border, 0))
    around = cv2.dilate(edges.astype(np.uint8), np.ones((2 * RINGING + 1,) * 2, np.uint8))
    out = image.copy()
    for part in np.setdiff1d(border, 0):
        mine = cv2.dilate((parts == part).astype(np.uint8), np.ones((2 * RINGING + 1,) * 2, np.uint8))
        near = cv2.dilate(mine, np.ones((31, 31), np.uint8)).astype(bool) & (around == 0)
        if near.any():
            out[mine.astype(bool)] = np.median(image[near], axis=0)
    return out


def frame_masks(
    masks: UInt8[np.ndarray, "l H W"], known: UInt8[np.ndarray, "l H W"], geometry: Geometry, *, exclusive: bool = False
) -> tuple[UInt8[np.ndarray, "l h w"], UInt8[np.ndarray, "l h w"]]:
    """Masks and what is known of them, in the frame; padding is unknown.

    A pixel bears a label that covers half of what is known of it (exclusive labels: the one that covers most, the
    background included). A lesion that no pixel is left of keeps those that it covers by a quarter, or its best
    one. Measured on 2016 drawn discs 1 to 6 pixels wide, shrunk by four: half alone keeps 39 % of them, a quarter
    everywhere 72 %, and makes large discs 5 % and a net of thin vessels 40 % too large; this rule keeps all of them
    (their area 1.8 times the true one, as a pixel is the least there is) and leaves large ones as they are.

    Args:
        masks: 0/1 in the original image; 0 where unknown.
        known: 0/1.
        geometry: of the frame.
        exclusive: a pixel bears one label at most.
    """
    cover = np.zeros((len(masks), *geometry.size), np.float32)
    sure = np.zeros((len(masks), *geometry.size), bool)
    for label in range(len(masks)):
        judged, marked = (_part(plane[label].view(bool), geometry.crop) for plane in (known, masks))
        _part(cover[label], geometry.inner)[:], _part(sure[label], geometry.inner)[:] = _covered(
            marked, judged, geometry.inner[2:]
        )
    out = _won(cover) if exclusive else cover >= 0.5
    for label in range(len(masks)):
        kept = _lost(cover[label], out[label])
        if kept is not None:
            if exclusive:
                out[:, kept] = False
            out[label] |= kept
    sure |= out
    return out.view(np.uint8), sure.view(np.uint8)


def _covered(
    marked: Bool[np.ndarray, "H W"], known: Bool[np.ndarray, "H W"], shape: tuple[int, int]
) -> tuple[Float[np.ndarray, "h w"] | float, Bool[np.ndarray, "h w"] | bool]:
    """Share of the known part of each pixel of the frame that is marked, and whether half of the pixel is known."""
    whole = bool(known.all())
    seen = None if whole else resize(known.astype(np.float32), shape)
    sure = True if seen is None else seen >= 0.5
    count = np.count_nonzero(marked)
    if count == 0:
        return 0.0, sure
    if seen is None:
        shrinks = marked.shape[0] >= shape[0] and marked.shape[1] >= shape[1]
        if shrinks and marked.size >= LARGE and count * SPARSE <= marked.size:
            return _sparse_average(marked, shape), sure
        seen = _ones((marked.shape[0], marked.shape[1]), shape)
    return resize(marked.astype(np.float32), shape) / np.maximum(seen, 1e-6), sure


@lru_cache(maxsize=2)
def _ones(size: tuple[int, int], shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """A plane of ones, resized: 1 up to rounding, the same rounding as of the masks that are divided by it."""
    ones = resize(np.ones(size, np.float32), shape)
    ones.setflags(write=False)
    return ones


def _sparse_average(marked: Bool[np.ndarray, "H W"], shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Area average of a plane of which few pixels are marked: each is added to the pixels that it falls on.

    Lesions of a photograph of 4288 x 2848 in 4 ms instead of 40.

    Args:
        marked: in the original.
        shape: of the result, no larger.
    """
    (down, upper), (across, left) = (_falls(n, m) for n, m in zip(marked.shape, shape, strict=True))
    rows, cols = np.divmod(np.flatnonzero(marked), marked.shape[1])
    total = np.zeros((shape[0] + 1) * (shape[1] + 1))  # a last row and column for what falls beyond: nothing
    places = []
    for row, of_row in ((down[rows], upper[rows]), (down[rows] + 1, 1 - upper[rows])):
        for col, of_col in ((across[cols], left[cols]), (across[cols] + 1, 1 - left[cols])):
            part = of_row * of_col
            some = np.flatnonzero(part)  # most pixels fall on one
            places.append((row * (shape[1] + 1) + col)[some])
            np.add.at(total, places[-1], part[some])
    area = (marked.shape[0] / shape[0]) * (marked.shape[1] / shape[1])
    out = np.zeros(total.shape, np.float32)
    for place in places:  # rounded, so that half is half whatever the order of the sum
        out[place] = (total[place] / area).round(6)
    return out.reshape(shape[0] + 1, -1)[:-1, :-1]


def _falls(count: int, less: int) -> tuple[np.ndarray, np.ndarray]:
    """For each of ``count`` pixels along an axis, the first of ``less`` pixels that it falls on, and its part there."""
    at, step = np.arange(count), count / less
    first = np.minimum((at / step).astype(np.int64), less - 1)
    return first, np.minimum((first + 1) * step - at, 1.0)


def _won(cover: Float[np.ndarray, "l h w"]) -> Bool[np.ndarray, "l h w"]:
    background = 1 - cover.sum(0, keepdims=True)
    best = np.concatenate([cover, background]).argmax(0)  # a tie goes to the label, as half does elsewhere
    return np.asarray(best[None] == np.arange(len(cover))[:, None, None])


def _lost(cover: Float[np.ndarray, "h w"], kept: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"] | None:
    """Pixels to keep of the connected parts that have none; None where every part has one."""
    touched = cover > 0
    if not touched.any():
        return None
    count, parts = cv2.connectedComponents(touched.view(np.uint8), connectivity=8)
    inside = np.flatnonzero(touched)  # most of a mask is background
    numbers = parts.ravel()[inside]
    empty = np.ones(count, bool)
    empty[0] = False
    empty[numbers[kept.ravel()[inside]]] = False
    if not empty.any():
        return None
    most = np.zeros(count, np.float32)
    np.maximum.at(most, numbers, cover.ravel()[inside])
    floor = np.minimum(0.25, most)
    found = np.zeros(cover.size, bool)
    found[inside] = empty[numbers] & (cover.ravel()[inside] >= floor[numbers])
    return found.reshape(cover.shape)
