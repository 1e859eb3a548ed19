"""Commands of pipelines: check one, and fit its check for unlike images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.options import Device

app = typer.Typer(help="Pipelines: several models as one reading.", no_args_is_help=True)
PipelinePath = Annotated[Path, typer.Argument(metavar="PIPELINE", help="pipeline.toml, or its folder.")]


@app.command()
def check(pipeline: PipelinePath) -> None:
    """Name missing models, answers that no step gives, and modalities that nobody reads; exit code 1 if there are any.

    Example: `foveate pipeline check clinic/pipeline.toml` prints one line per fault.

    Example: `foveate pipeline check clinic` takes the folder that holds pipeline.toml.
    """
    from foveate.inference.pipeline.check import check_pipeline

    faults = check_pipeline(pipeline)
    for line in faults:
        typer.echo(line)
    typer.echo(f"{len(faults)} faults" if faults else "no fault found")
    if faults:
        raise typer.Exit(1)


@app.command()
def fit(
    pipeline: PipelinePath,
    step: Annotated[str, typer.Argument(metavar="STEP", help="Name of the step with `unlike`.")],
    manifest: Annotated[Path, typer.Argument(metavar="M.jsonl", help="Manifest that the step's run was trained with.")],
    device: Device = "auto",
) -> None:
    """Measure the features of a step's training and validation images, for its check of unlike images.

    Example: `foveate pipeline fit clinic grade M.jsonl` writes clinic/grade.features.npz.

    Example: `foveate pipeline fit clinic lesions lesions.jsonl --device cuda` measures on a GPU.
    """
    from foveate.data.manifest import Manifest
    from foveate.inference.pipeline.fit_step import fit_step

    path, refused = fit_step(pipeline, step, Manifest.read(manifest), device=device)
    typer.echo(path)
    for rate, distance in refused:
        typer.echo(f"  unlike = {rate:g}: refused above a distance of {distance:.3g}")
