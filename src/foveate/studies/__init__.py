"""The papers' comparisons, a file each; `load_study` finds one, `run_study` trains every row on every fold."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.core import find
from foveate.core.labels import LabelSchema
from foveate.data.manifest import Manifest
from foveate.engine.checkpoint import write_json
from foveate.engine.evaluate import evaluate
from foveate.engine.fit import fit
from foveate.engine.study import Study, StudyTable, run_name
from foveate.metrics.counts import Counts
from foveate.recipes import load_run
from foveate.report.study import comparison
from foveate.report.table import Table


def load_study(name: str, schema: LabelSchema, /, **keywords: Any) -> Study:
    """A study by the name of its file in this room.

    Args:
        name: "image_quality", ...
        schema: the manifest's.
        keywords: of the study; those it does not name itself go to every recipe of its rows.

    Raises:
        ValueError: no such study, or a keyword that neither it nor its recipes know.
    """
    make = find.load("studies", name).study
    own = {k for k, p in inspect.signature(make).parameters.items() if p.kind is p.KEYWORD_ONLY} - {"common"}
    mine = {k: v for k, v in keywords.items() if k in own}
    study: Study = make(schema, common={k: v for k, v in keywords.items() if k not in own}, **mine)
    return study


def run_study(
    study: Study,
    rows: Manifest,
    *,
    out: str | Path,
    folds: Sequence[int] | None = None,
    tables: Sequence[str] | None = None,
    device: str = "auto",
    seed: int = 0,
    graders: str | None = None,
    absent: str = "one",
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Table]:
    """Train and evaluate what is not done yet, then write the tables; started again it goes on where it stopped.

    Args:
        study: from `load_study`.
        rows: with folds (each fold is the test set once, the next one validates) or with train, val and test.
        out: study folder; ``runs/`` holds a run a row and fold, ``tables/`` the tables as text, CSV and LaTeX.
        folds: some of the folds; None = all there are.
        tables: some of the tables; None = all.
        device, seed, quiet: as for `fit`.
        absent: what an image free of a label scores in the tables.
        graders: hold all runs against this grader, or another rule than the recipes'; trains nothing that is there.
        say: told of each row as it is done.

    Raises:
        ValueError: the manifest has neither folds nor splits, or a table is not one of the study's.
    """
    folder = Path(out)
    parts = _parts(rows, folds)
    wanted = {name: study[name] for name in (tables or list(study))}
    jobs = {run_name(row, recipe): (row, recipe) for table in wanted.values() for row, recipe in table.items()}
    for number, (name, (row, recipe)) in enumerate(jobs.items(), 1):
        for fold, part in parts.items():
            place = folder / "runs" / name / fold
            held = place / graders if graders else place
            if not (held / "metrics.json").is_file():
                say(f"[{number}/{len(jobs)}] {row}, {fold}")
                run = fit(recipe, part, out=place, device=device, seed=seed, resume=True, quiet=quiet)
                evaluate(run, part.where(split="test"), device=device, graders=graders, out=held, intervals=False)
    record = _record(study, wanted, list(parts), rows)
    if (folder / "study.json").is_file() and (before := study_record(folder))["folds"] == record["folds"]:
        record["tables"] = before["tables"] | record["tables"]
    write_json(folder / "study.json", record)
    return study_tables(folder, graders=graders, absent=absent)


def study_tables(folder: str | Path, *, graders: str | None = None, absent: str = "one") -> dict[str, Table]:
    """The tables of a study folder, made anew from its counts and written to ``tables/`` as text, CSV and LaTeX.

    A row's folds are pooled image by image. ``graders`` are those that `run_study` held the runs against. ValueError
    where the folder holds no study.
    """
    folder = Path(folder)
    made = {}
    record = study_record(folder)
    for title, table in record["tables"].items():
        counts = {row: pooled(folder, name, record["folds"], graders=graders) for row, name in table["rows"].items()}
        found = comparison(
            f"{record['name']}, {title}",
            counts,
            figures=table["figures"],
            paper=table["paper"],
            reference=table["reference"],
            absent=absent,
        )
        said = [table["note"]] * bool(table["note"]) + [f"Held against: {graders}."] * bool(graders)
        made[title] = replace(found, note=(*found.note, *said))
        name = "_".join(
            [*title.lower().split(), *([graders] if graders else []), *([absent] if absent != "one" else [])]
        )
        made[title].write(folder / "tables", name)
    return made


def study_record(folder: Path) -> dict[str, Any]:
    """What stands in ``study.json``; ValueError where there is none."""
    path = folder / "study.json"
    if not path.is_file():
        raise ValueError(f"{folder}: no study there (study.json is missing); name the folder of `foveate study -o`")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def pooled(folder: Path, name: str, folds: Sequence[str], *, graders: str | None = None) -> Counts:
    """Counts of a row over its folds, pooled image by image."""
    runs = [load_run(folder / "runs" / name / fold) for fold in folds]
    return Counts.join([Counts.read(run.folder / (graders or ""), run.recipe.schema) for run in runs])


def _parts(rows: Manifest, folds: Sequence[int] | None) -> dict[str, Manifest]:
    """Manifests with train, val and test, by name."""
    there = sorted({row.fold for row in rows.rows if row.fold is not None})
    if there:
        if strange := set(folds or ()) - set(there):
            raise ValueError(f"folds={sorted(strange)} are none of the manifest's {there}")
        return {f"fold{k}": rows.fold(k) for k in (folds or there)}
    if not {row.split for row in rows.rows} >= {"train", "val", "test"}:
        raise ValueError("the manifest has neither folds nor train, val, test; say `foveate split M.jsonl --folds 5`")
    return {"split": rows}


def _record(study: Study, tables: dict[str, StudyTable], folds: list[str], rows: Manifest) -> dict[str, Any]:
    """What stands in ``study.json``: enough to make tables and reports again."""
    return {
        "name": study.name,
        "manifest": {"path": str(rows.path.resolve()) if rows.path else None, "hash": rows.hash},
        "folds": folds,
        "tables": {
            title: {
                "rows": {row: run_name(row, recipe) for row, recipe in table.items()},
                "figures": list(table.figures),
                "paper": {row: dict(values) for row, values in table.paper.items()},
                "reference": table.reference,
                "note": table.note,
            }
            for title, table in tables.items()
        },
    }
