"""Localisation of a study's classifiers: the share of each class activation map that is on marked pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from foveate.data import read
from foveate.data.manifest import Manifest
from foveate.inference.predictor import Predictor
from foveate.metrics.counts import Counts
from foveate.metrics.interval import difference, interval
from foveate.metrics.localisation import air, pointing
from foveate.metrics.weighted import Metrics, mean
from foveate.recipes import load_run
from foveate.report.table import Column, Table
from foveate.report.table_cells import Cell
from foveate.report.tables import said_of_draws

METRICS = ("AIR", "pointing")


def cam_table(
    folder: Path, title: str, record: Mapping[str, Any], rows: Manifest, *, device: str = "auto", repeats: int = 1000
) -> Table | None:
    """Make a table of AIR and the pointing game, of each method's map of its answer, on test images with a lesion.

    The map is ReLU Grad-CAM of the last stage that answers, or a finding's own activation map if the network has one,
    enlarged to the image. The lesion is the union of all labels.

    Args:
        folder: of the study.
        title: of one of its tables.
        record: the contents of its ``study.json``.
        rows: its manifest.
        device: where the networks run.
        repeats: bootstrap draws.

    Returns:
        None if fewer than two rows of the table answer, or no image is marked.
    """
    table = record["tables"][title]
    counts: dict[str, Counts] = {}
    values: dict[int, Float[np.ndarray, "n k"]] = {}
    for row, name in table["rows"].items():
        runs = [load_run(folder / "runs" / name / fold) for fold in record["folds"]]
        if not runs[0].recipe.schema.questions:
            continue
        held = [Counts.read(run.folder, run.recipe.schema) for run in runs]
        seen: dict[str, tuple[float, ...]] = {}
        for run, part in zip(runs, held, strict=True):
            seen |= _looks(Predictor(run, device=device), rows, part.images)
        counts[row] = Counts.join(held)
        values[id(counts[row])] = np.array([seen[image] for image in counts[row].images])
    if len(counts) < 2 or all(np.isnan(v).all() for v in values.values()):
        return None

    def statistic(found: Counts, weights: Float[np.ndarray, "r n"]) -> Metrics:
        return dict(zip(METRICS, mean(values[id(found)][:, :2], weights).T, strict=True))

    reference = next((name for name in table["references"] if name in counts), next(iter(counts)))
    lines: list[tuple[Cell, ...]] = []
    for row, found in counts.items():
        own = interval(statistic, found, repeats=repeats)
        gaps = difference(statistic, found, counts[reference], repeats=repeats) if row != reference else {}
        lines.append((row, *(cell for name in METRICS for cell in (own[name], gaps.get(name)))))
    every = next(iter(counts.values()))
    share = np.nanmean(next(iter(values.values()))[:, 2])
    note = (
        "AIR: activation on the lesion / all activation, of the map of the answer given (a finding's own map if the "
        "network has one). Pointing: whether the highest activation is on the lesion. Means over the images with a "
        f"lesion; a constant map has the AIR {share:.3f}, the lesion's mean share of the image.",
        said_of_draws(every, (), repeats=repeats, level=0.95),
        f"Δ: minus {reference}, paired: the same draws of the same images.",
    )
    columns = [Column("method"), *(c for n in METRICS for c in (Column(n, max), Column(f"Δ {n}")))]
    return Table(f"{record['name']}, {title}: where the answer was seen", tuple(columns), tuple(lines), note)


def _looks(predictor: Predictor, rows: Manifest, images: tuple[str, ...]) -> dict[str, tuple[float, ...]]:
    """Image -> AIR, pointing and the lesion's share of the image; nan where it bears none."""
    schema, by_id = predictor.schema, {row.id: row for row in rows.rows}
    question = schema.questions[0].name
    out: dict[str, tuple[float, ...]] = {}
    for image in images:
        row = by_id[image]
        found = predictor(rows.root / row.image, frame=row.frame, cam=True)
        shape = (found.image.shape[0], found.image.shape[1])
        masks, known = read.masks(row, rows.root, schema, annotators=predictor.prepare.annotators, shape=shape)
        lesion = (masks & known).any(0)
        _, cam = found.map_of(question)
        out[image] = (air(cam, lesion), pointing(cam, lesion), float(lesion.mean()) if lesion.any() else float("nan"))
    return out
