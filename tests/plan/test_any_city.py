"""What holds in any city, whatever is in its target and whoever made it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from idsync.model import Employment, Person
from tests.plan.examples import (
    ALARM,
    CAN,
    ENTRE,
    GONE,
    HALL,
    KITCHEN,
    LATER,
    NOW,
    PAST,
    SOON,
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

numbers = st.integers(0, 4)
begins = st.sampled_from([None, PAST, SOON])
ends = st.sampled_from([None, GONE, SOON, LATER])
rights = st.sampled_from([ENTRE, KITCHEN, ALARM])
grants = st.builds(grant, rights, begins, ends)


@st.composite
def jobs_of(draw: st.DrawFn) -> list[Employment]:
    drawn = draw(
        st.lists(st.tuples(numbers, st.sampled_from("1239"), begins, ends), max_size=8)
    )  # fmt: skip
    return [
        job(who, code, f"-{row}", valid_from=begin, valid_to=end)
        for row, (who, code, begin, end) in enumerate(drawn)
    ]


@st.composite
def persons_of(draw: st.DrawFn) -> list[Person]:
    marks = st.sampled_from(["none", "none", "secrecy_marking"])
    return [person(who, protection=draw(marks)) for who in draw(st.sets(numbers))]


@st.composite
def cities(draw: st.DrawFn) -> City:
    """Any small city, its target in any state, and any part of it idsync's own."""
    held = {who: draw(st.lists(grants, max_size=4, unique=True)) for who in draw(st.sets(numbers))}
    mine = [(who, one) for who, all_ in held.items() for one in all_ if draw(st.booleans())]
    states = st.sampled_from(["active", "suspended"])
    capabilities = replace(
        CAN,
        dated_grants=draw(st.booleans()),
        grants_per_right=draw(st.sampled_from(["one", "many"])),
        credential=draw(st.sampled_from([("read",), ("read", "update")])),
    )
    target = replace(
        HALL, capabilities=capabilities, contacted=draw(st.booleans()),
        adopt=draw(st.sampled_from(["nothing", "matching"])),
    )  # fmt: skip
    known = sorted(held)
    people = draw(persons_of())
    ids = [f"id-{who}" for who in range(5)]
    doubts = st.tuples(st.sampled_from([one.id for one in people]), rights)
    return City(
        persons=people,
        jobs=draw(jobs_of()),
        holders=[
            holder(
                who, *all_, status=draw(states),
                credentials=(card(f"{who}-1", draw(states)), card(f"{who}-2", "lost")),
            )
            for who, all_ in held.items()
        ],
        owned=owned(*mine, *((who, "status") for who in known if draw(st.booleans()))),
        links=links(*(who for who in known if draw(st.booleans()))),
        revoked=draw(st.lists(st.sampled_from(ids), unique=True, max_size=2)),
        frozen=draw(st.lists(st.sampled_from(ids), unique=True, max_size=2)),
        kept=draw(st.lists(doubts, max_size=3)) if people else (),
        target=target,
    )  # fmt: skip


@settings(max_examples=50)
@given(cities())
def test_when_a_plan_has_been_done_the_next_one_is_empty(city: City) -> None:
    after = city.after(city.plan())
    assert brief(after.plan().items) == []


@settings(max_examples=30)
@given(cities(), st.integers(1, 500))
def test_what_others_gave_is_never_removed_nor_redated(city: City, days: int) -> None:
    for now in (NOW, NOW + timedelta(days=days)):
        plan = replace(city, now=now).plan()
        ours = {tuple(row) for row in city.owned.select("key", "ref", "kind", "valid_from", "valid_to").rows()}  # fmt: skip  # noqa: E501
        touched = plan.items.filter((pl.col("part") == "grant") & pl.col("was"))
        rows = touched.select("key", "ref", "kind", "from_before", "to_before").rows()
        assert set(rows) <= ours


@settings(max_examples=30)
@given(cities())
def test_the_frozen_have_no_items_and_the_revoked_no_own_grants(city: City) -> None:
    plan = city.plan()
    still = set(city.frozen) - set(city.revoked)
    assert not still & set(plan.items["person_id"])
    assert set(plan.items.filter("confirmed")["person_id"]) <= set(city.revoked)
    after = city.after(plan)
    left = after.owned.filter((pl.col("kind") != "block") & pl.col("person_id").is_in(city.revoked))
    reached = {f"id-{one.key[1:]}" for one in city.holders if one.key}
    linked = set(city.links["person_id"]) | {one.id for one in city.persons}
    assert not set(left["person_id"]) & reached & linked
    for one in after.holders:
        if one.key and f"id-{one.key[1:]}" in set(city.revoked) & linked:
            assert one.status == "suspended"


@settings(max_examples=25)
@given(cities(), st.randoms(use_true_random=False), st.integers(0, 2**63))
def test_the_order_of_rows_does_not_matter(city: City, random: Any, seed: int) -> None:
    def shuffled(rows: Any) -> Any:
        mixed = list(rows)
        random.shuffle(mixed)
        return mixed

    holders = [
        replace(
            one,
            grants=tuple(shuffled(one.grants)),
            credentials=tuple(shuffled(one.credentials)),
        )
        for one in shuffled(city.holders)
    ]
    mixed = replace(
        city, persons=shuffled(city.persons), jobs=shuffled(city.jobs), holders=holders,
        owned=city.owned.sample(fraction=1, shuffle=True, seed=seed % 1000),
        links=city.links.sample(fraction=1, shuffle=True, seed=seed % 1000),
    )  # fmt: skip
    first, second = city.plan(), mixed.plan(seed)
    assert first.items.equals(second.items)
    assert first.adopt.equals(second.adopt)
    assert first.links.equals(second.links)
    assert first.refusals.equals(second.refusals)
    assert set(first.holders["person_id"]) == set(second.holders["person_id"])
