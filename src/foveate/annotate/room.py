"""A room: a folder with the protocol, the manifest, the store, and where its database is."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.orm import Session

from foveate.annotate.protocol import READY, Protocol
from foveate.annotate.store import Store
from foveate.annotate.tables import Item
from foveate.core.labels import LabelSchema
from foveate.core.regions import disc_of
from foveate.core.types import Row
from foveate.data import read
from foveate.data.cues import DISC_LABELS
from foveate.data.lines import explain
from foveate.data.manifest import Manifest

FROM_MASKS = "discs_from_masks"
"""Key of the manifest's ``info``: images whose disc is the centre of its mask."""

ROOM, PROTOCOL, MANIFEST, STORE, LOCK = "room.json", "protocol.toml", "manifest.jsonl", "store.sqlite", ".lock"


class _Card(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    name: str
    database: str | None = None


@dataclass(frozen=True)
class Room:
    """An open room.

    Args:
        folder: where it lies.
        id: made at random, so that a database is not taken for another room's.
        name: shown to readers.
        protocol: what they do.
        manifest: its images.
        store: its database.
    """

    folder: Path
    id: str
    name: str
    protocol: Protocol
    manifest: Manifest
    store: Store

    @classmethod
    def open(cls, folder: str | Path) -> Room:
        """Open a room; close its ``store`` when done.

        Raises:
            ValueError: there is none, or a file of it is not as it should be.
        """
        folder = Path(folder)
        try:
            card = _Card.model_validate_json((folder / ROOM).read_bytes())
        except FileNotFoundError:
            raise ValueError(f"{folder}: is no room; make one with foveate annotate init M.jsonl -o {folder}") from None
        except ValidationError as error:
            raise ValueError(f"{folder / ROOM}: {explain(error, _Card)}") from None
        protocol = Protocol.read(folder / PROTOCOL)
        manifest = Manifest.read(folder / MANIFEST)
        protocol.asks(manifest.schema)
        url = card.database or f"sqlite:///{(folder / STORE).resolve()}"
        return cls(folder, card.id, card.name, protocol, manifest, Store(url, room=card.id))

    @cached_property
    def schema(self) -> LabelSchema:
        """What is asked and marked here."""
        return self.protocol.asks(self.manifest.schema)

    @cached_property
    def rows(self) -> dict[str, Row]:
        """Image id -> row."""
        return {row.id: row for row in self.manifest}

    def row(self, item: Item) -> Row:
        """The manifest's line of an item."""
        return self.rows[item.image]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the room alone: the one server of a SQLite room, or a restore.

        Raises:
            ValueError: another server holds it.
        """
        lock = FileLock(self.folder / LOCK, timeout=0)
        if self.store.engine.dialect.name != "sqlite":  # PostgreSQL keeps several servers apart by itself
            yield
            return
        try:
            lock.acquire()
        except Timeout:
            raise ValueError(
                f"{self.folder}: another server has this room open; stop it first, or keep the room in PostgreSQL"
            ) from None
        try:
            yield
        finally:
            lock.release()


def init(
    manifest: Manifest,
    *,
    protocol: str | Path,
    out: Path,
    name: str | None = None,
    database: str | None = None,
    skip_broken: bool = False,
) -> tuple[Room, tuple[str, ...]]:
    """Make a room, whole or not at all.

    Args:
        manifest: its images; every one's header is read.
        protocol: a TOML file or the name of a ready protocol.
        out: a new folder.
        name: shown to readers; that of the folder if None.
        database: URL of an empty PostgreSQL database; None = SQLite in the folder.
        skip_broken: leave out images that cannot be read instead of refusing.

    Returns:
        the open room, and a line for each image left out.

    Raises:
        ValueError: the folder is there, an image or the protocol is not as it should be, no image is left.
        Unreadable: a mask of the disc is missing, damaged or of another size.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"out={str(out)!r} is there already; give a new folder, or remove it")
    chosen = Protocol.read(protocol)
    chosen.asks(manifest.schema)
    sizes: dict[str, tuple[int, int]] = {}
    broken = []
    for row in manifest:
        try:
            sizes[row.id] = read.size(manifest.root / row.image, frame=row.frame)
        except read.Unreadable as error:
            broken.append(f"{row.id}: {error}")
    if broken and not skip_broken:
        raise ValueError(f"{len(broken)} of {len(manifest)} images cannot be read, like {broken[0]}; mend or skip them")
    if not sizes:
        raise ValueError("the manifest has no image to read")
    kept = _discs(manifest.where(lambda row: row.id in sizes), sizes)
    fresh, room = not out.exists(), None
    out.mkdir(parents=True, exist_ok=True)
    try:
        source = Path(protocol) if Path(protocol).exists() else READY / f"{protocol}.toml"
        (out / PROTOCOL).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        kept.write(out / MANIFEST)
        card = _Card(id=secrets.token_hex(8), name=name or out.resolve().name, database=database)
        private_file(out / ROOM, json.dumps(card.model_dump(exclude_none=True), indent=1) + "\n")
        room = Room.open(out)
        with room.store.write() as db:
            fill(db, [(row.id, *sizes[row.id]) for row in kept])
    except BaseException:
        if room is not None:
            room.store.close()
        for file in (PROTOCOL, MANIFEST, ROOM, STORE, f"{STORE}-wal", f"{STORE}-shm"):
            (out / file).unlink(missing_ok=True)
        if fresh:
            shutil.rmtree(out, ignore_errors=True)
        raise
    return room, tuple(broken)


def _discs(manifest: Manifest, sizes: Mapping[str, tuple[int, int]]) -> Manifest:
    """The same with disc centres from masks of the disc, where no other is known; ``info`` says of which images."""
    label = next((name for name in DISC_LABELS if name in manifest.schema.labels), None)
    if label is None:
        return manifest
    schema = manifest.schema.select(questions=(), labels=(label,))
    found: dict[str, tuple[float, float]] = {}
    for row in manifest:
        if row.disc is None and row.masks.get(label):
            masks, known = read.masks(row, manifest.root, schema, shape=sizes[row.id])
            there = disc_of((masks[0] > 0) & (known[0] > 0))
            if there is not None:
                found[row.id] = there[0]
    rows = tuple(replace(row, disc=found.get(row.id, row.disc)) for row in manifest)
    return replace(manifest, rows=rows, info=dict(manifest.info) | ({FROM_MASKS: sorted(found)} if found else {}))


def fill(db: Session, images: list[tuple[str, int, int]]) -> None:
    """The items of a room: image ids with their rows and columns, in the manifest's order."""
    db.add_all(
        Item(id=number, image=image, rows=rows, cols=cols, state="open", disputes="[]")
        for number, (image, rows, cols) in enumerate(images, 1)
    )


def private_file(path: Path, text: str) -> None:
    """A file that only its owner reads: it may hold a database's password."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
