"""Commands of training: fit, evaluate, calibrate, study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from foveate.cli.options import (
    SIZES,
    UNITS,
    Annotators,
    CacheLimit,
    Device,
    Fold,
    Folds,
    ManifestPath,
    Memory,
    Quiet,
    Seed,
    Set,
    Time,
    Unfinished,
    amount,
    cache_of,
    check_finished,
    keywords,
    rows_of,
)


def fit(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or your own path/to/mine.py.")],
    manifest: ManifestPath,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="Folder of the run.")],
    settings: Set = None,
    fold: Fold = None,
    folds: Folds = None,
    device: Device = "auto",
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    dry: Annotated[bool, typer.Option("--dry", help="Print the resolved recipe, or its plan, and stop.")] = False,
    time: Time = None,
    memory: Memory = None,
    cache_limit: CacheLimit = None,
    quiet: Quiet = False,
) -> None:
    """Train a recipe; one that measures the data (auto) prints its plan first.

    Example: `foveate fit auto M.jsonl -o RUN --fold 0 --time 1h` measures the data, prints the plan, trains an hour.

    Example: `foveate fit image_quality M.jsonl -o RUN --set size=256 --dry` prints every number and trains nothing.
    """
    from foveate.cli.progress import counted
    from foveate.engine.fit import fit as train
    from foveate.engine.folds import first_part, fit_folds
    from foveate.recipes import load_recipe, plan_recipe

    rows, given, number = rows_of(manifest, fold), keywords(settings), _number(folds, fold)
    seen, share = (rows, 1) if folds is None else first_part(rows, number)
    seconds, before = amount(time, UNITS, option="--time"), out if folds is None else out / "fold0"
    with counted("measuring images", quiet=quiet) as progress:
        plan = plan_recipe(
            recipe,
            seen,
            keywords=given,
            time=None if seconds is None else seconds / share,
            memory=amount(memory, SIZES, option="--memory"),
            device=device,
            resume=before if resume else None,
            progress=progress,
        )
    chosen = load_recipe(recipe, rows.schema, **(given if plan is None else plan.keywords))
    if plan is not None and (dry or not quiet):
        typer.echo(str(plan))
    if dry:
        if plan is None:
            typer.echo(str(chosen))
        return
    settled: dict[str, Any] = {"device": device, "seed": seed, "resume": resume, "quiet": quiet}
    settled["cache"] = cache_of(cache_limit)
    if folds is not None:
        made = fit_folds(chosen, rows, out=out, folds=number, plan=plan, say=typer.echo, **settled)
        typer.echo(f"{made.folder}: {len(made.runs)} folds trained; next: foveate evaluate {made.folder} {manifest}")
        return
    run = train(chosen, rows, out=out, plan=plan, **settled)
    typer.echo(
        f"{run.folder}: trained; next: foveate evaluate {run.folder} {manifest}"
        + (f" --fold {fold}" if fold is not None else "")
    )


def _number(folds: str | None, fold: int | None) -> int | None:
    """The number of folds of ``--folds``; None for "all"."""
    if folds is None:
        return None
    if fold is not None:
        raise ValueError(f"--fold {fold} trains one fold, --folds {folds} all of them; give one of the two")
    if folds != "all" and not folds.isdecimal():
        raise ValueError(f"--folds must be 'all' or a number, got {folds!r}")
    return None if folds == "all" else int(folds)


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `foveate fit` wrote.")],
    manifest: ManifestPath,
    split: Annotated[
        str | None,
        typer.Option(help="Which rows: test, val, train or all; default: test, or all for folds without a test split."),
    ] = None,
    fold: Fold = None,
    annotators: Annotators = None,
    absent: Annotated[str, typer.Option(help="Images without the label: one, zero, nan or exclude.")] = "one",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Another folder for the metrics.")
    ] = None,
    seen: Annotated[
        bool,
        typer.Option("--seen", help="Of folds: all of them predict every image, also those that they were trained on."),
    ] = False,
    device: Device = "auto",
    unfinished: Unfinished = False,
    cache_limit: CacheLimit = None,
    quiet: Quiet = False,
) -> None:
    """Compare a run with the ground truth, in the original pixels, with intervals.

    Example: `foveate evaluate RUN M.jsonl --fold 0` prints the metrics of the test images and writes metrics.json.

    Example: `foveate evaluate RUN M.jsonl --split val --absent exclude` takes only images that have the label.
    """
    from foveate.engine.evaluate import evaluate as hold
    from foveate.metrics.never_given import never_given
    from foveate.recipes import load_run
    from foveate.report import grading, segmentation

    rows = rows_of(manifest, fold)
    opened = load_run(run)
    check_finished(opened, unfinished=unfinished)
    if split is None:
        split = "all" if opened.members[0] is not opened and not any(row.split == "test" for row in rows) else "test"
    chosen = rows if split == "all" else rows.where(split=split)
    parts = opened.held_out(chosen, seen=seen)
    if known := sum(part.saw(row) for part, some in parts for row in some):
        typer.secho(
            f"warning: the run has seen {known} of these {len(chosen)} images in training", fg="yellow", err=True
        )
    if opened.members[0] is not opened:
        typer.echo(_read_by(parts, every=len(opened.members)))
    counts = hold(
        opened,
        chosen,
        device=device,
        annotators=annotators,
        absent=absent,
        out=out,
        cache=cache_of(cache_limit),
        quiet=quiet,
        seen=seen,
    )
    if counts.pixels["image"].size:
        typer.echo(str(segmentation(counts, absent=absent)))
    if counts.answers["image"].size:
        typer.echo(str(grading(counts)))
    for line in never_given(counts):
        typer.secho(f"warning: {line}", fg="yellow", err=True)


def _read_by(parts: Any, *, every: int) -> str:
    """How many images are read by how many members of an ensemble."""
    images: dict[int, int] = {}
    for part, some in parts:
        images[len(part.members)] = images.get(len(part.members), 0) + len(some)
    read = [f"{n} by {members} of {every}" for members, n in sorted(images.items())]
    return f"images read, each by the members that may: {', '.join(read)}"


def calibrate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `foveate fit` wrote.")],
    manifest: ManifestPath,
    threshold: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="Rule of the thresholds of yes: harmonic, youden, sensitivity=SHARE, specificity=SHARE; half = 0.5.",
        ),
    ] = "harmonic",
    masks: Annotated[
        bool,
        typer.Option("--masks/--no-masks", help="Also choose the threshold of each label, and its smallest lesion."),
    ] = True,
    device: Device = "auto",
    cache_limit: CacheLimit = None,
    quiet: Quiet = False,
) -> None:
    """Choose temperatures and thresholds on the run's validation images; predict and evaluate then use them.

    Example: `foveate calibrate RUN M.jsonl` takes the best harmonic mean of sensitivity and specificity.

    Example: `foveate calibrate RUN M.jsonl --threshold sensitivity=0.95 --no-masks` keeps the sensitivity of answers.
    """
    from foveate.data.manifest import Manifest
    from foveate.engine.calibrate import calibrate as choose
    from foveate.engine.calibrate import choices_of
    from foveate.recipes import load_run

    rule, opened = None if threshold == "half" else threshold, load_run(run)
    found = choose(
        opened,
        Manifest.read(manifest),
        threshold=rule,
        masks=masks,
        device=device,
        cache=cache_of(cache_limit),
        quiet=quiet,
    )
    for question, heat in found.temperatures.items():
        cut = found.thresholds.get(question)
        typer.echo(f"{question}: temperature {heat:.3g}" + (f", yes from {cut:.3g}" if cut is not None else ""))
    for question in found.thresholds if not found.temperatures else ():
        typer.echo(f"{question}: yes from {found.thresholds[question]:.3g}; each member has its own temperature")
    for choice in choices_of(opened):
        typer.echo(str(choice))
    for gate in found.gates:
        typer.echo(f"{', '.join(gate.labels)}: marked where {gate.question} is at least {gate.threshold:.3g}")


def study(
    name: Annotated[str, typer.Argument(help="Name of a study (foveate list studies).")],
    manifest: ManifestPath,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the study; a second start continues it.")
    ],
    settings: Set = None,
    tables: Annotated[list[str] | None, typer.Option("--table", "-t", help="Only these tables.")] = None,
    only: Annotated[list[str] | None, typer.Option("--row", "-r", help="Only these rows, in any table.")] = None,
    folds: Annotated[list[int] | None, typer.Option("--fold", help="Only these folds.")] = None,
    device: Device = "auto",
    seed: Seed = 0,
    annotators: Annotators = None,
    absent: Annotated[
        str | None,
        typer.Option(help="Images without the label: one, zero, nan or exclude (else as each table has it)."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Rows trained at a time, each in a process of its own.")] = 1,
    cache_limit: CacheLimit = None,
    quiet: Quiet = False,
) -> None:
    """Train and compare every row of a paper's tables.

    Example: `foveate study image_quality M.jsonl -o STUDY --fold 0 --set size=256` trains all rows on one fold.

    Example: `foveate study joint_dice M.jsonl -o STUDY --row HBA-U-Net --workers 2` trains one row of its tables.
    """
    from foveate.data.manifest import Manifest
    from foveate.studies import load_study, run_study

    rows = Manifest.read(manifest)
    chosen = load_study(name, rows.schema, **keywords(settings))
    made = run_study(
        chosen,
        rows,
        out=out,
        folds=folds,
        tables=tables,
        only=only,
        device=device,
        seed=seed,
        annotators=annotators,
        absent=absent,
        workers=workers,
        cache=cache_of(cache_limit),
        quiet=quiet,
        say=typer.echo,
    )
    for table in made.values():
        typer.echo(f"\n{table}")
