"""The kit of bad habits catches every fault that is planted, by the promises named here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from idsync.errors import IdsyncError
from idsync.model import Cardholder
from idsync.targets.local import LocalTarget
from idsync.targets.scim import ScimTarget
from idsync.testing.habit_contract import HabitContract, WithoutCalls
from tests.fakes.scim import TOKEN, FakeScim
from tests.kits import habit_faults as faults
from tests.targets.local import administrator, new_target
from tests.targets.test_scim_contract import ScimHabits

RIGHTS = ("FSK-ENTRE", "SKOLA-ENTRE", "STADSHUS")
CASES: dict[str, tuple[Any, ...]] = {"size": (1, 2, 7), "clock": ("2031-03-30", "2031-07-01")}

CALLED: dict[type[ScimTarget], tuple[str, ...]] = {
    faults.RefusesWhatIsThereAlready: ("a_write_whose_answer_was_lost_can_be_sent_again",),
    faults.BelievesItsOwnWrites: ("a_system_that_says_yes_and_does_nothing_is_seen_through",),
    faults.TakesBusyForEmpty: ("a_storm_of_refused_calls_is_waited_out",),
    faults.KnowsNobodyWhenBusy: ("a_storm_of_refused_calls_is_waited_out",),
    faults.StopsAtThirdPage: ("pages_of_any_size_hold_everybody_once",),
    faults.GivesHalfForAll: ("an_edit_during_a_read_loses_nobody",),
}
WRITTEN: dict[type[LocalTarget], tuple[str, ...]] = {
    faults.PromisesAnAnswer: ("an_answer_that_comes_later_is_waited_for",),
    faults.ConfirmsWhatIsAnsweredLater: ("an_answer_that_comes_later_is_waited_for",),
    faults.RemembersWhatItRead: ("a_hand_that_was_quicker_is_seen_before_the_write",),
    faults.TakesNothingForEmpty: ("an_empty_change_does_no_harm",),
    faults.CriesAmiss: ("every_card_of_a_person_opens_the_same",),
    faults.GivesTheFirstCardOnly: ("every_card_of_a_person_opens_the_same",),
    faults.CutsNames: ("a_name_that_is_too_long_is_not_cut_in_silence",),
    faults.DropsLetters: ("letters_that_the_system_lacks_are_refused",),
    faults.WritesWinterTime: ("a_day_is_the_same_day_on_both_sides_of_a_clock_change",),
    faults.ClaimsAChangeFeed: ("the_change_feed_names_whom_somebody_touched",),
    faults.AnswersWithoutAFeed: ("the_change_feed_names_whom_somebody_touched",),
}
PROMISES = [name for name in vars(HabitContract) if name.startswith("test_")]


def keep(promise: str, given: dict[str, Any]) -> None:
    """Hold what is given to one promise, as pytest would, for every case of it."""
    method = getattr(HabitContract(), promise)
    names = inspect.signature(method).parameters
    [case] = [name for name in names if name in CASES] or [""]
    for value in CASES.get(case, (None,)):
        asked = {name: given[name]() for name in names if name != case}
        method(**asked, **({case: value} if case else {}))


@pytest.fixture
def called(
    tmp_path: Path,
) -> Iterator[Callable[[type[ScimTarget]], dict[str, Any]]]:
    """What the contract is given for a system that is called: a new one for every case."""
    running: list[FakeScim] = []
    file = tmp_path / "token"

    def make(cls: type[ScimTarget]) -> dict[str, Any]:
        def target() -> ScimTarget:
            running.append(FakeScim())
            for right in RIGHTS:
                running[-1].group(right)
            return another(running[-1].url, TOKEN)

        def another(url: str, token: str, **settings: Any) -> ScimTarget:
            file.write_text(token)
            config = {"url": url, "token": {"file": str(file)}, **settings}
            return cls(cls.Config.model_validate(config))

        def stranger(wanted: Cardholder) -> None:
            fake = running[-1]
            known = [id for id, one in fake.users.items() if one.get("externalId") == wanted.key]
            if not known:
                fake.user("by hand", displayName=wanted.display_name)
            for grant in wanted.grants if known else ():
                [group] = [one for one in fake.groups.values() if one["displayName"] == grant.ref]
                group["members"].append({"value": known[0]})

        return {
            "target": target,
            "rights": lambda: RIGHTS,
            "habits": lambda: ScimHabits(running[-1], another),
            "stranger": lambda: stranger,
        }

    yield make
    for one in running:
        one.close()


def written(folder: Path, cls: type[LocalTarget]) -> dict[str, Any]:
    """What the contract is given for a system in a file: a new one for every case."""
    folders: list[Path] = []

    def target() -> LocalTarget:
        folders.append(folder / str(len(folders)))
        folders[-1].mkdir()
        return new_target(folders[-1], cls)

    return {
        "target": target,
        "rights": lambda: RIGHTS,
        "habits": lambda: WithoutCalls(lambda: new_target(folders[-1], cls)),
        "stranger": lambda: administrator(folders[-1]),
    }


@pytest.mark.parametrize(
    ("fault", "promise"),
    [(fault, promise) for fault, promises in CALLED.items() for promise in promises],
)
def test_a_fault_in_calling_breaks_its_promise(
    fault: type[ScimTarget], promise: str, called: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises((AssertionError, IdsyncError)):
        keep(f"test_{promise}", called(fault))


@pytest.mark.parametrize(
    ("fault", "promise"),
    [(fault, promise) for fault, promises in WRITTEN.items() for promise in promises],
)
def test_a_fault_in_writing_breaks_its_promise(
    fault: type[LocalTarget], promise: str, tmp_path: Path
) -> None:
    with pytest.raises((AssertionError, IdsyncError)):
        keep(f"test_{promise}", written(tmp_path, fault))


@pytest.mark.parametrize("promise", PROMISES)
def test_a_sound_target_keeps_every_promise(
    promise: str, called: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    keep(promise, called(ScimTarget))
    keep(promise, written(tmp_path, LocalTarget))


def test_every_promise_catches_a_fault() -> None:
    named = {f"test_{promise}" for promises in (CALLED | WRITTEN).values() for promise in promises}
    assert named == set(PROMISES)
