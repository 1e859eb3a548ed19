"""Drawn retinas with exact truth: colour fundus, OCT B-scan, OCT en-face of the nerve head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from foveate.core.labels import LabelSchema
from foveate.core.types import MaskSource, Row
from foveate.data.synthetic import enface, fundus, oct
from foveate.data.synthetic.drawing import Drawing

__all__ = ["SCHEMAS", "Drawing", "draw", "write"]

SCHEMAS: dict[str, LabelSchema] = {"fundus": fundus.SCHEMA, "oct": oct.SCHEMA, "enface": enface.SCHEMA}
"""What is asked of each kind of drawing and marked in it."""

_DRAW = {"fundus": fundus.draw, "oct": oct.draw, "enface": enface.draw}
SMALLEST = 64
"""Below this many pixels more than 80 haemorrhages cannot be kept apart."""


def draw(kind: str, seed: int, *, size: int = 256) -> Drawing:
    """Draw one image; the same arguments always give the same pixels.

    Seeds 2k and 2k + 1 belong to one patient: both eyes (fundus, en-face) or two scans of one eye (OCT B-scan). The
    main answer cycles with the seed, so that any run of seeds is balanced.

    Args:
        kind: "fundus", "oct" or "enface".
        seed: 0 or more.
        size: side of the square image in pixels, at least 64.

    Raises:
        ValueError: unknown kind, negative seed, size below 64.
    """
    if kind not in _DRAW:
        raise ValueError(f"kind must be one of {list(_DRAW)}, got {kind!r}")
    if seed < 0:
        raise ValueError(f"seed={seed} is negative; give 0 or more")
    if size < SMALLEST:
        raise ValueError(f"size={size} is too small to draw a retina; give at least {SMALLEST}")
    return _DRAW[kind](seed, size=size)


def write(kind: str, folder: Path | str, *, n: int, seed: int = 0, size: int = 256) -> list[Row]:
    """Draw a data set: ``images/ID.png`` and ``masks/ID.png`` under a folder, and the rows that a manifest needs.

    Exclusive labels are written as an index mask (0 = background, label k = k + 1), overlapping ones as a bit mask
    (label k = bit k; 16 bits a pixel where there are more than eight). A label that is absent is known to be absent.

    Args:
        kind: "fundus", "oct" or "enface".
        folder: made where it is missing; paths in the rows are relative to it.
        n: number of images, two a patient; image i is ``draw(kind, seed * 1_000_000 + i)``.
        seed: another seed gives other patients; ids start again at 0.
        size: side of the images in pixels.

    Raises:
        ValueError: as `draw`, and n below 1 or above a million.
    """
    if not 1 <= n <= 1_000_000:
        raise ValueError(f"n={n} images cannot be drawn; give 1 to 1000000")
    root = Path(folder)
    rows = []
    for number in range(n):
        drawing = draw(kind, seed * 1_000_000 + number, size=size)
        row = _row(kind, number, drawing)
        for path, pixels in ((row.image, drawing.image), (f"masks/{row.id}.png", _packed(drawing, SCHEMAS[kind]))):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(root / path, compress_level=3)
        rows.append(row)
    return rows


def _row(kind: str, number: int, drawing: Drawing) -> Row:
    name = f"{kind}_{number:04d}"
    patient = f"{kind}_patient_{number // 2:04d}"
    eye = f"{patient}_{drawing.laterality}"
    schema = SCHEMAS[kind]
    path = f"masks/{name}.png"
    sources = {
        label: (MaskSource(path, index=(k + 1,)) if schema.exclusive else MaskSource(path, bit=k),)
        for k, label in enumerate(schema.labels)
    }
    return Row(
        id=name,
        image=f"images/{name}.png",
        answers=drawing.answers,
        masks=sources,
        patient=patient,
        eye=eye,
        laterality=drawing.laterality,
        modality=kind,
        spacing=drawing.spacing,
        disc=drawing.disc,
        fovea=drawing.fovea,
        source="synthetic",
    )


def _packed(drawing: Drawing, schema: LabelSchema) -> np.ndarray:
    """All masks in one image: index or bits."""
    weights = 1 + np.arange(len(schema.labels)) if schema.exclusive else 1 << np.arange(len(schema.labels))
    kind = np.uint8 if weights.sum() < 256 else np.uint16
    packed = np.zeros(drawing.masks.shape[1:], kind)
    for mask, weight in zip(drawing.masks, weights, strict=True):
        packed += mask.astype(kind) * kind(weight)
    return packed
