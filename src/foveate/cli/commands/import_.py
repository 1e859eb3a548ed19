"""Commands that import results of other programs: import predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.options import Annotators, Fold, ManifestPath, rows_of

app = typer.Typer(help="Import results of other programs.", no_args_is_help=True)


@app.callback()
def common() -> None:
    """Import results of other programs."""


@app.command()
def predictions(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="LABEL/ID.png, nnU-Net output, probabilities.csv.")],
    manifest: ManifestPath,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="Folder of the run.")],
    split: Annotated[str, typer.Option(help="Which rows: test, val, train or all.")] = "test",
    fold: Fold = None,
    annotators: Annotators = None,
) -> None:
    """Count masks and probabilities of any program against the ground truth; `compare` reads the result like a run.

    Example: `foveate import predictions nnunet_out M.jsonl -o runs/nnunet` reads what nnU-Net wrote.

    Example: `foveate import predictions device M.jsonl -o runs/device --split all` reads device/probabilities.csv.
    """
    from foveate.engine.import_predictions import import_predictions

    rows = rows_of(manifest, fold)
    counts = import_predictions(
        folder,
        rows if split == "all" else rows.where(split=split),
        out=out,
        annotators=annotators or "union",
        warn=lambda line: typer.secho(f"warning: {line}", fg="yellow", err=True),
    )
    typer.echo(f"{out}: {len(counts)} images counted; next: foveate compare {out} RUN -o DIR")
