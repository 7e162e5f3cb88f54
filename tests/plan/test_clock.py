"""A clock that jumped decides nothing by itself, and keeps no confirmed termination back."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from idsync.plan.clock import hold_by_clock
from tests.plan.examples import DAY, ENTRE, KITCHEN, NOW, City, grant, holder, job, links, owned
from tests.plan.examples import person as somebody

SECOND = timedelta(seconds=1)
AHEAD, BACK = 45 * DAY, timedelta(minutes=5)


def items() -> City:
    """Two who gain something, one of them two rights; one who is revoked."""
    return City(
        persons=[somebody(n) for n in (1, 2, 3)], jobs=[job(1, "2"), job(2), job(3)],
        holders=[holder(3, grant(ENTRE))], owned=owned((3, grant(ENTRE))), links=links(3),
        revoked=["id-3"],
    )  # fmt: skip


@pytest.mark.parametrize("trusted", [None, NOW, NOW - AHEAD, NOW + BACK])
def test_a_clock_that_goes_on_as_clocks_do_holds_nothing(trusted: datetime | None) -> None:
    planned = items().plan().items
    told, part, used = hold_by_clock(planned, NOW, trusted, [])
    assert told.equals(planned)
    assert (part, used) == (None, "")


@pytest.mark.parametrize("trusted", [NOW - AHEAD - SECOND, NOW + BACK + SECOND])
def test_after_a_jump_all_but_confirmed_ends_waits_for_one_approval_of_that_day(
    trusted: datetime,
) -> None:
    planned = items().plan().items
    told, part, used = hold_by_clock(planned, NOW, trusted, ["another"])
    assert part is not None
    assert used == ""
    assert (part.scope, part.people, part.limit, part.base) == ("clock", 2, 0, 0)
    assert part.direction == "losing"
    waits = told.filter(told["held"] == part.digest)
    assert set(waits["person_id"]) == {"id-1", "id-2"}
    assert set(told.filter(told["held"].is_null())["person_id"]) == {"id-3"}
    hour = timedelta(hours=1) if trusted < NOW else -timedelta(hours=1)
    later = hold_by_clock(planned, NOW + hour, trusted, [part.digest])
    assert later[1:] == (None, part.digest)
    assert later[0].equals(planned)
    days = DAY if trusted < NOW else -DAY
    _, other_day, _ = hold_by_clock(planned, NOW + days, trusted, [part.digest])
    assert other_day is not None


def test_what_another_brake_holds_is_held_by_it_still() -> None:
    planned = (
        items().plan().items.with_columns(held=pl.when(pl.col("confirmed")).then(pl.lit("floor")))
    )
    told, _, _ = hold_by_clock(planned, NOW, NOW + DAY, [])
    assert set(told.filter(told["confirmed"])["held"]) == {"floor"}
    assert KITCHEN.ref in set(told["ref"])
