"""Marks that were made elsewhere, as one reader's: from a manifest, COCO or Label Studio JSON."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foveate.annotate import accounts, labelstudio
from foveate.annotate.accounts import Who
from foveate.annotate.marks import Marks, problem
from foveate.annotate.outlining import as_shapes
from foveate.annotate.protocol import Finding
from foveate.annotate.refusal import Refusal
from foveate.annotate.room import Room
from foveate.annotate.saving import Progress, Save, add, claim, item_of, refresh, twofold
from foveate.annotate.tables import Item, User
from foveate.core.regions import Regions, located
from foveate.core.types import Cue, Row
from foveate.data import read
from foveate.data.lines import explain
from foveate.data.manifest import Manifest


@dataclass(frozen=True)
class Taken:
    """Images whose marks were taken, and what was not or not exactly."""

    images: int
    notes: tuple[str, ...]


def import_file(room: Room, source: Path, *, reader: str, grader: str | None = None) -> Taken:
    """Take a file's marks as readings of one reader; images that this reader has begun already stay as they are.

    Args:
        room: open.
        source: a manifest (.jsonl), Label Studio's tasks or COCO (.json, or COCO's folder).
        reader: an account; made where there is none (nobody can log in to it before it gets a password).
        grader: whose masks of a manifest, whose annotation of Label Studio; None = all united, the first.

    Raises:
        ValueError: the file is none of these.
    """
    notes: list[str] = []
    given: dict[str, dict[str, Any]] = {}
    with room.store.read() as db:
        shapes = {item.image: (item.rows, item.cols) for item in db.scalars(select(Item))}
    if source.suffix == ".jsonl":
        given = from_manifest(room, Manifest.read(source), shapes, grader=grader, notes=notes)
    else:
        data = None if source.is_dir() else _json(source)
        if isinstance(data, list):
            given, told = labelstudio.read(data, images=shapes, grader=grader)
            notes += told
        else:
            from foveate.data.exchange import coco

            with tempfile.TemporaryDirectory() as folder:
                found = coco.read(source, masks=Path(folder) / "masks")
                notes += found.info.get("warnings", ())
                given = from_manifest(room, found, shapes, grader=grader, notes=notes)
    taken = 0
    with room.store.write() as db:
        who = _reader(db, reader)
        for image, one in given.items():
            taken += _take(db, room, image, one, who, notes)
        accounts.note(db, "command line", "import", f"{taken} images as {reader} from {source.name}")
    return Taken(taken, tuple(notes))


def from_manifest(
    room: Room,
    manifest: Manifest,
    shapes: Mapping[str, tuple[int, int]],
    *,
    grader: str | None,
    notes: list[str],
) -> dict[str, dict[str, Any]]:
    """Image id -> marks as plain data.

    Args:
        room: says which marks are allowed.
        manifest: with masks, cues, readings or answers.
        shapes: image id -> (rows, cols).
        grader: whose; None = all, masks united.
        notes: told what was not taken.
    """
    out: dict[str, dict[str, Any]] = {}
    for row in manifest:
        if row.id not in shapes:
            notes.append(f"{row.id}: is no image of the room; left out")
            continue
        marks = _marks(room, manifest, row, shapes[row.id], grader, notes)
        if marks["answers"] or marks["shapes"] or set(marks["findings"].values()) != {"unsure"}:
            out[row.id] = {"marks": marks, "seconds": 0.0}
    return out


def _marks(
    room: Room, manifest: Manifest, row: Row, shape: tuple[int, int], grader: str | None, notes: list[str]
) -> dict[str, Any]:
    mine = room.rows[row.id]
    disc, fovea = row.disc or mine.disc, row.fovea or mine.fovea
    regions = located(shape=shape, disc=disc, fovea=fovea, laterality=row.laterality or mine.laterality)
    answers = row.readings.get(grader, {}) if grader is not None and grader in row.readings else row.answers
    asked = {q.name for q in room.protocol.questions}
    marks: dict[str, Any] = {"answers": {q: a for q, a in answers.items() if q in asked}, "findings": {}, "shapes": []}
    known_labels = [f.name for f in room.protocol.findings if f.name in manifest.schema.labels]
    schema = manifest.schema.select(questions=(), labels=known_labels)
    masks, known = read.masks(row, manifest.root, schema, graders=grader or "union", shape=shape)
    for finding in room.protocol.findings:
        cues = [c for c in row.cues.get(finding.name, ()) if grader in (None, c.grader)]
        at = known_labels.index(finding.name) if finding.name in known_labels else None
        if at is not None and known[at].any():
            found = _of_mask(masks[at] > 0, known[at] > 0, finding, regions)
            rough = [s for c in cues if (s := _of_cue(c, finding, regions, shape)) is not None and c.regions]
            if found is None:
                notes.append(f"{row.id}, {finding.name}: its mask cannot be said by {' or '.join(finding.marks)}")
                marks["findings"][finding.name] = "unsure"
            else:
                marks["shapes"] += found + (rough if found else [])
        elif cues and not all(c.absent for c in cues):
            rough = [s for c in cues if (s := _of_cue(c, finding, regions, shape)) is not None]
            marks["shapes"] += [s | {"id": f"{s['id']} {i}"} for i, s in enumerate(_one_of_regions(rough))]
            if not rough:
                marks["findings"][finding.name] = "present"
        elif not cues:
            marks["findings"][finding.name] = "unsure"
    return marks


def _of_mask(
    mask: np.ndarray, known: np.ndarray, finding: Finding, regions: Regions | None
) -> list[dict[str, Any]] | None:
    out: list[dict[str, Any]] = []
    for pixels, doubtful in ((mask & known, False), (~known, True)):
        if pixels.any():
            found = as_shapes(pixels, finding.name, allowed=finding.marks, regions=regions, doubtful=doubtful)
            if found is None:
                return None
            out += found
    return out


def _of_cue(cue: Cue, finding: Finding, regions: Regions | None, shape: tuple[int, int]) -> dict[str, Any] | None:
    """A cue as a shape; None where it says that the finding is absent, or the protocol knows no such mark."""
    base = {"label": finding.name, "id": f"cue {finding.name[:20]}"}
    if cue.regions and "regions" in finding.marks:
        return base | {"kind": "regions", "regions": list(cue.regions)}
    if cue.ellipse is not None and "ellipse" in finding.marks:
        r, c, down, across, turn = cue.ellipse
        return base | {"kind": "ellipse", "centre": [r, c], "radii": [down, across], "turn": turn}
    if cue.ellipse is not None and "point" in finding.marks:
        return base | {"kind": "point", "at": list(cue.ellipse[:2])}
    corners = list(cue.polygon)
    if cue.box is not None:
        top, left, bottom, right = cue.box
        corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
    if corners and "polygon" in finding.marks:
        return base | {"kind": "polygon", "corners": [list(corner) for corner in corners]}
    return None


def _one_of_regions(shapes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All regions of a finding in one shape."""
    named = [s for s in shapes if s["kind"] == "regions"]
    if len(named) < 2:
        return shapes
    every = list(dict.fromkeys(name for s in named for name in s["regions"]))
    return [named[0] | {"regions": every}, *(s for s in shapes if s["kind"] != "regions")]


def _take(db: Session, room: Room, image: str, one: Mapping[str, Any], who: Who, notes: list[str]) -> int:
    number = db.scalar(select(Item.id).where(Item.image == image))
    assert number is not None
    item = item_of(db, number, lock=True)
    try:
        marks = Marks.model_validate(one["marks"])
        own = claim(db, room, item, who)
    except ValidationError as error:
        notes.append(f"{image}: {explain(error, Marks)}; left out")
        return 0
    except Refusal as error:
        notes.append(f"{image}: {error.message}")
        return 0
    if own.version:
        notes.append(f"{image}: {who.name} has read it already; left as it is")
        return 0
    shape = (item.rows, item.cols)
    state: Progress = "done"
    for done in (True, False):
        wrong = problem(marks, protocol=room.protocol, schema=room.schema, shape=shape, done=done)
        if wrong is None:
            break
        state = "open"
    if wrong is not None:
        notes.append(f"{image}: {wrong}; left out")
        db.delete(own)
        db.flush()
        return 0
    if state == "done" and (found := twofold(marks, room, shape)) is not None:
        notes.append(f"{image}: {' and '.join(found.findings)} cover {found.pixels} pixels together; taken as begun")
        state = "open"
    elif state == "open":
        notes.append(f"{image}: not everything that must be answered is; taken as begun")
    add(db, own, Save(0, "import", state, float(one["seconds"]), marks), who)
    refresh(db, room, item)
    return 1


def _reader(db: Session, name: str) -> Who:
    user = db.scalar(select(User).where(func.lower(User.name) == name.strip().lower()))
    if user is None:
        user = accounts.create(db, name, roles=["reader"], password=None)
    return Who(user.id, user.name, tuple(user.roles.split(",")))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: is no JSON ({error}); give a manifest, Label Studio's tasks or COCO") from None
