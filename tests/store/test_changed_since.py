"""The journal tells the brake whose access has changed: people, last times, and no more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import polars as pl
import pytest

from idsync.errors import ConfigError
from idsync.model import Outcome
from idsync.plan.brake import HeldPart
from idsync.plan.items import items
from idsync.store import State
from tests.plan.examples import NOW

pytest_plugins = ("tests.servers.state_fixtures",)

HOUR = timedelta(hours=1)
Told = list[tuple[str, str, str, datetime]]


def row(effect: str, *, confirmed: bool = False, exempt: bool = False) -> pl.DataFrame:
    table = pl.DataFrame({"person_id": ["id-1"], "key": ["n1"]})
    return items(
        table, target="hall", part="grant", kind="access", ref="ENTRÉ", was=True, shall=False,
        effect=effect, confirmed=confirmed, exempt=exempt, creates=False, because="x",
    )  # fmt: skip


def intend(state: State, rows: pl.DataFrame, at: datetime = NOW, person: str = "id-1") -> int:
    return state.journal.intend(1, [("hall", person, rows)], at)[0]


def told(state: State, since: datetime = NOW - HOUR) -> Told:
    return sorted(state.journal.changed_since(since).iter_rows())


def test_a_person_is_told_once_with_the_last_time(state: State) -> None:
    intend(state, row("losing"), NOW)
    intend(state, row("losing"), NOW + 5 * HOUR)
    intend(state, row("losing"), NOW + 3 * HOUR)
    assert told(state) == [("hall", "losing", "id-1", NOW + 5 * HOUR)]
    assert told(state, NOW + 5 * HOUR) == []


def test_both_directions_of_one_operation_are_told(state: State) -> None:
    intend(state, pl.concat([row("losing"), row("gaining")]))
    intend(state, row("gaining"), NOW + HOUR)
    assert told(state) == [
        ("hall", "gaining", "id-1", NOW + HOUR), ("hall", "losing", "id-1", NOW),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rows", [row("neutral"), row("losing", confirmed=True), row("losing", exempt=True)]
)
def test_what_no_limit_counts_is_not_told(state: State, rows: pl.DataFrame) -> None:
    intend(state, rows)
    assert told(state) == []


@pytest.mark.parametrize(
    ("status", "counts"),
    [("refused", False), ("unknown", True), ("submitted", True), ("confirmed", True)],
)
def test_what_was_refused_has_changed_nothing(
    state: State,
    status: Literal["refused", "unknown", "submitted", "confirmed"],
    *,
    counts: bool,
) -> None:
    number = intend(state, row("losing"))
    outcome = Outcome(status=status, reason="")
    state.journal.settle_part(number, outcome, row("losing").clear(), NOW)
    assert bool(told(state)) == counts


def two(digest: str = "ab" * 32) -> HeldPart:
    return HeldPart(
        digest=digest, scope="profile hamn", direction="gaining", people=9, limit=3, base=40,
        approvals=2,
    )  # fmt: skip


def test_the_second_of_two_comes_within_a_day_of_the_first(state: State) -> None:
    state.orders.hold([two()], [], NOW)
    state.orders.approve("ab" * 8, "maja", "x", NOW)
    state.orders.hold([two()], [], NOW + HOUR)  # what was agreed stands while it waits
    assert state.orders.waiting()[0].first_by == "maja"
    late = NOW + 25 * HOUR
    assert state.orders.approve("ab" * 8, "olle", "x", late).first_by == "olle"
    assert state.orders.approved(late) == []
    with pytest.raises(ConfigError, match="somebody else"):
        state.orders.approve("ab" * 8, " OLLE", "x", late)
    assert state.orders.approve("ab" * 8, "maja", "x", late).state == "approved"
    assert state.orders.approved(late) == ["ab" * 32]
    state.orders.hold([], ["ab" * 32], late)
    state.orders.hold([two()], [], late)
    assert state.orders.waiting()[0].first_by is None
