"""One training: of ours by the command line, of a peer by its script; both end in predictions of the test images."""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foveate import Manifest
from foveate.core.files import write_json
from peers.environment import CellError, call, expanded, folder_of
from peers.frames import frames_of, geometries_of, task_of
from peers.nnunet_data import write_raw
from peers.plan import Cell
from peers.predictions import Predictions, from_readings, place

SCRIPTS = Path(__file__).parent / "theirs"
USUAL: Mapping[str, Mapping[str, Any]] = {
    "smp": {"encoder": "resnet18", "weights": "", "batch": 8, "lr": 1e-3, "weight_decay": 1e-2,
            "rotation": 15, "vertical": True, "window": None, "size": None},
    "timm": {"encoder": "resnet18", "weights": "", "batch": 8, "lr": 1e-3, "weight_decay": 1e-2,
             "rotation": 15, "vertical": True, "window": None, "size": None},
    "nnunet": {"memory": None, "size": None},
}  # fmt: skip
"""Settings of the peers and their defaults; ``size`` is that of the frame (None: the data set's)."""

SLOWER = 1.5
"""A training of ours that takes more than this many times its budget is killed (plus `FIXED` seconds)."""

FIXED = 600

Told = dict[str, Any]
"""Measured of a training: seconds of its parts, steps or epochs."""


def train(cell: Cell, rows: Manifest, *, out: Path) -> tuple[Predictions, Told]:
    """Train a cell and predict its test images.

    Args:
        cell: of the plan.
        rows: of its data set, with folds.
        out: folder of the comparison.

    Raises:
        CellError: the training ended with an error.
        ValueError: a setting is unknown, or the peers' environment is not there.
    """
    kinds: dict[str, Callable[..., tuple[Predictions, Told]]] = {"foveate": _ours, "nnunet": _nnunet}
    return kinds.get(cell.method.run, _loop)(cell, rows, out)


# -- ours ------------------------------------------------------------------------------------------------------------


def _ours(cell: Cell, rows: Manifest, out: Path) -> tuple[Predictions, Told]:
    """`foveate fit`, then `foveate predict`, as a user calls them."""
    folder = out / cell.folder
    tests = rows.fold(cell.fold).where(split="test")
    stems = {row.id: Path(row.image).stem for row in tests}
    if doubled := [stem for stem, times in Counter(stems.values()).items() if times > 1]:
        raise ValueError(f"{cell.folder}: several test images are called {doubled[0]!r}; give them names of their own")
    told: Told = {}
    epochs = None if cell.method.recipe == "auto" else _epochs(cell, rows, out, told)
    begin = time.monotonic()
    _fit(cell, rows, out, into=folder / "run", epochs=epochs, log=folder / "log.txt")
    told["train"] = time.monotonic() - begin
    begin = time.monotonic()
    images = [str(rows.root / row.image) for row in tests]
    words = [*_foveate(), "predict", str(folder / "run"), *images, "-o", str(folder / "readings"), "--device", "cpu"]
    call(words, log=folder / "log.txt", threads=cell.threads, seconds=FIXED + 20 * len(tests), environ=_cache(out))
    told["predict"] = time.monotonic() - begin
    made = from_readings(folder / "readings", folder / "predictions", stems=stems, schema=rows.schema)
    shutil.rmtree(folder / "readings")
    return made, told


def _fit(cell: Cell, rows: Manifest, out: Path, *, into: Path, epochs: int | None, log: Path) -> float:
    """`foveate fit` of a cell; returns its seconds."""
    settings = expanded(cell.settings)
    words = [*_foveate(), "fit", str(cell.method.recipe), str(rows.path), "-o", str(into), "--fold", str(cell.fold)]
    words += ["--seed", str(cell.seed), "--device", "cpu", "--quiet"]
    if cell.method.recipe == "auto":
        words += ["--time", f"{cell.minutes:g}m"]
    else:
        settings = {"size": cell.described()["size"], **settings, "epochs": epochs}
    for name, value in settings.items():
        words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    begin = time.monotonic()
    call(words, log=log, threads=cell.threads, seconds=SLOWER * 60 * cell.minutes + FIXED, environ=_cache(out))
    return time.monotonic() - begin


def _epochs(cell: Cell, rows: Manifest, out: Path, told: Told) -> int:
    """Epochs that fit into the budget, by the measured time of one; measured once for a method on a data set.

    One epoch fills the cache; then two trainings of different length are timed, so that starting and writing cancel.
    """
    path = out / "speed" / f"{cell.data.name}-{cell.method.name}.json"
    asked = {key: cell.described()[key] for key in ("settings", "size", "threads", "labels", "questions", "recipe")}
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if known.get("asked") != asked:
        log, into = out / cell.folder / "log.txt", out / "speed" / f"{cell.data.name}-{cell.method.name}"
        seconds = []
        for epochs in (1, 1, None):
            more = epochs or 1 + min(max(math.ceil(20 / seconds[-1]), 2), 10)
            shutil.rmtree(into, ignore_errors=True)
            seconds.append(_fit(cell, rows, out, into=into, epochs=more, log=log))
        shutil.rmtree(into)
        each = max(seconds[2] - seconds[1], 0.1) / (more - 1)
        known = {"asked": asked, "epoch": each, "start": max(seconds[1] - each, 0.0)}
        write_json(path, known)
    told["epoch"] = known["epoch"]
    told["epochs"] = max(1, round((60 * cell.minutes - known["start"]) / known["epoch"]))
    return int(told["epochs"])


def _foveate() -> list[str]:
    return [sys.executable, "-m", "foveate"]


def _cache(out: Path) -> dict[str, str]:
    return {"FOVEATE_CACHE": str((out / "cache").resolve())}


# -- the peers -------------------------------------------------------------------------------------------------------


def _loop(cell: Cell, rows: Manifest, out: Path) -> tuple[Predictions, Told]:
    """A plain loop around a network of smp or timm."""
    if cell.method.run == "timm" and not rows.schema.questions:
        raise CellError(f"{cell.data.name} asks no question, so a classifier has nothing to learn; take it out")
    if cell.method.run == "smp" and not rows.schema.labels:
        raise CellError(f"{cell.data.name} has no labels, so a segmenter has nothing to learn; take it out")
    frames = _frames(cell, rows, out)
    script = {"smp": "smp_unet.py", "timm": "timm_classifier.py"}[cell.method.run]
    return _theirs(cell, frames, out, script=script, task=task_of(frames, fold=cell.fold), environ={})


def _nnunet(cell: Cell, rows: Manifest, out: Path) -> tuple[Predictions, Told]:
    """nnU-Net v2 on a raw data set of the frames."""
    if not rows.schema.labels:
        raise CellError(f"{cell.data.name} has no labels, so nnU-Net has nothing to learn; take it out")
    frames, folder = _frames(cell, rows, out), out / cell.folder
    home = folder / "nnunet"
    parts = {name: home / name for name in ("raw", "preprocessed", "results")}
    for path in parts.values():
        path.mkdir(parents=True)
    task = task_of(frames, fold=cell.fold) | {"split": write_raw(frames.fold(cell.fold), parts["raw"])}
    environ = {f"nnUNet_{name}": str(path.resolve()) for name, path in parts.items()}
    environ["nnUNet_def_n_proc"] = "1"
    made, told = _theirs(cell, frames, out, script="nnunet.py", task=task, environ=environ)
    for plans in parts["preprocessed"].glob("*/nnUNetPlans.json"):
        shutil.copyfile(plans, folder / plans.name)
    shutil.rmtree(home)
    return made, told


def _frames(cell: Cell, rows: Manifest, out: Path) -> Manifest:
    size = _settings(cell)["size"] or cell.data.size
    size = size if isinstance(size, int) else (size[0], size[1])
    name = f"frames-{size}" if isinstance(size, int) else f"frames-{size[0]}x{size[1]}"
    return frames_of(rows, out / "sets" / cell.data.name / name, size=size)


def _settings(cell: Cell) -> dict[str, Any]:
    usual = USUAL[cell.method.run]
    if strange := sorted(set(cell.settings) - set(usual)):
        raise ValueError(f"methods.{cell.method.name}: setting {strange[0]!r} must be one of {list(usual)}")
    return expanded({**usual, **cell.settings})


def _theirs(
    cell: Cell, frames: Manifest, out: Path, *, script: str, task: dict[str, Any], environ: Mapping[str, str]
) -> tuple[Predictions, Told]:
    """Run a peer's script on a task and bring what it gave into the original pixels."""
    folder, python = out / cell.folder, folder_of(out) / "bin" / "python"
    if not python.exists():
        raise ValueError(f"{python} is not there; make the peers' environment: python benchmarks/peers.py env {out}")
    given = {**task, **_settings(cell), "minutes": cell.minutes, "seed": cell.seed, "threads": cell.threads}
    write_json(folder / "task.json", given)
    begin = time.monotonic()
    words = [str(python.absolute()), str(SCRIPTS / script), str(folder / "task.json"), str(folder / "raw")]
    seconds = 60 * cell.minutes + 2 * FIXED + 60 * len(frames)
    call(words, log=folder / "log.txt", threads=cell.threads, seconds=seconds, environ=environ)
    done = json.loads((folder / "raw" / "done.json").read_text(encoding="utf-8"))
    told = {**done, "train": done["seconds"], "beside": time.monotonic() - begin - done["seconds"]}
    made = place(folder / "raw", folder / "predictions", geometries=geometries_of(frames.root), schema=frames.schema)
    shutil.rmtree(folder / "raw")
    return made, {name: value for name, value in told.items() if name != "seconds"}
