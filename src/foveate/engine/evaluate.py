"""Counts before numbers: validation in the network's frame while training, evaluation in the original pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foveate.core.decisions import Decisions
from foveate.core.files import read_json, write_json
from foveate.core.reading import image_probabilities
from foveate.core.types import Batch, Outputs, Prediction, Row
from foveate.data.cache import Cache
from foveate.data.loader import Dataset, batches
from foveate.data.manifest import Manifest
from foveate.engine.read_rows import read_rows
from foveate.engine.recipe import Loss, Recipe
from foveate.engine.run import CALMER, DivergedError, Run, forward
from foveate.metrics.counts import Counts
from foveate.metrics.lesions import write_lesions
from foveate.metrics.listing import Named, upgraded
from foveate.metrics.never_given import never_given
from foveate.metrics.summary import estimates, summary
from foveate.metrics.table import Table


def validate(
    network: nn.Module, data: Dataset, *, loss: Loss, recipe: Recipe, device: torch.device, threads: int = 2
) -> Named[float]:
    """Metrics of `metrics.summary` and the mean loss, in the network's frame (no undo), for choosing weights.

    Raises:
        DivergedError: the loss is not a number.
    """
    mean, counts = count_validation(network, data, loss=loss, recipe=recipe, device=device, threads=threads)
    return Named({"loss": mean, **summary(counts)})


@torch.no_grad()  # one process validates: a loss that adds up over all would wait for the others
def count_validation(
    network: nn.Module, data: Dataset, *, loss: Loss, recipe: Recipe, device: torch.device, threads: int = 2
) -> tuple[float, Counts]:
    """The mean loss and the counts that `validate` makes its metrics of; `metrics.never_given` reads the counts.

    Raises:
        DivergedError: the loss is not a number.
    """
    network.eval()
    parts, totals, images = [], 0.0, 0
    groups = {row.id: row.group for row in data.rows}
    for batch in batches(data, batch=recipe.batch, shuffle=False, threads=threads):
        batch = batch.to(device)
        outputs = forward(network, batch, precision=recipe.precision, infer=recipe.infer)
        totals += float(sum(loss(outputs, batch).values())) * len(batch)
        if math.isnan(totals):
            raise DivergedError(f"validation: the loss is not finite but nan; {CALMER}")
        images += len(batch)
        parts.append(_count_batch(outputs, batch, groups))
    return totals / images, Counts.join(parts)


def evaluate(
    run: Run,
    rows: Manifest,
    *,
    device: str | torch.device = "auto",
    annotators: str | None = None,
    out: str | Path | None = None,
    absent: str = "one",
    intervals: bool = True,
    cache: str | Path | Cache | None = None,
    quiet: bool = True,
    each: Callable[[Row, Prediction], None] | None = None,
    seen: bool = False,
) -> Counts:
    """Compare a run with the ground truth of these rows, pixel by pixel in the original images.

    Of an ensemble each image is read by those members alone that were neither trained nor validated on it or another
    image of its patient: on the rows of its own folds that is one member per image, the out-of-fold reading.

    Writes ``counts.csv`` (image x label), ``lesions.csv`` (every single lesion, drawn or predicted), ``scores.csv``
    (image x answer), ``looks.csv`` (image x finding, if the network has activation maps) and ``metrics.json``
    (metrics with patient-clustered bootstrap intervals; under "never given" the labels and answers that the network
    never gives) to the run folder.

    Args:
        run: from `fit` or `load_run`.
        rows: for instance ``manifest.where(split="test")``.
        device: where the networks run.
        `annotators`: the rule, or the annotator whose masks are the ground truth (None: the recipe's).
        out: another folder for the three files.
        absent: policy for images without the label, in ``metrics.json``.
        intervals: leave them out to save time.
        cache: folder for prepared images.
        quiet: no progress on the terminal.
        each: called with every row and its prediction.
        seen: let all members of an ensemble read every image, those that they have seen, too.

    Raises:
        ValueError: no rows, a stage without weights, ``annotators`` names no rule and nobody who marked these rows; an
            image of which every member of the ensemble has seen the patient.
    """
    if not isinstance(run, Run):
        raise ValueError(f"run must be a Run, got {run!r}; open a folder with foveate.load_run(folder)")
    rule, parts = annotators or run.recipe.prepare.annotators, run.held_out(rows, seen=seen)
    lesions: list[Table] = []
    found = [
        count_rows(
            part,
            some,
            decisions=part.decisions,
            device=device,
            annotators=annotators,
            cache=cache,
            quiet=quiet,
            each=each,
            lesions=lesions,
        )
        for part, some in parts
    ]
    counts = found[0] if len(found) == 1 else _in_order(found, rows)
    folder = Path(out) if out is not None else run.folder
    counts.write(folder)
    write_lesions(folder / "lesions.csv", lesions)
    metrics: Mapping[str, Any] = summary(counts, absent=absent)
    if intervals:
        metrics = {name: _plain(e) for name, e in estimates(counts, absent=absent).items()}
    about = {
        "manifest": str(rows.path.resolve()) if rows.path else None,
        "images": len(rows),
        "groups": len({row.group for row in rows.rows}),
        "splits": sorted({row.split for row in rows.rows if row.split}),
        "seen in training": sum(part.saw(row) for part, some in parts for row in some),
        "read by": [{"members": [one.folder.name for one in p.members], "images": len(some)} for p, some in parts],
        "annotators": rule,
        "absent": absent,
        "decisions": [p.decisions.to_json() for p, _ in parts] if len(parts) > 1 else parts[0][0].decisions.to_json(),
        "never given": list(never_given(counts)),
        "averaging": "per-image metrics averaged over images, then over labels; answers pooled over images",
        "interval": "95 % percentile bootstrap over patients, 1000 repeats" if intervals else None,
    }
    write_json(folder / "metrics.json", {"about": about, "metrics": metrics})
    return counts


def read_metrics(folder: str | Path) -> Named[Any]:
    """The metrics of ``metrics.json``: name -> value, or value with its interval as `evaluate` wrote it.

    Files of earlier versions, whose names had no levels, read the same.

    Args:
        folder: of an evaluated run.
    """
    data = read_json(Path(folder) / "metrics.json")
    found: Named[Any] = upgraded(data["metrics"] if "metrics" in data else data["figures"])
    return found


def _in_order(parts: Sequence[Counts], rows: Manifest) -> Counts:
    """Counts of all parts, image by image in the order of the rows."""
    joined = Counts.join(parts)
    counted = set(joined.images)
    return joined.take([row.id for row in rows if row.id in counted])


def count_rows(
    run: Run,
    rows: Manifest,
    *,
    decisions: Decisions,
    device: str | torch.device = "auto",
    annotators: str | None = None,
    cache: str | Path | Cache | None = None,
    quiet: bool = True,
    each: Callable[[Row, Prediction], None] | None = None,
    lesions: list[Table] | None = None,
) -> Counts:
    """Counts of these rows in their original pixels, under given decisions; nothing is written.

    Arguments and errors as for `evaluate`; a table of single lesions (`metrics.lesions`) for each image is put into
    ``lesions``.
    """
    if not len(rows):
        raise ValueError("rows: none to evaluate; does the manifest have the split that was asked for?")
    rule, parts = annotators or run.recipe.prepare.annotators, []
    for one in read_rows(run, rows, decisions=decisions, device=device, annotators=rule, cache=cache, quiet=quiet):
        parts.append(one.counts(lesions))
        if each is not None:
            each(one.row, one.prediction)
    return Counts.join(parts)


def _plain(estimate: Any) -> dict[str, Any]:
    return {name: getattr(estimate, name) for name in ("value", "low", "high", "images", "groups", "undefined")}


def _count_batch(outputs: Outputs, batch: Batch, groups: Mapping[str, str]) -> Counts:
    """Counts of a batch in the network's frame."""
    schema = batch.schema
    answers = image_probabilities(outputs, schema)
    masks, known = batch.masks, batch.known
    if outputs.pixel is None:
        probability: Tensor = masks[:, :0].float()
        masks, known = masks[:, :0], known[:, :0]
        schema = schema.select(labels=())
    else:
        probability = schema.pixel_probability(outputs.pixel)
    if outputs.image is None:
        schema = replace(schema, questions=())
    return Counts.of(
        schema,
        images=batch.ids,
        groups=[groups[i] for i in batch.ids],
        probability=probability.cpu().numpy(),
        predicted=schema.masks(probability).cpu().numpy() if schema.labels else masks.cpu().numpy(),
        masks=masks.cpu().numpy(),
        known=known.cpu().numpy(),
        answer_probability=answers,
        given=schema.decide(answers) if answers else {},
        answers=batch.answers.cpu().numpy() if answers else np.zeros((len(batch), 0), np.int64),
    )
