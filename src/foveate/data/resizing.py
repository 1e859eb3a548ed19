"""Parts of images and images at another size: area average where they shrink."""

from __future__ import annotations

import cv2
import numpy as np

from foveate.core.shapes import Box


def part_of(image: np.ndarray, box: Box) -> np.ndarray:
    """The pixels of a box, not copied."""
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


def average(image: np.ndarray, shape: tuple[int, int], extent: tuple[float, float]) -> np.ndarray:
    """Area average of the first ``extent`` rows and columns, of which the last may be a part of a pixel.

    Args:
        image: of ``ceil(extent)`` rows and columns.
        shape: of the result, at most half of the extent.
        extent: in pixels.
    """
    down, across = shape[0] / extent[0], shape[1] / extent[1]
    # without a size OpenCV takes the factors as they are, and rounds the size (to ``shape``: less than half is beyond)
    return np.asarray(cv2.resize(image, None, fx=across, fy=down, interpolation=cv2.INTER_AREA))
