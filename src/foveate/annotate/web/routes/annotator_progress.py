"""The coordinator's table: how far the annotators have come, and how long it takes."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foveate.annotate.domain.draft_review import outcomes, tally
from foveate.annotate.domain.marks import Marks
from foveate.annotate.domain.roles import COORDINATOR
from foveate.annotate.domain.timing import costs, medians, timed
from foveate.annotate.store.project_tables import Draft, History, Item, MarkSet
from foveate.annotate.store.records import CONSENSUS, EMPTY
from foveate.annotate.web.request_context import RequestContext
from foveate.web.account_tables import User
from foveate.web.timestamps import iso_time


def routes(context: RequestContext) -> APIRouter:
    """Make the routes of the coordinator's table."""
    api = APIRouter(prefix="/api", tags=["progress"])

    @api.get("/progress")
    def progress(request: Request) -> dict[str, Any]:
        """Count what each annotator has done, per day, how long it took, and what became of drafts."""
        with context.access.reading(request, COORDINATOR) as (db, _):
            return {
                "images": db.scalar(select(func.count()).select_from(Item)),
                "settled": db.scalar(select(func.count()).select_from(Item).where(Item.state == "settled")),
                **_work(db),
            }

    return api


def _work(db: Session) -> dict[str, Any]:
    sets = db.execute(
        select(User.name, MarkSet, Draft.marks, History.marks)
        .join(User, User.id == MarkSet.user_id)
        .outerjoin(Draft, Draft.item_id == MarkSet.item_id)
        .outerjoin(History, (History.set_id == MarkSet.id) & (History.version == MarkSet.version))
        .where(MarkSet.slot != CONSENSUS)
    ).all()
    people: dict[str, list[MarkSet]] = defaultdict(list)
    days: dict[tuple[str, str], list[float]] = defaultdict(list)
    drafts, spent = [], []
    for name, one, draft, packed in sets:
        people[name].append(one)
        if one.state == "done":
            days[(iso_time(one.saved) or "")[:10], name].append(one.seconds)
            marks = EMPTY if packed is None else Marks.unpack(packed)
            spent.append((marks, one.seconds))
            if draft is not None:
                drafts.append(outcomes(Marks.unpack(draft), marks))
    found = timed(spent)
    return {
        "annotators": [_annotator(name, some) for name, some in sorted(people.items())],
        "over_time": [
            {"day": day, "name": name, "done": len(seconds), "seconds": sum(seconds)}
            for (day, name), seconds in sorted(days.items())
        ],
        "drafts": tally(drafts),
        "drawn": [{"drawn": kind, "annotations": n, "median_seconds": s} for kind, n, s in medians(found)],
        "costs": costs(found),
    }


def _annotator(name: str, sets: list[MarkSet]) -> dict[str, Any]:
    seconds = [one.seconds for one in sets if one.state == "done"]
    return {
        "name": name,
        "done": len(seconds),
        "open": len(sets) - len(seconds),
        "seconds": sum(one.seconds for one in sets),
        "median_seconds": median(seconds) if seconds else None,
    }
