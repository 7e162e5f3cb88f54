"""The state opens only what is its own, lets one run in at a time, and is private."""

from __future__ import annotations

import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import select, update

from idsync.errors import ConfigError, IntegrityError, Unavailable
from idsync.store import Snapshot, State, open_state
from idsync.store import state as state_module
from idsync.store.tables import VERSION, meta
from tests.plan.examples import NOW

pytest_plugins = ("tests.servers.state_fixtures",)


def test_a_state_newer_than_the_program_is_refused(state: State, state_url: str) -> None:
    with state.engine.begin() as connection:
        connection.execute(
            update(meta).where(meta.c.name == "version").values(value=str(VERSION + 1))
        )
    with pytest.raises(IntegrityError, match="newer"):
        open_state(state_url)


def test_a_state_without_a_version_is_refused(state: State, state_url: str) -> None:
    with state.engine.begin() as connection:
        connection.execute(update(meta).where(meta.c.name == "version").values(value="x"))
    with pytest.raises(IntegrityError):
        open_state(state_url)


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
        open_state(f"sqlite:///{tmp_path}/var/idsync.db")


def test_only_the_owner_can_read_the_state(file: Path) -> None:
    state = open_state(f"sqlite:///{file}")
    state.orders.revoke("id-1", "x", "hr", NOW)
    kept = [one for one in file.parent.iterdir() if one.name.startswith("idsync.db")]
    assert len(kept) > 1  # what is being written stands beside it
    assert {stat.S_IMODE(one.stat().st_mode) for one in kept} == {0o600}
    state.close()


def test_a_run_keeps_every_other_run_out_and_lets_go(state: State, state_url: str) -> None:
    other = open_state(state_url)
    with state.run_lock():
        with pytest.raises(Unavailable), other.run_lock():
            pytest.fail("two runs at once")
        other.orders.revoke("id-1", "x", "hr", NOW)  # an order never waits for a run
    with other.run_lock(), pytest.raises(Unavailable), state.run_lock():
        pytest.fail("two runs at once")
    other.close()


def test_the_namespace_of_ids_stays_what_it_was(state: State, state_url: str) -> None:
    again = open_state(state_url, instance="11111111-1111-1111-1111-111111111111")
    assert again.instance == state.instance
    again.close()


def test_a_state_that_many_make_at_once_is_one(state_url: str) -> None:
    ready = Barrier(6)

    def made(number: int) -> UUID:
        ready.wait(timeout=30)
        state = open_state(state_url, instance=str(UUID(int=number)))
        try:
            return state.instance
        finally:
            state.close()

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(made, range(6)))) == 1


def test_a_state_that_breaks_off_while_it_is_made_is_not_there(
    state_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(state_module, "insert", breaks)
        with pytest.raises(KeyboardInterrupt):
            open_state(state_url)
    looking = open_state(state_url, create=False)
    assert looking.engine.url.database is None, "something was made"
    looking.close()
    open_state(state_url).close()


def test_a_text_comes_back_with_every_sign_and_sorts_by_its_bytes(state: State) -> None:
    signs = ["", "\0", "\x01", "\x02", "\0\x01", "\x01\0", "\x01\x01", "\x01\x02", "a", "a\0b",
             "a\x01", "ab", "A", "B", "Ä", "Å", "Ö", "å", "ä", "z", "é", "1.", "1+", "1", "%s ? :x",
             "\u2028", "\U0001f600", "\ufffd", "'\"\\"]  # fmt: skip
    with state.engine.begin() as connection:
        for sign in signs:
            state.remember(connection, f"x{sign}", sign)
    for sign in signs:
        assert state.remembered(f"x{sign}") == sign
    with state.engine.connect().execution_options(reads=True) as connection:
        query = select(meta.c.value).where(meta.c.name.like("x%")).order_by(meta.c.name)
        found = [value for (value,) in connection.execute(query)]
        early = select(meta.c.value).where(meta.c.name < "xB", meta.c.name >= "x")
        before = {value for (value,) in connection.execute(early)}
    assert found == sorted(signs, key=str.encode)
    assert before == {sign for sign in signs if sign.encode() < b"B"}


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
