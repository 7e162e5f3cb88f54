"""How often, and how soon, a system that does not answer is asked again."""

from __future__ import annotations

from random import Random

from idsync.apply.retry import ATTEMPTS, FREE_RETRIES, LONGEST_WAIT_S, Budget, patiently
from idsync.errors import Refused, Unavailable
from idsync.together import in_their_place
from tests.simulation.in_order import InOrder


class Moody:
    """Fails so many times, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def tried(call: Moody, budget: Budget | None = None) -> tuple[object, list[float]]:
    """Return the answer or the error, and how long was waited before each further try."""
    waited: list[float] = []
    with in_their_place(lambda _: InOrder(Random(1)), waited.append):
        try:
            return patiently(call, budget), waited
        except (Unavailable, Refused) as error:
            return error, waited


def silence(after: float | None = None) -> Unavailable:
    return Unavailable("no answer", retry_after_s=after)


def test_a_call_is_tried_three_times_and_no_more() -> None:
    assert ATTEMPTS == 3
    patient = Moody(silence(), silence())
    assert tried(patient)[0] == "done"
    assert patient.asked == 3
    silent = Moody(*(silence() for _ in range(9)))
    assert isinstance(tried(silent)[0], Unavailable)
    assert silent.asked == 3


def test_what_is_refused_is_not_tried_again() -> None:
    refused = Moody(Refused("no"))
    assert isinstance(tried(refused)[0], Refused)
    assert refused.asked == 1


def test_a_system_that_says_when_is_asked_then_but_within_bounds() -> None:
    assert tried(Moody(silence(7), silence(3600)))[1] == [7, LONGEST_WAIT_S]
    assert tried(Moody(silence(0)))[1] == [0]


def test_one_that_does_not_say_is_asked_later_each_time_and_not_all_at_once() -> None:
    waits = [tried(Moody(silence(), silence()))[1] for _ in range(200)]
    first, second = [one[0] for one in waits], [one[1] for one in waits]
    assert max(first) <= 0.4
    assert max(second) <= 0.8
    assert sum(second) > sum(first)
    assert len(set(first)) > 100, "the same wait for all brings them all back together"


def test_a_budget_lets_a_tenth_more_calls_go_and_the_first_few_are_free() -> None:
    budget = Budget()
    for _ in range(FREE_RETRIES):
        assert budget.spend()
    assert not budget.spend()
    for _ in range(9):
        budget.earn()
    assert not budget.spend()
    budget.earn()
    budget.earn()
    assert budget.spend()
    assert not budget.spend()


def test_each_call_earns_once_and_spends_for_each_further_try() -> None:
    budget = Budget()
    silent = Moody(*(silence(0) for _ in range(99)))
    for _ in range(11):
        tried(silent, budget)
    # they earn one retry, and four were free
    assert silent.asked == 11 + FREE_RETRIES + 1


def test_a_call_without_a_budget_is_not_held_back_by_it() -> None:
    silent = Moody(*(silence(0) for _ in range(99)))
    for _ in range(10):
        tried(silent)
    assert silent.asked == 10 * ATTEMPTS
