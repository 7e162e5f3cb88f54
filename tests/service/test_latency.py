"""How long each system took to confirm a revocation, from the word on, is counted for good."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from idsync.config import Config, load
from idsync.model import Cardholder, Change, Outcome
from idsync.service.answering import metrics
from idsync.service.applying import sync
from idsync.service.health import health
from idsync.store import State, latencies, open_state
from idsync.targets.local import LocalTarget
from tests.inbox.office import Office, town_in
from tests.whole.town import Town

pytest_plugins = ("tests.servers.state_fixtures",)

START = datetime(2026, 10, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(town_in(tmp_path))
    made.sync()
    yield made
    made.close()


def buckets(config: Config, state: State, now: datetime) -> dict[tuple[str, str], float]:
    """The histogram as Prometheus reads it: (target, upper end), and the count and sum."""
    text = metrics(health(config, state, now)).decode()
    [family] = [
        one for one in text_string_to_metric_families(text)
        if one.name == "idsync_revocation_latency_seconds"
    ]  # fmt: skip
    assert family.type == "histogram"
    return {
        (one.labels["target"], one.labels.get("le") or one.name.rpartition("_")[2]): one.value
        for one in family.samples
    }


def test_what_an_event_takes_is_counted_from_when_it_came_and_once(office: Office) -> None:
    config, state = office.config, office.state
    assert office.tell("p0").status == 202
    came = office.now
    office.now += 3 * SECOND  # the workers were busy
    office.work()
    [order] = state.orders.revocations()
    assert order.told_at == came.isoformat()
    found = buckets(config, state, office.now)
    assert found["stadshuset", "2.5"] == 0
    assert found["stadshuset", "5.0"] == found["stadshuset", "+Inf"] == 1
    assert 3 <= found["stadshuset", "sum"] < 4
    by_target = {one.target: one for one in state.closings.progress(order.id)}
    for one in by_target.values():
        assert one.confirmed_at
        assert one.sent_at is None or order.ordered_at <= one.sent_at <= one.confirmed_at
    assert by_target["stadshuset"].sent_at
    again = office.now
    state.closings.note(order.person_id, "stadshuset", "unknown", "", again)
    state.closings.note(order.person_id, "stadshuset", "confirmed", "", again)
    assert buckets(config, state, office.now)["stadshuset", "count"] == 1
    assert state.closings.progress(order.id)[-1] == by_target["stadshuset"].__class__(
        **vars(by_target["stadshuset"]) | {"at": again.isoformat()}
    )


def test_a_door_that_is_slow_to_answer_keeps_no_other_open(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = office.town.number(1)
    read_one, closed = LocalTarget.read_one, threading.Event()

    def slow(self: LocalTarget, key: str) -> Cardholder | None:
        if "stadshuset" in str(self._system.path):
            assert closed.wait(60), "the other door was kept waiting"
        return read_one(self, key)

    put = LocalTarget.put

    def told(self: LocalTarget, change: Change) -> Outcome:
        done = put(self, change)
        if "skola" in str(self._system.path):
            closed.set()
        return done

    monkeypatch.setattr(LocalTarget, "read_one", slow)
    monkeypatch.setattr(LocalTarget, "put", told)
    assert number in office.doors()["skola"]
    assert office.tell("p1").status == 202
    office.work()
    assert closed.is_set()
    assert office.opens(1) == []


def test_counters_stay_what_they_were_when_the_process_and_the_order_are_gone(
    tmp_path: Path,
) -> None:
    town = Town(tmp_path / "en stad", people=12)
    town.write()
    config = load(town.folder / "connectors.toml")
    state = open_state(config.idsync.state, witness=config.idsync.witness)
    sync(config, state, lambda _: None, time=lambda: START)
    before = buckets(config, state, START)
    assert before["skola", "count"] == before["stadshuset", "+Inf"] == 0  # so that rate() begins
    person = "id-1"
    state.orders.revoke(person, "uppsagd", "hr", START)
    state.closings.note(person, "skola", "unavailable", "", START + SECOND)
    assert health(config, state, START + 9 * SECOND)["unconfirmed"]["oldest_s_by_target"] == {
        "stadshuset": 9, "skola": 9,
    }  # fmt: skip
    state.closings.note(person, "skola", "confirmed", "", START + 200_000 * SECOND)
    state.close()
    state = open_state(config.idsync.state, witness=config.idsync.witness)
    state.orders.lift(person, "misstag", "hr", START)
    found = buckets(config, state, START)
    assert (found["skola", "86400.0"], found["skola", "+Inf"]) == (0, 1)
    assert found["skola", "sum"] == 200_000
    state.close()


def test_where_nothing_of_theirs_was_no_door_took_any_time_to_close(state: State) -> None:
    state.orders.revoke("id-1", "uppsagd", "hr", START)
    state.closings.note("id-1", "hall", "nothing", "", START + SECOND)
    [one] = state.closings.progress()
    assert (one.sent_at, one.confirmed_at) == (None, (START + SECOND).isoformat())
    assert latencies(state.engine, ["hall"])["hall"].count == 0


def test_a_clock_that_was_put_back_makes_no_time_negative(state: State) -> None:
    state.orders.revoke("id-1", "uppsagd", "hr", START)
    state.closings.note("id-1", "hall", "confirmed", "", START - SECOND)
    found = latencies(state.engine, ["hall"])["hall"]
    assert (found.within[0], found.count, found.total_s) == (1, 1, 0)


def test_the_times_of_each_order_are_shown_target_by_target(tmp_path: Path) -> None:
    town = Town(tmp_path / "en stad", people=12)
    town.write()
    town.json("sync", code=0)
    order = town.json("revoke", "200001", "--reason", "uppsagd", code=0)
    rows = {row["target"]: row for row in town.json("status", code=0)["progress"]}
    for told in order["targets"]:
        row = rows[told["target"]]
        assert (row["sent_at"], row["confirmed_at"]) == (told["sent_at"], told["confirmed_at"])
        assert row["accepted_at"] == order["accepted"] <= row["confirmed_at"]
    assert rows["skola"]["sent_at"]
    shown = town.run("status").out
    assert "Revocations that stand, the newest first" in shown
