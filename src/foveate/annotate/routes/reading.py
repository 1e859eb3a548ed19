"""A reader's day: the next image, its marks, saving them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from foveate.annotate import accounts, saving
from foveate.annotate.accounts import Who
from foveate.annotate.desk import Desk, Number, address
from foveate.annotate.marks import Marks
from foveate.annotate.pictures import levels
from foveate.annotate.refusal import Refusal
from foveate.annotate.room import FROM_MASKS
from foveate.annotate.saving import (
    CONSENSUS,
    Progress,
    Save,
    item_of,
    landmarks,
    set_of,
    shown,
    slot,
    when,
)
from foveate.annotate.tables import Draft, History, Item, MarkSet, User
from foveate.annotate.work import following, work

KEY = r"^[A-Za-z0-9_.:-]{1,64}$"


class SaveBody(BaseModel):
    """One save."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    version: int = Field(ge=0, le=2**31 - 1)
    save: Annotated[str, Field(pattern=KEY)]
    state: Progress
    seconds: float = Field(ge=0, le=86400)
    marks: Marks

    def plain(self) -> Save:
        """As the store takes it."""
        return Save(self.version, self.save, self.state, self.seconds, self.marks)


def routes(desk: Desk) -> APIRouter:
    """What readers ask for."""
    api = APIRouter(prefix="/api", tags=["reading"])
    room = desk.room

    @api.get("/protocol")
    def protocol(request: Request) -> dict[str, Any]:
        """What is asked and may be marked."""
        with desk.reading(request):
            return room.protocol.page(room.schema)

    @api.get("/work")
    def get_work(request: Request) -> dict[str, Any]:
        """How far the reader has come."""
        with desk.reading(request, "reader") as (db, who):
            found = work(db, room, who)
            items = [
                {"item": item.id, "id": item.image, "state": marks.state, "settled": item.state == "settled"}
                for item, marks in found.own
            ]
            return {
                "done": found.done,
                "total": found.total,
                "seconds_left": found.seconds_left,
                "items": items,
            }

    @api.post("/work/next")
    def next_item(request: Request) -> dict[str, Any]:
        """Claim the next image."""
        with desk.writing(request, "reader") as (db, who):
            return {"item": following(db, room, who)}

    @api.post("/items/{item}/claim")
    def claim(request: Request, item: Number) -> dict[str, Any]:
        """Claim this image."""
        with desk.writing(request, "reader") as (db, who):
            saving.claim(db, room, item_of(db, item, lock=True), who)
            return {"item": item}

    @api.get("/items/{item}")
    def get_item(request: Request, item: Number) -> dict[str, Any]:
        """An image: its size, what is known of it, the reader's own marks, drafts."""
        with desk.reading(request) as (db, who):
            found = item_of(db, item)
            own = set_of(db, found, slot(who.id))
            draft = db.get(Draft, item) if own is not None or who.may("adjudicator") else None
            may = [name for name in ("read", "adjudicate") if who.may({"read": "reader"}.get(name, "adjudicator"))]
            drafted = None if draft is None else Marks.unpack(draft.marks)
            out = _about(desk, db, found, drafted) | {
                "marks": None if own is None else shown(db, own),
                "drafts": None if draft is None else _draft(draft),
                "settled": found.state == "settled",
                "may": may,
            }
        with room.store.write() as db:
            accounts.note(db, who.name, "view", out["id"], address=address(request))
        return out

    @api.put("/items/{item}/marks")
    def save(request: Request, item: Number, body: SaveBody) -> dict[str, Any]:
        """Save the reader's marks; what is answered with 200 is on disk."""
        with desk.writing(request, "reader") as (db, who):
            found = item_of(db, item, lock=True)
            own = set_of(db, found, slot(who.id))
            if own is None:
                raise Refusal(403, "forbidden", "Start this image first.")
            return keep(desk, db, found, own, body, who)

    @api.get("/items/{item}/history")
    def history(request: Request, item: Number) -> dict[str, Any]:
        """Every version of the reader's own marks."""
        with desk.reading(request, "reader") as (db, who):
            return versions(db, set_of(db, item_of(db, item), slot(who.id)))

    @api.get("/items/{item}/history/{version}")
    def at_version(request: Request, item: Number, version: Number) -> dict[str, Any]:
        """One of them."""
        with desk.reading(request, "reader") as (db, who):
            return one_version(db, set_of(db, item_of(db, item), slot(who.id)), version)

    @api.get("/items/{item}/others")
    def others(request: Request, item: Number) -> dict[str, Any]:
        """What the other readers marked, once the consensus is settled (or the protocol is not blind)."""
        with desk.reading(request) as (db, who):
            found = item_of(db, item)
            if room.protocol.blind and found.state != "settled":
                raise Refusal(403, "blind", "Nobody sees another's marks before the consensus.")
            read = [{"name": name} | shown(db, one) for name, one, _ in saving.readings(db, found) if name != who.name]
            final = set_of(db, found, CONSENSUS)
            settled = final is not None and final.state == "done"
            return {"readings": read, "consensus": saving.marks_of(db, final).plain() if settled and final else None}

    return api


def keep(desk: Desk, db: Session, item: Item, marks: MarkSet, body: SaveBody, who: Who) -> dict[str, Any]:
    """Save, and say what was saved: the version that this very save got."""
    _, first = saving.store(db, desk.room, item, marks, body.plain(), who)
    done = db.execute(
        select(History.version, History.state, History.at).where(History.set_id == marks.id, History.save == body.save)
    ).one()
    if first and done.state == "done":
        accounts.note(db, who.name, "consensus" if marks.slot == CONSENSUS else "done", item.image)
    return {"version": done.version, "state": done.state, "saved": when(done.at), "seconds": marks.seconds}


def versions(db: Session, marks: MarkSet | None) -> dict[str, Any]:
    """Every version of a set."""
    if marks is None:
        return {"versions": []}
    found = db.execute(
        select(History.version, User.name, History.at, History.state)
        .join(User, User.id == History.user_id)
        .where(History.set_id == marks.id)
        .order_by(History.version)
    )
    return {"versions": [{"version": v, "by": by, "at": when(at), "state": state} for v, by, at, state in found]}


def one_version(db: Session, marks: MarkSet | None, version: int) -> dict[str, Any]:
    """One version of a set; Refusal where there is none."""
    found = None
    if marks is not None:
        found = db.execute(
            select(History, User.name)
            .join(User, User.id == History.user_id)
            .where(History.set_id == marks.id, History.version == version)
        ).one_or_none()
    if found is None:
        raise Refusal(404, "unknown", f"There is no version {version}.")
    line, by = found
    said = Marks.unpack(line.marks).plain()
    return {"version": version, "state": line.state, "seconds": line.seconds, "saved": when(line.at)} | {
        "by": by,
        "marks": said,
    }


def _draft(draft: Draft) -> dict[str, Any]:
    marks = Marks.unpack(draft.marks).plain()
    return {"run": draft.run} | {name: marks[name] for name in ("answers", "findings", "shapes")}


def _about(desk: Desk, db: Session, item: Item, drafted: Marks | None) -> dict[str, Any]:
    """What the manifest knows of an image (a run's draft: where the disc is), and what lies beside it."""
    row = desk.room.row(item)
    disc, fovea = landmarks(row, drafted)
    from_mask = item.image in desk.room.manifest.info.get(FROM_MASKS, ())
    where = ("mask" if from_mask else "manifest") if row.disc or row.fovea else "run" if disc or fovea else None
    numbers = dict(db.execute(select(Item.image, Item.id)).all())
    scans = sorted(
        (r for r in desk.room.manifest if row.volume is not None and r.volume == row.volume and r.id in numbers),
        key=lambda r: (r.position is None, r.position or 0),
    )
    volume = None
    if len(scans) > 1:
        volume = {
            "name": row.volume,
            "index": scans.index(row),
            "scans": [{"item": numbers[r.id], "position": r.position} for r in scans],
            "enface": True,
        }
    beside = [
        {"item": numbers[r.id], "id": r.id, "relation": "same eye" if _same_eye(row, r) else "fellow eye"}
        for r in desk.room.manifest
        if row.patient and r.patient == row.patient and r.id != row.id and r.id in numbers
        if row.volume is None or r.volume != row.volume
    ]
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
        "landmarks": where,
        "volume": volume,
        "beside": beside,
    }


def _same_eye(one: Any, other: Any) -> bool:
    if one.eye and other.eye:
        return bool(one.eye == other.eye)
    return one.laterality is None or other.laterality is None or one.laterality == other.laterality
