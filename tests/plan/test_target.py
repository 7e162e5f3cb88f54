"""What changes in one target: giving, taking, orders, and what others gave."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl
import pytest

from idsync.mapping.catalogue import Right
from idsync.model import Grant
from tests.plan.examples import (
    CAN,
    DAY,
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
    given_to,
    grant,
    holder,
    job,
    leaver,
    links,
    owned,
    person,
    removed,
    suspended,
)

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
    read_only = replace(HALL, capabilities=replace(CAN, credential=("read",)))
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


def test_the_revoked_open_nothing_however_many_others_have_left() -> None:
    theirs = leaver(jobs=[job(1)], holders=[holder(1, grant(ENTRE))]) | {"links": links(1, 2, 3)}
    items = City(**theirs, revoked=["id-1"]).plan().items
    assert removed(items) == [("n1", "ENTRÉ")]


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
