"""What changes in one target: the laws, at the level of planning."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idsync.mapping.catalogue import Right
from idsync.model import Cardholder, Employment, Grant, Person, Reason
from tests.plan.examples import (
    ALARM,
    CAN,
    DAY,
    ENTRE,
    HALL,
    KITCHEN,
    LATER,
    NOW,
    PAST,
    SOON,
    City,
    brief,
    card,
    catalogue,
    grant,
    holder,
    job,
    links,
    owned,
    person,
    rule,
)

GONE = NOW - DAY


def removed(items: pl.DataFrame) -> list[tuple[str, str]]:
    """(key, right) of grants that go and do not come back."""
    gone = items.filter((pl.col("part") == "grant") & ~pl.col("shall"))
    return sorted(gone.select("key", "ref").iter_rows())


def given_to(items: pl.DataFrame) -> list[tuple[str, str]]:
    """(key, right) of grants that shall be there and are not."""
    new = items.filter((pl.col("part") == "grant") & pl.col("shall") & ~pl.col("was"))
    return sorted(new.select("key", "ref").iter_rows())


def suspended(items: pl.DataFrame) -> list[str]:
    """Keys of cardholders that are suspended."""
    return sorted(items.filter(pl.col("value_after") == "suspended")["key"].unique())


def leaver(number: int | str = 1, **more: Any) -> dict[str, Any]:
    """Somebody whose only job is over, with a grant of idsync's own."""
    known: dict[str, Any] = {
        "persons": [person(number)],
        "jobs": [job(number, valid_to=GONE)],
        "holders": [holder(number, grant(ENTRE))],
        "owned": owned((number, grant(ENTRE))),
        "links": links(number),
    }
    return {**known, **more}


# ── giving ──────────────────────────────────────────────────────────────────────────────


def test_a_newcomer_is_made_with_name_and_grants() -> None:
    items = City(persons=[person(1)], jobs=[job(1)]).plan().items
    assert brief(items) == [
        ("n1", "attribute", "department", False, True),
        ("n1", "attribute", "display_name", False, True),
        ("n1", "attribute", "mail", False, True),
        ("n1", "grant", "ENTRÉ", False, True),
    ]
    assert items["creates"].all()
    assert items.filter(pl.col("part") == "grant")["effect"].to_list() == ["gaining"]


def test_what_is_as_it_should_be_gives_no_item() -> None:
    city = City(persons=[person(1)], jobs=[job(1)], holders=[holder(1, grant(ENTRE))])
    plan = city.plan()
    assert plan.items.is_empty()
    assert plan.unchanged == 1


def test_whoever_should_hold_nothing_is_not_made() -> None:
    assert City(persons=[person(1)], jobs=[job(1, "9")]).plan().items.is_empty()


def test_a_begin_that_has_passed_does_not_churn() -> None:
    for begin in (None, PAST, PAST + 3 * DAY, NOW):
        held = [holder(1, grant(ENTRE, begin))]
        assert City(persons=[person(1)], jobs=[job(1)], holders=held).plan().items.is_empty()


def test_a_known_name_that_nobody_knows_any_longer_is_left() -> None:
    nameless = person(1, mail=None)
    city = City(persons=[nameless], jobs=[job(1)], holders=[holder(1, grant(ENTRE))])
    assert city.plan().items.is_empty()


@pytest.mark.parametrize(
    ("held", "until", "effect"),
    [(SOON, None, "gaining"), (None, SOON, "losing"), (LATER, SOON, "losing"),
     (SOON, LATER, "gaining"), (GONE, SOON, "gaining")],
)  # fmt: skip
def test_a_shortened_grant_loses_and_a_prolonged_one_gains(
    held: datetime | None, until: datetime | None, effect: str
) -> None:
    mine = grant(ENTRE, PAST, held)
    city = City(
        persons=[person(1)], jobs=[job(1, valid_to=until)], holders=[holder(1, mine)],
        owned=owned((1, mine)), links=links(1),
    )  # fmt: skip
    items = city.plan().items
    assert items.select("was", "shall", "effect", "to_before", "to_after").rows() == [
        (True, True, effect, held, until)
    ]


def test_a_grant_put_off_loses_and_one_put_forward_gains() -> None:
    for held, begins, effect in ((PAST, SOON, "losing"), (SOON, PAST, "gaining")):
        mine = grant(ENTRE, held)
        city = City(
            persons=[person(1)], jobs=[job(1, valid_from=begins)], holders=[holder(1, mine)],
            owned=owned((1, mine)), links=links(1),
        )  # fmt: skip
        assert city.plan().items["effect"].to_list() == [effect]


# ── taking ──────────────────────────────────────────────────────────────────────────────


def test_ending_one_of_two_jobs_leaves_what_the_other_justifies() -> None:
    held = [grant(ENTRE), grant(KITCHEN)]
    city = City(
        persons=[person(1)], jobs=[job(1), job(1, "2", valid_to=GONE)],
        holders=[holder(1, *held)], owned=owned(*((1, one) for one in held)), links=links(1),
    )  # fmt: skip
    assert brief(city.plan().items) == [("n1", "grant", "KÖK", True, False)]


def test_a_leaver_loses_what_is_own_and_is_suspended() -> None:
    city = City(**leaver(holders=[holder(1, grant(ENTRE), credentials=(card("7"),))]))
    items = city.plan().items
    assert brief(items) == [
        ("n1", "credential", "7", True, True),
        ("n1", "grant", "ENTRÉ", True, False),
        ("n1", "status", "status", True, True),
    ]
    assert set(items["effect"]) == {"losing"}
    assert not items["confirmed"].any()
    assert items.filter(pl.col("part") == "credential")["kind"].to_list() == ["card"]


def test_cards_that_opened_nothing_are_suspended_without_a_loss() -> None:
    over = grant(ENTRE, PAST, GONE)
    city = City(**leaver(holders=[holder(1, over)], owned=owned((1, over))))
    items = city.plan().items
    assert suspended(items) == ["n1"]
    assert set(items["effect"]) == {"neutral"}


def test_a_leaver_is_suspended_only_when_linked() -> None:
    assert City(**leaver(links=links(), owned=owned())).plan().items.is_empty()


def test_a_leaver_whom_somebody_else_gave_something_is_not_suspended() -> None:
    for local, blocked in (
        (grant(KITCHEN), []),
        (grant(KITCHEN, None, SOON), []),
        (grant(KITCHEN, PAST, GONE), ["n1"]),
    ):
        items = City(**leaver(holders=[holder(1, grant(ENTRE), local)])).plan().items
        assert removed(items) == [("n1", "ENTRÉ")]
        assert suspended(items) == blocked


def test_somebody_whose_next_job_is_to_come_is_not_suspended() -> None:
    jobs = [job(1, valid_to=GONE), job(1, "9", valid_from=SOON)]
    items = City(**leaver(jobs=jobs)).plan().items
    assert removed(items) == [("n1", "ENTRÉ")]
    assert suspended(items) == []


def test_somebody_no_source_knows_any_longer_loses_what_is_own() -> None:
    items = City(**leaver(persons=[], jobs=[])).plan().items
    assert removed(items) == [("n1", "ENTRÉ")]
    assert suspended(items) == ["n1"]


def test_only_what_idsync_suspended_is_given_back() -> None:
    cards = (card("7", "suspended"), card("8", "suspended"), card("9", "lost"))
    city = City(
        persons=[person(1)], jobs=[job(1)], links=links(1),
        holders=[holder(1, grant(ENTRE), status="suspended", credentials=cards)],
    )  # fmt: skip
    assert city.plan().items.is_empty()
    ours = owned((1, "credential:7"), (1, "credential:9"))
    assert brief(replace(city, owned=ours).plan().items) == [("n1", "credential", "7", True, True)]
    items = replace(city, owned=owned((1, "status"))).plan().items
    assert items.select("part", "value_after", "effect").rows() == [("status", "active", "gaining")]


def test_cards_are_left_where_their_state_cannot_be_written() -> None:
    read_only = replace(HALL, capabilities=replace(CAN, credentials="read"))
    held = [holder(1, grant(ENTRE), credentials=(card("7"),))]
    items = City(**leaver(holders=held, target=read_only)).plan().items
    assert "credential" not in items["part"].to_list()


# ── orders, the frozen and the kept ─────────────────────────────────────────────────────


@pytest.mark.parametrize("frozen", [(), ("id-1",)])
@pytest.mark.parametrize("kept", [(), (("id-1", ENTRE),)])
def test_the_revoked_open_nothing_and_it_is_confirmed(
    frozen: tuple[str, ...], kept: tuple[tuple[str, Right], ...]
) -> None:
    city = City(
        **leaver(jobs=[job(1)], holders=[holder(1, grant(ENTRE), grant(KITCHEN))]),
        revoked=["id-1"], frozen=frozen, kept=kept,
    )  # fmt: skip
    items = city.plan().items
    assert brief(items) == [
        ("n1", "grant", "ENTRÉ", True, False), ("n1", "status", "status", True, True),
    ]  # fmt: skip
    assert items["confirmed"].all()
    assert set(items["because"]) == {"ordered by HR"}
    assert city.after(city.plan()).plan().items.is_empty()


def test_the_revoked_are_suspended_though_never_linked() -> None:
    city = City(
        persons=[person(1)], jobs=[job(1)], revoked=["id-1"], holders=[holder(1, grant(KITCHEN))]
    )
    assert brief(city.plan().items) == [("n1", "status", "status", True, True)]


def test_the_revoked_whom_no_source_knows_are_suspended() -> None:
    items = City(**leaver(persons=[], jobs=[]), revoked=["id-1"]).plan().items
    assert items["confirmed"].all()
    assert suspended(items) == ["n1"]


def test_two_orders_on_one_person_make_no_item_twice() -> None:
    items = City(**leaver(), revoked=["id-1", "id-1"]).plan().items
    assert len(items) == len(set(brief(items))) == 2


def test_the_frozen_are_neither_widened_nor_narrowed() -> None:
    city = City(**leaver(jobs=[job(1, "2")], persons=[person(1, mail="nytt@exempel.se")]))
    assert given_to(city.plan().items) == [("n1", "KÖK")]
    assert replace(city, frozen=["id-1"]).plan().items.is_empty()
    assert City(**leaver(), frozen=["id-1"]).plan().items.is_empty()


def test_a_kept_grant_is_neither_removed_nor_given() -> None:
    assert City(**leaver(), kept=[("id-1", ENTRE)]).plan().items.is_empty()
    unsure = City(persons=[person(1)], jobs=[job(1, "9")], kept=[("id-1", ENTRE)])
    assert unsure.plan().items.is_empty()


@pytest.mark.parametrize("per_right", ["one", "many"])
def test_a_kept_grant_is_prolonged_by_what_is_certain_and_never_shortened(per_right: Any) -> None:
    target = replace(HALL, capabilities=replace(CAN, grants_per_right=per_right))
    kept = [("id-1", ENTRE)]
    for held, until, expected in (
        (None, SOON, []),
        (SOON, None, [(True, True, "gaining")]),
    ):
        mine = grant(ENTRE, PAST, held)
        city = City(
            **leaver(
                jobs=[job(1, valid_to=until)], holders=[holder(1, mine)], owned=owned((1, mine))
            ),
            target=target, kept=kept,
        )  # fmt: skip
        assert city.plan().items.select("was", "shall", "effect").rows() == expected


def test_a_kept_grant_that_is_over_is_over() -> None:
    over = grant(ENTRE, PAST, GONE)
    city = City(**leaver(holders=[holder(1, over)], owned=owned((1, over))), kept=[("id-1", ENTRE)])
    assert removed(city.plan().items) == [("n1", "ENTRÉ")]


# ── beside others ───────────────────────────────────────────────────────────────────────


def test_a_local_grant_that_covers_needs_no_second_one() -> None:
    for per_right in ("one", "many"):
        target = replace(HALL, capabilities=replace(CAN, grants_per_right=per_right))
        city = City(
            persons=[person(1)], jobs=[job(1, valid_to=SOON)], target=target,
            holders=[holder(1, grant(ENTRE, None, LATER))],
        )  # fmt: skip
        plan = city.plan()
        assert plan.items.is_empty()
        assert plan.refusals.is_empty()
        assert plan.local == 1


def test_a_shorter_local_grant_is_joined_where_a_right_can_be_held_twice() -> None:
    city = City(persons=[person(1)], jobs=[job(1)], holders=[holder(1, grant(ENTRE, None, SOON))])
    assert brief(city.plan().items) == [("n1", "grant", "ENTRÉ", False, True)]


def test_a_shorter_local_grant_stands_in_the_way_where_a_right_is_held_once() -> None:
    target = replace(HALL, capabilities=replace(CAN, grants_per_right="one"))
    local = [holder(1, grant(ENTRE, None, SOON))]
    plan = City(persons=[person(1)], jobs=[job(1)], holders=local, target=target).plan()
    assert plan.items.is_empty()
    assert plan.refusals.select("person_id", "ref").rows() == [("id-1", "ENTRÉ")]
    over = [holder(1, grant(ENTRE, None, GONE))]
    plan = City(persons=[person(1)], jobs=[job(1)], holders=over, target=target).plan()
    assert given_to(plan.items) == [("n1", "ENTRÉ")]


def test_a_local_grant_of_another_right_or_kind_covers_nothing() -> None:
    other = Grant(ref="ENTRÉ", kind="alarm")
    city = City(persons=[person(1)], jobs=[job(1)], holders=[holder(1, other, grant(KITCHEN))])
    assert given_to(city.plan().items) == [("n1", "ENTRÉ")]


# ── a target without dates ──────────────────────────────────────────────────────────────


def test_a_target_without_dates_gets_only_what_is_in_force() -> None:
    target = replace(HALL, capabilities=replace(CAN, dated_grants=False))
    jobs = [job(1, valid_to=SOON), job(2, "3", valid_from=SOON)]
    city = City(persons=[person(1), person(2)], jobs=jobs, target=target)
    items = city.plan().items.filter(pl.col("part") == "grant")
    assert items.select("key", "ref", "from_after", "to_after").rows() == [
        ("n1", "ENTRÉ", None, None)
    ]
    city = city.after(city.plan())
    assert city.plan().items.is_empty()
    on_the_day = replace(city, now=SOON + DAY).plan().items
    assert given_to(on_the_day) == [("n2", "ENTRÉ"), ("n2", "LARM")]
    assert removed(on_the_day) == [("n1", "ENTRÉ")]


# ── who is who ──────────────────────────────────────────────────────────────────────────


def reasons(city: City) -> list[tuple[str, str]]:
    plan = city.plan()
    return [
        (who, why.partition(" ")[0])
        for who, why in plan.refusals.select("person_id", "reason").iter_rows()
    ]


def test_a_number_reused_by_somebody_else_inherits_nothing_and_hides_nothing() -> None:
    newcomer = person(2, employee_number="n1")
    city = City(**leaver(persons=[person(1), newcomer], jobs=[job(1, valid_to=GONE), job(2)]))
    plan = city.plan()
    assert removed(plan.items) == [("n1", "ENTRÉ")]
    assert suspended(plan.items) == ["n1"]
    assert set(plan.items["person_id"]) == {"id-1"}
    assert reasons(city) == [("id-2", "their")]
    assert plan.links.is_empty()


def test_a_revocation_reaches_whoever_shares_their_number() -> None:
    twin = person(2, employee_number="n1")
    city = City(**leaver(persons=[person(1), twin], jobs=[job(1), job(2)]), revoked=["id-1"])
    assert suspended(city.plan().items) == ["n1"]


def test_two_newcomers_with_one_number_both_wait() -> None:
    twin = person(2, employee_number="n1")
    city = City(persons=[person(1), twin], jobs=[job(1), job(2)])
    assert city.plan().items.is_empty()
    assert reasons(city) == [("id-1", "shares"), ("id-2", "shares")]


@pytest.mark.parametrize("number", [None, ""])
def test_whoever_has_no_number_is_refused_only_where_they_should_hold_something(
    number: str | None,
) -> None:
    nobody = person(1, employee_number=number)
    assert reasons(City(persons=[nobody], jobs=[job(1)])) == [("id-1", "has")]
    assert reasons(City(persons=[nobody], jobs=[job(1, "9")])) == []
    elsewhere = catalogue(rule("annat", Right("annex", "access", "ENTRÉ"), job_code="1"))
    assert reasons(City(persons=[nobody], jobs=[job(1)], rules=elsewhere)) == []


@pytest.mark.parametrize(
    ("shown", "more", "known"),
    [
        ("Nils Holm", {}, False),
        ("Åsa1 Öberg1", {}, True),
        ("ÖBERG1, ÅSA1", {}, True),
        ("A\u030asa1 Gift", {}, True),
        ("Nils Holm", {"given_name": ""}, False),
        ("Nils Holm", {"given_name": None}, False),
        ("Nils Holm", {"given_name": "", "family_name": None}, True),
        ("Person id-1", {"protection": "secrecy_marking"}, True),
        ("", {}, True),
        (None, {}, True),
    ],
)
def test_a_record_under_another_name_is_not_theirs(
    shown: str | None, more: dict[str, Any], known: bool
) -> None:
    city = City(
        persons=[person(1, **more)], jobs=[job(1)],
        holders=[holder(1, display_name=shown), holder(8)], links=links(8),
    )  # fmt: skip
    assert (given_to(city.plan().items) == [("n1", "ENTRÉ")]) == known
    assert reasons(city) == ([] if known else [("id-1", "the")])
    linked = replace(city, links=links(1)).plan()
    assert given_to(linked.items) == [("n1", "ENTRÉ")]


def test_a_record_without_a_key_is_nobodys() -> None:
    tag = Cardholder(key=None, grants=(grant(KITCHEN),))
    items = City(persons=[person(1)], jobs=[job(1)], holders=[tag]).plan().items
    assert items["creates"].all()


# ── adoption ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("contacted", "adopt", "reason", "adopted", "adoptable"),
    [
        (False, "matching", None, 1, 1),
        (False, "matching", "imported", 1, 1),
        (False, "matching", "manual", 0, 0),
        (False, "nothing", None, 0, 1),
        (True, "matching", None, 0, 0),
    ],
)
def test_what_equals_the_rules_is_adopted_once_and_only_if_wished(
    contacted: bool, adopt: str, reason: str | None, adopted: int, adoptable: int
) -> None:
    why = (Reason(type=reason, ref="x"),) if reason else ()
    held = holder(1, replace(grant(ENTRE), because=why), grant(KITCHEN))
    target = replace(HALL, contacted=contacted, adopt=adopt)
    city = City(persons=[person(1)], jobs=[job(1)], holders=[held], target=target)
    plan = city.plan()
    assert (plan.adopt.height, plan.adoptable) == (adopted, adoptable)
    assert plan.links.rows() == [("n1", "id-1")]
    assert plan.items.is_empty()
    later = replace(city.after(plan), jobs=[job(1, valid_to=GONE)])
    assert removed(later.plan().items) == [("n1", "ENTRÉ")] * adopted


# ── the protected ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mark", ["secrecy_marking", "protected_registration", None])
def test_the_protected_are_shown_by_an_alias_alone(mark: str | None) -> None:
    items = City(persons=[person(1, protection=mark)], jobs=[job(1)]).plan().items
    names = items.filter(pl.col("part") == "attribute").select("ref", "value_after")
    assert names.rows() == [("display_name", "Person id-1")]


def test_a_mark_that_comes_late_empties_what_was_shown() -> None:
    for jobs in ([job(1)], [job(1, valid_to=GONE)]):
        city = City(**leaver(persons=[person(1, protection="secrecy_marking")], jobs=jobs))
        items = city.plan().items.filter(pl.col("part") == "attribute")
        assert items.select("ref", "value_before", "value_after").rows() == [
            ("department", "Skola", ""),
            ("display_name", "Åsa1 Öberg1", "Person id-1"),
            ("mail", "a1@exempel.se", ""),
        ]
        assert city.after(city.plan()).plan().items.is_empty()


def test_nothing_is_shown_that_is_not_released() -> None:
    target = replace(HALL, release=("mail", "given_name"))
    target = replace(target, capabilities=replace(CAN, attributes=("mail",)))
    items = City(persons=[person(1)], jobs=[job(1)], target=target).plan().items
    assert items.filter(pl.col("part") == "attribute")["ref"].to_list() == ["mail"]


def test_a_long_name_is_cut_to_what_the_target_can_hold() -> None:
    target = replace(HALL, capabilities=replace(CAN, display_name_length=6))
    city = City(persons=[person(1)], jobs=[job(1)], target=target)
    items = city.plan().items.filter(pl.col("ref") == "display_name")
    assert items["value_after"].to_list() == ["Åsa1 Ö"]
    assert city.after(city.plan()).plan().items.is_empty()


# ── any city ────────────────────────────────────────────────────────────────────────────

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
        credentials=draw(st.sampled_from(["read", "write"])),
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
    assert first.holders.equals(second.holders)


def test_a_protected_person_revoked_without_a_link_is_hidden_at_once() -> None:
    city = City(
        persons=[person(1, protection="secrecy_marking")], revoked=["id-1"], holders=[holder(1)]
    )
    plan = city.plan()
    assert suspended(plan.items) == ["n1"]
    assert "Person id-1" in plan.items["value_after"].to_list()
    assert city.after(plan).plan().items.is_empty()
