"""Every image of a room and all that is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from foveate.annotate import saving
from foveate.annotate.marks import Marks
from foveate.annotate.room import Room
from foveate.annotate.saving import CONSENSUS
from foveate.annotate.tables import Item, MarkSet
from foveate.core.types import Row


@dataclass(frozen=True)
class Read:
    """One image and all that is said of it.

    Args:
        item: its number and size.
        row: the manifest's line.
        readings: reader -> marks, those that are done.
        seconds: reader -> seconds spent.
        final: the adjudicator's consensus, where it is done.
    """

    item: Item
    row: Row
    readings: Mapping[str, Marks]
    seconds: Mapping[str, float]
    final: Marks | None


def all_read(room: Room, *, root: Path) -> Iterator[Read]:
    """Every image of a room, in the manifest's order; one moment of the store.

    Args:
        room: open.
        root: folder that the rows' paths shall start from.
    """
    rows = {row.id: row for row in room.manifest.at(root)}
    with room.store.read() as db:
        for item in db.scalars(select(Item).order_by(Item.id)):
            done = saving.readings(db, item)
            final = db.scalar(
                select(MarkSet).where(MarkSet.item_id == item.id, MarkSet.slot == CONSENSUS, MarkSet.state == "done")
            )
            yield Read(
                item,
                rows[item.image],
                {name: marks for name, _, marks in done},
                {name: one.seconds for name, one, _ in done},
                None if final is None else saving.marks_of(db, final),
            )
