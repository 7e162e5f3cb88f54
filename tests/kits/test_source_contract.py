"""The kit for sources catches every fault that is planted, by the promises named here."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from idsync.errors import IdsyncError
from idsync.testing.source_contract import SWEDISH, Expected, SourceContract
from tests.kits import source_faults as faults
from tests.kits.source_faults import PEOPLE, ROLES, Roster, Sound

PROMISES = {
    name.removeprefix("test_"): promise
    for name, promise in vars(SourceContract).items()
    if name.startswith("test_")
}
FAULTS: dict[type[Sound], tuple[str, ...]] = {
    faults.ReadsTheFirstPageOnly: ("everyone_is_read",),
    faults.ReadsPagesTwice: ("everyone_is_read",),
    faults.ReadsNobodyInAnOutage: ("an_outage_is_raised_not_hidden",),
    faults.ProvesNobodyInAnOutage: ("an_outage_is_raised_not_hidden",),
    faults.CallsAnOutageIncomplete: ("an_outage_is_raised_not_hidden",),
    faults.ProvesAnEmptyRead: ("nobody_at_all_is_never_complete",),
    faults.ProvesACutRead: ("half_an_answer_is_never_complete",),
    faults.ProvesBeforeItFails: ("half_an_answer_is_never_complete",),
    faults.NeverProves: ("the_last_batch_carries_the_proof_and_only_it",),
    faults.ProvesWithABlank: ("the_last_batch_carries_the_proof_and_only_it",),
    faults.ProvesEveryBatch: ("the_last_batch_carries_the_proof_and_only_it",),
    faults.InventsAColumn: ("records_have_the_declared_columns",),
    faults.GivesDatesAsText: ("records_have_the_declared_columns",),
    faults.GivesEmptyKeys: ("records_have_the_declared_columns", "everyone_is_read"),
    faults.DropsSwedishLetters: ("swedish_letters_survive",),
    faults.GivesLettersInPieces: ("swedish_letters_survive",),
    faults.NamesPeopleItDoesNotGive: ("every_person_named_is_also_given",),
    faults.LeaksANameInTheError: ("errors_carry_no_personal_values",),
    faults.LeaksAKeyInTheCauseOfTheError: ("errors_carry_no_personal_values",),
    faults.IsExhaustedAfterOneRead: ("reading_twice_gives_the_same",),
    faults.GivesOnlyWhatChanged: ("the_cursor_is_text_that_survives",),
    faults.GivesACursorThatIsNoText: ("the_cursor_is_text_that_survives",),
}
EXPECTED: Expected = {"persons": list(PEOPLE), "memberships": [key for key, _ in ROLES]}


def broken_promises(kind: type[Sound], **given: Any) -> dict[str, str]:
    """Return the promises that a connector of this *kind* breaks, each with what is said."""
    said = {}
    for name, promise in PROMISES.items():
        fixtures = {
            "source": kind(Roster()),
            "outage": kind(Roster(state="down")),
            "cut": kind(Roster(state="cut")),
            "empty": kind(Roster(state="empty")),
            "expected": EXPECTED,
        } | given
        wanted = [each for each in inspect.signature(promise).parameters if each != "self"]
        try:
            promise(SourceContract(), **{each: fixtures[each] for each in wanted})
        except (AssertionError, IdsyncError, TypeError) as error:
            said[name] = str(error)
    return said


class TestASoundSource(SourceContract):
    @pytest.fixture
    def source(self) -> Sound:
        return Sound(Roster())

    @pytest.fixture
    def expected(self) -> Expected:
        return EXPECTED

    @pytest.fixture
    def outage(self) -> Sound:
        return Sound(Roster(state="down"))

    @pytest.fixture
    def cut(self) -> Sound:
        return Sound(Roster(state="cut"))

    @pytest.fixture
    def empty(self) -> Sound:
        return Sound(Roster(state="empty"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught_by_the_promise_it_breaks(fault: type[Sound]) -> None:
    assert set(FAULTS[fault]) <= set(broken_promises(fault))


def test_a_sound_source_breaks_no_promise() -> None:
    assert broken_promises(Sound) == {}


def test_numbers_of_records_are_enough_to_expect() -> None:
    assert broken_promises(Sound, expected={"persons": 5, "memberships": 2}) == {}
    assert set(broken_promises(Sound, expected={"persons": 6, "memberships": 2})) == {
        "everyone_is_read"
    }


def test_a_kind_of_record_nobody_expected_is_caught() -> None:
    assert "everyone_is_read" in broken_promises(Sound, expected={"persons": 5})


def test_every_promise_is_broken_by_some_planted_fault() -> None:
    assert {promise for promises in FAULTS.values() for promise in promises} == set(PROMISES)


def test_every_fault_is_on_the_list() -> None:
    written = {
        each for each in vars(faults).values() if inspect.isclass(each) and issubclass(each, Sound)
    }
    assert written == {*FAULTS, Sound}


def test_a_population_that_proves_nothing_is_pointed_out() -> None:
    few = Roster(people={"1": "A", "2": "B"}, roles=[("1", "x")])
    said = broken_promises(Sound, source=Sound(few), expected={"persons": 2, "memberships": 1})
    assert "at least 3" in said["everyone_is_read"]
    assert "five characters" in said["errors_carry_no_personal_values"]
    assert all(letter in said["swedish_letters_survive"] for letter in SWEDISH)


def test_what_the_kit_says_shows_no_personal_value() -> None:
    for fault in FAULTS:
        said = " ".join(broken_promises(fault).values())
        assert not [value for pair in PEOPLE.items() for value in pair if value in said]


def test_a_fixture_that_is_not_given_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_bare.py").write_text(
        "from idsync.testing.source_contract import SourceContract\n"
        "class TestBare(SourceContract): ...\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"{len(PROMISES)} errors" in ran.stdout
    assert "passed" not in ran.stdout
    assert "skipped" not in ran.stdout
