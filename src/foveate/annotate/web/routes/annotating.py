"""An annotator's work: the next image, its marks, saving them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from foveate.annotate.domain.marks import Marks
from foveate.annotate.domain.roles import ADJUDICATES, ANNOTATOR
from foveate.annotate.store import history, records, saving
from foveate.annotate.store.assignment import next_image, work_of
from foveate.annotate.store.project_tables import Draft, History, Item, MarkSet
from foveate.annotate.store.records import CONSENSUS, item_of, set_of, shown, slot
from foveate.annotate.store.saving import Progress, Save
from foveate.annotate.web.about_image import about_image, draft_of
from foveate.annotate.web.request_context import RequestContext
from foveate.web import audit
from foveate.web.access import Number, address
from foveate.web.refusal import Refusal
from foveate.web.sessions import Who
from foveate.web.timestamps import iso_time

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


def routes(context: RequestContext) -> APIRouter:
    """Make the routes of the annotators."""
    api = APIRouter(prefix="/api", tags=["annotating"])
    _work(api, context)
    _one_image(api, context)
    _marks(api, context)
    return api


def _work(api: APIRouter, context: RequestContext) -> None:
    access, project = context.access, context.project

    @api.get("/protocol")
    def protocol(request: Request) -> dict[str, Any]:
        """Return what is asked and may be marked."""
        with access.reading(request):
            return project.protocol.page(project.schema)

    @api.get("/work")
    def work(request: Request) -> dict[str, Any]:
        """Return how far the annotator has come."""
        with access.reading(request, ANNOTATOR) as (db, who):
            found = work_of(db, project, who)
            return {
                "done": found.done,
                "total": found.total,
                "seconds_left": found.seconds_left,
                "items": [
                    {"item": item.id, "id": item.image, "state": marks.state, "settled": item.state == "settled"}
                    for item, marks in found.own
                ],
            }

    @api.post("/work/next")
    def next_item(request: Request) -> dict[str, Any]:
        """Claim the next image."""
        with access.writing(request, ANNOTATOR) as (db, who):
            return {"item": next_image(db, project, who)}

    @api.post("/items/{item}/claim")
    def claim(request: Request, item: Number) -> dict[str, Any]:
        """Claim this image."""
        with access.writing(request, ANNOTATOR) as (db, who):
            saving.claim(db, project, item_of(db, item, lock=True), who)
            return {"item": item}


def _one_image(api: APIRouter, context: RequestContext) -> None:
    access, project = context.access, context.project

    @api.get("/items/{item}")
    def get_item(request: Request, item: Number) -> dict[str, Any]:
        """Return an image: its size, what is known of it, the annotator's own marks, drafts."""
        with access.reading(request) as (db, who):
            found = item_of(db, item)
            own = set_of(db, found, slot(who.id))
            draft = db.get(Draft, item) if own is not None or who.may(*ADJUDICATES) else None
            may = {"annotate": who.may(ANNOTATOR), "adjudicate": who.may(*ADJUDICATES)}
            drafted = None if draft is None else Marks.unpack(draft.marks)
            out = about_image(project, db, found, drafted) | {
                "marks": None if own is None else shown(db, own),
                "drafts": None if draft is None else draft_of(draft),
                "settled": found.state == "settled",
                "closed": saving.adjudicated(db, found),
                "may": [name for name, allowed in may.items() if allowed],
            }
        with project.store.write() as db:
            audit.note(db, who.name, "view", out["id"], address=address(request))
        return out

    @api.get("/items/{item}/others")
    def others(request: Request, item: Number) -> dict[str, Any]:
        """Return what the others marked, once the consensus is settled (or if the protocol is not blind)."""
        with access.reading(request) as (db, who):
            found = item_of(db, item)
            if project.protocol.blind and found.state != "settled":
                raise Refusal(403, "blind", "Nobody sees the marks of others before the consensus is settled.")
            done = records.annotations_of(db, found)
            given = [{"name": name} | shown(db, one) for name, one, _ in done if name != who.name]
            final = set_of(db, found, CONSENSUS)
            settled = final is not None and final.state == "done"
            consensus = records.marks_of(db, final).plain() if settled and final else None
            return {"annotations": given, "consensus": consensus}


def _marks(api: APIRouter, context: RequestContext) -> None:
    access = context.access

    @api.put("/items/{item}/marks")
    def save(request: Request, item: Number, body: SaveBody) -> dict[str, Any]:
        """Save the annotator's marks; what is answered with 200 is on disk."""
        given = checked(context, request, item, body, ANNOTATOR)
        with access.writing(request, ANNOTATOR) as (db, who):
            found = item_of(db, item, lock=True)
            own = set_of(db, found, slot(who.id))
            if own is None:
                raise Refusal(403, "forbidden", "Start this image first.")
            return save_marks(context, db, found, own, given, who)

    @api.get("/items/{item}/history")
    def versions(request: Request, item: Number) -> dict[str, Any]:
        """List every version of the annotator's own marks."""
        with access.reading(request, ANNOTATOR) as (db, who):
            return history.versions(db, set_of(db, item_of(db, item), slot(who.id)))

    @api.get("/items/{item}/history/{version}")
    def at_version(request: Request, item: Number, version: Number) -> dict[str, Any]:
        """Return one of them."""
        with access.reading(request, ANNOTATOR) as (db, who):
            return history.one_version(db, set_of(db, item_of(db, item), slot(who.id)), version)


def checked(
    context: RequestContext, request: Request, item: int, body: SaveBody, *roles: str, consensus: bool = False
) -> Save:
    """Check a save outside of the transaction that writes it: others do not wait for large marks."""
    with context.access.reading(request, *roles) as (db, _):
        found = item_of(db, item)
        shape = (found.rows, found.cols)
    return saving.check(context.project, shape, body.plain(), consensus=consensus)


def save_marks(
    context: RequestContext, db: Session, item: Item, marks: MarkSet, body: Save, who: Who
) -> dict[str, Any]:
    """Save, and answer with the version that this very save got."""
    _, first = saving.save(db, context.project, item, marks, body, who)
    done = db.execute(
        select(History.version, History.state, History.at).where(History.set_id == marks.id, History.save == body.key)
    ).one()
    if first and done.state == "done":
        audit.note(db, who.name, "consensus" if marks.slot == CONSENSUS else "done", item.image)
    return {"version": done.version, "state": done.state, "saved": iso_time(done.at), "seconds": marks.seconds}
