"""Papers' methods, one readable file each; `load_recipe` finds it by name, or takes a file of your own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from foveate.core.labels import LabelSchema
from foveate.data.manifest import Manifest
from foveate.data.prepare import Prepare
from foveate.data.survey import Progress
from foveate.engine.ensemble import ENSEMBLE, open_ensemble
from foveate.engine.plan import Asked, Plan
from foveate.engine.recipe import AUTO, TRAINING, Recipe
from foveate.engine.run import OWN, Run
from foveate.engine.settle import recorded
from foveate.recipes._effect import refuse_idle
from foveate.recipes._lookup import comparison_with, defaults, effect_of, effective, placed, recipe_file, renamed
from foveate.recipes._types import refuse_types


def load_recipe(name: str, schema: LabelSchema, /, **keywords: Any) -> Recipe:
    """A recipe by the name of its file, or by the path of your own ``.py`` file.

    Args:
        name: "image_quality", ... , "comparisons/lesion_net", ... (networks and variations that only a study needs), or
            "path/to/mine.py" with a function ``recipe(schema, *, ...) -> Recipe``.
        schema: the manifest's.
        keywords: of the recipe, and those of training that every recipe takes (`engine.recipe.TRAINING`); plain JSON
            values, so that the run folder can record them.

    Raises:
        ValueError: no such recipe, a file without a ``recipe`` function, an unknown keyword, one of a wrong
            type (`recipes._types`), or one that changes nothing beside the others (`recipes._effect`).
    """
    own = defaults(name)
    if strange := set(keywords) - {*own, *TRAINING}:
        raise ValueError(
            f"recipe {name!r}: unknown keyword {sorted(strange)}; it knows {sorted({*own, *TRAINING})}"
            + (f". {other!r} knows {sorted(strange)}" if (other := comparison_with(name, strange)) else "")
        )
    refuse_idle(name, keywords, {**own, **keywords}, effect_of(name))
    refuse_types(name, recipe_file(name).recipe, keywords)
    shared = [k for k in TRAINING if k not in own]
    recipe: Recipe = recipe_file(name).recipe(schema, **{k: v for k, v in keywords.items() if k in own})
    recipe = replace(recipe, name=name).with_(**{k: keywords[k] for k in shared if k in keywords})
    every = {**own, **keywords, **{k: getattr(recipe, k) for k in shared}}
    return recipe.with_(keywords=effective(name, every), asked=schema)


def plan_recipe(
    name: str,
    rows: Manifest,
    *,
    keywords: Mapping[str, Any],
    time: float | None = None,
    memory: float | None = None,
    device: str = "auto",
    resume: Path | None = None,
    progress: Progress | None = None,
) -> Plan | None:
    """The plan of a recipe that reads the data (its file has a function ``plan(rows, *, asked)``); None for any other.

    Args:
        name: as for `load_recipe`.
        rows: a manifest with splits.
        keywords: those that the user has set; they win over the plan's.
        time: seconds that training may take.
        memory: MiB that training may take.
        device: that it will run on.
        resume: folder of a run that is gone on with: its own plan is read, and nothing is measured again.
        progress: called with (done, of) as images are measured.

    Raises:
        ValueError: the data or the budget does not allow a training, or a budget is given to a recipe without a plan.
    """
    make = getattr(recipe_file(name), "plan", None)
    if make is None:
        if time is not None or memory is not None:
            raise ValueError(f"recipe {name!r} makes no plan, so it keeps to no budget; set epochs, size and batch")
        return None
    if resume is not None and (kept := Plan.read(resume)) is not None:
        return kept
    made: Plan = make(
        rows,
        asked=Asked(
            keywords=dict(keywords), recipe=name, seconds=time, memory=memory, device=device, progress=progress
        ),
    )
    return made


def load_run(folder: str | Path, *, recipe: Recipe | None = None) -> Run:
    """Open a run folder made by `fit`, or the ensemble (`engine.ensemble.Ensemble`) that `fit_folds` made.

    Args:
        folder: holds ``recipe.json``, or ``ensemble.json`` and its members' folders.
        recipe: the recipe itself, if the file it came from cannot be read.

    A run of a user's own recipe file holds a copy of it, which is executed: open only runs that you trust.

    Raises:
        ValueError: no run is there, or its recipe no longer knows a keyword. A network that has changed since is
            noticed when its weights are loaded.
    """
    if (Path(folder) / ENSEMBLE).is_file():
        return open_ensemble(Path(folder), partial(load_run, recipe=recipe))
    run = Run(Path(folder), recipe)  # type: ignore[arg-type]
    if not (run.folder / "recipe.json").is_file():
        raise ValueError(
            f"{folder}: no run there (recipe.json is missing); name the folder that `foveate fit -o` wrote"
            + (", or go on with its folds (--folds, --resume)" if (run.folder / "fold0").is_dir() else "")
        )
    if recipe is None:
        record = run.record
        given: str = record["name"]
        copy = str(run.folder / OWN) if given.endswith(".py") and (run.folder / OWN).is_file() else None
        name, keywords = placed(copy or given, renamed(copy or given, record["keywords"]))
        recipe = load_recipe(name, LabelSchema.from_json(record["schema"]), **keywords)
        prepare: dict[str, Any] = {
            {"graders": "annotators"}.get(k, k): tuple(v) if isinstance(v, list) else v
            for k, v in record["prepare"].items()
        }
        recipe = replace(recipe, prepare=Prepare(**prepare))  # as it was, whatever the defaults are today
        recipe = recipe if copy is None else replace(recipe, name=given)
    if recipe.precision == AUTO:  # of a run written before there was "auto", or a recipe that is at hand
        recipe = recipe.in_precision(recorded(run.record))
    return replace(run, recipe=recipe)
