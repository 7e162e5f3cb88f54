"""A run and an order, a run and a local administrator, at the same time: nobody is overruled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from idsync.errors import Unavailable
from idsync.service.applying import Run
from tests.apply.city_on_scim import GIVEN, ScimCity
from tests.fakes.scim_habits import Seen


def lets_in(city: ScimCity, seen: Seen, number: str) -> bool:
    """Whether a request puts somebody into a group."""
    said = str(seen.body)
    return seen.method != "GET" and seen.path.startswith("Groups/") and city.user(number) in said


class Gate:
    """Holds the first request that lets somebody in, until it is opened."""

    def __init__(self, city: ScimCity, number: str) -> None:
        self.city = city
        self.number = number
        self.reached = threading.Event()
        self.open = threading.Event()
        self._used = threading.Lock()

    def __call__(self, seen: Seen) -> None:
        if not self.reached.is_set() and lets_in(self.city, seen, self.number):
            self.reached.set()
            assert self.open.wait(20), "the gate was never opened"


@pytest.mark.case("C1")
@pytest.mark.parametrize("where", ["arrived", "carried_out"])
@pytest.mark.parametrize("until", ["ordered", "closed out"])
def test_who_is_revoked_while_something_is_given_ends_with_nothing(
    city: ScimCity, where: str, until: str
) -> None:
    city.sync()
    for number in city.units:
        city.units[number] = "Kök"
    gate = Gate(city, "102")
    setattr(city.fake, where, gate)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(city.sync)
        assert gate.reached.wait(20)
        city.order("102")
        if until == "closed out":
            city.close_out("102")
        gate.open.set()
        run: Run = running.result(timeout=30)
    assert city.is_shut("102")
    assert city.rights("101") == GIVEN
    assert run.outcome == "applied", run.document()["problems"]
    assert city.sync().writes == 0
    assert city.is_shut("102")


@pytest.mark.case("C1")
def test_who_is_revoked_before_their_turn_is_given_nothing(city: ScimCity) -> None:
    city.units = {str(100 + i): "Skola" for i in range(12)}
    city.sync()
    city.units = dict.fromkeys(city.units, "Kök")
    reached, opened = threading.Event(), threading.Event()

    def hold_everybody(seen: Seen) -> None:
        if seen.method != "GET":
            reached.set()
            assert opened.wait(20)

    city.fake.arrived = hold_everybody
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(city.sync)
        assert reached.wait(20)
        city.order("111")  # the last of twelve, and there are fewer lanes
        opened.set()
        run: Run = running.result(timeout=30)
    assert [one["reason"] for one in run.document()["problems"]] == [
        "not sent: revoked in the meantime"
    ]
    assert city.rights("111") == {"SKOLA"}, "something was given to somebody revoked"
    city.sync()
    assert city.is_shut("111")


@pytest.mark.case("C1")
def test_an_order_closes_at_once_and_not_at_the_end_of_the_run(city: ScimCity) -> None:
    city.units = {str(100 + i): "Skola" for i in range(12)}
    city.sync()
    city.units = dict.fromkeys(city.units, "Kök")
    first = Gate(city, "100")
    waited: list[bool] = []

    def the_last_waits_for_the_first(seen: Seen) -> None:
        first(seen)
        if not waited and lets_in(city, seen, "111"):
            until = time.monotonic() + 10
            while not (shut := not city.fake.users[city.user("100")]["active"]):
                if time.monotonic() > until:
                    break
                time.sleep(0.01)
            waited.append(shut)

    city.fake.arrived = the_last_waits_for_the_first
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(city.sync)
        assert first.reached.wait(20)
        city.order("100")
        first.open.set()
        running.result(timeout=30)
    assert waited == [True], "whoever was revoked stayed open until the end of the run"
    assert city.is_shut("100")


@pytest.mark.case("C1", "S11")
@pytest.mark.parametrize("where", ["arrived", "carried_out"])
def test_what_an_employment_gives_while_it_is_ended_goes_at_once(
    city: ScimCity, where: str
) -> None:
    city.sync()
    city.second = {"101": "Kök", "102": "Kök"}  # both get KÖK by it, and keep SKOLA without
    gate = Gate(city, "102")
    setattr(city.fake, where, gate)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(city.sync)
        assert gate.reached.wait(20)
        city.order("102", "hr:x102")  # the run has planned with it
        gate.open.set()
        run: Run = running.result(timeout=30)
    assert (city.rights("102"), city.rights("101")) == ({"SKOLA"}, GIVEN)
    assert run.outcome == "applied", run.document()["problems"]
    assert city.sync().writes == 0
    assert city.rights("102") == {"SKOLA"}


@pytest.mark.case("C1", "S11")
def test_an_older_plan_gives_nothing_to_whom_an_employment_was_ended_since(city: ScimCity) -> None:
    city.sync()
    city.second = {"102": "Kök", "103": "Kök"}
    city.order("103", "hr:x103")  # the plan knows it: what others give is given
    city.units["103"] = "Kök"

    run = edited_meanwhile(city, lambda: city.order("102", "hr:x102"))
    assert [one["reason"] for one in run.document()["problems"]] == [
        "not sent: revoked in the meantime"
    ]
    assert (city.rights("102"), city.rights("103")) == ({"SKOLA"}, GIVEN)
    assert city.sync().writes == 0


@pytest.mark.case("C6")
def test_a_hundred_orders_for_one_person_are_one_and_close_once(city: ScimCity) -> None:
    city.sync()
    before = len(city.fake.writes)

    def one(_: int) -> bool:
        city.order("101")
        return all(closed.shut for closed in city.close_out("101"))

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(one, range(100)))
    assert len(city.state.orders.revocations()) == 1
    assert city.is_shut("101")
    # whoever came before it was seen to be done may have sent it again: twelve at a time
    assert len(city.fake.writes) - before <= 2 * 12
    assert city.sync().writes == 0
    assert city.rights("102") == {"SKOLA"}


@pytest.mark.case("C7")
def test_a_run_by_hand_during_the_nightly_run_is_refused_and_told_by_whom(city: ScimCity) -> None:
    gate = Gate(city, "100")
    city.fake.arrived = gate
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(city.sync)
        assert gate.reached.wait(20)
        with pytest.raises(Unavailable, match=r"another idsync run is at work .* since 20\d\d-"):
            city.sync()
        gate.open.set()
        running.result(timeout=30)
    assert len(city.fake.writes) == 2 * len(city.units), "both wrote"
    assert city.sync().writes == 0


# ── hands on the same record, between the plan and the write ────────────────────────────


def edited_meanwhile(city: ScimCity, edit: Callable[[], None]) -> Run:
    """Run; *edit* is done when everything is planned, just before the first write."""
    whole = city.fake.arrived
    waiting = [edit]
    real = city.state.journal.intend

    def intend(*given: object) -> object:
        if waiting:
            waiting.pop()()
        return real(*given)  # type: ignore[arg-type]  # as it was given

    city.state.journal.intend = intend  # type: ignore[method-assign,assignment]
    try:
        return city.sync()
    finally:
        city.state.journal.intend = real  # type: ignore[method-assign]
        city.fake.arrived = whole


@pytest.mark.case("T13", "C8")
def test_what_was_given_by_hand_since_the_plan_is_the_hands_own(city: ScimCity) -> None:
    city.sync()
    city.units["101"] = "Kök"
    run = edited_meanwhile(city, lambda: city.let_into("KÖK", "101"))
    assert run.outcome == "partial"
    [problem] = run.document()["problems"]
    assert "changed by hand since the plan was made" in problem["reason"]
    assert city.rights("101") == GIVEN
    assert city.sync().writes == 0, "it is there already, whoever gave it"
    city.units["101"] = "Skola"
    city.sync()
    assert city.rights("101") == GIVEN, "what a local administrator gave was taken away"


@pytest.mark.case("T13", "C8")
def test_who_was_deleted_by_hand_since_the_plan_is_not_made_again_by_it(city: ScimCity) -> None:
    city.sync()
    city.units["101"] = "Kök"

    def delete() -> None:
        id = city.user("101")
        del city.fake.users[id]
        for group in city.fake.groups.values():
            group["members"] = [one for one in group["members"] if one["value"] != id]

    run = edited_meanwhile(city, delete)
    assert run.outcome == "partial"
    assert city.shown("101") is None
    city.sync()  # planned anew: they work here, and a rule says so
    assert city.rights("101") == GIVEN


@pytest.mark.case("T13", "C8")
def test_another_right_given_by_hand_since_the_plan_stays_and_nothing_waits(
    city: ScimCity,
) -> None:
    city.sync()
    city.units["101"] = "Kök"
    run = edited_meanwhile(city, lambda: city.let_into("GÄST", "101"))
    assert run.outcome == "applied"
    assert city.rights("101") == GIVEN | {"GÄST"}
    assert city.sync().writes == 0


@pytest.mark.case("T13")
def test_what_hands_took_away_and_gave_again_is_no_longer_idsyncs(city: ScimCity) -> None:
    city.units["101"] = "Kök"
    city.sync()
    city.take_out("KÖK", "101")
    city.units["101"] = "Skola"
    city.sync()
    city.let_into("KÖK", "101")
    city.sync()
    assert city.rights("101") == GIVEN, "a grant given by hand was taken for idsync's own"
