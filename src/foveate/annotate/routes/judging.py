"""The adjudicator's table: all readings of an image, what the rule makes of them, the final word; and agreement."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foveate.annotate import accounts, saving
from foveate.annotate.accounts import Who
from foveate.annotate.concord import Concord
from foveate.annotate.desk import Desk, Number, address
from foveate.annotate.guided import contradictions
from foveate.annotate.marks import Marks
from foveate.annotate.refusal import Refusal
from foveate.annotate.room import Room
from foveate.annotate.routes.reading import SaveBody, keep, one_version, versions
from foveate.annotate.saving import CONSENSUS, item_of, landmarks, placed, set_of, shown
from foveate.annotate.settle import proposed
from foveate.annotate.tables import Item, MarkSet
from foveate.annotate.truth import told_all
from foveate.core.guideline import Contradiction

State = Literal["open", "ready", "disputed", "settled"]


def routes(desk: Desk) -> APIRouter:
    """What adjudicators ask for."""
    api = APIRouter(prefix="/api", tags=["consensus"])
    room = desk.room
    concord = Concord(room)

    @api.get("/consensus")
    def all_items(request: Request, state: Annotated[State | None, Query()] = None) -> dict[str, Any]:
        """Every image and how far it has come."""
        with desk.reading(request, "adjudicator") as (db, _):
            done = _done(db)
            items = db.scalars(select(Item).order_by(Item.id)).all()
            counts = Counter(item.state for item in items)
            return {
                "items": [
                    {
                        "item": item.id,
                        "id": item.image,
                        "state": item.state,
                        "readings": done.get(item.id, 0),
                        "disputes": json.loads(item.disputes),
                    }
                    for item in items
                    if state in (None, item.state)
                ],
                "counts": {name: counts[name] for name in ("open", "ready", "disputed", "settled")},
            }

    @api.get("/items/{item}/consensus")
    def one_item(request: Request, item: Number) -> dict[str, Any]:
        """All that is said of an image."""
        with desk.reading(request, "adjudicator") as (db, who):
            found = item_of(db, item)
            _unblinded(db, room, found, who)
            done = saving.readings(db, found)
            given = {name: marks for name, _, marks in done}
            shape = (found.rows, found.cols)
            proposal = proposed(given, protocol=room.protocol, schema=room.schema, shape=shape)
            final = set_of(db, found, CONSENSUS)
            settled = saving.marks_of(db, final) if final is not None and final.version else None
            out = {
                "item": item,
                "id": found.image,
                "state": found.state,
                "disputes": json.loads(found.disputes),
                "readings": [{"name": name} | shown(db, one) for name, one, _ in done],
                "proposal": proposal.plain(),
                "contradictions": [
                    {"words": one.words, "finding": one.lesion} for one in _against(room, found, settled or proposal)
                ],
                "consensus": shown(db, final),
            }
        with room.store.write() as db:
            accounts.note(db, who.name, "view readings", found.image, address=address(request))
        return out

    @api.put("/items/{item}/consensus")
    def save(request: Request, item: Number, body: SaveBody) -> dict[str, Any]:
        """Save the consensus; "done" settles the image."""
        with desk.writing(request, "adjudicator") as (db, who):
            found = item_of(db, item, lock=True)
            _unblinded(db, room, found, who)
            return keep(desk, db, found, saving.consensus_set(db, found, who), body, who)

    @api.get("/items/{item}/consensus/history")
    def history(request: Request, item: Number) -> dict[str, Any]:
        """Every version of the consensus."""
        with desk.reading(request, "adjudicator") as (db, who):
            found = item_of(db, item)
            _unblinded(db, room, found, who)
            return versions(db, set_of(db, found, CONSENSUS))

    @api.get("/items/{item}/consensus/history/{version}")
    def at_version(request: Request, item: Number, version: Number) -> dict[str, Any]:
        """One of them."""
        with desk.reading(request, "adjudicator") as (db, who):
            found = item_of(db, item)
            _unblinded(db, room, found, who)
            return one_version(db, set_of(db, found, CONSENSUS), version)

    @api.get("/agreement")
    def agreement(request: Request) -> dict[str, Any]:
        """How far readers agree."""
        with desk.reading(request, "adjudicator") as (db, _):
            return concord(db)

    return api


def _against(room: Room, item: Item, marks: Marks) -> list[Contradiction]:
    said = told_all(marks, protocol=room.protocol, shape=(item.rows, item.cols))
    row = room.row(item)
    return contradictions(room, placed(row, *landmarks(row, marks), marks.answers), said)


def _unblinded(db: Session, room: Room, item: Item, who: Who) -> None:
    """Refuse who reads images too, until all readers of this one are done."""
    if item.state == "open" and room.protocol.blind and who.may("reader"):
        raise Refusal(403, "blind", "You read images too: this one opens when all its readers are done.")


def _done(db: Session) -> dict[int, int]:
    """Item -> readings that are done."""
    found = db.execute(
        select(MarkSet.item_id, func.count())
        .where(MarkSet.state == "done", MarkSet.slot != CONSENSUS)
        .group_by(MarkSet.item_id)
    )
    return dict(found.all())
