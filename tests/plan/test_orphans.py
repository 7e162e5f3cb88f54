"""What a target holds that nothing explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from idsync.mapping.correlate import People
from idsync.mapping.rules import desire
from idsync.model import Cardholder, Employment, Grant, Person, Reason
from idsync.plan.holdings import Holdings
from idsync.plan.items import LEDGER
from idsync.plan.orphans import CLASSES, ORPHANS, find_orphans
from tests.plan.examples import (
    ENTRE,
    LATER,
    LINKS,
    NOW,
    PAST,
    RULES,
    SOON,
    ZONE,
    card,
    grant,
    holder,
    job,
    links,
    owned,
    people,
    person,
)

ASIDE = ("source", "key", "reason", "person_id")
MANUAL = (Reason(type="manual", ref="någon"),)


def known(
    persons: Sequence[Person], jobs: Sequence[Employment], aside: Sequence[str] = ()
) -> People:
    told = [("hr", "x", "x", who) for who in aside]
    frame = pl.DataFrame(told, schema=dict.fromkeys(ASIDE, pl.String()), orient="row")
    return replace(people(persons, jobs), set_aside=frame)


def orphans(
    *holders: Cardholder,
    persons: Sequence[Person] = (),
    jobs: Sequence[Employment] = (),
    aside: Sequence[str] = (),
    tied: pl.DataFrame | None = None,
    ledger: pl.DataFrame | None = None,
) -> pl.DataFrame:
    everybody = known(persons, jobs, aside)
    return find_orphans(
        "hall",
        Holdings.collect(holders),
        people=everybody,
        links=pl.DataFrame(schema=LINKS) if tied is None else tied,
        key="employee_number",
        ledger=pl.DataFrame(schema=LEDGER) if ledger is None else ledger,
        desired=desire(everybody, RULES, now=NOW, zone=ZONE, ahead_days=60),
        now=NOW,
    )


def brief(found: pl.DataFrame) -> list[tuple[str, str]]:
    return found.select("cls", "ref").rows()


def loose(number: str, state: str = "active") -> Cardholder:
    return Cardholder(key=None, native_id="", credentials=(card(number, state),))


GIVEN = grant(ENTRE)
OTHER = Grant(ref="KÄLLARE", valid_from=PAST)  # not in the catalogue


def test_what_an_employment_explains_is_no_orphan() -> None:
    here = holder(1, GIVEN, credentials=(card("1"),))
    found = orphans(here, persons=[person(1)], jobs=[job(1)])
    assert found.is_empty()
    assert found.schema == ORPHANS


def test_an_active_tag_that_nobody_holds_is_an_orphan() -> None:
    found = orphans(loose("7"), loose("8", "lost"), loose("9"))
    assert brief(found) == [("no holder", "7"), ("no holder", "9")]
    assert found["detail"][0] == "active, and nobody holds it"
    assert found["department"].to_list() == ["", ""]


@pytest.mark.parametrize("key", [None, "n404"])
def test_a_holder_whom_no_source_knows_is_an_orphan(key: str | None) -> None:
    stranger = holder(404, GIVEN, replace(OTHER, because=MANUAL), key=key, credentials=(card("1"),))
    found = orphans(stranger, persons=[person(1)], jobs=[job(1)])
    assert brief(found) == [("holder unknown", "1"), ("holder unknown", "ENTRÉ")]
    assert set(found["department"]) == {"Skola"}
    assert "n404" not in str(found["detail"].to_list())


def test_a_suspended_holder_opens_nothing_and_is_left_out() -> None:
    off = holder(404, GIVEN, credentials=(card("1"),), status="suspended")
    gone = replace(off, key="n1", native_id="x1")
    assert orphans(off, gone, persons=[person(1)]).is_empty()


def test_only_what_is_in_force_counts() -> None:
    over, later = grant(ENTRE, PAST, NOW), grant(ENTRE, SOON, LATER)
    assert orphans(holder(404, over, later, credentials=(card("1", "lost"),))).is_empty()


@pytest.mark.parametrize(
    ("persons", "jobs", "detail"),
    [
        ([person(1)], [job(1, valid_to=NOW)], "last employment ended 2026-10-01"),
        ([person(1)], [], "has no employment"),
        ([], [], "no source knows this person any longer"),
    ],
)
def test_a_holder_who_has_left_is_an_orphan(
    persons: list[Person], jobs: list[Employment], detail: str
) -> None:
    left = holder(1, replace(GIVEN, valid_to=SOON), credentials=(card("1"),))
    local = replace(left, grants=(*left.grants, replace(OTHER, because=MANUAL)))
    found = orphans(local, persons=persons, jobs=jobs, tied=links(1))
    assert brief(found) == [("holder has left", "1"), ("holder has left", "ENTRÉ")]
    assert set(found["detail"]) == {detail}
    assert found["person_id"].to_list() == ["id-1", "id-1"]
    assert found["valid_to"].to_list() == [None, SOON]


def test_whoever_begins_later_has_not_left() -> None:
    soon = job(1, valid_from=SOON)
    there = holder(1, GIVEN, credentials=(card("1"),))
    assert orphans(there, persons=[person(1)], jobs=[soon]).is_empty()


def test_whoever_cannot_be_told_apart_has_neither_left_nor_lost_a_basis() -> None:
    there = holder(1, grant(ENTRE), credentials=(card("1"),))
    assert orphans(there, tied=links(1), aside=["id-1"]).is_empty()
    jobs = [job(1, code="9")]
    assert orphans(there, persons=[person(1)], jobs=jobs, aside=["id-1"]).is_empty()


def test_a_reused_number_does_not_explain_what_its_old_owner_holds() -> None:
    newcomer = person(2, employee_number="n1")
    found = orphans(holder(1, GIVEN), persons=[newcomer], jobs=[job(2)], tied=links(1))
    assert found.select("cls", "person_id").rows() == [("holder has left", "id-1")]


@pytest.mark.parametrize(
    ("held", "ledger", "expected"),
    [
        (GIVEN, None, [("basis ended", "ENTRÉ")]),
        (GIVEN, owned((1, GIVEN)), []),  # idsync's own: the plan speaks of it
        (GIVEN, owned((1, grant(ENTRE, PAST, LATER))), [("basis ended", "ENTRÉ")]),
        (replace(GIVEN, because=MANUAL), None, []),
        (OTHER, None, []),  # the catalogue knows nothing of it
        (grant(ENTRE, PAST, NOW), None, []),
    ],
)
def test_a_right_whose_basis_ended_is_an_orphan(
    held: Grant, ledger: pl.DataFrame | None, expected: list[tuple[str, str]]
) -> None:
    there = holder(1, held, credentials=(card("1"),))
    moved = {"persons": [person(1)], "jobs": [job(1, code="9")]}
    assert brief(orphans(there, ledger=ledger, **moved)) == expected  # type: ignore[arg-type]  # two kinds of rows


def test_what_nobody_can_decide_is_no_orphan() -> None:
    unknown = [job(1, code="9", job_code=None)]
    assert orphans(holder(1, GIVEN), persons=[person(1)], jobs=unknown).is_empty()


def test_one_number_active_on_two_holders_is_shared_and_nothing_else() -> None:
    one, two = (holder(n, credentials=(card("55"),)) for n in (1, 404))
    found = orphans(one, two, loose("55"), persons=[person(1)], jobs=[job(1)])
    assert brief(found) == [("shared card number", "55")] * 3
    assert set(found["detail"]) == {"active on 2 holders"}
    off = replace(two, credentials=(card("55", "returned"),))
    assert orphans(one, off, persons=[person(1)], jobs=[job(1)]).is_empty()


def test_two_records_of_one_person_share_no_card() -> None:
    both = pl.concat([links(1), links(1).with_columns(key=pl.lit("old-1"))])
    records = [holder(1, key=key, credentials=(card("55"),)) for key in ("n1", "old-1")]
    assert orphans(*records, persons=[person(1)], jobs=[job(1)], tied=both).is_empty()


@pytest.mark.parametrize(
    ("facts", "jobs", "expected"),
    [
        ({}, [job(1, valid_to=NOW, unit="Vård / Norr")], "Vård"),
        (
            {},
            [
                job(1, valid_to=NOW, unit="Vård"),
                job(1, valid_to=PAST, valid_from=None, suffix="b", unit="Hamn"),
            ],
            "Vård",
        ),
        ({}, [job(1, valid_to=NOW, unit=None)], "Skola"),
        ({"protection": "secrecy_marking"}, [job(1, valid_to=NOW)], ""),
    ],
)
def test_an_orphan_is_shown_to_the_department_it_came_from(
    facts: dict[str, Any], jobs: list[Employment], expected: str
) -> None:
    found = orphans(holder(1, GIVEN), persons=[person(1, **facts)], jobs=jobs)
    assert found["department"].to_list() == [expected]


def test_the_order_of_holders_does_not_matter() -> None:
    holders = [
        *(holder(n, GIVEN, OTHER, credentials=(card(f"{n % 3}"),)) for n in range(9)),
        loose("8"),
        *(holder(n, GIVEN, credentials=(card(f"k{n}"),)) for n in (20, 21)),
    ]
    told: dict[str, Any] = {"persons": [person(20), person(21)], "jobs": [job(21, code="9")]}
    found = orphans(*holders, **told)
    assert found.equals(orphans(*reversed(holders), **told))
    assert set(found["cls"]) == set(CLASSES)
