"""The state opens only what is its own, lets one run in at a time, and is private."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy import update

from idsync.errors import ConfigError, IntegrityError, Unavailable
from idsync.store import Snapshot, State, open_state
from idsync.store.tables import meta
from tests.plan.examples import NOW


def open_again(file: Path) -> State:
    return open_state(f"sqlite:///{file}")


def test_a_state_newer_than_the_program_is_refused(state: State, file: Path) -> None:
    with state.engine.begin() as connection:
        connection.execute(update(meta).where(meta.c.name == "version").values(value="2"))
    with pytest.raises(IntegrityError, match="newer"):
        open_again(file)


def test_a_state_without_a_version_is_refused(state: State, file: Path) -> None:
    with state.engine.begin() as connection:
        connection.execute(update(meta).where(meta.c.name == "version").values(value="x"))
    with pytest.raises(IntegrityError):
        open_again(file)


@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_database_is_refused_and_left(tmp_path: Path, create: bool) -> None:
    file = tmp_path / "letter.txt"
    file.write_bytes(b"Hej!" * 500)
    with pytest.raises(IntegrityError, match="not an idsync state"):
        open_state(f"sqlite:///{file}", create=create)
    assert file.read_bytes() == b"Hej!" * 500


@pytest.mark.parametrize("create", [True, False])
def test_the_database_of_another_program_is_refused_and_left(tmp_path: Path, create: bool) -> None:
    file = tmp_path / "other.db"
    other = sqlite3.connect(file)
    other.execute("create table letters (body text)")
    other.commit()
    with pytest.raises(IntegrityError):
        open_state(f"sqlite:///{file}", create=create)
    assert other.execute("select name from sqlite_master").fetchall() == [("letters",)]
    other.close()


def test_a_state_that_only_looks_writes_no_file(file: Path) -> None:
    state = open_state(f"sqlite:///{file}", create=False)
    state.orders.revoke("id-1", "x", "hr", NOW)
    with state.run_lock():
        assert state.orders.is_revoked("id-1")
    state.close()
    assert not file.parent.exists()


def test_a_state_can_not_be_made_where_nobody_may_write(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file, not a folder")
    with pytest.raises(ConfigError):
        open_again(tmp_path / "var" / "idsync.db")


def test_only_the_owner_can_read_the_state(state: State, file: Path) -> None:
    state.orders.revoke("id-1", "x", "hr", NOW)
    kept = [one for one in file.parent.iterdir() if one.name.startswith("idsync.db")]
    assert len(kept) > 1  # what is being written stands beside it
    assert {stat.S_IMODE(one.stat().st_mode) for one in kept} == {0o600}


def test_a_run_keeps_every_other_run_out_and_lets_go(state: State, file: Path) -> None:
    other = open_again(file)
    with state.run_lock():
        with pytest.raises(Unavailable), other.run_lock():
            pytest.fail("two runs at once")
        other.orders.revoke("id-1", "x", "hr", NOW)  # an order never waits for a run
    with other.run_lock(), pytest.raises(Unavailable), state.run_lock():
        pytest.fail("two runs at once")
    other.close()


def test_the_namespace_of_ids_stays_what_it_was(state: State, file: Path) -> None:
    again = open_state(f"sqlite:///{file}", instance="11111111-1111-1111-1111-111111111111")
    assert again.instance == state.instance
    again.close()


def test_what_is_remembered_is_the_last_that_was_said(state: State) -> None:
    assert state.remembered("adopted:hall") == ""
    for value in ("först", "sedan"):
        with state.engine.begin() as connection:
            state.remember(connection, "adopted:hall", value)
    assert state.remembered("adopted:hall") == "sedan"


def test_the_last_accepted_read_of_a_source_is_known(state: State) -> None:
    assert state.snapshot("hr") is None
    for records in (3, 4):
        read = Snapshot(
            accepted_at=NOW.isoformat(), records=records, content="c", proof="trailer", cursor=None
        )
        with state.engine.begin() as connection:
            state.accept(connection, "hr", read)
    assert state.snapshot("hr") == read
    assert state.snapshot("lms") is None


def test_runs_are_told_newest_first(state: State) -> None:
    first, second = state.begin_run("plan", NOW), state.begin_run("sync", NOW)
    state.end_run(first, "planned", {"writes": 0}, NOW)
    runs = state.runs()
    assert [one["id"] for one in runs] == [second, first]
    assert (runs[1]["outcome"], runs[1]["summary"]) == ("planned", {"writes": 0})
    assert runs[0]["summary"] is None
    assert len(state.runs(1)) == 1
