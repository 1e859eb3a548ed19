"""The database of a project: SQLite in its folder or PostgreSQL by URL; what was acknowledged is on disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from foveate.annotate.store.project_tables import Meta

OWNER = "room"
"""Key in the table ``meta`` of the project that a store belongs to; written so since the first version."""

WAIT = 30.0
"""Seconds that one save waits for another on SQLite before it is refused and sent again later."""


class NewerVersion(Exception):  # noqa: N818
    """The tables were made by a newer version."""


class Store:
    """A database and the two ways into it: `read` and `write`.

    Args:
        url: ``sqlite:////folder/store.sqlite`` or ``postgresql+pg8000://user:password@host/name``.
        project: id of the project that it must belong to.

    Raises:
        ValueError: another kind of database, one that does not answer, was written by a newer version, or belongs to
            another project.
    """

    def __init__(self, url: str, *, project: str) -> None:
        self.engine = _engine(url)
        self.turn: AbstractContextManager[object] = nullcontext()
        if self.engine.dialect.name == "sqlite":
            self.turn = threading.Lock()
        self.shown = make_url(url).render_as_string(hide_password=True)
        try:
            with self.engine.execution_options(write=True).begin() as connection:
                _upgrade(connection)
        except DBAPIError as error:
            self.engine.dispose()
            raise ValueError(f"database {self.shown}: does not answer ({_first_line(error)})") from None
        except NewerVersion as error:
            self.engine.dispose()
            raise ValueError(f"database {self.shown}: {error}") from None
        with self.write() as db:
            owner = db.get(Meta, OWNER)
            if owner is None:
                db.add(Meta(key=OWNER, value=project))
            elif owner.value != project:
                self.engine.dispose()
                raise ValueError(f"database {self.shown}: belongs to another project; give each project one of its own")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that changes nothing and sees one moment of the store."""
        with Session(self.engine) as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session that is on disk when the block is left, or has changed nothing if it raises.

        Writers of one process take turns on SQLite: there a writer that has to wait sleeps and looks again, up to a
        tenth of a second too long, while others overtake it.
        """
        with self.turn, Session(self.engine.execution_options(write=True), expire_on_commit=False) as db:
            yield db
            db.commit()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    kind = make_url(url).drivername
    if kind in ("sqlite", "sqlite+pysqlite"):
        _private(make_url(url).database)
        engine = create_engine(url, connect_args={"timeout": WAIT})
        event.listen(engine, "connect", _safe)
        event.listen(engine, "begin", _begin)
        return engine
    if kind == "postgresql+pg8000":
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20, isolation_level="READ COMMITTED")
    raise ValueError(f"database {kind!r}: give sqlite:///FILE or postgresql+pg8000://USER:PASSWORD@HOST/NAME")


def _private(file: str | None) -> None:
    """Let only the owner read the store: it has hashes of passwords. SQLite's other files get the mode of this one."""
    if not file or file == ":memory:":
        return
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        for path in (file, f"{file}-wal", f"{file}-shm"):
            if os.path.exists(path):
                os.chmod(path, 0o600)
    except OSError:  # the store is of another user, or cannot be made: SQLite names the reason
        return


def _safe(connection: Any, _record: Any) -> None:
    """Every acknowledged save survives a crash of the machine, not only of the process."""
    connection.isolation_level = None  # transactions are begun by `_begin`, not by the driver's guess
    cursor = connection.cursor()
    for line in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {line}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Writers queue at the start of their transaction: none reads what another is about to change."""
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "foveate.annotate.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql":  # two servers that start together upgrade one after the other
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(70457)")
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None and revision not in known:
        raise NewerVersion(
            f"was written by a newer version of foveate (revision {revision}, this version knows up to {known[0]}); "
            "install a newer foveate"
        )
    command.upgrade(config, "head")


def _first_line(error: DBAPIError) -> str:
    return (str(error.orig).splitlines() or ["?"])[0]
