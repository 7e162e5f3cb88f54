"""Who is exempt in a system is not written to, whatever carries the exempt number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idsync.plan.exempt import EXEMPT, without_exempt
from idsync.plan.holdings import Holdings
from tests.plan.examples import ENTRE, HALL, City, card, grant, holder, job, links, owned, person


def city(*exempt: str) -> City:
    """One who loses, one who gains, and one who is adopted."""
    given = grant(ENTRE)
    return City(
        persons=[person(1), person(2), person(3)], jobs=[job(2), job(3)],
        holders=[
            holder(1, given, credentials=(card("7001"),)), holder(2), holder(3, given),
        ],
        owned=owned((1, given)), links=links(1, 2),
        target=replace(HALL, contacted=False, adopt="matching", exempt=exempt),
    )  # fmt: skip


def planned(made: City) -> tuple[set[str], set[str], list[tuple[str, str]]]:
    """Return whose items are left, who is adopted, and who is refused and why."""
    found = without_exempt(made.plan(), Holdings.collect(made.holders))
    told = found.refusals.select("person_id", "reason").rows()
    return set(found.items["key"]), set(found.adopt["key"]), told


def test_where_nobody_is_exempt_the_plan_is_as_it_was() -> None:
    made = city()
    plan = made.plan()
    assert without_exempt(plan, Holdings.collect(made.holders)) is plan
    assert planned(made) == ({"n1", "n2"}, {"n3"}, [])


@pytest.mark.parametrize("exempt", ["n1", "7001"])
def test_whoever_has_the_key_or_carries_the_card_is_left_alone_and_told(exempt: str) -> None:
    assert planned(city(exempt)) == ({"n2"}, {"n3"}, [("id-1", EXEMPT)])


def test_nothing_of_the_exempt_is_adopted() -> None:
    assert planned(city("n3")) == ({"n1", "n2"}, set(), [])


def test_of_several_each_is_told_once() -> None:
    assert planned(city("n2", "7001", "n9")) == (
        set(), {"n3"}, [("id-1", EXEMPT), ("id-2", EXEMPT)],
    )  # fmt: skip
