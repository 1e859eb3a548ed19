"""Counts before numbers: validation in the network's frame while training, evaluation in the original pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from foveate.core.decisions import Decisions
from foveate.core.labels import LabelSchema
from foveate.core.reading import image_probabilities, read_out
from foveate.core.types import Batch, Outputs, Prediction, Row
from foveate.data import read
from foveate.data.cache import Cache, cache_at
from foveate.data.loader import Dataset, batches
from foveate.data.manifest import Manifest
from foveate.engine.checkpoint import write_json
from foveate.engine.looks import looked
from foveate.engine.recipe import Loss, Recipe
from foveate.engine.run import CALMER, DivergedError, Run, forward, pick_device
from foveate.metrics.counts import Counts
from foveate.metrics.lesions import lesion_rows, write_lesions
from foveate.metrics.never_given import never_given
from foveate.metrics.summary import estimates, summary
from foveate.metrics.table import Table


def validate(
    network: nn.Module, data: Dataset, *, loss: Loss, recipe: Recipe, device: torch.device, threads: int = 2
) -> dict[str, float]:
    """Figures of `metrics.summary` and the mean loss, in the network's frame (no undo), for choosing weights.

    Raises:
        DivergedError: the loss is not a number.
    """
    mean, counts = count_validation(network, data, loss=loss, recipe=recipe, device=device, threads=threads)
    return {"loss": mean, **summary(counts)}


@torch.no_grad()  # one process validates: a loss that adds up over all would wait for the others
def count_validation(
    network: nn.Module, data: Dataset, *, loss: Loss, recipe: Recipe, device: torch.device, threads: int = 2
) -> tuple[float, Counts]:
    """The mean loss and the counts that `validate` makes its figures of; `metrics.never_given` reads the counts.

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
    graders: str | None = None,
    out: str | Path | None = None,
    absent: str = "one",
    intervals: bool = True,
    cache: str | Path | Cache | None = None,
    quiet: bool = True,
    each: Callable[[Row, Prediction], None] | None = None,
) -> Counts:
    """Hold a run against the truth of these rows, pixel by pixel in the original images.

    Writes ``counts.csv`` (image x label), ``lesions.csv`` (every single lesion, drawn or predicted), ``scores.csv``
    (image x answer), ``looks.csv`` (image x finding, where the network has activation maps) and ``metrics.json``
    (figures with patient-clustered bootstrap intervals; under "never given" the labels and answers that the network
    never gives) to the run folder.

    Args:
        run: from `fit` or `load_run`.
        rows: for instance ``manifest.where(split="test")``.
        device: where the networks run.
        graders: rule or grader to hold it against (None: the recipe's).
        out: another folder for the three files.
        absent: policy for images without the label, in ``metrics.json``.
        intervals: leave them out to save time.
        cache: folder for prepared images.
        quiet: no progress on the terminal.
        each: called with every row and its prediction.

    Raises:
        ValueError: no rows, a stage without weights, ``graders`` is no rule and no grader of these rows.
    """
    if not isinstance(run, Run):
        raise ValueError(f"run={run!r} is no Run; open a folder with foveate.load_run(folder)")
    rule, decisions = graders or run.recipe.prepare.graders, run.decisions
    lesions: list[Table] = []
    counts = count_rows(
        run,
        rows,
        decisions=decisions,
        device=device,
        graders=graders,
        cache=cache,
        quiet=quiet,
        each=each,
        lesions=lesions,
    )
    folder = Path(out) if out is not None else run.folder
    counts.write(folder)
    write_lesions(folder / "lesions.csv", lesions)
    figures: Mapping[str, Any] = summary(counts, absent=absent)
    if intervals:
        figures = {name: _plain(e) for name, e in estimates(counts, absent=absent).items()}
    about = {
        "manifest": str(rows.path.resolve()) if rows.path else None,
        "images": len(rows),
        "groups": len({row.group for row in rows.rows}),
        "splits": sorted({row.split for row in rows.rows if row.split}),
        "seen in training": sum(run.splits.get(row.id) in ("train", "val") for row in rows),
        "graders": rule,
        "absent": absent,
        "decisions": decisions.to_json(),
        "never given": list(never_given(counts)),
        "averaging": "per-image figures averaged over images, then over labels; answers pooled over images",
        "interval": "95 % percentile bootstrap over patients, 1000 repeats" if intervals else None,
    }
    write_json(folder / "metrics.json", {"about": about, "figures": figures})
    return counts


def count_rows(
    run: Run,
    rows: Manifest,
    *,
    decisions: Decisions,
    device: str | torch.device = "auto",
    graders: str | None = None,
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
    recipe, place = run.recipe, pick_device(device)
    rule = graders or recipe.prepare.graders
    reader = run.reader(device=place)
    prepare = replace(recipe.prepare, graders=rule)
    aims = recipe.aims or recipe.cues
    data = Dataset(rows.rows, rows.root, recipe.schema, prepare, cache=cache_at(cache), regions=aims)
    groups = {row.id: row.group for row in rows.rows}
    by_id = {row.id: row for row in rows.rows}
    parts = []
    stream = batches(data, batch=recipe.batch, seed=0, epoch=0, shuffle=False)
    for batch in track(stream, "evaluate", total=-(-len(rows) // recipe.batch), disable=quiet, transient=True):
        batch = batch.to(place)
        outputs = reader(batch)
        looks = looked(outputs, batch, groups=groups)
        truth = batch.answers.cpu().numpy()
        found = read_out(outputs, schema=recipe.schema, ids=batch.ids, geometries=batch.geometries, decisions=decisions)
        for i, prediction in enumerate(found):
            row = by_id[prediction.id]
            parts.append(
                _count_one(prediction, row, rows.root, recipe.schema, truth[i : i + 1], rule, looks[i], lesions)
            )
            if each is not None:
                each(row, prediction)
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


def _count_one(
    prediction: Prediction,
    row: Row,
    root: Path,
    schema: LabelSchema,
    answers: np.ndarray,
    rule: str,
    looks: Sequence[Table],
    lesions: list[Table] | None,
) -> Counts:
    """Counts of one image in its own pixels, and its single lesions."""
    shape = prediction.masks.shape[1:]
    seen = schema.select(labels=prediction.labels)
    if not prediction.answers:
        seen, answers = replace(seen, questions=()), answers[:, :0]
    masks, known = read.masks(row, root, seen, graders=rule, shape=(shape[0], shape[1]))
    if lesions is not None:
        truth, sure = masks.astype(bool), known.astype(bool)
        lesions.append(lesion_rows(seen.labels, image=row.id, predicted=prediction.masks, masks=truth, known=sure))
    probability = {q: np.array([list(p.values())]) for q, p in prediction.probabilities.items()}
    return Counts.of(
        seen,
        images=[row.id],
        groups=[row.group],
        probability=prediction.probability[None],
        predicted=prediction.masks[None],
        masks=masks[None].astype(bool),
        known=known[None].astype(bool),
        answer_probability=probability,
        given={q: np.array([schema.question(q).index(a)]) for q, a in prediction.answers.items()},
        answers=answers,
        looks=looks,
    )
