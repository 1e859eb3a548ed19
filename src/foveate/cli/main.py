"""The command line: each command calls one function of the library. Heavy imports happen inside the commands."""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import isfunction
from typing import Annotated

import typer

from foveate.core import plugins
from foveate.core.text import printable

FIRST = ("data", "rows", "training", "results", "cache", "annotate")
"""Files of `cli.commands` in the order of a study's work; others follow by their names."""

app = typer.Typer(
    help="foveate predicts what is in retinal images and where, each answer guiding the other.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help answers in half the time
)


@app.command("list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND", help="recipes, comparisons, studies, adapters, formats, models, baselines, losses, metrics"
        ),
    ] = None,
) -> None:
    """List recipes, studies, adapters, networks, losses, metrics; for adapters also where to get the data.

    Example: `foveate list` prints all of them.

    Example: `foveate list adapters` prints the public data sets and their sources.
    """
    from textwrap import indent

    packages = {
        "recipes": "recipes",
        "comparisons": "studies/comparisons",
        "studies": "studies",
        "adapters": "data/adapters",
        "formats": "data/formats",
        "models": "models",
        "baselines": "models/baselines",
    }
    entries = {"losses": plugins.losses, "metrics": _metrics}
    if kind is not None and kind not in (*packages, *entries):
        raise ValueError(f"kind must be one of {[*packages, *entries]}, got {kind!r}")
    for name in [kind] if kind else [*packages, *entries]:
        typer.secho(name, bold=True)
        if name == "formats":
            _list_formats()
            continue
        found = plugins.names(packages[name]) if name in packages else entries[name]()
        for file, line in found.items():
            typer.echo(f"  {file:<18} {line}")
            if kind == "adapters":
                from foveate.data.adapters import describe

                typer.echo(indent(describe(file), " " * 6))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"foveate {import_module('foveate').__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """foveate predicts what is in retinal images and where, each answer guiding the other."""


def _add_commands() -> None:
    """Add the public functions of each file of `cli.commands`; a file with an ``app`` is a group of its own name."""
    found = plugins.names("cli/commands")
    for name in (*FIRST, *(name for name in found if name not in FIRST)):
        module = import_module(f"foveate.cli.commands.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name.rstrip("_"))  # import is a keyword
            continue
        for word, command in vars(module).items():
            if isfunction(command) and command.__module__ == module.__name__ and not word.startswith("_"):
                app.command()(command)


_add_commands()


def _metrics() -> dict[str, str]:
    """Name of each metric -> its line; imports numpy."""
    from foveate.metrics import listing

    return listing.lines()


def _list_formats() -> None:
    """Print the image file formats and the endings that their files usually have."""
    from foveate.data.formats import formats

    for name, one in formats().items():
        typer.echo(f"  {name:<18} {one.TITLE} ({' '.join(one.ENDINGS)})")


def main() -> None:
    """Run the command line; a wrong value or a missing file is reported in one line, which the user can correct."""
    try:
        app()
    except (ValueError, RuntimeError, OSError) as error:
        typer.secho(f"error: {printable(str(error), lines=True)}", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.secho("interrupted", fg="yellow", err=True)
        sys.exit(130)
