"""What a trained run decides by, chosen on its validation images: temperatures, thresholds, gates; never on test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar

from foveate.core.decisions import Decisions, Gate
from foveate.data.cache import Cache
from foveate.data.manifest import Manifest
from foveate.engine.checkpoint import write_json
from foveate.engine.evaluate import count_rows
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
    device: str | torch.device = "auto",
    cache: str | Path | Cache | None = None,
    quiet: bool = True,
) -> Decisions:
    """Fit a run's decisions on the images that chose its weights, and keep them in ``calibration.json``.

    `Predictor` and `evaluate` read them from there; evaluate again afterwards. Delete the file to undo it.

    Args:
        run: from `fit` or `load_run`.
        rows: a manifest that holds the run's validation images; all others are passed over, whatever their split says.
        threshold: where "yes" begins: a rule of `metrics.operating.best_point`; None = at 0.5.
        device: where the networks run.
        cache: folder for prepared images.
        quiet: no progress on the terminal.

    Raises:
        ValueError: none of the rows validated the run, or there is no such rule.
    """
    if threshold is not None:
        judged(threshold)  # before the images are read
    splits = run.splits
    val = rows.with_rows([row for row in rows if splits.get(row.id) == "val"])
    if not len(val):
        raise ValueError("rows: none of them validated this run; give the manifest that it was trained with")
    counts = count_rows(run, val, decisions=Decisions(), device=device, cache=cache, quiet=quiet)
    found = fitted(counts, gates=run.recipe.gates, threshold=threshold)
    about = {
        "images": len(val),
        "groups": len({row.group for row in val}),
        "manifest": val.hash,
        "threshold": threshold,
    }
    write_json(run.folder / CALIBRATION, {**found.to_json(), "about": about})
    return found


def fitted(counts: Counts, *, gates: Iterable[Gate] = (), threshold: str | None = "harmonic") -> Decisions:
    """Temperatures, thresholds and gates that do best on these counts.

    A question's temperature makes its known answers likeliest (Guo et al. 2017); a yes/no question's threshold is
    `metrics.operating.best_point`; a gate's has the highest mean Dice of its labels, a rightly empty mask being 1. A
    question of which only one answer is seen keeps temperature 1 and threshold 0.5.

    Args:
        counts: of validation images, neither calibrated nor gated.
        gates: whose thresholds are chosen.
        threshold: the rule of yes/no questions; None = they keep 0.5.
    """
    temperatures, thresholds, probability = {}, {}, {}
    for question in counts.schema.questions:
        scores = counts.questions[question.name]
        heat = temperature(scores)
        probability[question.name] = tempered(scores.probability, heat)
        temperatures[question.name] = heat
        point = best_point(counts, question.name, rule=threshold) if question.yes_no and threshold else None
        if point is not None:
            cut = np.array([[1 - point.threshold, point.threshold]])
            thresholds[question.name] = float(tempered(cut, heat)[0, 1])
    chosen = []
    for gate in gates:
        asked = counts.questions[gate.question]
        evidence = dict(zip(asked.image.tolist(), gate.evidence(probability, counts.schema).tolist(), strict=True))
        chosen.append(_opened_best(gate, counts, evidence))
    return Decisions(temperatures, thresholds, tuple(chosen))


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
