"""Logging in and out, invite links, one's own password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from foveate.web import accounts, audit, sessions
from foveate.web.access import Access, address
from foveate.web.account_tables import User
from foveate.web.passwords import LONGEST, hashed
from foveate.web.refusal import Refusal
from foveate.web.sessions import Who

STRICT = ConfigDict(extra="forbid")


class Credentials(BaseModel):
    """Name and password."""

    model_config = STRICT
    name: str = Field(max_length=80)
    password: str = Field(max_length=LONGEST)


class Acceptance(Credentials):
    """An invite link's secret, and the account to make."""

    token: str = Field(max_length=100)


class NewPassword(BaseModel):
    """The old and the new password."""

    model_config = STRICT
    old: str = Field(max_length=LONGEST)
    new: str = Field(max_length=LONGEST)


def routes(access: Access, *, about: Mapping[str, Any]) -> APIRouter:
    """Make the routes of the entrance.

    Args:
        access: of the server.
        about: what a page learns of the server with its session.
    """
    api = APIRouter(prefix="/api", tags=["entrance"])
    store = access.store

    def session(who: Who | None, *, known: bool = True) -> dict[str, Any]:
        user = None if who is None else {"id": who.id, "name": who.name, "roles": list(who.roles)}
        return {"user": user, "csrf": who and who.csrf, "accounts": known, **about}

    @api.get("/session")
    def get_session(request: Request, response: Response) -> dict[str, Any]:
        """Return who is logged in; renew the session."""
        token = request.cookies.get(access.cookie)
        with store.write() as db:
            who = sessions.who(db, token)
            if who is not None and token is not None:
                sessions.renew(db, token)
                access.set_cookie(response, token)
            return session(who, known=who is not None or accounts.count(db) > 0)

    @api.post("/login")
    def log_in(request: Request, response: Response, body: Credentials) -> dict[str, Any]:
        """Open a session."""
        _same_site(request)
        with store.write() as db:
            user = sessions.check_password(db, body.name, body.password, address=address(request))
            action = "login failed" if user is None else "login"
            audit.note(db, _printable(body.name) if user is None else user.name, action, address=address(request))
            opened = None if user is None else sessions.log_in(db, user)
        if opened is None:  # refused only now: the attempt is on disk
            raise Refusal(401, "login", "Name or password is wrong.")
        access.set_cookie(response, opened[0])
        return session(opened[1])

    @api.post("/logout", status_code=204)
    def log_out(request: Request) -> Response:
        """End the session."""
        with access.writing(request) as (db, who):
            sessions.log_out(db, request.cookies[access.cookie])
            audit.note(db, who.name, "logout", address=address(request))
        answer = Response(status_code=204)
        access.delete_cookie(answer)
        return answer

    @api.post("/invites/accept")
    def accept(request: Request, response: Response, body: Acceptance) -> dict[str, Any]:
        """Make the account of an invite link, and log in."""
        _same_site(request)
        with store.write() as db:
            user = accounts.accept(db, body.token, name=body.name, password=body.password)
            audit.note(db, user.name, "account made", user.roles, address=address(request))
            token, who = sessions.log_in(db, user)
        access.set_cookie(response, token)
        return session(who)

    @api.post("/password", status_code=204)
    def change(request: Request, body: NewPassword) -> Response:
        """Change the password; every other session of the account ends."""
        with access.writing(request) as (db, who):
            user = sessions.check_password(db, who.name, body.old, address=address(request))
            if user is not None:
                db.get_one(User, who.id).password = hashed(body.new)
                sessions.end_all(db, user)
                audit.note(db, who.name, "password", address=address(request))
                token, _ = sessions.log_in(db, user)
        if user is None:  # refused only now: the attempt is on disk
            raise Refusal(401, "login", "The old password is wrong.")
        answer = Response(status_code=204)
        access.set_cookie(answer, token)
        return answer

    return api


def _same_site(request: Request) -> None:
    """Refuse a form that another site sends."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(403, "csrf", "This request comes from another site.")


def _printable(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:40]
