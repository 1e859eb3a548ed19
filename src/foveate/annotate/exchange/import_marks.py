"""Marks that were made elsewhere, as one annotator's: from a manifest, COCO or Label Studio JSON."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from foveate.annotate.domain.marks import Marks, problem
from foveate.annotate.domain.roles import ANNOTATOR, ROLES
from foveate.annotate.exchange import label_studio
from foveate.annotate.exchange.marks_from_rows import from_manifest
from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import Item
from foveate.annotate.store.records import item_of
from foveate.annotate.store.saving import Progress, Save, add_version, claim, double_marked, refresh
from foveate.data.lines import explain
from foveate.data.manifest import Manifest
from foveate.web import accounts, audit
from foveate.web.refusal import Refusal
from foveate.web.sessions import Who


@dataclass(frozen=True)
class Imported:
    """Number of images whose marks were imported, and what was not imported or not exactly."""

    images: int
    notes: tuple[str, ...]


def import_file(project: Project, source: Path, *, annotator: str, source_annotator: str | None = None) -> Imported:
    """Import a file's marks as annotations of one annotator; images that this annotator has begun stay as they are.

    Args:
        project: open.
        source: a manifest (.jsonl), Label Studio's tasks or COCO (.json, or COCO's folder).
        annotator: an account; made if there is none (nobody can log in to it before it gets a password).
        source_annotator: whose masks of a manifest, whose annotation of Label Studio; None = all united, the first.

    Raises:
        ValueError: the file has another format.
    """
    notes: list[str] = []
    given = _given(project, source, source_annotator, notes)
    count = 0
    with project.store.write() as db:
        who = _annotator(db, annotator)
        for image, one in given.items():
            count += _import_image(db, project, image, one, who, notes)
        audit.note(db, "command line", "import", f"{count} images as {annotator} from {source.name}")
    return Imported(count, tuple(notes))


def _given(project: Project, source: Path, source_annotator: str | None, notes: list[str]) -> dict[str, dict[str, Any]]:
    """Image id -> marks as plain data, from any of the formats."""
    with project.store.read() as db:
        shapes = {item.image: (item.rows, item.cols) for item in db.scalars(select(Item))}
    if source.suffix == ".jsonl":
        return from_manifest(project, Manifest.read(source), shapes, source_annotator=source_annotator, notes=notes)
    data = None if source.is_dir() else _json(source)
    if isinstance(data, list):
        given, lost = label_studio.read(data, images=shapes, source_annotator=source_annotator)
        notes += lost
        return given
    from foveate.data.exchange import coco

    with tempfile.TemporaryDirectory() as folder:
        found = coco.read(source, masks=Path(folder) / "masks")
        notes += found.info.get("warnings", ())
        return from_manifest(project, found, shapes, source_annotator=source_annotator, notes=notes)


def _import_image(db: Session, project: Project, image: str, one: Mapping[str, Any], who: Who, notes: list[str]) -> int:
    number = db.scalar(select(Item.id).where(Item.image == image))
    assert number is not None
    item = item_of(db, number, lock=True)
    try:
        marks = Marks.model_validate(one["marks"])
        own = claim(db, project, item, who)
    except ValidationError as error:
        notes.append(f"{image}: {explain(error, Marks)}; left out")
        return 0
    except Refusal as error:
        notes.append(f"{image}: {error.message}")
        return 0
    if own.version:
        notes.append(f"{image}: {who.name} has begun it already; left as it is")
        return 0
    shape = (item.rows, item.cols)
    state: Progress = "done"
    for done in (True, False):
        wrong = problem(marks, protocol=project.protocol, schema=project.schema, shape=shape, done=done)
        if wrong is None:
            break
        state = "open"
    if wrong is not None:
        notes.append(f"{image}: {wrong}; left out")
        db.delete(own)
        db.flush()
        return 0
    if state == "done" and (found := double_marked(marks, project, shape)) is not None:
        notes.append(
            f"{image}: {' and '.join(found.findings)} cover {found.pixels} pixels together; imported as not finished"
        )
        state = "open"
    elif state == "open":
        notes.append(f"{image}: a required answer is missing; imported as not finished")
    add_version(db, own, Save(0, "import", state, float(one["seconds"]), marks), who)
    refresh(db, project, item)
    return 1


def _annotator(db: Session, name: str) -> Who:
    user = accounts.find(db, name) or accounts.create(db, name, roles=[ANNOTATOR], known=ROLES, password=None)
    return Who(user.id, user.name, tuple(user.roles.split(",")))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: must be JSON ({error}); give a manifest, Label Studio's tasks or COCO") from None
