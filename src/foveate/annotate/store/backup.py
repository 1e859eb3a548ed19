"""A project in one file and back: every table as JSON lines beside protocol and manifest, from either database."""

from __future__ import annotations

import base64
import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import LargeBinary, Table, func, insert, select, text
from sqlalchemy.orm import Session

from foveate.annotate.store.project import CARD, MANIFEST, PROTOCOL, Project, private_file
from foveate.annotate.store.project_tables import Meta
from foveate.core.files import whole_file
from foveate.data.manifest import Manifest
from foveate.web.account_tables import Attempt, Base, Login

FORMAT = 2
"""Version 1 had another name of the role annotator (`migrations`)."""

PASSING = (Login.__tablename__, Attempt.__tablename__, Meta.__tablename__)
"""Tables that are left out: sessions end, and a new store knows its project already."""

MANY = 500
LARGE, DENSE = 64 * 2**20, 200
"""A project's text is compressed 2 to 30 times; a part that is larger than so many bytes and compressed more than that
is an attack that fills the disk."""


def backup(project: Project, out: Path) -> dict[str, int]:
    """Write a project into one file, complete or not at all; the server may go on meanwhile.

    The tables are read in one transaction, so they fit together. Images are not copied: the manifest has their
    paths. Sessions are not kept, passwords only as their hashes.

    Args:
        project: open.
        out: the file (a zip); an existing one is replaced only when the new one is complete.

    Returns:
        table -> number of rows.
    """
    counts: dict[str, int] = {}
    card = {"format": FORMAT, "id": project.id, "name": project.name, "images": os.path.abspath(project.manifest.root)}
    with whole_file(out) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.writestr("backup.json", json.dumps(card))
        archive.write(project.folder / PROTOCOL, PROTOCOL)
        archive.write(project.folder / MANIFEST, MANIFEST)
        with project.store.read() as db:
            if db.get_bind().dialect.name == "postgresql":
                db.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            for table in _tables():
                with archive.open(f"tables/{table.name}.jsonl", "w", force_zip64=True) as lines:
                    counts[table.name] = 0
                    for line in _lines(db, table):
                        lines.write(line)
                        counts[table.name] += 1
    return counts


def restore(source: Path, out: Path, *, database: str | None = None, images: Path | None = None) -> Project:
    """Make a project from its backup, complete or not at all; also from one kind of database into the other.

    Args:
        source: the file that `backup` wrote.
        out: a new folder.
        database: URL of an empty PostgreSQL database; None = SQLite in the folder.
        images: folder of the images, if they have moved.

    Returns:
        the open project.

    Raises:
        ValueError: not a backup, damaged or of a newer version, ``out`` exists already, or the database is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"out={str(out)!r} exists already; give a new folder, or remove it")
    try:
        with zipfile.ZipFile(source) as archive:
            for part in archive.infolist():
                if part.file_size > LARGE and part.file_size > DENSE * part.compress_size:
                    raise ValueError(
                        f"{source}: {part.filename} unpacks to {part.file_size} bytes; this is not a backup"
                    )
            if (broken := archive.testzip()) is not None:
                raise ValueError(f"{source}: {broken} is damaged")
            return _restored(archive, out, database, images)
    except (zipfile.BadZipFile, KeyError, EOFError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{source}: must be a backup of an annotation project, and not damaged ({error})") from None


def _restored(archive: zipfile.ZipFile, out: Path, database: str | None, images: Path | None) -> Project:
    card = json.loads(archive.read("backup.json"))
    if card["format"] > FORMAT:
        raise ValueError(
            f"format={card['format']}: the backup was written by a newer version of foveate, this version reads up to "
            f"{FORMAT}; install a newer foveate"
        )
    out.mkdir(parents=True, exist_ok=True)
    project: Project | None = None
    try:
        for name in (PROTOCOL, MANIFEST):
            (out / name).write_bytes(archive.read(name))
        manifest = Manifest.read(out / MANIFEST)
        there = Path(card["images"]) if images is None else images
        Manifest(manifest.schema, manifest.rows, there, info=manifest.info).write(out / MANIFEST)
        new = {"id": card["id"], "name": card["name"]} | ({} if database is None else {"database": database})
        private_file(out / CARD, json.dumps(new, indent=1) + "\n")
        project = Project.open(out)
        with project.store.write() as db:
            for table in _tables():
                if db.scalar(select(func.count()).select_from(table)):
                    raise ValueError(f"database: the table {table.name} is not empty; give an empty database")
                with archive.open(f"tables/{table.name}.jsonl") as file:
                    _fill(db, table, io.TextIOWrapper(file, "utf-8"), version=card["format"])
    except BaseException:
        if project is not None:
            project.store.close()
        for path in [path for path in out.iterdir() if path.is_file()]:
            path.unlink()
        raise
    return project


def _tables() -> list[Table]:
    return [table for table in Base.metadata.sorted_tables if table.name not in PASSING]


def _lines(db: Session, table: Table) -> Iterator[bytes]:
    order = next(iter(table.primary_key.columns))
    for row in db.execute(select(table).order_by(order).execution_options(yield_per=MANY)).mappings():
        plain = {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in row.items()}
        yield json.dumps(plain, ensure_ascii=False).encode() + b"\n"


def _fill(db: Session, table: Table, lines: Iterator[str], *, version: int) -> None:
    blobs = [column.name for column in table.columns if isinstance(column.type, LargeBinary)]
    some: list[dict[str, Any]] = []
    for line in lines:
        data = json.loads(line)
        if version == 1 and "roles" in data:
            data["roles"] = data["roles"].replace("reader", "annotator")
        some.append(data | {name: base64.b64decode(data[name]) for name in blobs if data[name] is not None})
        if len(some) == MANY:
            db.execute(insert(table), some)
            some = []
    if some:
        db.execute(insert(table), some)
    if db.get_bind().dialect.name == "postgresql" and "id" in table.columns:
        last = (
            f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), max(id)) FROM {table.name} HAVING max(id) > 0"
        )
        db.execute(text(last))
