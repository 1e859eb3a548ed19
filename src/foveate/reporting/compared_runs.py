"""``foveate compare``: tables and a page of any runs, of this package or imported, on the images that all have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from foveate.engine.predictions import is_predictions, read_predictions
from foveate.metrics.counts import Counts
from foveate.recipes import load_run
from foveate.report.page import page
from foveate.report.significance import significance
from foveate.report.study import comparison, measured
from foveate.report.table import Table


def compare_runs(
    runs: Sequence[str | Path],
    *,
    out: str | Path,
    absent: str = "one",
    repeats: int = 1000,
    warn: Callable[[str], None] = lambda _: None,
) -> list[Table]:
    """Compare evaluated runs and imported predictions with the first of them; returns the tables.

    Writes ``tables/`` (text, CSV, LaTeX) and ``report.html``. All tables are of the images that all runs have.

    Args:
        runs: folders of runs that were evaluated, or of imported predictions; the first is the reference.
        out: folder of the tables and the page.
        absent: what an image free of a label scores: a name of `segmentation.ABSENT`.
        repeats: bootstrap draws.
        warn: called with a line on the images that are not in all runs.

    Raises:
        ValueError: fewer than two runs, one that was not evaluated, or no common image.
    """
    if len(runs) < 2:
        raise ValueError(f"runs must be two or more, got {[str(run) for run in runs]}")
    counts = common({name: open_counts(run) for name, run in _names(runs).items()}, warn=warn)
    names = asked(counts)
    first = next(iter(counts))
    tables = [comparison("Runs side by side", counts, names, reference=first, absent=absent, repeats=repeats)]
    tests = significance("Paired tests", counts, reference=first, repeats=repeats)
    tables += [tests] if tests is not None else []
    for name, table in zip(("comparison", "tests"), tables, strict=False):
        table.write(Path(out) / "tables", name)
    page(out, title="Comparison of runs", tables=tables)
    return tables


def open_counts(folder: str | Path) -> Counts:
    """The counts of an evaluated run or of imported predictions.

    Raises:
        ValueError: the run was not evaluated.
    """
    place = Path(folder)
    if is_predictions(place):
        return read_predictions(place)
    run = load_run(place)
    if not (place / "counts.csv").is_file():
        raise ValueError(f"{place}: was not evaluated; run foveate evaluate {place} MANIFEST first")
    return Counts.read(place, run.recipe.schema)


def common(rows: Mapping[str, Counts], *, warn: Callable[[str], None] = lambda _: None) -> dict[str, Counts]:
    """The counts reduced to the images that all methods have, in one order.

    Args:
        rows: method -> counts.
        warn: called with a line per method that has other images too.

    Raises:
        ValueError: there is no common image.
    """
    shared = set.intersection(*(set(counts.images) for counts in rows.values()))
    if not shared:
        raise ValueError(f"runs={list(rows)} have no image in common; evaluate them on the same manifest")
    order = [image for image in next(iter(rows.values())).images if image in shared]
    for name, counts in rows.items():
        if extra := [image for image in counts.images if image not in shared]:
            warn(f"{name}: {len(extra)} of {len(counts)} images are not in all runs and are left out: {extra[:5]}")
    return {name: counts.take(order) for name, counts in rows.items()}


def asked(rows: Mapping[str, Counts]) -> tuple[str, ...]:
    """Metrics of the table: the Dice of masks, and of each question AUC, accuracy and, if ordered, quadratic κ."""
    questions = {
        q.name: q for counts in rows.values() for q in counts.schema.questions if len(counts.questions[q.name].truth)
    }
    masks = any(len(part.image) for counts in rows.values() for part in counts.labels.values())
    names = ["pixel/dice", "pixel/iou"] if masks else []
    for name, question in questions.items():
        names += [f"image/auc/{name}", f"image/accuracy/{name}"]
        names += [f"image/qkappa/{name}"] if question.ordered else []
    return measured(names, rows)


def _names(runs: Sequence[str | Path]) -> dict[str, str | Path]:
    """Name of each run: its folder, with the folder above it if two are alike.

    Raises:
        ValueError: a run is named twice.
    """
    if len({Path(run).resolve() for run in runs}) < len(runs):
        raise ValueError(f"runs={[str(run) for run in runs]}: one is named twice; name each run once")
    short = [Path(run).resolve().name for run in runs]
    alike = len(set(short)) < len(short)
    return {
        "/".join(Path(run).resolve().parts[-2:]) if alike else name: run for run, name in zip(runs, short, strict=True)
    }
