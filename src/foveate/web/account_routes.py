"""Managing accounts: users, invites, links to a new password, and the audit log."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from foveate.web import accounts, audit, sessions
from foveate.web.access import Access, Number, address
from foveate.web.account_tables import Audit, Invite, User
from foveate.web.refusal import Refusal
from foveate.web.timestamps import iso_time

STRICT = ConfigDict(extra="forbid")
Roles = Annotated[list[str], Field(min_length=1, max_length=10)]


class NewInvite(BaseModel):
    """An invite link to make."""

    model_config = STRICT
    roles: Roles
    name: str | None = Field(default=None, max_length=40)
    hours: float = Field(default=72.0, gt=0, le=24 * 90, allow_inf_nan=False)


class NewRecovery(BaseModel):
    """A link to a new password to make."""

    model_config = STRICT
    hours: float = Field(default=72.0, gt=0, le=24 * 90, allow_inf_nan=False)


class Change(BaseModel):
    """Changes of an account; what is left out stays."""

    model_config = STRICT
    active: bool | None = None
    roles: Roles | None = None


def routes(access: Access, *, known: Collection[str], admin: str) -> APIRouter:
    """Make the routes for managing accounts.

    Args:
        access: of the server.
        known: the roles that the server has.
        admin: the role that may use these routes; one account with it always stays.
    """
    api = APIRouter(prefix="/api", tags=["accounts"])
    _links(api, access, known, admin)
    _users(api, access, known, admin)
    _log(api, access, admin)
    return api


def _users(api: APIRouter, access: Access, known: Collection[str], admin: str) -> None:
    @api.get("/users")
    def users(request: Request) -> dict[str, Any]:
        """List accounts, and invites that are open."""
        with access.reading(request, admin) as (db, _):
            links = db.scalars(select(Invite).where(Invite.used.is_(None), Invite.expires > time.time()))
            return {
                "users": [_user(user) for user in db.scalars(select(User).order_by(User.id))],
                "invites": [
                    {"id": i.id, "roles": i.roles.split(","), "name": i.name}
                    | {"expires": iso_time(i.expires), "by": i.by, "user": i.user_id}
                    for i in links
                ],
            }

    @api.patch("/users/{user}")
    def change(request: Request, user: Number, body: Change) -> dict[str, Any]:
        """Close or open an account, or give it other roles; its sessions end."""
        with access.writing(request, admin) as (db, who):
            found = _account(db, user)
            found.active = found.active if body.active is None else int(body.active)
            found.roles = found.roles if body.roles is None else accounts.joined(body.roles, known=known)
            db.flush()
            _keep_one(db, admin)
            if found.id != who.id:
                sessions.end_all(db, found)
            now = f"{found.name}: {found.roles}{'' if found.active else ', closed'}"
            audit.note(db, who.name, "account changed", now, address=address(request))
            return _user(found)


def _links(api: APIRouter, access: Access, known: Collection[str], admin: str) -> None:
    @api.post("/invites")
    def invite(request: Request, body: NewInvite) -> dict[str, Any]:
        """Make a link that makes one account; its secret is shown this once."""
        with access.writing(request, admin) as (db, who):
            made, token = accounts.invite(
                db, roles=body.roles, known=known, by=who.name, name=body.name, hours=body.hours
            )
            audit.note(db, who.name, "invite", f"{made.roles} {made.name or ''}".strip(), address=address(request))
            return {"id": made.id, "path": f"/invite#{token}", "expires": iso_time(made.expires)}

    @api.delete("/invites/{invite}", status_code=204)
    def withdraw(request: Request, invite: Number) -> Response:
        """Make a link invalid."""
        with access.writing(request, admin) as (db, who):
            if db.execute(delete(Invite).where(Invite.id == invite).returning(Invite.id)).first() is None:
                raise Refusal(404, "unknown", f"There is no invite {invite}.")
            audit.note(db, who.name, "invite withdrawn", str(invite), address=address(request))
        return Response(status_code=204)

    @api.post("/users/{user}/recovery")
    def recovery(request: Request, user: Number, body: NewRecovery) -> dict[str, Any]:
        """Make a link with which the owner of an account chooses a new password; its secret is shown this once."""
        with access.writing(request, admin) as (db, who):
            found = _account(db, user)
            made, token = accounts.recovery(db, found, by=who.name, hours=body.hours)
            audit.note(db, who.name, "password link", found.name, address=address(request))
            return {"id": made.id, "path": f"/recover#{token}", "expires": iso_time(made.expires)}


def _log(api: APIRouter, access: Access, admin: str) -> None:
    @api.get("/audit")
    def entries(
        request: Request,
        before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
        most: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """List who did what, the newest first."""
        with access.reading(request, admin) as (db, _):
            query = select(Audit).order_by(Audit.id.desc()).limit(most)
            if before is not None:
                query = query.where(Audit.id < before)
            return {
                "entries": [
                    {"id": a.id, "at": iso_time(a.at), "who": a.who, "address": a.address}
                    | {"action": a.action, "subject": a.subject}
                    for a in db.scalars(query)
                ]
            }


def _account(db: Session, number: int) -> User:
    found = db.get(User, number)
    if found is None:
        raise Refusal(404, "unknown", f"There is no account {number}.")
    return found


def _keep_one(db: Session, admin: str) -> None:
    able = db.scalars(select(User.roles).where(User.active == 1, User.password.is_not(None)))
    if not any(admin in roles.split(",") for roles in able):
        raise Refusal(409, "last", f"At least one {admin} who can log in must stay.")


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "roles": user.roles.split(","),
        "active": bool(user.active),
        "password": user.password is not None,
        "created": iso_time(user.created),
    }
