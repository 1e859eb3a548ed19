"""Costs of the rows of a study: size, work, memory, and time to train and to read an image."""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from foveate.core.files import write_json
from foveate.core.types import Batch
from foveate.engine.batchnorm_folding import fold_when_called
from foveate.engine.recipe import Recipe, Stage
from foveate.engine.run import Run, forward, pick_device
from foveate.models.parts.size import multiply_adds, peak_mib, size_mib

REPEATS = 7


def stage_costs(run: Run, *, device: str = "auto") -> dict[str, dict[str, float]]:
    """Stage -> cost -> value (names of `engine.study.COSTS`), kept in the run's ``costs.json``.

    Measured once a run, on one blank image of the prepared size, or on all its windows where the run reads so; the time
    is the median of seven forward passes after two, times the views of an image (`Recipe.views`), and means something
    only where the machine had nothing else to do. Time of training is what the run took, resumed parts included,
    wherever that was. A stage that is not run when images are read, because a later one has it inside, costs its
    training alone.
    """
    path = run.folder / "costs.json"
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return dict(found["stages"])
    place = pick_device(device)
    blank = _blank(run.recipe, None).to(place)
    read = {step.stage.name for step in next(run.pipeline(device=place).passes(blank)).steps}
    stages = {stage.name: _measure(run, stage, place, read=stage.name in read) for stage in run.recipe.stages}
    write_json(path, {"device": str(place), "threads": torch.get_num_threads(), "stages": stages})
    return stages


def row_costs(stages: dict[str, dict[str, float]], part: tuple[int | None, int | None]) -> dict[str, float]:
    """Sums over some of a row's stages; memory is the largest of any, for they run one after another."""
    chosen = list(stages.values())[slice(*part)]
    return {name: (max if name == "memory" else sum)(s[name] for s in chosen) for name in chosen[0]}


def _measure(run: Run, stage: Stage, device: torch.device, *, read: bool) -> dict[str, float]:
    recipe, views = run.recipe.seen_by(stage), max(1, len(run.recipe.views))
    training = _seconds(run.stage_folder(stage.name) / "times.jsonl") / 60
    if not read:
        return {"size": 0.0, "training": training, "test": 0.0, "operations": 0.0, "memory": 0.0}
    with torch.device("meta"):
        network, batch = stage.network(), _blank(recipe, stage)
        parts = [(batch.image, batch.prior)]
        if recipe.infer is not None:
            parts = list(recipe.infer.windows(batch))
        work = views * sum(multiply_adds(network, image, prior=prior) for image, prior in parts) / 1e9
        memory = peak_mib(network, parts[0][0], prior=parts[0][1])
        size = size_mib(network)
    network, batch = fold_when_called(run.network(stage.name, device=device)), _blank(recipe, stage).to(device)
    times = []
    for _ in range(2 + REPEATS):
        began = time.perf_counter()
        forward(network, batch, precision=recipe.precision, infer=recipe.infer)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - began))
    return {"size": size, "training": training, "test": views * median(times[2:]), "operations": work, "memory": memory}


def _blank(recipe: Recipe, stage: Stage | None) -> Batch:
    rows, cols = recipe.prepare.shape
    image = torch.zeros(1, 1 if recipe.prepare.grey else 3, rows, cols)
    labels = torch.zeros(1, len(recipe.schema.labels), rows, cols, dtype=torch.bool)
    answers = torch.zeros(1, len(recipe.schema.questions), dtype=torch.long)
    prior = torch.zeros(1, 1, rows, cols) if stage is not None and stage.reads else None
    return Batch(recipe.schema, ("blank",), image, answers, labels, labels, prior=prior)


def _seconds(path: Path) -> float:
    """Training time from a stage's ``times.jsonl``, whose clock starts anew after each interruption."""
    total = before = 0.0
    for line in path.read_text(encoding="utf-8").splitlines():
        now = float(json.loads(line)["seconds"])
        total += now - before if now >= before else now
        before = now
    return total
