"""Mark sets: claimed once, saved by version, never overwritten; every version stays."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from foveate.annotate.accounts import Who
from foveate.annotate.marks import Marks, problem
from foveate.annotate.refusal import Refusal
from foveate.annotate.room import Room
from foveate.annotate.settle import decide, state_of
from foveate.annotate.tables import History, Item, MarkSet, User
from foveate.annotate.truth import Overlap, overlap, told_all
from foveate.core.types import Row

CONSENSUS = "consensus"
EMPTY = Marks()
Progress = Literal["open", "done"]


@dataclass(frozen=True)
class Save:
    """One save as it comes in.

    Args:
        version: that the page worked on.
        key: made by the page; the same key twice is one save.
        state: whether the reader calls it finished.
        seconds: of work since the last acknowledged save.
        marks: all of them.
    """

    version: int
    key: str
    state: Progress
    seconds: float
    marks: Marks


def slot(user: int) -> str:
    """Name of a reader's mark sets."""
    return f"r{user}"


def item_of(db: Session, number: int, *, lock: bool = False) -> Item:
    """An item; Refusal where there is none. Locked, others who want the lock wait for the end of the transaction."""
    query = select(Item).where(Item.id == number)
    found = db.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise Refusal(404, "unknown", f"There is no image {number}.")
    return found


def set_of(db: Session, item: Item, place: str) -> MarkSet | None:
    """The mark set in a slot of an item."""
    return db.scalar(select(MarkSet).where(MarkSet.item_id == item.id, MarkSet.slot == place))


def claim(db: Session, room: Room, item: Item, who: Who) -> MarkSet:
    """Start to read an image, or go on with it.

    Args:
        db: a session that writes.
        room: says how many read an image.
        item: locked (`item_of`).
        who: the reader.

    Raises:
        Refusal: the image has all its readers, or is settled.
    """
    own = set_of(db, item, slot(who.id))
    if own is not None:
        return own
    readings = db.scalars(select(MarkSet.id).where(MarkSet.item_id == item.id, MarkSet.slot != CONSENSUS)).all()
    if len(readings) >= room.protocol.readers or item.state == "settled":
        raise Refusal(409, "claimed", "This image has all its readers already; take the next one.")
    return _new(db, item, slot(who.id), who)


def consensus_set(db: Session, item: Item, who: Who) -> MarkSet:
    """The consensus of an image, begun by whoever asks first."""
    return set_of(db, item, CONSENSUS) or _new(db, item, CONSENSUS, who)


def _new(db: Session, item: Item, place: str, who: Who) -> MarkSet:
    made = MarkSet(
        item_id=item.id, user_id=who.id, slot=place, version=0, state="open", seconds=0.0, started=time.time()
    )
    db.add(made)
    db.flush()
    return made


def store(db: Session, room: Room, item: Item, marks: MarkSet, save: Save, who: Who) -> tuple[MarkSet, bool]:
    """Put a save into the store.

    Args:
        db: a session that writes; the save is acknowledged only after its commit.
        room: checks it.
        item: locked (`item_of`).
        marks: the set to save into.
        save: what came in.
        who: saves it.

    Returns:
        the set, and whether this is the first time that the save came.

    Raises:
        Refusal: stale (someone saved since; the current state comes along), settled, not as the protocol allows, or
            (done) two findings that exclude each other cover a pixel; ``at`` says where.
    """
    again = db.scalar(select(History).where(History.set_id == marks.id, History.save == save.key))
    if again is not None:
        return marks, False
    if marks.slot != CONSENSUS and item.state == "settled":
        raise Refusal(409, "settled", "The consensus of this image is settled; its readings are closed.")
    if save.version != marks.version:
        raise Refusal(
            409,
            "stale",
            f"This was changed elsewhere: version {marks.version} is saved, yours began from {save.version}.",
            details={"current": shown(db, marks)},
        )
    wrong = problem(
        save.marks,
        protocol=room.protocol,
        schema=room.schema,
        shape=(item.rows, item.cols),
        done=save.state == "done" and marks.slot != CONSENSUS,
    )
    if wrong is not None:
        raise Refusal(422, "invalid", f"marks.{wrong}")
    if save.state == "done" and (found := twofold(save.marks, room, (item.rows, item.cols))) is not None:
        raise Refusal(422, "overlap", _words(found, room), details={"at": list(found.at)})
    add(db, marks, save, who)
    refresh(db, room, item)
    return marks, True


def twofold(marks: Marks, room: Room, shape: tuple[int, int]) -> Overlap | None:
    """Two findings on one pixel, where the schema allows one and the protocol wants that mended."""
    if not room.schema.exclusive or room.protocol.overlap != "refuse":
        return None
    return overlap(told_all(marks, protocol=room.protocol, shape=shape))


def _words(found: Overlap, room: Room) -> str:
    shown = [f.title or f.name.replace("_", " ") for f in room.protocol.findings if f.name in found.findings]
    return (
        f"{' and '.join(shown)} cover {found.pixels} pixels together, the first at row {found.at[0]}, column "
        f"{found.at[1]}. A pixel shows one finding at most: change one of the two there."
    )


def add(db: Session, marks: MarkSet, save: Save, who: Who) -> None:
    """Add a version to a set as it is; `store` checks before."""
    now = time.time()
    marks.version += 1
    marks.state, marks.saved, marks.user_id = save.state, now, who.id
    marks.seconds += save.seconds
    db.add(
        History(
            set_id=marks.id,
            version=marks.version,
            save=save.key,
            user_id=who.id,
            at=now,
            state=save.state,
            seconds=save.seconds,
            marks=save.marks.pack(),
        )
    )
    db.flush()


def refresh(db: Session, room: Room, item: Item) -> None:
    """Say anew how far an image has come."""
    done = readings(db, item)
    final = set_of(db, item, CONSENSUS)
    full = len(done) >= room.protocol.readers
    decided = decide([m for _, _, m in done], protocol=room.protocol, schema=room.schema) if full else None
    item.state = state_of(len(done), decided, protocol=room.protocol, final=final is not None and final.state == "done")
    item.disputes = json.dumps(list(decided.disputes) if decided else [])
    if item.state == "open":
        item.completed = None
    elif item.completed is None:
        item.completed = time.time()


def readings(db: Session, item: Item, *, done: bool = True) -> list[tuple[str, MarkSet, Marks]]:
    """Reader, set and marks of an image's readings, in the order they were begun; those that are done, or all."""
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
    """A set as pages get it; one that is not there is empty, version 0."""
    if marks is None:
        return {"version": 0, "state": "open", "seconds": 0.0, "saved": None, "by": "", "marks": EMPTY.plain()}
    by = db.get(User, marks.user_id)
    return {
        "version": marks.version,
        "state": marks.state,
        "seconds": marks.seconds,
        "saved": when(marks.saved),
        "by": by.name if by else "",
        "marks": marks_of(db, marks).plain(),
    }


def when(seconds: float | None) -> str | None:
    """A time as pages get it."""
    if seconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"


def landmarks(row: Row, *given: Marks | None) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Disc and fovea: as the first of the mark sets that has them, else as the manifest."""
    disc = next((m.disc for m in given if m is not None and m.disc is not None), row.disc)
    fovea = next((m.fovea for m in given if m is not None and m.fovea is not None), row.fovea)
    return disc, fovea


def placed(
    row: Row, disc: tuple[float, float] | None, fovea: tuple[float, float] | None, answers: Mapping[str, str]
) -> Row:
    """A row with these landmarks and answers and nothing else that was known of its truth."""
    return replace(row, disc=disc, fovea=fovea, answers=dict(answers), masks={}, cues={}, readings={})
