"""A full disk: nothing is sent that is not written down, and revocations have room of their own.

Needs a small file system of its own, and so root.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from idsync.errors import NoRoom
from idsync.store import State, open_state
from idsync.store.reserve import SIZE
from tests.plan.examples import NOW
from tests.servers.postgres import OWNER, Postgres, required
from tests.servers.slapd import Certificates
from tests.store.test_journal import adds, intend
from tests.whole.test_main_job import by_key
from tests.whole.town import Town

pytest_plugins = ("tests.servers.postgres_fixtures",)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of *size* at *folder*; skipped with the reason where none may be mounted."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "idsync-test", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk on which a state and its reserve have room, and little more."""
    with small_disk(tmp_path / "disk", "16m") as folder:
        yield folder


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill *disk* up to the last byte but *leave*."""
    free = os.statvfs(disk)
    file = disk / "filler"
    with file.open("wb") as handle:
        count = free.f_bavail * free.f_frsize - leave
        if count > 0:
            os.posix_fallocate(handle.fileno(), 0, count)
    return file


@pytest.mark.case("J3")
def test_what_was_confirmed_before_the_disk_was_full_is_there(disk: Path) -> None:
    url = f"sqlite:///{disk}/idsync.db"
    state = open_state(url)
    filler = fill(disk, leave=300_000)
    confirmed: list[int] = []
    with pytest.raises(NoRoom, match="no room for the state"):
        while True:
            confirmed += intend(state, *(adds(key=f"n{n}") for n in range(20)))
    assert confirmed
    filler.unlink()
    confirmed += intend(state, adds())  # without being opened anew
    state.close()
    again = open_state(url)
    assert [one.id for one in again.journal.unsettled()] == confirmed
    assert again.engine.raw_connection().execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    again.close()


@pytest.fixture
def town(tmp_path: Path, disk: Path) -> Town:
    """A town whose state stands on the small disk, and whose systems do not."""
    made = Town(tmp_path / "en stad", people=30, state=f"sqlite:///{disk}/idsync.db")
    made.write()
    made.json("sync", code=0)
    return made


@pytest.mark.case("J3", "A14")
def test_on_a_full_disk_grants_stop_and_revocations_go_on(town: Town, disk: Path) -> None:
    reserve = disk / "idsync.db.reserve"
    assert reserve.stat().st_size == SIZE
    before = town.doors()
    town.people += 30
    town.write()
    filler = fill(disk)

    order = town.json("revoke", "200004", "--reason", "uppsagd", code=0)
    assert order["confirmed"], "in the room kept for it"
    assert by_key(town.doors_of("stadshuset"))["200004"].status == "suspended"
    assert not reserve.exists()

    for _ in range(2):
        answer = town.run("sync")
        assert answer.code == 4, answer
        assert "make room on its disk" in answer.err
        assert set(by_key(town.doors_of("skola"))) == set(by_key(before["skola"]))
    assert town.json("revoke", "200007", "--reason", "uppsagd", code=0)["confirmed"]

    filler.unlink()
    town.json("sync", code=0)
    assert len(by_key(town.doors_of("skola"))) == len(by_key(before["skola"])) + 20
    assert reserve.stat().st_size == SIZE, "it is set aside again"
    assert town.json("sync", code=0)["writes"] == 0


def test_a_revocation_that_was_given_when_the_disk_filled_in_a_run_is_there(
    town: Town, disk: Path
) -> None:
    fill(disk)
    for number in range(8):
        town.json("revoke", f"20000{number}", "--reason", "uppsagd", code=0)
    status = town.json("status", code=0)
    assert len(status["revocations"]) == 8
    assert status["unconfirmed"] == []


# ── PostgreSQL ──────────────────────────────────────────────────────────────────────────


@pytest.mark.postgres
def test_a_full_volume_of_postgresql_is_told_and_recovers_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    required()
    outside = Path(tempfile.mkdtemp(prefix="idsync-volume-"))
    outside.chmod(0o755)  # the server's own user reads it
    with small_disk(outside / "volume", "200m") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        certificates = tmp_path / "certificates"
        certificates.mkdir()
        with Postgres(Certificates(certificates)) as server:
            monkeypatch.setenv("PGPASSFILE", str(_passwords(tmp_path)))
            database = server.new_database()
            state = open_state(database.verified_url())
            with database.connect() as session:  # the same server answers all the time
                begun = session.execute("SELECT pg_postmaster_start_time()").fetchone()
                filler = fill(disk, leave=400_000)
                confirmed: list[int] = []
                with pytest.raises(NoRoom, match="make room"):
                    while True:
                        confirmed += intend(state, *(adds(key=f"n{n}") for n in range(20)))
                assert [one.id for one in state.journal.unsettled()] == confirmed
                assert state.orders.revocations() == []
                filler.unlink()
                _ordered(state)
                confirmed += intend(state, adds())
                assert [one.id for one in state.journal.unsettled()] == confirmed
                now = session.execute("SELECT pg_postmaster_start_time()").fetchone()
            assert now == begun
            state.close()


def _ordered(state: State) -> None:
    state.orders.revoke("id-1", "uppsagd", "hr", NOW)
    assert state.orders.is_revoked("id-1")


def _passwords(folder: Path) -> Path:
    file = folder / "passwords"
    file.write_text(f"*:*:*:{OWNER}:lösen för idsync\n", encoding="utf-8")
    file.chmod(0o600)
    return file
