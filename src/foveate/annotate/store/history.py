"""Every version of a mark set, as pages get it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from foveate.annotate.domain.marks import Marks
from foveate.annotate.store.project_tables import History, MarkSet
from foveate.web.account_tables import User
from foveate.web.refusal import Refusal
from foveate.web.timestamps import iso_time


def versions(db: Session, marks: MarkSet | None) -> dict[str, Any]:
    """List every version of a set."""
    if marks is None:
        return {"versions": []}
    found = db.execute(
        select(History.version, User.name, History.at, History.state)
        .join(User, User.id == History.user_id)
        .where(History.set_id == marks.id)
        .order_by(History.version)
    )
    return {"versions": [{"version": v, "by": by, "at": iso_time(at), "state": state} for v, by, at, state in found]}


def one_version(db: Session, marks: MarkSet | None, version: int) -> dict[str, Any]:
    """Return one version of a set; Refusal if there is no such version."""
    found = None
    if marks is not None:
        found = db.execute(
            select(History, User.name)
            .join(User, User.id == History.user_id)
            .where(History.set_id == marks.id, History.version == version)
        ).one_or_none()
    if found is None:
        raise Refusal(404, "unknown", f"There is no version {version}.")
    line, by = found
    return {
        "version": version,
        "state": line.state,
        "seconds": line.seconds,
        "saved": iso_time(line.at),
        "by": by,
        "marks": Marks.unpack(line.marks).plain(),
    }
