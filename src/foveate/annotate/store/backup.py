"""A project in one file and back: every table as JSON lines beside protocol and manifest, from either database."""

from __future__ import annotations

import base64
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import LargeBinary, Table, func, insert, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from foveate.annotate.domain.marks import Marks
from foveate.annotate.store.project import CARD, MANIFEST, PROTOCOL, Project, private_file
from foveate.annotate.store.project_tables import Draft, History, Item, MarkSet, Meta
from foveate.core.files import whole_file
from foveate.data.manifest import Manifest
from foveate.web.account_tables import Attempt, Base, Browser, Login, User
from foveate.web.names import separate_names
from foveate.web.refusal import of_database

FORMAT = 3
"""Version 1 had another name of the role annotator, version 2 no keys of names (`migrations`)."""

PASSING = (Login.__tablename__, Attempt.__tablename__, Browser.__tablename__, Meta.__tablename__)
"""Tables that are left out: sessions end, and a new store knows its project already."""

MANY, PRIVATE = 500, 0o600
LARGE, DENSE = 64 * 2**20, 200
"""A project's text is compressed 2 to 30 times; a part that is larger than so many bytes and compressed more than that
is an attack that fills the disk."""


class Inconsistent(Exception):  # noqa: N818
    """The tables of a backup do not fit together."""


def backup(project: Project, out: Path) -> dict[str, int]:
    """Write a project into one file that only its owner can read, complete or not at all; the server may go on.

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
    with (
        whole_file(out) as aside,
        os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
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
        ValueError: not a backup, damaged, of a newer version or its tables do not fit together, ``out`` exists already,
            or the database is not empty.
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
    except Inconsistent as error:
        raise ValueError(f"{source}: {error}; restore another backup") from None


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
                    try:
                        _fill(db, table, io.TextIOWrapper(file, "utf-8"), version=card["format"])
                    except (SQLAlchemyError, ValueError, AttributeError) as error:
                        if isinstance(error, DBAPIError) and of_database(error) is not None:
                            raise  # the disk is full, or the database does not answer
                        raise Inconsistent(f"tables/{table.name}.jsonl does not fit ({_first_line(error)})") from None
            _check(db, project)
    except BaseException:
        if project is not None:
            project.store.close()
        for path in [path for path in out.iterdir() if path.is_file()]:
            path.unlink()
        raise
    return project


def _check(db: Session, project: Project) -> None:
    """Refuse tables that do not fit together or to the manifest: the server would fail later, at one image."""
    items = set(db.scalars(select(Item.image)))
    if items != project.rows.keys():
        odd = sorted(items ^ project.rows.keys())[0]
        raise Inconsistent(f"image {odd!r} is in only one of manifest.jsonl and tables/items.jsonl")
    newest = dict(db.execute(select(History.set_id, func.max(History.version)).group_by(History.set_id)).all())
    for one in db.scalars(select(MarkSet)):
        if one.version != newest.get(one.id, 0):
            raise Inconsistent(
                f"mark set {one.id} has version {one.version}, but the newest in its history is {newest.get(one.id, 0)}"
            )
    for table, column in ((History, History.marks), (Draft, Draft.marks)):
        for packed in db.scalars(select(column).execution_options(yield_per=MANY)):
            try:
                Marks.unpack(packed)
            except (ValueError, zlib.error) as error:
                raise Inconsistent(
                    f"tables/{table.__tablename__}.jsonl has damaged marks ({_first_line(error)})"
                ) from None


def _first_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (str(cause).splitlines() or [type(error).__name__])[0]


def _tables() -> list[Table]:
    return [table for table in Base.metadata.sorted_tables if table.name not in PASSING]


def _lines(db: Session, table: Table) -> Iterator[bytes]:
    order = next(iter(table.primary_key.columns))
    for row in db.execute(select(table).order_by(order).execution_options(yield_per=MANY)).mappings():
        plain = {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in row.items()}
        yield json.dumps(plain, ensure_ascii=False).encode() + b"\n"


def _current(table: Table, rows: Iterator[dict[str, Any]], *, version: int) -> Iterator[dict[str, Any]]:
    """Rows of a backup of any version as this version's tables have them."""
    if version < 3 and table.name == User.__tablename__:
        given = sorted(rows, key=lambda row: row["id"])
        names = separate_names([row["name"] for row in given])
        rows = iter([row | {"name": name, "key": key} for row, (name, key) in zip(given, names, strict=True)])
    for row in rows:
        if version == 1 and "roles" in row:
            row["roles"] = row["roles"].replace("reader", "annotator")
        if strange := sorted(row.keys() - table.columns.keys()):
            raise ValueError(f"there is no column {strange[0]!r}")
        yield row


def _fill(db: Session, table: Table, lines: Iterator[str], *, version: int) -> None:
    blobs = [column.name for column in table.columns if isinstance(column.type, LargeBinary)]
    some: list[dict[str, Any]] = []
    for data in _current(table, map(json.loads, lines), version=version):
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
