"""The annotations of a project as manifests: the consensus and every annotator's marks, with masks as PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foveate.annotate.domain.marks import Marks
from foveate.annotate.domain.timing import costs, timed
from foveate.annotate.exchange import label_studio as studio
from foveate.annotate.exchange.export_rows import RowMaker
from foveate.annotate.exchange.mask_files import MaskFiles
from foveate.annotate.store.project import Project
from foveate.annotate.store.records import image_records
from foveate.core.files import whole_folder, write_json
from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data.manifest import Manifest


@dataclass(frozen=True)
class Exported:
    """Files and numbers of an export.

    Args:
        paths: the manifests and further files.
        images: of the project.
        settled: number of them with a consensus.
        notes: what became unknown, and why.
    """

    paths: tuple[Path, ...]
    images: int
    settled: int
    notes: tuple[str, ...]


@dataclass
class _Collected:
    """Rows and numbers collected from the images."""

    consensus: list[Row] = field(default_factory=list)
    annotators: list[Row] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    spent: list[tuple[Marks, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    images: int = 0
    settled: int = 0


def export(
    project: Project,
    out: Path,
    *,
    keep: bool = False,
    settled: bool = False,
    label_studio: Path | None = None,
    label_studio_images: str | None = None,
    coco: Path | None = None,
) -> Exported:
    """Write the consensus as a manifest; beside it every annotator's marks and what labels cost.

    ``NAME.annotators.jsonl`` has the annotators, ``NAME.seconds.json`` the seconds per label and kind (`timing.costs`).

    Masks are written to ``NAME_masks/ANNOTATOR/LABEL/ID.png``: 255 inside, 0 outside, 127 not known. What was not asked
    or not settled is unknown. Patient, eye, spacing, split and fold stay as they were. The rows of the consensus also
    hold who answered what (``readings``). With the guideline on, lesions that contradict the grade are not known.

    Args:
        project: open; the server may go on.
        out: the manifest.
        keep: answers and masks of the first manifest stay for questions and labels that the project does not ask.
        settled: only images whose consensus is settled: those that training learns from.
        label_studio: file for every annotation and consensus as shapes; beside it the labelling interface (``.xml``).
        label_studio_images: address at which Label Studio finds the images, to which their paths are added; None: they
            are embedded in its file.
        coco: new folder for COCO, with the images.

    Raises:
        ValueError: a folder exists already and was not made by an export.
        Unreadable: an image cannot be read (COCO copies it).
    """
    masks = out.with_name(f"{out.stem}_masks")
    if masks.exists() and not (masks / ".annotate").exists():
        raise ValueError(f"{masks}: exists already and was not made by an export; move it away")
    with whole_folder(masks, replace=True) as aside:
        (aside / ".annotate").touch()
        rows = RowMaker(project.protocol, project.schema, MaskFiles(aside, os.path.relpath(masks, out.parent)))
        found = _collect(
            project, rows, root=out.parent, settled=settled, tasks=label_studio is not None, address=label_studio_images
        )
        if settled and not found.consensus:
            raise ValueError("settled=True: no image is settled yet; leave it out, or wait for the first consensus")
    written = _manifests(project, found, out, keep=keep)
    paths = [out, out.with_name(f"{out.stem}.annotators.jsonl"), out.with_name(f"{out.stem}.seconds.json")]
    write_json(paths[-1], costs(timed(found.spent)))
    if label_studio is not None:
        paths += studio.write(found.tasks, label_studio, protocol=project.protocol, schema=project.schema)
    if coco is not None:
        from foveate.data.exchange.coco import write

        copied = write(written, coco)
        paths += copied.paths
        found.notes += copied.notes
    if settled and (words := _unsplit(found.consensus)) is not None:
        found.notes.append(f"{words}; before foveate fit: foveate split {out} -o {out}")
    return Exported(tuple(paths), found.images, found.settled, tuple(found.notes))


def _collect(
    project: Project, rows: RowMaker, *, root: Path, settled: bool, tasks: bool, address: str | None
) -> _Collected:
    out = _Collected()
    for record in image_records(project, root=root):
        out.images += 1
        out.settled += record.item.state == "settled"
        out.spent += [(marks, record.seconds[name]) for name, marks in record.annotations.items()]
        if settled and record.item.state != "settled":
            continue
        row, notes = rows.consensus(record)
        out.consensus.append(row)
        out.notes += notes
        out.annotators.append(rows.annotators(record))
        if tasks:
            image = studio.image_address(project.row(record.item), project.manifest.root, address=address)
            out.tasks.append(studio.task(record, protocol=project.protocol, image=image))
    return out


def _manifests(project: Project, found: _Collected, out: Path, *, keep: bool) -> Manifest:
    """Write both manifests; returns that of the consensus."""
    schema, rows = project.schema, found.consensus
    if keep:
        schema = _joined(project)
        before = {row.id: row for row in _unasked(project, out.parent)}
        rows = [_kept(row, before[row.id]) for row in rows]
    info = dict(project.manifest.info) | {"project": project.name, "protocol": project.protocol.name}
    written = Manifest(schema, tuple(rows), out.parent, info=info).write(out)
    beside = out.with_name(f"{out.stem}.annotators.jsonl")
    Manifest(project.schema, tuple(found.annotators), out.parent, info=info).write(beside)
    return written


def _unsplit(rows: Sequence[Row]) -> str | None:
    """Explain why these rows cannot be trained with; None if they can."""
    if all(row.fold is not None for row in rows):
        return None
    missing = [part for part in ("train", "val") if all(row.split != part for row in rows)]
    return f"no settled image is in split {' or '.join(map(repr, missing))}" if missing else None


def _joined(project: Project) -> LabelSchema:
    """The project's schema, and what else the first manifest has."""
    first, asked = project.manifest.schema, project.schema
    questions = [q for q in first.questions if q.name not in {mine.name for mine in asked.questions}]
    labels = [label for label in first.labels if label not in asked.labels]
    return LabelSchema((*asked.questions, *questions), (*asked.labels, *labels), first.exclusive)


def _kept(row: Row, before: Row) -> Row:
    """Add what the first manifest knows and the project does not ask."""
    return replace(
        row,
        answers={**before.answers, **row.answers},
        masks={**before.masks, **row.masks},
        cues={**before.cues, **row.cues},
    )


def _unasked(project: Project, root: Path) -> Manifest:
    """The first manifest without the questions and labels of the project."""
    first = project.manifest.at(root)
    asked = {q.name for q in project.schema.questions}
    return first.select(
        questions=[q.name for q in first.schema.questions if q.name not in asked],
        labels=[label for label in first.schema.labels if label not in project.schema.labels],
    )
