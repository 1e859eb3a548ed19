"""Sessions: logging in and out, and who a cookie belongs to."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from foveate.web.account_tables import Browser, Login, User
from foveate.web.passwords import digest

LASTS = 12 * 3600.0
"""Seconds from the last renewal until a session ends."""

REMEMBERED = 365 * 24 * 3600.0
"""Seconds for which a browser is remembered after its last login."""


@dataclass(frozen=True)
class Who:
    """Someone who is logged in."""

    id: int
    name: str
    roles: tuple[str, ...]
    csrf: str = ""

    def may(self, *roles: str) -> bool:
        """Whether the account has one of these roles."""
        return bool({*self.roles} & {*roles})


def log_in(db: Session, user: User) -> tuple[str, Who]:
    """Open a session; returns the cookie's secret and who it is."""
    token, csrf, now = secrets.token_urlsafe(32), secrets.token_urlsafe(24), time.time()
    db.execute(delete(Login).where(Login.expires < now))
    db.add(Login(token=digest(token), user_id=user.id, csrf=csrf, expires=now + LASTS))
    return token, Who(user.id, user.name, tuple(user.roles.split(",")), csrf)


def who(db: Session, token: str | None) -> Who | None:
    """Return whose session a cookie is; None without one, if it is too old, or if the account is closed."""
    if not token:
        return None
    found = db.execute(
        select(User, Login.csrf)
        .join(Login, Login.user_id == User.id)
        .where(Login.token == digest(token), Login.expires > time.time(), User.active == 1)
    ).one_or_none()
    return None if found is None else Who(found[0].id, found[0].name, tuple(found[0].roles.split(",")), found[1])


def renew(db: Session, token: str) -> None:
    """Let a session last from now."""
    login = db.get(Login, digest(token))
    if login is not None:
        login.expires = time.time() + LASTS


def log_out(db: Session, token: str) -> None:
    """End a session."""
    db.execute(delete(Login).where(Login.token == digest(token)))


def end_all(db: Session, user: User) -> None:
    """End every session of an account."""
    db.execute(delete(Login).where(Login.user_id == user.id))


# -- browsers that are known -----------------------------------------------------------------------------------------


def known_browser(db: Session, user: User | None, token: str | None) -> bool:
    """Whether a browser has logged in to this account before."""
    if user is None or not token:
        return False
    found = db.get(Browser, digest(token))
    return found is not None and found.user_id == user.id and found.at > time.time() - REMEMBERED


def remember_browser(db: Session, user: User) -> str:
    """Remember a browser after a login; returns its secret, new each time."""
    token, now = secrets.token_urlsafe(32), time.time()
    db.execute(delete(Browser).where(Browser.at < now - REMEMBERED))
    db.add(Browser(token=digest(token), user_id=user.id, at=now))
    return token


def forget_browsers(db: Session, user: User) -> None:
    """Forget the browsers of an account, as its password is new."""
    db.execute(delete(Browser).where(Browser.user_id == user.id))
