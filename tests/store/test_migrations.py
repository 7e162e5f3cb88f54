"""A state of an older program becomes this one's whole, or stays what it was."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from idsync.errors import IdsyncError
from idsync.store import State, latencies, migrations, open_state
from idsync.store.tables import VERSION, metadata
from tests.plan.examples import NOW
from tests.servers.postgres import OWNER, PASSWORDS, Database
from tests.store.test_journal import intend, settle, takes, told

pytest_plugins = ("tests.servers.state_fixtures",)

HERE = Path(__file__).parent

MIGRATES = """
import sys
from idsync.store import open_state
open_state(sys.argv[1]).close()
"""


def old_file(file: Path) -> str:
    """Make the state of version 1 in *file*; return its address."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(file) as made:
        made.executescript((HERE / "version1.sqlite.sql").read_text(encoding="utf-8"))
    made.execute("PRAGMA journal_mode = WAL")
    made.close()
    return f"sqlite:///{file}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def old_url(request: pytest.FixtureRequest, file: Path) -> str:
    """Where a state of version 1 stands."""
    if request.param == "sqlite":
        return old_file(file)
    url: str = request.getfixturevalue("postgres_url")
    database: Database = request.getfixturevalue("postgres_database")
    database.run((HERE / "version1.postgresql.sql").read_text(encoding="utf-8"))
    return url


def facts(state: State) -> dict[str, Any]:
    """What a state says, of whichever version."""
    return {
        "instance": state.instance,
        "revocations": state.orders.revocations(),
        "ledger": told(state.journal.ledger("hall")),
        "unsettled": [(one.id, one.state) for one in state.journal.unsettled()],
        "source": state.snapshot("hr"),
        "runs": [one["command"] for one in state.runs()],
        "circuits": state.circuits.all(),
        "unconfirmed": [one.target for one in state.closings.unconfirmed(["hall"])],
    }


@pytest.mark.case("O3")
def test_a_state_of_version_1_says_after_the_migration_what_it_said(old_url: str) -> None:
    state = open_state(old_url)
    said = facts(state)
    assert str(said["instance"]) == "11111111-1111-1111-1111-111111111111"
    assert [one.person_id for one in said["revocations"]] == ["id-9"]
    assert [(row[1], row[3]) for row in said["ledger"]] == [("n1", "ENTRÉ"), ("n2", "KÖK")]
    assert said["unsettled"] == [(3, "intent")]
    assert said["unconfirmed"] == ["hall"]
    settle(state, 3, "refused")
    (number,) = intend(state, takes("KÖK", "n2"))
    settle(state, number, "confirmed")
    state.journal.fold(["hall"])
    assert [row[3] for row in told(state.journal.ledger("hall"))] == ["ENTRÉ"]
    state.closings.note("id-9", "hall", "confirmed", "", NOW)
    state.close()
    again = open_state(old_url)
    assert again.closings.unconfirmed(["hall"]) == []
    assert again.remembered("version") == str(VERSION)
    again.close()


def test_a_migrated_state_has_the_schema_of_a_new_one(old_url: str, tmp_path: Path) -> None:
    migrated = open_state(old_url)
    known = inspect(migrated.engine)
    for table in metadata.sorted_tables:
        assert {one["name"] for one in known.get_columns(table.name)} == set(table.columns.keys())
        there = {one["name"] for one in known.get_indexes(table.name)}
        assert {one.name for one in table.indexes} <= there
    migrated.close()


def test_who_only_looks_sees_an_old_state_and_leaves_it_as_it_is(old_url: str) -> None:
    looking = open_state(old_url, create=False)
    seen = facts(looking)
    assert looking.remembered("version") == "1"
    looking.close()
    again = open_state(old_url, create=False)  # nothing of it was kept
    assert again.remembered("version") == "1"
    assert facts(again) == seen
    again.close()
    migrated = open_state(old_url)
    assert facts(migrated) == seen
    migrated.close()


@pytest.mark.case("J13")
def test_a_migration_that_breaks_off_leaves_the_old_version(
    old_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(connection: Connection) -> None:
        STEP(connection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(migrations.STEPS, 1, breaks)
        with pytest.raises(KeyboardInterrupt):
            open_state(old_url)
    looking = open_state(old_url, create=False)
    assert looking.remembered("version") == "1"
    assert "circuit" not in inspect(looking.engine).get_table_names()
    looking.close()
    open_state(old_url).close()


STEP: Callable[[Connection], None] = migrations.STEPS[1]


def to_version_3(connection: Connection) -> None:
    """Take away from a state what version 4 has added."""
    connection.execute(text("ALTER TABLE revocation DROP COLUMN employment"))
    connection.execute(text("UPDATE meta SET value = '3' WHERE name = 'version'"))


def to_version_2(state: State) -> None:
    """Take away from a state what version 3 has added."""
    with state.engine.begin() as connection:
        to_version_3(connection)
        for name in ("latency", "oncall_told", "oncall_way"):
            connection.execute(text(f"DROP TABLE {name}"))
        for table, column in (
            ("closing", "sent_at"), ("closing", "confirmed_at"), ("revocation", "told_at"),
        ):  # fmt: skip
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        connection.execute(text("UPDATE meta SET value = '2' WHERE name = 'version'"))


@pytest.mark.case("O3")
def test_what_version_2_had_confirmed_is_not_confirmed_anew(state: State, state_url: str) -> None:
    state.orders.revoke("id-1", "ended", "hr", NOW)
    state.closings.note("id-1", "hall", "confirmed", "", NOW)
    state.closings.note("id-1", "gym", "unavailable", "", NOW)
    to_version_2(state)
    looking = open_state(state_url, create=False)
    assert [one.confirmed_at for one in looking.closings.progress()] == [None, None]
    looking.close()
    migrated = open_state(state_url)
    later = NOW + timedelta(days=30)
    migrated.closings.note("id-1", "hall", "confirmed", "", later)
    told = {one.target: one.confirmed_at for one in migrated.closings.progress()}
    assert told == {"hall": NOW.isoformat(), "gym": None}
    assert latencies(migrated.engine, ["hall"])["hall"].count == 0
    migrated.closings.note("id-1", "gym", "confirmed", "", later)
    assert latencies(migrated.engine, ["gym"])["gym"].count == 1
    assert migrated.remembered("version") == str(VERSION)
    migrated.close()


@pytest.mark.case("O3")
def test_orders_of_version_3_are_on_whole_persons(state: State, state_url: str) -> None:
    made = state.orders.revoke("id-1", "ended", "hr", NOW)
    with state.engine.begin() as connection:
        to_version_3(connection)
    looking = open_state(state_url, create=False)
    assert looking.orders.revocations() == [made]
    looking.close()
    migrated = open_state(state_url)
    assert migrated.orders.revocations() == [made]
    part = migrated.orders.revoke("id-1", "ended", "hr", NOW, employment="hr:e1")
    assert migrated.orders.revocations() == [made, part]
    migrated.close()


# ── killed, for real ────────────────────────────────────────────────────────────────────


def _version(file: Path) -> tuple[str, bool, bool]:
    """The version a state tells, whether it has all of the newest one, and any of it."""
    made = sqlite3.connect(file)
    try:
        assert made.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (version,) = made.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        new = [
            any(row[1] == "digest" for row in made.execute(f"PRAGMA table_info({name})"))
            for name in ("part", "journal", "revocation")
        ]
        tables = {name for (name,) in made.execute("SELECT name FROM sqlite_master")}
        new += [name in tables for name in ("circuit", "closing", "latency", "oncall_told")]
        return version, all(new), any(new)
    finally:
        made.close()


def _killed_at(write: int, url: str) -> bool:
    """Migrate in a process that is killed at its *write*-th write; return whether it was."""
    inject = f"inject=pwrite64,write,ftruncate,fdatasync,fsync:signal=SIGKILL:when={write}"
    file = url.removeprefix("sqlite:///")
    paths = [part for suffix in ("", "-wal") for part in ("-P", file + suffix)]
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", *paths, "-e", inject,
         sys.executable, "-c", MIGRATES, url],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, -9, 137), done.stderr
    return done.returncode != 0


def _sweep(tmp_path: Path, writes: range | list[int]) -> set[str]:
    seen = set()
    for write in writes:
        file = tmp_path / str(write) / "idsync.db"
        url = old_file(file)
        killed = _killed_at(write, url)
        version, whole, some = _version(file)
        assert (version, some) == ("1", False) or (version, whole) == (str(VERSION), True), write
        seen.add(version)
        open_state(url).close()
        assert _version(file)[0] == str(VERSION)
        shutil.rmtree(file.parent)
        if not killed:
            return seen
    return seen


@pytest.mark.case("J13")
def test_a_migration_killed_at_a_write_leaves_one_version_whole(tmp_path: Path) -> None:
    assert "1" in _sweep(tmp_path, [1, 4, 9])


@pytest.mark.long
@pytest.mark.case("J13")
def test_a_migration_killed_at_any_write_leaves_one_version_whole(tmp_path: Path) -> None:
    assert _sweep(tmp_path, range(1, 1000)) == {"1", str(VERSION)}


@pytest.mark.postgres
@pytest.mark.case("J13")
def test_a_migration_whose_session_is_ended_leaves_one_version_whole(
    postgres_database: Database, postgres_url: str
) -> None:
    postgres_database.run((HERE / "version1.postgresql.sql").read_text(encoding="utf-8"))
    ended: list[IdsyncError] = []

    def migrate() -> None:
        try:
            open_state(postgres_url).close()
        except IdsyncError as error:
            ended.append(error)

    with postgres_database.connect(OWNER) as other, other.transaction():
        other.execute("LOCK TABLE revocation IN ACCESS SHARE MODE")  # altered last: it waits here
        thread = threading.Thread(target=migrate)
        thread.start()
        waits = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = ?"
        until = time.monotonic() + 30
        while not (found := postgres_database.run(waits, postgres_database.name, user="root")):
            assert time.monotonic() < until
            time.sleep(0.05)
        postgres_database.run("SELECT pg_terminate_backend(?)", found[0][0], user="root")
        thread.join(timeout=30)
    assert ended
    assert PASSWORDS[OWNER] not in str(ended[0])
    [(version,)] = postgres_database.run("SELECT value FROM meta WHERE name = 'version'")
    assert version == "1"
    columns = "SELECT 1 FROM information_schema.columns WHERE column_name = 'digest' AND table_name"
    assert not postgres_database.run(f"{columns} IN ('part', 'journal')")
    open_state(postgres_url).close()
    assert postgres_database.run(f"{columns} IN ('part', 'journal')")
