"""Revocations stand until they are lifted; an approval is of one part, once, for a day."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import text

from idsync.errors import ConfigError, IntegrityError
from idsync.plan.brake import HeldPart
from idsync.store import Revocation, State, open_state
from tests.plan.examples import NOW

pytest_plugins = ("tests.servers.state_fixtures",)

HOUR = timedelta(hours=1)
FIRST, SECOND = "ab" * 32, "abab" + "cd" * 30


def part(digest: str = FIRST, people: int = 5) -> HeldPart:
    return HeldPart(
        digest=digest, scope="target hall", direction="losing", people=people, limit=3, base=40
    )


def approve(state: State, digest: str = FIRST) -> None:
    state.orders.approve(digest[:8], "maja", "checked with HR", NOW)


# ── revocations ─────────────────────────────────────────────────────────────────────────


def test_a_revocation_stands_when_the_state_is_opened_anew(state: State, state_url: str) -> None:
    made = state.orders.revoke("id-1", "ended", "hr", NOW)
    again = open_state(state_url)
    assert again.orders.revocations() == [made]
    assert again.orders.is_revoked("id-1")
    assert not again.orders.is_revoked("id-2")
    again.close()


def test_revoking_twice_is_one_order(state: State) -> None:
    first = state.orders.revoke("id-1", "ended", "hr", NOW)
    assert state.orders.revoke("id-1", "again", "boss", NOW + HOUR) == first
    assert state.orders.revocations() == [first]


def test_what_is_lifted_stands_no_longer_and_can_be_ordered_anew(state: State) -> None:
    first = state.orders.revoke("id-1", "ended", "hr", NOW)
    state.orders.revoke("id-2", "ended", "hr", NOW)
    assert state.orders.lift("id-1", "came back", "hr", NOW + HOUR)
    assert not state.orders.lift("id-1", "came back", "hr", NOW + HOUR)
    assert not state.orders.is_revoked("id-1")
    assert [one.person_id for one in state.orders.revocations()] == ["id-2"]
    assert state.orders.revoke("id-1", "ended", "hr", NOW).id != first.id


def test_a_revocation_that_many_order_at_once_is_one(state: State) -> None:
    ready = Barrier(5)

    def order(number: int) -> list[Revocation]:
        made = []
        for person in range(20):
            ready.wait(timeout=30)
            made.append(state.orders.revoke(f"id-{person}", f"reason {number}", "hr", NOW))
        return made

    with ThreadPoolExecutor(5) as pool:
        for told in pool.map(order, range(5)):
            assert told == state.orders.revocations()


def test_an_order_on_an_employment_is_one_of_its_own(state: State, state_url: str) -> None:
    one = state.orders.revoke("id-1", "ended", "hr", NOW, employment="hr:e1")
    other = state.orders.revoke("id-1", "ended", "hr", NOW, employment="hr:e2")
    whole = state.orders.revoke("id-1", "ended", "hr", NOW)
    assert state.orders.revoke("id-1", "again", "boss", NOW, employment="hr:e1") == one
    again = open_state(state_url)
    assert again.orders.revocations() == [one, other, whole]
    assert (one.employment, whole.employment) == ("hr:e1", None)
    again.close()
    assert state.orders.lift("id-1", "came back", "hr", NOW + HOUR)
    assert not state.orders.lift("id-1", "came back", "hr", NOW + HOUR)
    assert state.orders.lift("id-1", "came back", "hr", NOW + HOUR, employment="hr:e1")
    assert not state.orders.lift("id-1", "came back", "hr", NOW + HOUR, employment="hr:e3")
    assert state.orders.revocations() == [other]
    assert state.orders.revoke("id-1", "ended", "hr", NOW, employment="hr:e1").id > whole.id


def test_what_was_planned_by_an_order_on_an_employment_may_give_what_others_do(
    state: State,
) -> None:
    first = state.orders.revoke("id-1", "ended", "hr", NOW, employment="hr:e1")
    assert state.orders.is_revoked("id-1")
    assert state.orders.is_revoked("id-1", planned=first.id - 1)
    assert not state.orders.is_revoked("id-1", planned=first.id)
    state.orders.lift("id-1", "came back", "hr", NOW, employment="hr:e1")
    state.orders.revoke("id-1", "ended", "hr", NOW, employment="hr:e1")
    assert state.orders.is_revoked("id-1", planned=first.id), "it is another order"
    state.orders.revoke("id-2", "ended", "hr", NOW)
    assert state.orders.is_revoked("id-2", planned=1000)


def test_an_order_that_came_after_the_look_is_not_confirmed_by_it(state: State) -> None:
    first = state.orders.revoke("id-1", "ended", "hr", NOW, employment="hr:e1")
    later = state.orders.revoke("id-1", "ended", "hr", NOW, employment="hr:e2")
    state.closings.note("id-1", "hall", "confirmed", "", NOW, planned=first.id)
    assert state.closings.sure() == [(first.id, "hall")]
    assert [one.order for one in state.closings.unconfirmed(["hall"])] == [later]
    state.closings.note("id-1", "hall", "nothing", "", NOW, planned=later.id)
    assert state.closings.unconfirmed(["hall"]) == []


@pytest.mark.parametrize("damaged", ["NULL", "'hr:e2'"])
def test_no_damage_makes_another_order_of_one_on_an_employment(state: State, damaged: str) -> None:
    state.orders.revoke("id-1", "ended", "hr", NOW, employment="hr:e1")
    with state.engine.begin() as connection:
        connection.execute(text(f"UPDATE revocation SET employment = {damaged}"))
    with pytest.raises(IntegrityError, match="damaged"):
        state.orders.revocations()


# ── approvals ───────────────────────────────────────────────────────────────────────────


def test_what_is_held_waits_until_it_is_approved(state: State) -> None:
    state.orders.hold([part()], [], NOW)
    (waiting,) = state.orders.waiting()
    assert (waiting.digest, waiting.state, waiting.people) == (FIRST, "held", 5)
    assert state.orders.approved(NOW) == []
    approve(state)
    assert state.orders.approved(NOW) == [FIRST]


@pytest.mark.parametrize("start", ["", "ab", "abababa", "abababcd", "ABABCDCE"])
def test_an_approval_names_eight_signs_of_what_waits(state: State, start: str) -> None:
    state.orders.hold([part(), part(SECOND)], [], NOW)
    with pytest.raises(ConfigError):
        state.orders.approve(start, "maja", "x", NOW)
    assert state.orders.approved(NOW) == []


def test_a_beginning_that_fits_two_parts_approves_none(state: State) -> None:
    state.orders.hold([part("ab" * 8 + "0" * 48), part("ab" * 8 + "1" * 48)], [], NOW)
    with pytest.raises(ConfigError, match="more than one held"):
        state.orders.approve("ab" * 6, "maja", "x", NOW)


def test_a_digest_in_capitals_is_the_same_digest(state: State) -> None:
    state.orders.hold([part()], [], NOW)
    state.orders.approve(FIRST.upper(), "maja", "x", NOW)
    assert state.orders.approved(NOW) == [FIRST]


def test_an_approval_is_used_once(state: State) -> None:
    state.orders.hold([part()], [], NOW)
    approve(state)
    state.orders.hold([], [FIRST], NOW)
    assert state.orders.approved(NOW) == []
    assert state.orders.waiting() == []
    state.orders.hold([part()], [], NOW)
    assert state.orders.approved(NOW) == []
    assert [one.state for one in state.orders.waiting()] == ["held"]


def test_what_was_used_meanwhile_is_not_approved_again(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.orders.hold([part()], [], NOW)
    approve(state)
    seen = state.orders.waiting()
    state.orders.hold([], [FIRST], NOW)
    monkeypatch.setattr(state.orders, "waiting", lambda: seen)
    with pytest.raises(ConfigError, match="no held part"):
        approve(state)
    assert state.orders.approved(NOW) == []


def test_an_approval_waits_for_the_run_that_uses_it(state: State) -> None:
    state.orders.hold([part()], [], NOW)
    approve(state)
    with ThreadPoolExecutor(1) as pool:
        with state.engine.begin() as connection:
            state.orders.hold_in(connection, [], [FIRST], NOW)
            again = pool.submit(approve, state)
            with pytest.raises(TimeoutError):
                again.result(timeout=0.3)
        with pytest.raises(ConfigError, match="no held part"):
            again.result(timeout=30)
    assert state.orders.approved(NOW) == []


def test_a_run_that_holds_it_still_keeps_an_approval_given_meanwhile(state: State) -> None:
    state.orders.hold([part()], [], NOW)
    given: list[Future[None]] = []

    def meanwhile() -> Iterator[str]:
        given.append(pool.submit(approve, state))
        with pytest.raises(TimeoutError):
            given[0].result(timeout=0.3)
        yield SECOND

    with ThreadPoolExecutor(1) as pool:
        state.orders.hold([part()], meanwhile(), NOW)
        given[0].result(timeout=30)
    assert state.orders.approved(NOW) == [FIRST]


def test_an_approval_dies_after_a_day(state: State) -> None:
    state.orders.hold([part()], [], NOW)
    approve(state)
    assert state.orders.approved(NOW + 24 * HOUR) == [FIRST]
    assert state.orders.approved(NOW + 24 * HOUR + timedelta(microseconds=1)) == []


def test_what_is_not_seen_again_is_gone_with_its_approval(state: State) -> None:
    state.orders.hold([part()], [], NOW)
    approve(state)
    state.orders.hold([part(SECOND)], [], NOW)
    assert state.orders.approved(NOW) == []
    assert [one.digest for one in state.orders.waiting()] == [SECOND]
    with pytest.raises(ConfigError):
        approve(state)


@pytest.mark.case("C6")
def test_what_was_done_by_an_order_on_an_employment_is_not_the_end_of_a_later_one_on_the_person(
    state: State,
) -> None:
    part = state.orders.revoke("id-1", "ended", "hr", NOW, employment="hr:e1")
    whole = state.orders.revoke("id-1", "ended", "hr", NOW)  # while the other is carried out
    state.closings.note("id-1", "hall", "confirmed", "", NOW, planned=part.id)
    [open_] = state.closings.unconfirmed(["hall"])
    assert (open_.order.id, open_.outcome) == (whole.id, ""), "it is still to be done"
    state.closings.note("id-1", "hall", "confirmed", "", NOW, planned=whole.id)
    assert state.closings.unconfirmed(["hall"]) == []
