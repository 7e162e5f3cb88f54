"""What a system cannot hold is refused and told, and what it holds already stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idsync.capabilities import Capabilities
from idsync.mapping.times import ALWAYS, NEVER, microseconds
from idsync.model import Cardholder
from idsync.plan.fitting import dates_that_fit
from idsync.plan.given import Target, TargetPlan
from tests.plan.examples import (
    CAN,
    DAY,
    ENTRE,
    HALL,
    NOW,
    City,
    brief,
    card,
    grant,
    holder,
    job,
    links,
    owned,
    person,
)

STOCKHOLM = ZoneInfo("Europe/Stockholm")
MIDNIGHT = datetime(2026, 12, 1, tzinfo=STOCKHOLM).astimezone(UTC)
NOON = MIDNIGHT + timedelta(hours=12)


def hall(**able: Any) -> Target:
    """A target of these capabilities."""
    return replace(HALL, capabilities=replace(CAN, **able))


def told(plan: TargetPlan) -> list[tuple[str, str]]:
    """Who is refused, and the first words of why."""
    rows = plan.refusals.iter_rows(named=True)
    return [(row["person_id"], " ".join(row["reason"].split()[:3])) for row in rows]


def grants_of(plan: TargetPlan) -> list[tuple[str, str, bool, bool]]:
    return [
        (key, ref, was, shall)
        for key, part, ref, was, shall in brief(plan.items)
        if part == "grant"
    ]


# ── dates ───────────────────────────────────────────────────────────────────────────────


def test_an_end_within_a_day_is_refused_where_days_are_kept() -> None:
    city = City(persons=[person(1)], jobs=[job(1, valid_to=NOON)], target=hall(granularity="day"))
    assert grants_of(city.plan()) == []
    assert told(city.plan()) == [("id-1", "ends within a")]


def test_an_end_within_a_day_takes_nothing_that_is_held() -> None:
    held = holder(1, grant(ENTRE))
    city = City(
        persons=[person(1)], jobs=[job(1, valid_to=NOON)], holders=[held], links=links(1),
        owned=owned((1, grant(ENTRE))), target=hall(granularity="day"),
    )  # fmt: skip
    assert grants_of(city.plan()) == []


def test_whole_days_are_given_where_days_are_kept() -> None:
    city = City(
        persons=[person(1)], jobs=[job(1, valid_to=MIDNIGHT)], target=hall(granularity="day")
    )
    assert grants_of(city.plan()) == [("n1", "ENTRÉ", False, True)]
    assert told(city.plan()) == []


def test_a_begin_within_a_day_waits_until_it_has_come() -> None:
    later = job(1, valid_from=NOON, valid_to=None)
    city = City(persons=[person(1)], jobs=[later], target=hall(granularity="day"))
    now = replace(city, now=NOON - timedelta(hours=1)).plan()
    assert grants_of(now) == []
    assert now.due.rows() == [(NOON, "id-1", "access", "ENTRÉ", "begins")]
    then = replace(city, now=NOON).plan()
    assert grants_of(then) == [("n1", "ENTRÉ", False, True)]
    begins = then.items.filter(pl.col("part") == "grant")["from_after"].to_list()
    assert begins == [MIDNIGHT], "what has begun is written as its day"


@given(
    begin=st.none() | st.integers(-400, 400), end=st.none() | st.integers(-400, 400),
    step=st.sampled_from(["minute", "day", "second"]),
)  # fmt: skip
def test_dates_are_never_wider_and_never_cut(begin: int | None, end: int | None, step: Any) -> None:
    instant = microseconds(NOW)
    hours = 3_600_000_000
    first = ALWAYS if begin is None else instant + begin * hours
    last = NEVER if end is None else instant + end * hours
    rows = pl.DataFrame({"person": [1], "right": [1], "valid_from": [first], "valid_to": [last]})
    fits, waits, crooked = dates_that_fit(rows, replace(CAN, granularity=step), STOCKHOLM, instant)
    assert fits.height + waits.height + crooked.height == 1
    for row in fits.iter_rows(named=True):
        assert row["valid_to"] == last
        assert row["valid_from"] == first or row["valid_from"] < first <= instant


# ── systems without dates ───────────────────────────────────────────────────────────────


def test_a_system_without_dates_is_given_its_changes_on_the_day() -> None:
    soon = NOW + 5 * DAY
    ends = NOW + 9 * DAY
    city = City(
        persons=[person(1)], jobs=[job(1, valid_from=soon, valid_to=ends)],
        target=hall(dated_grants=False),
    )  # fmt: skip
    first = city.plan()
    assert grants_of(first) == []
    assert [(at, action) for at, *_, action in first.due.rows()] == [
        (soon, "begins"),
        (ends, "ends"),
    ]
    begun = replace(city, now=soon).plan()
    assert grants_of(begun) == [("n1", "ENTRÉ", False, True)]
    assert [action for *_, action in begun.due.rows()] == ["ends"]
    after = replace(replace(city, now=soon).after(begun), now=ends).plan()
    assert grants_of(after) == [("n1", "ENTRÉ", True, False)]
    assert after.due.is_empty()


def test_a_system_with_dates_has_nothing_due() -> None:
    city = City(persons=[person(1)], jobs=[job(1, valid_to=NOW + DAY)])
    assert city.plan().due.is_empty()


# ── names and keys ──────────────────────────────────────────────────────────────────────


def people(*names: str) -> dict[str, Any]:
    return {
        "persons": [person(i, display_name=name) for i, name in enumerate(names, 1)],
        "jobs": [job(i) for i in range(1, len(names) + 1)],
    }


def test_names_that_collide_after_cutting_are_refused_for_both() -> None:
    once = hall(unique=("display_name",), lengths={"display_name": 5})
    plan = City(**people("Åsa Öberg", "Åsa Östman", "Bo Ek"), target=once).plan()
    assert told(plan) == [("id-1", "display_name is, as"), ("id-2", "display_name is, as")]
    assert {key for key, *_ in grants_of(plan)} == {"n3"}


def test_a_name_that_somebody_has_there_is_refused() -> None:
    there = Cardholder(key=None, native_id="x", display_name="Åsa Öberg")
    plan = City(
        **people("Åsa Öberg"), holders=[there], target=hall(unique=("display_name",))
    ).plan()
    assert told(plan) == [("id-1", "display_name is, that")]
    assert grants_of(plan) == []


def test_a_new_name_that_does_not_fit_leaves_the_old_one() -> None:
    renamed = City(
        persons=[person(1, display_name="Đorđe Öberg")], jobs=[job(1)],
        holders=[holder(1, grant(ENTRE))],
        links=links(1), target=hall(characters="latin-1"),
    )  # fmt: skip
    plan = renamed.plan()
    assert not [ref for _, _, ref, *_ in brief(plan.items) if ref == "display_name"]
    assert ("id-1", "display_name holds letters") in told(plan)
    assert grants_of(plan) == []


@pytest.mark.parametrize(
    ("able", "why"),
    [
        ({"characters": "latin-1"}, "display_name holds letters"),
        ({"characters": "ascii"}, "display_name holds letters"),
        ({"lengths": {"key": 1}}, "their key is"),
    ],
)
def test_a_newcomer_whom_the_system_cannot_hold_is_refused(able: dict[str, Any], why: str) -> None:
    plan = City(**people("Đorđe Öberg"), target=hall(**able)).plan()
    assert plan.items.is_empty()
    assert told(plan) == [("id-1", why)]


# ── cards ───────────────────────────────────────────────────────────────────────────────

ON_CARDS = hall(rights_on="credential")


def test_nobody_without_a_card_is_given_rights_that_hang_on_cards() -> None:
    plan = City(persons=[person(1)], jobs=[job(1)], target=ON_CARDS).plan()
    assert plan.items.is_empty()
    assert told(plan) == [("id-1", "has no card")]


def test_whoever_has_a_card_is_given_rights_that_hang_on_cards() -> None:
    city = City(
        persons=[person(1)], jobs=[job(1)], holders=[holder(1, credentials=(card("7"),))],
        target=ON_CARDS,
    )  # fmt: skip
    assert grants_of(city.plan()) == [("n1", "ENTRÉ", False, True)]


def test_what_is_amiss_is_sent_again_until_it_holds() -> None:
    held = replace(holder(1, grant(ENTRE), credentials=(card("7"),)), amiss="a card lacks a right")
    city = City(
        persons=[person(1)], jobs=[job(1)], holders=[held], links=links(1),
        owned=owned((1, grant(ENTRE))),
        target=ON_CARDS,
    )  # fmt: skip
    [(key, part, ref, *_)] = brief(city.plan().items)
    assert (key, part, ref) == ("n1", "again", "again")
    assert city.plan().items["because"].to_list() == ["a card lacks a right"]
    whole = replace(city, holders=[replace(held, amiss="")])
    assert whole.plan().items.is_empty()


def test_what_is_amiss_with_somebody_elses_record_is_theirs() -> None:
    theirs = replace(holder(9, grant(ENTRE)), amiss="a card lacks a right")
    assert City(persons=[person(1)], holders=[theirs]).plan().items.is_empty()


def test_capabilities_of_every_kind_plan_nothing_twice() -> None:
    for able in (Capabilities(dated_grants=True), Capabilities(dated_grants=False)):
        city = City(persons=[person(1)], jobs=[job(1)], target=replace(HALL, capabilities=able))
        assert city.after(city.plan()).plan().items.is_empty()


def test_nobody_loses_a_right_because_no_card_is_shown() -> None:
    city = City(
        persons=[person(1)], jobs=[job(1)], holders=[holder(1, grant(ENTRE))], links=links(1),
        owned=owned((1, grant(ENTRE))), target=ON_CARDS,
    )  # fmt: skip
    assert grants_of(city.plan()) == []
    assert told(city.plan()) == [("id-1", "has no card")]


def test_what_is_amiss_with_somebody_who_cannot_be_told_is_left() -> None:
    held = replace(holder(1, grant(ENTRE)), amiss="a card lacks a right")
    city = City(
        persons=[person(1)], jobs=[job(1)], holders=[held], links=links(1), frozen=["id-1"],
    )  # fmt: skip
    assert city.plan().items.is_empty()


def test_an_end_that_has_no_place_is_done_on_its_day() -> None:
    city = City(
        persons=[person(1)], jobs=[job(1, valid_to=NOON)], holders=[holder(1, grant(ENTRE))],
        links=links(1), owned=owned((1, grant(ENTRE))), target=hall(granularity="day"),
    )  # fmt: skip
    assert city.plan().due.rows() == [(NOON, "id-1", "access", "ENTRÉ", "ends")]
    assert grants_of(replace(city, now=NOON).plan()) == [("n1", "ENTRÉ", True, False)]
