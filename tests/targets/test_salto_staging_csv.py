"""The CSV form of the Salto staging target: files put whole, and answers that are found."""

from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idsync.errors import ConfigError, Incomplete, Refused, Unavailable
from idsync.model import Cardholder, Change, Grant
from tests.fakes.salto import LEVELS, UNKNOWN, Dropped
from tests.targets.salto_contract import ASA, ONE, ROW, TWO, csv_target, put, shown

NONE = replace(ASA, grants=())


@pytest.fixture(params=["gone", "archive", "status"])
def files(tmp_path: Path, request: pytest.FixtureRequest) -> Dropped:
    return Dropped(tmp_path, request.param)


@pytest.fixture
def listed(tmp_path: Path) -> Dropped:
    return Dropped(tmp_path, "status")


@pytest.fixture
def archived(tmp_path: Path) -> Dropped:
    return Dropped(tmp_path, "archive")


# ── what is written ─────────────────────────────────────────────────────────────────────


def test_the_file_is_as_the_import_dialogue_reads_it(archived: Dropped) -> None:
    target = csv_target(archived, defaults={"AuditOpenings": True, "CalendarID": 0})
    put(target, replace(ASA, family_name="Öberg; chef", grants=(ONE, TWO)))
    head, row, *rest = archived.drop.read_bytes().decode().split("\r\n")
    assert rest == [""]
    assert head == (
        "Action;ExtID;dtActivation;dtExpiration;FirstName;LastName;Title;ExtAccessLevelIDList;"
        "ExtZoneIDList;ExtDoorIDList;AuditOpenings;CalendarID"
    )
    action, ext_id, begin, rest_of_row = row.split(";", 3)
    assert (action, ext_id, begin[10:]) == ("3", ROW, "T00:00:00")
    assert rest_of_row == f';Åsa;"Öberg; chef";1001;{{{LEVELS[0]},{LEVELS[1]}}};;;1;0'
    archived.run()
    assert archived.users[ROW].name == "1001 Åsa Öberg; chef"
    put(target, replace(ASA, family_name="Öberg; chef", grants=()), shown(target))
    assert ";{};;;1;0" in archived.drop.read_text()


def test_columns_stand_in_the_order_of_the_job(archived: Dropped) -> None:
    order = ["ExtID", "LastName", "ExtAccessLevelIDList", "Action", "dtActivation", "dtExpiration"]
    target = csv_target(archived, order=order, header=False)
    put(target, Cardholder(key="1001", family_name="Öberg"))
    assert archived.drop.read_text().startswith(f"{ROW};Öberg;;3;")
    with pytest.raises(Refused, match="given_name has no column"):
        put(target, replace(ASA, key="1002"))
    with pytest.raises(ConfigError, match="lacks the column ExtAccessLevelIDList"):
        csv_target(archived, order=["Action", "ExtID", "dtExpiration"])
    with pytest.raises(ConfigError, match="lacks the column dtExpiration"):
        csv_target(archived, order=["Action", "ExtID", "ExtAccessLevelIDList"])


def test_only_what_is_not_answered_is_in_the_file(files: Dropped) -> None:
    target = csv_target(files)
    put(target, ASA)
    files.run()
    put(target, replace(ASA, key="1002", given_name="Bo"))
    put(target, replace(ASA, key="1003", given_name="Cilla"))
    waiting = [row["ExtID"] for row in files.lines(files.drop)]
    assert waiting == ["idsync-1002", "idsync-1003"]
    assert [each.key for each in target.read() if each.pending] == ["1002", "1003"]


def test_many_changes_are_one_file_and_a_refusal_stops_no_other(archived: Dropped) -> None:
    target = csv_target(archived)
    changes = [
        Change(before=None, after=replace(ASA, key=str(key), given_name=str(key)))
        for key in range(1000, 1005)
    ]
    changes[2] = Change(before=None, after=replace(ASA, key="1002", given_name="x" * 41))
    outcomes = target.put_many(changes)
    assert [each.status for each in outcomes].count("submitted") == 4
    assert outcomes[2].status == "refused"
    assert len(archived.lines(archived.drop)) == 4
    again = target.put_many(changes)
    assert [each.status for each in again] == [each.status for each in outcomes]


def test_letters_that_the_encoding_lacks_are_refused_and_what_takes_away_is_done(
    tmp_path: Path,
) -> None:
    files = Dropped(tmp_path, "gone", encoding="windows-1252")
    target = csv_target(files, encoding="windows-1252")
    assert target.capabilities.characters == "latin-1"
    put(target, ASA)
    files.run()
    for after in (replace(NONE, given_name="Ђорђе"), replace(NONE, given_name='Å "Lasse"')):
        before = shown(target)
        with pytest.raises(Refused):
            put(target, after, replace(before, grants=(ONE,)))
        assert shown(target).grants == ()
    files.run()
    assert not files.users[ROW].opens(LEVELS[0])
    assert shown(target).given_name == "Åsa"


# ── never half ──────────────────────────────────────────────────────────────────────────


def test_nobody_ever_sees_half_a_file(archived: Dropped) -> None:
    target = csv_target(archived)
    target.put_many(
        [Change(before=None, after=replace(ASA, key=str(key))) for key in range(1000, 1300)]
    )
    faults: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for path in (archived.drop, archived.state):
                data = path.read_bytes()
                if not data.endswith(b"\r\n") or data.count(b"\r\n") < 301:
                    faults.append(path.name)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for number in range(20):
            put(target, replace(ASA, key="1000", family_name=f"Ö{number}"), shown(target, "1000"))
    finally:
        over.set()
        watching.join(timeout=10)
    assert faults == []
    assert sorted(path.name for path in archived.drop.parent.iterdir()) == ["users.csv"]


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_write_that_fails_half_way_is_sent_again(
    files: Dropped, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    target = csv_target(files)
    put(target, ASA)
    files.run()
    state, times = files.state.read_bytes(), iter(range(1, 9))
    real = Path.replace

    def full(self: Path, goal: Path) -> Path:
        if next(times) == fails_at:
            raise OSError(28, "No space left on device")
        return real(self, goal)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Unavailable, match="No space left"):
        put(target, NONE, ASA)
    monkeypatch.undo()
    assert files.state.read_bytes() == state, "the memory tells of what was not handed over"
    assert shown(target).grants == (ONE,), "a removal is believed that nobody has been told"
    put(target, NONE, ASA)
    files.run()
    assert not files.users[ROW].opens(LEVELS[0])
    assert not list(files.state.parent.rglob("*.part"))


def test_a_cut_memory_is_not_read(files: Dropped) -> None:
    target = csv_target(files)
    for key in ("1001", "1002"):
        put(target, replace(ASA, key=key, given_name=key))
    whole = files.state.read_bytes()
    lines = whole.split(b"\r\n")
    for damaged in (
        b"", whole[:-9], whole[: len(whole) // 2], b"\r\n".join(lines[:-2]) + b"\r\n",
        b"\r\n".join([lines[0], *lines[2:]]), whole.replace(b"idsync-1001", b"idsync-\xff"),
    ):  # fmt: skip
        files.state.write_bytes(damaged)
        for call in (lambda: list(target.read()), lambda: put(target, NONE, ASA)):
            with pytest.raises(Incomplete):
                call()


def test_a_memory_that_is_missing_is_not_an_empty_one(files: Dropped) -> None:
    target = csv_target(files, create=False)
    for call in (lambda: list(target.read()), lambda: put(target, ASA)):
        with pytest.raises(Unavailable, match="cannot be read"):
            call()
    first = csv_target(files, create=True)
    assert list(first.read()) == []
    put(first, ASA)
    assert (files.state.stat().st_mode & 0o777) == 0o600
    files.state.unlink()
    with pytest.raises(Unavailable, match="cannot be read"):
        list(first.read())


def test_two_writers_do_not_lose_each_others_rows(files: Dropped) -> None:
    target = csv_target(files)
    put(target, ASA)
    lock = files.state.with_name("state.csv.lock")
    with lock.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="another is writing"):
            put(target, NONE, ASA)
    assert put(target, NONE, ASA) == "submitted"


# ── answers ─────────────────────────────────────────────────────────────────────────────


def test_the_status_file_tells_who_was_refused(listed: Dropped) -> None:
    target = csv_target(listed)
    put(target, replace(ASA, grants=(Grant(ref="NO-SUCH-LEVEL"),)))
    assert shown(target).pending
    listed.run()
    found = shown(target)
    assert found.amiss == f"the import job refused the row (ErrorCode {UNKNOWN})"
    assert "Öberg" in listed.status.read_text()
    assert "Öberg" not in listed.state.read_text().replace(";Öberg;", "")
    listed.known["ExtAccessLevelIDList"].add("NO-SUCH-LEVEL")
    assert put(target, found, found) == "submitted"
    assert shown(target).pending, "an older status file is taken for an answer"
    listed.run()
    assert (shown(target).pending, shown(target).amiss) == ("", "")


def test_a_job_that_read_an_older_file_cannot_hide_a_removal(listed: Dropped) -> None:
    target = csv_target(listed)
    put(target, ASA)
    older = listed.lines(listed.drop)
    put(target, NONE, ASA)
    listed.answer(older)
    os.utime(listed.status, ns=(2**62, 2**62))
    found = shown(target)
    assert found.amiss.startswith("it was written again")
    put(target, found, found)
    listed.status.unlink()
    listed.run()
    os.utime(listed.status, ns=(2**62, 2**62))
    assert not listed.users[ROW].opens(LEVELS[0])
    assert not shown(target).amiss


def test_a_status_file_that_is_not_whole_is_no_answer(listed: Dropped) -> None:
    target = csv_target(listed)
    put(target, ASA)
    for damaged in ("", "ExtID;Error", "ExtID;ErrorCode\r\nidsync-1001;", "A;B\r\n1;2\r\n",
                    "ExtID;ErrorCode\r\nidsync-1001\r\n"):  # fmt: skip
        listed.status.write_text(damaged, newline="")
        with pytest.raises(Incomplete):
            shown(target)
    listed.status.write_text("ExtID;ErrorCode\r\nidsync-1001;konstigt\r\n", newline="")
    assert "ErrorCode -1" in shown(target).amiss


def test_a_file_that_went_but_is_not_in_the_archive_is_sent_again(archived: Dropped) -> None:
    target = csv_target(archived)
    put(target, ASA)
    archived.drop.unlink()
    found = shown(target)
    assert found.amiss == "the file was taken, and does not stand in the archive"
    (archived.archive / "other.csv").write_text("x" * 999)
    assert put(target, found, found) == "submitted"
    archived.run()
    assert not shown(target).amiss
    assert archived.users[ROW].opens(LEVELS[0])


def test_a_folder_that_is_away_is_no_answer(files: Dropped) -> None:
    target = csv_target(files)
    put(target, ASA)
    away = files.drop.parent.with_name("away")
    files.drop.parent.rename(away)
    if files.answers == "status":
        assert shown(target).pending
    else:
        with pytest.raises(Unavailable, match="is not there"):
            shown(target)
    with pytest.raises(Unavailable):
        put(target, NONE, ASA)
    away.rename(files.drop.parent)
    assert shown(target).pending


def test_the_check_reads_and_writes_nothing(files: Dropped, tmp_path: Path) -> None:
    target = csv_target(files)
    put(target, ASA)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert target.check().endswith("files with 1 rows, 1 of them waiting for the job")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    gone: dict[str, Any] = {"drop": tmp_path / "gone" / "users.csv"}
    with pytest.raises(Unavailable, match="is not there"):
        csv_target(files, **gone).check()
