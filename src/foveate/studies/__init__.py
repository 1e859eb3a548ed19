"""The papers' comparisons, one file each; `load_study` finds one, `run_study` trains every row on every fold."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.core import plugins
from foveate.core.files import write_json
from foveate.core.labels import LabelSchema
from foveate.data.cache import Cache
from foveate.data.manifest import Manifest
from foveate.engine.folds import fold_parts
from foveate.engine.recipe import Recipe
from foveate.engine.run import DivergedError
from foveate.engine.study import COSTS, Study, StudyTable
from foveate.metrics.counts import Counts
from foveate.metrics.listing import renamed
from foveate.recipes import load_run
from foveate.report.study import Chart, comparison, measured
from foveate.report.table import Table
from foveate.studies._costs import row_costs, stage_costs
from foveate.studies._rows import refuse_unused
from foveate.studies._training import Job, in_one_precision, run_jobs

SHARED = ("sensitivity", "specificity", "precision")
"""Short names that a metric of labels and one of answers share."""

NOTE_ON_SEED = "Every network was trained once: how much another seed would change is not in the intervals."
NOTE_ON_COSTS = (
    "Costs: MiB of float32 parameters; GMAC and test time of one image at the size of the study; times on the machine "
    "that ran it, beside the paper's on its own."
)


def load_study(name: str, schema: LabelSchema, /, **keywords: Any) -> Study:
    """A study by the name of its file.

    Args:
        name: "image_quality", ...
        schema: the manifest's.
        keywords: of the study; those that it does not name itself go to every row on which they have an effect.

    Raises:
        ValueError: no such study, a keyword that neither it nor its recipes know, or one without effect on any row.
    """
    make = plugins.load("studies", name).study
    own = {k for k, p in inspect.signature(make).parameters.items() if p.kind is p.KEYWORD_ONLY} - {"common"}
    mine = {k: v for k, v in keywords.items() if k in own}
    common = {k: v for k, v in keywords.items() if k not in own}
    study: Study = make(schema, common=common, **mine)
    refuse_unused(study, common)
    return study


def run_study(
    study: Study,
    rows: Manifest,
    *,
    out: str | Path,
    folds: Sequence[int] | None = None,
    tables: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    device: str = "auto",
    seed: int = 0,
    annotators: str | None = None,
    absent: str | None = None,
    workers: int = 1,
    cache: Cache | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Table]:
    """Train and evaluate what is not done yet, then write the tables; started again it goes on where it stopped.

    Args:
        study: from `load_study`.
        rows: with folds (each fold is the test set once, the next one validates) or with train, val and test.
        out: study folder; ``runs/`` has one run per row and fold, ``tables/`` the tables as text, CSV and LaTeX.
        folds: some of the folds; None = all there are.
        tables: some of the tables; None = all.
        only: some of their rows, in whatever table they are; None = all. The tables show those done before, too.
        device, seed, quiet: as for `fit`.
        absent: what an image free of a label scores in the tables; None = as each table has it.
        workers: rows trained at a time, each in a process with its part of the cores; for networks too small to keep
            all cores busy. A stage that several rows have in common is trained once.
        cache: of prepared images (`data.cache.cache_at`); all rows and folds share it. None = the user's.
        `annotators`: evaluate all runs on this annotator's masks, or by another rule than the recipes'; runs that are
            trained are not trained again.
        `say`: called with a line per row as it begins.

    Raises:
        ValueError: the manifest has neither folds nor splits, or the study has no such table or row.
        DivergedError: no row of a table could be trained; if some could, the table names those left out and why.
    """
    folder = Path(out)
    parts = _parts(rows, folds)
    wanted = dict(study.only(tables=tables or None, rows=only or None).tables)
    names = {title: study.runs(title) for title in wanted}
    jobs: dict[str, tuple[str, Recipe]] = {}
    for title, table in wanted.items():
        for row, recipe in table.items():
            jobs.setdefault(names[title][row], (row, recipe))
    runs = folder / "runs"
    todo: list[Job] = []

    def done(name: str, fold: str) -> bool:
        return (runs / name / fold / (annotators or "") / "metrics.json").is_file()

    for number, (name, (row, recipe)) in enumerate(jobs.items(), 1):
        for fold, part in parts.items():
            if not done(name, fold):
                todo.append(Job(f"[{number}/{len(jobs)}] {row}, {fold}", recipe, part, runs / name / fold, runs, cache))
    todo = in_one_precision(todo, device=device, say=say)
    found = run_jobs(todo, workers=workers, device=device, seed=seed, annotators=annotators, quiet=quiet, say=say)
    lost = {place.parent.name: f"{place.name}: {said}" for place, said in reversed(found.items())}
    every = {name for row_names in names.values() for name in row_names.values()}
    there = {name for name in every - set(lost) if all(done(name, fold) for fold in parts)}
    wanted = {title: _trained(study[title], names[title], there, lost) for title in wanted}
    if bare := [title for title, table in wanted.items() if not table.rows]:
        raise DivergedError(f"{', '.join(bare)}: no row was trained. {'; '.join(lost.values())}")
    for name in {names[title][row]: None for title, table in wanted.items() if table.costs for row in table}:
        for fold in parts:
            stage_costs(load_run(runs / name / fold), device=device)
    record = _record(study.name, wanted, names, list(parts), rows)
    if (folder / "study.json").is_file() and (before := study_record(folder))["folds"] == record["folds"]:
        record["tables"] = before["tables"] | record["tables"]
    write_json(folder / "study.json", record)
    return study_tables(folder, annotators=annotators, absent=absent)


def study_tables(folder: str | Path, *, annotators: str | None = None, absent: str | None = None) -> dict[str, Table]:
    """The tables of a study folder, made anew from its counts and written to ``tables/`` as text, CSV and LaTeX.

    A row's folds are pooled image by image, its costs are their mean. ``annotators`` are those on which
    `run_study` evaluated the runs; ``absent`` None is each table's own policy. ValueError if the folder has no study.
    """
    folder = Path(folder)
    made = {}
    record = study_record(folder)
    for title, table in record["tables"].items():
        counts = {
            row: pooled(folder, name, record["folds"], annotators=annotators) for row, name in table["rows"].items()
        }
        policy = absent or table["absent"]
        costs = _costs(folder, table, record["folds"])
        metrics, paper = tuple(table["metrics"]), table["paper"]
        if table["partial"]:
            metrics = measured(metrics, counts, absent=policy)
            shown = {*metrics, *table["costs"]}
            paper = {row: {k: v for k, v in values.items() if k in shown} for row, values in paper.items()}
        found = comparison(
            f"{record['name']}, {title}",
            counts,
            metrics=metrics,
            paper={row: {COSTS.get(k, k): v for k, v in values.items()} for row, values in paper.items()},
            reference=table["references"],
            compared=None if table["compared"] is None else [name for name in table["compared"] if name in metrics],
            costs=costs,
            absent=policy,
        )
        notes = [NOTE_ON_SEED] * bool(table["references"])
        notes += [table["note"]] * bool(table["note"]) + [f"Evaluated on: {annotators}."] * bool(annotators)
        notes += [NOTE_ON_COSTS] * bool(costs)
        made[title] = replace(found, note=(*found.note, *notes))
        name = "_".join(
            [
                *title.lower().split(),
                *([annotators] if annotators else []),
                *([policy] if policy != table["absent"] else []),
            ]
        )
        made[title].write(folder / "tables", name)
    return made


def _costs(folder: Path, table: dict[str, Any], folds: Sequence[str]) -> dict[str, dict[str, float]]:
    """Heading -> row -> mean over the folds."""
    out: dict[str, dict[str, float]] = {COSTS[name]: {} for name in table["costs"]}
    for row, name in table["rows"].items():
        runs = [load_run(folder / "runs" / name / fold) for fold in folds] if out else []
        found = [row_costs(stage_costs(run), tuple(table["stages"])) for run in runs]
        for cost in table["costs"]:
            out[COSTS[cost]][row] = sum(one[cost] for one in found) / len(found)
    return out


def study_charts(folder: str | Path, **keywords: Any) -> list[Chart]:
    """The charts of a study: ``charts(folder, ...)`` of its file, if it has that function.

    Args:
        folder: of the study.
        keywords: of that function.

    Raises:
        ValueError: a keyword that the study's charts do not know, or the folder has no study.
    """
    folder = Path(folder)
    name = study_record(folder)["name"]
    draw = getattr(plugins.load("studies", name), "charts", None) if name in plugins.names("studies") else None
    known = {k for k, p in inspect.signature(draw).parameters.items() if p.kind is p.KEYWORD_ONLY} if draw else set()
    if strange := sorted(set(keywords) - known):
        raise ValueError(f"{strange[0]}: the study {name!r} has no chart that uses it; leave it out")
    return list(draw(folder, **keywords)) if draw else []


def study_record(folder: Path) -> dict[str, Any]:
    """The content of ``study.json``; ValueError if there is none."""
    path = folder / "study.json"
    if not path.is_file():
        raise ValueError(f"{folder}: no study there (study.json is missing); name the folder of `foveate study -o`")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record | {"tables": {title: _with_levels(table) for title, table in record["tables"].items()}}


def _with_levels(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table of ``study.json``; earlier versions called its metrics "figures".

    They had no levels either: there the mean of a metric that labels and answers share was that over labels.
    """
    metrics = table["metrics"] if "metrics" in table else table["figures"]
    full = {name: name for name in metrics} | renamed(name for name in SHARED if name in metrics)
    return {
        **{key: value for key, value in table.items() if key != "figures"},
        "metrics": [full[name] for name in metrics],
        "paper": {row: {full.get(k, k): v for k, v in values.items()} for row, values in table["paper"].items()},
        "compared": None if table["compared"] is None else [full.get(name, name) for name in table["compared"]],
    }


def pooled(folder: Path, name: str, folds: Sequence[str], *, annotators: str | None = None) -> Counts:
    """Counts of a row over its folds, pooled image by image."""
    runs = [load_run(folder / "runs" / name / fold) for fold in folds]
    return Counts.join([Counts.read(run.folder / (annotators or ""), run.recipe.schema) for run in runs])


def _trained(table: StudyTable, runs: Mapping[str, str], there: Collection[str], lost: Mapping[str, str]) -> StudyTable:
    """A table with the rows that are trained, now or before; its note names those that could not be.

    Args:
        table: of the study.
        runs: row -> run.
        there: runs that are trained and evaluated on every part.
        lost: run -> why.
    """
    left_out = "".join(f" Left out: {row} ({lost[runs[row]]})." for row in table if runs[row] in lost)
    return replace(table.only([row for row in table if runs[row] in there]), note=f"{table.note}{left_out}".strip())


def _parts(rows: Manifest, folds: Sequence[int] | None) -> dict[str, Manifest]:
    """Manifests with train, val and test, by name."""
    if any(row.fold is not None for row in rows):
        return fold_parts(rows, folds)
    if not {row.split for row in rows.rows} >= {"train", "val", "test"}:
        raise ValueError("the manifest has neither folds nor train, val, test; run `foveate split M.jsonl --folds 5`")
    return {"split": rows}


def _record(
    name: str,
    tables: Mapping[str, StudyTable],
    runs: Mapping[str, Mapping[str, str]],
    folds: list[str],
    rows: Manifest,
) -> dict[str, Any]:
    """The content of ``study.json``: enough to make tables and reports again."""
    return {
        "name": name,
        "manifest": {"path": str(rows.path.resolve()) if rows.path else None, "hash": rows.hash},
        "folds": folds,
        "tables": {
            title: {
                "rows": {row: runs[title][row] for row in table},
                "metrics": list(table.metrics),
                "paper": {row: dict(values) for row, values in table.paper.items()},
                "references": list(table.references),
                "compared": None if table.compared is None else list(table.compared),
                "absent": table.absent,
                "costs": list(table.costs),
                "stages": list(table.stages),
                "note": table.note,
                "partial": len(table) < len(runs[title]),
            }
            for title, table in tables.items()
        },
    }
