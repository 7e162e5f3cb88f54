"""A vendor's limit is kept, and a revocation never waits behind a night's work."""

from __future__ import annotations

import pytest

from idsync.apply.pace import RESERVED, Pace, pace_of


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0, "asleep for no time: a loop that never ends"
        self.now += seconds
        self.slept += seconds


def pace(rate: float | None, clock: Clock) -> Pace:
    return Pace(rate, clock=clock, sleep=clock.sleep)


@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0, 10.0, 300.0])
def test_no_more_calls_go_out_than_the_vendor_allows(rate: float) -> None:
    clock = Clock()
    limited = pace(rate, clock)
    calls = []
    for _ in range(200):
        limited.wait()
        calls.append(clock.now)
    allowed_at_once = max(1.0, rate)
    for first in range(0, 200, 7):
        for last in range(first, 200, 11):
            seconds = calls[last] - calls[first]
            assert last - first + 1 <= allowed_at_once + rate * seconds + 1e-6


def test_without_a_limit_nobody_waits() -> None:
    clock = Clock()
    unlimited = pace(None, clock)
    for _ in range(1000):
        unlimited.wait()
    assert clock.slept == 0.0


def test_a_revocation_finds_its_share_left() -> None:
    clock = Clock()
    limited = pace(10.0, clock)
    while clock.slept == 0.0:
        limited.wait()  # a night's work, as fast as it may
    clock.slept = 0.0
    for _ in range(int(10.0 * RESERVED)):
        limited.wait(urgent=True)
    assert clock.slept == 0.0, "a revocation waited"


def test_all_connections_to_one_target_share_one_pace() -> None:
    assert pace_of("depot", 5.0) is pace_of("depot", 5.0)
    assert pace_of("depot", 5.0) is not pace_of("town hall", 5.0)


def test_another_limit_is_another_pace() -> None:
    assert pace_of("depot", 5.0).rate == 5.0
    assert pace_of("depot", 7.0).rate == 7.0


def test_of_what_is_allowed_at_once_all_but_the_reserve_goes_at_once() -> None:
    clock = Clock()
    limited = pace(10.0, clock)
    for _ in range(8):
        limited.wait()
    assert clock.slept == 0.0
    limited.wait()
    assert clock.slept > 0.0
