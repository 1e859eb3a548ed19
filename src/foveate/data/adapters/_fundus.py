"""Common parts of several fundus data sets: grades of diabetic retinopathy, sides, and mask files by label."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from foveate.core.labels import Question
from foveate.core.types import MaskSource
from foveate.data.adapters._layout import Line, Warn

GRADE = Question("grade", ("0", "1", "2", "3", "4"), ordered=True, healthy="0")
"""International clinical scale: no, mild, moderate, severe non-proliferative, proliferative diabetic retinopathy."""

GRADES = {answer: answer for answer in GRADE.answers}
NO_YES = {"0": "no", "1": "yes"}
SIDES = {"left": "OS", "right": "OD"}

Masks = dict[str, tuple[MaskSource, ...]]


def masks(
    key: str, files: Mapping[str, Mapping[str, str]], source: Callable[[str], MaskSource], *, missing_is_absent: bool
) -> Masks:
    """Masks of one image.

    Args:
        key: the image, as the files are named.
        files: label -> image -> mask file.
        source: mask file -> how it is read.
        missing_is_absent: an image without a file is free of the label; else it is unknown there. A label of which the
            copy has no file at all is unknown either way: its folder was not unpacked.
    """
    found: Masks = {}
    for label, of_label in files.items():
        if key in of_label:
            found[label] = (source(of_label[key]),)
        elif missing_is_absent and of_label:
            found[label] = (MaskSource(),)
    return found


def fovea(line: Line, warn: Warn) -> tuple[float, float] | None:
    """(row, col) in columns ``x`` and ``y``; the corner (0, 0) means that the fovea was not found."""
    x, y = line.number("x", warn=warn), line.number("y", warn=warn)
    return None if x is None or y is None or x == y == 0 else (y, x)
