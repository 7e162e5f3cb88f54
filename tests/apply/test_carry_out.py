"""Changes sent together, answers that come later, and what is known in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from idsync.apply import Done, Work, carry_out, settle_unknown
from idsync.errors import Refused, Unavailable
from idsync.model import Cardholder, Change, Outcome
from idsync.plan.document import ordered_changes
from idsync.store import State
from idsync.targets import Target
from idsync.targets.local import LocalTarget
from tests.plan.examples import City, job, person
from tests.targets.local import new_target

pytest_plugins = ("tests.servers.state_fixtures",)

NOW = datetime(2026, 10, 1, 6, tzinfo=UTC)


class Batching(LocalTarget):
    """Takes ten changes a call, and writes down how many came at a time."""

    capabilities = replace(LocalTarget.capabilities, batch=10)
    calls: ClassVar[list[int]] = []

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        self.calls.append(len(changes))
        return super().put_many(changes)


class RefusingOne(Batching):
    def put(self, change: Change) -> Outcome:
        if change.key == "n3":
            raise Refused("the system does not take this one")
        return super().put(change)


class LosingAnswers(Batching):
    """Carries everything out, and its answer never comes."""

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        super().put_many(changes)
        raise Unavailable("no answer")


class Later(LocalTarget):
    """Answers when it is asked to: `answers` is what it will say of each key."""

    capabilities = replace(LocalTarget.capabilities, answer_hours=24, batch=4)
    answers: ClassVar[dict[str, str]] = {}

    def put(self, change: Change) -> Outcome:
        super().put(change)
        self.answers[change.key] = "pending"
        return Outcome(status="submitted")

    def read_one(self, key: str) -> Cardholder | None:
        found = super().read_one(key)
        said = self.answers.get(key, "")
        if found is None or not said:
            return found
        amiss = "the system refused it: code 7" if said == "refused" else ""
        return replace(found, pending="since today" if said == "pending" else "", amiss=amiss)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Batching.calls.clear()
    Later.answers.clear()


def send(state: State, folder: Path, cls: type[LocalTarget], people: int) -> Done:
    """Carry out what makes *people* newcomers of one system."""
    city = City(persons=[person(i) for i in range(people)], jobs=[job(i) for i in range(people)])
    work = [
        Work(target=target, person_id=who, change=change, items=items)
        for target, who, change, items in ordered_changes(city.plan().items)
    ]
    done = carry_out(1, work, lambda _: new_target(folder, cls), state, lambda: NOW)
    return done["hall"]


def keys(target: Target) -> set[str | None]:
    return {found.key for found in target.read()}


def test_changes_go_together_as_many_as_the_system_takes(state: State, tmp_path: Path) -> None:
    done = send(state, tmp_path, Batching, 25)
    assert done.confirmed == 25
    assert sorted(Batching.calls) == [5, 10, 10]
    assert state.journal.unsettled() == []


@pytest.mark.case("T23")
def test_one_refused_change_does_not_take_the_others_with_it(state: State, tmp_path: Path) -> None:
    done = send(state, tmp_path, RefusingOne, 6)
    assert (done.confirmed, done.refused) == (5, 1)
    assert keys(new_target(tmp_path)) == {"n0", "n1", "n2", "n4", "n5"}


@pytest.mark.case("T23", "T2")
def test_a_lost_answer_to_many_is_found_out_for_each(state: State, tmp_path: Path) -> None:
    done = send(state, tmp_path, LosingAnswers, 6)
    assert (done.confirmed, done.unknown) == (6, 0)
    assert Batching.calls == [6], "what had happened was sent again"


@pytest.mark.case("D3")
def test_what_is_answered_later_counts_as_submitted_until_it_is(
    state: State, tmp_path: Path
) -> None:
    done = send(state, tmp_path, Later, 3)
    assert (done.submitted, done.confirmed, done.unknown) == (3, 0, 0)
    settle_unknown(state, lambda _: new_target(tmp_path, Later), lambda: NOW)
    assert len(state.journal.submitted()) == 3, "not answered, and yet settled"

    Later.answers.update(n0="done", n1="refused")
    settle_unknown(state, lambda _: new_target(tmp_path, Later), lambda: NOW)
    assert [one.items["key"][0] for one in state.journal.submitted()] == ["n2"]
    [accepted] = state.journal.of_person("id-0")
    assert accepted.state == "confirmed"
    [refused] = state.journal.of_person("id-1")
    assert refused.reason == "the system refused it: code 7"


def test_what_was_submitted_is_not_summed_up_before_its_answer(
    state: State, tmp_path: Path
) -> None:
    send(state, tmp_path, Later, 2)
    state.journal.fold(["hall"])
    assert state.journal.ledger("hall").height == 2, "what was asked for is idsync's own"
    assert len(state.journal.submitted()) == 2
    Later.answers.update(n0="done", n1="done")
    settle_unknown(state, lambda _: new_target(tmp_path, Later), lambda: NOW)
    state.journal.fold(["hall"])
    assert state.journal.ledger("hall").height == 2


def test_a_system_that_is_away_leaves_what_it_was_asked_open(state: State, tmp_path: Path) -> None:
    send(state, tmp_path, Later, 2)

    def away(_: str) -> Target:
        raise Unavailable("away")

    assert settle_unknown(state, away, lambda: NOW) == {"hall": "away"}
    assert len(state.journal.submitted()) == 2
