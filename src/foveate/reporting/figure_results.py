"""Keep the results of every run of a study on the images of its figures, and draw the figures."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from foveate.core.reading import presence_only
from foveate.core.types import Case, Prediction, Row
from foveate.data import read
from foveate.data.manifest import Manifest
from foveate.engine.run import Run
from foveate.inference.predictor import Predictor
from foveate.report.lesion_panels import lesion_panel
from foveate.report.panels import cam_panel, mask_panel
from foveate.report.region_panels import guidance_panel
from foveate.reporting.figure_plans import Plan
from foveate.reporting.finding_figures import seen_of

CAM_SIZE = 512
"""Pixels along the longer side of a kept activation map: more than a tile shows, far more than a network's own."""


@dataclass(frozen=True)
class Figure:
    """A figure that was written."""

    table: str
    path: Path
    caption: str


@dataclass(frozen=True)
class Kept:
    """The result of one method on one image, small enough to keep those of all methods.

    Masks are packed. Of the activation maps only those of the given answers are kept, reduced. ``unplaced``: labels of
    which the method gives the presence only.
    """

    prediction: Prediction
    truth: Mapping[str, str]
    masks: Mapping[str, bytes]
    unplaced: tuple[str, ...] = ()

    @classmethod
    def of(cls, predictor: Predictor, row: Row, image: Path | UInt8[np.ndarray, "h w 3"], *, cam: bool) -> Kept:
        """Read a row's image: its file, or its pixels."""
        found = predictor(image, frame=row.frame, cam=cam, name=row.id)
        given = {q: {answer: _reduced(shown)} for q in found.cam for answer, shown in (found.map_of(q),)}
        masks = {
            label: zlib.compress(np.packbits(mask).tobytes(), 1)
            for label, mask in zip(found.labels, found.masks, strict=True)
        }
        nothing = np.zeros((0, *found.image.shape[:2]), bool)
        bare = Prediction(
            found.id, found.probabilities, found.answers, nothing.astype(np.float32), nothing, (), cam=given
        )
        truth = {
            q.name: q.answers[q.index(row.answers[q.name])] for q in predictor.schema.questions if q.name in row.answers
        }
        return cls(bare, truth, masks, presence_only(found))

    def mask(self, label: str) -> np.ndarray:
        """Return the pixels with a label, ``(1, row, col)`` bool."""
        shape = self.prediction.masks.shape[1:]
        bits = np.frombuffer(zlib.decompress(self.masks[label]), np.uint8)
        return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(1, *shape).astype(bool)


@dataclass(frozen=True, eq=False)
class Unpacked(Mapping[str, Case]):
    """Method -> its case of one image, made when asked for."""

    image: UInt8[np.ndarray, "h w 3"]
    masks: UInt8[np.ndarray, "l h w"]
    known: UInt8[np.ndarray, "l h w"]
    labels: tuple[str, ...]
    kept: Mapping[str, Kept]

    def __getitem__(self, method: str) -> Case:
        mine = self.kept[method]
        if not self.labels:
            return Case(self.image, self.masks, self.known, mine.truth, mine.prediction)
        at = [i for i, label in enumerate(self.labels) if label in mine.masks]
        # Panels of masks ask for decisions only: the probability is 1 where the label was given
        masks = np.concatenate([mine.prediction.masks, *(mine.mask(self.labels[i]) for i in at)])
        names = tuple(self.labels[i] for i in at)
        prediction = replace(mine.prediction, probability=masks.astype(np.float32), masks=masks, labels=names)
        return Case(self.image, self.masks[at], self.known[at], mine.truth, prediction)

    def __iter__(self) -> Iterator[str]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)


class FigureResults:
    """The results of every run on the images of the figures; a run is opened once, and little of it is kept."""

    def __init__(self, planned: Sequence[Plan], rows: Manifest) -> None:
        self.plans, self.rows = planned, rows
        self.by_id = {row.id: row for row in rows.rows}
        self.kept: dict[tuple[str, str], Kept] = {}

    def wanted(self, name: str) -> dict[str, bool]:
        """Image -> whether its activation maps are shown, of a run."""
        out: dict[str, bool] = {}
        for plan in self.plans:
            if name in plan.rows.values():
                for image in plan.images:
                    if image in self.by_id:
                        out[image] = out.get(image, False) or not plan.marks
        return out

    def read(self, name: str, predictor: Predictor) -> None:
        """Let a run read its images."""
        for image, cam in self.wanted(name).items():
            row = self.by_id[image]
            self.kept[name, image] = Kept.of(predictor, row, self.rows.root / row.image, cam=cam)

    def write(self, folder: Path) -> list[Figure]:
        """Draw the figures into a folder."""
        made = []
        for plan in self.plans:
            picture = self._drawn(plan)
            if picture is not None:
                folder.mkdir(parents=True, exist_ok=True)
                picture.save(folder / plan.file)
                made.append(Figure(plan.table, folder / plan.file, plan.said))
        return made

    def _drawn(self, plan: Plan) -> Image.Image | None:
        """The picture of a plan; None where no method read its images."""
        if plan.finding is not None:
            seen = list(seen_of(plan, self.rows, self._predictions(plan)))
            return guidance_panel(seen, methods=list(plan.rows), finding=plan.finding) if seen else None
        shown = self._cases(plan)
        maps = [k.prediction.cam.get(plan.question or "") for row in shown for k in row.kept.values()]
        if plan.label is not None and shown:
            asked = [q.name for q in plan.chooser.recipe.schema.questions if plan.label in q.evidence]
            return mask_panel(shown, label=plan.label, questions=asked or _first(plan.chooser))
        if plan.labels and shown:
            return lesion_panel(shown, labels=plan.labels, questions=_first(plan.chooser))
        if plan.question is not None and any(maps):
            return cam_panel(shown, question=plan.question)
        return None

    def _predictions(self, plan: Plan) -> dict[str, dict[str, tuple[Prediction, Mapping[str, str]]]]:
        """Image -> method -> what it read, and the true answers."""
        found: dict[str, dict[str, tuple[Prediction, Mapping[str, str]]]] = {}
        for image in plan.images:
            kept = {row: self.kept[run, image] for row, run in plan.rows.items() if (run, image) in self.kept}
            if kept:
                found[image] = {row: (one.prediction, one.truth) for row, one in kept.items()}
        return found

    def _cases(self, plan: Plan) -> list[Unpacked]:
        recipe = plan.chooser.recipe
        if plan.marks:
            schema = recipe.schema.select(questions=(), labels=plan.marks)
        else:  # maps are compared with the evidence of the answer; with all labels if it has none
            evidence = {q.name: q.evidence for q in self.rows.schema.questions}.get(plan.question or "")
            schema = self.rows.schema.select(questions=(), labels=evidence or None)
        out = []
        for image in plan.images:
            kept = {row: self.kept[run, image] for row, run in plan.rows.items() if (run, image) in self.kept}
            kept = {row: one for row, one in kept.items() if plan.label not in one.unplaced}
            if kept:
                row = self.by_id[image]
                pixels = read.image(self.rows.root / row.image, frame=row.frame)
                shape = (pixels.shape[0], pixels.shape[1])
                masks, known = read.masks(
                    row, self.rows.root, schema, annotators=recipe.prepare.annotators, shape=shape
                )
                out.append(Unpacked(pixels, masks, known, plan.marks, kept))
        return out


def _first(run: Run) -> list[str]:
    return [q.name for q in run.recipe.schema.questions[:1]]


def _reduced(cam: np.ndarray) -> np.ndarray:
    scale = CAM_SIZE / max(cam.shape)
    if scale >= 1:
        return cam.astype(np.float16)
    size = (max(1, round(cam.shape[1] * scale)), max(1, round(cam.shape[0] * scale)))
    return np.asarray(cv2.resize(cam, size, interpolation=cv2.INTER_AREA), np.float16)
