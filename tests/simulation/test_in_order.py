"""A run goes in one order only if all its threads and waits are made in one place."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from idsync.together import in_their_place, sleep, workers
from tests.simulation.in_order import InOrder

IDSYNC = Path(__file__).parents[2] / "idsync"
OF_THEIR_OWN = re.compile(r"ThreadPoolExecutor|time\.sleep\(|as_completed")
ALLOWED = {"store/engines.py"}  # waits for another process that makes the same file


def test_no_run_makes_threads_or_waits_of_its_own() -> None:
    rooms = ("mapping", "plan", "store", "apply", "service")
    found = {
        str(path.relative_to(IDSYNC))
        for room in rooms
        for path in (IDSYNC / room).rglob("*.py")
        if OF_THEIR_OWN.search(path.read_text(encoding="utf-8"))
    }
    assert found <= ALLOWED, "use workers() and sleep() of idsync.together there"


def test_given_workers_and_waits_stand_only_as_long_as_they_are_asked_for() -> None:
    waited: list[float] = []
    with in_their_place(lambda _: InOrder(Random(1)), waited.append):
        assert isinstance(workers(3), InOrder)
        sleep(1000)
    assert waited == [1000]
    assert not isinstance(workers(0), InOrder)


def test_work_in_order_is_done_when_given_and_a_few_ahead_when_asked() -> None:
    done: list[int] = []
    pool = InOrder(Random(3))
    answers = pool.map(done.append, range(20))
    assert done == [], "nothing is done before it is asked for"
    next(answers)
    assert done == list(range(len(done)))
    assert list(answers)
    assert done == list(range(20))


def test_a_fault_in_work_is_its_answer_and_a_crash_is_none() -> None:
    def fail(error: BaseException) -> None:
        raise error

    pool = InOrder(Random(1))
    assert isinstance(pool.submit(fail, ValueError("x")).exception(), ValueError)
    with pytest.raises(KeyboardInterrupt):
        pool.submit(fail, KeyboardInterrupt())
