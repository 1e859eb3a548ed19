"""A stage that another run has trained, to the letter, need not be trained again: methods of a study share their first.

Training is a function of what `stage_key` hashes, so a copy holds the weights that training would have ended with.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from foveate.core.files import read_json
from foveate.engine.recipe import Recipe, Stage

COPIED = ("weights.safetensors", "log.jsonl", "times.jsonl")


def stage_key(recipe: Recipe, stage: Stage, *, seed: int, manifest: str) -> str:
    """Hash of all that a trained stage follows from: its settings and the recipe's, the seed and the manifest.

    Earlier stages, and what they write, count where the stage reads their maps or starts from them. What it writes
    itself does not count, nor what is decided once it is trained: gates, calibration and the views of an image.

    Args:
        recipe: of the run.
        stage: one of its stages.
        seed: of the run.
        manifest: hash of the manifest with its splits.
    """
    at = recipe.stages.index(stage)
    first = 0 if stage.reads or stage.starts_from else at
    before = (*recipe.stages[first:at], replace(stage, writes={}))
    text = str(
        recipe.with_(stages=before, gates=(), calibrated=None, postprocess=False, views=(), name="", keywords={})
    )
    return hashlib.sha256("\n".join([text, str(seed), manifest]).encode()).hexdigest()


def find_trained(runs: Path, key: str) -> Path | None:
    """Folder of a finished stage with this key in any run below ``runs``; None where there is none."""
    for done in sorted(runs.glob("**/done.json")):
        if read_json(done).get("key") == key:
            return done.parent
    return None


def copy_stage(trained: Path, folder: Path) -> None:
    """Weights and log of a finished stage; its maps are written anew by who needs them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(trained / name, folder / name)
