"""Several threads and processes begin at once, and each finds what the others write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Column, func, select

from idsync.mapping.believing import Verdict
from idsync.store import Snapshot, State, open_state
from idsync.store.putting import put
from idsync.store.tables import alarm, circuit, closing, meta, snapshot, verdict

pytest_plugins = ("tests.servers.state_fixtures",)

NOW = datetime(2026, 10, 1, 6, tzinfo=UTC)
READ = Snapshot(accepted_at=NOW.isoformat(), records=3, content="ab", proof="3", cursor=None)


def remembers(state: State, number: int) -> None:
    with state.engine.begin() as connection:
        state.remember(connection, "configuration", str(number))


def accepts(state: State, number: int) -> None:
    with state.engine.begin() as connection:
        state.accept(connection, "hr", READ)
        told = Verdict(complete=True, reason=str(number), doubts=())
        state.verdicts.keep(connection, "hr", told, NOW)


def notes(state: State, number: int) -> None:
    state.closings.note("id-1", "hall", "unknown", str(number), NOW)
    state.circuits.open("hall", str(number), NOW)


def alarms(state: State, number: int) -> None:
    state.alarms.stand({"run-stale": str(number)}, NOW)


@pytest.mark.parametrize(
    ("work", "columns"),
    [
        (remembers, {meta.c.name: "configuration"}),
        (accepts, {snapshot.c.source: "hr", verdict.c.source: "hr"}),
        (notes, {closing.c.target: "hall", circuit.c.target: "hall"}),
        (alarms, {alarm.c.name: "run-stale"}),
    ],
)
def test_what_several_write_first_at_the_same_moment_is_written_once(
    state: State,
    state_url: str,
    work: Callable[[State, int], None],
    columns: dict[Column[str], str],
) -> None:
    state.orders.revoke("id-1", "ended", "hr", NOW)
    others = [state, *(open_state(state_url) for _ in range(5))]
    begin = threading.Barrier(len(others))

    def at_once(number: int) -> None:
        begin.wait()
        work(others[number], number)

    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(at_once, range(len(others))))
    with state.engine.connect() as connection:
        for column, key in columns.items():
            found = select(func.count()).select_from(column.table).where(column == key)
            assert connection.execute(found).scalar() == 1
    for other in others[1:]:
        other.close()


def test_what_is_put_again_is_as_it_was_put_last(state: State) -> None:
    with state.engine.begin() as connection:
        put(connection, meta, {"name": "x", "value": "1"})
        put(connection, meta, {"name": "x", "value": "2"})
        put(connection, meta, {"name": "y", "value": "3"})
    assert (state.remembered("x"), state.remembered("y")) == ("2", "3")
