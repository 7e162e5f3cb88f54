"""What the on-call was told stands in the state, and one process at a time tells it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from idsync.store import Alarm, State, open_state
from tests.plan.examples import NOW

pytest_plugins = ("tests.servers.state_fixtures",)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ALARM = Alarm(name="fault:hearing", since=NOW.isoformat(), detail="died", told_at=NOW.isoformat())


def test_of_many_that_want_a_way_at_once_one_gets_it(state: State, state_url: str) -> None:
    others = [state, *(open_state(state_url) for _ in range(5))]
    begin = threading.Barrier(len(others))

    def claim(one: State) -> bool:
        begin.wait()
        return one.calls.claim("mail", 2 * MINUTE, NOW)

    with ThreadPoolExecutor(len(others)) as pool:
        assert sum(pool.map(claim, others)) == 1
    assert state.calls.claim("webhook", 2 * MINUTE, NOW)
    assert not state.calls.claim("mail", 2 * MINUTE, NOW + MINUTE)
    assert state.calls.claim("mail", 2 * MINUTE, NOW + 2 * MINUTE)
    for one in others[1:]:
        one.close()


def test_what_was_told_is_due_again_later_and_forgotten_when_it_is_over(state: State) -> None:
    calls = state.calls
    assert calls.due("mail", [ALARM], HOUR, NOW) == [(ALARM, 0)]
    calls.told("mail", [(ALARM, 0)], NOW)
    assert calls.due("mail", [ALARM], HOUR, NOW + 59 * MINUTE) == []
    assert calls.due("webhook", [ALARM], HOUR, NOW) == [(ALARM, 0)]
    assert calls.due("mail", [ALARM], HOUR, NOW + HOUR) == [(ALARM, 1)]
    assert calls.due("mail", [ALARM], HOUR, NOW - MINUTE) == [(ALARM, 1)], "the clock went back"
    calls.forget([])
    assert calls.due("mail", [ALARM], HOUR, NOW) == [(ALARM, 0)]


def test_a_way_fails_since_its_first_failure_until_it_works(state: State) -> None:
    calls = state.calls
    for minute in range(3):
        calls.failed("mail", f"reason {minute}", NOW + minute * MINUTE)
    [failing] = calls.failing()
    assert (failing.since, failing.failures, failing.reason) == (NOW.isoformat(), 3, "reason 2")
    assert not calls.claim("mail", MINUTE, NOW + 3 * MINUTE), "two minutes of pause since"
    assert calls.claim("mail", MINUTE, NOW + 4 * MINUTE)
    calls.told("mail", [], NOW)
    assert calls.failing() == []
