"""The page of one run, its images read again with their activation maps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.core.types import Case
from foveate.data.manifest import Manifest
from foveate.engine.ensemble import Ensemble
from foveate.engine.plan import plan_rows
from foveate.engine.run import Run
from foveate.inference.case_choice import pick, score_images
from foveate.metrics.counts import Counts
from foveate.metrics.never_given import never_given
from foveate.report.page import page
from foveate.report.rows import describe
from foveate.report.table import Table
from foveate.reporting.fold_tables import fold_tables, held_out_cases


def run_report(run: Run, *, device: str = "auto", warn: Callable[[str], None] = lambda _: None) -> Path:
    """Write the page of one run, or of an ensemble with the curves of each fold; a missing evaluation is named."""
    log = [entry for stage in run.recipe.stages for entry in run.log(stage.name)]
    rows = manifest_of(run.record["manifest"])
    counts, absent = None, "one"
    cases: list[Case] = []
    tables: list[Table] = []
    if (run.folder / "metrics.json").is_file():
        counts = Counts.read(run.folder, run.recipe.schema)
        for line in never_given(counts):
            warn(line)
        about = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))["about"]
        absent = about["absent"]
        held = manifest_of({"path": about["manifest"]})
        if held is not None:
            scores, seen = score_images(counts), bool(about["seen in training"])
            cases = held_out_cases(run, held, pick(scores), scores=scores, seen=seen, device=device)
        if isinstance(run, Ensemble):
            tables = fold_tables(run, counts, absent=absent)
    summary: dict[str, Any] = {}
    if rows is not None:
        split = [replace(row, split=run.splits.get(row.id)) for row in rows]
        summary = dict(describe(split, schema=run.recipe.schema))
    return page(
        run.folder,
        title=f"{run.recipe.name}: {run.folder.name}",
        run=run.record,
        log=log,
        counts=counts,
        cases=cases,
        data_summary=summary,
        tables=tables,
        plan=plan_rows(run.folder),
        absent=absent,
    )


def manifest_of(about: dict[str, Any]) -> Manifest | None:
    """Open the manifest that a record names, if it still exists."""
    path = about.get("path")
    return Manifest.read(path) if path and Path(path).is_file() else None
