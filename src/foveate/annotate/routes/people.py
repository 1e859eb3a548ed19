"""The coordinator's table: accounts and invites, progress, the audit log."""

from __future__ import annotations

import time
from collections import defaultdict
from statistics import median
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, func, select

from foveate.annotate import accounts
from foveate.annotate.desk import Desk, Number, address
from foveate.annotate.marks import Marks
from foveate.annotate.outcomes import outcomes, tally
from foveate.annotate.refusal import Refusal
from foveate.annotate.saving import CONSENSUS, EMPTY, when
from foveate.annotate.tables import Audit, Draft, History, Invite, Item, MarkSet, User
from foveate.annotate.timing import costs, medians, timed

STRICT = ConfigDict(extra="forbid")
Roles = Annotated[list[str], Field(min_length=1, max_length=3)]


class NewInvite(BaseModel):
    """An invite link to make."""

    model_config = STRICT
    roles: Roles
    name: str | None = Field(default=None, max_length=40)
    hours: float = Field(default=72.0, gt=0, le=24 * 90, allow_inf_nan=False)


class Change(BaseModel):
    """What becomes of an account; what is left out stays."""

    model_config = STRICT
    active: bool | None = None
    roles: Roles | None = None


def routes(desk: Desk) -> APIRouter:
    """What coordinators ask for."""
    api = APIRouter(prefix="/api", tags=["people"])

    @api.get("/users")
    def users(request: Request) -> dict[str, Any]:
        """Accounts, and invites that are open."""
        with desk.reading(request, "coordinator") as (db, _):
            links = db.scalars(select(Invite).where(Invite.used.is_(None), Invite.expires > time.time()))
            return {
                "users": [_user(user) for user in db.scalars(select(User).order_by(User.id))],
                "invites": [
                    {"id": i.id, "roles": i.roles.split(","), "name": i.name, "expires": when(i.expires), "by": i.by}
                    for i in links
                ],
            }

    @api.post("/invites")
    def invite(request: Request, body: NewInvite) -> dict[str, Any]:
        """A link that makes one account; its secret is shown this once."""
        with desk.writing(request, "coordinator") as (db, who):
            made, token = accounts.invite(db, roles=body.roles, by=who.name, name=body.name, hours=body.hours)
            accounts.note(db, who.name, "invite", f"{made.roles} {made.name or ''}".strip(), address=address(request))
            return {"id": made.id, "path": f"/invite#{token}", "expires": when(made.expires)}

    @api.delete("/invites/{invite}", status_code=204)
    def withdraw(request: Request, invite: Number) -> Response:
        """Make a link invalid."""
        with desk.writing(request, "coordinator") as (db, who):
            if db.execute(delete(Invite).where(Invite.id == invite).returning(Invite.id)).first() is None:
                raise Refusal(404, "unknown", "There is no such invite.")
            accounts.note(db, who.name, "invite withdrawn", str(invite), address=address(request))
        return Response(status_code=204)

    @api.patch("/users/{user}")
    def change(request: Request, user: Number, body: Change) -> dict[str, Any]:
        """Close or open an account, or give it other roles; its sessions end."""
        with desk.writing(request, "coordinator") as (db, who):
            found = db.get(User, user)
            if found is None:
                raise Refusal(404, "unknown", "There is no such account.")
            found.active = found.active if body.active is None else int(body.active)
            found.roles = found.roles if body.roles is None else accounts.joined(body.roles)
            db.flush()
            able = db.scalars(select(User.roles).where(User.active == 1, User.password.is_not(None)))
            if not any("coordinator" in roles.split(",") for roles in able):
                raise Refusal(409, "last", "One coordinator must stay.")
            if found.id != who.id:
                accounts.end_all(db, found)
            said = f"{found.name}: {found.roles}{'' if found.active else ', closed'}"
            accounts.note(db, who.name, "account changed", said, address=address(request))
            return _user(found)

    @api.get("/progress")
    def progress(request: Request) -> dict[str, Any]:
        """How far the readers have come, day by day, how long what takes, and what became of drafts."""
        with desk.reading(request, "coordinator") as (db, _):
            sets = db.execute(
                select(User.name, MarkSet, Draft.marks, History.marks)
                .join(User, User.id == MarkSet.user_id)
                .outerjoin(Draft, Draft.item_id == MarkSet.item_id)
                .outerjoin(History, (History.set_id == MarkSet.id) & (History.version == MarkSet.version))
                .where(MarkSet.slot != CONSENSUS)
            ).all()
            readers: dict[str, list[MarkSet]] = defaultdict(list)
            days: dict[tuple[str, str], list[float]] = defaultdict(list)
            drafts, spent = [], []
            for name, one, draft, said in sets:
                readers[name].append(one)
                if one.state == "done":
                    days[(when(one.saved) or "")[:10], name].append(one.seconds)
                    marks = EMPTY if said is None else Marks.unpack(said)
                    spent.append((marks, one.seconds))
                    if draft is not None:
                        drafts.append(outcomes(Marks.unpack(draft), marks))
            found = timed(spent)
            return {
                "images": db.scalar(select(func.count()).select_from(Item)),
                "settled": db.scalar(select(func.count()).select_from(Item).where(Item.state == "settled")),
                "readers": [_reader(name, some) for name, some in sorted(readers.items())],
                "over_time": [
                    {"day": day, "name": name, "done": len(seconds), "seconds": sum(seconds)}
                    for (day, name), seconds in sorted(days.items())
                ],
                "drafts": tally(drafts),
                "drawn": [{"drawn": kind, "readings": n, "median_seconds": s} for kind, n, s in medians(found)],
                "costs": costs(found),
            }

    @api.get("/audit")
    def audit(
        request: Request,
        before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
        most: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """Who did what, the newest first."""
        with desk.reading(request, "coordinator") as (db, _):
            query = select(Audit).order_by(Audit.id.desc()).limit(most)
            if before is not None:
                query = query.where(Audit.id < before)
            return {
                "entries": [
                    {"id": a.id, "at": when(a.at), "who": a.who, "address": a.address, "action": a.action}
                    | {"subject": a.subject}
                    for a in db.scalars(query)
                ]
            }

    return api


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "roles": user.roles.split(","),
        "active": bool(user.active),
        "created": when(user.created),
    }


def _reader(name: str, sets: list[MarkSet]) -> dict[str, Any]:
    seconds = [one.seconds for one in sets if one.state == "done"]
    return {
        "name": name,
        "done": len(seconds),
        "open": len(sets) - len(seconds),
        "seconds": sum(one.seconds for one in sets),
        "median_seconds": median(seconds) if seconds else None,
    }
