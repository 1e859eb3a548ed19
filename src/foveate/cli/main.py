"""The command line: one verb = the library call of the same name. Heavy imports happen inside the commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from foveate.cli.commands import annotate, cache, data, results, training

app = typer.Typer(
    help="foveate reads retinal images and says what is there and where, each answer guiding the other.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help answers in half the time
)


@app.command("list")
def list_(
    room: Annotated[
        str | None, typer.Argument(help="recipes, studies, adapters, models, baselines, losses, metrics")
    ] = None,
) -> None:
    """What there is: recipes, studies, adapters, networks, losses, metrics; of adapters also where to get the data."""
    from textwrap import indent

    from foveate.core import plugins

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
        for file, line in plugins.names(rooms[name]).items():
            typer.echo(f"  {file:<18} {line}")
            if room == "adapters":
                from foveate.data.adapters import describe

                typer.echo(indent(describe(file), " " * 6))


for verb in (
    data.scan, data.check, data.merge, data.consensus, data.split, data.crop, data.export, training.fit,
    training.evaluate, training.calibrate, training.study, results.report, results.predict, results.demo, cache.cache,
):  # fmt: skip
    app.command()(verb)
app.add_typer(annotate.app, name="annotate")


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
