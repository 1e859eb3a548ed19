"""The part of an image that a figure enlarges, and its frame on the whole."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw

from foveate.core.shapes import Box
from foveate.report import colours
from foveate.report.overlay import resized

FRAME = colours.MARKS[4]


def region(shown: Bool[np.ndarray, "h w"], *, margin: float = 0.2) -> Box:
    """Part of an image to enlarge: all marked pixels with a margin, not too small, of about the image's proportions.

    Args:
        shown: every pixel that must be visible.
        margin: on each side, as a share of the marked part's side.

    Returns:
        (top, left, height, width). Both sides are at least 48 pixels and an eighth of the image's longer side. Height
        divided by width is that of the image, limited to between 0.6 and 1, as far as the image reaches. The whole
        image if nothing is marked.
    """
    rows, cols = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    if not len(rows):
        return 0, 0, *shown.shape
    ends = (int(rows[0]), int(rows[-1]) + 1), (int(cols[0]), int(cols[-1]) + 1)
    least, ratio = max(48.0, max(shown.shape) / 8), min(1.0, max(0.6, shown.shape[0] / shown.shape[1]))
    tall, wide = (max(least, (high - low) * (1 + 2 * margin)) for low, high in ends)
    sides = max(tall, ratio * wide), max(wide, tall / ratio)
    (top, height), (left, width) = (
        _span(end, side=side, of=length) for end, side, length in zip(ends, sides, shown.shape, strict=True)
    )
    return top, left, height, width


def _span(ends: tuple[int, int], *, side: float, of: int) -> tuple[int, int]:
    """Start and length of a side around the middle of two ends, moved and cut so that it is within the image."""
    length = min(of, math.ceil(side))
    return min(max(0, round((sum(ends) - length) / 2)), of - length), length


def framed(image: UInt8[np.ndarray, "h w 3"], *, box: Box, width: int) -> Image.Image:
    """The whole image with a frame around a part; without a frame if the part is the whole image."""
    picture = Image.fromarray(resized(image, width))
    if box[2:] != image.shape[:2]:
        scale = picture.width / image.shape[1]
        top, left, bottom, right = (scale * end for end in (box[0], box[1], box[0] + box[2], box[1] + box[3]))
        draw = ImageDraw.Draw(picture)
        line = max(2, width // 100)  # a page shows the picture at half its size
        for grown, colour, wide in ((1, "black", line + 2), (0, FRAME, line)):
            edges = (left - grown, top - grown, right - 1 + grown, bottom - 1 + grown)
            draw.rectangle(edges, outline=colour, width=wide)
    return picture
