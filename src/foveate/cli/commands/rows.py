"""Commands that change which images a manifest has, and what follows from its ground truth: select, derive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.options import ManifestPath, Quiet, Seed
from foveate.core.text import printable

Out = Annotated[Path, typer.Option("--out", "-o", metavar="M.jsonl", help="Manifest to write.")]


def select(
    manifest: ManifestPath,
    out: Out,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="NAME=VALUE,...",
            help="Images whose column (source, patient, eye, split, ...) or answer is one of these values; != excludes "
            "them; the value unknown means none. All of several conditions must hold.",
        ),
    ] = None,
    among: Annotated[
        list[str] | None,
        typer.Option(
            "--among", metavar="NAME=FILE", help="Images whose value is in a text file, or in another manifest."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="NAME=FILE", help="Images whose value is not in such a file."),
    ] = None,
    number: Annotated[int | None, typer.Option("--number", "-n", help="So many of them, drawn at random.")] = None,
    seed: Seed = 0,
) -> None:
    """Choose images by device, diagnosis, patient, any column or answer, or by number.

    Example: `foveate select retouch.jsonl --where source=retouch/spectralis -o spectralis.jsonl` keeps one device.

    Example: `foveate select eyepacs.jsonl --without patient=lesions.jsonl -o rest.jsonl` leaves out the patients of
    another set.
    """
    from foveate.data.choose import choose, condition_of, listed, numbers
    from foveate.data.manifest import Manifest

    rows = Manifest.read(manifest)
    conditions = [condition_of(text) for text in where or ()]
    conditions += [listed(text, among=True) for text in among or ()]
    conditions += [listed(text, among=False) for text in without or ()]
    chosen = choose(rows, conditions=conditions, number=number, seed=seed)
    chosen.write(out)
    typer.echo(f"{out}: {len(chosen)} of {len(rows)} images, {len({row.group for row in chosen})} patients or groups")
    for name, count in numbers(chosen, [q.name for q in rows.schema.questions]).items():
        typer.echo(f"  {printable(name)}: {count}")


def derive(
    manifest: ManifestPath,
    out: Out,
    present: Annotated[
        list[str] | None,
        typer.Option(
            "--present",
            metavar="QUESTION=LABEL,...",
            help="Answer a yes/no question by the masks of these labels; `all`: one question for each label.",
        ),
    ] = None,
    absent: Annotated[
        list[str] | None,
        typer.Option(
            "--absent",
            metavar="LABEL,...[:QUESTION=ANSWER]",
            help="State that labels are nowhere in all images, or in those with this answer.",
        ),
    ] = None,
    healthy: Annotated[
        list[str] | None,
        typer.Option(metavar="QUESTION=ANSWER", help="State the answer of an image in which nothing is wrong."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Derive answers from masks, and absence from answers; given ground truth stays as it is.

    Example: `foveate derive palm.jsonl --present atrophy_present=atrophy -o palm2.jsonl` answers by the masks.

    Example: `foveate derive oct.jsonl --absent drusen,cnv:diagnosis=NORMAL -o oct2.jsonl` states that normal images
    have no lesion.
    """
    from foveate.cli.progress import counted
    from foveate.data.derive import declare_absent, declare_healthy, derive_presence, every_label
    from foveate.data.manifest import Manifest

    rows = Manifest.read(manifest)
    for question, answer in (_pair(text, form="QUESTION=ANSWER") for text in healthy or ()):
        rows = declare_healthy(rows, question, answer)
    for text in absent or ():
        labels, mark, condition = text.partition(":")
        asked_of, given = _pair(condition, form="LABEL,...:QUESTION=ANSWER") if mark else ("", "")
        made = declare_absent(
            rows, labels.split(","), question=asked_of or None, answers=given.split(",") if mark else ()
        )
        rows = made.manifest
        for name, count in made.gained.items():
            typer.echo(f"{name}: absent from {count} more images")
    if present:
        asked = {} if "all" not in present else every_label(rows.schema)
        for question, labels in (_pair(text, form="QUESTION=LABEL,...") for text in present if text != "all"):
            asked[question] = tuple(labels.split(","))
        with counted("derive", quiet=quiet) as progress:
            made = derive_presence(rows, asked, progress=progress)
        rows = made.manifest
        for name, count in made.gained.items():
            typer.echo(f"{name}: answered for {count} more images")
        if made.refuted:
            typer.secho(
                f"warning: the masks contradict the given answer of {len(made.refuted)} images, which stays, "
                f"first {printable(made.refuted[0])}",
                fg="yellow",
                err=True,
            )
    rows.write(out)
    typer.echo(f"{out}: {len(rows)} images")


def _pair(text: str, *, form: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name or not value:
        raise ValueError(f"{text!r}: write {form}")
    return name, value
