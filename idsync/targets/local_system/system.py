"""The local access system: one file, several operators, a log of every write."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from idsync.model import GrantKind
from idsync.targets.local_system import store
from idsync.targets.local_system.session import Session, find, record_of
from idsync.targets.local_system.store import (
    BadContent,
    CardRecord,
    GrantRecord,
    HolderRecord,
    NotAllowed,
    ShortAnswer,
    SystemDown,
    whole_seconds,
)


@dataclass(frozen=True, slots=True)
class Event:
    """One write: who did what to whom, when. Numbers rise and are never used again."""

    number: int
    at: datetime
    by: str
    what: str
    native_id: str
    detail: dict[str, Any]


class LocalSystem:
    """The access system in the file *path*, opened anew for every operation.

    While there is no file, a system with leave to `create` answers from its `initial`
    content in memory, and the first write makes the file. Without that leave a missing
    file is a system that is down: it must never look like a system that holds nobody.
    A system with `rights` "closed" knows the rights of its initial content and those of
    `add_right`; an "open" one takes a new right into its catalogue at first use.
    """

    def __init__(
        self,
        path: Path,
        *,
        initial: Path | None = None,
        create: bool = False,
        rights: Literal["open", "closed"] = "open",
    ) -> None:
        self.path = path
        self._initial = initial
        self._create = create
        self._closed = rights == "closed"
        self._was_there = False

    # ── reading ─────────────────────────────────────────────────────────────────────────

    def records(self) -> Iterator[HolderRecord]:
        """Yield every cardholder and every card of nobody, and prove that these were all.

        One transaction: a write in the meantime is seen whole or not at all.

        Raises:
            SystemDown: no file, or it is damaged.
            ShortAnswer: fewer rows came out than the system counts.
        """
        with store.explained(self.path), self._reading() as connection:
            if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise SystemDown(f"{self.path}: the file is damaged: restore it from a backup")
            counted = connection.execute(store.COUNTS).fetchone()
            holders = cards = grants = 0
            for row in connection.execute(store.HOLDERS):
                record = record_of(row)
                holders += 1
                cards += len(record.credentials)
                grants += len(record.grants)
                yield record
            for [card] in connection.execute(store.CARDS_OF_NOBODY):
                cards += 1
                yield HolderRecord(key=None, credentials=[CardRecord.model_validate_json(card)])
            if (holders, cards, grants) != counted:
                raise ShortAnswer(
                    f"{self.path}: handed out {holders} cardholders, {cards} cards and "
                    f"{grants} grants, but counts {counted[0]}, {counted[1]} and {counted[2]}: "
                    "restore it from a backup"
                )

    def record(self, key: str) -> HolderRecord | None:
        """Return the cardholder with exactly this key, or None."""
        with store.explained(self.path), self._reading() as connection:
            return find(connection, "key", key)

    def events(self, after: int = 0) -> list[Event]:
        """Return the log of writes that follow event number *after*, oldest first."""
        with store.explained(self.path), self._reading() as connection:
            rows = connection.execute(
                "SELECT number, at, by, what, native_id, detail FROM event "
                "WHERE number > ? ORDER BY number",
                [after],
            )
            return [
                Event(number, datetime.fromisoformat(at), by, what, native_id, json.loads(detail))
                for number, at, by, what, native_id, detail in rows
            ]

    # ── writing ─────────────────────────────────────────────────────────────────────────

    @contextmanager
    def session(self, by: str) -> Iterator[Session]:
        """Let the operator *by* work: all that is done in one session happens, or nothing.

        Raises:
            SystemDown: no file, damaged, busy for five seconds, or no room.
            NotAllowed: the system will not do what was asked.
        """
        with store.explained(self.path):
            if self._is_new():
                store.create_file(self.path, self._fill)
            with closing(store.open_file(self.path)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield Session(connection, by, closed=self._closed)
                connection.execute("COMMIT")  # closing without it rolls back

    # ── what local administrators do ────────────────────────────────────────────────────

    def add_right(self, ref: str, kind: GrantKind = "access", *, by: str) -> None:
        """Take a right into the catalogue."""
        with self.session(by) as session:
            session.add_right(kind, ref)

    def add_by_hand(self, record: HolderRecord, *, by: str) -> str:
        """Add a cardholder with its cards and grants, or cards of nobody; return the native id."""
        with self.session(by) as session:
            return session.add_record(record)

    def grant_by_hand(
        self,
        who: str,
        ref: str,
        kind: GrantKind = "access",
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
        *,
        by: str,
        note: str = "",
    ) -> None:
        """Give a right to *who* (key or native id), whether or not they hold it already."""
        with self.session(by) as session:
            session.grant(session.someone(who).native_id, kind, ref, valid_from, valid_to, note)

    def remove_by_hand(
        self,
        who: str,
        ref: str,
        kind: GrantKind = "access",
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
        *,
        by: str,
    ) -> None:
        """Take away every grant of exactly this right and interval, whoever gave it."""
        with self.session(by) as session:
            holder = session.someone(who)
            interval = (whole_seconds(valid_from), whole_seconds(valid_to))
            for grant in _grants(holder, kind, ref):
                if (grant.valid_from, grant.valid_to) == interval:
                    session.withdraw(holder.native_id, grant)

    def edit_end(
        self, who: str, ref: str, valid_to: datetime | None, kind: GrantKind = "access", *, by: str
    ) -> None:
        """Give every grant of this right another end."""
        with self.session(by) as session:
            holder = session.someone(who)
            for grant in _grants(holder, kind, ref):
                session.set_end(holder.native_id, grant, valid_to)

    def suspend_by_hand(self, who: str, *, by: str) -> None:
        """Suspend a cardholder."""
        with self.session(by) as session:
            session.set_status(session.someone(who).native_id, "suspended")

    def issue_card(self, who: str, number: str, medium: str = "card", *, by: str) -> None:
        """Hand a new card to *who*."""
        with self.session(by) as session:
            session.issue_card(session.someone(who).native_id, number, medium)

    def move_card(self, number: str, who: str | None, *, by: str) -> None:
        """Move every card with this number to *who*, or to nobody."""
        with self.session(by) as session:
            session.move_card(number, session.someone(who).native_id if who else None)

    def delete_by_hand(self, who: str, *, by: str) -> None:
        """Delete a cardholder with its grants; its cards stay, without a holder."""
        with self.session(by) as session:
            session.delete_holder(session.someone(who).native_id)

    # ── the file ────────────────────────────────────────────────────────────────────────

    def _is_new(self) -> bool:
        if self.path.exists():
            self._was_there = True
            return False
        if self._was_there:
            raise SystemDown(f"the access system at {self.path} has gone: restore its file")
        if not self._create:
            raise SystemDown(
                f"no access system at {self.path}: check path, or create = true for a new one"
            )
        return True

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        is_new = self._is_new()
        connection = (
            sqlite3.connect(":memory:", isolation_level=None)
            if is_new
            else store.open_file(self.path)
        )
        with closing(connection):
            if is_new:
                self._fill(connection)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            yield connection

    def _fill(self, connection: sqlite3.Connection) -> None:
        connection.executescript(store.SCHEMA)
        connection.execute("BEGIN")
        session = Session(connection, "initial", closed=False)
        for number, record in store.lines(self._initial) if self._initial else ():
            try:
                session.add_record(record)
            except sqlite3.IntegrityError:
                raise BadContent(
                    f"{self._initial} line {number}: its key or native_id came before: "
                    "correct the file"
                ) from None
        connection.execute("COMMIT")


def _grants(holder: HolderRecord, kind: GrantKind, ref: str) -> list[GrantRecord]:
    found = [grant for grant in holder.grants if (grant.kind, grant.ref) == (kind, ref)]
    if not found:
        raise NotAllowed(f"the cardholder has no {kind} right {ref!r}")
    return found
