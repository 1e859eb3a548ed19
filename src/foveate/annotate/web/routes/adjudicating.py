"""The adjudicator's table: annotations of an image, the rule's proposal, the final consensus; and agreement."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foveate.annotate.domain.consensus import proposed
from foveate.annotate.domain.grade_check import contradictions
from foveate.annotate.domain.landmarks import landmarks, placed
from foveate.annotate.domain.marks import Marks
from foveate.annotate.domain.roles import ADJUDICATES, ANNOTATOR
from foveate.annotate.domain.truth import findings_of
from foveate.annotate.store import history, records, saving
from foveate.annotate.store.agreement_table import AgreementTable
from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import Item, MarkSet
from foveate.annotate.store.records import CONSENSUS, item_of, set_of, shown
from foveate.annotate.web.request_context import RequestContext
from foveate.annotate.web.routes.annotating import SaveBody, checked, save_marks
from foveate.core.guideline import Contradiction
from foveate.web import audit
from foveate.web.access import Number, address
from foveate.web.refusal import Refusal
from foveate.web.sessions import Who


class ConsensusBody(SaveBody):
    """A save of a consensus; ``unfinished``: settle although annotators have not finished."""

    unfinished: bool = False


class Reason(BaseModel):
    """Why an image is opened again."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=3, max_length=500)]


State = Literal["open", "ready", "disputed", "settled"]


def routes(context: RequestContext) -> APIRouter:
    """Make the routes of the adjudicators."""
    api = APIRouter(prefix="/api", tags=["consensus"])
    _lists(api, context)
    _one_image(api, context)
    _versions(api, context)
    return api


def _lists(api: APIRouter, context: RequestContext) -> None:
    table = AgreementTable(context.project)

    @api.get("/consensus")
    def all_items(request: Request, state: Annotated[State | None, Query()] = None) -> dict[str, Any]:
        """List every image and how far it has come."""
        with context.access.reading(request, *ADJUDICATES) as (db, _):
            done = _done(db)
            items = db.scalars(select(Item).order_by(Item.id)).all()
            counts = Counter(item.state for item in items)
            return {
                "items": [
                    {
                        "item": item.id,
                        "id": item.image,
                        "state": item.state,
                        "annotations": done.get(item.id, 0),
                        "disputes": json.loads(item.disputes),
                    }
                    for item in items
                    if state in (None, item.state)
                ],
                "counts": {name: counts[name] for name in ("open", "ready", "disputed", "settled")},
            }

    @api.get("/agreement")
    def agreement(request: Request) -> dict[str, Any]:
        """Return how far annotators agree."""
        with context.access.reading(request, *ADJUDICATES) as (db, _):
            return table(db)


def _one_image(api: APIRouter, context: RequestContext) -> None:
    access, project = context.access, context.project

    @api.get("/items/{item}/consensus")
    def one_item(request: Request, item: Number) -> dict[str, Any]:
        """Return all annotations of an image, the proposal and the consensus."""
        with access.reading(request, *ADJUDICATES) as (db, who):
            found = item_of(db, item)
            _unblinded(project, found, who)
            done = [] if found.state == "open" else records.annotations_of(db, found)
            given = {name: marks for name, _, marks in done}
            shape = (found.rows, found.cols)
            proposal = proposed(given, protocol=project.protocol, schema=project.schema, shape=shape)
            final = set_of(db, found, CONSENSUS)
            settled = records.marks_of(db, final) if final is not None and final.version else None
            out = {
                "item": item,
                "id": found.image,
                "state": found.state,
                "disputes": json.loads(found.disputes),
                "finished": _done(db).get(found.id, 0),
                "annotations": [{"name": name} | shown(db, one) for name, one, _ in done],
                "proposal": proposal.plain(),
                "contradictions": [
                    {"words": one.words, "finding": one.lesion} for one in _against(project, found, settled or proposal)
                ],
                "consensus": shown(db, final),
            }
        with project.store.write() as db:
            audit.note(db, who.name, "view readings", found.image, address=address(request))
        return out

    @api.put("/items/{item}/consensus")
    def save(request: Request, item: Number, body: ConsensusBody) -> dict[str, Any]:
        """Save the consensus; "done" settles the image."""
        given = checked(context, request, item, body, *ADJUDICATES, consensus=True)
        with access.writing(request, *ADJUDICATES) as (db, who):
            found = item_of(db, item, lock=True)
            _unblinded(project, found, who)
            if given.state == "done" and found.state == "open" and not body.unfinished:
                raise Refusal(409, "unfinished", _unfinished(db, project, found))
            return save_marks(context, db, found, saving.consensus_set(db, found, who), given, who)

    @api.post("/items/{item}/reopen")
    def reopen(request: Request, item: Number, body: Reason) -> dict[str, Any]:
        """Open a settled image again; the reason is in the audit log."""
        with access.writing(request, *ADJUDICATES) as (db, who):
            found = item_of(db, item, lock=True)
            given = {name: marks for name, _, marks in records.annotations_of(db, found)}
            shape = (found.rows, found.cols)
            start = proposed(given, protocol=project.protocol, schema=project.schema, shape=shape)
            saving.reopen(db, project, found, who, start=start)
            audit.note(db, who.name, "reopened", f"{found.image}: {body.reason}", address=address(request))
            return {"item": item, "state": found.state}


def _versions(api: APIRouter, context: RequestContext) -> None:
    access, project = context.access, context.project

    @api.get("/items/{item}/consensus/history")
    def versions(request: Request, item: Number) -> dict[str, Any]:
        """List every version of the consensus."""
        with access.reading(request, *ADJUDICATES) as (db, who):
            found = item_of(db, item)
            _unblinded(project, found, who)
            return history.versions(db, set_of(db, found, CONSENSUS))

    @api.get("/items/{item}/consensus/history/{version}")
    def at_version(request: Request, item: Number, version: Number) -> dict[str, Any]:
        """Return one of them."""
        with access.reading(request, *ADJUDICATES) as (db, who):
            found = item_of(db, item)
            _unblinded(project, found, who)
            return history.one_version(db, set_of(db, found, CONSENSUS), version)


def _against(project: Project, item: Item, marks: Marks) -> list[Contradiction]:
    known = findings_of(marks, protocol=project.protocol, shape=(item.rows, item.cols))
    row = project.row(item)
    row = placed(row, *landmarks(row, marks), marks.answers)
    return contradictions(row, known, protocol=project.protocol, schema=project.schema)


def _unblinded(project: Project, item: Item, who: Who) -> None:
    """Refuse an adjudicator who annotates too, until all annotators of this image are done."""
    if item.state == "open" and project.protocol.blind and who.may(ANNOTATOR):
        raise Refusal(403, "blind", "You annotate images too: this one opens when all its annotators are done.")


def _unfinished(db: Session, project: Project, item: Item) -> str:
    done, asked = _done(db).get(item.id, 0), project.protocol.annotators
    return f"{done or 'None'} of {asked} annotators {'has' if done == 1 else 'have'} finished this image."


def _done(db: Session) -> dict[int, int]:
    """Item -> annotations that are done."""
    found = db.execute(
        select(MarkSet.item_id, func.count())
        .where(MarkSet.state == "done", MarkSet.slot != CONSENSUS)
        .group_by(MarkSet.item_id)
    )
    return dict(found.all())
