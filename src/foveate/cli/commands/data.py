"""Commands of data sets: scan, check, merge, consensus, split, crop, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.options import Device, Grade, Lesions, ManifestPath, Quiet, Seed, keywords
from foveate.core.text import printable


def scan(
    adapter: Annotated[str, typer.Argument(help="Name of an adapter (foveate list adapters) or a dataset.toml.")],
    root: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="M.jsonl", help="Manifest to write.")],
    quiet: Quiet = False,
) -> None:
    """Read a data set's own layout and write its manifest.

    Example: `foveate scan idrid data/IDRiD -o idrid.jsonl` reads a public data set by its adapter.

    Example: `foveate scan my/dataset.toml my/images -o my.jsonl` reads your own folder, which dataset.toml describes.
    """
    from foveate.cli.progress import counted
    from foveate.data.adapters import scan as read

    with counted("scan", quiet=quiet) as progress:
        manifest = read(adapter, root, progress=progress)
    for line in manifest.info.get("warnings", ()):
        typer.secho(f"warning: {printable(line)}", fg="yellow", err=True)
    manifest.write(out)
    typer.echo(f"{out}: {len(manifest)} images, {len({row.group for row in manifest.rows})} patients or groups")


def check(
    manifest: ManifestPath,
    page: Annotated[
        Path | None, typer.Option(metavar="CHECK.html", help="Also a page with contact sheets to scroll through.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that decode; 0 = threads; default: by the number of images.")
    ] = None,
    guideline: Annotated[
        bool, typer.Option("--guideline", help="Also compare lesions with the grade of diabetic retinopathy.")
    ] = False,
    lesions: Lesions = None,
    grade: Grade = None,
    indirect: Annotated[
        bool,
        typer.Option("--indirect", help="Indirect signs of a graver grade contradict too."),
    ] = False,
    clean: Annotated[
        Path | None,
        typer.Option(metavar="CLEAN.jsonl", help="Also a manifest where lesions against the grade are unknown."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn: the page's images, the shuffles.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Look for what is wrong with a data set; exit code 1 on a leak or an unreadable file.

    Example: `foveate check my.jsonl` reports unreadable files, leaks and masks of another size.

    Example: `foveate check my.jsonl --page check.html` also writes a page with pictures.
    """
    from foveate.cli.progress import counted
    from foveate.data.check import check as look
    from foveate.data.cleaning import guideline_of, in_words, write_clean
    from foveate.data.manifest import Manifest

    rows = Manifest.read(manifest)
    asked = None
    if guideline or clean or lesions or grade or indirect:
        asked = guideline_of(rows.schema, lesions=keywords(lesions), grade=grade, indirect=indirect)
    with counted("check", quiet=quiet) as progress:
        report = look(rows, guideline=asked, workers=workers, seed=seed, progress=progress)
    if asked:
        typer.echo(in_words(asked, rows.schema))
    typer.echo(printable(str(report), lines=True))
    if clean and asked:
        typer.echo(write_clean(clean, manifest=rows, guideline=asked))
    if page is not None:
        from foveate.reporting.check_page import write_check_page

        typer.echo(f"{write_check_page(page, manifest=rows, report=report, seed=seed)}: what was found, with pictures")
    if not report.ok:
        raise typer.Exit(1)


def merge(
    manifests: Annotated[list[Path], typer.Argument(metavar="A.jsonl B.jsonl ...", help="Two manifests or more.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="M.jsonl", help="Manifest to write.")],
    mapping: Annotated[
        Path | None,
        typer.Option("--map", metavar="MAP.toml", help="What becomes of each source's questions and labels."),
    ] = None,
) -> None:
    """Join the manifests of several sets under one schema; what a set does not know stays unknown.

    Example: `foveate merge idrid.jsonl ddr.jsonl -o both.jsonl` joins two data sets that use the same names.

    Example: `foveate merge idrid.jsonl ddr.jsonl --map map.toml -o both.jsonl` also renames labels, as the map states.
    """
    from foveate.data.manifest import Manifest
    from foveate.data.mapping import Mapping, read_mapping
    from foveate.data.merge import merge as join

    said = Mapping() if mapping is None else read_mapping(mapping)
    merged = join([Manifest.read(path) for path in manifests], mapping=said).write(out)
    asked, marked = [q.name for q in merged.schema.questions], list(merged.schema.labels)
    typer.echo(
        f"{out}: {len(merged)} images of {len(manifests)} sets; asked: {', '.join(asked) or 'nothing'}; "
        f"marked: {', '.join(marked) or 'nothing'} ({'exclusive' if merged.schema.exclusive else 'may overlap'})"
    )


def consensus(
    manifest: Annotated[
        Path, typer.Argument(metavar="SEVERAL.jsonl", help="Manifest with readings or cues of several annotators.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="M.jsonl", help="Manifest to write.")],
    at_least: Annotated[
        str,
        typer.Option(
            "--at-least",
            metavar="RULE",
            help="How many must have seen a finding: a number, union, majority, intersection; absent if none did.",
        ),
    ] = "2",
) -> None:
    """Settle each image's answers by its annotators; if they do not agree the answer is unknown.

    Example: `foveate consensus several.jsonl -o agreed.jsonl` keeps a finding that two annotators or more have seen.

    Example: `foveate consensus several.jsonl --at-least majority -o agreed.jsonl` needs more than half of them.
    """
    from foveate.data.consensus import outcome, settle
    from foveate.data.manifest import Manifest

    rows = Manifest.read(manifest)
    settled = settle(rows, at_least=int(at_least) if at_least.lstrip("-").isdecimal() else at_least)
    outcomes = outcome(rows, settled)
    settled.write(out)
    if not any(one.read for one in outcomes):
        typer.secho("warning: no image has readings or cues of annotators; no answer changed", fg="yellow", err=True)
    for one in outcomes:
        typer.echo(str(one))
    typer.echo(f"{out}: {len(settled)} images")


def split(
    manifest: ManifestPath,
    folds: Annotated[int | None, typer.Option(help="Number of folds; instead of ratios.")] = None,
    ratios: Annotated[str, typer.Option(help="Shares of train, val and test.")] = "0.7,0.1,0.2",
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="M.jsonl", help="Another file; default: in place.")
    ] = None,
) -> None:
    """Divide by patient, alike in answers and masks, and write it into the manifest.

    Example: `foveate split my.jsonl` puts 70, 10 and 20 percent of the patients into training, validation and test.

    Example: `foveate split my.jsonl --folds 5 -o folds.jsonl` writes five folds for cross-validation to another file.
    """
    from foveate.data.manifest import Manifest
    from foveate.data.split import split as divide

    parts = tuple(float(part) for part in ratios.split(","))
    if len(parts) != 3:
        raise ValueError(f"ratios={ratios!r}: give three numbers, train,val,test")
    divided = divide(Manifest.read(manifest), folds=folds, ratios=(parts[0], parts[1], parts[2]), seed=seed)
    divided.write(out or manifest)
    found: dict[str, int] = {}
    for row in divided.rows:
        name = f"fold {row.fold}" if row.fold is not None else str(row.split)
        found[name] = found.get(name, 0) + 1
    typer.echo(f"{out or manifest}: " + ", ".join(f"{name} {n}" for name, n in sorted(found.items())))


def crop(
    manifest: ManifestPath,
    around: Annotated[str, typer.Option("--around", metavar="LABEL", help="The label at the centre of the square.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="New folder; its manifest.jsonl is the cut.")],
    reach: Annotated[float, typer.Option(help="Side of the square in diameters of the label.")] = 2.5,
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Take the label from this run's masks, not from the manifest's.")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Crop every image to a square around a label, such as the disc; the result is a data set in its own pixels.

    Example: `foveate crop my.jsonl --around disc -o discs` cuts around the disc that the masks mark.

    Example: `foveate crop my.jsonl --around disc --run runs/disc -o discs` cuts around the disc that a run finds.
    """
    from foveate.cli.progress import counted
    from foveate.data.crop import crop as cut
    from foveate.data.manifest import Manifest

    rows = Manifest.read(manifest)
    find = None
    if run is not None:
        from foveate.inference.locate import finder  # a network: torch

        find = finder(run, label=around, device=device, root=rows.root)
    with counted("crop", quiet=quiet) as progress:
        made = cut(rows, out, around=around, reach=reach, find=find, progress=progress)
    for line in made.notes:
        typer.secho(f"note: {printable(line)}", fg="yellow", err=True)
    typer.echo(f"{made.manifest.path}: {len(made.manifest)} of {len(rows)} images")


def export(
    manifest: ManifestPath,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="nnunet, coco or folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder; nnunet: that of the data sets.")],
    quiet: Quiet = False,
) -> None:
    """Write images and masks in another program's format, and list what that format cannot hold.

    Example: `foveate export my.jsonl --to nnunet -o nnUNet_raw` writes a data set for nnU-Net.

    Example: `foveate export my.jsonl --to coco -o coco` writes images and a COCO annotation file.
    """
    from foveate.cli.progress import counted
    from foveate.data.exchange import export as write
    from foveate.data.manifest import Manifest

    rows = Manifest.read(manifest)
    with counted("export", quiet=quiet) as progress:
        written = write(rows, out, to=to, progress=progress)
    for line in written.notes:
        typer.secho(f"note: {printable(line)}", fg="yellow", err=True)
    typer.echo(f"{', '.join(map(str, written.paths))}: {written.images} of {len(rows)} images")
