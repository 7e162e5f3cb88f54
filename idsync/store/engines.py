"""The ways to the state: a file of SQLite's, a database of PostgreSQL's, or memory alone."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.pool import StaticPool

from idsync.errors import ConfigError, DiskFailed
from idsync.store.sqlite import refuse_shared, told
from idsync.store.writers import Turns

LOCKS = 0x1D5
"""Any number, the same in every process: idsync's own among the advisory locks."""
MAKING, REVOKING = 1, 2
SESSIONS = "idsync"
"""What idsync's sessions at a server call themselves."""

MOUNTS = Path("/proc/self/mountinfo")
"""Where Linux tells which disk a folder stands on; other systems have no such file."""

BUSY_S = 30
"""For how long a write waits for those of other processes, and of other threads."""

_turns: dict[Path, Turns] = {}
_finding = threading.Lock()

LEFT_OPEN: list[sqlite3.Connection] = []
"""Connections to a disk that has failed: they are left as they are until the process ends."""


def file_engine(file: Path) -> Engine:
    """Return the engine for the state in *file*, which nobody else may read where it is new.

    Its errors are raised as idsync's. Once the disk has failed, nothing is tried again:
    what a failed fsync left unwritten looks written to the next one.

    Raises:
        ConfigError: the file cannot be made, or stands on a network share.
    """
    if MOUNTS.exists():
        refuse_shared(file.resolve(), MOUNTS.read_text(encoding="utf-8"))
    if not file.exists():
        _make_private(file)
    failed: list[DiskFailed] = []
    turns = _turns_of(file)

    class Connected(sqlite3.Connection):
        """Writes in turn: SQLite lets those who wait sleep; a queue wakes them at once."""

        has_turn = False

        def take_turn(self, *, first: bool) -> None:
            """Wait until no other thread of this process writes to the file."""
            self.has_turn = turns.take(BUSY_S, first=first)  # else SQLite says what it says

        def end_turn(self) -> None:
            if self.has_turn:
                self.has_turn = False
                turns.end()

        def commit(self) -> None:
            try:
                super().commit()
            finally:
                if not self.in_transaction:
                    self.end_turn()

        def rollback(self) -> None:
            try:
                super().rollback()
            finally:
                self.end_turn()

        def close(self) -> None:
            """Close it; not where the disk has failed, since the last to close syncs again."""
            self.end_turn()
            if failed:
                LEFT_OPEN.append(self)
            else:
                super().close()

    ways = {"timeout": BUSY_S, "factory": Connected}
    url = URL.create("sqlite", database=str(file))  # as it is: in an address, "?" ends a path
    engine = _with_manners(create_engine(url, hide_parameters=True, connect_args=ways))

    @event.listens_for(engine, "handle_error")
    def in_our_words(context: ExceptionContext) -> None:
        known = told(context.sqlalchemy_exception or context.original_exception, file)
        if isinstance(known, DiskFailed):
            failed.append(known)
        if known is not None:
            raise known

    @event.listens_for(engine, "begin")
    def not_again(_: Connection) -> None:
        if failed:
            raise DiskFailed(str(failed[0]))

    return engine


def _turns_of(file: Path) -> Turns:
    """The one queue of a file in this process, however many engines it has."""
    with _finding:
        return _turns.setdefault(file.resolve(), Turns())


def memory_engine() -> Engine:
    """Return the engine for a state that is gone when it is closed."""
    ways = {"check_same_thread": False}
    return _with_manners(
        create_engine("sqlite://", poolclass=StaticPool, hide_parameters=True, connect_args=ways)
    )


def alone(connection: Connection, what: int) -> None:
    """Let one transaction at a time do *what*.

    SQLite lets one transaction write at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCKS, what)))


def _make_private(file: Path) -> None:
    """Make the file readable by nobody else before anything stands in it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError:
        raise ConfigError(
            f"the state cannot be made at {file}: check [idsync] state and the rights of its folder"
        ) from None


def begin_a_log(connection: sqlite3.Connection) -> None:
    """Turn write-ahead logging on; of those that begin at once, SQLite lets only one do it.

    Raises:
        ConfigError: where the file stands, no two processes can share memory.
    """
    until = time.monotonic() + 30
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode not in ("wal", "memory"):
                raise ConfigError(
                    "the disk of the state cannot be shared by two processes safely: put the "
                    "state on a disk of this machine, or in PostgreSQL"
                )
            return
        except UnicodeDecodeError:  # Python cannot tell what SQLite says of a damaged schema
            raise sqlite3.DatabaseError("malformed") from None
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR:
                LEFT_OPEN.append(connection)
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _with_manners(engine: Engine) -> Engine:
    """Let SQLite keep what it has confirmed through a power cut, and begin writes as writes."""

    @event.listens_for(engine, "connect")
    def settings(connection: Any, _: object) -> None:  # noqa: ANN401 - SQLAlchemy's own type
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout = 30000")
        begin_a_log(connection)
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("reads"):
            return
        driver: Any = connection.connection.dbapi_connection
        take = getattr(driver, "take_turn", None)  # memory has one connection, and no turns
        if take is None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        take(first=options.get("first", False))
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except BaseException:
            driver.end_turn()
            raise

    return engine
