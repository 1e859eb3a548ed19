"""Command of comparisons: compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Evaluated runs or imported predictions; first = reference.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for tables/ and report.html.")],
    absent: Annotated[str, typer.Option(help="Images without the label: one, zero, nan or exclude.")] = "one",
) -> None:
    """Compare runs on the images that all have: metrics, paired differences and tests corrected for their number.

    Example: `foveate compare runs/a runs/b -o compared` compares b with a and writes compared/report.html.

    Example: `foveate compare runs/a imported/nnunet -o compared` has another program's predictions as a row.
    """
    from foveate.reporting.compared_runs import compare_runs

    tables = compare_runs(
        runs, out=out, absent=absent, warn=lambda line: typer.secho(f"warning: {line}", fg="yellow", err=True)
    )
    typer.echo("\n\n".join(map(str, tables)))
    typer.echo(out / "report.html")
