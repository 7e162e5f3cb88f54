"""The kit for targets catches every fault that is planted, by the promises named here."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from idsync.errors import IdsyncError
from idsync.testing.target_contract import TargetContract
from tests.kits import target_faults as faults
from tests.targets.local import administrator, down_target, new_target

FAULTS: dict[type[faults.Faulty], tuple[str, ...]] = {
    faults.ReadsTheFirstPageOnly: ("many_people_are_all_read",),
    faults.ReadsAnEmptySystemInAnOutage: ("an_outage_is_raised_not_hidden",),
    faults.KnowsNobodyInAnOutage: ("an_outage_is_raised_not_hidden",),
    faults.ConfirmsInAnOutage: ("an_outage_is_raised_not_hidden",),
    faults.RemembersWhomItRead: ("read_one_agrees_with_read", "a_grant_can_be_taken_away"),
    faults.HidesWhatHasNoKey: ("records_of_others_are_shown_and_left_alone",),
    faults.HidesGrantsOfOthers: (
        "a_grant_made_by_others_is_read_and_left_alone",
        "read_one_agrees_with_read",
    ),
    faults.HidesCards: ("credentials_are_read", "credentials_are_blocked_and_returned"),
    faults.FindsTheNextBest: ("an_unknown_key_is_none", "a_key_is_only_ever_a_key"),
    faults.MakesWhomItLooksFor: ("reading_changes_nothing",),
    faults.BuildsItsQueryFromTheKey: ("a_key_is_only_ever_a_key",),
    faults.ReadsWildcards: ("a_key_is_only_ever_a_key",),
    faults.AddsButNeverRemoves: (
        "a_grant_can_be_taken_away",
        "the_last_grant_can_be_taken_away",
        "suspending_closes_without_deleting",
        "a_grant_can_get_a_new_end",
    ),
    faults.RemovesButNeverAdds: ("a_grant_can_be_added", "a_suspended_person_can_return"),
    faults.KeepsTheLastGrant: ("the_last_grant_can_be_taken_away",),
    faults.ReplacesAllGrants: ("a_grant_made_by_others_is_read_and_left_alone",),
    faults.AddsWithoutLooking: ("putting_twice_equals_putting_once",),
    faults.ForgetsDates: ("dates_are_kept_to_the_granularity", "a_grant_can_get_a_new_end"),
    faults.DropsDatesItDeclaresItHasNot: (
        "dates_are_kept_to_the_granularity",
        "a_grant_can_get_a_new_end",
        "one_right_can_be_held_for_two_periods",
    ),
    faults.DropsKindsItDeclaresItHasNot: ("an_alarm_right_is_no_access_right",),
    faults.DropsCardsItDeclaresItHasNot: (
        "credentials_are_read",
        "credentials_are_blocked_and_returned",
    ),
    faults.NeverMovesAnEnd: ("a_grant_can_get_a_new_end",),
    faults.RemovesEveryPeriodOfARight: ("one_right_can_be_held_for_two_periods",),
    faults.TakesAlarmsForDoors: ("an_alarm_right_is_no_access_right",),
    faults.LeavesOutUnknownRights: ("an_unknown_right_is_refused_or_held",),
    faults.SucceedsWithoutDoing: ("what_is_put_is_read_back", "a_grant_can_be_added"),
    faults.SuspendsNobody: ("suspending_closes_without_deleting",),
    faults.LetsEverybodyBackIn: ("a_suspended_person_stays_suspended",),
    faults.LetsNobodyBackIn: ("a_suspended_person_can_return",),
    faults.DeletesInsteadOfSuspending: (
        "suspending_closes_without_deleting",
        "a_suspended_person_can_return",
    ),
    faults.MakesStrangers: ("suspending_a_stranger_creates_nothing", "a_key_is_only_ever_a_key"),
    faults.SuspendsWhoeverHasALongerKey: ("one_person_does_not_touch_another",),
    faults.SuspendsNamesakes: (
        "one_person_does_not_touch_another",
        "records_of_others_are_shown_and_left_alone",
    ),
    faults.WritesAscii: ("swedish_letters_survive", "what_is_put_is_read_back"),
    faults.WritesAttributesOnlyOnce: ("an_attribute_can_be_changed",),
    faults.EmptiesNothing: ("an_attribute_can_be_emptied",),
    faults.EmptiesWhatIsNotNamed: ("attributes_not_named_are_left_alone",),
    faults.BlocksNoCards: ("credentials_are_blocked_and_returned",),
    faults.BlocksEveryCard: ("credentials_are_blocked_and_returned",),
}

PROMISES = [name for name in vars(TargetContract) if name.startswith("test_")]


class Kit(TargetContract):
    many = 30


def keep(promise: str, folder: Path, target: type[faults.Faulty]) -> None:
    """Hold a target of this class to one promise, as pytest would."""
    given: dict[str, Any] = {
        "target": new_target(folder, target),
        "outage": down_target(folder, target),
        "stranger": administrator(folder),
        "rights": ("FSK-ENTRE", "SKOLA-ENTRE", "STADSHUS"),
        "alarm_rights": ("LARM-FSK",),
    }
    method = getattr(Kit(), promise)
    method(**{name: given[name] for name in inspect.signature(method).parameters})


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        pytest.param(fault, f"test_{promise}", id=f"{fault.__name__}-{promise}")
        for fault, promises in FAULTS.items()
        for promise in promises
    ],
)
def test_a_planted_fault_breaks_its_promises(
    fault: type[faults.Faulty], promise: str, tmp_path: Path
) -> None:
    with pytest.raises((AssertionError, IdsyncError)):
        keep(promise, tmp_path, fault)


@pytest.mark.parametrize("promise", PROMISES)
def test_a_sound_target_keeps_every_promise(promise: str, tmp_path: Path) -> None:
    keep(promise, tmp_path, faults.Faulty)


def test_every_promise_catches_a_fault() -> None:
    named = {f"test_{promise}" for promises in FAULTS.values() for promise in promises}
    assert named == set(PROMISES)


def test_every_fault_that_is_written_is_planted() -> None:
    written = {
        each
        for each in vars(faults).values()
        if inspect.isclass(each) and issubclass(each, faults.Faulty)
    }
    assert written - {faults.Faulty, faults.Tampering} == set(FAULTS)


def test_a_fixture_that_is_not_given_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_acme.py").write_text(
        "from idsync.testing.target_contract import TargetContract\n"
        "class TestAcme(TargetContract): pass\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"{len(PROMISES)} errors" in ran.stdout
    assert "passed" not in ran.stdout
    assert "skipped" not in ran.stdout
    assert "give the fixture `target`" in ran.stdout
