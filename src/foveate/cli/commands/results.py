"""Commands of results: report, predict, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.options import (
    Device,
    Grade,
    Lesions,
    Precision,
    Quiet,
    Runtime,
    Seed,
    Threads,
    Unfinished,
    check_finished,
    keywords,
    spacing_of,
)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run that was evaluated, or a study.")],
    looks: Annotated[
        bool,
        typer.Option("--looks", help="Of a study: also the share of each activation map on the marked pixels (slow)."),
    ] = False,
    seconds: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Of a study of annotation cost: kind of label -> seconds of one."),
    ] = None,
    unfinished: Unfinished = False,
    device: Device = "auto",
) -> None:
    """Write report.html: data, curves, metrics with intervals, cases and activation maps on one page.

    Example: `foveate report RUN` writes RUN/report.html for a run that was evaluated.

    Example: `foveate report STUDY --looks` also measures where each method saw its answers.
    """
    from foveate.recipes import load_run
    from foveate.reporting.pages import read_seconds, write_report

    if not (folder / "study.json").is_file():
        check_finished(load_run(folder), unfinished=unfinished)
    times = None if seconds is None else read_seconds(seconds)
    page = write_report(
        folder,
        device=device,
        looks=looks,
        seconds=times,
        warn=lambda line: typer.secho(f"warning: {line}", fg="yellow", err=True),
    )
    typer.echo(page)


def predict(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder that `foveate fit` wrote, a bundle, or a pipeline.")
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Files or folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="Folder for JSON, masks and overlays.")],
    cam: Annotated[bool, typer.Option("--cam", help="Also the activation map of each answer.")] = False,
    why: Annotated[
        bool, typer.Option("--explain", help="Also the lesions for and against each answer, in words and JSON.")
    ] = False,
    lesions: Lesions = None,
    rules: Annotated[
        list[str] | None,
        typer.Option(
            "--lesion-rule",
            metavar="LABEL=PERCENT,P",
            help="For --explain: a lesion counts from this area (percent of the image) and probability on.",
        ),
    ] = None,
    grade: Grade = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="M.jsonl", help="Manifest with disc, fovea, laterality or spacing of some of the images."),
    ] = None,
    spacing: Annotated[str | None, typer.Option(help="mm per pixel: one number, or rows,columns.")] = None,
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Of a pipeline: also DICOM objects and a FHIR report per image.")
    ] = False,
    date: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Of a pipeline: date of the visit; default: the file's.")
    ] = None,
    unfinished: Unfinished = False,
    device: Device = "auto",
    runtime: Runtime = None,
    precision: Precision = "fp32",
    threads: Threads = None,
) -> None:
    """Predict images; the exit code is 1 if one cannot be read (the others are predicted).

    Example: `foveate predict RUN new_images/ -o OUT --cam` writes JSON, masks, overlays and activation maps.

    Example: `foveate predict RUN eye.jpg -o OUT --spacing 0.0065` also gives areas in mm².

    Example: `foveate predict clinic/pipeline.toml visit/ -o OUT --dicom` writes a report and DICOM objects per visit.

    Example: `foveate predict BUNDLE new_images/ -o OUT --runtime openvino` reads with a bundle, without PyTorch.
    """
    from foveate.data.manifest import Manifest
    from foveate.inference.lesion_rules import rules_given
    from foveate.inference.pipeline.spec import is_pipeline
    from foveate.inference.predict_files import guideline_for, predict_all
    from foveate.inference.predictor import Predictor

    if is_pipeline(run):
        from foveate.reporting.pipeline_files import predict_pipeline

        if given := [
            name
            for name, on in (("--cam", cam), ("--explain", why), ("--lesion", lesions), ("--lesion-rule", rules))
            if on
        ]:
            raise ValueError(f"{given[0]}: has no effect on a pipeline; leave it out")
        if predict_pipeline(
            run,
            images,
            out=out,
            dicom=dicom,
            rows=None if manifest is None else Manifest.read(manifest),
            spacing=spacing_of(spacing),
            date=date,
            device=device,
            report=typer.echo,
        ):
            raise typer.Exit(1)
        return
    if dicom or date is not None:
        raise ValueError("--dicom and --date belong to a pipeline; write a pipeline.toml with this run as its step")
    why = why or bool(lesions) or bool(rules) or grade is not None
    opened = Predictor.load(run, device=device, runtime=runtime, precision=precision, threads=threads)
    bad = predict_all(
        opened,
        images,
        out=out,
        cam=cam,
        why=why,
        guideline=guideline_for(opened.schema, keywords(lesions), grade=grade) if why else None,
        rules=rules_given(rules or ()),
        rows=None if manifest is None else Manifest.read(manifest),
        spacing=spacing_of(spacing),
        unfinished=unfinished,
        say=typer.echo,
    )
    if bad:
        raise typer.Exit(1)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to draw and train in.")] = Path(
        "demo"
    ),
    kind: Annotated[str, typer.Option(help="fundus, oct or enface.")] = "enface",
    number: Annotated[int, typer.Option("-n", help="How many images to draw.")] = 160,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Draw retinas, train on them, evaluate, predict, and write a report.

    Example: `foveate demo --out demo` takes less than 4 minutes on 2 cores.

    Example: `foveate demo --kind oct -n 80 --out demo_oct` draws 80 OCT B-scans.
    """
    from foveate.cli.demo import run_demo

    run_demo(out, kind=kind, number=number, seed=seed, quiet=quiet, say=typer.echo)
