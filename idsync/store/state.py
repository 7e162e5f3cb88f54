"""Opening the state, and the facts that do not belong to one part of it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import Connection, Engine, create_engine, event, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from idsync.errors import ConfigError, IntegrityError, Unavailable
from idsync.store.frames import Frames
from idsync.store.journal import Journal
from idsync.store.orders import Orders
from idsync.store.tables import VERSION, meta, metadata, run, snapshot

RUN_LOCK = 0x1D5  # any number, the same in every process


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The last accepted read of a source."""

    accepted_at: str
    records: int
    content: str
    proof: str
    cursor: str | None


class State:
    """Everything idsync remembers."""

    def __init__(self, engine: Engine, file: Path | None) -> None:
        self.engine = engine
        self._file = file
        self.frames = Frames(engine)
        self.journal = Journal(engine, self.frames)
        self.orders = Orders(engine)

    @cached_property
    def instance(self) -> UUID:
        """The namespace of all ids that this state gives out."""
        return UUID(self.remembered("instance"))

    def remembered(self, name: str) -> str:
        """Return the value remembered under *name*, or ""."""
        with self.engine.connect().execution_options(reads=True) as connection:
            found = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar()
        return found or ""

    def remember(self, connection: Connection, name: str, value: str) -> None:
        """Remember *value* under *name*."""
        changed = connection.execute(update(meta).where(meta.c.name == name).values(value=value))
        if not changed.rowcount:
            connection.execute(insert(meta).values(name=name, value=value))

    def snapshot(self, source: str) -> Snapshot | None:
        """Return what is known of the last accepted read of *source*."""
        with self.engine.connect().execution_options(reads=True) as connection:
            row = connection.execute(select(snapshot).where(snapshot.c.source == source)).first()
        if row is None:
            return None
        return Snapshot(
            accepted_at=row.accepted_at, records=row.records, content=row.content,
            proof=row.proof, cursor=row.cursor,
        )  # fmt: skip

    def accept(self, connection: Connection, source: str, accepted: Snapshot) -> None:
        """Remember that a read of *source* was accepted."""
        values = dict(vars(accepted))
        changed = connection.execute(
            update(snapshot).where(snapshot.c.source == source).values(values)
        )
        if not changed.rowcount:
            connection.execute(insert(snapshot).values(source=source, **values))

    def begin_run(self, command: str, now: datetime) -> int:
        """Note that a run begins; return its number."""
        with self.engine.begin() as connection:
            begun = connection.execute(
                insert(run).values(command=command, started_at=now.isoformat()).returning(run.c.id)
            )
            return int(begun.scalar_one())

    def end_run(self, number: int, outcome: str, summary: dict[str, Any], now: datetime) -> None:
        """Note how a run ended."""
        with self.engine.begin() as connection:
            connection.execute(
                update(run)
                .where(run.c.id == number)
                .values(ended_at=now.isoformat(), outcome=outcome, summary=json.dumps(summary))
            )

    def runs(self, last: int = 5) -> list[dict[str, Any]]:
        """Return the newest runs: id, command, started_at, ended_at, outcome, summary."""
        with self.engine.connect().execution_options(reads=True) as connection:
            rows = connection.execute(select(run).order_by(run.c.id.desc()).limit(last))
            return [
                {**row._mapping, "summary": json.loads(row.summary) if row.summary else None}
                for row in rows
            ]

    @contextmanager
    def run_lock(self) -> Iterator[None]:
        """Keep every other run out; a run that dies lets go by itself.

        Raises:
            Unavailable: another run is at work.
        """
        busy = Unavailable("another idsync run is at work on this state: wait for it to end")
        if self._file is not None:
            with self._file.with_name(self._file.name + ".lock").open("a") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise busy from None
                yield
        elif self.engine.dialect.name == "postgresql":
            with self.engine.connect() as connection:
                mine = connection.execute(text("select pg_try_advisory_lock(:n)"), {"n": RUN_LOCK})
                if not mine.scalar():
                    raise busy
                try:
                    yield
                finally:
                    connection.execute(text("select pg_advisory_unlock(:n)"), {"n": RUN_LOCK})
        else:
            yield

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()


def open_state(url: str, *, create: bool = True, instance: str = "") -> State:
    """Return the state at *url*, made new where there is none.

    With *create* false nothing is written: a state that does not exist is played in
    memory. *instance* is the namespace a new state gets; without one it follows from
    where the state stands.

    Raises:
        ConfigError: the state cannot be opened or made there.
        IntegrityError: what stands there is no idsync state, is damaged, or is newer.
    """
    file = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    engine = _engine(url, file, create)
    named = instance or str(uuid5(NAMESPACE_URL, f"idsync:{socket.gethostname()}:{url}"))
    try:
        _prepare(engine, named)
    except DBAPIError as error:
        engine.dispose()
        if file is not None and "not a database" in str(error.orig):
            raise IntegrityError(f"{file} is not an idsync state, or is damaged") from None
        raise ConfigError(
            "the state cannot be opened: check [idsync] state, its folder and its rights"
        ) from None
    return State(engine, file if file is not None and (create or file.exists()) else None)


def _engine(url: str, file: Path | None, create: bool) -> Engine:
    if file is None:
        return create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    if not file.exists() or (not create and file.stat().st_size == 0):
        if not create:
            return _with_manners(
                create_engine(
                    "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
                )
            )
        _make_private(file)
    return _with_manners(create_engine(url, connect_args={"timeout": 30}))


def _make_private(file: Path) -> None:
    """Make the file readable by nobody else before anything stands in it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError:
        raise ConfigError(
            f"the state cannot be made at {file}: check [idsync] state and the rights of its folder"
        ) from None


def _with_manners(engine: Engine) -> Engine:
    """Let SQLite keep what it has confirmed through a power cut, and begin writes as writes."""

    @event.listens_for(engine, "connect")
    def settings(connection: Any, _: object) -> None:  # noqa: ANN401 - SQLAlchemy's own type
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("reads"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _prepare(engine: Engine, instance: str) -> None:
    with engine.connect() as connection:
        fresh = not engine.dialect.has_table(connection, meta.name)
        if fresh and engine.dialect.name == "sqlite" and engine.dialect.get_table_names(connection):
            raise IntegrityError("what stands at [idsync] state belongs to another program")
    if fresh:
        with engine.begin() as connection:
            metadata.create_all(connection)
            connection.execute(
                insert(meta),
                [
                    {"name": "version", "value": str(VERSION)},
                    {"name": "instance", "value": instance},
                ],
            )
    with engine.connect() as connection:
        version = connection.execute(select(meta.c.value).where(meta.c.name == "version")).scalar()
    if version is None or not version.isdigit():
        raise IntegrityError("what stands at [idsync] state is not an idsync state")
    if int(version) > VERSION:
        raise IntegrityError(
            f"the state has version {version}, this program knows {VERSION}: use the newer program"
        )
