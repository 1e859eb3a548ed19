"""Saving mark sets: claimed once, saved by version, never overwritten; every version stays."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from foveate.annotate.domain.consensus import decide, state_of
from foveate.annotate.domain.marks import Marks, problem
from foveate.annotate.domain.truth import Overlap, findings_of, overlap
from foveate.annotate.store.project import Project
from foveate.annotate.store.project_tables import History, Item, MarkSet
from foveate.annotate.store.records import CONSENSUS, annotations_of, marks_of, set_of, shown, slot
from foveate.web.refusal import Refusal
from foveate.web.sessions import Who

Progress = Literal["open", "done"]


@dataclass(frozen=True)
class Save:
    """One save as it comes in.

    Args:
        version: that the page worked on.
        key: made by the page; the same key twice is one save.
        state: "done" once the annotator has finished.
        seconds: of work since the last acknowledged save.
        marks: all of them.
        packed: the marks as the store keeps them, if they are packed already.
    """

    version: int
    key: str
    state: Progress
    seconds: float
    marks: Marks
    packed: bytes | None = None


def claim(db: Session, project: Project, item: Item, who: Who) -> MarkSet:
    """Start to annotate an image, or go on with it.

    Args:
        db: a session that writes.
        project: its protocol states how many annotate an image.
        item: locked (`records.item_of`).
        who: the annotator.

    Raises:
        Refusal: the image has all its annotators, or is settled.
    """
    own = set_of(db, item, slot(who.id))
    if own is not None:
        return own
    begun = db.scalars(select(MarkSet.id).where(MarkSet.item_id == item.id, MarkSet.slot != CONSENSUS)).all()
    if len(begun) >= project.protocol.annotators or item.state == "settled":
        raise Refusal(409, "claimed", "This image has all its annotators already; take the next one.")
    return _new(db, item, slot(who.id), who)


def consensus_set(db: Session, item: Item, who: Who) -> MarkSet:
    """Return the consensus of an image; the first who asks begins it."""
    return set_of(db, item, CONSENSUS) or _new(db, item, CONSENSUS, who)


def _new(db: Session, item: Item, place: str, who: Who) -> MarkSet:
    made = MarkSet(
        item_id=item.id, user_id=who.id, slot=place, version=0, state="open", seconds=0.0, started=time.time()
    )
    db.add(made)
    db.flush()
    return made


def save(db: Session, project: Project, item: Item, marks: MarkSet, given: Save, who: Who) -> tuple[MarkSet, bool]:
    """Add a save that was checked (`check`) as a new version.

    Args:
        db: a session that writes; the save is acknowledged only after its commit.
        project: its protocol states when an image is settled.
        item: locked (`records.item_of`).
        marks: the set to save into.
        given: the save.
        who: saves it.

    Returns:
        the set, and whether this is the first time that the save came.

    Raises:
        Refusal: stale (someone saved since, or the version is one that was never saved; the current state comes along),
            or settled.
    """
    again = db.scalar(select(History).where(History.set_id == marks.id, History.save == given.key))
    if again is not None:
        return marks, False
    if marks.slot != CONSENSUS and adjudicated(db, item):
        raise Refusal(409, "settled", "The consensus of this image is settled; its annotations are closed.")
    if given.version != marks.version:
        raise Refusal(
            409,
            "stale",
            f"The marks were changed elsewhere: version {marks.version} is saved, this change began from version "
            f"{given.version}.",
            details={"current": shown(db, marks)},
        )
    before = marks.state
    add_version(db, marks, given, who)
    if marks.slot == CONSENSUS or "done" in (before, given.state):  # what is not done has no part in the consensus
        refresh(db, project, item)
    return marks, True


def check(project: Project, shape: tuple[int, int], given: Save, *, consensus: bool = False) -> Save:
    """Check a save by the protocol, and pack it; before the store is locked, as large marks take their time.

    Args:
        project: its protocol and schema state what is allowed.
        shape: (rows, cols) of the image.
        given: the save.
        consensus: of the consensus, which may leave questions open.

    Raises:
        Refusal: not as the protocol allows, or (done) two findings that exclude each other cover a pixel; ``at`` is its
            place.
    """
    done = given.state == "done"
    wrong = problem(
        given.marks, protocol=project.protocol, schema=project.schema, shape=shape, done=done and not consensus
    )
    if wrong is not None:
        raise Refusal(422, "invalid", f"marks.{wrong}")
    if done and (found := double_marked(given.marks, project, shape)) is not None:
        raise Refusal(422, "overlap", _words(found, project), details={"at": list(found.at)})
    return replace(given, packed=given.marks.pack())


def adjudicated(db: Session, item: Item) -> bool:
    """Whether a person has settled the consensus of an image; before that its annotators may still correct theirs."""
    final = set_of(db, item, CONSENSUS)
    return final is not None and final.state == "done"


def reopen(db: Session, project: Project, item: Item, who: Who, *, start: Marks) -> None:
    """Open a settled image again: its consensus and its annotations may be changed.

    Args:
        db: a session that writes.
        project: open.
        item: locked (`records.item_of`).
        who: reopens it.
        start: marks of the consensus if the rule settled the image alone.

    Raises:
        Refusal: the image is not settled.
    """
    if item.state != "settled":
        raise Refusal(409, "open", "This image is not settled.")
    final = consensus_set(db, item, who)
    marks = marks_of(db, final) if final.version else start
    add_version(db, final, Save(final.version, f"reopen:{final.version}", "open", 0.0, marks), who)
    refresh(db, project, item)


def double_marked(marks: Marks, project: Project, shape: tuple[int, int]) -> Overlap | None:
    """Return two findings on one pixel, if the schema allows one and the protocol refuses two; else None."""
    if not project.schema.exclusive or project.protocol.overlap != "refuse":
        return None
    return overlap(findings_of(marks, protocol=project.protocol, shape=shape))


def _words(found: Overlap, project: Project) -> str:
    names = [f.title or f.name.replace("_", " ") for f in project.protocol.findings if f.name in found.findings]
    return (
        f"{' and '.join(names)} cover {found.pixels} pixels together, the first at row {found.at[0]}, column "
        f"{found.at[1]}. A pixel shows one finding at most: change one of the two there."
    )


def add_version(db: Session, marks: MarkSet, given: Save, who: Who) -> None:
    """Add a version to a set without a check (`save` checks)."""
    now = time.time()
    marks.version += 1
    marks.state, marks.saved, marks.user_id = given.state, now, who.id
    marks.seconds += given.seconds
    db.add(
        History(
            set_id=marks.id,
            version=marks.version,
            save=given.key,
            user_id=who.id,
            at=now,
            state=given.state,
            seconds=given.seconds,
            marks=given.marks.pack() if given.packed is None else given.packed,
        )
    )
    db.flush()


def refresh(db: Session, project: Project, item: Item) -> None:
    """Compute again how far an image has come, and which names are disputed."""
    done = annotations_of(db, item)
    final = set_of(db, item, CONSENSUS)
    full = len(done) >= project.protocol.annotators
    decided = decide([m for _, _, m in done], protocol=project.protocol, schema=project.schema) if full else None
    settled = final is not None and final.state == "done"
    item.state = state_of(len(done), decided, protocol=project.protocol, final=settled)
    if item.state == "settled" and final is not None and final.state == "open" and final.version:
        item.state = "ready"  # an adjudicator has opened it again, or begun to change what the rule decides
    item.disputes = json.dumps(list(decided.disputes) if decided else [])
    if item.state == "open":
        item.completed = None
    elif item.completed is None:
        item.completed = time.time()
