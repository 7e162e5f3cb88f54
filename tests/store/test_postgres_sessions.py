"""Sessions of the state in a real PostgreSQL: let go when their run dies, and one's own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from idsync.errors import ConfigError
from idsync.store import open_state
from idsync.store.engines import LOCKS
from tests.servers.pgbouncer import pooled
from tests.servers.postgres import OWNER, PASSWORDS, ROOT, Database

pytest_plugins = ("tests.servers.state_fixtures",)
pytestmark = pytest.mark.postgres

IDLE = """
import sys, time
from idsync.store import open_state
with open_state(sys.argv[1]).run_lock():
    print("held", flush=True)
    time.sleep(120)
"""
BUSY = """
import sys
from idsync.store import open_state
from idsync.store.engines import LOCKS
with open_state(sys.argv[1]).engine.connect() as session:
    session.exec_driver_sql(f"SELECT pg_advisory_lock({LOCKS})")
    print("held", flush=True)
    session.exec_driver_sql("SELECT pg_sleep(120)")
"""


@contextmanager
def holder(program: str, url: str) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own that has the lock of runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def taken_after(database: Database, at_most: float) -> float:
    """Return after how many seconds the lock of runs is free; it is held now."""
    taken = f"SELECT pg_try_advisory_lock({LOCKS})"
    begun = time.monotonic()
    with database.connect() as session:
        while session.execute(taken.encode()).fetchone() != (True,):
            assert time.monotonic() - begun < at_most, "a dead run holds the lock"
            time.sleep(0.01)
    return time.monotonic() - begun


@pytest.mark.case("C4")
@pytest.mark.parametrize(("program", "at_most"), [(IDLE, 0.5), (BUSY, 2.0)])
def test_a_killed_run_lets_go_at_once_and_within_two_seconds_in_the_middle_of_a_query(
    postgres_database: Database, postgres_url: str, program: str, at_most: float
) -> None:
    open_state(postgres_url).close()
    with holder(program, postgres_url) as process:
        with postgres_database.connect() as session:
            held = session.execute(f"SELECT pg_try_advisory_lock({LOCKS})".encode()).fetchone()
            assert held == (False,)
        if program == BUSY:
            until = time.monotonic() + 10
            asked = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = ?"
            while not postgres_database.run(asked, postgres_database.name, user=ROOT):
                assert time.monotonic() < until
        process.send_signal(signal.SIGKILL)
        taken_after(postgres_database, at_most)


# ── a pooler in between ─────────────────────────────────────────────────────────────────


def test_a_pooler_gives_the_lock_of_one_to_another(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORDS[OWNER])
    with pooled(postgres_database) as url:
        first, second = (psycopg.connect(url, autocommit=True) for _ in range(2))
        for one in (first, second):
            row = one.execute(f"SELECT pg_try_advisory_lock({LOCKS})".encode()).fetchone()
            assert row == (True,), "both believe to be alone"
        first.close()
        second.close()


@pytest.mark.case("C5")
@pytest.mark.parametrize("create", [True, False])
def test_a_state_behind_a_pooler_is_refused_at_the_start_and_nothing_is_written(
    postgres_database: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch, create: bool
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORDS[OWNER])
    with pooled(postgres_database) as url, pytest.raises(ConfigError, match="connection pooler"):
        open_state(url, create=create)
    assert postgres_database.run("SELECT 1 FROM pg_tables WHERE schemaname = 'public'") == []
    open_state(postgres_url, create=create).close()
