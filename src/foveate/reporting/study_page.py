"""The page of a study: its tables, the methods side by side, charts, and cases read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from foveate.core.types import Case
from foveate.data.manifest import Manifest
from foveate.inference.case_choice import make_cases, score_images
from foveate.inference.predictor import Predictor
from foveate.metrics.counts import Counts
from foveate.recipes import load_run
from foveate.report.canvas import png
from foveate.report.case_sheets import cam_sheet
from foveate.report.embed import Shot, chart, photo
from foveate.report.found import warnings
from foveate.report.page import page
from foveate.report.rows import describe
from foveate.report.table import Table
from foveate.reporting.figure_plans import one_per_answer, plans
from foveate.reporting.figure_results import Figure, FigureResults
from foveate.reporting.localisation import cam_table
from foveate.reporting.run_page import manifest_of
from foveate.studies import pooled, study_charts, study_record, study_tables


def study_report(
    folder: Path,
    *,
    device: str = "auto",
    looks: bool = False,
    seconds: Mapping[str, float] | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the page of a study: its tables, each with the methods side by side and the study's charts (also in
    ``figures/``), and cases.

    Each run of the first fold is opened once: for the figures, and, if it answers a question, for its sheet of
    activation maps in ``sheets/``. Without the manifest the page has tables only.
    """
    record = study_record(folder)
    charts = study_charts(folder, **({} if seconds is None else {"seconds": seconds}))
    rows = manifest_of(record["manifest"])
    cases: list[Case] = []
    figures: list[Figure] = []
    if rows is not None:
        readings = FigureResults(plans(folder, record), rows)
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
    """Make the localisation table and write it beside the others, if it is wanted and possible."""
    found = cam_table(folder, title, record, rows, device=device) if wanted and rows is not None else None
    if found is None:
        return []
    found.write(folder / "tables", "_".join([*title.lower().split(), "looks"]))
    return [found]


def _never_given(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """Name labels and answers that a study's rows never give over all folds; a run of several tables is named once."""
    names = {run: row for table in reversed(record["tables"].values()) for row, run in table["rows"].items()}
    return warnings({row: pooled(folder, run, record["folds"]) for run, row in names.items()})


def _sheet(predictor: Predictor, rows: Manifest, path: Path) -> list[Case]:
    """Write the sheet of activation maps of a run that answers: one image per answer; return the cases shown."""
    run = predictor.run
    counts = Counts.read(run.folder, run.recipe.schema)
    if not len(counts.answers["image"]):
        return []
    found = make_cases(predictor, rows, one_per_answer(counts, run), scores=score_images(counts))
    if found:
        path.parent.mkdir(exist_ok=True)
        cam_sheet(found, question=run.recipe.schema.questions[0].name).save(path)
    return found
