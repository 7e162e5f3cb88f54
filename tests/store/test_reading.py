"""Whoever only looks waits for nobody who writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from idsync.plan.items import LEDGER
from idsync.store import State, open_state
from idsync.store.audit_reading import begins_at, of_person, of_right
from idsync.store.audit_verifying import verify
from tests.plan.examples import NOW
from tests.store.test_journal import adds, intend

DAY = date(2026, 10, 1)

LOOKS: dict[str, Callable[[State], object]] = {
    "alarms": lambda state: state.alarms.all(),
    "approvals": lambda state: (state.orders.waiting(), state.orders.approved(NOW)),
    "audit, a person": lambda state: of_person(state.engine, "id-1"),
    "audit, a right": lambda state: of_right(state.engine, "hall", "ENTRÉ"),
    "audit, its beginning": lambda state: begins_at(state.engine, [""]),
    "audit, whole": lambda state: verify(state.engine, None, []),
    "circuits": lambda state: state.circuits.all(),
    "closings": lambda state: state.closings.unconfirmed(["hall"]),
    "events": lambda state: (state.inbox.open(NOW), state.inbox.at_once("hr", NOW)),
    "events, alarms": lambda state: (state.inbox.alarms(NOW), state.inbox.reread_wanted()),
    "events, old ones": lambda state: state.inbox.forget(NOW),
    "frames": lambda state: (state.frames.names(""), state.frames.load("ledger:hall", LEDGER)),
    "height": lambda state: state.height(),
    "journal": lambda state: (
        state.journal.unsettled(), state.journal.submitted(), state.journal.since("hall", NOW),
        state.journal.ledger("hall"), state.journal.changed_since(NOW),
        state.journal.states([1]), state.journal.of_person("id-1"),
    ),
    "nights": lambda state: (
        state.nights.of(DAY), state.nights.before(DAY), state.nights.last()
    ),
    "revocations": lambda state: (
        state.orders.revocations(), state.orders.is_revoked("id-1"), state.orders.lifted(["id-1"])
    ),
    "runs": lambda state: state.runs(),
    "sources": lambda state: (state.snapshot("hr"), state.verdicts.last("hr")),
}  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[State]:
    """A state that another program has begun to write to, and that waits for nobody."""
    file = tmp_path / "idsync.db"
    url = f"sqlite:///{file}"
    first = open_state(url)
    intend(first, adds())
    first.orders.revoke("id-1", "ended", "hr", NOW)
    first.close()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        state = open_state(url)
        with state.engine.connect().execution_options(reads=True) as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 20")  # in place of 30 s
        yield state
        other.execute("ROLLBACK")
        state.close()


def test_who_looks_waits_for_nobody_who_writes(kept: State) -> None:
    for look in LOOKS.values():
        look(kept)


def test_a_state_of_another_is_looked_at_while_it_is_written(kept: State) -> None:
    file = kept.engine.url.database
    looking = open_state(f"sqlite:///{file}", create=False)
    assert looking.orders.is_revoked("id-1")
    looking.close()
