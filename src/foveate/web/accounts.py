"""Accounts, and the links that make them or give them a new password."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from foveate.web.account_tables import Invite, User
from foveate.web.names import clean_name, name_key
from foveate.web.passwords import digest
from foveate.web.refusal import Refusal


def count(db: Session) -> int:
    """Number of accounts that can log in."""
    return db.scalar(select(func.count()).select_from(User).where(User.active == 1, User.password.is_not(None))) or 0


def find(db: Session, name: str) -> User | None:
    """The account of a name, in any case and spelling (`names.name_key`); None if there is no such account."""
    return db.scalar(select(User).where(User.key == name_key(name)))


def create(db: Session, name: str, *, roles: Collection[str], known: Collection[str], password: str | None) -> User:
    """Make an account; nobody can log in to one without a password (its marks were imported).

    Args:
        db: a session that writes.
        name: of the account.
        roles: its roles.
        known: the roles that the server has.
        password: its hash (`passwords.Hashing.hashed`, made before the session was opened); None for none.

    Raises:
        Refusal: the name is taken or not allowed, or a role is unknown.
    """
    clean = clean_name(name)
    if (there := find(db, clean)) is not None:
        raise Refusal(
            409,
            "name",
            f"There is already an account {there.name!r}. If it is yours, ask for a link to a new password.",
        )
    user = User(
        name=clean,
        key=name_key(clean),
        roles=joined(roles, known=known),
        password=password,
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


# -- links ------------------------------------------------------------------------------------------------------------


def invite(
    db: Session,
    *,
    roles: Collection[str],
    known: Collection[str],
    by: str,
    name: str | None = None,
    hours: float = 72.0,
) -> tuple[Invite, str]:
    """Make an invite link; returns its entry and its secret, which makes one account within so many hours.

    Raises:
        Refusal: the name is taken or not allowed, or a role is unknown.
    """
    clean = None if name is None else clean_name(name)
    if clean is not None and (there := find(db, clean)) is not None:
        raise Refusal(409, "name", f"There is already an account {there.name!r}; make a link to a new password for it.")
    return _link(db, roles=joined(roles, known=known), name=clean, user=None, by=by, hours=hours)


def recovery(db: Session, user: User, *, by: str, hours: float = 72.0) -> tuple[Invite, str]:
    """Make a link with which the owner of an account chooses a new password; former links of this kind end.

    Raises:
        Refusal: the account is closed.
    """
    if user.active != 1:
        raise Refusal(409, "closed", f"The account {user.name!r} is closed; reopen it first.")
    db.execute(delete(Invite).where(Invite.user_id == user.id, Invite.used.is_(None)))
    return _link(db, roles=user.roles, name=user.name, user=user.id, by=by, hours=hours)


def _link(db: Session, *, roles: str, name: str | None, user: int | None, by: str, hours: float) -> tuple[Invite, str]:
    token, now = secrets.token_urlsafe(32), time.time()
    made = Invite(token=digest(token), roles=roles, name=name, user_id=user, by=by[:40], created=now)
    made.expires = now + hours * 3600
    db.add(made)
    db.flush()
    return made, token


def open_link(db: Session, token: str) -> Invite:
    """Return the link of a secret, locked; Refusal if it is unknown, used or too old."""
    found = db.scalar(select(Invite).where(Invite.token == digest(token)).with_for_update())
    if found is None or found.used is not None or found.expires < time.time():
        raise Refusal(403, "forbidden", "This link is not valid or no longer valid. Ask the coordinator for a new one.")
    return found


def accept(db: Session, token: str, *, name: str, password: str) -> User:
    """Make the account of an invite link.

    Args:
        db: a session that writes.
        token: the link's secret.
        name: of the account.
        password: its hash.

    Raises:
        Refusal: the link is unknown, used, too old or for another name; or as `create`.
    """
    found = open_link(db, token)
    if found.user_id is not None or (found.name is not None and name_key(found.name) != name_key(name)):
        raise Refusal(403, "forbidden", f"This link is for {found.name!r}.")
    roles = found.roles.split(",")
    user = create(db, name, roles=roles, known=roles, password=password)
    found.used = time.time()
    return user


def recover(db: Session, token: str, *, password: str) -> User:
    """Give the account of a recovery link its new password; returns the account.

    Args:
        db: a session that writes.
        token: the link's secret.
        password: the new one's hash.

    Raises:
        Refusal: the link is unknown, used, too old or not of this kind, or the account is closed.
    """
    found = open_link(db, token)
    user = None if found.user_id is None else db.get(User, found.user_id)
    if user is None or user.active != 1:
        raise Refusal(403, "forbidden", "This link gives no account a new password. Ask the coordinator for one.")
    user.password, found.used = password, time.time()
    return user
