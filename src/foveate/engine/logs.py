"""Output of a run while it runs: a JSON-lines log (the same on every replay), TensorBoard, and the time left."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter


class Ledger:
    """``log.jsonl`` (no clock times, so that a resumed run writes the same bytes), ``times.jsonl`` and TensorBoard."""

    def __init__(self, folder: Path, *, stage: str, active: bool) -> None:
        self.folder, self.stage, self.active = folder, stage, active
        self.board: Any = None

    def open(self, *, bytes_done: int) -> None:
        """Begin after the given number of bytes; what a killed run wrote beyond them is dropped and replayed."""
        if not self.active:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "log.jsonl"
        path.touch()
        with path.open("rb+") as file:
            file.truncate(bytes_done)
        self.began = time.monotonic()

    def write(self, **entry: Any) -> int:
        """Append one validation; returns the size of the log in bytes."""
        line = json.dumps({"stage": self.stage, **entry}) + "\n"
        path = self.folder / "log.jsonl"
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
        with (self.folder / "times.jsonl").open("a", encoding="utf-8") as file:
            seconds = round(time.monotonic() - self.began, 3)
            file.write(json.dumps({"step": entry["step"], "seconds": seconds, "at": round(time.time())}) + "\n")
        self._tensorboard(entry)
        return path.stat().st_size

    def _tensorboard(self, entry: Mapping[str, Any]) -> None:
        if self.board is None:
            self.board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=entry["step"])
        for kind in ("train", "val"):
            for name, value in entry[kind].items():
                self.board.add_scalar(f"{kind}/{name}", value, entry["step"])
        self.board.add_scalar("lr", entry["lr"], entry["step"])
        self.board.flush()  # a killed run has shown all that is in its log

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        if self.board is not None:
            self.board.close()


class Watch:
    """Progress on the terminal: a bar with the time left where there is a terminal, and a line a validation."""

    def __init__(self, stage: str, steps: int, *, quiet: bool) -> None:
        self.stage, self.quiet = stage, quiet
        self.console = Console(stderr=True, quiet=quiet)
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=quiet or not self.console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task(stage, total=steps)

    def advance(self, step: int) -> None:
        """A step is done."""
        self.bar.update(self.task, completed=step)

    def say(self, epoch: int, train: Mapping[str, float], *, keep: str, value: float, best: bool) -> None:
        """One line for one validation."""
        losses = " ".join(f"{name} {value:.3f}" for name, value in train.items())
        mark = " *" if best else ""
        shown = f"{value:.4f}" if math.isfinite(value) else "not defined"
        self.console.print(f"{self.stage} epoch {epoch}: {losses} | val {keep} {shown}{mark}", highlight=False)

    def note(self, line: str) -> None:
        """One line about the stage, before it starts or once it has ended; warnings are yellow."""
        warning = line.startswith("warning:")
        self.console.print(f"{self.stage}: {line}", highlight=False, markup=False, style="yellow" if warning else None)

    def unchosen(self, keep: str) -> None:
        """The metric that chooses the weights was never defined."""
        self.console.print(
            f"{self.stage}: {keep} was not defined on any validation, so the last weights are kept; have images that "
            "know it among those that validate, or choose the weights by another metric",
            highlight=False,
        )

    def __enter__(self) -> Watch:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
