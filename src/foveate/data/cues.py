"""Cues: rough marks of a finding, from annotators or from masks, as one channel per question in the frame.

A cue may be regions, boxes, ellipses or polygons of annotators (`core.types.Cue`), or be made from a mask; rows of all
kinds train together. An image with the answer "no" has an empty cue: the finding is absent. The cue is unknown if
nobody gave one, or if the answer is left out because annotators do not agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from foveate.core.consensus import agreed_pixels, needed
from foveate.core.labels import UNKNOWN, LabelSchema, Question
from foveate.core.regions import DISC_LABELS, Regions, disc_of, located, position
from foveate.core.shapes import Geometry, polygon
from foveate.core.types import Cue, Row, Sample
from foveate.data.consensus import readings

Mask = Bool[np.ndarray, "h w"]
Form = Callable[[Mask, Regions | None, Geometry], Mask | None]
"""(marked pixels of a frame, its regions, its geometry) -> cue; None where this form needs what is not known."""

NEAR = 0.02
"""Lesions nearer than this share of the frame are circled together."""


def as_marked(mask: Mask, _regions: Regions | None, _geometry: Geometry) -> Mask:
    """The mask itself."""
    return mask


def as_regions(mask: Mask, regions: Regions | None, geometry: Geometry) -> Mask | None:
    """The regions that hold a marked pixel; None where the disc is not known."""
    if regions is None:
        return None
    here = region_index(regions, geometry)
    return np.asarray(np.isin(here, np.unique(here[mask])))


def as_boxes(mask: Mask, _regions: Regions | None, _geometry: Geometry) -> Mask:
    """The box about each group of marked pixels."""
    out = np.zeros_like(mask)
    for place, _ in _groups(mask):
        out[place] = True
    return out


def as_ellipses(mask: Mask, _regions: Regions | None, _geometry: Geometry) -> Mask:
    """The ellipse about each group of marked pixels: the shape of its moments, as large as holds them all."""
    out = np.zeros_like(mask)
    rows, cols = np.ogrid[: mask.shape[0], : mask.shape[1]]
    for place, group in _groups(mask):
        points = np.argwhere(group) + np.array([place[0].start, place[1].start])
        centre = points.mean(0)
        spread = np.linalg.inv(np.cov((points - centre).T, bias=True).reshape(2, 2) + np.eye(2) / 12)  # pixels are wide
        reach = np.einsum("ni,ij,nj->n", points - centre, spread, points - centre).max() + 1e-9
        r, c = rows - centre[0], cols - centre[1]
        out |= spread[0, 0] * r * r + 2 * spread[0, 1] * r * c + spread[1, 1] * c * c <= reach
    return out


FORMS: Mapping[str, Form] = {"regions": as_regions, "boxes": as_boxes, "ellipses": as_ellipses, "masks": as_marked}
"""Form of the cue that is made from a mask."""


def _groups(mask: Mask) -> list[tuple[tuple[slice, slice], Mask]]:
    """The box of each group of near pixels, and the pixels in it."""
    reach = max(1, round(NEAR * max(mask.shape)))
    joined = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8))
    _, parts = cv2.connectedComponents(joined, connectivity=8)
    parts[~mask] = 0
    found = ndimage.find_objects(parts)
    return [(place, parts[place] == i) for i, place in enumerate(found, 1) if place is not None]


@dataclass(frozen=True)
class Cues:
    """Sample -> ``(question, row, col)`` 0/1 cues in its frame and ``(question,)`` which of them are known.

    Only findings (yes/no questions with evidence) have cues. In the form "regions" a label's cues in the row come
    first, then its mask. In the finer forms its mask comes first, because nothing finer can be made from a rough mark:
    a row that has only cues guides by these as they were drawn, whatever the form. Unknown pixels stay in a cue that
    is made from a mask: activation there is not an error.

    Args:
        schema: schema of the samples.
        form: name of `FORMS`: the form of cues that are made from masks.
        at_least: number of annotators who must have marked a place (1: the union, as in Son et al. 2018), or a name
            of `core.consensus.RULES`, for those who gave a cue of the label or answered that the finding is absent.

    Raises:
        ValueError: no such form, or at_least is below 1 or not a rule.
    """

    schema: LabelSchema = field(repr=False)
    form: str = "regions"
    at_least: int | str = 1

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {list(FORMS)}, got {self.form!r}")
        needed(self.at_least, annotators=1)

    def __call__(self, sample: Sample) -> tuple[UInt8[np.ndarray, "q h w"], UInt8[np.ndarray, " q"]]:
        """The cues of a sample before augmentation."""
        size = sample.geometry.size
        cues = np.zeros((len(self.schema.questions), *size), np.uint8)
        known = np.zeros(len(self.schema.questions), np.uint8)
        regions: Regions | None = None
        if any(sample.answers[i] != 0 for i, q in enumerate(self.schema.questions) if q in self.schema.findings):
            regions = regions_of(sample, self.schema)
        for i, question in enumerate(self.schema.questions):
            if question not in self.schema.findings:
                continue
            if sample.answers[i] == 0:
                known[i] = 1
                continue
            found = self._cue(sample, question, regions, settled=sample.answers[i] != UNKNOWN)
            if found is not None:
                cues[i], known[i] = found, 1
        return cues, known

    def known(self, samples: Iterable[Sample]) -> dict[str, tuple[int, int]]:
        """Finding -> images with it whose cue is known, so that they guide, and all images with it."""
        out = {question.name: (0, 0) for question in self.schema.findings}
        for sample in samples:
            _, known = self(sample)
            for i, question in enumerate(self.schema.questions):
                if question.name in out and sample.answers[i] == 1:
                    guides, there = out[question.name]
                    out[question.name] = guides + int(known[i]), there + 1
        return out

    def _cue(self, sample: Sample, question: Question, regions: Regions | None, *, settled: bool) -> Mask | None:
        """Union over the evidence; None where some of it is unknown, or it is nowhere although the answer is yes."""
        out = np.zeros(sample.geometry.size, bool)
        said = readings(sample.row, question, self.schema)
        against = [reader for reader, answer in said.items() if answer == "no"]
        if against and not settled:
            return None
        for label in question.evidence:
            given = given_of(sample.row, label, self.schema)
            if not settled and any(cue.absent for cue in given):
                return None
            part = None if given and self.form == "regions" else self._masked(sample, label, regions)
            if part is None and given:
                part = self._read(given, against, regions, sample.geometry)
            if part is None:
                return None
            out |= part
        return out if out.any() else None

    def _read(
        self, given: Sequence[Cue], against: Sequence[str], regions: Regions | None, geometry: Geometry
    ) -> Mask | None:
        """Pixels that enough annotators marked; those in ``against`` marked nothing, unless they gave a cue."""
        by_reader: dict[str, Mask] = {}
        for cue in given:
            drawn = draw(cue, geometry, regions=regions)
            if drawn is None:
                return None
            by_reader[cue.annotator] = by_reader[cue.annotator] | drawn if cue.annotator in by_reader else drawn
        for reader in against:
            by_reader.setdefault(reader, np.zeros(geometry.size, bool))
        return agreed_pixels(np.stack(list(by_reader.values())), at_least=self.at_least)

    def _masked(self, sample: Sample, label: str, regions: Regions | None) -> Mask | None:
        """A cue made of the mask."""
        at = self.schema.labels.index(label)
        known = sample.known[at] > 0
        if not known.any():
            return None
        marked = (sample.masks[at] > 0) & known
        cue = FORMS[self.form](marked, regions, sample.geometry) if marked.any() else marked
        if cue is None:
            return None
        top, left, height, width = sample.geometry.inner
        cue = cue.copy()
        inner = np.s_[top : top + height, left : left + width]
        cue[inner] |= ~known[inner]
        return cue


def given_of(row: Row, label: str, schema: LabelSchema) -> tuple[Cue, ...]:
    """The cues that a row has of a label, or of those that were united in it."""
    return tuple(cue for member in schema.members(label) for cue in row.cues.get(member, ()))


def drawn_in(row: Row, question: Question, schema: LabelSchema) -> bool:
    """Whether a finding is drawn, by mask or by cue, in an image with the answer "yes".

    Args:
        row: of a manifest.
        question: a finding of the schema.
        schema: names its evidence.
    """
    if question.index(row.answers.get(question.name)) != 1:
        return False
    evidence = [member for label in question.evidence for member in schema.members(label)]
    masks = (source.path for label in evidence for source in row.masks.get(label, ()))
    cues = (cue.absent for label in evidence for cue in row.cues.get(label, ()))
    return any(path is not None for path in masks) or not all(cues)


def unplaced(sample: Sample, schema: LabelSchema) -> tuple[str, ...]:
    """Findings that are there and marked, and have no cue in the form "regions" because the disc is not known.

    Args:
        sample: not varied.
        schema: that it was made by.
    """

    def placed(label: str) -> bool:
        given = given_of(sample.row, label, schema)
        return any(cue.regions for cue in given) if given else bool(sample.masks[schema.labels.index(label)].any())

    there = [q for q in schema.findings if sample.answers[schema.questions.index(q)] == 1]
    lost = tuple(q.name for q in there if any(placed(label) for label in q.evidence))
    return lost if lost and regions_of(sample, schema) is None else ()


def draw(cue: Cue, geometry: Geometry, *, regions: Regions | None) -> Mask | None:
    """An annotator's cue in the frame; None if it names regions and the disc is unknown.

    Args:
        cue: in pixels of the original image.
        geometry: of the frame.
        regions: of the original image.
    """
    if cue.absent:
        return np.zeros(geometry.size, bool)
    if cue.regions:
        if regions is None:
            return None
        here = region_index(regions, geometry)
        return np.asarray(np.isin(here, [position(name) for name in cue.regions]))
    return polygon(geometry.size, [geometry.to_frame(corner) for corner in outline(cue)])


def outline(cue: Cue) -> tuple[tuple[float, float], ...]:
    """Corners (row, col) of a box, an ellipse (72 of them) or a polygon; none of regions or nothing."""
    if cue.box is not None:
        top, left, bottom, right = cue.box
        return (top, left), (top, right), (bottom, right), (bottom, left)
    if cue.ellipse is not None:
        row, col, r, c, angle = cue.ellipse
        t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        u, v = c * np.cos(t), r * np.sin(t)
        rows, cols = row + u * np.sin(angle) + v * np.cos(angle), col + u * np.cos(angle) - v * np.sin(angle)
        return tuple(zip(rows.tolist(), cols.tolist(), strict=True))
    return cue.polygon


def regions_of(sample: Sample, schema: LabelSchema) -> Regions | None:
    """The eight regions in pixels of the original image: from the row, else from a marked disc; None without a disc."""
    row, geometry = sample.row, sample.geometry
    disc, diameter = row.disc, None
    label = next((name for name in DISC_LABELS if name in schema.labels), None)
    if label is not None and (disc is None or row.fovea is None):
        at = schema.labels.index(label)
        found = disc_of((sample.masks[at] > 0) & (sample.known[at] > 0))
        if found is not None:
            disc = disc or geometry.to_source(found[0])
            diameter = found[1] / float(np.sqrt(geometry.scale[0] * geometry.scale[1]))
    return located(shape=geometry.source, disc=disc, fovea=row.fovea, diameter=diameter, laterality=row.laterality)


def region_index(regions: Regions, geometry: Geometry) -> np.ndarray:
    """The region of each pixel of the frame, padding included; exact also if rows and columns have different scales."""
    rows, cols = geometry.size
    at_rows = np.array([geometry.to_source((r, 0))[0] for r in range(rows)])
    at_cols = np.array([geometry.to_source((0, c))[1] for c in range(cols)])
    return regions.index(*np.broadcast_arrays(at_rows[:, None], at_cols[None]))
