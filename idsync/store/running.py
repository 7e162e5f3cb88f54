"""One run at a time: who is at it, since when, and what stops a run that another replaced."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from sqlalchemy import Connection, Engine, insert, select, update

from idsync.errors import ConfigError, IntegrityError, Unavailable
from idsync.store.tables import meta
from idsync.store.turns import RUNS, taken

Allowed = Callable[[Connection], None]


@dataclass(frozen=True)
class Mine:
    """Both raise Unavailable once this run is not the one at work any longer.

    written: within a transaction, and until it commits no other run begins. sent: before a
    call to a system; it asks the database only where this process may have slept.
    """

    written: Allowed = lambda _: None
    sent: Callable[[], None] = lambda: None


OWNER = "run:owner"
"""Under this name stands in `meta` which run is at work, or was last."""


@contextmanager
def one_run(engine: Engine, file: Path | None) -> Iterator[Mine]:
    """Keep every other run out, and give what tells whether this run is still the one.

    Raises:
        Unavailable: another run is at work, or has taken over.
        IntegrityError: SQLite's file is damaged.
        ConfigError: no lock holds where the state stands.
    """
    if file is not None:
        with _file_lock(file.with_name(file.name + ".lock")) as mine:
            if not mine:
                raise _busy(engine)
            _require_whole(engine)
            yield Mine(_owner(engine))
    elif engine.dialect.name == "postgresql":
        with taken(engine, RUNS) as held:
            if held is None:
                raise _busy(engine)
            newest = _owner(engine)

            def both(connection: Connection) -> None:
                held.still(connection)
                newest(connection)

            def sent() -> None:
                if not held.fresh:
                    with engine.connect().execution_options(reads=True) as connection:
                        both(connection)

            yield Mine(both, sent)
    else:
        yield Mine()


@contextmanager
def _file_lock(file: Path) -> Iterator[bool]:
    """Lock *file*, and tell whether that was possible; a process that dies lets go by itself."""
    try:
        handle = file.open("a")
    except OSError:
        raise ConfigError(
            "no run can be kept out: the folder of [idsync] state may not be written"
        ) from None
    with handle:
        mine = _taken(handle)
        if mine:
            with file.open("a") as probe:
                if _taken(probe):
                    raise _no_locks()
        yield mine


def _taken(handle: TextIO) -> bool:
    """Lock what is open as *handle*; False where another has the lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        raise _no_locks() from None
    return True


def _no_locks() -> ConfigError:
    return ConfigError(
        "no lock holds where the state stands: put it on a disk of this machine, or in PostgreSQL"
    )


def _busy(engine: Engine) -> Unavailable:
    with engine.connect().execution_options(reads=True) as connection:
        told = connection.execute(select(meta.c.value).where(meta.c.name == OWNER)).scalar()
    who = ""
    if told:
        owner = json.loads(told)
        since = datetime.fromisoformat(owner["since"]).strftime("%Y-%m-%d %H:%M:%S UTC")
        who = f" (process {owner['process']} on {owner['host']}, since {since})"
    return Unavailable(f"another idsync run is at work on this state{who}: wait for it to end")


def _require_whole(engine: Engine) -> None:
    """Raise IntegrityError where the pages of the file, or an index and its table, do not agree.

    Once a run: about a second for 100,000 operations. What stands on the pages is told by digests.
    """
    with engine.connect().execution_options(reads=True) as connection:
        found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
    if found != "ok":
        raise IntegrityError("the state is damaged: restore its last copy, then `idsync rebuild`")


def _owner(engine: Engine) -> Allowed:
    """Write this run down as the one at work; return what tells whether it still is."""
    wanted = select(meta.c.value).where(meta.c.name == OWNER)
    with engine.begin() as connection:
        told = connection.execute(wanted).scalar()
        turn = json.loads(told)["turn"] + 1 if told else 1
        since = datetime.now(UTC).isoformat()
        owner = json.dumps(
            {"turn": turn, "process": os.getpid(), "host": socket.gethostname(), "since": since}
        )
        if told:
            connection.execute(update(meta).where(meta.c.name == OWNER).values(value=owner))
        else:
            connection.execute(insert(meta).values(name=OWNER, value=owner))

    def still(connection: Connection) -> None:
        # shared: whoever would take over waits until what is written beside this is durable
        if connection.execute(wanted.with_for_update(read=True)).scalar() != owner:
            raise Unavailable(
                "another run has taken this state over, so this run stops before it sends more: "
                "see to it that one machine alone works on it"
            )

    return still
