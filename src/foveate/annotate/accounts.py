"""Who may enter: accounts with argon2 hashes, invite links, sessions, and a limit on guessing."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from foveate.annotate.refusal import Refusal
from foveate.annotate.tables import Attempt, Audit, Invite, Login, User

ROLES = ("reader", "adjudicator", "coordinator")
NAME = re.compile(r"[\w.@ +-]{1,40}")
SHORTEST, LONGEST = 10, 256
DAY = 12 * 3600.0
"""A session ends so long after it was last renewed."""

WINDOW, BY_NAME, BY_ADDRESS = 900.0, 5, 50
"""Failed logins allowed in so many seconds, for a name and from an address."""

HASHER = PasswordHasher()


@dataclass(frozen=True)
class Who:
    """Someone who is logged in."""

    id: int
    name: str
    roles: tuple[str, ...]
    csrf: str = ""

    def may(self, *roles: str) -> bool:
        """Whether one of these roles is theirs; a coordinator does what an adjudicator does."""
        own = {*self.roles, "adjudicator"} if "coordinator" in self.roles else {*self.roles}
        return bool(own & set(roles))


def count(db: Session) -> int:
    """Number of accounts that can log in."""
    return db.scalar(select(func.count()).select_from(User).where(User.active == 1, User.password.is_not(None))) or 0


def create(db: Session, name: str, *, roles: Collection[str], password: str | None) -> User:
    """A new account; without a password nobody can log in to it (a reader whose marks were imported).

    Raises:
        Refusal: the name is taken or none, a role is none, or the password is too short.
    """
    clean = name.strip()
    if not NAME.fullmatch(clean):
        raise Refusal(422, "invalid", "name: 1 to 40 letters, digits, blanks or . @ + - _")
    if db.scalar(select(User).where(func.lower(User.name) == clean.lower())) is not None:
        raise Refusal(409, "name", f"There is an account {clean!r} already.")
    user = User(
        name=clean,
        roles=joined(roles),
        password=None if password is None else hashed(password),
        active=1,
        created=time.time(),
    )
    db.add(user)
    db.flush()
    return user


def joined(roles: Collection[str]) -> str:
    """Roles as the table keeps them; Refusal where there are none, or one that there is not."""
    if not roles or (strange := sorted(set(roles) - set(ROLES))):
        raise Refusal(422, "invalid", f"roles: {strange[0]!r} is none of {list(ROLES)}" if roles else "roles: give one")
    return ",".join(role for role in ROLES if role in roles)


def hashed(password: str) -> str:
    """The argon2 hash of a password; Refusal where it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Refusal(422, "invalid", f"password: {SHORTEST} to {LONGEST} characters")
    return HASHER.hash(password)


# -- invites ---------------------------------------------------------------------------------------------------------


def invite(
    db: Session, *, roles: Sequence[str], by: str, name: str | None = None, hours: float = 72.0
) -> tuple[Invite, str]:
    """A link's secret that makes one account within so many hours."""
    if name is not None and not NAME.fullmatch(name.strip()):
        raise Refusal(422, "invalid", "name: 1 to 40 letters, digits, blanks or . @ + - _")
    token, now = secrets.token_urlsafe(32), time.time()
    made = Invite(token=digest(token), roles=joined(roles), name=name and name.strip(), by=by, created=now)
    made.expires = now + hours * 3600
    db.add(made)
    db.flush()
    return made, token


def accept(db: Session, token: str, *, name: str, password: str) -> User:
    """Make the account that a link stands for.

    Raises:
        Refusal: the link is unknown, used or too old, was meant for another name, or as `create`.
    """
    found = db.scalar(select(Invite).where(Invite.token == digest(token)).with_for_update())
    if found is None or found.used is not None or found.expires < time.time():
        raise Refusal(403, "forbidden", "This link is not valid (any more). Ask the coordinator for a new one.")
    if found.name is not None and found.name.lower() != name.strip().lower():
        raise Refusal(403, "forbidden", f"This link is for {found.name!r}.")
    user = create(db, name, roles=found.roles.split(","), password=password)
    found.used = time.time()
    return user


# -- sessions --------------------------------------------------------------------------------------------------------


def check(db: Session, name: str, password: str, *, address: str) -> User | None:
    """The account whose password this is; None otherwise, and the attempt is counted.

    Raises:
        Refusal: too many attempts for this name or from this address; the password was not looked at.
    """
    now, key = time.time(), name.strip().lower()[:40]
    db.execute(delete(Attempt).where(Attempt.at < now - WINDOW))
    for column, value, most in ((Attempt.name, key, BY_NAME), (Attempt.address, address, BY_ADDRESS)):
        tries, oldest = db.execute(select(func.count(), func.min(Attempt.at)).where(column == value)).one()
        if tries >= most:
            wait = max(1, int(oldest + WINDOW - now))
            raise Refusal(429, "slow down", f"Too many attempts. Try again in {1 + wait // 60} min.", wait=wait)
    user = db.scalar(select(User).where(func.lower(User.name) == key))
    usable = user is not None and user.active == 1 and user.password is not None
    if _fits((user.password if usable and user is not None else None) or _nobody(), password) and usable:
        db.execute(delete(Attempt).where(Attempt.name == key))
        return user
    db.add(Attempt(name=key, address=address, at=now))
    return None


@cache
def _nobody() -> str:
    """A hash that is checked when there is no such account, so that the answer takes as long."""
    return HASHER.hash(secrets.token_hex())


def _fits(kept: str, password: str) -> bool:
    try:
        return HASHER.verify(kept, password[:LONGEST])
    except (Argon2Error, InvalidHashError):
        return False


def log_in(db: Session, user: User) -> tuple[str, Who]:
    """A new session: the cookie's secret and who it is."""
    token, csrf, now = secrets.token_urlsafe(32), secrets.token_urlsafe(24), time.time()
    db.execute(delete(Login).where(Login.expires < now))
    db.add(Login(token=digest(token), user_id=user.id, csrf=csrf, expires=now + DAY))
    return token, Who(user.id, user.name, tuple(user.roles.split(",")), csrf)


def who(db: Session, token: str | None) -> Who | None:
    """Whose session a cookie is; None for none, an old one, or that of an account that is closed."""
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
        login.expires = time.time() + DAY


def log_out(db: Session, token: str) -> None:
    """End a session."""
    db.execute(delete(Login).where(Login.token == digest(token)))


def end_all(db: Session, user: User) -> None:
    """End every session of an account."""
    db.execute(delete(Login).where(Login.user_id == user.id))


def note(db: Session, who: str, action: str, subject: str = "", *, address: str = "") -> None:
    """A line of the audit log."""
    db.add(Audit(at=time.time(), who=who[:40], address=address[:80], action=action, subject=subject[:2000]))


def digest(token: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
