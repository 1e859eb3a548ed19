"""Logging in and out, links that make an account or give it a new password, one's own password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from foveate.web import accounts, audit, sessions
from foveate.web.access import Access, address
from foveate.web.account_tables import User
from foveate.web.logging_in import Opened, open_session, with_password
from foveate.web.passwords import LONGEST, check_length
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


class LinkSecret(BaseModel):
    """A link's secret."""

    model_config = STRICT
    token: str = Field(max_length=100)


class Recovery(LinkSecret):
    """A recovery link's secret, and the new password."""

    password: str = Field(max_length=LONGEST)


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
    _session(api, access, about)
    _links(api, access, about)
    _password(api, access)
    return api


def _session(api: APIRouter, access: Access, about: Mapping[str, Any]) -> None:
    store = access.store

    @api.get("/session")
    def get_session(request: Request, response: Response) -> dict[str, Any]:
        """Return who is logged in; renew the session."""
        token = request.cookies.get(access.cookie)
        with store.read() as db:  # most requests without a session come from machines that look for a server
            who = sessions.who(db, token)
            known = who is not None or accounts.count(db) > 0
        if who is not None and token is not None:
            with store.write() as db:
                sessions.renew(db, token)
            access.set_cookie(response, token)
        return _shown(who, about, known=known)

    @api.post("/login")
    def log_in(request: Request, response: Response, body: Credentials) -> dict[str, Any]:
        """Open a session."""
        _same_site(request)

        def enter(db: Session, user: User) -> Opened:
            audit.note(db, user.name, "login", address=address(request))
            return open_session(db, user)

        opened = with_password(access, request, body.name, body.password, enter)
        if opened is None:
            raise Refusal(401, "login", "Name or password is wrong.")
        return _entered(access, response, opened, about)

    @api.post("/logout", status_code=204)
    def log_out(request: Request) -> Response:
        """End the session."""
        with access.writing(request) as (db, who):
            sessions.log_out(db, request.cookies[access.cookie])
            audit.note(db, who.name, "logout", address=address(request))
        # browsers obey this over https and on the machine itself; the pages and images are not stored in any case
        answer = Response(status_code=204, headers={"clear-site-data": '"cache"'})
        access.delete_cookie(answer)
        return answer


def _links(api: APIRouter, access: Access, about: Mapping[str, Any]) -> None:
    store = access.store

    @api.post("/invites/accept")
    def accept(request: Request, response: Response, body: Acceptance) -> dict[str, Any]:
        """Make the account of an invite link, and log in."""
        _same_site(request)
        check_length(body.password)
        with store.write() as db:
            accounts.open_link(db, body.token)  # before a password is hashed: that takes its time
        password = access.hashing.hashed(body.password)
        with store.write() as db:
            user = accounts.accept(db, body.token, name=body.name, password=password)
            audit.note(db, user.name, "account made", user.roles, address=address(request))
            opened = open_session(db, user)
        return _entered(access, response, opened, about)

    @api.post("/recoveries/look")
    def look(request: Request, body: LinkSecret) -> dict[str, Any]:
        """Return whose password a recovery link sets."""
        _same_site(request)
        with store.write() as db:
            found = accounts.open_link(db, body.token)
            if found.user_id is None:
                raise Refusal(403, "forbidden", "This is the link of an invitation: open it as it was sent.")
            return {"name": found.name}

    @api.post("/recoveries/accept")
    def recover(request: Request, response: Response, body: Recovery) -> dict[str, Any]:
        """Set the new password of a recovery link's account, and log in; its other sessions end."""
        _same_site(request)
        check_length(body.password)
        with store.write() as db:
            accounts.open_link(db, body.token)
        password = access.hashing.hashed(body.password)
        with store.write() as db:
            user = accounts.recover(db, body.token, password=password)
            sessions.end_all(db, user)
            sessions.forget_browsers(db, user)
            audit.note(db, user.name, "password by link", address=address(request))
            opened = open_session(db, user)
        return _entered(access, response, opened, about)


def _password(api: APIRouter, access: Access) -> None:
    @api.post("/password", status_code=204)
    def change(request: Request, body: NewPassword) -> Response:
        """Change the password; every other session of the account ends."""
        check_length(body.new)
        with access.writing(request) as (_, who):
            pass  # only whether it is allowed
        fresh = access.hashing.hashed(body.new)

        def put(db: Session, user: User) -> Opened:
            user.password = fresh
            sessions.end_all(db, user)
            sessions.forget_browsers(db, user)
            audit.note(db, user.name, "password", address=address(request))
            return open_session(db, user)

        opened = with_password(access, request, who.name, body.old, put)
        if opened is None:
            raise Refusal(401, "login", "The old password is wrong.")
        answer = Response(status_code=204)
        access.set_cookie(answer, opened.token)
        access.set_browser(answer, opened.who.id, opened.browser)
        return answer


def _shown(who: Who | None, about: Mapping[str, Any], *, known: bool = True) -> dict[str, Any]:
    user = None if who is None else {"id": who.id, "name": who.name, "roles": list(who.roles)}
    return {"user": user, "csrf": who and who.csrf, "accounts": known, **about}


def _entered(access: Access, response: Response, opened: Opened, about: Mapping[str, Any]) -> dict[str, Any]:
    access.set_cookie(response, opened.token)
    access.set_browser(response, opened.who.id, opened.browser)
    return _shown(opened.who, about)


def _same_site(request: Request) -> None:
    """Refuse a form that another site sends."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(403, "csrf", "This request comes from another site.")
