"""One of several processes has its turn: it beats, and loses the turn when it does not."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from idsync.apply import Work, carry_out
from idsync.config import load
from idsync.errors import Unavailable
from idsync.model import Change, Outcome
from idsync.plan.document import ordered_changes
from idsync.service.applying import clock
from idsync.service.auditing import attend
from idsync.service.looking import look
from idsync.service.remembering import remember
from idsync.store import open_state
from idsync.store.postgres import postgres_engine
from idsync.store.turns import REVOCATIONS, RUNS, Turn, call, taken
from idsync.targets.local import LocalTarget
from tests.plan.examples import City, job, person
from tests.servers.postgres import ROOT, Database
from tests.store.test_running import NOW
from tests.targets.local import new_target
from tests.whole.town import Town

pytest_plugins = ("tests.servers.state_fixtures",)
pytestmark = pytest.mark.postgres

QUICK = Turn(0x7E57, 0.2, 1.0)
HOLDS = """
import sys
from idsync.errors import Unavailable
from idsync.store.postgres import postgres_engine
from idsync.store.turns import Turn, taken
engine = postgres_engine(sys.argv[1])
with taken(engine, Turn(0x7E57, 0.2, 1.0)) as held:
    print("held", flush=True)
    sys.stdin.readline()
    with engine.connect() as connection:
        try:
            held.still(connection)
        except Unavailable:
            print("lost", flush=True)
        else:
            print("still held", flush=True)
"""


@contextmanager
def holder(url: str, program: str = HOLDS) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def test_who_finds_the_turn_taken_is_told_so_and_lets_nothing_go(postgres_url: str) -> None:
    one, other = postgres_engine(postgres_url), postgres_engine(postgres_url)
    with taken(one, RUNS) as held:
        assert held is not None
        for _ in range(2):
            with taken(other, RUNS) as found:
                assert found is None
        with one.connect() as connection:
            held.still(connection)  # and raises nothing
        with taken(other, REVOCATIONS) as beside:
            assert beside is not None, "another turn is another lock"
    with taken(other, RUNS) as found:
        assert found is not None
    one.dispose()
    other.dispose()


@pytest.mark.case("C3")
def test_a_process_that_is_stopped_loses_its_turn_and_finds_out_when_it_wakes(
    postgres_url: str,
) -> None:
    engine = postgres_engine(postgres_url)
    with holder(postgres_url) as process:
        for _ in range(8):  # longer than it may be silent: it beats
            time.sleep(0.2)
            with taken(engine, QUICK) as found:
                assert found is None
        process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + 20
        while True:
            with taken(engine, QUICK) as found:
                if found is not None:
                    break
            assert time.monotonic() < until, "a stopped process keeps its turn for ever"
            time.sleep(0.05)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate("\n", timeout=20)
        assert said == "lost\n"
    engine.dispose()


STUCK = """
import sys, threading, time
from sqlalchemy import text
from idsync.store.postgres import postgres_engine
from idsync.store.turns import Turn, taken
engine = postgres_engine(sys.argv[1])
def waits():
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(87)"))
with taken(engine, Turn(0x7E57, 0.2, 1.0)) as held, engine.begin() as connection:
    connection.execute(text("SELECT pg_advisory_xact_lock(87)"))
    threading.Thread(target=waits, daemon=True).start()
    time.sleep(0.5)
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.case("C3")
def test_who_takes_over_does_not_wait_for_a_transaction_that_the_silent_one_is_in(
    postgres_database: Database, postgres_url: str
) -> None:
    engine = postgres_engine(postgres_url)
    with holder(postgres_url, STUCK) as process, postgres_database.connect() as session:
        process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + 10
        while True:
            with taken(engine, QUICK) as found:
                if found is not None:
                    session.execute("SET lock_timeout = '3s'")  # one waited for the other
                    session.execute("SELECT pg_advisory_xact_lock(87)")
                    break
            assert time.monotonic() < until
            time.sleep(0.05)
    engine.dispose()


def test_the_session_of_an_older_program_is_never_ended(
    postgres_database: Database, postgres_url: str
) -> None:
    engine = postgres_engine(postgres_url)
    with postgres_database.connect() as older:
        older.execute(f"SELECT pg_advisory_lock({QUICK.lock})".encode())
        time.sleep(1.5)
        with taken(engine, QUICK) as found:
            assert found is None
        older.execute("SELECT 1")
    engine.dispose()


def test_who_has_the_turn_hears_a_call_when_its_transaction_commits(postgres_url: str) -> None:
    engine = postgres_engine(postgres_url)
    heard = threading.Event()
    turn = Turn(QUICK.lock, 30, 60)  # what is heard is heard at once, and not at the next beat
    with taken(engine, turn, heard.set) as held:
        assert held is not None
        until = time.monotonic() + 20
        while not heard.is_set():  # it may not listen yet
            with engine.begin() as connection:
                call(connection)
            heard.wait(0.2)
            assert time.monotonic() < until
        heard.clear()
        time.sleep(0.3)
        heard.clear()
        with engine.begin() as connection:
            call(connection)
            assert not heard.wait(0.3), "nothing is durable yet"
        assert heard.wait(10)
        with engine.begin() as connection:  # so that it ends before its next beat
            call(connection)
    engine.dispose()


def test_a_turn_is_lost_with_its_session(postgres_database: Database, postgres_url: str) -> None:
    state = open_state(postgres_url)
    with state.revoking(lambda: None) as held:
        assert held is not None
        ended = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'idsync beats' AND datname = ?"
        )
        until = time.monotonic() + 10
        while not postgres_database.run(ended, postgres_database.name, user=ROOT):
            assert time.monotonic() < until
        while not held.lost:
            assert time.monotonic() < until
            time.sleep(0.05)
        with state.engine.connect() as connection, pytest.raises(Unavailable):
            held.still(connection)
        with state.revoking(lambda: None) as again:
            assert again is not None
    state.close()


class Sleeps(LocalTarget):
    """While the first change is sent, this process loses its turn, as if it had slept long."""

    sent: ClassVar[list[str]] = []
    lose: ClassVar[Callable[[], None]]

    def put(self, change: Change) -> Outcome:
        self.sent.append(change.key)
        if len(self.sent) == 1:
            type(self).lose()
        return super().put(change)


@pytest.mark.case("C3")
def test_what_was_intended_before_a_sleep_is_not_sent_after_another_took_over(
    postgres_database: Database, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = open_state(postgres_url)

    def lose() -> None:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        postgres_database.run(ended, user=ROOT)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                state.journal.require_awake()
            except Unavailable:
                return
            time.sleep(0.1)
        raise AssertionError("it never finds out")

    monkeypatch.setattr(Sleeps, "sent", [])
    monkeypatch.setattr(Sleeps, "lose", lose, raising=False)
    city = City(persons=[person(i) for i in range(3)], jobs=[job(i) for i in range(3)])
    work = [
        Work(target=target, person_id=who, change=change, items=items)
        for target, who, change, items in ordered_changes(city.plan().items)
    ]
    with state.run_lock():
        done = carry_out(1, work, lambda _: new_target(tmp_path, Sleeps), state, lambda: NOW)
    assert done["hall"].down
    assert "run again" in done["hall"].reason
    assert Sleeps.sent == ["n0"]
    assert len(state.journal.unsettled()) == 2, "the next run finds out what became of them"
    state.close()


@pytest.mark.case("C3")
def test_what_was_read_before_a_sleep_is_not_believed_after_another_took_over(
    postgres_database: Database, postgres_url: str, tmp_path: Path
) -> None:
    town = Town(tmp_path / "en stad", state=postgres_url)
    town.write()
    town.json("sync", code=0)
    config = load(town.folder / "connectors.toml")
    state = open_state(postgres_url)
    with state.run_lock():
        attend(config, state, clock, strict=True)
        seen = look(config, state, clock(), lambda _: None)
        ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        postgres_database.run(ended, user=ROOT)
        town.leavers = {2}
        town.write_hr()
        until = time.monotonic() + 10
        while town.run("sync").code == 4:  # until the server has ended that session
            assert time.monotonic() < until
        accepted = state.snapshot("hr")
        with pytest.raises(Unavailable):
            remember(config, state, seen, clock())
        assert state.snapshot("hr") == accepted
    state.close()
