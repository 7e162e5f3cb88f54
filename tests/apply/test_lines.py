"""The line of one system: what is counted, in whose words, and when it is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from idsync.apply import ASKED, Done, Work, carry_out, settle_unknown
from idsync.apply.pace import pace_of
from idsync.apply.settle import may_show_yet
from idsync.errors import ConfigError, NoRoom, Refused, Unavailable
from idsync.model import Cardholder, Change, Outcome
from idsync.store import State, open_state
from idsync.targets import Target
from idsync.targets.local import LocalTarget
from tests.apply.test_looking_first import newcomers, work_of
from tests.targets.local import new_target

NOW = datetime(2026, 10, 1, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Line(LocalTarget):
    """Fails as its switches say, and writes down what was sent and which connections ended."""

    capabilities = replace(LocalTarget.capabilities, lanes=1)
    silent: ClassVar[bool] = False
    sent: ClassVar[list[str]] = []
    ended: ClassVar[int] = 0

    def read_one(self, key: str) -> Cardholder | None:
        if self.silent:
            raise Unavailable("silence", retry_after_s=0)
        return super().read_one(key)

    def put(self, change: Change) -> Outcome:
        self.sent.append(change.key)
        if change.key == "n1":
            raise Refused("no such door")
        return super().put(change)

    def close(self) -> None:
        type(self).ended += 1
        super().close()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    Line.silent, Line.ended = False, 0
    Line.sent.clear()
    opened = open_state(f"sqlite:///{tmp_path / 'idsync.db'}")
    yield opened
    ASKED.clear()
    opened.close()


class Run:
    """Sends newcomers through one line, and notes how far it tells that it is."""

    def __init__(self, state: State, folder: Path) -> None:
        self.state, self.folder = state, folder
        self.told: list[int] = []
        self.now = NOW

    def connect(self, name: str) -> Target:
        assert name == "hall"
        return new_target(self.folder, Line)

    def send(self, work: list[Work], *, urgent: bool = False, **more: float) -> Done:
        done = carry_out(
            7, work, self.connect, self.state, lambda: self.now, self.told.append, urgent=urgent,
            limits=more,
        )  # fmt: skip
        return done["hall"]


@pytest.fixture
def run(state: State, tmp_path: Path) -> Run:
    return Run(state, tmp_path)


def test_each_change_is_counted_as_what_became_of_it(run: Run) -> None:
    done = run.send(work_of(newcomers(4)))
    assert (done.written, done.confirmed, done.refused, done.unknown) == (4, 3, 1, 0)
    assert (done.unsent, done.down, done.reason) == (0, False, "")
    assert done.problems == [("id-1", "no such door")]
    assert run.told == [1, 1, 1, 1]
    (refused,) = run.state.journal.of_person("id-1")
    assert (refused.state, refused.intent_at) == ("refused", NOW.isoformat())
    assert refused.items.is_empty()
    assert run.state.journal.ledger("hall").height == 3


def test_every_connection_is_ended_whatever_became_of_the_work(run: Run) -> None:
    opened: list[Target] = []
    connect = run.connect

    def noted(name: str) -> Target:
        opened.append(connect(name))
        return opened[-1]

    run.connect = noted  # type: ignore[method-assign]
    run.send(work_of(newcomers(20)))
    assert Line.ended == len(opened) > 0
    Line.silent = True
    run.send(work_of(newcomers(20)))
    assert Line.ended == len(opened)


def test_a_system_that_is_silent_is_left_alone_until_its_probe(run: Run) -> None:
    Line.silent = True
    assert run.send(work_of(newcomers(9))).down
    (circuit,) = run.state.circuits.all()
    assert (circuit.target, circuit.reason) == ("hall", "not sent: silence")
    Line.silent = False
    run.now = NOW + MINUTE - timedelta(microseconds=1)
    left = run.send(work_of(newcomers(9)))
    assert (left.unsent, left.down, left.written, Line.sent) == (9, True, 0, [])
    assert left.reason == "left alone until it answers a probe: not sent: silence"
    run.now = NOW + MINUTE
    assert run.send(work_of(newcomers(9))).confirmed == 8
    assert run.state.circuits.all() == []


def test_a_probe_in_vain_costs_one_silence_and_the_rest_is_not_sent(run: Run) -> None:
    Line.silent = True
    run.send(work_of(newcomers(9)))
    run.now = NOW + MINUTE
    done = run.send(work_of(newcomers(9)))
    assert done.down
    assert done.written == 0
    assert {reason for _, reason in done.problems} <= {
        "not sent: silence", "not sent: the system does not answer"
    }  # fmt: skip
    (circuit,) = run.state.circuits.all()
    assert circuit.probes == 1


def test_a_revocation_in_vain_opens_no_circuit(run: Run) -> None:
    work = work_of(newcomers(5))

    class Mute(Line):
        def put(self, change: Change) -> Outcome:
            raise Unavailable("silence", retry_after_s=0)

    done = carry_out(
        1, work, lambda _: new_target(run.folder, Mute), run.state, lambda: NOW, urgent=True
    )["hall"]
    assert (done.unknown, done.refused, done.down) == (3, 2, True)
    assert run.state.circuits.all() == []
    run.state.circuits.open("hall", "silence", NOW)
    carry_out(1, work, lambda _: new_target(run.folder, Mute), run.state, lambda: NOW, urgent=True)
    assert [one.target for one in run.state.circuits.all()] == ["hall"], "it has not answered"


def test_who_is_revoked_before_it_is_sent_is_sent_nothing(run: Run) -> None:
    run.state.orders.revoke("id-2", "ended", "hr", NOW)
    done = run.send(work_of(newcomers(4)))
    assert ("id-2", "not sent: revoked in the meantime") in done.problems
    assert sorted(Line.sent) == ["n0", "n1", "n3"]
    assert (done.written, done.refused) == (3, 2)
    assert not done.down


def test_an_order_that_comes_while_the_record_is_looked_at_stops_the_write(run: Run) -> None:
    class Ordered(Line):
        def read_one(self, key: str) -> Cardholder | None:
            run.state.orders.revoke("id-0", "ended", "hr", NOW)
            return super().read_one(key)

    work = work_of(newcomers(1))
    done = carry_out(1, work, lambda _: new_target(run.folder, Ordered), run.state, lambda: NOW)
    assert Line.sent == []
    assert done["hall"].problems == [("id-0", "not sent: revoked in the meantime")]


def test_a_run_that_was_asked_to_end_begins_nothing_more(run: Run) -> None:
    ASKED.set()
    done = run.send(work_of(newcomers(4)))
    assert (done.unsent, done.down, done.written, Line.sent) == (4, True, 0, [])
    assert run.state.circuits.all() == []
    assert run.state.journal.unsettled() == []


def test_a_run_that_is_asked_to_end_tells_what_it_has_not_sent(run: Run) -> None:
    class Ending(Line):
        def put(self, change: Change) -> Outcome:
            done = super().put(change)
            ASKED.set()
            return done

    work = work_of(newcomers(3))
    done = carry_out(1, work, lambda _: new_target(run.folder, Ending), run.state, lambda: NOW)
    assert Line.sent == ["n0"]
    assert [reason for _, reason in done["hall"].problems] == [
        "not sent: the run was asked to end"
    ] * 2
    assert done["hall"].down


def test_a_limit_that_is_given_goes_before_that_of_the_profile(run: Run) -> None:
    run.send(work_of(newcomers(1)), hall=250.0)
    assert pace_of("hall", 250.0) is pace_of("hall", 250.0)
    known = pace_of("hall", 250.0)
    run.send(work_of(newcomers(1)), other=3.0)
    assert pace_of("hall", 250.0) is not known, "without one it is the profile's"


def test_a_full_disk_stops_what_gives_and_no_revocation(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise NoRoom("there is no room")

    monkeypatch.setattr(run.state, "require_room", full)
    with pytest.raises(NoRoom):
        run.send(work_of(newcomers(1)))
    assert Line.sent == []
    assert run.send(work_of(newcomers(1)), urgent=True).confirmed == 1


def test_a_system_that_cannot_be_connected_to_is_told_in_its_own_words(run: Run) -> None:
    def refuses(_: str) -> Target:
        raise ConfigError("no such host")

    done = carry_out(1, work_of(newcomers(2)), refuses, run.state, lambda: NOW)["hall"]
    assert (done.down, done.reason, done.written) == (True, "no such host", 0)
    assert carry_out(1, [], refuses, run.state, lambda: NOW) == {}


# ── what became of it ───────────────────────────────────────────────────────────────────


def left_unknown(state: State, count: int) -> None:
    for _, items in newcomers(count):
        state.journal.intend(1, [("hall", items["person_id"][0], items)], NOW)


def test_what_is_not_seen_to_have_happened_is_refused_and_planned_anew(run: Run) -> None:
    left_unknown(run.state, 2)
    assert settle_unknown(run.state, run.connect, lambda: NOW + MINUTE) == {}
    assert run.state.journal.unsettled() == []
    (settled,) = run.state.journal.of_person("id-0")
    assert settled.state == "refused"
    assert settled.reason == "seen afterwards not to have happened as a whole"
    assert Line.ended > 0


@pytest.mark.parametrize("error", [ConfigError("no such host"), Unavailable("silence")])
def test_of_a_system_that_cannot_be_asked_the_unknown_stays_unknown(
    run: Run, error: Exception
) -> None:
    left_unknown(run.state, 2)

    def fails(_: str) -> Target:
        raise error

    assert settle_unknown(run.state, fails, lambda: NOW) == {"hall": str(error)}
    assert len(run.state.journal.unsettled()) == 2


def test_only_what_a_system_said_is_done_may_show_yet_and_only_for_its_time(run: Run) -> None:
    from idsync.apply.one import UNSEEN

    left_unknown(run.state, 1)
    (operation,) = run.state.journal.unsettled()
    said = replace(operation, reason=UNSEEN)
    second = timedelta(seconds=1)
    assert may_show_yet(said, 60, NOW + MINUTE - second)
    assert not may_show_yet(said, 60, NOW + MINUTE)
    assert not may_show_yet(operation, 60, NOW)
