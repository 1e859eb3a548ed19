"""``foveate demo``: draw retinas, check and split them, train, evaluate, predict, and write a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from foveate.data import synthetic
from foveate.data.check import check
from foveate.data.manifest import Manifest
from foveate.data.split import split
from foveate.engine.evaluate import evaluate
from foveate.engine.fit import fit
from foveate.inference.predict_files import predict_all
from foveate.recipes import load_recipe, plan_recipe
from foveate.report import grading, segmentation
from foveate.reporting.run_page import run_report

SMALL: dict[str, Any] = {
    "encoder": "resnet10t",
    "weights": "none",
    "size": 128,
    "width": 8,
    "lr": 2e-3,
    "epochs": 20,
    "precision": "fp32",
}
"""Settings that the plan does not decide: the demo needs no download, takes minutes, and is reproducible."""


def run_demo(
    out: Path,
    *,
    kind: str = "enface",
    number: int = 160,
    seed: int = 0,
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Do all steps, from drawn images to the report; return its path. Started again, it continues where it stopped.

    Raises:
        ValueError: an unknown kind, or too few images to split.
    """
    if kind not in synthetic.SCHEMAS:
        raise ValueError(f"kind must be one of {list(synthetic.SCHEMAS)}, got {kind!r}")
    if number < 20:
        raise ValueError(f"n={number}: draw at least 20 images, so that training, validation and test have some")
    manifest = out / f"{kind}.jsonl"
    if not manifest.is_file():
        say(f"drawing {number} {kind} images with exact truth")
        drawn = synthetic.write(kind, out / "data", n=number, seed=seed, size=256)
        rows = Manifest(synthetic.SCHEMAS[kind], tuple(drawn), out / "data", info={"name": f"drawn {kind}"})
        split(rows, ratios=(0.6, 0.15, 0.25), seed=seed).write(manifest)
    rows = Manifest.read(manifest)
    found = check(rows)
    say(str(found))
    if not found.ok:
        raise ValueError(f"{manifest}: the drawn data set does not pass its own check; delete {out} and start again")
    folder = out / f"{kind}_run"
    plan = plan_recipe("auto", rows, keywords=SMALL, resume=folder)
    assert plan is not None  # auto makes one
    say(str(plan))
    recipe = load_recipe("auto", rows.schema, **plan.keywords)
    run = fit(recipe, rows, out=folder, seed=seed, resume=True, quiet=quiet, cache=out / "cache", plan=plan)
    test = rows.where(split="test")
    counts = evaluate(run, test, cache=out / "cache")
    say(str(segmentation(counts, absent="one")))
    say(str(grading(counts)))
    first = [rows.root / row.image for row in test.rows[:4]]
    predict_all(run.folder, first, out=out / "predictions", cam=True, say=lambda _: None)
    say(f"predictions of {len(first)} test images: {out / 'predictions'}")
    page = run_report(run)
    say(f"report: {page}")
    return page
