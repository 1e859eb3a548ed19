"""Rows of a manifest read by a run: one prediction each, in the original pixels, beside what is known of the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from rich.progress import track

from foveate.core.decisions import Decisions
from foveate.core.labels import LabelSchema
from foveate.core.reading import read_out
from foveate.core.shapes import Geometry
from foveate.core.types import Prediction, Row
from foveate.data import read
from foveate.data.cache import Cache, cache_at
from foveate.data.loader import Dataset, batches
from foveate.data.manifest import Manifest
from foveate.engine.localisation import looked
from foveate.engine.run import Run, pick_device
from foveate.metrics.counts import Counts
from foveate.metrics.lesions import lesion_rows
from foveate.metrics.table import Table


@dataclass(frozen=True)
class Read:
    """One image that a run has read.

    Args:
        row: of the manifest.
        root: folder of the manifest.
        schema: of the run.
        `annotators`: the annotator whose masks are the ground truth, or how masks are merged.
        geometry: place of the frame in the image.
        prediction: in the image's own pixels.
        answers: positions of the true answers, -1 unknown.
        looks: where findings were seen, a table each.
    """

    row: Row
    root: Path
    schema: LabelSchema
    annotators: str
    geometry: Geometry
    prediction: Prediction
    answers: Int[np.ndarray, "1 q"]
    looks: Sequence[Table]

    @cached_property
    def truth(self) -> tuple[np.ndarray, np.ndarray]:
        """True masks ``(label, row, col)`` of the labels that the prediction has, and where they are known; 0/1."""
        rows, cols = self.prediction.masks.shape[1:]
        seen = self.schema.select(labels=self.prediction.labels)
        return read.masks(self.row, self.root, seen, annotators=self.annotators, shape=(rows, cols))

    def counts(self, lesions: list[Table] | None = None) -> Counts:
        """Counts of the image in its own pixels; the table of its single lesions is put into ``lesions``."""
        row, prediction, answers = self.row, self.prediction, self.answers
        seen = self.schema.select(labels=prediction.labels)
        if not prediction.answers:
            seen, answers = replace(seen, questions=()), answers[:, :0]
        masks, known = (part.astype(bool) for part in self.truth)
        if lesions is not None:
            lesions.append(lesion_rows(seen.labels, image=row.id, predicted=prediction.masks, masks=masks, known=known))
        return Counts.of(
            seen,
            images=[row.id],
            groups=[row.group],
            probability=prediction.probability[None],
            predicted=prediction.masks[None],
            masks=masks[None],
            known=known[None],
            answer_probability={q: np.array([list(p.values())]) for q, p in prediction.probabilities.items()},
            given={q: np.array([self.schema.question(q).index(a)]) for q, a in prediction.answers.items()},
            answers=answers,
            looks=self.looks,
        )


def read_rows(
    run: Run,
    rows: Manifest,
    *,
    decisions: Decisions,
    device: str | torch.device,
    annotators: str,
    cache: str | Path | Cache | None,
    quiet: bool,
) -> Iterator[Read]:
    """Read these rows one after the other, under given decisions (arguments as for `evaluate.evaluate`)."""
    recipe, place = run.recipe, pick_device(device)
    schema, pipeline = recipe.schema, run.pipeline(device=place)
    prepare = replace(recipe.prepare, annotators=annotators)
    cues = recipe.eval_cues or recipe.cues
    data = Dataset(rows.rows, rows.root, schema, prepare, cache=cache_at(cache), cues=cues)
    groups = {row.id: row.group for row in rows.rows}
    by_id = {row.id: row for row in rows.rows}
    stream = batches(data, batch=recipe.batch, seed=0, epoch=0, shuffle=False)
    for batch in track(stream, "evaluate", total=-(-len(rows) // recipe.batch), disable=quiet, transient=True):
        batch = batch.to(place)
        outputs = pipeline(batch)
        looks = looked(outputs, batch, groups=groups)
        truth = batch.answers.cpu().numpy()
        found = read_out(outputs, schema=schema, ids=batch.ids, geometries=batch.geometries, decisions=decisions)
        for i, one in enumerate(found):
            row, frame = by_id[one.id], batch.geometries[i]
            yield Read(row, rows.root, schema, annotators, frame, one, truth[i : i + 1], looks[i])
