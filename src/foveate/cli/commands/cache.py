"""The command of the cache: what it holds, and how it is cleared."""

from __future__ import annotations

from typing import Annotated

import typer

ACTIONS = ("show", "clear")


def cache(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="show: print what there is; clear: remove it.")] = (
        "show"
    ),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Clear it without a question.")] = False,
) -> None:
    """Show or clear the prepared images that training and evaluation keep from run to run.

    Example: `foveate cache` prints the folder, its size, the number of images and the limit.

    Example: `foveate cache clear --yes` removes the prepared images; the next run makes them again.
    """
    from foveate.data.cache import cache_folder, cache_limit
    from foveate.data.cache_space import clear, default_limit, usage

    if action not in ACTIONS:
        raise ValueError(f"ACTION must be one of {list(ACTIONS)}, got {action!r}")
    folder = cache_folder()
    found = usage(folder)
    if action == "show":
        given = cache_limit()
        limit = default_limit(folder, found.size) if given is None else given
        whence = "50 GB, or half of what the disk has free" if given is None else "FOVEATE_CACHE_LIMIT"
        typer.echo(f"folder  {folder}\nsize    {_written(found.size)}\nimages  {found.images} in {found.files} files")
        typer.echo(f"limit   {_written(limit)} ({whence}; --cache-limit sets another for a command)")
        return
    if not found.files:
        typer.echo(f"{folder}: there is nothing to clear")
        return
    held = f"{found.images} prepared images, {_written(found.size)}"
    if not yes and not typer.confirm(f"Remove {held}, from {folder}?"):
        typer.echo("nothing was removed")
        raise typer.Exit(1)
    clear(folder)
    typer.echo(f"{folder}: removed {held}")


def _written(size: int) -> str:
    """Bytes as people write them: 1.5 GB."""
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6)):
        if size >= 10**power:
            return f"{size / 10**power:.1f} {unit}"
    return f"{size / 1000:.0f} KB"
