"""The inbox keeps, settles and forgets alike on both databases."""

from __future__ import annotations

from datetime import timedelta

from idsync.store import Settled, State, Told
from tests.plan.examples import NOW

pytest_plugins = ("tests.servers.state_fixtures",)


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
