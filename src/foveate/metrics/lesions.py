"""Single lesions, found or missed, by their size: what a Dice over pixels hides, where one large lesion outweighs many.

A lesion is a connected part of a mask (8 neighbours). One that was drawn is found if the prediction overlaps it; one
that was predicted is a false alarm if it overlaps nothing drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from foveate.core.components import Components, components
from foveate.metrics import listing, table
from foveate.metrics.counts import Counts
from foveate.metrics.parts import Part
from foveate.metrics.weighted import Metrics, over, with_means

LESIONS: table.Columns = {"image": str, "label": str, "drawn": int, "share": float, "hit": int}
"""A row for each lesion: drawn (1 = by the truth, 0 = by the prediction), share (of the image's pixels, in [0, 1]), hit
(1 = it overlaps one of the other side)."""

EDGES = (1e-4, 1e-3, 1e-2)
"""Shares of the image between the classes of size; of 896 x 896 pixels they are 80, 803 and 8028."""


def lesion_rows(
    labels: Sequence[str],
    *,
    image: str,
    predicted: Bool[np.ndarray, "l h w"],
    masks: Bool[np.ndarray, "l h w"],
    known: Bool[np.ndarray, "l h w"],
    cover: float = 0.0,
) -> dict[str, np.ndarray]:
    """The lesions of one image, label by label, drawn ones first.

    Args:
        labels: names along the first axis.
        image: its name.
        predicted: pixels given each label.
        masks: true pixels.
        known: pixels where that truth is known; other pixels are removed from ``masks`` and ``predicted``.
        cover: share of a lesion that must be overlapped for a hit, in [0, 1); 0 = one pixel will do.

    Raises:
        ValueError: cover is out of range.
    """
    if not 0 <= cover < 1:
        raise ValueError(f"cover={cover} must be in [0, 1); 0 counts a lesion as found from one pixel on")
    size = max(1, masks.shape[1] * masks.shape[2])
    parts = [table.build(LESIONS, dict.fromkeys(LESIONS, ()))]
    for label, found, truth, seen in zip(labels, predicted, masks, known, strict=True):
        sides = (truth & seen, found & seen)
        for drawn, (own, other) in ((1, sides), (0, sides[::-1])):
            lesions = components(own)
            n = len(lesions.area)
            values = {
                "image": np.full(n, image), "label": np.full(n, label), "drawn": np.full(n, drawn),
                "share": lesions.area / size, "hit": _overlapped(lesions, other) > cover * lesions.area,
            }  # fmt: skip
            parts.append(table.build(LESIONS, values))
    return table.stack(parts)


def metrics(
    counts: Counts,
    weights: Float[np.ndarray, "r n"],
    *,
    lesions: table.Table,
    edges: Sequence[float] = EDGES,
) -> Metrics:
    """The metrics of lesions of each size (`entries.lesion`); with `functools.partial` a statistic for `interval`.

    A class of size holds the drawn lesions of that size, found or missed, and the false alarms of that size:
    F1 = 2 found / (2 found + false alarms + missed). Names: ``lesion/f1/<size>/<label>``, and ``lesion/f1/<size>``, the
    mean over the labels that have one; sizes as of `sizes`. nan where nothing was drawn and nothing predicted.

    Args:
        counts: of the images; those without any lesion have no row in ``lesions``.
        weights: how often each image of ``counts.images`` counts.
        lesions: rows of `lesion_rows` of these images, stacked.
        edges: shares of the image between the classes, growing.

    Raises:
        ValueError: a lesion's image was not counted, or the edges do not grow.
    """
    named = sizes(edges)
    position = {image: at for at, image in enumerate(counts.images)}
    if strange := sorted(set(lesions["image"].tolist()) - set(position)):
        raise ValueError(f"lesions: images {strange[:5]} were not counted; take lesions and counts of one evaluation")
    image = np.array([position[name] for name in lesions["image"].tolist()], np.int64)
    drawn, hit = lesions["drawn"] == 1, lesions["hit"] == 1
    kind = np.digitize(lesions["share"], edges)
    parts: dict[str, Metrics] = {}
    for label in counts.schema.labels:
        parts[label] = {}
        for at, size in enumerate(named):
            here = (kind == at) & (lesions["label"] == label)
            sides = {"tp": drawn & hit, "fp": ~drawn & ~hit, "fn": drawn & ~hit}
            columns = {
                name: np.bincount(image[here & some], minlength=len(position)).astype(np.float64)
                for name, some in sides.items()
            }
            part = Part(columns, weights)
            parts[label] |= {f"{metric.name}/{size}": metric(part) for metric in listing.of("lesions")}
    return with_means(parts)


def sizes(edges: Sequence[float] = EDGES) -> tuple[str, ...]:
    """Names of the classes of size, in per cent of the image.

    >>> sizes((0.001, 0.01))
    ('below 0.1 %', '0.1 to 1 %', 'from 1 %')

    Raises:
        ValueError: the edges do not grow, or are not between 0 and 1.
    """
    if not edges or list(edges) != sorted(set(edges)) or not (edges[0] > 0 and edges[-1] < 1):
        raise ValueError(f"edges={list(edges)} must grow and be between 0 and 1; {list(EDGES)} is usual")
    said = [f"{100 * edge:g}" for edge in edges]
    between = [f"{low} to {high} %" for low, high in pairwise(said)]
    return (f"below {said[0]} %", *between, f"from {said[-1]} %")


def mean_share(lesions: table.Table, labels: Sequence[str]) -> dict[str, float]:
    """Mean size of the drawn lesions of each label as a share of the image, the smallest label first, nan last."""
    drawn = lesions["drawn"] == 1
    found = {
        label: float(over(np.append(lesions["share"][drawn & (lesions["label"] == label)], np.nan))) for label in labels
    }
    return dict(sorted(found.items(), key=lambda item: (np.isnan(item[1]), item[1])))


def write_lesions(path: Path, parts: Sequence[table.Table]) -> None:
    """Write the lesions of several images (`lesion_rows`) as one CSV file; its folder is there."""
    table.write({path: table.stack([table.build(LESIONS, dict.fromkeys(LESIONS, ())), *parts])})


def read_lesions(path: Path) -> dict[str, np.ndarray]:
    """Inverse of `write_lesions`; ValueError where the file is damaged."""
    return table.read(path, LESIONS)


def _overlapped(lesions: Components, other: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, " n"]:
    """Pixels of each lesion that the other side marks too."""
    return np.bincount(lesions.numbers[other], minlength=len(lesions.area) + 1)[1:].astype(np.float64)
