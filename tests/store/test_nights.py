"""A night is somebody's or nobody's: what hinders its claim is not taken for another's claim."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from idsync.errors import Unavailable
from idsync.store import State, open_state
from tests.plan.examples import NOW
from tests.servers.postgres import Database

pytest_plugins = ("tests.servers.state_fixtures",)

DAY, NEXT = date(2026, 10, 1), date(2026, 10, 2)


def test_a_night_that_somebody_has_is_claimed_by_nobody_else(state: State) -> None:
    assert state.nights.claim(DAY, "one machine", NOW)
    assert not state.nights.claim(DAY, "another machine", NOW)
    assert not state.nights.note(DAY, "missed", NOW)
    night = state.nights.of(DAY)
    assert night is not None
    assert (night.claimed_by, night.outcome) == ("one machine", "")


@pytest.mark.postgres
def test_a_night_that_a_standby_does_not_take_is_nobodys(
    postgres_database: Database, postgres_url: str
) -> None:
    first = open_state(postgres_url)
    assert first.nights.claim(DAY, "one machine", NOW)
    first.close()
    name = postgres_database.name
    postgres_database.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    state = open_state(postgres_url)
    assert not state.nights.claim(DAY, "another machine", NOW)
    with pytest.raises(Unavailable, match="only be read"):
        state.nights.claim(NEXT, "another machine", NOW)
    assert state.nights.of(NEXT) is None
    state.close()


def test_a_night_that_another_program_keeps_from_being_written_is_nobodys(file: Path) -> None:
    state = open_state(f"sqlite:///{file}")
    with state.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")  # in place of 30 s
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="kept by another program"):
            state.nights.claim(DAY, "one machine", NOW)
        assert state.nights.of(DAY) is None
        other.execute("ROLLBACK")
    assert state.nights.claim(DAY, "one machine", NOW)
    state.close()
