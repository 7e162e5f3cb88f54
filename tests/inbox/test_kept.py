"""The inbox keeps, settles and forgets alike on both databases."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from idsync.store import Settled, State, Told
from idsync.store.tables import audit
from tests.plan.examples import NOW

pytest_plugins = ("tests.servers.state_fixtures",)


SECOND = timedelta(seconds=1)


def told(number: int, digest: str = "d") -> Told:
    return Told(
        issuer="hr", id=f"m{number}", digest=digest, kind="person.ended", person="p1",
        sequence=2**45, occurred_at=NOW, ends=NOW,
    )  # fmt: skip


def test_an_event_is_kept_once_and_settled_with_its_order(state: State) -> None:
    assert state.inbox.receive(told(1), NOW)
    assert not state.inbox.receive(told(1), NOW)
    assert not state.inbox.receive(told(1, "another"), NOW)
    [kept] = state.inbox.open(NOW)
    assert (kept.sequence, kept.ends, kept.occurred_at) == (2**45, NOW, NOW)
    done = Settled(
        event=kept, state="done", reason="x", person_id="a", at_once=True, order="y", reread=True
    )
    state.inbox.settle([done], NOW)
    assert state.inbox.open(NOW) == []
    assert [one.person_id for one in state.orders.revocations()] == ["a"]
    assert state.inbox.at_once("hr", NOW - timedelta(minutes=1)) == 1
    assert state.inbox.at_once("hr", NOW) == 0
    assert [one.what for one in state.inbox.alarms(NOW)] == ["one id for two different events"]
    assert state.inbox.reread_wanted()
    state.inbox.reread_done(NOW)
    assert state.inbox.reread_wanted()  # the run had begun before it was wanted
    state.inbox.reread_done(NOW + timedelta(seconds=1))
    assert not state.inbox.reread_wanted()


def test_an_id_is_remembered_for_eight_days(state: State) -> None:
    state.inbox.receive(told(1), NOW)
    [kept] = state.inbox.open(NOW)
    state.inbox.settle([Settled(event=kept, state="refused", reason="x")], NOW)
    assert state.inbox.forget(NOW + timedelta(days=8)) == 0
    assert not state.inbox.receive(told(1), NOW)
    assert state.inbox.forget(NOW + timedelta(days=8, seconds=1)) == 0
    assert state.inbox.receive(told(1), NOW)
    assert state.inbox.forget(NOW + timedelta(days=9)) == 1


def settled(state: State, number: int, to: str, **more: Any) -> None:
    event = next(one for one in state.inbox.open(FAR) if one.id == f"m{number}")
    state.inbox.settle([Settled(event=event, state=to, reason="x", **more)], NOW)


FAR = NOW + timedelta(days=1)


def test_what_cannot_be_settled_is_looked_at_again_after_a_minute(state: State) -> None:
    for number in (1, 2, 3, 4):
        state.inbox.receive(told(number), NOW)
    settled(state, 3, "parked")
    settled(state, 1, "doubtful")
    settled(state, 2, "done")
    minute = timedelta(minutes=1)
    assert [one.id for one in state.inbox.open(NOW + minute - SECOND)] == ["m4"]
    assert [one.id for one in state.inbox.open(NOW + minute)] == ["m1", "m3", "m4"]
    (event, *_) = state.inbox.open(NOW + minute)
    assert (event.state, event.reason, event.received_at) == ("doubtful", "x", NOW)
    assert (event.issuer, event.kind, event.person, event.digest) == (
        "hr", "person.ended", "p1", "d",
    )  # fmt: skip
    assert event.employment is None


def test_only_who_lost_access_on_a_senders_word_alone_counts_each_once(state: State) -> None:
    for number in (1, 2, 3, 4):
        state.inbox.receive(told(number), NOW)
    state.inbox.receive(replace(told(5), issuer="lms"), NOW)
    for number, person in [(1, "a"), (2, "a"), (3, "b"), (5, "c")]:
        settled(state, number, "done", person_id=person, at_once=True)
    settled(state, 4, "done", person_id="d")
    assert state.inbox.at_once("hr", NOW - SECOND) == 2


def test_somebody_looks_at_what_waits_too_long_and_at_what_hr_does_not_confirm(
    state: State,
) -> None:
    for number in (1, 2, 3):
        state.inbox.receive(told(number), NOW + number * SECOND)
    settled(state, 1, "parked")
    settled(state, 2, "doubtful")
    settled(state, 3, "doubtful", alarm="ends that nobody knows", reread=True)
    quarter = timedelta(minutes=15)
    early = [one.what for one in state.inbox.alarms(NOW + quarter)]
    assert early == ["ends that nobody knows", "not confirmed by HR"]
    first, second, third = state.inbox.alarms(NOW + SECOND + quarter)
    assert (first.issuer, first.count, first.first_at) == ("hr", 1, NOW.isoformat())
    assert (second.what, second.count) == ("not confirmed by HR", 2)
    assert second.first_at == (NOW + 2 * SECOND).isoformat()
    assert second.last_at == (NOW + 3 * SECOND).isoformat()
    assert third.what == "person not known"
    assert state.inbox.reread_wanted() == NOW.isoformat()


def test_trouble_with_a_sender_is_one_alarm_that_counts_and_ends_after_eight_days(
    state: State,
) -> None:
    for after in (0, 5, 9):
        state.inbox.note("hr", "a wrong signature", NOW + after * SECOND)
    state.inbox.note("lms", "a wrong signature", NOW)
    hr, lms = state.inbox.alarms(NOW + timedelta(days=8))
    assert (hr.issuer, hr.what, hr.count) == ("hr", "a wrong signature", 3)
    assert (hr.first_at, hr.last_at) == (NOW.isoformat(), (NOW + 9 * SECOND).isoformat())
    assert (lms.issuer, lms.count) == ("lms", 1)
    assert len(state.inbox.alarms(NOW + timedelta(days=8, seconds=1))) == 1


def test_what_is_forgotten_unsettled_is_told_once_as_given_up(state: State) -> None:
    for number in (1, 2):
        state.inbox.receive(told(number), NOW)
    settled(state, 1, "done")
    after = NOW + timedelta(days=8, seconds=1)
    assert state.inbox.forget(after) == 1
    assert [one.what for one in state.inbox.alarms(after)] == [
        "given up after 8 days, never settled"
    ]
    with state.engine.connect() as connection:
        query = select(audit.c.facts).where(audit.c.kind == "heeded").order_by(audit.c.number)
        facts = [json.loads(one) for one in connection.execute(query).scalars()]
    states = [(one["event"], one["issuer"], one["state"], one["reason"]) for one in facts]
    assert states == [(1, "hr", "done", "x"), (2, "hr", "given up", "")]


def test_an_event_with_an_order_for_nobody_orders_nothing(state: State) -> None:
    state.inbox.receive(told(1), NOW)
    settled(state, 1, "parked", order="y")
    assert state.orders.revocations() == []
    state.inbox.receive(told(2), NOW)
    settled(state, 2, "done", order="y", person_id="a")
    (order,) = state.orders.revocations()
    assert (order.person_id, order.reason, order.ordered_by) == ("a", "y", "events.hr")
    assert order.ordered_at == NOW.isoformat()
