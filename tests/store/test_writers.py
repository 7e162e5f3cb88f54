"""Writers of one process take turns: nobody is left out, and an event goes first."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from idsync.store import open_state
from idsync.store.writers import Turns


def waits(turns: Turns, many: int) -> None:
    """Return once so many threads wait for a turn."""
    until = time.monotonic() + 30
    while len(turns._first) + len(turns._rest) < many:
        assert time.monotonic() < until
        time.sleep(0.001)


def test_turns_come_in_the_order_of_asking_and_events_before_the_rest() -> None:
    turns, order = Turns(), list[str]()

    def write(name: str, first: bool) -> Callable[[], None]:
        def work() -> None:
            assert turns.take(30, first=first)
            order.append(name)
            turns.end()

        return work

    assert turns.take(0)
    threads = []
    for name, first in (("a", False), ("b", False), ("event", True), ("c", False)):
        threads.append(threading.Thread(target=write(name, first)))
        threads[-1].start()
        waits(turns, len(threads))
    turns.end()
    for one in threads:
        one.join(30)
    assert order == ["event", "a", "b", "c"]
    assert turns.take(0), "and it is free again"


def test_who_waits_in_vain_leaves_the_queue() -> None:
    turns = Turns()
    assert turns.take(0)
    assert not turns.take(0.01)
    turns.end()
    assert turns.take(0)


def test_one_at_a_time_has_it_however_many_ask() -> None:
    turns, inside, most = Turns(), [0], [0]

    def write(number: int) -> None:
        for _ in range(50):
            if turns.take(0.0005 if number % 2 else 30, first=number % 3 == 0):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1
                turns.end()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert most == [1]
    assert turns.take(0)


def test_a_turn_that_is_handed_on_as_the_wait_ends_is_had(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()

    class Gate:
        """Of which the wait ends in vain, just as the turn is handed on."""

        def acquire(self, timeout: float = -1) -> bool:
            if timeout == -1:
                return True
            turns.end()
            return False

        def release(self) -> None:
            """Hand it on: nobody waits at this moment."""

    assert turns.take(0)
    monkeypatch.setattr("idsync.store.writers.threading.Lock", Gate)
    assert turns.take(30)
    assert not list(turns._first) + list(turns._rest)


def test_a_commit_that_leaves_the_transaction_open_keeps_the_turn(tmp_path: Path) -> None:
    state = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    connection = state.engine.raw_connection()
    raw: Any = connection.driver_connection
    raw.execute("CREATE TABLE whole (id INTEGER PRIMARY KEY)")
    raw.execute("CREATE TABLE piece (of REFERENCES whole DEFERRABLE INITIALLY DEFERRED)")
    raw.execute("PRAGMA foreign_keys = ON")
    raw.take_turn(first=False)
    raw.execute("BEGIN IMMEDIATE")
    raw.execute("INSERT INTO piece VALUES (7)")
    with pytest.raises(sqlite3.IntegrityError):
        raw.commit()
    assert (raw.in_transaction, raw.has_turn) == (True, True)
    raw.rollback()
    assert not raw.has_turn
    connection.close()
    state.close()
