"""``foveate report``: the page of a run or of a study, its images read again with their CAMs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.core.types import Case
from foveate.data.manifest import Manifest
from foveate.engine.run import Run
from foveate.inference.cases import make_cases, pick, score_images
from foveate.inference.predictor import Predictor
from foveate.metrics.counts import Counts
from foveate.recipes import load_run
from foveate.report.cases import cam_sheet
from foveate.report.page import page
from foveate.report.rows import describe
from foveate.studies import study_record, study_tables


def write_report(folder: str | Path, *, device: str = "auto") -> Path:
    """Write ``report.html`` for a run or a study; returns its path.

    Raises:
        ValueError: the folder holds neither.
    """
    folder = Path(folder)
    if (folder / "study.json").is_file():
        return study_report(folder, device=device)
    return run_report(load_run(folder), device=device)


def run_report(run: Run, *, device: str = "auto") -> Path:
    """The page of one run; without an evaluation it says so."""
    log = [entry for stage in run.recipe.stages for entry in run.log(stage.name)]
    rows = _manifest(run.record["manifest"])
    counts, absent = None, "one"
    cases: list[Case] = []
    if (run.folder / "metrics.json").is_file():
        counts = Counts.read(run.folder, run.recipe.schema)
        about = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))["about"]
        absent = about["absent"]
        held = _manifest({"path": about["manifest"]})
        if held is not None:
            scores = score_images(counts)
            cases = make_cases(Predictor(run, device=device), held, pick(scores), scores=scores)
    summary: dict[str, Any] = {}
    if rows is not None:
        rows = rows.with_rows(replace(row, split=run.splits.get(row.id)) for row in rows)
        summary = dict(describe(rows.rows, schema=run.recipe.schema))
    return page(
        run.folder,
        title=f"{run.recipe.name}: {run.folder.name}",
        run=run.record,
        log=log,
        counts=counts,
        cases=cases,
        data_summary=summary,
        absent=absent,
    )


def study_report(folder: Path, *, device: str = "auto") -> Path:
    """The page of a study: its tables, and for each method a CAM sheet (also in ``sheets/``) from its first fold."""
    record = study_record(folder)
    rows = _manifest(record["manifest"])
    cases: list[Case] = []
    for name in {name: None for table in record["tables"].values() for name in table["rows"].values()}:
        run = load_run(folder / "runs" / name / record["folds"][0])
        if rows is not None and run.recipe.schema.questions:
            counts = Counts.read(run.folder, run.recipe.schema)
            found = make_cases(
                Predictor(run, device=device), rows, _one_an_answer(counts, run), scores=score_images(counts)
            )
            (folder / "sheets").mkdir(exist_ok=True)
            sheet = cam_sheet(found, question=run.recipe.schema.questions[0].name)
            sheet.save(folder / "sheets" / f"{name}_cam.png")
            cases = cases or found
    return page(
        folder,
        title=f"Study {record['name']}",
        tables=list(study_tables(folder).values()),
        cases=cases,
        data_summary=dict(describe(rows.rows, schema=rows.schema)) if rows else {},
    )


def _one_an_answer(counts: Counts, run: Run) -> list[str]:
    """For every answer of the first question, the image in which it is true and seen most surely."""
    question = run.recipe.schema.questions[0]
    table = counts.answers
    found = []
    for answer in question.answers:
        mine = [
            (float(p), str(i))
            for i, q, a, p, t in zip(
                table["image"], table["question"], table["answer"], table["probability"], table["truth"], strict=True
            )
            if q == question.name and a == answer and t == 1
        ]
        if mine:
            found.append(max(mine)[1])
    return found


def _manifest(about: dict[str, Any]) -> Manifest | None:
    """The manifest that a record names, where it still is."""
    path = about.get("path")
    return Manifest.read(path) if path and Path(path).is_file() else None
