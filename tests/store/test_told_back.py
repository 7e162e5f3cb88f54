"""What is written down comes back as it was told: whole, of whom it is about, in its order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from idsync.errors import ConfigError
from idsync.mapping.bands import Doubt
from idsync.mapping.believing import Verdict
from idsync.plan.brake import HeldPart
from idsync.store import Exposure, Snapshot, State
from idsync.store import orders as stored_orders
from idsync.store.circuits import Circuit
from idsync.store.nights import Night, lasted
from tests.plan.examples import NOW

pytest_plugins = ("tests.servers.state_fixtures",)

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DAY = date(2026, 10, 5)


@pytest.fixture
def state_url(file: Path) -> str:
    """A file alone: that databases keep alike what they are given is held elsewhere."""
    return f"sqlite:///{file}"


def at(after: timedelta = timedelta()) -> str:
    return (NOW + after).isoformat()


# ── nights ──────────────────────────────────────────────────────────────────────────────


def test_a_night_tells_who_ran_it_and_how_it_ended(state: State) -> None:
    nights = state.nights
    nights.claim(DAY, "one machine", NOW, late=True)
    begun = Night(
        local_date=DAY, claimed_by="one machine", claimed_at=NOW, late=True, run=None, outcome="",
        ended_at=None,
    )  # fmt: skip
    assert nights.of(DAY) == begun
    nights.claim(DAY + timedelta(days=1), "one machine", NOW)
    assert nights.end(DAY, "one machine", 7, "applied", NOW + HOUR)
    assert nights.of(DAY) == replace(begun, run=7, outcome="applied", ended_at=NOW + HOUR)
    following = nights.of(DAY + timedelta(days=1))
    assert following is not None
    assert (following.late, following.outcome, following.ended_at) == (False, "", None)


def test_a_night_on_which_nobody_ran_has_ended_when_it_is_noted(state: State) -> None:
    assert state.nights.note(DAY, "missed", NOW)
    assert state.nights.of(DAY) == Night(
        local_date=DAY, claimed_by="", claimed_at=NOW, late=False, run=None, outcome="missed",
        ended_at=NOW,
    )  # fmt: skip


def test_a_night_without_an_end_is_taken_over_once_and_one_with_an_end_never(state: State) -> None:
    nights = state.nights
    nights.claim(DAY, "one machine", NOW)
    nights.claim(DAY + timedelta(days=1), "one machine", NOW)
    left = nights.of(DAY)
    assert left is not None
    assert nights.take_over(left, "another", NOW + HOUR)
    assert not nights.take_over(left, "a third", NOW + HOUR)
    taken = nights.of(DAY)
    assert taken is not None
    assert (taken.claimed_by, taken.claimed_at) == ("another", NOW + HOUR)
    assert not nights.take_over(replace(taken, claimed_by="one machine"), "a third", NOW)
    assert not nights.take_over(replace(taken, claimed_at=NOW), "a third", NOW)
    assert nights.end(DAY, "another", 7, "applied", NOW + HOUR)
    assert not nights.take_over(taken, "a third", NOW + HOUR)
    following = nights.of(DAY + timedelta(days=1))
    assert following is not None
    assert following.claimed_by == "one machine"


def test_nights_are_told_newest_first(state: State) -> None:
    days = [DAY + timedelta(days=number) for number in (3, 0, 2, 1)]
    for day in days:
        state.nights.claim(day, "one machine", NOW)
    assert [one.local_date for one in state.nights.last()] == sorted(days, reverse=True)
    assert [one.local_date for one in state.nights.last(2)] == [days[0], days[2]]
    assert state.nights.before(DAY + timedelta(days=2)) == DAY + timedelta(days=1)
    assert state.nights.before(DAY) is None


def test_how_long_nights_took_is_of_those_that_somebody_ran_to_their_end() -> None:
    ran = Night(
        local_date=DAY, claimed_by="one machine", claimed_at=NOW, late=False, run=1, outcome="",
        ended_at=NOW + HOUR,
    )  # fmt: skip
    at_once, back = replace(ran, ended_at=NOW), replace(ran, ended_at=NOW - MINUTE)
    nobody, still = replace(ran, claimed_by=""), replace(ran, ended_at=None)
    assert lasted([ran, nobody, at_once, still, back, ran]) == [HOUR, timedelta(), HOUR]


# ── targets ─────────────────────────────────────────────────────────────────────────────


def test_a_silent_target_is_left_alone_for_longer_each_time_up_to_a_quarter(state: State) -> None:
    waits = [1, 2, 4, 8, 15, 15]
    for probes, minutes in enumerate(waits):
        now = NOW + probes * HOUR
        state.circuits.open("hall", f"silent {probes}", now)
        assert state.circuits.of("hall") == Circuit(
            target="hall", since=at(), reason=f"silent {probes}", probes=probes,
            next_probe_at=(now + timedelta(minutes=minutes)).isoformat(),
        )  # fmt: skip


def test_circuits_are_told_oldest_first_and_closed_one_by_one(state: State) -> None:
    for target, since in [("b", NOW), ("a", NOW), ("c", NOW - HOUR)]:
        state.circuits.open(target, "silent", since)
    assert [one.target for one in state.circuits.all()] == ["c", "a", "b"]
    state.circuits.close("a")
    assert [one.target for one in state.circuits.all()] == ["c", "b"]
    assert state.circuits.of("a") is None


def test_what_a_target_has_not_confirmed_of_a_revocation_is_told(state: State) -> None:
    first = state.orders.revoke("id-1", "ended", "hr", NOW)
    second = state.orders.revoke("id-2", "ended", "hr", NOW)
    closings = state.closings
    closings.note("id-1", "hall", "unknown", "no answer", NOW)
    closings.note("id-1", "annex", "confirmed", "", NOW)
    closings.note("id-2", "annex", "nothing", "", NOW)
    closings.note("id-3", "annex", "refused", "nobody ordered it", NOW)
    asked = iter(["annex", "hall"])
    assert closings.unconfirmed(asked) == [
        Exposure(order=first, target="hall", outcome="unknown", reason="no answer", at=at()),
        Exposure(order=second, target="hall"),
    ]
    closings.note("id-1", "hall", "confirmed", "", NOW + HOUR)
    assert closings.unconfirmed(["hall"]) == [Exposure(order=second, target="hall")]
    state.orders.lift("id-2", "came back", "hr", NOW)
    assert closings.unconfirmed(["hall"]) == []


# ── alarms ──────────────────────────────────────────────────────────────────────────────


def test_an_alarm_tells_since_when_and_who_sees_to_it(state: State) -> None:
    alarms = state.alarms
    assert alarms.stand({"b": "x", "a": "y"}, NOW) == (["a", "b"], [])
    assert alarms.stand({"b": "x", "a": "y", "c": "z"}, NOW - HOUR) == (["c"], [])
    assert [one.name for one in alarms.all()] == ["c", "a", "b"]
    alarms.told(["a", "c"], NOW + HOUR)
    assert [one.told_at for one in alarms.all()] == [at(HOUR), at(HOUR), at()]
    assert alarms.acknowledge("a", "maja", NOW + MINUTE)
    assert not alarms.acknowledge("d", "maja", NOW)
    seen = [(one.acknowledged_at, one.acknowledged_by) for one in alarms.all()]
    assert seen == [(None, None), (at(MINUTE), "maja"), (None, None)]
    assert alarms.stand({}, NOW) == ([], ["a", "b", "c"])
    assert alarms.all() == []


# ── sources and runs ────────────────────────────────────────────────────────────────────


def test_the_last_verdict_on_a_source_is_told_with_its_doubts(state: State) -> None:
    assert state.verdicts.last("hr") is None
    doubt = Doubt(part="department Förskolan", people=8, base=10, reason="fewer", digest="ab")
    half = Verdict(
        complete=False, reason="no trailer", doubts=(doubt, replace(doubt, part="Å", base=3))
    )
    whole = Verdict(complete=True, reason="", doubts=())
    with state.engine.begin() as connection:
        state.verdicts.keep(connection, "hr", whole, NOW)
        state.verdicts.keep(connection, "hr", half, NOW + HOUR)
        state.verdicts.keep(connection, "lms", whole, NOW)
    assert state.verdicts.last("hr") == (at(HOUR), half)
    assert state.verdicts.last("lms") == (at(), whole)


def test_a_read_that_was_accepted_is_known_with_all_that_proves_it(state: State) -> None:
    read = Snapshot(
        accepted_at=at(), records=3, content="c", proof="trailer", cursor="17", settings="s"
    )
    with state.engine.begin() as connection:
        state.accept(connection, "lms", replace(read, records=9))
        state.accept(connection, "hr", read)
    assert state.snapshot("hr") == read


def test_a_run_is_told_with_when_and_how_it_went(state: State) -> None:
    first, second = state.begin_run("plan", NOW), state.begin_run("sync", NOW + MINUTE)
    state.end_run(second, "applied", {"writes": 2}, NOW + HOUR)
    newest, before = state.runs()
    assert newest == {
        "id": second, "command": "sync", "started_at": at(MINUTE), "ended_at": at(HOUR),
        "outcome": "applied", "summary": {"writes": 2},
    }  # fmt: skip
    assert (before["id"], before["command"], before["ended_at"]) == (first, "plan", None)
    for _ in range(5):
        state.begin_run("sync", NOW)
    assert len(state.runs()) == 5


# ── orders ──────────────────────────────────────────────────────────────────────────────


def part(digest: str, **more: object) -> HeldPart:
    known = {"scope": "target hall", "direction": "losing", "people": 5, "limit": 3, "base": 40}
    return HeldPart(digest=digest, **known | more)  # type: ignore[arg-type]


def test_a_held_part_tells_what_waits_since_when_and_which_limit_is_full(state: State) -> None:
    held = part("ab" * 32, window="week", before=2, approvals=2, first_seen_at=at(-HOUR))
    gaining, other = part("cd" * 32, direction="gaining"), part("ef" * 32, scope="city")
    state.orders.hold([held, gaining, other], [], NOW)
    city, fresh, told = state.orders.waiting()
    assert (city.scope, fresh.direction) == ("city", "gaining")
    assert (fresh.first_seen_at, fresh.seen_at, fresh.window) == (at(), at(), "run")
    known = (told.digest, told.scope, told.direction, told.people, told.base, told.allowed)
    assert known == ("ab" * 32, "target hall", "losing", 5, 40, 3)
    assert (told.window, told.before, told.approvals) == ("week", 2, 2)
    assert (told.first_seen_at, told.seen_at, told.state) == (at(-HOUR), at(), "held")
    assert (told.first_by, told.waits_for_another) == (None, False)


def test_what_somebody_let_go_while_a_run_was_under_way_stays_let_go(state: State) -> None:
    orders, held = state.orders, part("ab" * 32)
    orders.hold([held], [], NOW)
    orders.approve("ab" * 4, "Maja", "checked", NOW)
    orders.hold([held, part("cd" * 32)], [], NOW)
    assert {one.digest: one.state for one in orders.waiting()} == {
        "ab" * 32: "approved", "cd" * 32: "held",
    }  # fmt: skip


def test_where_two_must_agree_the_second_is_somebody_else_within_a_day(state: State) -> None:
    orders, held = state.orders, part("ab" * 32, approvals=2)
    orders.hold([held], [], NOW)
    first = orders.approve("ab" * 4, "Maja", "checked", NOW)
    assert (first.state, first.first_by, first.waits_for_another) == ("held", "Maja", True)
    with pytest.raises(ConfigError, match="somebody else"):
        orders.approve("ab" * 4, " maja ", "again", NOW + HOUR)
    orders.hold([held], [], NOW)  # seen again: what one has agreed to stands
    day = timedelta(days=1)
    assert orders.approve("ab" * 4, "Omar", "checked", NOW + day).state == "approved"
    assert orders.approved(NOW + day) == ["ab" * 32]
    orders.hold([], [], NOW)
    orders.hold([held], [], NOW)  # gone meanwhile: both are asked anew
    assert orders.waiting()[0].first_by is None
    orders.approve("ab" * 4, "Maja", "checked", NOW)
    late = NOW + day + timedelta(microseconds=1)
    assert orders.approve("ab" * 4, "Omar", "checked", late).state == "held"
    assert orders.waiting()[0].first_by == "Omar"


def test_when_access_was_last_given_back_is_known(state: State) -> None:
    for person, after in [("id-1", HOUR), ("id-1", 3 * HOUR), ("id-2", 2 * HOUR)]:
        state.orders.revoke(person, "ended", "hr", NOW)
        state.orders.lift(person, "came back", "hr", NOW + after)
    state.orders.revoke("id-3", "ended", "hr", NOW)
    everybody = ["id-1", "id-2", "id-3"]
    assert state.orders.lifted(everybody) == {"id-1": at(3 * HOUR), "id-2": at(2 * HOUR)}
    assert state.orders.lifted(["id-2"]) == {"id-2": at(2 * HOUR)}


@pytest.mark.parametrize("others", [0, 3])
def test_of_few_and_of_many_only_their_own_orders_are_told(
    state: State, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    monkeypatch.setattr(stored_orders, "FEW", 2)
    for person in ("id-1", "id-2", "id-3"):
        state.orders.revoke(person, "ended", "hr", NOW)
    asked = {"id-1", "id-3", *(f"id-{9 + number}" for number in range(others))}
    assert [one.person_id for one in state.orders.revocations(asked)] == ["id-1", "id-3"]
    state.orders.lift("id-1", "came back", "hr", NOW)
    state.orders.lift("id-2", "came back", "hr", NOW)
    assert [one.person_id for one in state.orders.revocations(asked)] == ["id-3"]
    assert list(state.orders.lifted(asked)) == ["id-1"]
