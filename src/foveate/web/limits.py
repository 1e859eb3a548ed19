"""A limit on guessing passwords: failed logins per name and per address."""

from __future__ import annotations

import time

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from foveate.web.account_tables import Attempt
from foveate.web.refusal import Refusal

WINDOW, BY_NAME, BY_ADDRESS = 900.0, 5, 50
"""Failed logins allowed in so many seconds, for a name and from an address."""


def check_attempts(db: Session, name: str, *, address: str) -> None:
    """Refuse a login after too many failed ones; the password is not looked at."""
    now = time.time()
    db.execute(delete(Attempt).where(Attempt.at < now - WINDOW))
    for column, value, most in ((Attempt.name, _key(name), BY_NAME), (Attempt.address, address, BY_ADDRESS)):
        tries, oldest = db.execute(select(func.count(), func.min(Attempt.at)).where(column == value)).one()
        if tries >= most:
            wait = max(1, int(oldest + WINDOW - now))
            raise Refusal(429, "slow down", f"Too many attempts. Try again in {1 + wait // 60} min.", wait=wait)


def count_attempt(db: Session, name: str, *, address: str) -> None:
    """Count a login that failed."""
    db.add(Attempt(name=_key(name), address=address, at=time.time()))


def forget_attempts(db: Session, name: str) -> None:
    """Forget the failed logins of a name after one that succeeded."""
    db.execute(delete(Attempt).where(Attempt.name == _key(name)))


def _key(name: str) -> str:
    return name.strip().lower()[:40]
