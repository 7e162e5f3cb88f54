"""A run that is asked to end, or ended, leaves nothing that the next one does not mend."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.whole.test_main_job import by_key
from tests.whole.test_safety import wait_for_operations
from tests.whole.town import Town

SLOW = """
import sys, time
from idsync.cli import main
from idsync.targets.local import LocalTarget
put, seconds = LocalTarget.put, float(sys.argv[1])
def slow(self, change):
    time.sleep(seconds)
    return put(self, change)
LocalTarget.put = slow
sys.argv = ["idsync", "sync"]
main()
"""


def slow_sync(town: Town, seconds: float) -> subprocess.Popen[str]:
    """Start a sync in which each write takes *seconds*."""
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(seconds)],
        cwd=town.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = Town(tmp_path / "en stad", people=80)
    made.write()
    return made


@pytest.mark.case("J14")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_that_is_asked_to_end_finishes_what_is_under_way(
    town: Town, number: signal.Signals
) -> None:
    process = slow_sync(town, 0.3)
    wait_for_operations(town, 1)
    asked = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - asked <= 10.5
    assert process.returncode == 4, (out, err)
    assert "what is under way is finished" in err
    written = len(by_key(town.doors_of("skola")))
    assert written < 53
    assert town.json("status", code=0)["unsettled"] == 0
    town.json("sync", code=0)
    assert len(by_key(town.doors_of("skola"))) == 53
    assert town.json("sync", code=0)["writes"] == 0


@pytest.mark.case("J14")
def test_a_run_that_is_asked_twice_ends_at_once_and_one_that_hangs_after_ten_seconds(
    town: Town,
) -> None:
    for signals, longest in ((2, 5.0), (1, 14.0)):
        shutil.rmtree(town.folder / "var", ignore_errors=True)
        process = slow_sync(town, 60)
        assert process.stderr is not None
        wait_for_operations(town, 0, intents=1)
        time.sleep(2)  # it is sent
        asked = time.monotonic()
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        process.communicate(timeout=30)
        assert time.monotonic() - asked < longest
        assert process.returncode == 128 + signal.SIGINT
    town.json("sync", code=0)
    assert len(by_key(town.doors_of("skola"))) == 53
    assert town.json("sync", code=0)["writes"] == 0


@pytest.mark.case("C7", "J11")
def test_who_comes_second_is_told_who_is_at_work_and_since_when(town: Town) -> None:
    process = slow_sync(town, 60)
    wait_for_operations(town, 0, intents=1)
    try:
        before = town.doors_of("skola")
        for command in (["sync"], ["apply"]):
            answer = town.run(*command)
            assert answer.code == 4, answer
            told = rf"another idsync run is at work .*process {process.pid} on .*, since 20\d\d-"
            assert re.search(told, answer.err)
        assert town.doors_of("skola") == before
    finally:
        process.kill()
        process.communicate(timeout=30)
    town.json("sync", code=0)
