"""Facts of an image that a page shows before anybody has marked it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from foveate.annotate.domain.landmarks import landmarks
from foveate.annotate.domain.marks import Marks
from foveate.annotate.store.project import FROM_MASKS, Project
from foveate.annotate.store.project_tables import Draft, Item
from foveate.annotate.web.pictures import levels
from foveate.core.types import Row


def about_image(project: Project, db: Session, item: Item, drafted: Marks | None) -> dict[str, Any]:
    """Size, eye, landmarks (a run's draft may know the disc), the volume it is part of, and related images."""
    row = project.row(item)
    disc, fovea = landmarks(row, drafted)
    from_mask = item.image in project.manifest.info.get(FROM_MASKS, ())
    source = ("mask" if from_mask else "manifest") if row.disc or row.fovea else "run" if disc or fovea else None
    numbers = dict(db.execute(select(Item.image, Item.id)).all())
    return {
        "item": item.id,
        "id": item.image,
        "rows": item.rows,
        "cols": item.cols,
        "levels": levels((item.rows, item.cols)),
        "laterality": row.laterality,
        "modality": row.modality,
        "spacing": row.spacing,
        "disc": disc,
        "fovea": fovea,
        "landmarks": source,
        "volume": _volume(project, row, numbers),
        "related": _related(project, row, numbers),
    }


def scans_of(project: Project, row: Row) -> list[Row]:
    """The B-scans of the volume that a row is part of, in their order; none if it is part of none."""
    return sorted(
        (r for r in project.manifest if row.volume is not None and r.volume == row.volume),
        key=lambda r: (r.position is None, r.position or 0),
    )


def draft_of(draft: Draft) -> dict[str, Any]:
    """A draft as pages get it."""
    marks = Marks.unpack(draft.marks).plain()
    return {"run": draft.run} | {name: marks[name] for name in ("answers", "findings", "shapes")}


def _volume(project: Project, row: Row, numbers: Mapping[str, int]) -> dict[str, Any] | None:
    scans = [r for r in scans_of(project, row) if r.id in numbers]
    if len(scans) < 2:
        return None
    return {
        "name": row.volume,
        "index": scans.index(row),
        "scans": [{"item": numbers[r.id], "position": r.position} for r in scans],
        "enface": True,
    }


def _related(project: Project, row: Row, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """Images of the same patient: earlier visits, the fellow eye."""
    return [
        {"item": numbers[r.id], "id": r.id, "relation": "same eye" if _same_eye(row, r) else "fellow eye"}
        for r in project.manifest
        if row.patient and r.patient == row.patient and r.id != row.id and r.id in numbers
        if row.volume is None or r.volume != row.volume
    ]


def _same_eye(one: Row, other: Row) -> bool:
    if one.eye and other.eye:
        return bool(one.eye == other.eye)
    return one.laterality is None or other.laterality is None or one.laterality == other.laterality
