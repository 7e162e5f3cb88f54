"""Opening the state, and the facts that do not belong to one part of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import Connection, Engine, func, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError

from idsync.errors import ConfigError, IntegrityError, NoRoom
from idsync.store.alarms import Alarms
from idsync.store.audit import Audit
from idsync.store.audit_records import Record
from idsync.store.circuits import Circuits
from idsync.store.closings import Closings
from idsync.store.engines import MAKING, alone, file_engine, memory_engine
from idsync.store.frames import Frames
from idsync.store.inbox import Inbox
from idsync.store.journal import Journal
from idsync.store.migrations import look_through_views, migrate, version_of
from idsync.store.nights import Nights
from idsync.store.oncall import Calls
from idsync.store.orders import Orders
from idsync.store.postgres import postgres_engine, require_every_letter
from idsync.store.putting import put
from idsync.store.reserve import Reserve
from idsync.store.running import one_run
from idsync.store.sqlite import NO_ROOM
from idsync.store.tables import VERSION, journal, meta, metadata, revocation, run, snapshot
from idsync.store.turns import REVOCATIONS, Held, call, taken
from idsync.store.verdicts import Verdicts
from idsync.store.witness import Height, Witness


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

    def __init__(self, engine: Engine, file: Path | None, witness: Witness | None = None) -> None:
        self.engine = engine
        self._file = file
        self._witness = witness
        self._reserve = Reserve(file) if file is not None else None
        self._urgent = Event()
        self.frames = Frames(engine)
        self.audit = Audit(engine)
        self.journal = Journal(engine, self.frames, self.audit, self.note)
        self.orders = Orders(engine, self.audit, lambda: self.note(surely=True))
        self.inbox = Inbox(engine, self.audit, self.orders, lambda: self.note(surely=True))
        self.circuits = Circuits(engine)
        self.closings = Closings(engine, self.orders)
        self.verdicts = Verdicts(engine)
        self.nights = Nights(engine)
        self.alarms = Alarms(engine)
        self.calls = Calls(engine)

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
        put(connection, meta, {"name": name, "value": value})

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
        put(connection, snapshot, {"source": source, **vars(accepted)})

    def begin_run(self, command: str, now: datetime) -> int:
        """Note that a run begins; return its number."""
        with self.engine.begin() as connection:
            begun = connection.execute(
                insert(run).values(command=command, started_at=now.isoformat()).returning(run.c.id)
            )
            number = int(begun.scalar_one())
            told = {"run": number, "command": command}
            self.audit.append(connection, [Record(kind="started", facts=told)], now)
        self.note(surely=True)
        return number

    def end_run(self, number: int, outcome: str, summary: dict[str, Any], now: datetime) -> None:
        """Note how a run ended."""
        with self.engine.begin() as connection:
            connection.execute(
                update(run)
                .where(run.c.id == number)
                .values(ended_at=now.isoformat(), outcome=outcome, summary=json.dumps(summary))
            )
            told = {"run": number, "outcome": outcome}
            self.audit.append(connection, [Record(kind="ended", facts=told)], now)
        self.audit.sign_off()

    def runs(self, last: int = 5) -> list[dict[str, Any]]:
        """Return the newest runs: id, command, started_at, ended_at, outcome, summary."""
        with self.engine.connect().execution_options(reads=True) as connection:
            rows = connection.execute(select(run).order_by(run.c.id.desc()).limit(last))
            return [
                {**row._mapping, "summary": json.loads(row.summary) if row.summary else None}
                for row in rows
            ]

    def last_run(self, command: str) -> datetime | None:
        """Return when the newest run of *command* began; None: there was none."""
        query = select(func.max(run.c.started_at)).where(run.c.command == command)
        with self.engine.connect().execution_options(reads=True) as connection:
            begun = connection.execute(query).scalar()
        return datetime.fromisoformat(begun) if begun else None

    @contextmanager
    def run_lock(self) -> Iterator[None]:
        """Keep every other run out; a run that dies lets go by itself.

        Raises:
            Unavailable: another run is at work; it is told which, and since when.
            ConfigError: no lock holds where the state stands.
        """
        with ExitStack() as held:
            with self.urgent():  # a full disk keeps no run from its revocations
                mine = held.enter_context(one_run(self.engine, self._file))
            held.enter_context(self.journal.only_while(mine))
            yield

    @contextmanager
    def revoking(self, heard: Callable[[], None]) -> Iterator[Held | None]:
        """Be the one of several processes that obeys events and pursues revocations.

        None where another is. *heard* is called when another process has work for the one who
        is. Only in PostgreSQL there may be several.
        """
        with taken(self.engine, REVOCATIONS, heard) as held:
            yield held

    def call(self) -> None:
        """Let the process that obeys and pursues look at once."""
        with self.engine.begin() as connection:
            call(connection)

    # ── room ────────────────────────────────────────────────────────────────────────────

    def require_room(self) -> None:
        """Raise NoRoom while the room kept for revocations is not whole: nothing else goes on."""
        if self._reserve is not None and not self._reserve.make():
            raise NoRoom(str(NO_ROOM))

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Within it the room kept for revocations may be used, and the witness may fail."""
        with ExitStack() as held:
            if self._reserve is not None:
                held.enter_context(self._reserve.opened_if_needed())
            if not self._urgent.is_set():
                self._urgent.set()
                held.callback(self._urgent.clear)
            yield

    # ── how far it has come ─────────────────────────────────────────────────────────────

    def height(self) -> Height:
        """Return how far this state has come."""
        newest = [
            select(func.max(table.c.id)).scalar_subquery() for table in (run, journal, revocation)
        ]
        epoch = select(meta.c.value).where(meta.c.name == "epoch").scalar_subquery()
        with self.engine.connect().execution_options(reads=True) as connection:
            row = connection.execute(select(epoch, *newest)).one()
        return Height(
            instance=str(self.instance), epoch=int(row[0] or 0), runs=row[1] or 0,
            operations=row[2] or 0, orders=row[3] or 0,
        )  # fmt: skip

    def note(self, *, surely: bool = False) -> None:
        """Tell the witness how far this state has come; one that fails holds no revocation up."""
        harmless = (ConfigError, IntegrityError) if self._urgent.is_set() else ()
        if self._witness is not None:
            with suppress(*harmless):
                self._witness.note(self.height(), surely=surely)

    def behind(self) -> Height | None:
        """Return what the witness saw, where this state does not know all of it.

        Once found out it stays so until a rebuild, however far orders bring it meanwhile.
        """
        seen = self._witness.seen() if self._witness is not None else None
        height = self.height()
        if self.remembered("behind"):
            return seen or height
        return seen if seen is not None and not height.reaches(seen) else None

    def stay_behind(self) -> None:
        """Remember that this state is an old one."""
        with self.urgent(), self.engine.begin() as connection:
            self.remember(connection, "behind", "yes")

    def begin_epoch(self, connection: Connection) -> None:
        """Count this state as the newest from now on, whatever any witness saw."""
        seen = self._witness.seen() if self._witness is not None else None
        epoch = max(self.height().epoch, seen.epoch if seen else 0) + 1
        self.remember(connection, "epoch", str(epoch))
        self.remember(connection, "behind", "")

    def close(self) -> None:
        """Let go of the database."""
        self.audit.sign_off()
        self.engine.dispose()


def open_state(
    url: str,
    *,
    create: bool = True,
    instance: str = "",
    witness: Path | None = None,
    doubtful: bool = False,
) -> State:
    """Return the state at *url*, made new where there is none.

    With *create* false nothing is written: a state that does not exist is played in
    memory, and one of an older program is looked at as it is. Else that is migrated.
    *instance* is the namespace a new state gets; without one it follows from where the
    state stands. *witness* is the file that tells how far the state had come; a *doubtful*
    state is opened whatever it tells.

    Raises:
        ConfigError: the state cannot be opened or made there.
        IntegrityError: what stands there is no idsync state, is damaged, is newer than the
            program, or older than what was done.
        Unavailable: its database does not answer.
    """
    named = instance or str(uuid5(NAMESPACE_URL, f"idsync:{socket.gethostname()}:{url}"))
    beside = Witness(witness) if witness is not None else None
    if not url.startswith("sqlite:///"):
        state = _opened(postgres_engine(url), None, named, create, beside)
    else:
        state = _opened_file(Path(url.removeprefix("sqlite:///")), named, create, beside)
    try:
        if doubtful:
            with suppress(IntegrityError):  # of a damaged witness
                if state.behind() and create:
                    state.stay_behind()
        elif seen := state.behind():
            raise IntegrityError(OLDER if seen.instance == str(state.instance) else ANOTHER)
    except BaseException:
        state.close()
        raise
    return state


OLDER = (
    "the state is older than what was done, as if a copy had been restored: put the newest copy "
    "back, or let `idsync rebuild` find out from the systems what stands"
)

ANOTHER = (
    "the state is not the one that this machine has worked on: check [idsync] state, is it another "
    "city's? Where a new one is meant to begin here, take the witness away"
)


def _opened_file(file: Path, instance: str, create: bool, witness: Witness | None) -> State:
    if not create and not (file.exists() and file.stat().st_size):
        return _opened(memory_engine(), None, instance, True, witness)
    try:
        return _opened(file_engine(file), file, instance, create, witness)
    except NoRoom:
        if not create or not Reserve(file).release():
            raise
    return _opened(file_engine(file), file, instance, create, witness)


def _opened(
    engine: Engine, file: Path | None, instance: str, create: bool, witness: Witness | None
) -> State:
    try:
        there = _prepare(engine, instance, create)
    except DBAPIError:
        engine.dispose()
        raise ConfigError(
            "the state cannot be opened: check [idsync] state, its folder and its rights"
        ) from None
    except BaseException:
        engine.dispose()
        raise
    if not there:
        engine.dispose()
        return _opened(memory_engine(), None, instance, True, witness)
    return State(engine, file, witness)


def _prepare(engine: Engine, instance: str, create: bool) -> bool:
    """Make a new state whole or not at all, if it may; tell whether there is one."""
    with engine.connect().execution_options(reads=True) as connection:
        there = _is_ours(connection)
        older = there and version_of(connection) < VERSION
    if not there and not create:
        return False
    if older and not create:
        look_through_views(engine)
        return True
    if older or not there:
        with engine.begin() as connection:
            alone(connection, MAKING)
            if _is_ours(connection):  # another may have made it meanwhile
                migrate(connection)
                return True
            metadata.create_all(connection)
            known = {"version": str(VERSION), "instance": instance}
            connection.execute(
                insert(meta), [{"name": name, "value": value} for name, value in known.items()]
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
