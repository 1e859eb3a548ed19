"""Localisation: how much of an activation map is inside a cue (a region of the anatomy, a drawn lesion)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt

from foveate.metrics import table
from foveate.metrics.counts import Counts
from foveate.metrics.tally import LOOKS


def air(activation: Float[np.ndarray, "h w"], cue: Bool[np.ndarray, "h w"]) -> float:
    """Activation in region: AIR = sum of activation inside the cue / sum of all activation.

    A map that ignores the cue scores the cue's share of the image on average, so report that share beside it.

    Args:
        activation: 0 or greater, of any scale.
        cue: same shape.

    Returns:
        between 0 and 1; nan if the map is 0 everywhere or the cue is empty.

    Raises:
        ValueError: shapes differ, or the activation is negative or nan somewhere.

    >>> air(np.array([[3.0, 1.0]]), np.array([[True, False]]))
    0.75
    """
    _check(activation, cue)
    if not (activation >= 0).all():
        raise ValueError(f"activation has a least value of {activation.min()}; clip it at 0 (ReLU) first")
    inside, outside = activation[cue].sum(dtype=np.float64), activation[~cue].sum(dtype=np.float64)
    return float(inside / (inside + outside)) if inside + outside > 0 and cue.any() else float("nan")


def pointing(activation: Float[np.ndarray, "h w"], cue: Bool[np.ndarray, "h w"], *, tolerance: float = 0.0) -> float:
    """Pointing game (Zhang et al., IJCV 2018): whether the highest activation is inside the cue.

    Args:
        activation: of any sign and scale.
        cue: same shape.
        tolerance: distance in pixels from the cue that still counts as a hit (15 in the reference).

    Returns:
        1 for a hit, 0 for a miss; if several pixels are highest, the share that hits. nan where the map is the same
        everywhere (it points nowhere) or the cue is empty.

    Raises:
        ValueError: shapes differ, the activation is nan somewhere, or the tolerance is negative.

    >>> pointing(np.array([[0.2, 0.9, 0.1]]), np.array([[True, False, False]]), tolerance=1.0)
    1.0
    """
    _check(activation, cue)
    if tolerance < 0:
        raise ValueError(f"tolerance={tolerance}; give 0 or more pixels")
    highest = activation == activation.max()
    if highest.all() or not cue.any():
        return float("nan")
    return float((distance_transform_edt(~cue)[highest] <= tolerance).mean())


def _check(activation: np.ndarray, cue: np.ndarray) -> None:
    if activation.shape != cue.shape:
        raise ValueError(f"activation has shape {activation.shape}, cue {cue.shape}; bring both to one grid")
    if np.isnan(activation).any():
        raise ValueError("activation has nan; leave that image out")


def look_rows(
    *,
    images: Sequence[str],
    groups: Sequence[str],
    question: str,
    cells: Float[np.ndarray, "b i j"],
    cues: Bool[np.ndarray, "b i j"],
    drawn: Bool[np.ndarray, "b i j"],
    activation: Float[np.ndarray, "b h w"],
    masks: Bool[np.ndarray, "b h w"],
) -> dict[str, np.ndarray]:
    """Rows of one finding for `Counts.looks`; an image whose cue and mask are both empty gets none.

    Args:
        images: names.
        groups: of the images.
        question: the finding.
        cells: activation in [0, 1] on the cells of the map.
        cues: on these cells; all false where there is none.
        drawn: the mask on these cells: those that hold some of it.
        activation: in [0, 1] on pixels.
        masks: on pixels; all false where there is none.
    """
    values: dict[str, list[Any]] = {name: [] for name in LOOKS}
    every = zip(images, groups, cells, cues, drawn, activation, masks, strict=True)
    for image, group, coarse, cue, held, seen, mask in every:
        if not (cue.any() or mask.any()):
            continue
        strong = seen >= 0.5
        row = (
            image,
            group,
            question,
            air(coarse, cue),
            float(cue.mean()) if cue.any() else float("nan"),
            air(seen, mask),
            pointing(coarse, held),
            float(2 * (strong & mask).sum() / (strong.sum() + mask.sum())) if mask.any() else float("nan"),
        )
        for name, value in zip(LOOKS, row, strict=True):
            values[name].append(value)
    return table.build(LOOKS, values)


def findings(counts: Counts) -> list[str]:
    """Questions whose activation maps were compared with cues or masks, in the schema's order."""
    there = set(counts.looks["question"].tolist())
    return [q.name for q in counts.schema.questions if q.name in there]
