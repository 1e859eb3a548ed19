"""The contents of a finding's figure, per image: mask and cue in the original pixels, and the map of each method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float

from foveate.core.shapes import Geometry
from foveate.core.types import Case, Prediction
from foveate.data import read
from foveate.data.cues import regions_of
from foveate.data.manifest import Manifest
from foveate.report.panels import answer_words
from foveate.report.region_panels import Seen
from foveate.reporting.figure_plans import Plan

Read = Mapping[str, tuple[Prediction, Mapping[str, str]]]
"""Method -> what it read of an image, and the true answers."""


def seen_of(plan: Plan, rows: Manifest, found: Mapping[str, Read]) -> Iterator[Seen]:
    """The images of a plan, each with its mask, its cue as it was evaluated, and the methods' maps.

    Args:
        plan: of a finding.
        rows: the study's manifest.
        found: image -> what each method read.
    """
    recipe, finding = plan.chooser.recipe, plan.finding or ""
    question = recipe.schema.question(finding)
    at = recipe.schema.questions.index(question)
    make_cues = recipe.eval_cues or recipe.cues
    by_id = {row.id: row for row in rows}
    evidence = recipe.schema.select(questions=(), labels=question.evidence)
    for image, read_by in found.items():
        row = by_id[image]
        sample = recipe.prepare(row, rows.root, recipe.schema)
        geometry = sample.geometry
        masks, sure = read.masks(row, rows.root, evidence, annotators=recipe.prepare.annotators, shape=geometry.source)
        cues, known = make_cues(sample) if make_cues is not None else (None, None)
        cue = None
        if cues is not None and known is not None and known[at]:
            cue = geometry.undo(torch.from_numpy(cues[at : at + 1]).float())[0].numpy() >= 0.5
        pixels = read.image(rows.root / row.image, frame=row.frame)
        maps, words = {}, {}
        for method, (prediction, truth) in read_by.items():
            (cam,) = prediction.cam[finding].values()
            maps[method] = _whole(cam, geometry)
            nothing = np.zeros((0, *geometry.source), np.uint8)
            case = Case(pixels, nothing, nothing, truth, prediction)
            answer = answer_words(case, finding, prediction.answers[finding])
            words[method] = (answer, *filter(None, [plan.airs.get((method, image))]))
        yield Seen(
            id=image,
            image=pixels,
            mask=_marked(masks, sure),
            cue=cue,
            regions=regions_of(sample, recipe.schema),
            maps=maps,
            words=words,
        )


def _marked(masks: np.ndarray, known: np.ndarray) -> Bool[np.ndarray, "h w"]:
    return np.asarray((masks.astype(bool) & known.astype(bool)).any(0))


def _whole(cam: np.ndarray, geometry: Geometry) -> Float[np.ndarray, "h w"]:
    """A kept map on the image's own pixels; nan outside the part that the networks look at."""
    rows, cols = geometry.source
    full = cv2.resize(cam.astype(np.float32), (cols, rows), interpolation=cv2.INTER_LINEAR)
    top, left, height, width = geometry.crop
    out = np.full((rows, cols), np.nan, np.float32)
    part = slice(top, top + height), slice(left, left + width)
    out[part] = full[part]
    return out
