"""Passwords checked in three steps, so that nothing waits in the database while a password is hashed.

A short transaction counts the attempt; the hash is computed outside of any transaction; another one opens the session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request
from sqlalchemy.orm import Session

from foveate.web import accounts, audit, sessions
from foveate.web.access import Access, address
from foveate.web.account_tables import User
from foveate.web.limits import count_attempt, forget_attempts
from foveate.web.sessions import Who

T = TypeVar("T")


@dataclass(frozen=True)
class Opened:
    """A session that was opened.

    Args:
        who: whose.
        token: secret of its cookie.
        browser: secret by which the browser is known from now on.
    """

    who: Who
    token: str
    browser: str


def with_password(
    access: Access, request: Request, name: str, password: str, then: Callable[[Session, User], T]
) -> T | None:
    """Do something for an account if its password is right; else return None, and the attempt is counted.

    Args:
        access: of the server.
        request: the request that brings the password.
        name: as it was typed.
        password: as it was typed.
        then: called in a session that writes, with the account.

    Raises:
        Refusal: too many attempts, or too many people log in at this moment; the password was not looked at.
    """
    with access.store.write() as db:
        user = accounts.find(db, name)
        usable = user is not None and user.active == 1
        kept = user.password if user is not None and usable else None
        browser = None if user is None else access.browser(request, user.id)
        known = browser if sessions.known_browser(db, user, browser) else None
        attempt = count_attempt(db, name, address=address(request), browser=known)
    right = access.hashing.matches(kept, password)
    with access.store.write() as db:
        user = accounts.find(db, name) if right else None
        if user is None or user.active != 1 or user.password != kept:  # it was changed meanwhile
            audit.note(db, _printable(name), "login failed", address=address(request))
            return None
        forget_attempts(db, attempt)
        return then(db, user)


def open_session(db: Session, user: User) -> Opened:
    """Open a session and remember the browser."""
    token, who = sessions.log_in(db, user)
    return Opened(who, token, sessions.remember_browser(db, user))


def _printable(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:40]
