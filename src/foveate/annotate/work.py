"""A reader's work: which image comes next, how many are left and how long they take."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foveate.annotate.accounts import Who
from foveate.annotate.refusal import Refusal
from foveate.annotate.room import Room
from foveate.annotate.saving import CONSENSUS, claim, item_of, slot
from foveate.annotate.tables import Draft, Item, MarkSet


@dataclass(frozen=True)
class Work:
    """How far a reader has come.

    Args:
        own: what was begun: item and mark set.
        left: numbers of the items that are still to be begun, in the order they come.
        seconds_left: by the median of the images that are done; None before the first.
    """

    own: Sequence[tuple[Item, MarkSet]]
    left: Sequence[int]
    seconds_left: float | None

    @property
    def done(self) -> int:
        """Images that are done."""
        return sum(marks.state == "done" for _, marks in self.own)

    @property
    def total(self) -> int:
        """Images that are begun or still free."""
        return len(self.own) + len(self.left)


def work(db: Session, room: Room, who: Who) -> Work:
    """What a reader has begun, and what is left for them."""
    own = [
        (item, marks)
        for item, marks in db.execute(
            select(Item, MarkSet)
            .join(MarkSet, MarkSet.item_id == Item.id)
            .where(MarkSet.slot == slot(who.id))
            .order_by(MarkSet.id)
        )
    ]
    taken = (
        select(MarkSet.item_id, func.count().label("readers"))
        .where(MarkSet.slot != CONSENSUS)
        .group_by(MarkSet.item_id)
        .subquery()
    )
    free = db.execute(
        select(Item.id, Item.image, Draft.uncertainty)
        .outerjoin(taken, taken.c.item_id == Item.id)
        .outerjoin(Draft, Draft.item_id == Item.id)
        .where(Item.state != "settled", func.coalesce(taken.c.readers, 0) < room.protocol.readers)
        .order_by(Item.id)
    ).all()
    mine = {item.id for item, _ in own}
    left = [(number, image, unsure) for number, image, unsure in free if number not in mine]
    if room.protocol.order == "random":
        left.sort(key=lambda one: _drawn(room, who, one[1]))
    elif room.protocol.order == "active":
        left.sort(key=lambda one: -(one[2] if one[2] is not None else -1.0))
    seconds = [marks.seconds for _, marks in own if marks.state == "done"]
    open_ = sum(marks.state != "done" for _, marks in own) + len(left)
    return Work(own, [number for number, _, _ in left], median(seconds) * open_ if seconds else None)


def _drawn(room: Room, who: Who, image: str) -> tuple[bytes, int]:
    """Place of an image in a reader's random order; the scans of a volume come together, in their order."""
    row = room.rows[image]
    return hashlib.sha256(f"{room.id}/{who.id}/{row.volume or image}".encode()).digest(), row.position or 0


def following(db: Session, room: Room, who: Who) -> int | None:
    """Claim the next image: one that was begun, else the first that is left; None when all is done."""
    found = work(db, room, who)
    for item, marks in found.own:
        if marks.state != "done" and item.state != "settled":
            return item.id
    for number in found.left:
        try:
            claim(db, room, item_of(db, number, lock=True), who)
        except Refusal:  # another reader took the last place since we looked
            continue
        return number
    return None
