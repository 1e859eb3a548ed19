"""`fit`: train each stage of a recipe in a folder of its own, with the maps of earlier ones; resumable."""

from __future__ import annotations

from operator import eq
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from foveate.core.files import write_file, write_json
from foveate.core.labels import LabelSchema
from foveate.data.cache import Cache, cache_at
from foveate.data.manifest import Manifest
from foveate.data.read import Unreadable
from foveate.engine.calibrate import calibrate
from foveate.engine.distributed import Processes
from foveate.engine.ensemble import ENSEMBLE
from foveate.engine.known_rows import check_rows
from foveate.engine.plan import FILE as PLAN
from foveate.engine.plan import Plan
from foveate.engine.recipe import TRAINING, Recipe
from foveate.engine.run import CALIBRATION, OWN, Run, describe
from foveate.engine.settle import settled
from foveate.engine.stage_reuse import find_trained, stage_key
from foveate.engine.train import Trainer


def fit(
    recipe: Recipe,
    rows: Manifest,
    *,
    out: str | Path,
    device: str | torch.device = "auto",
    seed: int = 0,
    resume: bool = False,
    cache: str | Path | Cache | None = None,
    quiet: bool = False,
    shared: str | Path | None = None,
    plan: Plan | None = None,
    decide: bool = True,
) -> Run:
    """Train a recipe on the rows whose split is "train", choosing weights on those whose split is "val".

    Args:
        recipe: the method.
        rows: a manifest with splits.
        out: folder of the run.
        device: "auto", "cpu", "cuda", ...; under ``torchrun`` each process takes its own.
        seed: of weights, order, augmentation and dropout.
        resume: go on with a run that was interrupted; a finished one is returned as it is.
        cache: folder for prepared images, or what `data.cache.cache_at` gives; None = ``$FOVEATE_CACHE`` or the user's
            cache folder.
        quiet: no progress on the terminal.
        shared: folder of runs; a stage that one of them has trained with the very same settings is copied from there.
        plan: how the recipe's keywords were decided; kept in the run as ``plan.json``.
        decide: calibrate the trained run if the recipe asks for it; False = the caller does (`folds.fit_folds`).

    Raises:
        ValueError: the folder holds another run, a split is empty, a question is not answered at all, or a patient
            straddles splits.
        Unreadable: a file of the training or validation images is missing, also if its sample is in the cache.
        DivergedError: a loss is not finite.
    """
    folder = Path(out)
    _no_leak(rows)
    if todo := [stage for stage in recipe.stages if not (folder / stage.name / "done.json").is_file()]:
        check_rows(recipe, rows, stages=todo)
        _files_there(rows, recipe.schema)
    processes, files = Processes(device), cache_at(cache)
    recipe = _settled(recipe, rows, folder, processes, files, quiet=quiet)
    run = Run(folder, recipe)
    wrong = None
    if processes.first:
        record = describe(recipe, rows, seed=seed)
        wrong = _claim(run, record, {row.id: row.split for row in rows}, resume=resume)
        if wrong is None and plan is not None:
            write_json(run.folder / PLAN, plan.to_json())
    if wrong := processes.share(wrong):
        raise ValueError(f"out={str(run.folder)!r}{wrong}")
    for stage in recipe.stages:
        done = run.stage_folder(stage.name) / "done.json"
        if not done.is_file():
            key = stage_key(recipe, stage, seed=seed, manifest=rows.hash)
            trained = find_trained(Path(shared), key) if shared is not None and processes.first else None
            trainer = Trainer(run, stage, rows, seed=seed, key=key, processes=processes, cache=files, quiet=quiet)
            trainer.run_all(trained=processes.share(trained))
        processes.wait()
    if decide and recipe.calibrated is not None and processes.first and not (run.folder / CALIBRATION).is_file():
        rule = None if recipe.calibrated == "half" else recipe.calibrated
        place, masks = processes.device, recipe.postprocess
        calibrate(run, rows, threshold=rule, masks=masks, device=place, cache=files, quiet=quiet)
    processes.wait()
    return run


def _settled(
    recipe: Recipe, rows: Manifest, folder: Path, processes: Processes, cache: Cache, *, quiet: bool
) -> Recipe:
    """The recipe with its precision decided by the first process, which prints the reason."""
    precision = recipe.precision
    if processes.first:
        made, reason = settled(recipe, rows, folder=folder, device=processes.device, cache=cache)
        precision = made.precision
        if reason:
            Console(stderr=True, quiet=quiet).print(reason, highlight=False, markup=False)
    return recipe.in_precision(processes.share(precision))


def _claim(run: Run, record: dict[str, Any], splits: dict[str, str | None], *, resume: bool) -> str | None:
    """Make the folder this run's own, or see that it already is; returns the reason if it cannot."""
    path = run.folder / "recipe.json"
    if (run.folder / ENSEMBLE).is_file():
        return " holds an ensemble; name another folder, or go on with its folds (--folds, --resume)"
    if not path.is_file():
        write_json(run.folder / "splits.json", splits)
        if record["name"].endswith(".py"):
            write_file(run.folder / OWN, Path(record["name"]).read_bytes())
        write_json(path, record)
        return None
    if not resume:
        return " holds a run already; resume it (--resume) or name another folder"
    before = run.record
    for key, same in (("text", _same), ("seed", eq)):
        if not same(before[key], record[key]):
            return f" holds a run with another {key}; it cannot be resumed with this one"
    if before["manifest"]["hash"] != record["manifest"]["hash"]:
        return ": the manifest has changed since the run began; start a new run"
    return None


def _same(before: str, now: str) -> bool:
    """Whether two texts of a recipe have the same settings; keywords of training are shown by the fields they set."""
    fields = [
        sorted(line for line in text.splitlines() if line.strip().split(" = ")[0] not in TRAINING)
        for text in (before, now)
    ]
    return fields[0] == fields[1]


def _files_there(rows: Manifest, schema: LabelSchema) -> None:
    """No file of the training and validation images is missing; known before the first step, not after an epoch."""
    labels = [member for label in schema.labels for member in schema.members(label)]
    owners: dict[str, str] = {}
    for row in rows:
        if row.split in ("train", "val"):
            masks = [source.path for label in labels for source in row.masks.get(label, ()) if source.path is not None]
            owners |= dict.fromkeys([row.image, *masks], row.id)
    gone = [path for path in owners if not (rows.root / path).exists()]
    if gone:
        others = f"; {len(gone)} of {len(owners)} files are missing" if len(gone) > 1 else ""
        raise Unreadable(rows.root / gone[0], f"there is no such file (image {owners[gone[0]]!r}{others})")


def _no_leak(rows: Manifest) -> None:
    """No patient is in two splits."""
    homes: dict[str, set[str]] = {}
    for row in rows:
        if row.split is not None:
            homes.setdefault(row.group, set()).add(row.split)
    if straddling := sorted(group for group, splits in homes.items() if len(splits) > 1):
        raise ValueError(
            f"{len(straddling)} patients are in several splits, e.g. {straddling[:3]}; split by patient first"
        )
