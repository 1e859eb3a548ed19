"""A data set cut to its important part: a square of each image about the disc, or about another label.

A lesion beside the disc fills a thousandth of a photograph. Seen at 128 pixels it is a dot; in a square of two and a
half disc diameters it is six times as large. The result is a data set of its own, with images, masks and positions in
its own pixels, and every command takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from foveate.core.files import file_name, whole_folder
from foveate.core.regions import disc_of
from foveate.core.shapes import Box
from foveate.core.types import Cue, MaskSource, Row
from foveate.data.lines import ABSENT
from foveate.data.manifest import Manifest
from foveate.data.writing import (
    NOT_KNOWN,
    Progress,
    Truth,
    listed,
    pixels,
    save,
    several_annotators,
    truths,
    with_unknown,
)

Find = Callable[[Row, UInt8[np.ndarray, "h w 3"]], Bool[np.ndarray, "h w"]]
"""(row, its image) -> pixels of the label, for example the mask of a run."""

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Cut:
    """Results of `crop`.

    Args:
        manifest: of the squares, as written to the folder.
        boxes: image -> its square (top, left, height, width) in pixels of the original.
        lost: images without a square, because the label is absent in them or not known.
        beyond: label -> images in which a part of it is outside the square.
        notes: facts that the squares cannot keep, and how they were changed.
    """

    manifest: Manifest
    boxes: dict[str, Box]
    lost: tuple[str, ...]
    beyond: dict[str, int]
    notes: tuple[str, ...]


def crop(
    manifest: Manifest,
    out: str | Path,
    *,
    around: str,
    reach: float = 2.5,
    find: Find | None = None,
    annotators: str = "union",
    progress: Progress | None = None,
) -> Cut:
    """Cut every image to a square about a label, and write the squares as a data set of their own.

    The square's centre is the label's, its side is ``reach`` diameters of the circle of the same area. A square that
    would leave the image is shifted into it, and it is not wider than the image. Answers, patients, splits, readings
    and spacing stay; disc, fovea and cues move with the pixels, and may then be outside. An answer stays the same
    although its evidence may be outside (``Cut.beyond`` counts such images).

    Args:
        manifest: rows to cut.
        out: a new folder: ``images/ID.png``, ``LABEL/ID.png`` (255 inside, 0 outside, 127 not known) and
            ``manifest.jsonl``.
        around: label whose place counts.
        reach: side of the square in diameters of the label, > 0.
        find: finds the label; None = it is read from the manifest's masks.
        annotators: rule that merges annotators, or an annotator's name.
        progress: called after each image.

    Raises:
        ValueError: the schema has no such label, reach <= 0, no image has the label, or ``out`` is there already.
        Unreadable: an image or a mask cannot be read.
    """
    if around not in manifest.schema.labels and find is None:
        raise ValueError(f"around must be one of the labels {list(manifest.schema.labels)}, got {around!r}")
    if not 0 < reach < float("inf"):
        raise ValueError(f"reach={reach}: give the side of the square in diameters of {around!r}, such as 2.5")
    out, schema = Path(out), manifest.schema
    rows: list[Row] = []
    boxes: dict[str, Box] = {}
    lost: list[str] = []
    beyond = dict.fromkeys(schema.labels, 0)
    with whole_folder(out) as aside:
        for number, truth in enumerate(truths(manifest, annotators=annotators), 1):
            row, image = truth.row, pixels(truth.row, manifest.root)
            marked = _marked(truth, schema.labels.index(around)) if find is None else find(row, image)
            box = square(marked, reach=reach)
            if box is None:
                lost.append(row.id)
            else:
                boxes[row.id] = box
                for label, mask in zip(schema.labels, truth.masks, strict=True):
                    beyond[label] += int(mask.sum() > _part(mask, box).sum())
                rows.append(_cut(truth, image, box, schema.labels, aside))
            if progress is not None:
                progress(number, len(manifest))
        if not rows:
            raise ValueError(f"around={around!r}: it is known to be in none of the {len(manifest)} images")
        info = {**manifest.info, "cut": {"around": around, "reach": reach}}
        Manifest(schema, tuple(rows), aside, info=info).write(aside / MANIFEST)
    notes = []
    if lost:
        notes.append(f"{len(lost)} images are left out, {around!r} is nowhere in them or not known ({listed(lost)})")
    if several := several_annotators(manifest):
        notes.append(f"{several} images have masks of several annotators; one mask merged from them is written")
    notes += [f"{count} images have some of {label!r} outside their square" for label, count in beyond.items() if count]
    return Cut(Manifest.read(out / MANIFEST), boxes, tuple(lost), beyond, tuple(notes))


def square(marked: Bool[np.ndarray, "h w"], *, reach: float) -> Box | None:
    """The square (top, left, height, width) about what is marked, within the image; None where nothing is.

    Args:
        marked: pixels of one image.
        reach: side in diameters of the circle of the same area.
    """
    found = disc_of(marked)
    if found is None:
        return None
    (row, col), diameter = found
    side = max(1, min(round(reach * diameter), *marked.shape))
    top, left = (
        min(max(round(centre - (side - 1) / 2), 0), length - side)
        for centre, length in zip((row, col), marked.shape, strict=True)
    )
    return top, left, side, side


def _marked(truth: Truth, label: int) -> Bool[np.ndarray, "h w"]:
    return np.asarray((truth.masks[label] > 0) & (truth.known[label] > 0))


def _part(mask: np.ndarray, box: Box) -> np.ndarray:
    top, left, height, width = box
    return mask[top : top + height, left : left + width]


def _cut(truth: Truth, image: UInt8[np.ndarray, "h w 3"], box: Box, labels: tuple[str, ...], folder: Path) -> Row:
    """The square of one image and its masks, written; its row."""
    row, name = truth.row, f"{file_name(truth.row.id)}.png"
    (folder / "images").mkdir(exist_ok=True)
    save(np.ascontiguousarray(_part(image, box)), folder / "images" / name)
    masks: dict[str, tuple[MaskSource, ...]] = {}
    for label, mask, known in zip(labels, truth.masks, truth.known, strict=True):
        if row.masks.get(label) == ABSENT:
            masks[label] = ABSENT
        elif label in row.masks:
            place = folder / file_name(label)
            place.mkdir(exist_ok=True)
            save(with_unknown(_part(mask, box), _part(known, box)), place / name)
            source = MaskSource(path=f"{file_name(label)}/{name}", above=NOT_KNOWN, ignore=(NOT_KNOWN,))
            masks[label] = (source,)
    return replace(
        row,
        image=f"images/{name}",
        masks=masks,
        frame=None,
        sha256=None,
        disc=_moved(row.disc, box),
        fovea=_moved(row.fovea, box),
        cues={label: tuple(_moved_cue(cue, box) for cue in cues) for label, cues in row.cues.items()},
    )


def _moved(place: tuple[float, float] | None, box: Box) -> tuple[float, float] | None:
    return None if place is None else (place[0] - box[0], place[1] - box[1])


def _moved_cue(cue: Cue, box: Box) -> Cue:
    top, left = box[:2]
    if cue.box is not None:
        a, b, c, d = cue.box
        return replace(cue, box=(a - top, b - left, c - top, d - left))
    if cue.ellipse is not None:
        return replace(cue, ellipse=(cue.ellipse[0] - top, cue.ellipse[1] - left, *cue.ellipse[2:]))
    return replace(cue, polygon=tuple((row - top, col - left) for row, col in cue.polygon))
