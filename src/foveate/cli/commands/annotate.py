"""foveate annotate: the verbs of the annotation room. Heavy imports happen inside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from foveate.annotate.room import Room

app = typer.Typer(
    help="Readers mark images in the browser; the protocol decides.", no_args_is_help=True, rich_markup_mode=None
)

RoomPath = Annotated[Path, typer.Argument(metavar="ROOM", help="Folder of the room.")]
Database = Annotated[
    str | None,
    typer.Option(metavar="URL", help="An empty PostgreSQL database: postgresql+pg8000://USER:PASSWORD@HOST/NAME."),
]


@app.command()
def init(
    manifest: Annotated[Path, typer.Argument(metavar="M.jsonl", help="Manifest of the images to read.")],
    protocol: Annotated[
        str, typer.Option(metavar="P.toml", help="Protocol; or lesions_and_grade, regions_of_findings.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="ROOM", help="A new folder.")],
    name: Annotated[str | None, typer.Option(help="Shown to readers; default: the folder's.")] = None,
    database: Database = None,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave out images that cannot be read.")] = False,
) -> None:
    """Make a room: images, protocol, store."""
    with _service():
        from foveate.annotate.room import init as make
    from foveate.data.manifest import Manifest

    room, broken = make(
        Manifest.read(manifest), protocol=protocol, out=out, name=name, database=database, skip_broken=skip_broken
    )
    room.store.close()
    for line in broken:
        typer.secho(f"left out: {line}", fg="yellow", err=True)
    count = len(room.manifest)
    typer.echo(f"{out}: {count} images, {room.protocol.readers} readers each; next: foveate annotate serve {out}")


@app.command()
def serve(
    room: RoomPath,
    host: Annotated[str, typer.Option(help="Address to listen on; another than this machine's needs accounts.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 = any that is free.")] = 8765,
    names: Annotated[list[str] | None, typer.Option("--name", help="Host name that browsers reach it by.")] = None,
    https: Annotated[bool, typer.Option("--https", help="Behind https: the cookie travels over nothing else.")] = False,
    assist: Annotated[
        Path | None, typer.Option(metavar="RUN", help="First let this run draft every image and order them.")
    ] = None,
    device: Annotated[str, typer.Option(help="Of the run: auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Serve a room to browsers, until Ctrl-C."""
    with _service():
        from foveate.annotate.server import serve as run
    with _open(room) as opened:
        if assist is not None:
            _assist(opened, assist, device=device)
        run(opened, host=host, port=port, names=names or (), secure=https, say=typer.echo)


@app.command()
def assist(
    room: RoomPath,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that foveate fit wrote.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Let a run draft the images: shown to readers as drafts, the most uncertain first where the order is active."""
    with _open(room) as opened:
        _assist(opened, run, device=device)


@app.command()
def export(
    room: RoomPath,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="M2.jsonl", help="Manifest of the consensus to write.")],
    keep: Annotated[
        bool, typer.Option("--keep", help="What the first manifest knew and the room did not ask stays.")
    ] = False,
    settled: Annotated[
        bool, typer.Option("--settled", help="Only images whose consensus is settled, to train with.")
    ] = False,
    label_studio: Annotated[
        Path | None,
        typer.Option("--label-studio", metavar="FILE.json", help="Also Label Studio JSON and its interface, FILE.xml."),
    ] = None,
    coco: Annotated[Path | None, typer.Option(metavar="DIR", help="Also COCO, with the images.")] = None,
) -> None:
    """Write the consensus as a manifest with PNG masks; beside it each reader's, and the seconds that labels took."""
    with _service():
        from foveate.annotate.export import export as write
    with _open(room) as opened:
        written = write(opened, out, keep=keep, settled=settled, label_studio=label_studio, coco=coco)
    for line in written.notes:
        typer.secho(f"note: {line}", fg="yellow", err=True)
    typer.echo(f"{', '.join(map(str, written.paths))}: {written.settled} of {written.images} images settled")


@app.command("import")
def import_(
    room: RoomPath,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="Manifest, Label Studio JSON, or a COCO file.")],
    reader: Annotated[str, typer.Option(help="Whose reading it becomes; an account of that name is made.")],
    grader: Annotated[str | None, typer.Option(help="Whose masks of a manifest; default: all, united.")] = None,
) -> None:
    """Take marks that were made elsewhere as one reader's."""
    with _service():
        from foveate.annotate.importing import import_file
    with _open(room) as opened:
        taken = import_file(opened, source, reader=reader, grader=grader)
    for line in taken.notes:
        typer.secho(f"note: {line}", fg="yellow", err=True)
    typer.echo(f"{reader}: {taken.images} images taken")


@app.command()
def user(
    room: RoomPath,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the account that the link makes.")],
    role: Annotated[list[str], typer.Option(help="reader, adjudicator, coordinator; several are possible.")],
    hours: Annotated[float, typer.Option(help="How long the link is valid.")] = 72.0,
) -> None:
    """Make an invite link: whoever opens it chooses a password."""
    with _service():
        from foveate.annotate import accounts
    with _open(room) as opened, opened.store.write() as db:
        _, token = accounts.invite(db, roles=role, by="command line", name=name, hours=hours)
        accounts.note(db, "command line", "invite", f"{','.join(role)} {name}")
    typer.echo(f"/invite#{token}")
    typer.echo("put the server's address before it; the link works once", err=True)


@app.command()
def backup(
    room: RoomPath,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.zip", help="File to write.")],
) -> None:
    """Write everything but the images into one file, while the server goes on."""
    with _service():
        from foveate.annotate.backup import backup as write
    with _open(room) as opened:
        counts = write(opened, out)
    typer.echo(f"{out}: " + ", ".join(f"{table} {n}" for table, n in counts.items() if n))


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE.zip", help="File that foveate annotate backup wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="ROOM", help="A new folder.")],
    database: Database = None,
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the images' paths start now.")] = None,
) -> None:
    """Make a room from its backup; also from SQLite into PostgreSQL and back."""
    with _service():
        from foveate.annotate.backup import restore as make
    made = make(source, out, database=database, images=images)
    made.store.close()
    typer.echo(f"{out}: {len(made.manifest)} images")


def _assist(room: Room, run: Path, *, device: str) -> None:
    from foveate.annotate.assist import assist as draft
    from foveate.cli.progress import counted
    from foveate.inference.predictor import Predictor

    with counted("draft", quiet=False) as progress:
        count = draft(room, Predictor.load(run, device=device), name=run.name, progress=progress)
    typer.echo(f"{run}: drafts for {count} images")


@contextmanager
def _open(folder: Path) -> Iterator[Room]:
    with _service():
        from foveate.annotate.room import Room
    room = Room.open(folder)
    try:
        yield room
    finally:
        room.store.close()


@contextmanager
def _service() -> Iterator[None]:
    """Name the extra where something of it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "foveate":
            raise
        raise RuntimeError(
            f"the annotation room needs {error.name}, which is not installed; install foveate[service]"
        ) from None
