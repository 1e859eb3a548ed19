"""`fit_folds`: train a recipe once per fold; together the runs are an ensemble, and a cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from foveate.data.cache import Cache
from foveate.data.manifest import Manifest
from foveate.data.split import split
from foveate.engine.calibrate import calibrate
from foveate.engine.distributed import Processes
from foveate.engine.ensemble import Ensemble, write_ensemble
from foveate.engine.fit import fit
from foveate.engine.plan import Plan
from foveate.engine.recipe import Recipe
from foveate.engine.run import CALIBRATION

FOLDS = 5
"""Folds that are made if neither the manifest nor the caller has a number."""


def fit_folds(
    recipe: Recipe,
    rows: Manifest,
    *,
    out: str | Path,
    folds: int | None = None,
    device: str | torch.device = "auto",
    seed: int = 0,
    resume: bool = False,
    cache: str | Path | Cache | None = None,
    quiet: bool = False,
    plan: Plan | None = None,
    say: Callable[[str], None] = print,
) -> Ensemble:
    """Train a recipe once per fold, in ``out/fold0``, ``out/fold1``, ..., each a run folder like any other.

    Fold k tests run k, the next fold chooses its weights, the others train it (`Manifest.fold`). All runs have one
    recipe, made from all rows, so that they read the same frames.

    Args:
        recipe: the method.
        rows: with folds, or without: then `folded` makes them.
        out: folder of the ensemble.
        folds: how many; None = as many as the manifest has, else `FOLDS`.
        device, seed, cache, quiet: as for `fit`.
        plan: how the recipe's keywords were decided, for every fold alike (`first_part`); kept in each run.
        resume: keep the folds that are trained, and go on with the others.
        `say`: called with a line on the folds, and one before each.

    Returns:
        the ensemble, as `load_run` opens it; calibrated if the recipe asks for that.

    Raises:
        ValueError: the manifest has another number of folds, or what `fit` raises.
    """
    folder, processes = Path(out), Processes(device)
    tell = say if processes.first else _silent
    made, words = folded(rows, folds)
    tell(words)
    parts = _parts(made)
    held = [name for name in ("recipe.json", *parts) if (folder / name).exists()]
    if held and (not resume or held[0] == "recipe.json"):
        raise ValueError(f"out={str(folder)!r} holds {', '.join(held)} already; resume (--resume) or name another")
    runs = []
    for name, part in parts.items():
        numbers = [sum(row.split == which for row in part) for which in ("train", "val", "test")]
        tell(f"{name}: {numbers[0]} images train, {numbers[1]} validate, {numbers[2]} test")
        run = fit(
            recipe,
            part,
            out=folder / name,
            device=device,
            seed=seed,
            resume=resume,
            cache=cache,
            quiet=quiet,
            plan=plan,
            decide=False,  # all at once below, from one reading
        )
        recipe = run.recipe  # the first fold has decided the precision of all
        runs.append(run)
    ensemble = write_ensemble(folder, runs, made) if processes.first else Ensemble(folder, recipe, tuple(runs))
    if recipe.calibrated is not None and processes.first and not (folder / CALIBRATION).is_file():
        rule = None if recipe.calibrated == "half" else recipe.calibrated
        place, masks = processes.device, recipe.postprocess
        calibrate(ensemble, rows, threshold=rule, masks=masks, device=place, cache=cache, quiet=quiet)
    processes.wait()
    return ensemble


def folded(rows: Manifest, folds: int | None = None) -> tuple[Manifest, str]:
    """The manifest with folds, and a sentence on how it came by them.

    A manifest that has folds keeps them; rows without one train nothing. Otherwise folds are made by patient
    (`data.split.split`, seed 0 whatever the seed of the run, so that runs of several seeds compare), and a test split
    is kept out of them: all runs may be tested on it.

    Args:
        rows: with a number in `Row.fold`, or none.
        folds: how many; None = as many as there are, else `FOLDS`.

    Raises:
        ValueError: the manifest has another number of folds.
    """
    there = {row.fold for row in rows if row.fold is not None}
    if there:
        if folds not in (None, max(there) + 1):
            raise ValueError(f"folds={folds}: the manifest has {max(there) + 1} folds; take those, or split it anew")
        return rows, f"folds: the {max(there) + 1} of the manifest"
    inside = rows.where(lambda row: row.split != "test")
    number = folds or FOLDS
    found = {row.id: row.fold for row in split(inside, folds=number)}
    kept = len(rows) - len(inside)
    words = f"folds: the manifest has none; {len(inside)} images split into {number} by patient, stratified (seed 0)"
    words += f"; {kept} images of the test split kept out of them" * bool(kept)
    return rows.with_rows(replace(row, fold=found.get(row.id)) for row in rows), words


def first_part(rows: Manifest, folds: int | None = None) -> tuple[Manifest, int]:
    """The manifest as the first of the folds splits it, and how many folds there are: what a plan for all rests on.

    Args:
        rows, folds: as for `fit_folds`.
    """
    parts = _parts(folded(rows, folds)[0])
    return next(iter(parts.values())), len(parts)


def _parts(made: Manifest) -> dict[str, Manifest]:
    """`fold_parts` of a manifest in which rows of a test split may have no fold."""
    inside = fold_parts(made.where(lambda row: row.fold is not None))
    return {name: _with_aside(part, made) for name, part in inside.items()}


def fold_parts(rows: Manifest, folds: Sequence[int] | None = None) -> dict[str, Manifest]:
    """The manifest once per fold, split for it (`Manifest.fold`), by the name of its run's folder.

    Args:
        rows: each with a fold.
        folds: some of them; None = all.

    Raises:
        ValueError: no such fold, or a row without one.
    """
    there = sorted({row.fold for row in rows if row.fold is not None})
    if strange := set(folds or ()) - set(there):
        raise ValueError(f"folds must be in the manifest's {there}, got {sorted(strange)}")
    return {f"fold{k}": rows.fold(k) for k in (folds or there)}


def _with_aside(part: Manifest, rows: Manifest) -> Manifest:
    """All rows, those of a fold's part as it splits them; the others are tested on if they are of the test split."""
    inside = {row.id: row for row in part}
    aside = {row.id: replace(row, split="test" if row.split == "test" else None) for row in rows}
    return rows.with_rows({**aside, **inside}.values())


def _silent(_: str) -> None:
    """Print nothing: another process does."""
