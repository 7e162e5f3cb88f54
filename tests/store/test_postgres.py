"""The state in a real PostgreSQL: durable, one run at a time, and clear when it says no."""

from __future__ import annotations

import pwd
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from idsync.errors import ConfigError, IdsyncError, IntegrityError, Unavailable
from idsync.plan.items import ITEMS, items
from idsync.store import State, open_state
from idsync.store.tables import metadata
from tests.plan.examples import NOW
from tests.servers.postgres import OTHER_ADDRESS, OWNER, PASSWORDS, READER, ROOT, Database, Postgres

pytest_plugins = ("tests.servers.state_fixtures",)
pytestmark = pytest.mark.postgres


@pytest.fixture
def kept(postgres_url: str) -> Iterator[State]:
    opened = open_state(postgres_url)
    yield opened
    opened.close()


def tables(database: Database) -> set[str]:
    rows = database.run("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    return {name for (name,) in rows}


def intend(state: State) -> list[int]:
    row = {"person_id": "id-1", "key": "n1", "part": "grant", "kind": "access", "ref": "ENTRÉ",
           "was": False, "shall": True}  # fmt: skip
    table = pl.DataFrame([row], schema={name: ITEMS[name] for name in row})
    return state.journal.intend(1, [("hall", "id-1", items(table, target="hall"))], NOW)


def sessions(database: Database, column: str) -> list[str]:
    """What the server says of idsync's sessions."""
    query = (
        f"SELECT {column} FROM pg_stat_activity WHERE application_name = 'idsync' AND datname = ?"
    )
    return [value for (value,) in database.run(query, database.name, user=ROOT)]


# ── nothing is sent before its intent is durable ────────────────────────────────────────


def test_an_intent_survives_the_crash_of_a_server_that_confirms_early(
    postgres_database: Database, postgres_url: str
) -> None:
    postgres_database.run(f"ALTER DATABASE {postgres_database.name} SET synchronous_commit = off")
    state = open_state(postgres_url)
    time.sleep(1)  # what made the tables is on the disk by now
    (number,) = intend(state)
    postgres_database.server.stop()  # without a word
    postgres_database.server.start()
    state.close()
    again = open_state(postgres_url)
    assert [one.id for one in again.journal.unsettled()] == [number]
    again.close()


@pytest.mark.parametrize(
    ("default", "kept"),
    [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply", "remote_apply")],
)
def test_a_commit_waits_for_the_disk_whatever_the_default(
    postgres_database: Database, postgres_url: str, default: str, kept: str
) -> None:
    name = postgres_database.name
    postgres_database.run(f"ALTER DATABASE {name} SET synchronous_commit = {default}")
    postgres_database.run(f"ALTER DATABASE {name} SET default_transaction_isolation = serializable")
    state = open_state(postgres_url)
    with state.engine.begin() as connection:
        said = connection.exec_driver_sql("SHOW synchronous_commit").scalar()
        isolation = connection.exec_driver_sql("SHOW transaction_isolation").scalar()
    assert (said, isolation) == (kept, "read committed")
    state.close()


# ── reading ─────────────────────────────────────────────────────────────────────────────


def test_what_is_being_read_holds_no_writer_up(kept: State, postgres_database: Database) -> None:
    with kept.engine.connect().execution_options(reads=True) as reading:
        reading.exec_driver_sql("SELECT * FROM journal").all()
        with postgres_database.connect(OWNER) as other, other.transaction():
            other.execute("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE NOWAIT")
        assert "idle in transaction" not in sessions(postgres_database, "state")
    with kept.engine.begin() as writing:  # the next to have this connection writes as ever
        writing.exec_driver_sql("SELECT 1")
        assert "idle in transaction" in sessions(postgres_database, "state")


def test_what_is_being_written_is_read_as_it_was(kept: State) -> None:
    with kept.engine.begin() as writing:
        kept.remember(writing, "adopted:hall", "sedan")
        assert kept.remembered("adopted:hall") == ""
    assert kept.remembered("adopted:hall") == "sedan"


# ── one run at a time ───────────────────────────────────────────────────────────────────


def test_the_lock_of_a_run_outlives_the_patience_of_the_server(
    postgres_database: Database, postgres_url: str
) -> None:
    for name in ("idle_session_timeout", "idle_in_transaction_session_timeout"):
        postgres_database.run(f"ALTER DATABASE {postgres_database.name} SET {name} = '300ms'")
    state, other = open_state(postgres_url), open_state(postgres_url)
    with state.run_lock():
        time.sleep(1.0)
        with pytest.raises(Unavailable), other.run_lock():
            pytest.fail("two runs at once")
        assert len(intend(state)) == 1
        assert set(sessions(postgres_database, "state")) <= {"idle"}
    state.close()
    other.close()


def test_a_run_that_has_lost_its_lock_sends_nothing_more(
    kept: State, postgres_database: Database, postgres_url: str
) -> None:
    other = open_state(postgres_url)
    with kept.run_lock():
        assert len(intend(kept)) == 1
        ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        until = time.monotonic() + 10
        while postgres_database.run(ended, user=ROOT):  # it is asked to, and ends when it can
            assert time.monotonic() < until
        with pytest.raises(Unavailable, match="keeps other runs out"):
            intend(kept)
        with other.run_lock(), pytest.raises(Unavailable):
            intend(kept)
        assert len(intend(other)) == 1  # an order: it needs no lock
    assert len(kept.journal.unsettled()) == 2
    assert len(intend(kept)) == 1
    other.close()


def test_a_state_in_another_database_has_a_lock_of_its_own(
    kept: State, postgres: Postgres, password_file: Path
) -> None:
    database = postgres.new_database()
    other = open_state(database.verified_url())
    with kept.run_lock(), other.run_lock():
        assert len(intend(kept)) == 1
        assert len(intend(other)) == 1
    other.close()
    database.drop()


# ── making one ──────────────────────────────────────────────────────────────────────────


def test_a_state_that_only_looks_makes_no_table(
    postgres_database: Database, postgres_url: str
) -> None:
    state = open_state(postgres_url, create=False)
    state.orders.revoke("id-1", "x", "hr", NOW)
    with state.run_lock():
        assert state.orders.is_revoked("id-1")
    state.close()
    assert tables(postgres_database) == set()


def test_a_state_is_made_whole_or_not_at_all(
    postgres_database: Database, postgres_url: str
) -> None:
    last = [table.name for table in metadata.sorted_tables][-1]
    postgres_database.run(f"CREATE TYPE {last} AS ENUM ()")  # and no table can have this name
    with pytest.raises(IntegrityError, match="SQLSTATE"):
        open_state(postgres_url)
    assert tables(postgres_database) == set()
    postgres_database.run(f"DROP TYPE {last}")
    open_state(postgres_url).close()
    assert tables(postgres_database) >= set(metadata.tables)


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("name", ["letters", "meta", "run"])
def test_the_database_of_another_program_is_refused_and_left(
    postgres_database: Database, postgres_url: str, create: bool, name: str
) -> None:
    postgres_database.run(f"CREATE TABLE {name} (body text)")
    with pytest.raises(IntegrityError, match="another program"):
        open_state(postgres_url, create=create)
    assert tables(postgres_database) == {name}


def test_a_database_that_cannot_hold_every_letter_is_refused(
    postgres: Postgres, postgres_url: str
) -> None:
    database = postgres.new_database(
        "ENCODING LATIN1 LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
    )
    with pytest.raises(ConfigError, match="every letter"):
        open_state(database.verified_url())
    assert tables(database) == set()
    database.drop()


# ── when it says no ─────────────────────────────────────────────────────────────────────

Change = Callable[[str], str]


def host(name: str) -> Change:
    return lambda url: url.replace("@127.0.0.1:", f"@{name}:")


FAULTS: dict[str, tuple[Change, type[IdsyncError], str]] = {
    "wrong user": (lambda url: url.replace(OWNER, "nobody"), ConfigError, "wants a password"),
    "no database": (lambda url: url.replace("?", "x?"), ConfigError, "no such database"),
    "host down": (lambda _: "postgresql://idsync@127.0.0.1:9/idsync", Unavailable, "not answer"),
    "no such host": (host("nowhere.invalid"), ConfigError, "no host has that name"),
    "another's certificate": (host(OTHER_ADDRESS), ConfigError, "certificate of another host"),
    "wrong authority": (
        lambda url: url.replace("ca.pem", "other.pem"), ConfigError, "not trusted: check sslroot",
    ),
    "no authority": (lambda url: url.replace("ca.pem", "x.pem"), ConfigError, "cannot be read"),
    "unknown option": (lambda url: f"{url}&colour=blue", ConfigError, "after the [?]"),
    "unknown mode": (
        lambda url: url.replace("verify-full", "verify-some"), ConfigError, "after the [?]",
    ),
    "no port": (lambda _: "postgresql://idsync@db:x/idsync", ConfigError, "no database address"),
    "wide-open password file": (lambda url: url, ConfigError, "only its owner may read"),
    "wrong password": (lambda url: url, ConfigError, "refuses the user or the password"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("create", [True, False])
def test_each_fault_has_a_sentence_of_its_own(
    postgres_url: str, password_file: Path, fault: str, create: bool
) -> None:
    if fault == "wide-open password file":
        password_file.chmod(0o644)
    if fault == "wrong password":
        password_file.write_text(f"*:*:*:{OWNER}:fel lösen\n", encoding="utf-8")
    change, kind, words = FAULTS[fault]
    with pytest.raises(kind, match=words) as caught:
        open_state(change(postgres_url), create=create)
    told = str(caught.value)
    assert "lösen" not in told
    assert password_file.name not in told


def test_a_password_may_stand_in_the_environment(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSFILE")
    with pytest.raises(ConfigError, match="wants a password"):
        open_state(postgres_url)
    monkeypatch.setenv("PGPASSWORD", PASSWORDS[OWNER])
    open_state(postgres_url).close()


def test_a_password_file_may_be_named_in_the_address(
    postgres_url: str, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSFILE")
    open_state(f"{postgres_url}&passfile={password_file}").close()


@pytest.mark.parametrize("said", ["", "?sslmode=verify-full", "?connect_timeout=5"])
def test_a_server_elsewhere_is_known_by_its_certificate(
    postgres_database: Database, postgres_url: str, said: str
) -> None:
    with pytest.raises(ConfigError, match="not trusted"):
        open_state(f"{postgres_database.url(host=OTHER_ADDRESS)}{said}")


def test_who_has_no_home_knows_a_server_elsewhere_by_the_authorities_of_the_machine(
    postgres_database: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)  # as in a container, by a number alone
    with pytest.raises(RuntimeError):
        Path.home()
    with pytest.raises(ConfigError, match="not trusted"):
        open_state(postgres_database.url(host=OTHER_ADDRESS))
    open_state(postgres_url).close()


def test_less_than_a_certificate_is_asked_only_where_it_is_said(
    postgres_database: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = postgres_database.url(host=OTHER_ADDRESS)
    open_state(f"{elsewhere}?sslmode=require").close()
    monkeypatch.setenv("PGSSLMODE", "require")
    open_state(elsewhere).close()


def test_a_missing_driver_is_told(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match="extra postgres"):
        open_state(postgres_url)


def test_an_account_without_rights_is_told_what_it_lacks(
    postgres_url: str,
) -> None:
    other = postgres_url.replace(OWNER, READER, 1)
    with pytest.raises(ConfigError, match="own the database"):
        open_state(other)
    open_state(postgres_url).close()
    for create in (True, False):
        with pytest.raises(ConfigError, match="own the database"):
            open_state(other, create=create)


def test_a_standby_is_told_by_its_own_sentence(
    postgres_database: Database, postgres_url: str
) -> None:
    open_state(postgres_url).close()
    name = postgres_database.name
    postgres_database.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    state = open_state(postgres_url)
    assert state.orders.revocations() == []
    with pytest.raises(Unavailable, match="only be read"):
        state.orders.revoke("id-1", "ended", "hr", NOW)
    state.close()


def test_a_server_that_goes_away_is_told_and_found_again(
    kept: State, postgres_database: Database
) -> None:
    postgres_database.server.stop()
    try:
        with pytest.raises(Unavailable) as caught:
            kept.orders.revoke("id-1", "Hemligt skäl", "hr", NOW)
        assert "Hemligt" not in str(caught.value)
        with pytest.raises(Unavailable, match="does not answer"):
            kept.orders.revocations()
    finally:
        postgres_database.server.start()
    made = kept.orders.revoke("id-1", "ended", "hr", NOW)
    assert kept.orders.revocations() == [made]


def test_a_table_that_is_gone_is_told(kept: State, postgres_database: Database) -> None:
    postgres_database.run("DROP TABLE journal")
    with pytest.raises(IntegrityError, match="restore the state"):
        kept.journal.unsettled()


def test_what_it_is_told_stands_in_no_error(kept: State, postgres_database: Database) -> None:
    postgres_database.run("ALTER TABLE revocation ADD CHECK (reason = '')")
    with pytest.raises(IntegrityError, match="SQLSTATE 23514") as caught:
        kept.orders.revoke("id-1", "Hemligt skäl", "hr", NOW)
    assert "Hemligt" not in str(caught.value)
