"""A run that is stopped in the middle, and wakes when another has taken over."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.servers.postgres import Database
from tests.whole.test_postgres_state import made
from tests.whole.town import Town

pytest_plugins = ("tests.servers.state_fixtures",)
pytestmark = pytest.mark.postgres

KNOWN = "SELECT count(*) FROM journal WHERE state <> 'intent'"


def wait_for(database: Database, count: int) -> None:
    """Wait until *count* operations are known."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        tables = database.run("SELECT 1 FROM pg_tables WHERE tablename = 'journal'")
        if tables and database.run(KNOWN)[0][0] >= count:
            return
        time.sleep(0.002)
    raise AssertionError(f"the run never did {count} operations")


@pytest.mark.case("C3", "C7")
@pytest.mark.long
def test_a_stopped_run_keeps_runs_out_for_a_while_and_sends_nothing_when_it_wakes_after_another(
    tmp_path: Path, postgres_database: Database, postgres_url: str
) -> None:
    whole = Town(tmp_path / "whole", people=300)
    whole.write()
    whole.json("sync", code=0)
    town = made(tmp_path / "stopped", postgres_database, people=300)
    process = town.start("sync")
    wait_for(postgres_database, 70)
    process.send_signal(signal.SIGSTOP)
    try:
        assert town.run("sync").code == 4, "two runs at once"
        until = time.monotonic() + 60
        while (answer := town.run("sync")).code == 4:
            assert time.monotonic() < until, "a stopped run keeps others out for ever"
        assert answer.code == 0
        doors = town.doors()
        [(operations,)] = postgres_database.run("SELECT count(*) FROM journal")
    finally:
        process.send_signal(signal.SIGCONT)
    _, told = process.communicate(timeout=60)
    assert process.returncode != 0, "a run that was fenced off called itself done"
    assert "Traceback" not in told
    assert doors == whole.doors()
    assert town.doors() == doors, "a late write of the sleeper changed something"
    assert postgres_database.run("SELECT count(*) FROM journal") == [(operations,)]
    assert town.json("sync", code=0)["writes"] == 0
