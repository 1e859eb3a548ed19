"""A study at the size and epochs of its paper, then what reading costs with the network of every row.

    python benchmarks/full_size.py STUDY M.jsonl -o DIR [--set k=v ...] [--precision bf16] [--minutes 9]

For a machine with an accelerator (``--device cuda``). The study trains and evaluates as `foveate study` does; the run
of each row then reads blank images of the prepared size: batch 1 and 32, float32 and bfloat16, medians of 50 calls
after five, synchronised, with the peak memory of one call. ``DIR/timing.csv`` holds them, ``DIR/tables`` the study.
After ``--minutes`` it stops with status 75 and goes on where it stopped when called again (training from its last
epoch):

    until python benchmarks/full_size.py ... --minutes 9; do [ $? = 75 ] || break; done

On a CPU memory is what tensors take at once (a lower bound). Convolutions of float32 use TF32 where torch allows it,
which the column ``tf32`` tells.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from foveate import Manifest, load_study
from foveate.core.types import Batch
from foveate.engine.recipe import AUTO, PRECISIONS, Recipe
from foveate.engine.run import StagePipeline, pick_device
from foveate.engine.study import Study
from foveate.models.parts.size import peak_mib, size_mib
from foveate.recipes import load_run
from foveate.studies import run_study

STOPPED = 75
"""Exit status where time ran out: what is done stands, call again."""

COLUMNS = (
    "table",
    "row",
    "device",
    "tf32",
    "size",
    "parameters_mib",
    "batch",
    "precision",
    "ms",
    "images_s",
    "peak_mib",
)
WARM_UP = 5


def in_time(words: Sequence[str], minutes: float) -> int:
    """This command in a process of its own, killed when time is up; files being written are whole or absent."""
    try:
        command = [sys.executable, __file__, *words, "--minutes", "0"]
        return subprocess.run(command, check=False, timeout=60 * minutes).returncode
    except subprocess.TimeoutExpired:
        print(f"{minutes} minutes are over; call again to go on")
        return STOPPED


def blank(recipe: Recipe, count: int) -> Batch:
    """Images without anything, of the prepared size."""
    rows, cols = recipe.prepare.shape
    image = torch.zeros(count, 1 if recipe.prepare.grey else 3, rows, cols)
    labels = torch.zeros(count, len(recipe.schema.labels), rows, cols, dtype=torch.bool)
    answers = torch.zeros(count, len(recipe.schema.questions), dtype=torch.long)
    return Batch(recipe.schema, tuple(f"blank{i}" for i in range(count)), image, answers, labels, labels)


def cost(reader: StagePipeline, batch: Batch, device: torch.device, repeats: int) -> tuple[float, float]:
    """Milliseconds of one call (median) and peak MiB."""
    cuda = device.type == "cuda"

    def wait() -> None:
        if cuda:
            torch.cuda.synchronize(device)

    for _ in range(WARM_UP):
        reader(batch)
    wait()
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
        reader(batch)
        wait()
        memory = torch.cuda.max_memory_allocated(device) / 2**20
    else:
        memory = max(peak_mib(step.network, step.batch.image, prior=step.batch.prior) for step in reader.steps(batch))
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        reader(batch)
        wait()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times), memory


def time_rows(study: Study, out: Path, *, device: torch.device, batches: Sequence[int], repeats: int) -> None:
    """Fill ``timing.csv`` with what is not in it yet."""
    path = out / "timing.csv"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    tf32 = device.type == "cuda" and torch.backends.cudnn.allow_tf32
    done = {(r["table"], r["row"], r["device"], r["batch"], r["precision"]) for r in read(path)}
    for title in study:
        for row, folder in study.runs(title).items():
            run = load_run(sorted(p.parent for p in (out / "runs" / folder).glob("*/recipe.json"))[0])
            for precision in [p for p in PRECISIONS if p != AUTO]:
                todo = [b for b in batches if (title, row, name, str(b), precision) not in done]
                if not todo:
                    continue
                there = replace(run, recipe=run.recipe.with_(precision=precision))
                reader = there.pipeline(device=device)
                at_work = reader.steps(blank(run.recipe, 1).to(device))
                parameters = sum(size_mib(step.stage.network()) for step in at_work)
                for count in todo:
                    ms, memory = cost(reader, blank(run.recipe, count).to(device), device, repeats)
                    size = "x".join(map(str, run.recipe.prepare.shape))
                    figures = (f"{parameters:.2f}", count, precision, f"{ms:.3f}", f"{1000 * count / ms:.1f}")
                    append(path, (title, row, name, tf32, size, *figures, f"{memory:.1f}"))


def read(path: Path) -> list[dict[str, str]]:
    """Lines of ``timing.csv``; none where it is not there."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append(path: Path, line: Sequence[object]) -> None:
    """One more line, behind the heading."""
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS)
        writer.writerow(line)


def show(lines: list[dict[str, str]]) -> None:
    table = [list(COLUMNS), *([line[c] for c in COLUMNS] for line in lines)]
    widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def keywords(settings: Sequence[str]) -> dict[str, Any]:
    """``k=v`` -> keyword and value; a value that is no JSON is a string."""
    found = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"--set {setting!r} is no KEY=VALUE")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found


def main(words: Sequence[str] | None = None) -> int:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("study")
    ask.add_argument("manifest", type=Path)
    ask.add_argument("-o", "--out", type=Path, required=True)
    ask.add_argument("-s", "--set", action="append", default=[], metavar="KEY=VALUE")
    ask.add_argument("--tables", nargs="+", help="some of the study's tables")
    ask.add_argument("--rows", nargs="+", help="some of their rows")
    ask.add_argument("--device", default="cuda")
    ask.add_argument("--size", type=int, help="instead of the paper's")
    ask.add_argument("--precision", choices=list(PRECISIONS), help="of training; as the recipes have it if not given")
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    ask.add_argument("--repeats", type=int, default=50)
    ask.add_argument("--minutes", type=float, default=0, help="stop after so long; call again to go on; 0: when done")
    args = ask.parse_args(words)
    if args.minutes:
        return in_time(sys.argv[1:] if words is None else words, args.minutes)
    given = {"size": args.size, "precision": args.precision}
    asked = keywords(args.set) | {key: value for key, value in given.items() if value is not None}
    rows, device = Manifest.read(args.manifest), pick_device(args.device)
    study = load_study(args.study, rows.schema, **asked).only(tables=args.tables, rows=args.rows)
    run_study(study, rows, out=args.out, device=str(device), seed=args.seed, quiet=True)
    time_rows(study, args.out, device=device, batches=args.batches, repeats=args.repeats)
    show(read(args.out / "timing.csv"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
