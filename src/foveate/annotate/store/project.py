"""An annotation project: a folder with the protocol, the manifest, the database, and a card that names them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from foveate.annotate.domain.protocol import Protocol
from foveate.annotate.store.database import Store
from foveate.annotate.store.project_tables import Item
from foveate.core.labels import LabelSchema
from foveate.core.types import Row
from foveate.data.lines import explain
from foveate.data.manifest import Manifest

FROM_MASKS = "discs_from_masks"
"""Key of the manifest's ``info``: images whose disc is the centre of its mask."""

CARD, PROTOCOL, MANIFEST, STORE, LOCK = "project.json", "protocol.toml", "manifest.jsonl", "store.sqlite", ".lock"
OLD_CARD = "room.json"
"""Name of the card in folders of earlier versions."""


class Card(BaseModel):
    """The file that makes a folder an annotation project."""

    model_config = ConfigDict(extra="forbid")
    id: str
    name: str
    database: str | None = None


@dataclass(frozen=True)
class Project:
    """An open annotation project.

    Args:
        folder: its folder.
        id: random; a database that belongs to another project is refused by it.
        name: shown to annotators.
        protocol: their task.
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
    def open(cls, folder: str | Path) -> Project:
        """Open a project; close its ``store`` when done.

        Raises:
            ValueError: there is no project, or one of its files is wrong; the message names it.
        """
        folder = Path(folder)
        file = next((folder / name for name in (CARD, OLD_CARD) if (folder / name).is_file()), None)
        if file is None:
            raise ValueError(
                f"{folder}: must be the folder of an annotation project; make one with foveate annotate init M.jsonl "
                f"-o {folder}"
            )
        try:
            card = Card.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise ValueError(f"{file}: {explain(error, Card)}") from None
        protocol = Protocol.read(folder / PROTOCOL)
        manifest = Manifest.read(folder / MANIFEST)
        protocol.asks(manifest.schema)
        url = card.database or f"sqlite:///{(folder / STORE).resolve()}"
        return cls(folder, card.id, card.name, protocol, manifest, Store(url, project=card.id))

    @cached_property
    def schema(self) -> LabelSchema:
        """Schema of what is asked and marked."""
        return self.protocol.asks(self.manifest.schema)

    @cached_property
    def rows(self) -> dict[str, Row]:
        """Image id -> row."""
        return {row.id: row for row in self.manifest}

    def row(self, item: Item) -> Row:
        """The manifest's row of an item."""
        return self.rows[item.image]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the project: one server per SQLite project.

        Raises:
            ValueError: another server has it open.
        """
        lock = FileLock(self.folder / LOCK, timeout=0)
        if self.store.engine.dialect.name != "sqlite":  # PostgreSQL keeps several servers apart by itself
            yield
            return
        try:
            lock.acquire()
        except Timeout:
            raise ValueError(
                f"{self.folder}: another server has this project open; stop it first, or keep the project in PostgreSQL"
            ) from None
        try:
            yield
        finally:
            lock.release()


def private_file(path: Path, text: str) -> None:
    """Write a file that only its owner can read: it may contain a database's password."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
