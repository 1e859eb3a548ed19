"""One image measured for `data.survey`, and what the measurements of many come to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from foveate.core.components import components
from foveate.core.labels import LabelSchema
from foveate.core.shapes import Box
from foveate.core.types import Row
from foveate.data import read
from foveate.data.prepare import field, fill_white_edges, resize

if TYPE_CHECKING:
    from foveate.data.survey import LabelSurvey

COARSE = 384  # pixels of the longer side at which colour and borders are measured
COLOUR = 12  # difference of channels that JPEG and scanners leave in grey images stays below
SIDES = re.compile(r"(?<![a-z])(left|right|laterality|nasal|temporal|od|os)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """One image.

    Args:
        size: (rows, cols).
        field: box of the lit field.
        white: whether it has white edges.
        grey: whether it has no colour.
        layered: variance of the rows' means over that of the columns' means; large for B-scans.
        areas: label -> pixels marked.
        known: label -> whether anything is known of it.
        parts: label -> area of each connected part.
        overlaps: pairs of labels that share a pixel.
    """

    size: tuple[int, int]
    field: Box
    white: bool
    grey: bool
    layered: float
    areas: tuple[int, ...]
    known: tuple[bool, ...]
    parts: tuple[tuple[int, ...], ...]
    overlaps: tuple[tuple[int, int], ...]


def look(row: Row, *, root: Path, schema: LabelSchema) -> Seen:
    """Read an image and its masks, and measure them.

    Raises:
        Unreadable: the image or one of its masks.
    """
    image = read.image(root / row.image, frame=row.frame)
    size = (image.shape[0], image.shape[1])
    factor = min(1.0, COARSE / max(size))
    coarse = resize(image, (max(1, round(size[0] * factor)), max(1, round(size[1] * factor))))
    lit = field(image)
    spread = coarse.max(2).astype(int) - coarse.min(2)
    grey = cv2.cvtColor(coarse, cv2.COLOR_RGB2GRAY).astype(np.float32)
    masks, known = read.masks(row, root, schema, shape=size)
    bits = [np.ascontiguousarray(mask) for mask in masks]
    areas = tuple(int(np.count_nonzero(mask)) for mask in bits)
    there = [k for k, area in enumerate(areas) if area]
    return Seen(
        size=size,
        field=lit,
        white=bool((fill_white_edges(coarse) != coarse).any()),
        grey=bool(np.percentile(spread, 99) <= COLOUR),
        layered=float(grey.mean(1).var() / max(float(grey.mean(0).var()), 1e-6)),
        areas=areas,
        known=tuple(bool(one.any()) for one in known),
        parts=tuple(tuple(components(mask).area.tolist()) for mask in bits),
        overlaps=tuple((a, b) for a in there for b in there if a < b and bool((bits[a] & bits[b]).any())),
    )


def present(row: Row, *, root: Path, schema: LabelSchema) -> tuple[bool, ...]:
    """Which labels are marked in an image; its pixels are not read.

    Raises:
        Unreadable: one of its masks.
    """
    given = [label for label in schema.labels if any(s.path is not None for s in row.masks.get(label, ()))]
    if not given:
        return (False,) * len(schema.labels)
    size = read.size(root / row.image, frame=row.frame)
    masks, _ = read.masks(row, root, schema, shape=size)
    return tuple(bool(mask.any()) for mask in masks)


def guess(seen: Sequence[Seen]) -> str:
    """The modality that images look like: coloured ones are photographs, grey ones with layers B-scans.

    Measured on drawn images and four public sets: the rows' means of B-scans vary at least 4 times as much as the
    columns', those of photographs and en-face images at most 2 times.
    """
    if np.mean([one.grey for one in seen]) < 0.5:
        return "fundus"
    return "oct" if np.median([one.layered for one in seen]) > 3 else "enface"


def label(
    seen: Sequence[tuple[Row, Seen]],
    at: int,
    names: Sequence[str],
    *,
    splits: Sequence[str],
    more: dict[str, int],
    whole: bool,
) -> LabelSurvey:
    """Survey of one label, from a sample of the images.

    Args:
        seen: rows and what was measured.
        at: position of the label.
        names: of all labels.
        splits: whose images are counted.
        more: split -> images beyond the sample that have it.
        whole: shares are of the whole image, as its lit part is not cut out (B-scans, en-face images).
    """
    from foveate.data.survey import LabelSurvey

    counts: dict[str, dict[str, int]] = {key: dict.fromkeys(splits, 0) for key in ("with", "without", "unknown")}
    for row, one in seen:
        kind = "with" if one.areas[at] else "without" if one.known[at] else "unknown"
        counts[kind][row.split or ""] += 1
    for part, number in more.items():
        counts["with"][part] += number
    having = [one for _, one in seen if one.areas[at]]
    overlaps = {name: n for k, name in enumerate(names) if k != at and (n := sum(_both(one, at, k) for one in having))}
    if not having:
        return LabelSurvey(counts["with"], counts["without"], counts["unknown"])
    boxes = [one.size if whole else one.field[2:] for one in having]
    sides = np.concatenate([np.full(len(one.parts[at]), max(box)) for one, box in zip(having, boxes, strict=True)])
    diameters = 2 * np.sqrt(np.concatenate([np.array(one.parts[at], float) for one in having]) / np.pi)
    areas = np.array([one.areas[at] for one in having])
    return LabelSurvey(
        counts["with"],
        counts["without"],
        counts["unknown"],
        lesions=len(diameters),
        diameter=_typical(diameters),
        share=_typical(diameters / sides, 5),
        area=_typical(areas),
        covered=round(float(np.median(areas / np.prod(boxes, axis=1))), 6),
        overlaps=overlaps,
    )


def side_word(texts: Sequence[str]) -> str | None:
    """The first word that names a side of the eye or of the image."""
    for text in texts:
        if found := SIDES.search(text.replace("_", " ")):
            return found[0]
    return None


def _both(one: Seen, a: int, b: int) -> bool:
    return (min(a, b), max(a, b)) in one.overlaps


def _typical(values: np.ndarray, digits: int = 1) -> tuple[float, float]:
    """Median and 10th percentile."""
    middle, low = np.percentile(values, (50, 10))
    return round(float(middle), digits), round(float(low), digits)
