"""Making an annotation project."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sqlalchemy.orm import Session

from foveate.annotate.domain.protocol import READY, Protocol
from foveate.annotate.store.project import CARD, FROM_MASKS, MANIFEST, PROTOCOL, STORE, Card, Project, private_file
from foveate.annotate.store.project_tables import Item
from foveate.core.regions import DISC_LABELS, disc_of
from foveate.data import read
from foveate.data.manifest import Manifest


def new_project(
    manifest: Manifest,
    *,
    protocol: str | Path,
    out: Path,
    name: str | None = None,
    database: str | None = None,
    skip_broken: bool = False,
) -> tuple[Project, tuple[str, ...]]:
    """Make an annotation project, complete or not at all.

    Args:
        manifest: its images; every one's header is read.
        protocol: a TOML file or the name of a ready protocol.
        out: a new folder.
        name: shown to annotators; that of the folder if None.
        database: URL of an empty PostgreSQL database; None = SQLite in the folder.
        skip_broken: leave out images that cannot be read instead of refusing.

    Returns:
        the open project, and one line per image left out.

    Raises:
        ValueError: the folder exists, an image or the protocol is wrong, or no image is left.
        Unreadable: a mask of the disc is missing, damaged or of another size.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"out={str(out)!r} exists already; give a new folder, or remove it")
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
        raise ValueError(
            f"{len(broken)} of {len(manifest)} images cannot be read, for example {broken[0]}; repair or skip them"
        )
    if not sizes:
        raise ValueError("the manifest has no image that can be read")
    kept = _discs(manifest.where(lambda row: row.id in sizes), sizes)
    fresh, project = not out.exists(), None
    out.mkdir(parents=True, exist_ok=True)
    try:
        source = Path(protocol) if Path(protocol).exists() else READY / f"{protocol}.toml"
        (out / PROTOCOL).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        kept.write(out / MANIFEST)
        card = Card(id=secrets.token_hex(8), name=name or out.resolve().name, database=database)
        private_file(out / CARD, json.dumps(card.model_dump(exclude_none=True), indent=1) + "\n")
        project = Project.open(out)
        with project.store.write() as db:
            fill(db, [(row.id, *sizes[row.id]) for row in kept])
    except BaseException:
        if project is not None:
            project.store.close()
        for file in (PROTOCOL, MANIFEST, CARD, STORE, f"{STORE}-wal", f"{STORE}-shm"):
            (out / file).unlink(missing_ok=True)
        if fresh:
            shutil.rmtree(out, ignore_errors=True)
        raise
    return project, tuple(broken)


def _discs(manifest: Manifest, sizes: Mapping[str, tuple[int, int]]) -> Manifest:
    """Add disc centres from masks of the disc, if no other is known; ``info`` lists these images."""
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
    """Add the items of a project: image ids with their rows and columns, in the manifest's order."""
    db.add_all(
        Item(id=number, image=image, rows=rows, cols=cols, state="open", disputes="[]")
        for number, (image, rows, cols) in enumerate(images, 1)
    )
