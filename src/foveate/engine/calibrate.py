"""How a trained run decides, chosen on validation images, never on test: temperatures, thresholds, gates, masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar

from foveate.core.decisions import Decisions, Gate
from foveate.core.files import read_json, write_json
from foveate.core.reading import field_pixels
from foveate.data.cache import Cache
from foveate.data.manifest import Manifest
from foveate.engine.evaluate import count_rows
from foveate.engine.mask_choice import Choice, Tried, choose, tried
from foveate.engine.read_rows import read_rows
from foveate.engine.run import CALIBRATION, Run
from foveate.metrics.counts import Counts, QuestionScores
from foveate.metrics.operating import best_point, judged
from foveate.metrics.segmentation import per_image

COLDEST, HOTTEST = 0.1, 10.0
"""Range of temperatures: answers that are all right on a small validation set would be sharpened without end."""


def calibrate(
    run: Run,
    rows: Manifest,
    *,
    threshold: str | None = "harmonic",
    masks: bool = True,
    device: str | torch.device = "auto",
    cache: str | Path | Cache | None = None,
    quiet: bool = True,
) -> Decisions:
    """Fit a run's decisions on the images that chose its weights, and keep them in ``calibration.json``.

    `Predictor` and `evaluate` read them from there; evaluate again afterwards. Delete the file to undo it.

    Each member of an ensemble is calibrated by itself on the images that chose its own weights. From the same readings,
    pooled, follow the ensemble's own thresholds, gates and smallest lesions, for images that no member has seen: every
    fold's few lesions count together. Images of its folds are read by their own member under that member's decisions,
    so no image decides how it is evaluated.

    Args:
        run: from `fit`, `fit_folds` or `load_run`.
        rows: a manifest with the run's validation images; all others are ignored, whatever their split.
        threshold: where "yes" begins: a rule of `metrics.operating.best_point`; None = at 0.5.
        masks: also choose where each label begins, and its smallest lesion (`mask_choice`).
        device: where the networks run.
        cache: folder for prepared images.
        quiet: no progress on the terminal.

    Raises:
        ValueError: none of the rows validated the run, or there is no such rule.
    """
    if threshold is not None:
        judged(threshold)  # before the images are read
    seen = [
        _gather(member, rows, threshold=threshold, masks=masks, device=device, cache=cache, quiet=quiet)
        for member in run.members
    ]
    for member, one in zip(run.members, seen, strict=True):
        _write(member, one, threshold=threshold)
    if run.members[0] is run:
        return seen[0].decisions
    counts = Counts.join([heated(one.counts, one.decisions.temperatures) for one in seen])
    found = replace(fitted(counts, gates=run.recipe.gates, threshold=threshold, heat=False), temperatures={})
    choices = choose([t for one in seen for t in one.tried], labels=run.recipe.schema.labels) if masks else []
    every = rows.with_rows(row for one in seen for row in one.rows)
    whole = Gathered(every, counts, [], _with_masks(found, choices), choices)
    _write(run, whole, threshold=threshold)
    return whole.decisions


class Gathered(NamedTuple):
    """Result of a run's validation images: the rows, their counts (nothing decided), masks tried, and the decisions."""

    rows: Manifest
    counts: Counts
    tried: list[Tried]
    decisions: Decisions
    choices: list[Choice]


def _gather(
    run: Run,
    rows: Manifest,
    *,
    threshold: str | None,
    masks: bool,
    device: str | torch.device,
    cache: str | Path | Cache | None,
    quiet: bool,
) -> Gathered:
    """Read a run's validation images, once for its answers and gates, and once with these for its masks."""
    splits = run.splits
    val = rows.with_rows([row for row in rows if splits.get(row.id) == "val"])
    if not len(val):
        raise ValueError("rows: none of them validated this run; give the manifest that it was trained with")
    schema, annotators = run.recipe.schema, run.recipe.prepare.annotators
    counts = count_rows(run, val, decisions=Decisions(), device=device, cache=cache, quiet=quiet)
    found = fitted(counts, gates=run.recipe.gates, threshold=threshold)
    every: list[Tried] = []
    if masks and schema.labels:
        for one in read_rows(run, val, decisions=found, device=device, annotators=annotators, cache=cache, quiet=quiet):
            truth, known = one.truth
            area, group = field_pixels(one.geometry), one.row.group
            every += tried(one.prediction, schema=schema, group=group, masks=truth, known=known, field=area)
    choices = choose(every, labels=schema.labels) if masks else []
    return Gathered(val, counts, every, _with_masks(found, choices), choices)


def _with_masks(found: Decisions, choices: Iterable[Choice]) -> Decisions:
    """Decisions with what was chosen of each label; what was not is left out."""
    every = list(choices)
    return replace(
        found,
        cuts={one.label: one.cut for one in every if one.cut is not None},
        specks={one.label: one.speck for one in every if one.speck > 0},
    )


def _write(run: Run, found: Gathered, *, threshold: str | None) -> None:
    """Keep decisions, and what they rest on, in the run's folder."""
    about = {
        "images": len(found.rows),
        "groups": len({row.group for row in found.rows}),
        "manifest": found.rows.hash,
        "threshold": threshold,
        "labels": [one.to_json() for one in found.choices],
    }
    write_json(run.folder / CALIBRATION, {**found.decisions.to_json(), "about": about})


def choices_of(run: Run) -> list[Choice]:
    """The choice of calibration for each label, and why; empty if the run is not calibrated, or its masks are not."""
    path = run.folder / CALIBRATION
    about = read_json(path)["about"] if path.is_file() else {}
    return [Choice(**one) for one in about.get("labels", ())]


def fitted(
    counts: Counts, *, gates: Iterable[Gate] = (), threshold: str | None = "harmonic", heat: bool = True
) -> Decisions:
    """Temperatures, thresholds and gates that do best on these counts.

    A question's temperature makes its known answers likeliest (Guo et al. 2017); a yes/no question's threshold is
    `metrics.operating.best_point`; a gate's has the highest mean Dice of its labels, a rightly empty mask being 1. A
    question of which only one answer is seen keeps temperature 1 and threshold 0.5.

    Args:
        counts: of validation images, neither calibrated nor gated.
        gates: whose thresholds are chosen.
        threshold: the rule of yes/no questions; None = they keep 0.5.
        heat: choose temperatures; False = all are 1, for the probabilities are calibrated.
    """
    temperatures, thresholds, probability = {}, {}, {}
    for question in counts.schema.questions:
        scores = counts.questions[question.name]
        warmth = temperature(scores) if heat else 1.0
        probability[question.name] = tempered(scores.probability, warmth)
        temperatures[question.name] = warmth
        point = best_point(counts, question.name, rule=threshold) if question.yes_no and threshold else None
        if point is not None:
            cut = np.array([[1 - point.threshold, point.threshold]])
            thresholds[question.name] = float(tempered(cut, warmth)[0, 1])
    chosen = []
    for gate in gates:
        asked = counts.questions[gate.question]
        evidence = dict(zip(asked.image.tolist(), gate.evidence(probability, counts.schema).tolist(), strict=True))
        chosen.append(_opened_best(gate, counts, evidence))
    return Decisions(temperatures, thresholds, tuple(chosen))


def heated(counts: Counts, temperatures: Mapping[str, float]) -> Counts:
    """Counts with the probabilities of answers as these temperatures make them; the answers given stay."""
    column = counts.answers["probability"].copy()
    for question in counts.schema.questions:
        rows = np.flatnonzero(counts.answers["question"] == question.name)
        of = {a: rows[counts.answers["answer"][rows] == a] for a in question.answers}
        at = np.stack([where[np.argsort(counts.answers["image"][where], kind="stable")] for where in of.values()], 1)
        column[at] = tempered(column[at], temperatures.get(question.name, 1.0))
    return replace(counts, answers={**counts.answers, "probability": column})


def temperature(scores: QuestionScores) -> float:
    """T that minimises the negative log likelihood of p^(1/T), made to sum to 1 (Guo et al. 2017, section 4.2).

    1 where fewer than two different answers are known: the likeliest T would be the coldest or the hottest there is.
    """
    if len(np.unique(scores.truth)) < 2:
        return 1.0
    rows = np.arange(len(scores.truth))

    def loss(log_heat: float) -> float:
        right = tempered(scores.probability, float(np.exp(log_heat)))[rows, scores.truth]
        return float(-np.log(np.maximum(right, 1e-12)).mean())

    found = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def tempered(probability: Float[np.ndarray, "m k"], heat: float) -> Float[np.ndarray, "m k"]:
    """p^(1/T), made to sum to 1: the same as dividing the logits by T, for yes/no questions too."""
    logits = np.log(np.maximum(probability, 1e-12)) / heat
    raised = np.exp(logits - logits.max(1, keepdims=True))
    out: Float[np.ndarray, "m k"] = raised / raised.sum(1, keepdims=True)
    return out


def best_cut(
    probability: Float[np.ndarray, " m"], *, opened: Float[np.ndarray, " m"], closed: Float[np.ndarray, " m"]
) -> float:
    """Threshold with the highest sum of ``opened`` from it on and ``closed`` below; the nearest to 0.5 of equal ones.

    Args:
        probability: of each image.
        opened: what an image is worth at or above the threshold.
        closed: what it is worth below.
    """
    seen = np.unique(probability)
    cuts = np.concatenate([[0.0, 0.5], (seen[1:] + seen[:-1]) / 2, [(seen[-1] + 1) / 2]])
    worth = np.where(probability >= cuts[:, None], opened, closed).sum(1)
    best = cuts[worth >= worth.max() - 1e-9]
    return float(best[np.abs(best - 0.5).argmin()])


def _opened_best(gate: Gate, counts: Counts, evidence: dict[int, float]) -> Gate:
    """The gate with the threshold at which the Dice of its labels is highest; as it is where nothing is known."""
    values: list[tuple[float, float, float]] = []
    for label in gate.labels:
        part = counts.labels[label]
        dice = per_image(part, absent="one")["dice"]
        values += [
            (evidence[image], float(dice[i]), float(part.truth[i] == 0))
            for i, image in enumerate(part.image.tolist())
            if image in evidence
        ]
    if not values:
        return gate
    seen, opened, closed = np.array(values).T
    return replace(gate, threshold=best_cut(seen, opened=opened, closed=closed))
