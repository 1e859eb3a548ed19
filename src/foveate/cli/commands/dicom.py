"""Commands of DICOM: de-identified copies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="DICOM: copy images without what identifies the patient.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """DICOM: copy images without what identifies the patient."""


@app.command()
def deidentify(
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="DICOM files or folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="Folder for the copies.")],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", metavar="FILE", help="Secret that keeps exports linked; made if not there. Default: a new one."
        ),
    ] = None,
) -> None:
    """Copy DICOM images without what identifies patient, staff, site or device; exit code 1 if one is refused.

    Example: `foveate dicom deidentify study/ -o share/` writes copies whose IDs cannot be linked to the originals.

    Example: `foveate dicom deidentify visit2/ -o share/ --key secret.key` gives a patient the same new ID as before.
    """
    from foveate.inference.dicom.deidentify import deidentify_files, export_key

    if deidentify_files(files, out=out, key=export_key(key), report=typer.echo):
        raise typer.Exit(1)
