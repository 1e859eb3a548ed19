"""Manifests of drawn arrays, and whether another manifest says the same of the same images."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from foveate.core.labels import LabelSchema, Question
from foveate.core.types import MaskSource, Row
from foveate.data import read
from foveate.data.manifest import Manifest

SHAPE = (24, 31)
IGNORE = 9


def mask(top: int, left: int, height: int, width: int) -> np.ndarray:
    out = np.zeros(SHAPE, np.uint8)
    out[top : top + height, left : left + width] = 1
    return out


def build(
    root: Path,
    truth: Mapping[str, Mapping[str, np.ndarray | None]],
    *,
    labels: tuple[str, ...],
    exclusive: bool = False,
    colour: bool = False,
    questions: tuple[Question, ...] = (),
    **columns: Mapping[str, object],
) -> Manifest:
    """Truth: id -> label -> 0, 1 or 9 (not known) a pixel, or None for absent; columns: name -> id -> value."""
    rows = []
    rng = np.random.default_rng(0)
    (root / "data").mkdir(parents=True, exist_ok=True)
    for number, (name, of_label) in enumerate(truth.items()):
        image = rng.integers(0, 255, (*SHAPE, 3), np.uint8)
        Image.fromarray(image if colour else image[..., 0]).save(root / "data" / f"{number}.png")
        masks = {}
        for label, values in of_label.items():
            path = f"data/{number}_{labels.index(label)}.png"
            if values is None:
                masks[label] = (MaskSource(),)
            else:
                Image.fromarray(values.astype(np.uint8)).save(root / path)
                masks[label] = (MaskSource(path, index=(1,), ignore=(IGNORE,)),)
        given = {column: values[name] for column, values in columns.items() if name in values}
        rows.append(Row(name, f"data/{number}.png", masks=masks, **given))  # type: ignore[arg-type]
    return Manifest(LabelSchema(questions, labels, exclusive), tuple(rows), root, info={"name": "drawn"})


def same(a: Manifest, b: Manifest, *, only: set[str] | None = None) -> None:
    """Images, masks and what is known of them are equal, by id and label; ``only``: the ids that b holds."""
    assert {row.id for row in b} == ({row.id for row in a} if only is None else only)
    theirs = {row.id: row for row in b}
    for row in a:
        if row.id not in theirs:
            continue
        other = theirs[row.id]
        assert (read.image(a.root / row.image) == read.image(b.root / other.image)).all()
        masks, known = read.masks(row, a.root, a.schema, shape=SHAPE)
        of_b = dict(
            zip(b.schema.labels, zip(*read.masks(other, b.root, b.schema, shape=SHAPE), strict=True), strict=True)
        )
        for i, label in enumerate(a.schema.labels):
            got, sure = of_b.get(label, (np.zeros(SHAPE), np.zeros(SHAPE)))
            assert (got == masks[i]).all(), (row.id, label)
            assert (sure == known[i]).all(), (row.id, label, "known")
