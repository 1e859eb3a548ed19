"""The command line: each command calls the library. Heavy imports are inside the commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from foveate.cli.commands import annotate, cache, data, results, training

app = typer.Typer(
    help="foveate reads retinal images: what is there and where, each answer guiding the other.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help answers in half the time
)


@app.command("list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="recipes, studies, adapters, models, baselines, losses, metrics"),
    ] = None,
) -> None:
    """List recipes, studies, adapters, networks, losses, metrics; for adapters also where to get the data.

    Example: `foveate list` prints all of them.

    Example: `foveate list adapters` prints the public data sets and their sources.
    """
    from textwrap import indent

    from foveate.core import plugins

    packages = {
        "recipes": "recipes",
        "studies": "studies",
        "adapters": "data/adapters",
        "models": "models",
        "baselines": "models/baselines",
        "losses": "losses",
        "metrics": "metrics",
    }
    if kind is not None and kind not in packages:
        raise ValueError(f"kind must be one of {list(packages)}, got {kind!r}")
    for name in [kind] if kind else list(packages):
        typer.secho(name, bold=True)
        for file, line in plugins.names(packages[name]).items():
            typer.echo(f"  {file:<18} {line}")
            if kind == "adapters":
                from foveate.data.adapters import describe

                typer.echo(indent(describe(file), " " * 6))


for command in (
    data.scan, data.check, data.merge, data.consensus, data.split, data.crop, data.export, training.fit,
    training.evaluate, training.calibrate, training.study, results.report, results.predict, results.demo, cache.cache,
):  # fmt: skip
    app.command()(command)
app.add_typer(annotate.app, name="annotate")


def main() -> None:
    """Run the command line; a wrong value or a missing file is printed in one line, with the remedy."""
    try:
        app()
    except (ValueError, RuntimeError, OSError) as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.secho("interrupted", fg="yellow", err=True)
        sys.exit(130)
