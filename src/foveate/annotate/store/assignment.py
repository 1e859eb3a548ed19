"""An annotator's work: which image comes next, how many are left and how long they take."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import Draft, Item, MarkSet
from foveate.annotate.store.records import CONSENSUS, item_of, slot
from foveate.annotate.store.saving import claim
from foveate.web.refusal import Refusal
from foveate.web.sessions import Who


@dataclass(frozen=True)
class Work:
    """How far an annotator has come.

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


def work_of(db: Session, project: Project, who: Who) -> Work:
    """Return what an annotator has begun, and what is left for them."""
    own = [
        (item, marks)
        for item, marks in db.execute(
            select(Item, MarkSet)
            .join(MarkSet, MarkSet.item_id == Item.id)
            .where(MarkSet.slot == slot(who.id))
            .order_by(MarkSet.id)
        )
    ]
    mine = {item.id for item, _ in own}
    left = [one for one in _free(db, project) if one[0] not in mine]
    if project.protocol.order == "random":
        left.sort(key=lambda one: _random_place(project, who, one[1]))
    elif project.protocol.order == "active":
        left.sort(key=lambda one: -(one[2] if one[2] is not None else -1.0))
    seconds = [marks.seconds for _, marks in own if marks.state == "done"]
    open_ = sum(marks.state != "done" for _, marks in own) + len(left)
    return Work(own, [number for number, _, _ in left], median(seconds) * open_ if seconds else None)


def _free(db: Session, project: Project) -> list[tuple[int, str, float | None]]:
    """Item, image and uncertainty of images that want another annotator."""
    taken = (
        select(MarkSet.item_id, func.count().label("annotators"))
        .where(MarkSet.slot != CONSENSUS)
        .group_by(MarkSet.item_id)
        .subquery()
    )
    found = db.execute(
        select(Item.id, Item.image, Draft.uncertainty)
        .outerjoin(taken, taken.c.item_id == Item.id)
        .outerjoin(Draft, Draft.item_id == Item.id)
        .where(Item.state != "settled", func.coalesce(taken.c.annotators, 0) < project.protocol.annotators)
        .order_by(Item.id)
    )
    return [(number, image, uncertainty) for number, image, uncertainty in found]


def _random_place(project: Project, who: Who, image: str) -> tuple[bytes, int]:
    """Place of an image in an annotator's random order; the scans of a volume come together, in their order."""
    row = project.rows[image]
    return hashlib.sha256(f"{project.id}/{who.id}/{row.volume or image}".encode()).digest(), row.position or 0


def next_image(db: Session, project: Project, who: Who) -> int | None:
    """Claim the next image: one that was begun, else the first that is left; None if all is done."""
    found = work_of(db, project, who)
    for item, marks in found.own:
        if marks.state != "done" and item.state != "settled":
            return item.id
    for number in found.left:
        try:
            claim(db, project, item_of(db, number, lock=True), who)
        except Refusal:  # another annotator took the last place since we looked
            continue
        return number
    return None
