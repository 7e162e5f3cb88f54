"""The whole job with its state in a real PostgreSQL: the same job, and one run at a time."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.postgres import OWNER, PASSWORDS, Database
from tests.whole.test_main_job import by_key, rights
from tests.whole.town import Town

pytest_plugins = ("tests.servers.state_fixtures",)
pytestmark = pytest.mark.postgres

HOLDS = """
import sys, time
from idsync.store import open_state
with open_state(sys.argv[1]).run_lock():
    print("held", flush=True)
    time.sleep(120)
"""


def made(folder: Path, database: Database, people: int = 60) -> Town:
    """A town whose state is in *database*; the authority's certificate lies in its folder."""
    state = f"{database.url()}?sslmode=verify-full&sslrootcert=ca.pem"
    town = Town(folder, people=people, state=state)
    town.write()
    shutil.copy(database.server.certificates.ca, town.folder / "ca.pem")
    return town


@pytest.fixture
def town(tmp_path: Path, postgres_database: Database, postgres_url: str) -> Town:
    return made(tmp_path / "en stad åäö", postgres_database)


@contextmanager
def another_run(url: str) -> Iterator[subprocess.Popen[str]]:
    """A second process that holds the lock of runs; killed at the end, as by kill -9."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)


def test_the_second_run_sends_no_write(town: Town, tmp_path: Path) -> None:
    beside = Town(tmp_path / "i en fil")
    beside.write()
    for one in (town, beside):
        first = one.json("sync", code=0)
        assert (first["outcome"], first["writes"]) == ("applied", 70)
        second = one.json("sync", code=0)
        assert (second["outcome"], second["writes"]) == ("no-change", 0)
    assert town.doors() == beside.doors()
    assert not (town.folder / "var" / "idsync.db").exists()


def test_a_plan_writes_nothing_anywhere(town: Town, postgres_database: Database) -> None:
    files = sorted(path.name for path in town.folder.rglob("*"))
    for _ in range(2):
        assert len(town.json("plan", code=0)["changes"]) == 70
    town.json("status", code=0)
    assert sorted(path.name for path in town.folder.rglob("*")) == files
    assert not postgres_database.run(
        "SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )


def test_a_saved_plan_is_done_exactly_or_refused(town: Town) -> None:
    town.json("plan", "--save", "tonight.plan", code=0)
    digest = json.loads((town.folder / "tonight.plan").read_text())["digest"]
    done = town.json("apply", "tonight.plan", code=0)
    assert (done["digest"], done["outcome"]) == (digest, "applied")
    assert town.run("apply", "tonight.plan").code == 3


def test_what_is_held_is_approved_once(town: Town) -> None:
    town.json("sync", code=0)
    town.leavers = set(range(0, 60, 3)) - {0}
    town.write_hr()
    held = town.json("sync", code=3)
    for part in held["held"]:
        town.json("approve", part["digest"][:12], "--reason", "stämmer", code=0)
    assert town.json("sync", code=0)["targets"]["stadshuset"]["revoke"] == 19
    assert town.json("sync", code=0)["writes"] == 0


@pytest.mark.case("C7")
def test_a_run_keeps_out_runs_and_no_orders_until_it_is_killed(
    town: Town, postgres_url: str
) -> None:
    town.absent_reads = 1
    town.write()
    town.json("sync", code=0)
    before = town.doors()
    town.leavers = {2}
    town.write_hr()
    with another_run(postgres_url):
        refused = town.run("sync")
        assert refused.code == 4
        assert "another idsync run is at work" in refused.err
        assert town.doors() == before
        assert town.json("plan", code=0)["outcome"] == "planned"
        assert town.json("revoke", "200010", "--reason", "uppsagd", code=0)["confirmed"]
        town.json("restore", "200010", "--reason", "misstag", code=0)
    _wait_until_free(town)
    assert by_key(town.doors()["stadshuset"])["200002"].status == "suspended"


def _wait_until_free(town: Town) -> None:
    """Sync as soon as the server has seen that the other process is gone."""
    until = time.monotonic() + 5
    while (answer := town.run("sync")).code == 4:
        assert time.monotonic() < until, answer
    assert answer.code == 0, answer


@pytest.mark.case("J1")
@pytest.mark.parametrize("after", [1, 65])
def test_killed_anywhere_the_next_run_ends_the_same(
    tmp_path: Path, postgres_database: Database, postgres_url: str, after: int
) -> None:
    whole = Town(tmp_path / "whole", people=150)
    whole.write()
    whole.json("sync", code=0)

    town = made(tmp_path / "cut", postgres_database, people=150)
    process = town.start("sync")
    _wait_for_operations(postgres_database, after)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL

    _wait_until_free(town)
    assert town.doors() == whole.doors()
    assert town.json("sync", code=0)["writes"] == 0
    # what was written before the kill is idsync's own: it goes when the person goes
    for one in (town, whole):
        one.leavers = {1, 2}
        one.write_hr()
        one.json("sync", code=0)
    assert town.doors() == whole.doors()


def _wait_for_operations(database: Database, count: int) -> None:
    """Wait until the state tells of *count* operations whose outcome is known."""
    known = "SELECT count(*) FROM journal WHERE state <> 'intent'"
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if database.run("SELECT 1 FROM pg_tables WHERE tablename = 'journal'"):
            [(done,)] = database.run(known)
            if done >= count:
                return
        time.sleep(0.002)
    raise AssertionError(f"the run never did {count} operations")


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("unknown password", 2, "refuses the user or the password"),
        ("no password", 2, "wants a password"),
        ("wrong authority", 2, "not trusted"),
        ("host down", 4, "does not answer"),
    ],
)
def test_a_state_that_cannot_be_reached_is_told_and_nothing_is_written(
    town: Town, postgres_database: Database, password_file: Path, fault: str, code: int,
    words: str,
) -> None:  # fmt: skip
    town.json("sync", code=0)
    before = town.doors()
    town.leavers = {2}
    town.write_hr()
    if fault == "unknown password":
        password_file.write_text(f"*:*:*:{OWNER}:fel lösen\n", encoding="utf-8")
    elif fault == "no password":
        password_file.write_text("")
    elif fault == "wrong authority":
        shutil.copy(postgres_database.server.certificates.other_ca, town.folder / "ca.pem")
    else:
        town.state = "postgresql://idsync@127.0.0.1:9/idsync"
        town.write_config()
    for command in (["sync"], ["plan"], ["status"], ["revoke", "200010", "--reason", "uppsagd"]):
        answer = town.run(*command)
        assert answer.code == code, answer
        assert words in answer.err
        shown = answer.out + answer.err
        assert "Traceback" not in shown
        assert "lösen" not in shown
    assert town.doors() == before


@pytest.mark.case("J1")
def test_a_server_that_dies_in_a_run_leaves_what_the_next_run_mends(
    tmp_path: Path, postgres_database: Database, postgres_url: str
) -> None:
    town = made(tmp_path / "cut", postgres_database, people=300)
    process = town.start("sync")
    _wait_for_operations(postgres_database, 20)
    server = postgres_database.server
    server.stop()
    try:
        _, told = process.communicate(timeout=60)
    finally:
        server.start()
    assert process.returncode == 4, told
    assert "the PostgreSQL server of the state" in told
    assert PASSWORDS[OWNER] not in told
    assert len(town.doors()["skola"]) < 200
    town.json("sync", code=0)
    assert {frozenset(rights(one)) for one in town.doors()["skola"]} == {
        frozenset({"SKOLA", "LARM-SKOLA"})
    }
    assert town.json("sync", code=0)["writes"] == 0
