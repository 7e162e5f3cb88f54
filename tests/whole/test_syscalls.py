"""Killed at any write, or told by the disk that it did not write: the state stays true.

strace stands between idsync and the kernel. Only calls on the files of the state are touched.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.whole.test_main_job import by_key
from tests.whole.town import Town

PEOPLE = 6
WRITES = "pwrite64,write,fdatasync,fsync,ftruncate"


@dataclass
class Traced:
    """How a traced run ended."""

    code: int
    err: str
    calls: list[str]  # what was asked of the kernel on the files of the state, in order


def traced(town: Town, inject: str, calls: str = WRITES) -> Traced:
    """Run `idsync sync` in *town*, with *inject* done to *calls* on the files of its state."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = town.folder / "strace.log"
    state = town.folder / "var" / "idsync.db"
    paths = [part for suffix in ("", "-wal") for part in ("-P", f"{state}{suffix}")]
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", log, "-e", f"trace={calls}", *paths, "-e", inject,
         sys.executable, "-m", "idsync", "sync"],
        cwd=town.folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Traced(done.returncode, done.stderr, log.read_text(errors="replace").splitlines())


def known(town: Town) -> dict[str, set[str]]:
    """Whom the journal names, by target; and the file is sound."""
    state = sqlite3.connect(town.folder / "var" / "idsync.db")
    try:
        assert state.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found: dict[str, set[str]] = {}
        tables = {name for (name,) in state.execute("SELECT name FROM sqlite_master")}
        for target, items in (
            state.execute("SELECT target, items FROM journal") if "journal" in tables else ()
        ):
            found.setdefault(target, set()).update(re.findall(r'"key":"(\d+)"', items))
        return found
    finally:
        state.close()


def nothing_unwritten(town: Town) -> None:
    """Hold that nobody was sent to a system without an intent that is still there."""
    if (town.folder / "var" / "skola.db").exists():
        assert set(by_key(town.doors_of("skola"))) <= known(town).get("skola", set())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A town in which nothing goes wrong."""
    town = Town(tmp_path_factory.mktemp("whole") / "en stad", people=PEOPLE)
    town.write()
    town.json("sync", code=0)
    return town


def _killed_at(folder: Path, number: int, whole: Town) -> bool:
    """Kill a run at a call; the next ends as *whole* did. Return whether there was such a call."""
    town = Town(folder / f"town {number}", people=PEOPLE)
    town.write()
    done = traced(town, f"inject={WRITES}:signal=SIGKILL:when={number}")
    assert done.code in (0, -9, 137), done.err
    if (town.folder / "var" / "idsync.db").exists():
        nothing_unwritten(town)
    town.json("sync", code=0)
    assert town.doors() == whole.doors(), number
    assert known(town)
    shutil.rmtree(town.folder)
    return done.code != 0


@pytest.mark.case("J1")
def test_killed_at_a_write_the_next_run_ends_the_same(tmp_path: Path, whole: Town) -> None:
    for number in (2, 40, 90):
        assert _killed_at(tmp_path, number, whole)


@pytest.mark.long
@pytest.mark.case("J1")
def test_killed_at_any_write_the_next_run_ends_the_same(tmp_path: Path, whole: Town) -> None:
    number = 1
    while _killed_at(tmp_path, number, whole):
        number += 1
    assert number > 50


@pytest.mark.case("J5")
@pytest.mark.parametrize("number", [2, 4, 8])
def test_a_disk_that_fails_to_sync_ends_the_run_at_once(
    tmp_path: Path, whole: Town, number: int
) -> None:
    town = Town(tmp_path / "en stad", people=PEOPLE)
    town.write()
    syncs = "fdatasync,fsync"
    done = traced(town, f"inject={syncs}:error=EIO:when={number}", syncs)
    assert done.code == 5, done
    assert "the disk of the state failed" in done.err
    assert "Traceback" not in done.err
    failed = next(at for at, call in enumerate(done.calls) if "EIO" in call)
    again = [call for call in done.calls[failed + 1 :] if "sync(" in call]
    assert again == [], "what a failed sync left is not to be had by another"
    nothing_unwritten(town)
    # the disk is well again: what was not confirmed is found out, and done
    town.json("sync", code=0)
    assert town.doors() == whole.doors()
    assert town.json("sync", code=0)["writes"] == 0
