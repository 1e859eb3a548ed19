"""Cells one after the other, each whole or not at all: started again, what is done is passed over."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from foveate import Manifest
from foveate.core.files import write_json
from peers.counting import between, count
from peers.environment import CellError, reason
from peers.frames import manifest_of
from peers.plan import Cell, DataSet, Plan
from peers.training import Told, train

BESIDE = 1.5
"""Minutes of a cell beside its training, before any was measured."""

Say = Callable[[str], None]


def state_of(cell: Cell, out: Path) -> str:
    """ "done", "failed", or "to do" (interrupted cells too).

    Raises:
        ValueError: it was done with other settings.
    """
    path = out / cell.folder
    if (path / "done.json").is_file():
        made = json.loads((path / "done.json").read_text(encoding="utf-8"))["cell"]
        if other := [name for name, value in cell.described().items() if made.get(name) != value]:
            raise ValueError(f"{path} was made with another {', '.join(other)}; remove it, or give another folder (-o)")
        return "done"
    return "failed" if (path / "failed.txt").is_file() else "to do"


def done_of(cell: Cell, out: Path) -> dict[str, Any]:
    """What ``done.json`` of a finished cell holds."""
    found: dict[str, Any] = json.loads((out / cell.folder / "done.json").read_text(encoding="utf-8"))
    return found


def expected(cells: Sequence[Cell], out: Path) -> dict[str, float]:
    """Minutes that each cell takes, its training and what is beside it (measured, if a cell of its kind is done)."""
    beside: dict[tuple[str, str], float] = {}
    for cell in cells:
        if state_of(cell, out) == "done":
            told = done_of(cell, out)["told"]
            beside[cell.data.name, cell.method.name] = (told["whole"] - told["train"]) / 60
    return {c.folder: c.minutes + beside.get((c.data.name, c.method.name), BESIDE) for c in cells}


def listing(cells: Sequence[Cell], out: Path) -> str:
    """The cells in their order, their state, and the hours that are left."""
    minutes, lines = expected(cells, out), []
    left = 0.0
    for cell in cells:
        state = state_of(cell, out)
        if state == "to do":
            left += minutes[cell.folder]
        name = f"{cell.data.name}/{cell.method.name}"
        lines.append(f"{name:<45} fold {cell.fold}  seed {cell.seed}  {minutes[cell.folder]:5.1f} min  {state}")
    return "\n".join([*lines, f"{len(cells)} trainings, {left / 60:.1f} hours to do"])


def run(plan: Plan, cells: Sequence[Cell], out: Path, *, retry: bool = False, say: Say = print) -> int:
    """Train what is not done yet; a cell that fails is kept with its log, and the others go on.

    Args:
        plan: gives the folds.
        cells: in their order.
        out: folder of the comparison.
        retry: train failed cells again.
        say: called with a line per cell.

    Returns:
        number of cells that failed now.

    Raises:
        ValueError: a cell was done with other settings, a setting is unknown, or the peers are not installed.
    """
    states, failed = {cell.folder: state_of(cell, out) for cell in cells}, 0
    for number, cell in enumerate(cells, 1):
        state = states[cell.folder]
        if state == "done" or (state == "failed" and not retry):
            continue
        rows = manifest_of(cell.data, out, folds=plan.folds)
        _annotators(cell.data, rows, out)
        folder = out / cell.folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        say(f"{number} of {len(cells)}: {cell.folder}")
        try:
            told = one(cell, rows, out)
            say(f"  trained in {told['train'] / 60:.1f} minutes, {told['whole'] / 60:.1f} in all")
        except CellError as error:
            failed += 1
            (folder / "failed.txt").write_text(f"{error}\n", encoding="utf-8")
            say(f"  failed: {reason(str(error))}")
    return failed


def one(cell: Cell, rows: Manifest, out: Path) -> Told:
    """Train, predict and count one cell; ``done.json`` is written last."""
    begin, folder = time.monotonic(), out / cell.folder
    made, told = train(cell, rows, out=out)
    tests = rows.fold(cell.fold).where(split="test")
    for truth in cell.data.truths:
        count(made, tests, truth=truth).write(folder / "counts" / truth)
    told["whole"] = time.monotonic() - begin
    write_json(folder / "done.json", {"cell": cell.described(), "told": told})
    return told


def _annotators(data: DataSet, rows: Manifest, out: Path) -> None:
    """Counts of each annotator's masks judged by each other's, if a set is judged by several; made once."""
    there = {source.annotator for row in rows for sources in row.masks.values() for source in sources}
    named = [truth for truth in data.truths if truth in there]
    for truth in named:
        for other in named:
            folder = out / "sets" / data.name / "annotators" / f"{other}-by-{truth}"
            if other != truth and not (folder / "counts.csv").is_file():
                between(rows, truth=truth, other=other).write(folder)
