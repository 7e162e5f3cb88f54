"""One board sees its own people and systems: what it may not see is not there (I24)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from idsync.config import load
from idsync.errors import ConfigError
from idsync.service.finding import find_person
from idsync.service.planning import stored_people
from idsync.service.scope import scope_of
from idsync.store import open_state
from tests.privacy.people import LATE, LEAVER, OPEN, Human
from tests.privacy.search import Search
from tests.privacy.site import Answer, Site

CONTROLLERS = """
[controllers]
fagelnamnden = ["Fågelnämnden"]
vantnamnden = ["Väntnämnden"]
utan = []
"""
BOTH = replace(OPEN, number="907855", given="Dubbelina", family="Tvåstolasson")
"""Somebody whom both boards employ; the second post is a line of its own."""

SECOND = "Köhemlighetare"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    people = (OPEN, LATE, LEAVER, BOTH)
    site = Site(tmp_path_factory.mktemp("nämnder") / "stad", ("local", "file"), people)
    with site.standing():
        config = site.folder / "connectors.toml"
        text = config.read_text(encoding="utf-8").replace("[brakes]", f"{CONTROLLERS}\n[brakes]")
        text = text.replace("[targets.local]", '[targets.local]\ncontroller = "fagelnamnden"')
        text = text.replace("[targets.file]", '[targets.file]\ncontroller = "vantnamnden"')
        config.write_text(text, encoding="utf-8")
        rows = [one.hr() for one in people]
        second = rows[-1].replace("e907855", "e907855b")
        second = second.replace(BOTH.unit, "Väntnämnden / Kön").replace(BOTH.title, SECOND)
        site.text("hr.csv", [Human.HR, *rows, second, "#ANTAL;5"])
        answer = site.run("sync")
        assert answer.code == 0, answer
        yield site


def of(human: Human, answer: Answer) -> set[str]:
    found = Search(human.values())((answer.out + answer.err).encode(), "said")
    return {one.name for one in found}


@pytest.mark.case("A5")
def test_another_boards_person_is_not_found_and_nobody_can_tell_from_nobody(site: Site) -> None:
    own = site.run("explain", OPEN.number, "--controller", "fagelnamnden")
    assert own.code == 0
    assert "FSK-ENTRE" in own.out
    others = site.run("explain", LATE.number, "--controller", "fagelnamnden")
    nobody = site.run("explain", "111111", "--controller", "fagelnamnden")
    assert others == nobody
    for asked in (LATE.shown, LATE.mail, LATE.user, f"p{LATE.number}"):
        assert site.run("explain", asked, "--controller", "fagelnamnden") == nobody


def test_another_boards_person_takes_as_long_as_nobody(site: Site) -> None:
    config = load(site.folder / "connectors.toml")
    state = open_state(config.idsync.state, create=False)
    people = scope_of(config, "fagelnamnden").people(stored_people(config, state))

    def took(asked: str) -> float:
        began = time.perf_counter()
        with pytest.raises(ConfigError, match="nobody is known"):
            find_person(asked, people, state, only_these=True)
        return time.perf_counter() - began

    times = [(took(LATE.number), took("111111")) for _ in range(40)]
    state.close()
    others, nobody = (statistics.median(column) for column in zip(*times, strict=True))
    assert 0.5 < others / nobody < 2


@pytest.mark.case("A6")
def test_who_works_for_two_boards_is_told_of_to_each_by_its_own_post(site: Site) -> None:
    mine = site.run("explain", BOTH.number, "--controller", "fagelnamnden").out
    theirs = site.run("explain", BOTH.number, "--controller", "vantnamnden").out
    assert BOTH.title in mine
    assert SECOND not in mine
    assert "file:" not in mine
    assert SECOND in theirs
    assert BOTH.title not in theirs
    assert "local:" not in theirs
    whole = site.run("explain", BOTH.number).out
    assert BOTH.title in whole
    assert SECOND in whole
    # the systems have the union of the rights, and no word of why
    told = site.told("local") + site.told("file")
    for word in (SECOND, BOTH.title):
        assert word.encode() not in told
        assert word.encode("cp1252") not in told


@pytest.mark.case("A15")
@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
def test_the_owner_of_a_system_sees_its_orphans_and_no_word_of_others(
    site: Site, form: tuple[str, ...]
) -> None:
    site.people = (
        OPEN,
        BOTH,
        replace(LATE, until="2026-11-01"),
        replace(LEAVER, until="2026-11-02"),
    )
    site.write_people()
    answer = site.run("orphans", "--controller", "vantnamnden", *form)
    assert answer.code == 0, answer
    assert "last employment ended 2026-11-01" in answer.out
    assert "local" not in answer.out
    assert "2026-11-02" not in answer.out, "when another board's person left is its own business"
    assert of(LEAVER, answer) <= {"number"}
    assert "Fågelnämnden" not in answer.out
    site.people = (OPEN, LATE, LEAVER, BOTH)
    site.write_people()


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_the_status_of_one_board_is_silent_about_the_other(
    site: Site, form: tuple[str, ...]
) -> None:
    site.run("revoke", LATE.number, "--reason", "Väntehemlighet")
    answer = site.run("status", "--controller", "fagelnamnden", *form)
    assert answer.code == 0
    assert "Väntehemlighet" not in answer.out
    assert "file" not in answer.out
    whole = site.run("status", "--json").out
    assert "Väntehemlighet" in whole, "there was nothing to hide"
    site.run("restore", LATE.number, "--reason", "åter")


@pytest.mark.parametrize("command", [("status",), ("orphans",), ("explain", OPEN.number)])
def test_a_controller_of_no_name_sees_nothing_and_learns_no_name(
    site: Site, command: tuple[str, ...]
) -> None:
    answer = site.run(*command, "--controller", "rymdnamnden")
    assert answer.code == 2
    assert "vantnamnden" not in answer.err + answer.out
    empty = site.run("explain", OPEN.number, "--controller", "utan")
    assert empty.code == 2
    assert "nobody is known" in empty.err
