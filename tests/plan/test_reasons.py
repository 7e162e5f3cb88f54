"""A right stays until its last reason is gone, and what hands gave is never taken away."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idsync.model import Cardholder, Grant, Reason
from idsync.plan.given import Target, TargetPlan
from idsync.plan.holdings import Holdings
from idsync.plan.items import merged_ledger
from idsync.plan.lost import lost, too_many
from tests.plan.examples import (
    ALARM,
    CAN,
    ENTRE,
    GONE,
    HALL,
    KITCHEN,
    LATER,
    NOW,
    SOON,
    City,
    holder,
    job,
    links,
    owned,
    person,
)

BY_HAND = (Reason(type="manual", ref="lokal.admin"),)
GIVES = {"1": {ENTRE.ref}, "2": {ENTRE.ref, KITCHEN.ref}, "3": {ENTRE.ref, ALARM.ref}}
ENDS = [None, LATER, SOON, GONE]
ONE = replace(HALL, capabilities=replace(CAN, grants_per_right="one"))


def by_hand(grants: tuple[Grant, ...]) -> list[Grant]:
    return [grant for grant in grants if grant.because]


def done(one: Cardholder, plan: TargetPlan) -> Cardholder:
    """Do a plan to the one cardholder there is, as a system does that knows who gave what."""
    grants = list(one.grants)
    status = one.status
    for row in plan.items.to_dicts():
        if row["part"] == "status":
            status = row["value_after"]
        if row["part"] != "grant":
            continue
        if row["was"]:
            before = Grant(
                ref=row["ref"], kind=row["kind"],
                valid_from=row["from_before"], valid_to=row["to_before"],
            )  # fmt: skip
            ours = [i for i, g in enumerate(grants) if g == before and not g.because]
            assert ours, "a grant is taken that idsync did not give"
            del grants[ours[0]]
        if row["shall"]:
            grants.append(
                Grant(
                    ref=row["ref"], kind=row["kind"],
                    valid_from=row["from_after"], valid_to=row["to_after"],
                )
            )  # fmt: skip
    return replace(one, grants=tuple(grants), status=status)


def night(city: City) -> City:
    """Plan, do it, and write it down, as a run does."""
    gone = lost(city.owned, Holdings.collect(city.holders))
    kept = city.owned.join(gone, on=city.owned.columns, how="anti", nulls_equal=True)
    city = replace(city, owned=kept)
    plan = city.plan()
    [one] = city.holders
    return replace(
        city,
        holders=[done(one, plan)],
        owned=merged_ledger(city.owned, plan.items),
        links=pl.DataFrame([("n1", "id-1")], schema=city.links.schema, orient="row"),
    )


def opens(one: Cardholder) -> set[str]:
    """What somebody opens now."""
    if one.status == "suspended":
        return set()
    return {
        grant.ref
        for grant in one.grants
        if (grant.valid_from is None or grant.valid_from <= NOW)
        and (grant.valid_to is None or grant.valid_to > NOW)
    }


jobs = st.dictionaries(st.sampled_from("123"), st.sampled_from(ENDS), max_size=3)
hands = st.lists(
    st.tuples(st.sampled_from([ENTRE, KITCHEN]), st.sampled_from([None, SOON])), max_size=2
)
steps = st.lists(st.tuples(jobs, st.none() | hands), min_size=1, max_size=4)


@pytest.mark.case("P13", "P14")
@settings(max_examples=40)
@given(steps, st.sampled_from([HALL, ONE]))
def test_a_right_stays_exactly_as_long_as_a_reason_does(steps: list[Any], target: Target) -> None:
    city = City(persons=[person(1)], holders=[holder(1)], links=links(1), target=target)
    for employed, given_by_hand in steps:
        [one] = city.holders
        if given_by_hand is not None:  # the administrator makes it so, of what is theirs
            own = [grant for grant in one.grants if not grant.because]
            theirs = [
                Grant(ref=right.ref, kind=right.kind, valid_to=end, because=BY_HAND)
                for right, end in dict(given_by_hand).items()
                if target is HALL or right.ref not in {grant.ref for grant in own}
            ]
            one = replace(one, grants=(*own, *theirs))
        before = by_hand(one.grants)
        city = replace(
            city, holders=[one], jobs=[job(1, code, valid_to=end) for code, end in employed.items()]
        )
        city = night(city)
        [after] = city.holders
        assert Counter(by_hand(after.grants)) == Counter(before), "a local grant was touched"
        running = [code for code, end in employed.items() if end is None or end > NOW]
        central = set().union(*(GIVES[code] for code in running))
        # who was suspended is let in again by a rule, or by hand, and not by a grant alone
        shut = one.status == "suspended" and not central
        local = set() if shut else {grant.ref for grant in before}
        assert opens(after) == central | local, (employed, given_by_hand)
        assert night(city).holders == [after], "the second night changes something"


@pytest.mark.case("P14")
def test_the_same_right_by_rule_and_by_hand_leaves_the_hands_when_the_rule_ends() -> None:
    central = Grant(ref="ENTRÉ", valid_from=job(1).valid_from)
    twice = holder(1, central, replace(central, because=BY_HAND))
    city = City(
        persons=[person(1)], jobs=[job(1, valid_to=GONE)], holders=[twice],
        owned=owned((1, central)),
        links=pl.DataFrame({"key": ["n1"], "person_id": ["id-1"]}),
    )  # fmt: skip
    [after] = night(city).holders
    assert by_hand(after.grants) == list(after.grants) != []
    assert after.status == "active", "who holds something by hand was suspended with their job"


def test_a_grant_that_hands_took_away_is_forgotten_and_a_restored_system_is_not() -> None:
    many = owned(*((number, Grant(ref="ENTRÉ")) for number in range(400)))
    shown = [holder(number, Grant(ref="ENTRÉ")) for number in range(3, 400)]
    gone = lost(many, Holdings.collect(shown))
    assert sorted(gone["key"]) == ["n0", "n1", "n2"]
    assert not too_many(gone.height, many.height)
    assert too_many(lost(many, Holdings.collect([])).height, many.height)


@pytest.mark.parametrize("status", ["active", "suspended"])
def test_a_block_that_hands_lifted_is_forgotten(status: str) -> None:
    card = ("T1", "credential:T1")
    blocks = owned((1, "status"), (1, card[1]))
    one = holder(1, status=status)
    gone = lost(blocks, Holdings.collect([one]))
    assert sorted(gone["ref"]) == ([card[1]] if status == "suspended" else [card[1], "status"])


def test_an_end_of_one_job_shortens_nothing_that_another_gives_longer() -> None:
    city = City(
        persons=[person(1)], holders=[holder(1)],
        jobs=[job(1, "1", valid_to=SOON), job(1, "2", valid_to=LATER)],
    )  # fmt: skip
    [one] = night(city).holders
    [entre] = [grant for grant in one.grants if grant.ref == "ENTRÉ"]
    assert entre.valid_to == LATER
    assert entre.valid_to - SOON > timedelta(days=300)
