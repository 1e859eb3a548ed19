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
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from foveate.core.labels import UNKNOWN, LabelSchema
from foveate.core.shapes import Box, Geometry
from foveate.core.types import Row, Sample
from foveate.data import read
from foveate.data.frame_masks import frame_masks as frame_masks
from foveate.data.resizing import average, part_of
from foveate.data.resizing import resize as resize

WHITE = 250  # JPEG leaves borders of 255 at 250 and above
RINGING = 3  # pixels beside a white border that JPEG has brightened
TILES = (8, 8)
COARSE = 512  # pixels of the longer side at which the field of view is found
TWICE = 2  # a reduced picture has at least so many pixels per pixel of the frame, in rows and in columns
SPARE = 3  # the same where the crop is not known yet: fields down to two thirds of the image are decoded once


class Framed(NamedTuple):
    """An image file as a frame.

    Args:
        image: ``(row, col, channel)`` uint8.
        geometry: its position in the whole image.
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
        annotators: how several annotators' masks are merged (`read.MERGE`), or whose are taken.

    Raises:
        ValueError: size or clahe is not positive.
    """

    size: int | tuple[int, int] = 512
    grey: bool = False
    crop_field: bool = False
    fill_white: bool = False
    clahe: float | None = None
    stretch: bool = False
    annotators: str = "union"

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
        masks, known = read.masks(row, root, schema, annotators=self.annotators, shape=geometry.source)
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
        """The image as a frame, and the position of the frame in it."""
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
        part = part_of(image, (top // factor, left // factor, -(-crop[2] // factor), -(-crop[3] // factor)))
        if self.grey:
            part = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
        if factor == 1:
            part = resize(part, geometry.inner[2:])
        else:
            part = average(part, geometry.inner[2:], (crop[2] / factor, crop[3] / factor))
        part = _level(part, self.clahe)
        out = np.zeros((*self.shape, 1 if self.grey else 3), np.uint8)
        part_of(out, geometry.inner)[:] = part.reshape(*part.shape[:2], -1)
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
    """Bounding box of the lit field of view of a fundus photograph; the whole image if no field is found.

    Brightness is the largest channel (the red of a dark retina is far above a camera's black). A pixel is lit if it is
    above 15 % of the way from the 1st to the 99th percentile, after a median filter against specks. The largest
    connected part is the field, so that printed text beside it is left out. Found at 512 pixels and rounded outwards.

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
    """The image with each white edge filled by the median of the pixels next to it.

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
