"""Queries: an image's item, its mark sets, and who annotated what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from foveate.annotate.domain.marks import Marks
from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import History, Item, MarkSet
from foveate.core.types import Row
from foveate.web.account_tables import User
from foveate.web.refusal import Refusal
from foveate.web.timestamps import iso_time

CONSENSUS = "consensus"
EMPTY = Marks()


def slot(user: int) -> str:
    """Name of an annotator's mark sets."""
    return f"r{user}"


def item_of(db: Session, number: int, *, lock: bool = False) -> Item:
    """Return an item; Refusal if there is no such image.

    With a lock, others who want the lock wait for the end of the transaction.
    """
    query = select(Item).where(Item.id == number)
    found = db.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise Refusal(404, "unknown", f"There is no image {number}.")
    return found


def set_of(db: Session, item: Item, place: str) -> MarkSet | None:
    """The mark set in a slot of an item."""
    return db.scalar(select(MarkSet).where(MarkSet.item_id == item.id, MarkSet.slot == place))


def annotations_of(db: Session, item: Item, *, done: bool = True) -> list[tuple[str, MarkSet, Marks]]:
    """List annotator, set and marks of an image, in the order they were begun; those that are done, or all."""
    query = (
        select(User.name, MarkSet, History.marks)
        .join(User, User.id == MarkSet.user_id)
        .outerjoin(History, (History.set_id == MarkSet.id) & (History.version == MarkSet.version))
        .where(MarkSet.item_id == item.id, MarkSet.slot != CONSENSUS)
        .order_by(MarkSet.id)
    )
    if done:
        query = query.where(MarkSet.state == "done")
    return [(name, one, EMPTY if data is None else Marks.unpack(data)) for name, one, data in db.execute(query)]


def marks_of(db: Session, marks: MarkSet) -> Marks:
    """The newest version of a set."""
    data = db.scalar(select(History.marks).where(History.set_id == marks.id, History.version == marks.version))
    return EMPTY if data is None else Marks.unpack(data)


def shown(db: Session, marks: MarkSet | None) -> dict[str, Any]:
    """A set as pages get it; a set that does not exist yet is empty, version 0."""
    if marks is None:
        return {"version": 0, "state": "open", "seconds": 0.0, "saved": None, "by": "", "marks": EMPTY.plain()}
    by = db.get(User, marks.user_id)
    return {
        "version": marks.version,
        "state": marks.state,
        "seconds": marks.seconds,
        "saved": iso_time(marks.saved),
        "by": by.name if by else "",
        "marks": marks_of(db, marks).plain(),
    }


@dataclass(frozen=True)
class ImageRecord:
    """One image with its annotations.

    Args:
        item: its number and size.
        row: the manifest's row.
        annotations: annotator -> marks, those that are done.
        seconds: annotator -> seconds spent.
        final: the adjudicator's consensus, if it is done.
    """

    item: Item
    row: Row
    annotations: Mapping[str, Marks]
    seconds: Mapping[str, float]
    final: Marks | None


def image_records(project: Project, *, root: Path) -> Iterator[ImageRecord]:
    """Yield every image of a project in the manifest's order, all from one moment of the store.

    Args:
        project: open.
        root: folder that the rows' paths shall start from.
    """
    rows = {row.id: row for row in project.manifest.at(root)}
    with project.store.read() as db:
        for item in db.scalars(select(Item).order_by(Item.id)):
            done = annotations_of(db, item)
            final = set_of(db, item, CONSENSUS)
            yield ImageRecord(
                item,
                rows[item.image],
                {name: marks for name, _, marks in done},
                {name: one.seconds for name, one, _ in done},
                None if final is None or final.state != "done" else marks_of(db, final),
            )
