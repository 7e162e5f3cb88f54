"""A silent system is left alone between probes; revocations are pursued, and others go on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import ClassVar

import pytest

from idsync.apply import Done, Work, carry_out
from idsync.errors import Unavailable
from idsync.model import Change, Outcome
from idsync.plan.document import ordered_changes
from idsync.store import State
from idsync.targets.local import LocalTarget
from tests.plan.examples import City, job, person
from tests.targets.local import new_target

pytest_plugins = ("tests.servers.state_fixtures",)

START = datetime(2026, 10, 1, 6, tzinfo=UTC)


class Silent(LocalTarget):
    """Does not answer while `down`; counts the changes it is asked for."""

    capabilities = replace(LocalTarget.capabilities, lanes=1)
    down: ClassVar[bool] = True
    asked: ClassVar[int] = 0

    def put(self, change: Change) -> Outcome:
        type(self).asked += 1
        if self.down:
            raise Unavailable("no answer", retry_after_s=0)
        return super().put(change)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Silent.down, Silent.asked = True, 0


@cache
def work_for(people: int) -> list[Work]:
    city = City(persons=[person(i) for i in range(people)], jobs=[job(i) for i in range(people)])
    return [
        Work(target=target, person_id=who, change=change, items=items)
        for target, who, change, items in ordered_changes(city.plan().items)
    ]


def send(state: State, folder: Path, now: datetime, *, urgent: bool = False) -> Done:
    done = carry_out(
        1, work_for(10), lambda _: new_target(folder, Silent), state, lambda: now, urgent=urgent
    )
    return done["hall"]


@pytest.mark.case("T7")
def test_a_system_silent_for_hours_is_probed_seldom_and_worked_with_once_it_answers(
    state: State, tmp_path: Path
) -> None:
    first = send(state, tmp_path, START)
    assert first.down
    asked_at_first = Silent.asked
    probes = 0
    for minute in range(1, 6 * 60):
        before = Silent.asked
        done = send(state, tmp_path, START + timedelta(minutes=minute))
        assert done.down
        assert done.reason or done.unsent or done.unknown
        probes += Silent.asked > before
    assert Silent.asked - asked_at_first < asked_at_first * probes
    assert 20 <= probes <= 30, "after 1, 2, 4, 8 minutes, then every 15"

    Silent.down = False
    assert send(state, tmp_path, START + timedelta(hours=6, minutes=20)).confirmed == 10
    assert state.circuits.all() == []


@pytest.mark.case("T7")
def test_a_revocation_is_sent_at_every_try_whatever_the_circuit(
    state: State, tmp_path: Path
) -> None:
    send(state, tmp_path, START)
    [open_] = state.circuits.all()
    assert open_.target == "hall"
    for second in range(0, 30, 10):
        before = Silent.asked
        now = START + timedelta(seconds=second)
        assert send(state, tmp_path, now).reason, "the rest is left alone"
        assert Silent.asked == before
        send(state, tmp_path, now, urgent=True)
        assert Silent.asked > before
    Silent.down = False
    assert send(state, tmp_path, START + timedelta(seconds=40), urgent=True).confirmed == 10
    assert state.circuits.all() == [], "an answer to a revocation is an answer"
