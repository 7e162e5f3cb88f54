"""A state that is not the newest is found out, and comes back under an operator's control."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.whole.test_main_job import by_key, rights
from tests.whole.town import Town

PEOPLE = 20
NEWCOMER = Town.number(PEOPLE)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = Town(tmp_path / "en stad", people=PEOPLE)
    made.write()
    made.json("sync", code=0)
    return made


def state_of(town: Town) -> Path:
    return town.folder / "var" / "idsync.db"


def kept(town: Town, name: str) -> Path:
    """Keep a copy of the state, as a backup does."""
    copy = town.folder / name
    shutil.copy(state_of(town), copy)
    return copy


def restored(town: Town, copy: Path) -> None:
    for beside in state_of(town).parent.glob("idsync.db*"):
        beside.unlink()
    shutil.copy(copy, state_of(town))


@pytest.mark.case("J8")
def test_an_old_copy_of_the_state_is_refused_until_it_is_rebuilt(town: Town) -> None:
    copy = kept(town, "last week.db")
    town.json("revoke", "200004", "--reason", "uppsagd", code=0)
    town.people += 1
    town.write()
    town.json("sync", code=0)
    assert NEWCOMER in by_key(town.doors()["skola"])
    before = town.doors()

    restored(town, copy)
    for command in (["plan"], ["sync"], ["status"]):
        answer = town.run(*command)
        assert answer.code == 5, answer
        assert "older than what was done" in answer.err
        assert "idsync rebuild" in answer.err
    assert town.doors() == before

    report = town.json("rebuild", "--reason", "återläst", code=0)
    assert (report["done"], report["orders_lost"]) == (False, 1)
    assert report["operations_lost"] > 0
    assert report["targets"]["stadshuset"]["marked"] == 1, "the system tells who gave what"
    assert report["targets"]["skola"]["marked"] == 0, "nothing there tells, so it is only counted"
    assert report["targets"]["skola"]["other"] == 2
    assert town.run("sync").code == 5, "a report alone lets nothing go"

    town.json("rebuild", "--reason", "återläst", "--yes", code=0)
    assert town.doors() == before, "a rebuild writes to no system"
    town.json("revoke", "200004", "--reason", "uppsagd", code=0)
    town.json("sync", code=0)
    assert town.json("sync", code=0)["writes"] == 0
    # what was given after the copy was made is known as idsync's own again
    town.leavers = {PEOPLE}
    town.write_hr()
    town.json("sync")
    town.json("sync")
    assert rights(by_key(town.doors()["stadshuset"])[NEWCOMER]) == set()


def test_an_old_copy_holds_up_no_revocation(town: Town) -> None:
    copy = kept(town, "last week.db")
    town.json("revoke", "200005", "--reason", "uppsagd", code=0)
    restored(town, copy)
    assert town.run("sync").code == 5
    for _ in range(3):  # however many orders there are on it, it stays an old one
        assert town.json("revoke", "200004", "--reason", "uppsagd", code=0)["confirmed"]
        assert town.run("sync").code == 5
    assert by_key(town.doors()["stadshuset"])["200004"].status == "suspended"


def test_a_state_that_is_gone_is_not_begun_anew_silently(town: Town) -> None:
    before = town.doors()
    for beside in state_of(town).parent.glob("idsync.db*"):
        beside.unlink()
    assert town.run("plan").code == 5
    assert town.run("sync").code == 5
    report = town.json("rebuild", "--reason", "disken dog", code=0)
    assert report["targets"]["skola"]["kept"] == 0
    assert report["targets"]["skola"]["other"] > 0
    town.json("rebuild", "--reason", "disken dog", "--yes", code=0)
    assert town.doors() == before
    assert town.json("sync")["outcome"] in ("applied", "no-change")
    assert town.json("sync")["writes"] == 0


def test_a_newer_state_than_the_witness_is_believed(town: Town) -> None:
    witness = town.folder / "var" / "idsync.witness"
    old = witness.read_bytes()
    town.json("sync", code=0)
    witness.write_bytes(old)
    assert town.json("sync", code=0)["writes"] == 0
    assert witness.read_bytes() != old
    witness.unlink()
    town.json("sync", code=0)
    assert witness.exists()


def test_a_damaged_witness_is_told(town: Town) -> None:
    witness = town.folder / "var" / "idsync.witness"
    told = bytearray(witness.read_bytes())
    told[30] ^= 1
    witness.write_bytes(told)
    answer = town.run("sync")
    assert answer.code == 5
    assert "witness" in answer.err
    assert town.json("revoke", "200004", "--reason", "uppsagd", code=0)["confirmed"]
    witness.unlink()
    assert town.json("sync", code=0)["writes"] == 0


@pytest.mark.case("J7")
def test_a_damaged_state_ends_with_the_code_of_broken_integrity(town: Town) -> None:
    before = town.doors()
    state = state_of(town)
    content = bytearray(state.read_bytes())
    middle = len(content) // 2
    content[middle:] = bytes(len(content) - middle)
    for beside in state.parent.glob("idsync.db*"):
        beside.unlink()
    state.write_bytes(content)
    for command in ("plan", "sync"):
        answer = town.run(command)
        assert answer.code == 5, answer
        assert "rebuild" in answer.err
        assert "Traceback" not in answer.err
    assert town.doors() == before
