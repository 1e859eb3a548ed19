"""`settled`: a recipe whose precision is "auto" gets the one that it trains with, once per run."""

from __future__ import annotations

from pathlib import Path

import torch

from foveate.core.files import read_json
from foveate.data.cache import Cache
from foveate.data.loader import Dataset, batches
from foveate.data.manifest import Manifest
from foveate.engine.precision import NO_UNITS, Measured, has_bf16_units, measured_precision, training_steps
from foveate.engine.recipe import AUTO, Recipe


def settled(recipe: Recipe, rows: Manifest, *, folder: Path, device: torch.device, cache: Cache) -> tuple[Recipe, str]:
    """The recipe with "fp32" or "bf16" in place of "auto", and a line that gives the reason (empty = no news).

    A run that exists keeps its own precision: resumed on another machine it must end with the same weights.

    Args:
        recipe: the method.
        rows: a manifest with splits; the first training images of the first stage are measured.
        folder: of the run; its ``recipe.json``, if there is one, holds the precision.
        device: that it trains on.
        cache: of prepared images.
    """
    if recipe.precision != AUTO:
        return recipe, ""
    path = folder / "recipe.json"
    if path.is_file():
        return recipe.in_precision(recorded(read_json(path))), ""
    found = _measured(recipe, rows, device, cache) if has_bf16_units(device) else Measured("fp32", why_not=NO_UNITS)
    return recipe.in_precision(found.precision), str(found)


def recorded(record: dict[str, object]) -> str:
    """The precision in a run's ``recipe.json``; runs written before there was "auto" have fp32 if they name none."""
    return str(record.get("precision", "fp32"))


def _measured(recipe: Recipe, rows: Manifest, device: torch.device, cache: Cache) -> Measured:
    """By steps of the first stage, which reads no maps, on its first training images."""
    stage = recipe.stages[0]
    seen = recipe.seen_by(stage)
    mine = (rows.where(stage.rows) if stage.rows else rows).where(split="train")
    images = min(seen.batch // seen.accumulate, len(mine))
    if not images:
        return Measured("fp32", why_not="there is no training image")
    data = Dataset(mine.rows[:images], mine.root, seen.schema, seen.prepare, cache=cache, cues=seen.cues)
    batch = next(batches(data, batch=images, shuffle=False, threads=0)).to(device)
    if seen.patches is not None:
        batch = seen.patches.split(batch)
    return measured_precision(training_steps(seen, stage, batch, device))
