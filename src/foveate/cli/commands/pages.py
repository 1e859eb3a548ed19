"""Commands of results pages: results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.options import CacheLimit, Device, Quiet, cache_of


def results(
    path: Annotated[
        Path, typer.Argument(metavar="PLAN.toml|DIR", help="Plan of a page; with --check or --mark the pages' folder.")
    ],
    work: Annotated[
        Path, typer.Option("--work", "-w", metavar="DIR", help="Folder of the plan's manifests and of the studies.")
    ] = Path("."),
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="PAGE.md", help="Page to write; default: beside the plan.")
    ] = None,
    train: Annotated[bool, typer.Option("--train/--no-train", help="Train the runs that are missing.")] = True,
    check: Annotated[bool, typer.Option("--check", help="Report pages that are older than the code or plan.")] = False,
    mark: Annotated[bool, typer.Option("--mark", help="Also write that into these pages.")] = False,
    workers: Annotated[int, typer.Option(help="Rows trained at a time, each in a process of its own.")] = 1,
    device: Device = "auto",
    cache_limit: CacheLimit = None,
    quiet: Quiet = False,
) -> None:
    """Make a results page from a plan: studies with several seeds, and answers with intervals over seeds and patients.

    Example: `foveate results docs/results/dual_guidance.toml --work runs` trains what is missing and writes the page.

    Example: `foveate results docs/results --check` lists the pages that are older than the code that they depend on.
    """
    if check or mark:
        from foveate.reporting.results_stamp import mark_page, pages_of, reasons

        for page in pages_of(path):
            why = mark_page(page) if mark else reasons(page)
            typer.echo(f"{page}: {'older: ' + '; '.join(why) if why else 'up to date'}")
        return
    from foveate.reporting.results_page import make_page

    made = make_page(
        path,
        work=work,
        page=out,
        train=train,
        device=device,
        workers=workers,
        cache=cache_of(cache_limit),
        quiet=quiet,
        say=typer.echo,
    )
    typer.echo(made)
