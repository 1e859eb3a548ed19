"""Accounts and the invite links that make them."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foveate.web.account_tables import Invite, User
from foveate.web.passwords import digest, hashed
from foveate.web.refusal import Refusal

NAME = re.compile(r"[\w.@ +-]{1,40}")
NAME_RULE = "name: give 1 to 40 letters, digits, blanks or . @ + - _"


def count(db: Session) -> int:
    """Number of accounts that can log in."""
    return db.scalar(select(func.count()).select_from(User).where(User.active == 1, User.password.is_not(None))) or 0


def find(db: Session, name: str) -> User | None:
    """The account of a name, in upper or lower case; None if there is no such account."""
    return db.scalar(select(User).where(func.lower(User.name) == name.strip().lower()))


def create(db: Session, name: str, *, roles: Collection[str], known: Collection[str], password: str | None) -> User:
    """Make an account; nobody can log in to one without a password (its marks were imported).

    Args:
        db: a session that writes.
        name: of the account.
        roles: its roles.
        known: the roles that the server has.
        password: None for none.

    Raises:
        Refusal: the name is taken or not allowed, a role is unknown, or the password is too short.
    """
    clean = name.strip()
    if not NAME.fullmatch(clean):
        raise Refusal(422, "invalid", NAME_RULE)
    if find(db, clean) is not None:
        raise Refusal(409, "name", f"There is already an account {clean!r}.")
    user = User(
        name=clean,
        roles=joined(roles, known=known),
        password=None if password is None else hashed(password),
        active=1,
        created=time.time(),
    )
    db.add(user)
    db.flush()
    return user


def joined(roles: Collection[str], *, known: Collection[str]) -> str:
    """Roles as the table keeps them, in the order of the known ones; Refusal if one is unknown or none is given."""
    if not roles:
        raise Refusal(422, "invalid", f"roles: give at least one of {list(known)}")
    if unknown := sorted(set(roles) - set(known)):
        raise Refusal(422, "invalid", f"roles: must be one of {list(known)}, got {unknown[0]!r}")
    return ",".join(role for role in known if role in roles)


def invite(
    db: Session,
    *,
    roles: Collection[str],
    known: Collection[str],
    by: str,
    name: str | None = None,
    hours: float = 72.0,
) -> tuple[Invite, str]:
    """Make an invite link; returns its entry and its secret, which makes one account within so many hours."""
    if name is not None and not NAME.fullmatch(name.strip()):
        raise Refusal(422, "invalid", NAME_RULE)
    token, now = secrets.token_urlsafe(32), time.time()
    made = Invite(token=digest(token), roles=joined(roles, known=known), name=name and name.strip(), by=by, created=now)
    made.expires = now + hours * 3600
    db.add(made)
    db.flush()
    return made, token


def accept(db: Session, token: str, *, name: str, password: str) -> User:
    """Make the account of an invite link.

    Raises:
        Refusal: the link is unknown, used, too old or for another name; or as `create`.
    """
    found = db.scalar(select(Invite).where(Invite.token == digest(token)).with_for_update())
    if found is None or found.used is not None or found.expires < time.time():
        raise Refusal(403, "forbidden", "This link is not valid or no longer valid. Ask the coordinator for a new one.")
    if found.name is not None and found.name.lower() != name.strip().lower():
        raise Refusal(403, "forbidden", f"This link is for {found.name!r}.")
    roles = found.roles.split(",")
    user = create(db, name, roles=roles, known=roles, password=password)
    found.used = time.time()
    return user
