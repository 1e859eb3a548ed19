"""The audit log: who did what, and when."""

from __future__ import annotations

import time

from sqlalchemy.orm import Session

from foveate.web.account_tables import Audit


def note(db: Session, who: str, action: str, subject: str = "", *, address: str = "") -> None:
    """Add an entry to the audit log; entries are never changed or removed.

    Args:
        db: a session that writes.
        who: name of the account, or of the command.
        action: a word or two.
        subject: of what, for example an image's id.
        address: from which network address.
    """
    db.add(Audit(at=time.time(), who=who[:40], address=address[:80], action=action, subject=subject[:2000]))
