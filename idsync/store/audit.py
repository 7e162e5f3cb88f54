"""The audit: a chain of records for each controller, appended with what it tells of.

A record is written in the transaction of the thing itself, so there is never one without
the other. Each holds the hash of the one before; whoever appends holds the head of the
chain, so that it never forks. What stands outside the database is audit_checkpoints.py's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from idsync.errors import IdsyncError
from idsync.store.audit_checkpoints import Checkpoints
from idsync.store.audit_keys import keys_for
from idsync.store.audit_records import (
    CITY,
    START,
    Record,
    canonical,
    chained,
    refuse_floats,
    told_items,
)
from idsync.store.tables import audit, audit_head, journal

MOST_S = 50
"""After how many seconds what was appended is signed outside the database: within a minute."""


class Audit:
    """Appends to the chains."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.controllers: Mapping[str, str] = {}  # by target; one that is not named is its own
        self._checkpoints: Checkpoints | None = None
        self._turn = threading.Lock()
        self._signing = threading.Lock()
        self._timer: threading.Timer | None = None
        self.unwitnessed = ""  # why the last checkpoint could not be written

    def controller_of(self, target: str) -> str:
        """Return the controller that answers for *target*."""
        return self.controllers.get(target, target)

    # ── appending ───────────────────────────────────────────────────────────────────────

    def append(self, connection: Connection, records: Iterable[Record], now: datetime) -> None:
        """Append *records* in the transaction of the caller: at its end, and once in it.

        Two transactions that append to several chains take them in the same order.
        """
        by_controller: dict[str, list[Record]] = {}
        for record in records:
            by_controller.setdefault(record.controller, []).append(record)
        if not by_controller:
            return
        flat = [one for some in by_controller.values() for one in some]
        keys = keys_for(connection, (one.person_id for one in flat if one.person_id))
        if not connection.execute(select(audit_head.c.number).limit(1)).first():
            by_controller.setdefault(CITY, []).insert(0, _beginning(connection, flat))
        at = now.isoformat()
        for controller in sorted(by_controller):
            number, previous = _head(connection, controller)
            rows = []
            for record in by_controller[controller]:
                number += 1
                person = keys.get(record.person_id)
                alias = person.alias if person else ""
                if not record.operation:  # those hold what told_items makes
                    refuse_floats(record.facts)
                facts = canonical(record.facts)
                sealed = person.seal(record.sealed) if person and record.sealed else b""
                told = (controller, number, at, record.kind, record.target, alias)
                hashed = chained(previous, *told, record.operation, facts, sealed)
                rows.append(
                    dict(zip(NAMES, (*told, record.operation, facts, sealed, previous, hashed),
                             strict=True))
                )  # fmt: skip
                previous = hashed
                if len(rows) == AT_ONCE:  # a server ends who is silent in a transaction for long
                    connection.execute(insert(audit), rows)
                    rows = []
            if rows:
                connection.execute(insert(audit), rows)
            connection.execute(
                update(audit_head)
                .where(audit_head.c.controller == controller)
                .values(number=number, hash=previous)
            )
        self._soon()

    def note(self, now: datetime, *records: Record) -> None:
        """Append *records* in a transaction of their own."""
        with self._engine.begin() as connection:
            self.append(connection, records, now)

    def intended(
        self,
        connection: Connection,
        run: int,
        numbers: Sequence[int],
        operations: Sequence[tuple[str, str, pl.DataFrame]],
        now: datetime,
    ) -> None:
        """Append what is about to be sent (target, person, items) under these *numbers*."""
        records = []
        for number, (target, person_id, items) in zip(numbers, operations, strict=True):
            told, hidden = told_items(items)
            records.append(
                Record(
                    kind="intended", controller=self.controller_of(target), target=target,
                    person_id=person_id, operation=number, sealed=hidden,
                    facts={"run": run, "items": told},
                )
            )  # fmt: skip
        self.append(connection, records, now)

    def settled(
        self,
        connection: Connection,
        number: int,
        target: str,
        person_id: str,
        state: str,
        reason: str,
        standing: pl.DataFrame,
        now: datetime,
    ) -> None:
        """Append what became of an operation, and what stands of it."""
        facts: dict[str, Any] = {"state": state}
        hidden: dict[str, Any] = {"reason": reason} if reason else {}
        if state == "partly":  # of what is confirmed or submitted all stands, of the rest nothing
            facts["items"], told = told_items(standing)
            hidden |= told
        record = Record(
            kind="settled", controller=self.controller_of(target),
            target=target, person_id=person_id, operation=number,
            facts=facts, sealed=hidden or None,
        )  # fmt: skip
        self.append(connection, [record], now)

    # ── outside the database ────────────────────────────────────────────────────────────

    def witnessed_by(self, checkpoints: Checkpoints) -> None:
        """Sign what is appended from now on in *checkpoints*, and at once what was before."""
        self._checkpoints = checkpoints

    def witness(self) -> None:
        """Sign where every chain stands, outside the database, if that is news.

        Raises:
            IdsyncError: it cannot be written there.
        """
        with self._turn:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        # not within the other: who appends holds the database, and must wait for nobody who
        # wants it too
        with self._signing:
            if self._checkpoints is not None:
                self._checkpoints.write(self._engine)
                self.unwitnessed = ""

    def _soon(self) -> None:
        with self._turn:
            if self._checkpoints is None or self._timer is not None:
                return
            self._timer = threading.Timer(MOST_S, self.sign_off)
            self._timer.daemon = True
            self._timer.start()

    def sign_off(self) -> None:
        """Sign what was appended last; that it cannot be done stops nothing, and is kept."""
        try:
            self.witness()
        except (IdsyncError, DBAPIError, OSError) as error:
            self.unwitnessed = str(error) if isinstance(error, IdsyncError) else "not written"


AT_ONCE = 2000
NAMES = tuple(column.name for column in audit.columns)


def _head(connection: Connection, controller: str) -> tuple[int, bytes]:
    """Return where a chain stands, and keep it from everybody else until the transaction ends."""
    query = select(audit_head.c.number, audit_head.c.hash).where(
        audit_head.c.controller == controller
    )
    row = connection.execute(query.with_for_update()).first()
    if row is None:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        new = {"controller": controller, "number": 0, "hash": START}
        connection.execute(dialect.insert(audit_head).values(new).on_conflict_do_nothing())
        row = connection.execute(query.with_for_update()).one()
    return row.number, bytes(row.hash)


def _beginning(connection: Connection, records: list[Record]) -> Record:
    """Say up to where the journal is older than the audit, in the first record of all."""
    new = [record.operation for record in records if record.kind == "intended"]
    older = select(func.max(journal.c.id))
    if new:
        older = older.where(journal.c.id < min(new))
    return Record(kind="began", facts={"operations": connection.execute(older).scalar() or 0})
