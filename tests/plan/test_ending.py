"""What an order takes by ending an employment is confirmed; what goes beside it is looked at."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from idsync.mapping.ending import ENDED, split_ended, tied_elsewhere
from idsync.plan.ending import confirmed_ends, with_ends_told
from idsync.plan.given import DONE, Orders
from idsync.plan.holdings import Holdings
from idsync.plan.target import plan_target
from tests.plan.examples import (
    ALARM,
    ENTRE,
    GONE,
    KITCHEN,
    NOW,
    City,
    card,
    grant,
    holder,
    job,
    links,
    owned,
    people,
    person,
)

RIGHTS = (ENTRE, KITCHEN, ALARM)
TOLD = "an employment was ended by order 7"


def one(*jobs: object, **more: object) -> City:
    """Return a city of one person who holds every right, all of them idsync's own."""
    known: dict[str, object] = {
        "persons": [person(1)], "jobs": jobs, "links": links(1),
        "holders": [holder(1, *(grant(right) for right in RIGHTS), credentials=(card("T1"),))],
        "owned": owned(*((1, grant(right)) for right in RIGHTS)),
    }  # fmt: skip
    return City(**{**known, **more})  # type: ignore[arg-type]  # as City takes them


def planned(city: City, *ended: str, done: str = "", revoked: str = "") -> dict[str, list[str]]:
    """Return what goes, by whether it is confirmed ("sure"), and what it is told to be for."""
    orders = Orders(
        revoked=pl.DataFrame(
            [(revoked, "revoked by order 9")] if revoked else [],
            schema={"person_id": pl.String(), "because": pl.String()}, orient="row",
        ),
        frozen=pl.Series("person_id", [], dtype=pl.String),
        ended=pl.DataFrame([("id-1", key, TOLD) for key in ended], schema=ENDED, orient="row"),
        done=pl.DataFrame([(TOLD, done)] if done else [], schema=DONE, orient="row"),
    )  # fmt: skip
    left, gone = split_ended(people(city.persons, city.jobs), orders.ended)
    elsewhere = tied_elsewhere(left, gone, orders.ended, city.rules, NOW)
    rest = [one for one in city.jobs if one.id not in ended]
    desired = replace(replace(city, jobs=rest).desired(), elsewhere=elsewhere)
    plan = plan_target(
        city.target, desired, Holdings.collect(city.holders),
        ledger=city.owned, links=city.links, orders=orders, now=NOW,
    )  # fmt: skip
    told = with_ends_told(confirmed_ends(plan, desired, orders), orders).items
    found: dict[str, list[str]] = {}
    for ref, confirmed, because in told.select("ref", "confirmed", "because").iter_rows():
        found.setdefault("sure" if confirmed else "doubtful", []).append(ref)
        assert (because == TOLD) is (confirmed and not revoked)
    return {name: sorted(refs) for name, refs in found.items()}


CLEANER, COOK, GUARD = job(1, "1"), job(1, "2"), job(1, "3")


def test_of_two_what_the_other_does_not_give_is_confirmed() -> None:
    city = one(CLEANER, COOK, GUARD)
    assert planned(city, COOK.id) == {"sure": ["KÖK"]}
    assert planned(city) == {}


def test_what_goes_by_another_end_beside_it_is_not() -> None:
    guard = replace(GUARD, valid_to=GONE)
    assert planned(one(CLEANER, COOK, guard), COOK.id) == {"sure": ["KÖK"], "doubtful": ["LARM"]}


def test_the_end_of_the_last_one_suspends_and_all_of_it_is_confirmed() -> None:
    city = one(COOK, holders=[holder(1, grant(ENTRE), grant(KITCHEN), credentials=(card("T1"),))])
    assert planned(city, COOK.id) == {"sure": ["ENTRÉ", "KÖK", "T1", "status"]}


def test_who_loses_the_last_one_by_something_else_too_is_not_suspended_by_the_order() -> None:
    guard = replace(GUARD, valid_to=GONE)
    assert planned(one(COOK, guard), COOK.id) == {
        "sure": ["ENTRÉ", "KÖK"], "doubtful": ["LARM", "T1", "status"],
    }  # fmt: skip


def test_of_one_that_no_source_tells_of_all_is_confirmed_but_what_is_tied_elsewhere() -> None:
    guard = replace(GUARD, valid_to=GONE)
    assert planned(one(CLEANER, guard), "e-1-2") == {"sure": ["KÖK"], "doubtful": ["LARM"]}


@pytest.mark.parametrize(("done", "how"), [("hall", "doubtful"), ("school", "sure")])
def test_once_a_system_has_shown_it_the_order_confirms_nothing_more_there(
    done: str, how: str
) -> None:
    assert planned(one(CLEANER, COOK, GUARD), COOK.id, done=done) == {how: ["KÖK"]}


def test_an_order_on_the_person_is_told_before_one_on_an_employment() -> None:
    found = planned(one(CLEANER, COOK), COOK.id, revoked="id-1")
    assert found == {"sure": ["ENTRÉ", "KÖK", "LARM", "T1", "status"]}
