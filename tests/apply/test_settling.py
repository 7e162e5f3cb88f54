"""What a run left unknown: settled by what the system shows, and never told twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from idsync.apply import settle_unknown
from idsync.apply.settle import MANY, not_sent_again
from idsync.model import Cardholder, Change, Outcome
from idsync.store import State
from idsync.store.audit_reading import of_person
from idsync.targets.local import LocalTarget
from tests.apply.test_looking_first import newcomers
from tests.targets.local import new_target

pytest_plugins = ("tests.servers.state_fixtures",)

NOW = datetime(2026, 10, 1, 6, tzinfo=UTC)


def intended(state: State, count: int) -> list[tuple[Change, pl.DataFrame]]:
    """Note *count* newcomers as intended, as a run leaves them that died."""
    changes = newcomers(count)
    state.journal.intend(1, [("hall", row["person_id"][0], row) for _, row in changes], NOW)
    return changes


class Counting(LocalTarget):
    """Counts how it is read; one switch gives every key twice."""

    looks: int = 0
    twice: bool = False
    pending: bool = False

    def read(self) -> Iterator[Cardholder]:
        for one in super().read():
            yield one
            if Counting.twice:
                yield one

    def read_one(self, key: str) -> Cardholder | None:
        Counting.looks += 1
        found = super().read_one(key)
        if found is not None and Counting.pending:
            return replace(found, pending="since today")
        return found


@pytest.fixture(autouse=True)
def _fresh() -> None:
    Counting.looks, Counting.twice, Counting.pending = 0, False, False


@pytest.mark.parametrize("twice", [False, True])
def test_many_unknown_are_settled_by_one_read_unless_a_key_stands_twice(
    state: State, tmp_path: Path, twice: bool
) -> None:
    changes = intended(state, MANY)
    target = new_target(tmp_path, Counting)
    target.put_many([change for change, _ in changes[:-1]])
    Counting.twice = twice
    assert settle_unknown(state, lambda _: new_target(tmp_path, Counting), lambda: NOW) == {}
    states = [one.state for who in range(MANY) for one in state.journal.of_person(f"id-{who}")]
    assert (states.count("confirmed"), states.count("refused")) == (MANY - 1, 1)
    assert Counting.looks == (MANY if twice else 0)


def test_what_is_found_waiting_for_an_answer_counts_as_submitted(
    state: State, tmp_path: Path
) -> None:
    [(change, _)] = intended(state, 1)
    new_target(tmp_path, Counting).put(change)
    Counting.pending = True
    settle_unknown(state, lambda _: new_target(tmp_path, Counting), lambda: NOW)
    [operation] = state.journal.submitted()
    assert operation.reason == "seen afterwards, not answered yet"
    told = len(of_person(state.engine, "id-0"))
    settle_unknown(state, lambda _: new_target(tmp_path, Counting), lambda: NOW)
    assert len(of_person(state.engine, "id-0")) == told, "the same was written down again"


def test_a_system_that_shows_at_once_is_sent_all_that_is_planned(
    state: State, tmp_path: Path
) -> None:
    [(_, items)] = intended(state, 1)
    assert not_sent_again(state, "hall", items, 0, NOW).equals(items)
    assert not_sent_again(state, "hall", items, 60, NOW).is_empty()
    nothing = items.clear()
    assert not_sent_again(state, "hall", nothing, 60, NOW).is_empty()


def test_what_was_refused_a_moment_ago_is_sent_again_and_a_revocation_always(
    state: State,
) -> None:
    [(_, rows)] = newcomers(1)
    [number] = state.journal.intend(1, [("hall", "id-0", rows)], NOW)
    state.journal.settle_part(number, Outcome(status="refused", reason="x"), rows.clear(), NOW)
    assert not_sent_again(state, "hall", rows, 60, NOW).equals(rows)
    intended(state, 1)
    sure = rows.with_columns(confirmed=pl.lit(value=True))
    assert not_sent_again(state, "hall", sure, 60, NOW).equals(sure)
    later = NOW + timedelta(seconds=61)
    assert not_sent_again(state, "hall", rows, 60, later).equals(rows)


def test_what_is_seen_to_have_happened_says_so(state: State, tmp_path: Path) -> None:
    changes = intended(state, 2)
    new_target(tmp_path, Counting).put(changes[0][0])
    settle_unknown(state, lambda _: new_target(tmp_path, Counting), lambda: NOW)
    [done], [not_done] = (state.journal.of_person(f"id-{who}") for who in range(2))
    assert (done.state, done.reason) == ("confirmed", "seen afterwards")
    assert not_done.reason == "seen afterwards not to have happened as a whole"
