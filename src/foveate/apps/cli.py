"""The command line: one verb = the library call of the same name. Heavy imports happen inside the commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="foveate reads retinal images and says what is there and where, each answer guiding the other.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help answers in half the time
)

ManifestPath = Annotated[Path, typer.Argument(metavar="M.jsonl", help="Manifest: JSON lines, the schema first.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Set = Annotated[
    list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="Keyword of the recipe or study.")
]
Fold = Annotated[int | None, typer.Option(help="Test on this fold, validate on the next, train on the rest.")]
Seed = Annotated[int, typer.Option(help="Of everything that is left to chance.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


@app.command("list")
def list_(
    room: Annotated[
        str | None, typer.Argument(help="recipes, studies, adapters, models, baselines, losses, metrics")
    ] = None,
) -> None:
    """What there is: recipes, studies, adapters, networks, losses, metrics; of adapters also where to get the data."""
    from textwrap import indent

    from foveate.core import find

    rooms = {
        "recipes": "recipes",
        "studies": "studies",
        "adapters": "data/adapters",
        "models": "models",
        "baselines": "models/baselines",
        "losses": "losses",
        "metrics": "metrics",
    }
    if room is not None and room not in rooms:
        raise ValueError(f"room={room!r} is none of {list(rooms)}")
    for name in [room] if room else list(rooms):
        typer.secho(name, bold=True)
        for file, line in find.names(rooms[name]).items():
            typer.echo(f"  {file:<18} {line}")
            if room == "adapters":
                from foveate.data.adapters import describe

                typer.echo(indent(describe(file), " " * 6))


@app.command()
def scan(
    adapter: Annotated[str, typer.Argument(help="Name of an adapter (foveate list adapters) or a dataset.toml.")],
    root: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="M.jsonl", help="Manifest to write.")],
    quiet: Quiet = False,
) -> None:
    """Read a data set's own layout and write its manifest."""
    from foveate.apps.progress import counted
    from foveate.data.adapters import scan as read

    with counted("scan", quiet=quiet) as progress:
        manifest = read(adapter, root, progress=progress)
    for line in manifest.info.get("warnings", ()):
        typer.secho(f"warning: {line}", fg="yellow", err=True)
    manifest.write(out)
    typer.echo(f"{out}: {len(manifest)} images, {len({row.group for row in manifest.rows})} patients or groups")


@app.command()
def check(
    manifest: ManifestPath,
    page: Annotated[
        Path | None, typer.Option(metavar="CHECK.html", help="Also a page with contact sheets to scroll through.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that decode; 0 = threads; default: by the number of images.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn: the page's images, the shuffles.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Look for what is wrong with a data set; exit code 1 on a leak or an unreadable file."""
    from foveate.apps.progress import counted
    from foveate.data.check import check as look
    from foveate.data.manifest import Manifest

    rows = Manifest.read(manifest)
    with counted("check", quiet=quiet) as progress:
        report = look(rows, workers=workers, seed=seed, progress=progress)
    typer.echo(str(report))
    if page is not None:
        from foveate.apps.checking import write_check_page

        typer.echo(f"{write_check_page(page, manifest=rows, report=report, seed=seed)}: what was found, with pictures")
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def merge(
    manifests: Annotated[list[Path], typer.Argument(metavar="A.jsonl B.jsonl ...", help="Two manifests or more.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="M.jsonl", help="Manifest to write.")],
    mapping: Annotated[
        Path | None,
        typer.Option("--map", metavar="MAP.toml", help="What becomes of each source's questions and labels."),
    ] = None,
) -> None:
    """Join the manifests of several sets under one schema; what a set does not know stays unknown."""
    from foveate.data.manifest import Manifest
    from foveate.data.mapping import Mapping, read_mapping
    from foveate.data.merge import merge as join

    said = Mapping() if mapping is None else read_mapping(mapping)
    merged = join([Manifest.read(path) for path in manifests], mapping=said).write(out)
    asked, marked = [q.name for q in merged.schema.questions], list(merged.schema.labels)
    typer.echo(
        f"{out}: {len(merged)} images of {len(manifests)} sets; asked: {', '.join(asked) or 'nothing'}; "
        f"marked: {', '.join(marked) or 'nothing'} ({'exclusive' if merged.schema.exclusive else 'may overlap'})"
    )


@app.command()
def split(
    manifest: ManifestPath,
    folds: Annotated[int | None, typer.Option(help="Number of folds; instead of ratios.")] = None,
    ratios: Annotated[str, typer.Option(help="Shares of train, val and test.")] = "0.7,0.1,0.2",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="M.jsonl", help="Another file; default: in place.")
    ] = None,
) -> None:
    """Divide by patient, alike in answers and masks, and write it into the manifest."""
    from foveate.data.manifest import Manifest
    from foveate.data.split import split as divide

    parts = tuple(float(part) for part in ratios.split(","))
    if len(parts) != 3:
        raise ValueError(f"ratios={ratios!r}: give three numbers, train,val,test")
    divided = divide(Manifest.read(manifest), folds=folds, ratios=(parts[0], parts[1], parts[2]), seed=seed)
    divided.write(out or manifest)
    found: dict[str, int] = {}
    for row in divided.rows:
        name = f"fold {row.fold}" if row.fold is not None else str(row.split)
        found[name] = found.get(name, 0) + 1
    typer.echo(f"{out or manifest}: " + ", ".join(f"{name} {n}" for name, n in sorted(found.items())))


@app.command()
def export(
    manifest: ManifestPath,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="nnunet, coco or folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder; nnunet: that of the data sets.")],
    quiet: Quiet = False,
) -> None:
    """Write images and masks in another program's format; says what that format cannot hold."""
    from foveate.apps.progress import counted
    from foveate.core import find
    from foveate.data.manifest import Manifest

    write = find.load("data/exchange", to).write
    rows = Manifest.read(manifest)
    with counted("export", quiet=quiet) as progress:
        written = write(rows, out, progress=progress)
    for line in written.notes:
        typer.secho(f"note: {line}", fg="yellow", err=True)
    typer.echo(f"{', '.join(map(str, written.paths))}: {written.images} of {len(rows)} images")


@app.command()
def fit(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or your own path/to/mine.py.")],
    manifest: ManifestPath,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="Folder of the run.")],
    settings: Set = None,
    fold: Fold = None,
    device: Device = "auto",
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    dry: Annotated[bool, typer.Option("--dry", help="Print the resolved recipe and stop.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe."""
    from foveate.engine.fit import fit as train
    from foveate.recipes import load_recipe

    rows = _rows(manifest, fold)
    chosen = load_recipe(recipe, rows.schema, **_keywords(settings))
    if dry:
        typer.echo(str(chosen))
        return
    run = train(chosen, rows, out=out, device=device, seed=seed, resume=resume, quiet=quiet)
    typer.echo(
        f"{run.folder}: trained; next: foveate evaluate {run.folder} {manifest}"
        + (f" --fold {fold}" if fold is not None else "")
    )


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `foveate fit` wrote.")],
    manifest: ManifestPath,
    split: Annotated[str, typer.Option(help="Which rows: test, val, train or all.")] = "test",
    fold: Fold = None,
    graders: Annotated[str | None, typer.Option(help="Hold it against one grader or another rule.")] = None,
    absent: Annotated[str, typer.Option(help="Images without the label: one, zero, nan or exclude.")] = "one",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Another folder for the figures.")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Hold a run against the truth, in the original pixels, with intervals."""
    from foveate.engine.evaluate import evaluate as hold
    from foveate.recipes import load_run
    from foveate.report import grading, segmentation

    rows = _rows(manifest, fold)
    chosen = rows if split == "all" else rows.where(split=split)
    opened = load_run(run)
    if seen := sum(opened.splits.get(row.id) in ("train", "val") for row in chosen):
        typer.secho(
            f"warning: the run has seen {seen} of these {len(chosen)} images in training", fg="yellow", err=True
        )
    counts = hold(opened, chosen, device=device, graders=graders, absent=absent, out=out, quiet=quiet)
    if counts.pixels["image"].size:
        typer.echo(str(segmentation(counts, absent=absent)))
    if counts.answers["image"].size:
        typer.echo(str(grading(counts)))


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="Name of a study (foveate list studies).")],
    manifest: ManifestPath,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the study; started again it goes on.")
    ],
    settings: Set = None,
    tables: Annotated[list[str] | None, typer.Option("--table", "-t", help="Only these tables.")] = None,
    folds: Annotated[list[int] | None, typer.Option("--fold", help="Only these folds.")] = None,
    device: Device = "auto",
    seed: Seed = 0,
    graders: Annotated[str | None, typer.Option(help="Hold the runs against one grader or another rule.")] = None,
    absent: Annotated[str, typer.Option(help="Images without the label: one, zero, nan or exclude.")] = "one",
    quiet: Quiet = False,
) -> None:
    """Train and compare every row of a paper's tables."""
    from foveate.data.manifest import Manifest
    from foveate.studies import load_study, run_study

    rows = Manifest.read(manifest)
    chosen = load_study(name, rows.schema, **_keywords(settings))
    made = run_study(
        chosen,
        rows,
        out=out,
        folds=folds,
        tables=tables,
        device=device,
        seed=seed,
        graders=graders,
        quiet=quiet,
        say=typer.echo,
    )
    for table in made.values():
        typer.echo(f"\n{table}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run that was evaluated, or a study.")],
    device: Device = "auto",
) -> None:
    """Write report.html: data, curves, figures with intervals, cases and CAMs on one page."""
    from foveate.apps.reports import write_report

    typer.echo(write_report(folder, device=device))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `foveate fit` wrote.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Files or folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="Folder for JSON, masks and overlays.")],
    cam: Annotated[bool, typer.Option("--cam", help="Also where each answer was seen.")] = False,
    spacing: Annotated[str | None, typer.Option(help="mm a pixel: one number, or rows,columns.")] = None,
    device: Device = "auto",
) -> None:
    """Read images; exit code 1 when one could not be read (the others are)."""
    from foveate.apps.predicting import predict_all

    bad = predict_all(run, images, out=out, cam=cam, spacing=_spacing(spacing), device=device, say=typer.echo)
    if bad:
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to draw and train in.")] = Path(
        "demo"
    ),
    kind: Annotated[str, typer.Option(help="fundus, oct or enface.")] = "enface",
    number: Annotated[int, typer.Option("-n", help="How many images to draw.")] = 160,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Draw retinas, train on them, evaluate, predict, and write a report."""
    from foveate.apps.demo import run_demo

    run_demo(out, kind=kind, number=number, seed=seed, quiet=quiet, say=typer.echo)


def _rows(path: Path, fold: int | None) -> Any:
    from foveate.data.manifest import Manifest

    rows = Manifest.read(path)
    return rows if fold is None else rows.fold(fold)


def _keywords(settings: list[str] | None) -> dict[str, Any]:
    """``key=value`` pairs; values are JSON where they are JSON (numbers, true, null, lists), else text."""
    import json

    found: dict[str, Any] = {}
    for item in settings or []:
        key, mark, text = item.partition("=")
        if not mark:
            raise ValueError(f"--set {item!r}: write KEY=VALUE")
        try:
            found[key.strip()] = json.loads(text)
        except json.JSONDecodeError:
            found[key.strip()] = {"True": True, "False": False, "None": None}.get(text, text)
    return found


def _spacing(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    parts = [float(part) for part in text.split(",")]
    if len(parts) not in (1, 2) or min(parts) <= 0:
        raise ValueError(f"spacing={text!r}: give mm a pixel, one positive number or two (rows,columns)")
    return parts[0], parts[-1]


def main() -> None:
    """Run the command line; a wrong value or a file that is not there is the user's to mend and is told in one line."""
    try:
        app()
    except (ValueError, RuntimeError, OSError) as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.secho("interrupted", fg="yellow", err=True)
        sys.exit(130)
