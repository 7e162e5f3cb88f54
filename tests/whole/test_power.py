"""What power loss would leave: nothing is acknowledged or sent that the disk does not have."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole.town import Town

CALL = re.compile(r"^\d+ +(\w+)\((\d+)<([^>]*)>")


def traced(town: Town, *words: str) -> list[tuple[str, str]]:
    """Run a command; return (call, file) of each write and sync, in the order they were made."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = town.folder / "strace.log"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-y", "-o", log,
         "-e", "trace=pwrite64,write,fdatasync,fsync,ftruncate",
         sys.executable, "-m", "idsync", *words],
        cwd=town.folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if call := CALL.match(line):
            descriptor = int(call[2])
            found.append((call[1], "stdout" if descriptor == 1 else Path(call[3]).name))
    return found


def early(calls: list[tuple[str, str]], witness: str) -> list[int]:
    """Return where *witness* is written while a byte of the state is not synchronised."""
    dirty, found = set[str](), []
    for at, (call, file) in enumerate(calls):
        if file == witness and "sync" not in call and dirty:
            found.append(at)
        if file in ("idsync.db", "idsync.db-wal"):
            dirty = dirty - {file} if "sync" in call else dirty | {file}
    return found


@pytest.mark.case("J6")
def test_an_order_is_on_the_disk_before_it_is_acknowledged_and_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    town = Town(tmp_path / "town", people=6)
    town.write()
    town.json("sync", code=0)
    calls = traced(town, "revoke", town.number(4), "--reason", "uppsagd", "--json")
    files = [file for _, file in calls]
    assert "stdout" in files
    assert early(calls, "stdout") == []
    first = next(at for at, file in enumerate(files) if file.startswith(("skola.db", "stads")))
    synced = [call for call, file in calls[:first] if file == "idsync.db-wal" and "sync" in call]
    assert len(synced) >= 2, "the order, and the intent"
    assert early(calls[: first + 1], files[first]) == []
    # and it would be seen: without the syncs everything is early
    unsynced = [one for one in calls if "sync" not in one[0]]
    assert early(unsynced, "stdout") != []
