"""Look into the files of one row: what they hold, what cannot be read, and where masks and answers part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from foveate.core.guideline import Guideline
from foveate.core.labels import LabelSchema
from foveate.core.shapes import Geometry
from foveate.core.types import Row, Sample
from foveate.data import duplicates, read
from foveate.data.agreement import Drawn
from foveate.data.cleaning import against
from foveate.data.cues import draw, regions_of, unplaced
from foveate.data.manifest import sha256

FAINT = 16
"""Brightest of 256 levels up to which an image is nearly black: 12 bits in a file of 16 reach 15."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Facts on the files of one row; small, whatever the size of the image.

    Args:
        pixels: SHA-256 over size and pixels of the image; empty where it could not be read.
        bits: `duplicates.bits` of it.
        shape: its (rows, cols).
        brightness: mean grey level of its green channel, 0 to 255.
        marked: pixels with each label, by schema order; empty where masks could not be read.
        known: whether anything is known of each label.
        drawn: every pair of annotators of a label.
        unreadable: files that are missing or cannot be decoded, with the reason.
        mismatching: masks of another size than the image.
        changed: the image is not the file that was scanned.
        contradictions: answers that the masks refute.
        flat: every pixel has the same colour.
        faint: no pixel is brighter than `FAINT`.
        unnamed: label -> values in its masks that no source names; the pixels are unknown.
        unplaced: findings that are marked but in no region, because the disc is not known (`cues.unplaced`).
    """

    pixels: bytes = b""
    bits: bytes = b""
    shape: tuple[int, int] = (0, 0)
    brightness: float = 0.0
    marked: tuple[int, ...] = ()
    known: tuple[bool, ...] = ()
    drawn: tuple[Drawn, ...] = ()
    unreadable: tuple[str, ...] = ()
    mismatching: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    unplaced: tuple[str, ...] = ()
    unnamed: tuple[tuple[str, tuple[int, ...]], ...] = ()
    flat: bool = False
    faint: bool = False


def inspect_row(row: Row, root: Path, schema: LabelSchema, *, guideline: Guideline | None = None) -> FileFacts:
    """Decode the image and the masks of a row.

    Args:
        row: what to look at.
        root: folder that its paths start from.
        schema: names its labels and questions.
        guideline: in the words of the schema; what is marked against the grade is a contradiction. None = not asked.
    """
    path = root / row.image
    try:
        image = read.image(path, frame=row.frame)
        least, most = int(image.min()), int(image.max())
    except read.Unreadable as error:
        return FileFacts(unreadable=(str(error),))
    rows, cols = image.shape[:2]
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    small = duplicates.thumb(image)
    changed: tuple[str, ...] = ()
    if row.sha256 and sha256(path) != row.sha256:
        said = f"is not the file that was scanned (sha256 {row.sha256[:12]}...); scan again"
        changed = (f"{path} {said}",)
    unreadable, mismatching = _sizes(row, root, (rows, cols))
    marked: tuple[int, ...] = ()
    sure: tuple[bool, ...] = ()
    drawn: tuple[Drawn, ...] = ()
    contradictions: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    strange: tuple[tuple[str, tuple[int, ...]], ...] = ()
    if not unreadable and not mismatching:
        try:
            masks, known = read.masks(row, root, schema, shape=(rows, cols))
            marked = tuple(int(np.count_nonzero(mask)) for mask in masks)
            sure = tuple(bool(k.any()) for k in known)
            contradictions = tuple(refuted(row, schema, marked, known))
            if guideline is not None:
                found = against(row, masks, known, schema=schema, guideline=guideline)
                contradictions += tuple(f"{row.id}: {one.words}" for one in found)
            whole = Geometry.whole((rows, cols))
            sample = Sample(row, image, masks, known, schema.answer_indices(row.answers), whole)
            drawn = tuple(_drawn(sample, root, schema))
            lost = unplaced(sample, schema)
            strange = tuple(read.unnamed_values(row, root, shape=(rows, cols)).items())
        except read.Unreadable as error:
            unreadable = [str(error)]
    return FileFacts(
        pixels=digest.digest(),
        bits=duplicates.bits(small),
        shape=(rows, cols),
        brightness=cv2.mean(small)[0],
        marked=marked,
        known=sure,
        drawn=drawn,
        unreadable=tuple(unreadable),
        mismatching=tuple(mismatching),
        changed=changed,
        contradictions=contradictions,
        unplaced=lost,
        unnamed=strange,
        flat=least == most,
        faint=least < most <= FAINT,
    )


def thumb(row: Row, root: Path) -> UInt8[np.ndarray, "64 64"] | None:
    """The `duplicates.thumb` of a row's image; None where it cannot be read."""
    try:
        return duplicates.thumb(read.image(root / row.image, frame=row.frame))
    except read.Unreadable:
        return None


def refuted(row: Row, schema: LabelSchema, marked: tuple[int, ...], known: UInt8[np.ndarray, "l h w"]) -> list[str]:
    """Describe healthy answers ("no") if evidence is marked, and others ("yes") if all of it is known and empty.

    Args:
        row: its answers.
        schema: which labels are evidence of which question.
        marked: pixels with each label.
        known: 1 where the truth of a label is known.
    """
    out = []
    for q in schema.questions:
        answer = row.answers.get(q.name)
        where = [schema.labels.index(label) for label in q.evidence]
        if not where or answer is None:
            continue
        seen = [schema.labels[i] for i in where if marked[i]]
        healthy = answer == ("no" if q.yes_no else q.healthy)
        if healthy and seen:
            pixels = sum(marked[i] for i in where)
            out.append(f"{row.id}: {q.name} is {answer!r}, and {pixels} pixels are marked {' or '.join(seen)}")
        if not healthy and not seen and known[where].all():
            out.append(f"{row.id}: {q.name} is {answer!r}, and no pixel is marked {' or '.join(q.evidence)}")
    return out


def _sizes(row: Row, root: Path, shape: tuple[int, int]) -> tuple[list[str], list[str]]:
    """Masks that cannot be opened, and those of another size; an outline has none."""
    unreadable, mismatching = [], []
    drawn = (s for sources in row.masks.values() for s in sources if not s.contour)
    for path, frame in dict.fromkeys((s.path, s.frame) for s in drawn if s.path is not None):
        try:
            size = read.size(root / path, frame=frame)
        except read.Unreadable as error:
            unreadable.append(str(error))
            continue
        if size != shape:
            mismatching.append(f"{root / path} is {_size(size)}, its image {_size(shape)} (rows x columns)")
    return unreadable, mismatching


def _drawn(sample: Sample, root: Path, schema: LabelSchema) -> list[Drawn]:
    """Every pair of annotators of a label, over the pixels that both know."""
    row, shape = sample.row, sample.geometry.size
    out = []
    for label, sources in row.masks.items():
        annotators = sorted({source.annotator for source in sources})
        if len(annotators) < 2:
            continue
        alone = LabelSchema(labels=(label,), exclusive=schema.exclusive)
        own = {g: read.masks(row, root, alone, annotators=g, shape=shape) for g in annotators}
        for first, second in combinations(annotators, 2):
            known = (own[first][1][0] & own[second][1][0]) > 0
            if known.any():
                a, b = (own[g][0][0].astype(bool) & known for g in (first, second))
                out.append(_pair(row.id, label, (first, second), a, b))
    return out + _cued(sample, schema)


def _cued(sample: Sample, schema: LabelSchema) -> list[Drawn]:
    """Every pair of annotators of a label's cues; cues that name regions count if the disc is known."""
    row, out = sample.row, []
    for label, cues in row.cues.items():
        readers = sorted({cue.annotator for cue in cues})
        if len(readers) < 2:
            continue
        regions = regions_of(sample, schema)
        own: dict[str, np.ndarray] = {}
        for cue in cues:
            drawn = draw(cue, sample.geometry, regions=regions)
            if drawn is not None:
                own[cue.annotator] = own[cue.annotator] | drawn if cue.annotator in own else drawn
        for first, second in combinations(sorted(own), 2):
            out.append(_pair(row.id, f"{label} (cue)", (first, second), own[first], own[second]))
    return out


def _pair(image: str, label: str, annotators: tuple[str, str], a: np.ndarray, b: np.ndarray) -> Drawn:
    return Drawn(image, label, annotators, (int(a.sum()), int(b.sum())), int((a & b).sum()))


def _size(shape: tuple[int, int]) -> str:
    return " x ".join(map(str, shape))
