"""Commands of DICOM: a node that reads what it receives, and de-identified copies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.options import Device

app = typer.Typer(help="DICOM: receive images, or copy them without names.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """DICOM: receive images, or copy them without names."""


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


@app.command()
def listen(
    pipeline: Annotated[Path, typer.Argument(metavar="PIPELINE", help="pipeline.toml, or its folder.")],
    store: Annotated[Path, typer.Option("--store", "-o", metavar="STORE", help="Folder of the jobs and results.")],
    port: Annotated[int, typer.Option(help="Port of the node.")] = 11112,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    title: Annotated[str, typer.Option(help="Application entity title of the node.")] = "FOVEATE",
    callers: Annotated[
        list[str] | None, typer.Option("--caller", metavar="TITLE", help="Title that may send; default: any.")
    ] = None,
    send: Annotated[
        str | None, typer.Option(metavar="TITLE@HOST:PORT", help="Archive that the objects are sent to.")
    ] = None,
    keep: Annotated[str | None, typer.Option(metavar="30d", help="Erase ended jobs after this time.")] = None,
    device: Device = "auto",
) -> None:
    """Receive images by C-STORE, read them with a pipeline, send SEG and SR; Ctrl-C ends the job at work first.

    Example: `foveate dicom listen clinic/pipeline.toml -o STORE` takes images of a camera on this machine.

    Example: `foveate dicom listen clinic -o STORE --send ORTHANC@127.0.0.1:4242 --keep 30d` forwards the objects.
    """
    from foveate.service.listening import listen as run

    run(
        pipeline,
        store=store,
        host=host,
        port=port,
        title=title,
        callers=callers or (),
        send=send,
        keep_days=_days(keep),
        device=device,
        report=typer.echo,
    )


def _days(text: str | None) -> float | None:
    """Parse a number of days, such as 30d; ValueError for anything else."""
    if text is None:
        return None
    digits = text.removesuffix("d")
    if not digits.replace(".", "", 1).isdecimal() or float(digits) <= 0:
        raise ValueError(f"keep={text!r}: write a number of days, such as 30d")
    return float(digits)
