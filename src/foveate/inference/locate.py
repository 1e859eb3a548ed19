"""A run that finds a label in images, for `data.crop`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from foveate.core.types import Row
from foveate.data.crop import Find
from foveate.inference.predictor import Predictor


def finder(run: Path, *, label: str, device: str = "auto", root: Path | None = None) -> Find:
    """Make a function that marks a label in an image with a run.

    Args:
        run: folder of a trained run.
        label: one that the run marks.
        device: where its networks run.
        root: folder of the rows' paths; the run then sees each file as in training (`Prepare.file`). None = it sees the
            full pixels.

    Raises:
        ValueError: there is no run in the folder, or it does not mark the label.
    """
    predictor = Predictor.load(run, device=device)
    if label not in (there := predictor.schema.labels):
        raise ValueError(f"around={label!r}: {run} marks {list(there)}; name one of them, or leave the run out")
    at = there.index(label)

    def find(row: Row, image: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
        seen = image if root is None else root / row.image
        return np.asarray(predictor(seen, name=row.id, frame=row.frame).masks[at] > 0)

    return find
