"""foveate annotate: the commands of annotation projects. Heavy imports happen inside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from foveate.annotate.store.project import Project

app = typer.Typer(
    help="Annotators mark images in the browser; a protocol decides what is asked and how the consensus is made.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(metavar="PROJECT", help="Folder of the annotation project.")]
Database = Annotated[
    str | None,
    typer.Option(metavar="URL", help="An empty PostgreSQL database: postgresql+pg8000://USER:PASSWORD@HOST/NAME."),
]


@app.command()
def init(
    manifest: Annotated[Path, typer.Argument(metavar="M.jsonl", help="Manifest of the images to annotate.")],
    protocol: Annotated[
        str, typer.Option(metavar="P.toml", help="Protocol; or lesions_and_grade, regions_of_findings.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PROJECT", help="A new folder.")],
    name: Annotated[str | None, typer.Option(help="Shown to annotators; default: the folder's.")] = None,
    database: Database = None,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave out images that cannot be read.")] = False,
) -> None:
    """Make an annotation project from a manifest and a protocol.

    Example: `foveate annotate init study.jsonl --protocol lesions_and_grade -o study_project` uses a ready protocol.

    Example: `foveate annotate init study.jsonl --protocol my_protocol.toml -o study_project --skip-broken` uses your
    own protocol and leaves out images that cannot be read.
    """
    with _service():
        from foveate.annotate.store.new_project import new_project
    from foveate.data.manifest import Manifest

    project, broken = new_project(
        Manifest.read(manifest), protocol=protocol, out=out, name=name, database=database, skip_broken=skip_broken
    )
    project.store.close()
    for line in broken:
        typer.secho(f"left out: {line}", fg="yellow", err=True)
    count, people = len(project.manifest), project.protocol.annotators
    typer.echo(f"{out}: {count} images, {people} annotators per image; next: foveate annotate serve {out}")


@app.command()
def serve(
    project: Folder,
    host: Annotated[
        str, typer.Option(help="Address to listen on; an address that other computers reach needs accounts.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 = any free port.")] = 8765,
    names: Annotated[list[str] | None, typer.Option("--name", help="Host name that browsers use for it.")] = None,
    https: Annotated[bool, typer.Option("--https", help="Behind https: the cookie is sent over https only.")] = False,
    proxy: Annotated[
        list[str] | None,
        typer.Option("--proxy", metavar="ADDRESS", help="Server in front; only it is believed about other addresses."),
    ] = None,
    assist: Annotated[
        Path | None, typer.Option(metavar="RUN", help="First let this run draft every image and order the images.")
    ] = None,
    device: Annotated[str, typer.Option(help="Of the run: auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Serve an annotation project to browsers, until Ctrl-C.

    Example: `foveate annotate serve study_project` prints the address to open on this computer.

    Example: `foveate annotate serve study_project --name reading.example.org --https --proxy 127.0.0.1` serves other
    computers through a server with https on this computer.
    """
    with _service():
        from foveate.annotate.web.server import serve as run
    with _open(project) as opened:
        if assist is not None:
            _assist(opened, assist, device=device)
        run(opened, host=host, port=port, names=names or (), secure=https, proxies=proxy or (), report=typer.echo)


@app.command()
def assist(
    project: Folder,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that foveate fit wrote.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Let a run draft the images; annotators accept, correct or reject each draft.

    If the protocol has `order = "active"`, the images with the highest uncertainty come first.

    Example: `foveate annotate assist study_project runs/first` drafts every image that is not settled.

    Example: `foveate annotate assist study_project runs/second --device cuda` replaces these drafts.
    """
    with _open(project) as opened:
        _assist(opened, run, device=device)


@app.command()
def export(
    project: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="M2.jsonl", help="Manifest of the consensus to write.")],
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep labels and questions of the first manifest that were not asked.")
    ] = False,
    settled: Annotated[
        bool, typer.Option("--settled", help="Only images whose consensus is settled, to train with.")
    ] = False,
    label_studio: Annotated[
        Path | None,
        typer.Option("--label-studio", metavar="FILE.json", help="Also Label Studio JSON and its interface, FILE.xml."),
    ] = None,
    label_studio_images: Annotated[
        str | None,
        typer.Option(
            "--label-studio-images", metavar="URL", help="Where Label Studio finds the images; default: embedded."
        ),
    ] = None,
    coco: Annotated[Path | None, typer.Option(metavar="DIR", help="Also COCO, with the images.")] = None,
) -> None:
    """Write the consensus as a manifest with PNG masks.

    Beside it, `M2.annotators.jsonl` has the marks of each annotator and `M2.seconds.json` the seconds per label.

    Example: `foveate annotate export study_project -o consensus.jsonl` writes every image.

    Example: `foveate annotate export study_project -o round.jsonl --settled` writes only images to train with.
    """
    with _service():
        from foveate.annotate.exchange.export_marks import export as write
    with _open(project) as opened:
        written = write(
            opened,
            out,
            keep=keep,
            settled=settled,
            label_studio=label_studio,
            label_studio_images=label_studio_images,
            coco=coco,
        )
    for line in written.notes:
        typer.secho(f"note: {line}", fg="yellow", err=True)
    typer.echo(f"{', '.join(map(str, written.paths))}: {written.settled} of {written.images} images settled")


@app.command("import")
def import_(
    project: Folder,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="Manifest, Label Studio JSON, or a COCO file.")],
    annotator: Annotated[str, typer.Option(metavar="NAME", help="Account that gets the marks; made if there is none.")],
    source_annotator: Annotated[
        str | None,
        typer.Option("--source-annotator", metavar="NAME", help="Whose marks of the file; default: all masks, united."),
    ] = None,
) -> None:
    """Import marks that were made elsewhere, as one annotator's.

    Example: `foveate annotate import study_project marks.jsonl --annotator anna` imports the masks of a manifest.

    Example: `foveate annotate import study_project tasks.json --annotator ben --source-annotator ben@example.org`
    imports one person's annotations from Label Studio.
    """
    with _service():
        from foveate.annotate.exchange.import_marks import import_file
    with _open(project) as opened:
        found = import_file(opened, source, annotator=annotator, source_annotator=source_annotator)
    for line in found.notes:
        typer.secho(f"note: {line}", fg="yellow", err=True)
    typer.echo(f"{annotator}: {found.images} images imported")


@app.command()
def user(
    project: Folder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the account that the link makes.")],
    role: Annotated[
        list[str], typer.Option(metavar="ROLE", help="annotator, adjudicator or coordinator; several are possible.")
    ],
    hours: Annotated[float, typer.Option(help="How long the link is valid.")] = 72.0,
) -> None:
    """Make an invite link; the person who opens it chooses a password.

    Example: `foveate annotate user study_project anna --role annotator` prints the link of an annotator.

    Example: `foveate annotate user study_project chief --role coordinator --role annotator --hours 24` gives two roles
    and one day.
    """
    with _service():
        from foveate.annotate.domain.roles import ROLES
        from foveate.web import accounts, audit
    with _open(project) as opened, opened.store.write() as db:
        _, token = accounts.invite(db, roles=role, known=ROLES, by="command line", name=name, hours=hours)
        audit.note(db, "command line", "invite", f"{','.join(role)} {name}")
    typer.echo(f"/invite#{token}")
    typer.echo("put the server's address before it; the link works once", err=True)


@app.command()
def recover(
    project: Folder,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Account that gets a new password.")],
    hours: Annotated[float, typer.Option(help="How long the link is valid.")] = 72.0,
) -> None:
    """Make a link with which the owner of an account chooses a new password.

    Accounts that an import made get their first password so.

    Example: `foveate annotate recover study_project anna` prints the link for anna.

    Example: `foveate annotate recover study_project chief --hours 1` gives the coordinator one hour.
    """
    with _service():
        from foveate.web import accounts, audit
    with _open(project) as opened, opened.store.write() as db:
        found = accounts.find(db, name)
        if found is None:
            raise ValueError(f"name={name!r}: there is no such account; foveate annotate user makes one")
        _, token = accounts.recovery(db, found, by="command line", hours=hours)
        audit.note(db, "command line", "password link", found.name)
    typer.echo(f"/recover#{token}")
    typer.echo("put the server's address before it; the link works once", err=True)


@app.command()
def backup(
    project: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.zip", help="File to write.")],
) -> None:
    """Write everything but the images into one file; the server may go on meanwhile.

    Example: `foveate annotate backup study_project -o monday.zip` writes accounts, marks and history.

    Example: `foveate annotate backup study_project -o /mnt/backup/study.zip` replaces an older file once complete.
    """
    with _service():
        from foveate.annotate.store.backup import backup as write
    with _open(project) as opened:
        counts = write(opened, out)
    typer.echo(f"{out}: " + ", ".join(f"{table} {n}" for table, n in counts.items() if n))


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE.zip", help="File that foveate annotate backup wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PROJECT", help="A new folder.")],
    database: Database = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that the images' paths start from, if it has moved.")
    ] = None,
) -> None:
    """Make an annotation project from its backup; also from SQLite into PostgreSQL and back.

    Example: `foveate annotate restore monday.zip -o restored` makes a project with SQLite.

    Example: `foveate annotate restore monday.zip -o restored --database postgresql+pg8000://me:secret@db/study` moves
    it into PostgreSQL.
    """
    with _service():
        from foveate.annotate.store.backup import restore as make
    made = make(source, out, database=database, images=images)
    made.store.close()
    typer.echo(f"{out}: {len(made.manifest)} images")


def _assist(project: Project, run: Path, *, device: str) -> None:
    from foveate.annotate.exchange.drafting import draft_images
    from foveate.cli.progress import counted
    from foveate.inference.predictor import Predictor

    with counted("draft", quiet=False) as progress:
        count = draft_images(project, Predictor.load(run, device=device), name=run.name, progress=progress)
    typer.echo(f"{run}: drafts for {count} images")


@contextmanager
def _open(folder: Path) -> Iterator[Project]:
    with _service():
        from foveate.annotate.store.project import Project
    project = Project.open(folder)
    try:
        yield project
    finally:
        project.store.close()


@contextmanager
def _service() -> Iterator[None]:
    """Name the extra if something of it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "foveate":
            raise
        raise RuntimeError(
            f"annotation projects need {error.name}, which is not installed; install foveate[service]"
        ) from None
