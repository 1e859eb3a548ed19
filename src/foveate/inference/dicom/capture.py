"""The overlay as a Secondary Capture: for stations that show no segmentations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from foveate.inference.dicom.source import Source, captured
from foveate.inference.image_result import ImageResult


def overlay_capture(source: Source, result: ImageResult, *, number: int = 1) -> Any:
    """Make a Secondary Capture of a result's overlay, in the study of its image.

    Args:
        source: the image that was read.
        result: of one frame.
        number: of the frame, from 1.
    """
    picture = np.asarray(result.overlay().convert("RGB"))
    made = captured(replace(result, image=picture), header=source.header, name=f"overlay {number}")
    made.InstanceNumber = number
    made.SeriesDescription = "foveate: overlay"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.BurnedInAnnotation = "NO"
    return made
