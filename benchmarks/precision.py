"""Does bf16 train faster here, and as well? Time of a training step and Dice over seeds, bf16 beside fp32.

    python benchmarks/precision.py M.jsonl -o DIR [--recipe image_quality] [--seeds 3] [--set size=256]

Trains the recipe with each seed in both formats and evaluates it on the test images; goes on where it was interrupted.
Writes ``precision.md`` with the median time of a step, its ratio, and the difference of the mean Dice over seeds.
"""

from __future__ import annotations

import argparse
import json
import platform
from itertools import pairwise
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from foveate.cli.options import keywords
from foveate.data.manifest import Manifest
from foveate.engine.evaluate import evaluate
from foveate.engine.fit import fit
from foveate.engine.run import Run
from foveate.metrics.summary import summary
from foveate.recipes import load_recipe

FORMATS = ("fp32", "bf16")


def seconds_per_step(run: Run) -> float:
    """Median over the validations of all stages, the first left out, which reads the images.

    The time of a validation is in it, which is read in the same format.
    """
    steps: list[float] = []
    for stage in run.recipe.stages:
        lines = (run.stage_folder(stage.name) / "times.jsonl").read_text(encoding="utf-8").splitlines()
        times = [json.loads(line) for line in lines]
        steps += [(b["seconds"] - a["seconds"]) / (b["step"] - a["step"]) for a, b in pairwise(times)]
    if not steps:
        raise ValueError("epochs=1: a step is timed from the second validation on; train for two epochs or more")
    return median(steps)


def train(manifest: Path, out: Path, *, recipe: str, seeds: int, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """One line per seed and format: seconds per step and mean Dice of the test images."""
    rows, lines = Manifest.read(manifest), []
    for seed in range(seeds):
        for name in FORMATS:
            chosen = load_recipe(recipe, rows.schema, **{**settings, "precision": name})
            run = fit(chosen, rows, out=out / f"{name}_seed{seed}", seed=seed, resume=True, quiet=True)
            dice = summary(evaluate(run, rows.where(split="test"), quiet=True, intervals=False))["dice"]
            lines.append({"seed": seed, "precision": name, "step": seconds_per_step(run), "dice": dice})
    return lines


def page(lines: list[dict[str, Any]]) -> str:
    """The result as Markdown."""
    step = {name: median(line["step"] for line in lines if line["precision"] == name) for name in FORMATS}
    dice = {name: [line["dice"] for line in lines if line["precision"] == name] for name in FORMATS}
    gains = [b - a for a, b in zip(dice["fp32"], dice["bf16"], strict=True)]
    spread = f" (standard deviation over {len(gains)} seeds {stdev(gains):.3f})" if len(gains) > 1 else " (one seed)"
    table = [f"| {name} | {step[name]:.3g} | {mean(dice[name]):.3f} |" for name in FORMATS]
    return "\n".join(
        [
            "| precision | seconds per step | mean Dice |",
            "|---|---|---|",
            *table,
            "",
            f"A step in bf16 is {step['fp32'] / step['bf16']:.2f} times as fast. Dice of bf16 minus fp32: "
            f"{mean(gains):+.3f}{spread}. Machine: {platform.processor() or platform.machine()}.",
            "",
        ]
    )


def main() -> None:
    """Read the command line."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("manifest", type=Path)
    ask.add_argument("-o", "--out", type=Path, required=True)
    ask.add_argument("--recipe", default="image_quality")
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = ask.parse_args()
    lines = train(args.manifest, args.out, recipe=args.recipe, seeds=args.seeds, settings=keywords(args.set))
    text = page(lines)
    (args.out / "precision.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
