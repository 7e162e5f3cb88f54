"""Who is who in a target, what is adopted there, and what it may show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from idsync.mapping.catalogue import Right
from idsync.model import Cardholder, Reason
from idsync.plan.attributes import HIDDEN
from tests.plan.examples import (
    CAN,
    ENTRE,
    GONE,
    HALL,
    KITCHEN,
    City,
    brief,
    catalogue,
    given_to,
    grant,
    holder,
    job,
    leaver,
    links,
    person,
    removed,
    rule,
    suspended,
)

# ── who is who ──────────────────────────────────────────────────────────────────────────


def reasons(city: City) -> list[tuple[str, str]]:
    plan = city.plan()
    return [
        (who, why.partition(" ")[0])
        for who, why in plan.refusals.select("person_id", "reason").iter_rows()
    ]


@pytest.mark.case("S7")
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


@pytest.mark.case("A2")
def test_a_mark_that_comes_late_empties_what_was_shown() -> None:
    for jobs in ([job(1)], [job(1, valid_to=GONE)]):
        city = City(**leaver(persons=[person(1, protection="secrecy_marking")], jobs=jobs))
        items = city.plan().items.filter(pl.col("part") == "attribute")
        assert items.select("ref", "value_before", "value_after").rows() == [
            ("department", HIDDEN, ""),
            ("display_name", HIDDEN, "Person id-1"),
            ("mail", HIDDEN, ""),
        ]
        assert city.after(city.plan()).plan().items.is_empty()


def test_nothing_is_shown_that_is_not_released() -> None:
    target = replace(HALL, release=("mail", "given_name"))
    target = replace(target, capabilities=replace(CAN, attributes=("mail",)))
    items = City(persons=[person(1)], jobs=[job(1)], target=target).plan().items
    assert items.filter(pl.col("part") == "attribute")["ref"].to_list() == ["mail"]


def test_a_long_name_is_cut_to_what_the_target_can_hold() -> None:
    target = replace(HALL, capabilities=replace(CAN, lengths={"display_name": 6}))
    city = City(persons=[person(1)], jobs=[job(1)], target=target)
    items = city.plan().items.filter(pl.col("ref") == "display_name")
    assert items["value_after"].to_list() == ["Åsa1 Ö"]
    assert city.after(city.plan()).plan().items.is_empty()


def test_a_protected_person_revoked_without_a_link_is_hidden_at_once() -> None:
    city = City(
        persons=[person(1, protection="secrecy_marking")], revoked=["id-1"], holders=[holder(1)]
    )
    plan = city.plan()
    assert suspended(plan.items) == ["n1"]
    assert "Person id-1" in plan.items["value_after"].to_list()
    assert city.after(plan).plan().items.is_empty()


def test_two_records_of_one_key_are_planned_where_nothing_is_released() -> None:
    twins = [holder(1), holder(1, native_id="x2")]
    city = City(persons=[person(1)], jobs=[job(1)], holders=twins, target=replace(HALL, release=()))
    assert ("n1", "grant", "ENTRÉ", False, True) in brief(city.plan().items)


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_records_of_one_key_always_the_same_one_is_looked_at(turned: bool) -> None:
    twins = [holder(1), holder(1, native_id="x2", mail="b@exempel.se")]
    city = City(
        persons=[person(1, mail="c@exempel.se")], jobs=[job(1)], links=links(1),
        holders=twins[::-1] if turned else twins,
    )  # fmt: skip
    changed = city.plan().items.filter(part="attribute").select("ref", "value_before")
    assert changed.rows() == [("mail", "a1@exempel.se")]


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_records_of_one_key_the_active_one_is_suspended(turned: bool) -> None:
    given = grant(ENTRE)
    twins = [holder(1, given), holder(1, native_id="x2", status="suspended")]
    city = City(
        persons=[person(1)], jobs=[job(1)], holders=twins[::-1] if turned else twins,
        links=links(1), revoked=["id-1"],
    )  # fmt: skip
    assert suspended(city.plan().items) == ["n1"]


def test_every_key_that_was_ever_linked_is_its_persons() -> None:
    two = pl.concat(
        [links(9).with_columns(key=pl.lit("n1")), links(9).with_columns(key=pl.lit("n2"))]
    )
    record = Cardholder(key="n2", native_id="x2", grants=(grant(KITCHEN),))
    city = City(persons=[person(2)], jobs=[job(2)], holders=[record], links=two)
    assert "id-2" not in city.plan().items["person_id"].to_list()
    assert reasons(city) == [("id-2", "their")]
