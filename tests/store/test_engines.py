"""What SQLite refuses, and what idsync makes of it: a failed disk, no room, damage, or a fault."""

from __future__ import annotations

import resource
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from idsync.errors import ConfigError, DiskFailed, IntegrityError, NoRoom, Unavailable
from idsync.store import State, Told, open_state
from idsync.store.engines import begin_a_log
from idsync.store.reserve import ENOUGH, SIZE, Reserve
from idsync.store.tables import meta, run
from tests.plan.examples import NOW
from tests.store.test_migrations import old_file

pytest_plugins = ("tests.servers.state_fixtures",)


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let the kernel refuse every write of this process beyond *size* bytes of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(autouse=True)
def left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[sqlite3.Connection]]:
    """The connections that a failed disk leaves to the end of the process: here, of the test."""
    left: list[sqlite3.Connection] = []
    monkeypatch.setattr("idsync.store.engines.LEFT_OPEN", left)
    yield left
    for connection in left:
        sqlite3.Connection.close(connection)


@pytest.fixture
def opened(file: Path) -> Iterator[State]:
    """A new state on SQLite."""
    made = open_state(f"sqlite:///{file}")
    yield made
    made.close()


def bare(file: Path) -> sqlite3.Connection:
    """Another program's connection to the state in *file*, whose log is written back and gone."""
    connection = sqlite3.connect(file, isolation_level=None)
    assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    return connection


def limit(state: State, size: int) -> None:
    """Let SQLite take no text longer than *size* from *state*."""
    with state.engine.connect() as connection:
        told = connection.connection.driver_connection
        assert isinstance(told, sqlite3.Connection)
        told.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, size)


# ── where it stands ─────────────────────────────────────────────────────────────────────


def test_a_share_that_the_system_tells_of_holds_no_state(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr("idsync.store.engines.MOUNTS", mounts)
    mounts.write_text("30 1 0:40 / / rw - ext4 /dev/vda rw\n40 30 0:41 / /srv rw - nfs4 f:/ rw\n")
    open_state(f"sqlite:///{file}").close()
    there = file.parent / "delad"
    with mounts.open("a") as more:
        more.write(f"41 30 0:42 / {there} rw - nfs4 fil.example.se:/delad rw\n")
    with pytest.raises(ConfigError, match="network share"):
        open_state(f"sqlite:///{there}/idsync.db")
    assert not there.exists()


def test_a_system_that_tells_of_no_mounts_holds_a_state(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("idsync.store.engines.MOUNTS", tmp_path / "nowhere")
    state = open_state(f"sqlite:///{file}")
    made = state.orders.revoke("id-1", "x", "hr", NOW)
    assert state.orders.revocations() == [made]
    state.close()


@pytest.mark.parametrize("name", ["vad?", "a?b=c", "100%", "a%20b", "#1", "å ä&ö", "file:x"])
def test_a_folder_of_any_name_holds_a_private_state(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "idsync.db"
    state = open_state(f"sqlite:///{file}")
    made = state.orders.revoke("id-1", "x", "hr", NOW)
    kept = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert {one.parent for one in kept} == {file.parent}
    assert {stat.S_IMODE(one.stat().st_mode) for one in kept} == {0o600}
    state.close()
    again = open_state(f"sqlite:///{file}", create=False)
    assert again.orders.revocations() == [made]
    again.close()


def test_a_disk_on_which_no_memory_is_shared_is_refused(tmp_path: Path) -> None:
    # SQLite's own way to a disk without locks of the kernel's, as for shares
    address = f"file:{tmp_path}/idsync.db?vfs=unix-dotfile"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        with pytest.raises(ConfigError, match="cannot be shared by two processes"):
            begin_a_log(connection)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_who_opens_while_another_writes_without_a_log_waits_for_its_end(file: Path) -> None:
    url = f"sqlite:///{file}"
    open_state(url).close()
    found: list[str] = []

    def looks() -> None:
        state = open_state(url)
        found.append(state.remembered("adopted:hall"))
        state.close()

    with closing(bare(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO meta (name, value) VALUES ('adopted:hall', 'sedan')")
        waiting = threading.Thread(target=looks)
        waiting.start()
        time.sleep(0.2)
        assert waiting.is_alive()
        assert found == []
        other.execute("COMMIT")
        waiting.join(timeout=20)
    assert found == ["sedan"]


# ── a disk that fails ───────────────────────────────────────────────────────────────────


def test_once_the_disk_has_failed_nothing_is_tried_again(
    file: Path, left_open: list[sqlite3.Connection]
) -> None:
    state = open_state(f"sqlite:///{file}")
    made = state.orders.revoke("id-1", "x", "hr", NOW)
    with no_file_beyond(4096), pytest.raises(DiskFailed, match="have the disk looked at"):
        state.orders.revoke("id-2", "x", "hr", NOW)
    there = {one: one.read_bytes() for one in file.parent.iterdir() if one.suffix != ".db-shm"}
    assert len(there) > 1
    # by now it would take everything again
    with pytest.raises(DiskFailed, match="have the disk looked at"):
        state.orders.revoke("id-2", "x", "hr", NOW)
    with pytest.raises(DiskFailed, match="have the disk looked at"):
        state.orders.revocations()
    state.close()
    assert {one: one.read_bytes() for one in there} == there, "closing wrote it back"
    assert [one.execute("SELECT 1").fetchone() for one in left_open] == [(1,)]
    again = open_state(f"sqlite:///{file}")
    assert again.orders.revocations() == [made]
    again.close()


# ── no room ─────────────────────────────────────────────────────────────────────────────


def test_a_state_for_which_there_is_no_room_is_made_when_there_is(file: Path) -> None:
    url = f"sqlite:///{file}"
    with no_file_beyond(8192), pytest.raises(NoRoom, match="no room for the state"):
        open_state(url)
    looking = open_state(url, create=False)
    assert looking.engine.url.database is None, "something was made"
    looking.close()
    open_state(url).close()


def test_who_only_looks_takes_no_room_from_revocations(file: Path) -> None:
    url = f"sqlite:///{file}"
    state = open_state(url)
    state.require_room()
    state.close()
    with no_file_beyond(8192), pytest.raises(NoRoom, match="no room for the state"):
        open_state(url, create=False)
    assert file.with_name("idsync.db.reserve").stat().st_size == SIZE


def test_the_room_of_revocations_is_given_to_them_and_set_aside_again(
    file: Path, opened: State
) -> None:
    reserve = file.with_name("idsync.db.reserve")
    opened.require_room()
    with no_file_beyond(ENOUGH - 1):
        with opened.urgent():
            assert not reserve.exists()
            opened.orders.revoke("id-1", "x", "hr", NOW)
        with pytest.raises(NoRoom):
            opened.require_room()
    assert opened.orders.is_revoked("id-1")
    with opened.urgent():
        assert not reserve.exists(), "nobody needed it"
    assert reserve.stat().st_size == SIZE
    assert [one.name for one in file.parent.glob("*.reserve*")] == [reserve.name]


def test_room_that_was_given_away_cannot_be_given_again(file: Path) -> None:
    file.parent.mkdir()
    reserve = Reserve(file)
    assert not reserve.release()
    assert reserve.make()
    assert reserve.release()
    assert not reserve.release()
    assert list(file.parent.iterdir()) == []


def test_room_that_cannot_be_set_aside_is_none(file: Path, opened: State) -> None:
    file.with_name("idsync.db.reserve").mkdir()
    with pytest.raises(NoRoom, match="no room for the state"):
        opened.require_room()


# ── damage ──────────────────────────────────────────────────────────────────────────────

NO_SCHEMA = """
    PRAGMA writable_schema = ON;
    UPDATE sqlite_master SET name = CAST(X'FF' AS TEXT), rootpage = 9999 WHERE name = 'journal';
    PRAGMA schema_version = 99;
"""
"""Gives a table a name that is not even text, so that SQLite cannot say which it misses."""


def test_a_schema_that_is_no_text_is_damage(file: Path, opened: State) -> None:
    assert opened.orders.revocations() == []
    with closing(sqlite3.connect(file)) as other:
        other.executescript(NO_SCHEMA)
    with pytest.raises(IntegrityError, match="the state is damaged"):
        opened.orders.revocations()
    for create in (True, False):
        with pytest.raises(IntegrityError, match="the state is damaged"):
            open_state(f"sqlite:///{file}", create=create)


def test_a_head_that_no_sqlite_wrote_is_damage(file: Path) -> None:
    open_state(f"sqlite:///{file}").close()
    bare(file).close()
    sound = file.read_bytes()
    assert sound[44:48] == b"\0\0\0\4"  # the format of the schema, of which there are four
    file.write_bytes(sound[:47] + b"\x09" + sound[48:])
    with pytest.raises(IntegrityError, match="the state is damaged"):
        open_state(f"sqlite:///{file}")


def test_a_table_that_has_lost_a_column_is_damage(file: Path, opened: State) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("ALTER TABLE run DROP COLUMN command")
    with pytest.raises(IntegrityError, match="the state is damaged"):  # as it is written,
        opened.begin_run("sync", NOW)
    with pytest.raises(IntegrityError, match="the state is damaged"):  # and as it is read
        opened.runs()


# ── what nobody knows ───────────────────────────────────────────────────────────────────


def test_a_state_that_cannot_be_opened_for_a_reason_nobody_knows_is_left(file: Path) -> None:
    url = old_file(file)
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE INDEX night ON run (command)")  # and no table can have this name
    with pytest.raises(ConfigError, match="cannot be opened: check"):
        open_state(url)
    with closing(sqlite3.connect(file)) as other:
        version = other.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        assert version == ("1",)
        other.execute("DROP INDEX night")
    open_state(url).close()


def test_what_it_is_told_stands_in_no_error(file: Path) -> None:
    for create in (True, False):  # in a file, and in memory
        state = open_state(f"sqlite:///{file if create else 'nowhere'}", create=create)
        limit(state, 3000)
        with pytest.raises(DBAPIError, match="too big") as caught:
            state.orders.revoke("id-1", "Hemligt skäl" * 300, "hr", NOW)
        assert "Hemligt" not in str(caught.value)
        state.close()


def test_an_event_that_the_state_does_not_take_is_to_be_sent_again(opened: State) -> None:
    limit(opened, 3000)
    event = Told(issuer="hr", id="m1", digest="d", kind="person.ended", person="p" * 4000)
    with pytest.raises(Unavailable, match="takes no events now") as caught:
        opened.inbox.receive(event, NOW)
    assert "ppp" not in str(caught.value)
    with pytest.raises(Unavailable, match="takes no events now"):
        opened.inbox.ask_reread("g" * 4000, NOW)
    limit(opened, 1_000_000)
    assert opened.inbox.receive(event, NOW), "nothing of it is there yet"
    assert opened.inbox.reread_wanted() is None


def test_a_fault_of_idsyncs_own_is_nobody_elses(state: State) -> None:
    no_text = select(meta.c.value).where(meta.c.name == "\ud800")
    no_number = select(run.c.command).where(run.c.id == object())
    with state.engine.connect() as connection:
        with pytest.raises(UnicodeEncodeError):
            connection.execute(no_text)
        with pytest.raises(DBAPIError, match="object"):
            connection.execute(no_number)
    state.orders.revoke("id-1", "x", "hr", NOW)
    assert state.orders.is_revoked("id-1")
