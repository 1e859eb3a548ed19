"""A limit on guessing passwords that locks out neither the owner of an account nor everybody behind one proxy.

Failed logins are counted for an account from one place. A place is a browser that has logged in to this account before,
or else a network address. So somebody who guesses from elsewhere does not keep the owner out, and the browsers that
people use every day stay open if everybody comes from the address of one proxy. The totals (of an account, of an
address) bind unknown browsers only.
"""

from __future__ import annotations

import time

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from foveate.web.account_tables import Attempt
from foveate.web.names import name_key
from foveate.web.passwords import digest
from foveate.web.refusal import Refusal

WINDOW = 900.0
"""Seconds for which a failed login counts."""

BY_PLACE, BY_NAME, BY_ADDRESS = 5, 100, 300
"""Failed logins allowed for an account from one place; for an account and from an address, in total."""

BROWSER = "browser:"


def count_attempt(db: Session, name: str, *, address: str, browser: str | None = None) -> int:
    """Count a login as failed before its password is looked at, so that many at once cannot pass the limit.

    Args:
        db: a session that writes.
        name: as it was typed.
        address: network address.
        browser: secret of a browser that has logged in to this account before; None = unknown.

    Returns:
        number of the attempt (`forget_attempts`).

    Raises:
        Refusal: too many have failed; the password is not looked at.
    """
    now, key = time.time(), _key(name)
    db.execute(delete(Attempt).where(Attempt.at < now - WINDOW))
    place = address[:80] if browser is None else f"{BROWSER}{digest(browser)[:40]}"
    here = (Attempt.name == key) & (Attempt.address == place)
    limits: list[tuple[ColumnElement[bool], int]] = [(here, BY_PLACE)]
    if browser is None:
        unknown = Attempt.address.not_like(f"{BROWSER}%")
        limits += [((Attempt.name == key) & unknown, BY_NAME), (Attempt.address == place, BY_ADDRESS)]
    for which, most in limits:
        tries, oldest = db.execute(select(func.count(), func.min(Attempt.at)).where(which)).one()
        if tries >= most:
            wait = max(1, int(oldest + WINDOW - now))
            raise Refusal(429, "slow down", f"Too many attempts. Try again in {1 + wait // 60} min.", wait=wait)
    made = Attempt(name=key, address=place, at=now)
    db.add(made)
    db.flush()
    return made.id


def forget_attempts(db: Session, attempt: int) -> None:
    """Forget a login that succeeded, and those before it for the same account from the same place."""
    found = db.get(Attempt, attempt)
    if found is not None:
        db.execute(delete(Attempt).where(Attempt.name == found.name, Attempt.address == found.address))


def _key(name: str) -> str:
    return digest(name_key(name))[:40]
