"""Predictions of any program become a run: they are counted against the ground truth of a manifest's images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from foveate.core.files import file_name
from foveate.core.types import MaskSource, Row
from foveate.data import read
from foveate.data.manifest import Manifest
from foveate.engine.prediction_files import PROBABILITIES, mask_files, probabilities
from foveate.engine.predictions import write_predictions
from foveate.metrics.counts import Counts
from foveate.metrics.lesions import lesion_rows, write_lesions
from foveate.metrics.table import Table


def import_predictions(
    folder: str | Path,
    rows: Manifest,
    *,
    out: str | Path,
    annotators: str = "union",
    warn: Callable[[str], None] = lambda _: None,
) -> Counts:
    """Count predictions of another program, device or person on the images of a manifest; returns the counts.

    Writes ``counts.csv``, ``scores.csv``, ``lesions.csv`` and ``predictions.json``, so that ``foveate compare`` reads
    the folder as it reads a run. The files are those of `prediction_files.mask_files` and `probabilities`. A label
    without a mask file is not predicted in that image, and not counted. A mask gives a label's presence the score 1
    or 0; the answer given is the most probable one.

    Args:
        folder: with masks, ``probabilities.csv``, or both.
        rows: the images to compare on.
        out: folder of the run.
        annotators: whose masks are the ground truth, or the rule that merges them.
        warn: called with a line on images without a prediction, and on predictions of other images.

    Raises:
        ValueError: the folder has no prediction of these images, or a probability is not one.
        Unreadable: a mask is damaged or has another size than its image.
    """
    place, schema = Path(folder), rows.schema
    masks = mask_files(place, schema)
    table = place / PROBABILITIES
    scores = probabilities(table, schema) if table.is_file() else {}
    names = {row.id: next((n for n in (row.id, file_name(row.id)) if n in masks), row.id) for row in rows}
    _name_differences(names, {*masks, *scores}, warn)
    lesions: list[Table] = []
    parts = [
        _count(row, place, rows, masks.get(names[row.id], {}), scores.get(row.id, {}), annotators, lesions)
        for row in rows
        if names[row.id] in masks or row.id in scores
    ]
    if not parts:
        raise ValueError(f"{place}: has no prediction of these {len(rows)} images; name them LABEL/ID.png or give "
                         f"{PROBABILITIES}")  # fmt: skip
    counts = Counts.join(parts)
    write_predictions(out, counts, about={"source": str(place), "images": len(parts), "annotators": annotators})
    write_lesions(Path(out) / "lesions.csv", lesions)
    return counts


def _name_differences(names: Mapping[str, str], given: Collection[str], warn: Callable[[str], None]) -> None:
    """Warn of images without a prediction, and of predictions without an image."""
    missing = [image for image, name in names.items() if image not in given and name not in given]
    strange = sorted(set(given) - {*names, *names.values()})
    for what, found in (("images have no prediction", missing), ("predictions are of images not asked for", strange)):
        if found:
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            warn(f"{len(found)} {what}: {', '.join(found[:5])}{more}")


def _count(
    row: Row,
    folder: Path,
    rows: Manifest,
    masks: Mapping[str, tuple[MaskSource, ...]],
    scores: Mapping[str, np.ndarray],
    annotators: str,
    lesions: list[Table],
) -> Counts:
    """The counts of one image; its single lesions are put into ``lesions``."""
    schema, shape = rows.schema, read.size(rows.root / row.image, frame=row.frame)
    given, _ = read.masks(replace(row, masks=masks), folder, schema, shape=shape)
    truth, known = read.masks(row, rows.root, schema, annotators=annotators, shape=shape)
    for at, label in enumerate(schema.labels):
        known[at] *= label in masks
    predicted, drawn, seen = given.astype(bool), truth.astype(bool), known.astype(bool)
    lesions.append(lesion_rows(schema.labels, image=row.id, predicted=predicted, masks=drawn, known=seen))
    answers = schema.answer_indices({name: a for name, a in row.answers.items() if name in scores})
    return Counts.of(
        schema,
        images=[row.id],
        groups=[row.group],
        probability=given.astype(np.float32)[None],
        predicted=predicted[None],
        masks=drawn[None],
        known=seen[None],
        answer_probability={name: p[None] for name, p in scores.items()},
        given={name: np.array([p.argmax()]) for name, p in scores.items()},
        answers=answers[None],
    )
