"""Logging in and out, invite links, one's own password."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from foveate.annotate import accounts
from foveate.annotate.accounts import Who
from foveate.annotate.desk import Desk, address
from foveate.annotate.refusal import Refusal
from foveate.annotate.tables import User

STRICT = ConfigDict(extra="forbid")


class Credentials(BaseModel):
    """Name and password."""

    model_config = STRICT
    name: str = Field(max_length=80)
    password: str = Field(max_length=accounts.LONGEST)


class Acceptance(Credentials):
    """An invite link's secret, and the account to make."""

    token: str = Field(max_length=100)


class NewPassword(BaseModel):
    """The old and the new password."""

    model_config = STRICT
    old: str = Field(max_length=accounts.LONGEST)
    new: str = Field(max_length=accounts.LONGEST)


def routes(desk: Desk) -> APIRouter:
    """The entrance of a room."""
    api = APIRouter(prefix="/api", tags=["entrance"])
    store = desk.room.store

    def session(who: Who | None, *, known: bool = True) -> dict[str, Any]:
        user = None if who is None else {"id": who.id, "name": who.name, "roles": list(who.roles)}
        room = {"id": desk.room.id, "name": desk.room.name}
        return {"user": user, "csrf": who and who.csrf, "room": room, "accounts": known}

    @api.get("/session")
    def get_session(request: Request, response: Response) -> dict[str, Any]:
        """Who is logged in; renews the session."""
        token = request.cookies.get(desk.cookie)
        with store.write() as db:
            who = accounts.who(db, token)
            if who is not None and token is not None:
                accounts.renew(db, token)
                desk.greet(response, token)
            return session(who, known=who is not None or accounts.count(db) > 0)

    @api.post("/login")
    def log_in(request: Request, response: Response, body: Credentials) -> dict[str, Any]:
        """Open a session."""
        _same_site(request)
        with store.write() as db:
            user = accounts.check(db, body.name, body.password, address=address(request))
            action = "login failed" if user is None else "login"
            accounts.note(db, _printable(body.name) if user is None else user.name, action, address=address(request))
            opened = None if user is None else accounts.log_in(db, user)
        if opened is None:  # said after the attempt is counted
            raise Refusal(401, "login", "Name or password is wrong.")
        desk.greet(response, opened[0])
        return session(opened[1])

    @api.post("/logout", status_code=204)
    def log_out(request: Request) -> Response:
        """End the session."""
        with desk.writing(request) as (db, who):
            accounts.log_out(db, request.cookies[desk.cookie])
            accounts.note(db, who.name, "logout", address=address(request))
        answer = Response(status_code=204)
        answer.delete_cookie(desk.cookie, path="/", httponly=True, samesite="strict", secure=desk.secure)
        return answer

    @api.post("/invites/accept")
    def accept(request: Request, response: Response, body: Acceptance) -> dict[str, Any]:
        """Make the account that an invite link stands for, and log in."""
        _same_site(request)
        with store.write() as db:
            user = accounts.accept(db, body.token, name=body.name, password=body.password)
            accounts.note(db, user.name, "account made", user.roles, address=address(request))
            token, who = accounts.log_in(db, user)
        desk.greet(response, token)
        return session(who)

    @api.post("/password", status_code=204)
    def change(request: Request, body: NewPassword) -> Response:
        """Another password; every other session of the account ends."""
        with desk.writing(request) as (db, who):
            user = accounts.check(db, who.name, body.old, address=address(request))
            if user is not None:
                _change(db.get_one(User, who.id), body.new)
                accounts.end_all(db, user)
                accounts.note(db, who.name, "password", address=address(request))
                token, _ = accounts.log_in(db, user)
        if user is None:
            raise Refusal(401, "login", "The old password is wrong.")
        answer = Response(status_code=204)
        desk.greet(answer, token)
        return answer

    return api


def _change(user: User, password: str) -> None:
    user.password = accounts.hashed(password)


def _same_site(request: Request) -> None:
    """Refuse a form that another site sends."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(403, "csrf", "This comes from another site.")


def _printable(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:40]
