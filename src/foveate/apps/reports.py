"""``foveate report``: the page of a run or of a study, its images read again with their CAMs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from foveate.apps.figures import one_an_answer, plans
from foveate.apps.folds import fold_tables, held_out_cases
from foveate.apps.looking import cam_table
from foveate.apps.readings import Figure, Readings
from foveate.core.types import Case
from foveate.data.manifest import Manifest
from foveate.engine.ensemble import Ensemble
from foveate.engine.plan import plan_rows
from foveate.engine.run import Run
from foveate.inference.cases import make_cases, pick, score_images
from foveate.inference.predictor import Predictor
from foveate.metrics.counts import Counts
from foveate.metrics.never_given import never_given
from foveate.recipes import load_run
from foveate.report.canvas import png
from foveate.report.cases import cam_sheet
from foveate.report.embed import Shot, chart, photo
from foveate.report.found import warnings
from foveate.report.page import page
from foveate.report.rows import describe
from foveate.report.table import Table
from foveate.studies import pooled, study_charts, study_record, study_tables


def write_report(
    folder: str | Path,
    *,
    device: str = "auto",
    looks: bool = False,
    seconds: Mapping[str, float] | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write ``report.html`` for a run or a study; returns its path.

    Args:
        folder: of a run or a study.
        device: where the networks run.
        looks: of a study, also measure where each method saw its answers (`looking.cam_table`): Grad-CAM of every test
            image.
        seconds: of one label of each kind (`report.cost.SECONDS`), for a study with a figure of what labels cost.
        warn: called with each line on a label or an answer that a network never gives; the page has them in a box.

    Raises:
        ValueError: the folder holds neither, or nothing in it asks for seconds.
    """
    folder = Path(folder)
    if (folder / "study.json").is_file():
        return study_report(folder, device=device, looks=looks, seconds=seconds, warn=warn)
    if seconds is not None:
        raise ValueError(f"seconds: {folder} is no study; a run has no figure of what labels cost")
    return run_report(load_run(folder), device=device, warn=warn)


def run_report(run: Run, *, device: str = "auto", warn: Callable[[str], None] = lambda _: None) -> Path:
    """The page of one run, or of an ensemble with each fold's curves; without an evaluation it says so."""
    log = [entry for stage in run.recipe.stages for entry in run.log(stage.name)]
    rows = _manifest(run.record["manifest"])
    counts, absent = None, "one"
    cases: list[Case] = []
    tables: list[Table] = []
    if (run.folder / "metrics.json").is_file():
        counts = Counts.read(run.folder, run.recipe.schema)
        for line in never_given(counts):
            warn(line)
        about = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))["about"]
        absent = about["absent"]
        held = _manifest({"path": about["manifest"]})
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


def study_report(
    folder: Path,
    *,
    device: str = "auto",
    looks: bool = False,
    seconds: Mapping[str, float] | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Path:
    """The page of a study: its tables, under each the methods side by side and the charts that the study offers (also
    in ``figures/``), and cases.

    Every run of the first fold is opened once: for its part of the figures, and, where it answers a question, for its
    CAM sheet in ``sheets/``. Without the manifest there are tables alone.
    """
    record = study_record(folder)
    charts = study_charts(folder, **({} if seconds is None else {"seconds": seconds}))
    rows = _manifest(record["manifest"])
    cases: list[Case] = []
    figures: list[Figure] = []
    if rows is not None:
        readings = Readings(plans(folder, record), rows)
        for name in {name: None for table in record["tables"].values() for name in table["rows"].values()}:
            run = load_run(folder / "runs" / name / record["folds"][0])
            if run.recipe.schema.questions or readings.wanted(name):
                predictor = Predictor(run, device=device)
                readings.read(name, predictor)
                found = _sheet(predictor, rows, folder / "sheets" / f"{name}_cam.png")
                cases = cases or found
        figures = readings.write(folder / "figures")
    tables = study_tables(folder)
    warned = _never_given(folder, record)
    for line in warned:
        warn(line)
    shots: dict[str, list[Shot]] = {}
    for one in charts:
        (folder / "figures").mkdir(exist_ok=True)
        (folder / "figures" / f"{one.file}.png").write_bytes(png(one.figure))
        shots.setdefault(tables[one.table].title, []).append(
            chart(one.figure, alt=f"{one.table}: {one.caption}", caption=one.caption)
        )
    for figure in figures:
        with Image.open(figure.path) as picture:
            shot = photo(picture, alt=f"{figure.table}: methods side by side", caption=figure.caption)
        shots.setdefault(tables[figure.table].title, []).append(shot)
    return page(
        folder,
        title=f"Study {record['name']}",
        tables=[
            t for title, table in tables.items() for t in (table, *_looks(folder, title, record, rows, device, looks))
        ],
        figures=shots,
        warned=warned,
        cases=cases,
        data_summary=dict(describe(rows.rows, schema=rows.schema)) if rows else {},
    )


def _looks(
    folder: Path, title: str, record: dict[str, Any], rows: Manifest | None, device: str, wanted: bool
) -> list[Table]:
    """The table of where answers were seen, also written beside the others, where it is wanted and can be made."""
    found = cam_table(folder, title, record, rows, device=device) if wanted and rows is not None else None
    if found is None:
        return []
    found.write(folder / "tables", "_".join([*title.lower().split(), "looks"]))
    return [found]


def _never_given(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """What the rows of a study never give over all folds; a run that is a row of several tables is named once."""
    names = {run: row for table in reversed(record["tables"].values()) for row, run in table["rows"].items()}
    return warnings({row: pooled(folder, run, record["folds"]) for run, row in names.items()})


def _sheet(predictor: Predictor, rows: Manifest, path: Path) -> list[Case]:
    """Write the CAM sheet of a run that answers questions: an image an answer; returns the cases shown."""
    run = predictor.run
    counts = Counts.read(run.folder, run.recipe.schema)
    if not len(counts.answers["image"]):
        return []
    found = make_cases(predictor, rows, one_an_answer(counts, run), scores=score_images(counts))
    if found:
        path.parent.mkdir(exist_ok=True)
        cam_sheet(found, question=run.recipe.schema.questions[0].name).save(path)
    return found


def _manifest(about: dict[str, Any]) -> Manifest | None:
    """The manifest that a record names, where it still is."""
    path = about.get("path")
    return Manifest.read(path) if path and Path(path).is_file() else None


def read_seconds(path: Path) -> dict[str, float]:
    """Kind of label -> seconds of one, from a JSON file; ValueError where it is no such object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: no JSON ({error})") from None
    if not isinstance(found, dict):
        raise ValueError(f'{path}: holds no object; write {{"regions": 12, "masks": 240}}')
    return found
