"""Opening the state, and the facts that do not belong to one part of it."""

from __future__ import annotations

import fcntl
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import Connection, Engine, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError

from idsync.errors import ConfigError, IntegrityError, Unavailable
from idsync.store.engines import MAKING, alone, file_engine, memory_engine
from idsync.store.frames import Frames
from idsync.store.journal import Journal
from idsync.store.orders import Orders
from idsync.store.postgres import postgres_engine, require_every_letter, run_lock
from idsync.store.tables import VERSION, meta, metadata, run, snapshot
from idsync.store.verdicts import Verdicts


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The last accepted read of a source. `settings` is the digest of what it was read by."""

    accepted_at: str
    records: int
    content: str
    proof: str
    cursor: str | None
    settings: str | None = None


class State:
    """Everything idsync remembers."""

    def __init__(self, engine: Engine, file: Path | None) -> None:
        self.engine = engine
        self._file = file
        self.frames = Frames(engine)
        self.journal = Journal(engine, self.frames)
        self.orders = Orders(engine)
        self.verdicts = Verdicts(engine)

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
            proof=row.proof, cursor=row.cursor, settings=row.settings,
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
            with run_lock(self.engine) as still_mine:
                if still_mine is None:
                    raise busy
                with self.journal.only_while(still_mine):
                    yield
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
        Unavailable: its database does not answer.
    """
    named = instance or str(uuid5(NAMESPACE_URL, f"idsync:{socket.gethostname()}:{url}"))
    if not url.startswith("sqlite:///"):
        return _opened(postgres_engine(url), None, named, create)
    file = Path(url.removeprefix("sqlite:///"))
    if not create and not (file.exists() and file.stat().st_size):
        return _opened(memory_engine(), file if file.exists() else None, named, create=True)
    return _opened(file_engine(file), file, named, create)


def _opened(engine: Engine, file: Path | None, instance: str, create: bool) -> State:
    try:
        there = _prepare(engine, instance, create)
    except DBAPIError as error:
        engine.dispose()
        if file is not None and "not a database" in str(error.orig):
            raise IntegrityError(f"{file} is not an idsync state, or is damaged") from None
        raise ConfigError(
            "the state cannot be opened: check [idsync] state, its folder and its rights"
        ) from None
    except BaseException:
        engine.dispose()
        raise
    if not there:
        engine.dispose()
        return _opened(memory_engine(), None, instance, create=True)
    return State(engine, file)


def _prepare(engine: Engine, instance: str, create: bool) -> bool:
    """Make a new state whole or not at all, if it may; tell whether there is one."""
    with engine.connect().execution_options(reads=True) as connection:
        there = _is_ours(connection)
    if not there and create:
        with engine.begin() as connection:
            alone(connection, MAKING)
            if not _is_ours(connection):  # another may have made it meanwhile
                metadata.create_all(connection)
                known = {"version": str(VERSION), "instance": instance}
                connection.execute(
                    insert(meta), [{"name": name, "value": value} for name, value in known.items()]
                )
    elif not there:
        return False
    with engine.connect().execution_options(reads=True) as connection:
        version = connection.execute(select(meta.c.value).where(meta.c.name == "version")).scalar()
    if version is None or not version.isdigit():
        raise IntegrityError("what stands at [idsync] state is not an idsync state")
    if int(version) > VERSION:
        raise IntegrityError(
            f"the state has version {version}, this program knows {VERSION}: use the newer program"
        )
    return True


def _is_ours(connection: Connection) -> bool:
    """Tell whether a state stands there; False where nothing does.

    Raises:
        IntegrityError: something else stands there.
    """
    if connection.dialect.name == "postgresql":
        require_every_letter(connection)
    found = inspect(connection)
    tables = found.get_table_names()  # at once: another may be making them
    if meta.name not in tables:
        if not tables:
            return False
    elif set(meta.columns.keys()) <= {column["name"] for column in found.get_columns(meta.name)}:
        return True
    raise IntegrityError("what stands at [idsync] state belongs to another program")
