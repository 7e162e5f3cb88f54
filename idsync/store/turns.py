"""What one process of several does at a time: a lock of PostgreSQL's whose holder beats.

The lock belongs to a session and ends with it, so who dies lets go at once. Who is only stopped
keeps the session: its holder therefore uses it every few seconds, and whoever waits ends a
session that has been idle for too long. Only the clock of the database counts.

Facts from the PostgreSQL manual: 13.3.5 (advisory locks), 27.2.3 (pg_stat_activity), 9.28.2
(pg_terminate_backend: of the same role), NOTIFY (told when the transaction commits).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from idsync.errors import IdsyncError, Unavailable
from idsync.store.engines import LOCKS, SESSIONS
from idsync.together import sleep

BEATS = "idsync beats"
"""What such a session calls itself. An older program's does not beat, and is never ended."""

CHANNEL = "idsync"


@dataclass(frozen=True)
class Turn:
    """What is done by one at a time: its lock, and how often its holder beats, at most how late."""

    lock: int
    beat_s: float
    silent_s: float


RUNS = Turn(LOCKS, 3.0, 12.0)
REVOCATIONS = Turn(LOCKS + 1, 1.0, 3.0)

TAKE = text("SELECT CASE WHEN pg_try_advisory_lock(:lock) THEN pg_backend_pid() END")
LET_GO = text("SELECT pg_advisory_unlock(:lock)")
STILL = text(
    """
    SELECT 1 FROM pg_locks
    WHERE locktype = 'advisory' AND (classid, objid, objsubid) = (0, :lock, 1) AND granted
    AND pid = :pid
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)
END_SILENT = text(
    """
    SELECT pg_terminate_backend(held.pid) FROM pg_locks AS held
    JOIN pg_stat_activity AS session ON session.pid = held.pid
    WHERE held.locktype = 'advisory' AND held.granted
    AND (held.classid, held.objid, held.objsubid) = (0, :lock, 1)
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND session.application_name = :beats AND session.state = 'idle'
    AND clock_timestamp() - session.state_change > make_interval(secs => :silent)
    """
)

END_STUCK = text(
    """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name = :ours
    AND state LIKE 'idle in transaction%'
    AND clock_timestamp() - state_change > make_interval(secs => :silent / 2.0)
    """
)
"""Whoever is silent may have been in a transaction, whose locks would hold its heir up.

It is said for some time: of two such transactions one may have waited for the other.
"""


class Held:
    """A turn that is this process's, until it is let go or lost."""

    def __init__(
        self,
        session: Connection,
        turn: Turn,
        pid: int,
        heard: Callable[[], None] | None,
        inherited: bool = False,
    ) -> None:
        self._session, self._turn, self._pid, self._heard = session, turn, pid, heard
        self._clears_until = time.monotonic() + 3 * turn.silent_s if inherited else 0.0
        self._over = threading.Event()
        self._beaten = time.monotonic()
        self._ended = False
        self._beating = threading.Thread(target=self._beat, name="beating", daemon=True)
        self._beating.start()

    @property
    def lost(self) -> bool:
        """Whether the session has ended, or no beat came through for so long that it may have."""
        return self._ended or time.monotonic() - self._beaten > self._turn.silent_s

    @property
    def fresh(self) -> bool:
        """Whether it has beaten so lately that nobody can have ended its session for silence."""
        return not self.lost and time.monotonic() - self._beaten < self._turn.silent_s / 2

    def still(self, connection: Connection) -> None:
        """Raise Unavailable where the turn is this process's no longer, as *connection* sees."""
        known = {"lock": self._turn.lock, "pid": self._pid}
        if connection.execute(STILL, known).scalar() is None:
            raise Unavailable(
                "the database ended the session that keeps other runs out, so this run "
                "stops before it sends more: run again"
            )

    def let_go(self) -> None:
        """Give the turn to whoever waits for it."""
        self._over.set()
        self._beating.join()
        if not (self._session.invalidated or self.lost):
            with suppress(IdsyncError):  # the session may be gone, and the lock with it
                self._session.execute(LET_GO, {"lock": self._turn.lock})

    def _beat(self) -> None:
        try:
            if self._heard is not None:
                self._session.exec_driver_sql(f"LISTEN {CHANNEL}")
            while not self._over.is_set():
                if self._heard is None:
                    self._over.wait(self._turn.beat_s)
                elif self._called():
                    self._heard()
                begun = time.monotonic()
                self._session.exec_driver_sql("SELECT 1")
                self._beaten = begun
                if begun < self._clears_until:
                    _end_stuck(self._session, self._turn)
        except IdsyncError:
            self._ended = True

    def _called(self) -> bool:
        """Wait for a call, as long as may be between two beats."""
        driver: Any = self._session.connection.driver_connection
        try:
            return bool(list(driver.notifies(timeout=self._turn.beat_s, stop_after=1)))
        except driver.Error:
            raise Unavailable("the session of the turn has ended") from None


@contextmanager
def taken(
    engine: Engine, turn: Turn, heard: Callable[[], None] | None = None
) -> Iterator[Held | None]:
    """Take *turn*, or give None where another has it and beats.

    *heard* is called when somebody calls: see `call`.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        pid, inherited = _take(session, turn)
        if pid is None:
            yield None
            return
        session.exec_driver_sql(f"SET application_name = '{BEATS}'")
        driver: Any = session.connection.driver_connection
        driver.sign_s = turn.silent_s
        held = Held(session, turn, pid, heard, inherited)
        try:
            yield held
        finally:
            held.let_go()
            session.invalidate()  # nobody is given a session that listens


def _take(session: Connection, turn: Turn) -> tuple[int | None, bool]:
    """Take the lock of *turn*; return the session's process, and whether one was ended for it.

    The process is None where another beats.
    """
    known, ended = {"lock": turn.lock}, False
    pid = session.execute(TAKE, known).scalar()
    if pid is None:
        silent = {**known, "beats": BEATS, "silent": turn.silent_s}
        ended = bool(session.execute(END_SILENT, silent).all())
        if ended:
            _end_stuck(session, turn)
            until = time.monotonic() + 2
            while pid is None and time.monotonic() < until:
                sleep(0.05)
                pid = session.execute(TAKE, known).scalar()
    return (None if pid is None else int(pid)), ended


def _end_stuck(session: Connection, turn: Turn) -> None:
    session.execute(END_STUCK, {"ours": SESSIONS, "silent": turn.silent_s})


def call(connection: Connection) -> None:
    """Call whoever has the turn of REVOCATIONS, when this transaction commits."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")
