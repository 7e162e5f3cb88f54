"""Why each item of a plan is there, in words and with the right days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from idsync.plan.because import local_day, rule_named
from tests.plan.examples import (
    ALARM,
    CAN,
    ENTRE,
    GONE,
    HALL,
    LATER,
    PAST,
    SOON,
    City,
    card,
    document,
    grant,
    holder,
    job,
    links,
    owned,
    person,
)


def why(made: City, **which: Any) -> list[str]:
    """Return the reasons of the items of a plan that *which* names."""
    return made.plan().items.filter(**which)["because"].to_list()


def leaver(**more: Any) -> City:
    given = grant(ENTRE)
    known: dict[str, Any] = {
        "persons": [person(1)], "jobs": [job(1, valid_to=GONE)], "links": links(1),
        "holders": [holder(1, given, credentials=(card("7"),))], "owned": owned((1, given)),
    }  # fmt: skip
    return City(**{**known, **more})


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2026, 10, 1, 22, tzinfo=UTC), "2026-10-01"),  # midnight in summer
        (datetime(2026, 10, 1, 22, 0, 1, tzinfo=UTC), "2026-10-02"),
        (datetime(2026, 12, 1, 23, tzinfo=UTC), "2026-12-01"),  # midnight in winter
        (datetime(2026, 10, 25, 23, tzinfo=UTC), "2026-10-25"),  # the night of 25 hours
        (datetime(2026, 3, 29, 22, tzinfo=UTC), "2026-03-29"),  # the day of 23 hours
    ],
)
def test_an_end_at_midnight_is_the_day_before(instant: datetime, day: str) -> None:
    told = pl.Series([instant, None], dtype=pl.Datetime("us", "UTC"))
    assert local_day(told, "Europe/Stockholm").to_list() == [day, None]


def test_what_is_given_names_rule_employment_and_last_day() -> None:
    made = City(persons=[person(1)], jobs=[job(1, valid_to=SOON)])
    assert why(made, part="grant") == [
        f"rule städ: Vaktmästare in Ängen, to {SOON:%Y-%m-%d}",
    ]  # fmt: skip
    both = replace(made, jobs=[job(1, title=""), job(1, "2", unit="", title="Kock")])
    assert why(both, part="grant", ref="ENTRÉ") == ["rule kök: Kock; rule städ in Ängen"]


def test_of_the_protected_only_the_rule_is_named() -> None:
    made = City(persons=[person(1, protection="secrecy_marking")], jobs=[job(1, valid_to=SOON)])
    assert why(made, part="grant") == [f"rule städ, to {SOON:%Y-%m-%d}"]


@pytest.mark.parametrize("part", ["grant", "status", "credential"])
def test_who_has_left_loses_everything_for_one_reason(part: str) -> None:
    [reason] = why(leaver(), part=part)
    assert reason == f"the last employment ended {GONE:%Y-%m-%d}"


def test_who_was_never_employed_and_who_is_unknown_are_told_apart() -> None:
    assert set(why(leaver(jobs=[]), part="grant")) == {"has no employment"}
    gone = leaver(persons=[], jobs=[])
    assert set(why(gone, part="grant")) == {"no source knows this person any longer"}


def test_who_works_on_loses_what_no_rule_gives_any_longer() -> None:
    made = leaver(jobs=[job(1, "9"), job(1, "8", valid_to=LATER)])
    assert why(made, part="grant") == ["no rule gives it any longer"]


def test_an_order_is_the_reason_of_everything_it_takes() -> None:
    assert set(why(leaver(jobs=[job(1)], revoked=["id-1"]))) == {"ordered by HR"}


def test_what_is_renamed_or_sent_again_or_given_back_says_so() -> None:
    named = leaver(jobs=[job(1)], holders=[holder(1, grant(ENTRE), mail="gammal@x.se")])
    assert why(named, part="attribute") == ["the sources say so"]
    amiss = leaver(jobs=[job(1)], holders=[holder(1, grant(ENTRE), amiss="not taken")])
    assert why(amiss, part="again") == ["not taken"]
    back = leaver(
        jobs=[job(1)], holders=[holder(1, grant(ENTRE), status="suspended")],
        owned=owned((1, grant(ENTRE)), (1, "status")),
    )  # fmt: skip
    assert why(back, part="status") == ["the rules give access here again"]


def test_what_is_over_and_opens_nothing_is_only_tidied_away() -> None:
    over = grant(ALARM, begin=PAST, end=GONE)
    made = leaver(
        jobs=[job(1)], holders=[holder(1, grant(ENTRE), over)],
        owned=owned((1, grant(ENTRE)), (1, over)),
    )  # fmt: skip
    assert why(made, part="grant", ref="LARM") == ["it is over"]


@pytest.mark.parametrize(
    ("because", "rule"),
    [
        ("rule städ: Vaktmästare in Ängen, to 2026-10-31", "städ"),
        ("rule städ in Ängen", "städ"),
        ("rule städ, to 2026-10-31; rule kök", "städ"),
        ("rule kök; rule städ", "kök"),
        ("rule kök", "kök"),
        ("ordered by HR", "idsync"),
    ],
)
def test_only_the_rule_leaves_for_a_system(because: str, rule: str) -> None:
    assert rule_named(because) == rule


def test_a_right_that_a_system_cannot_hold_is_refused_by_its_kind_and_the_rest_is_given() -> None:
    doors = replace(HALL, capabilities=replace(CAN, kinds=("access",)))
    made = City(persons=[person(1)], jobs=[job(1, "3")], target=doors)
    plan = made.plan()
    assert plan.items.filter(part="grant")["ref"].to_list() == ["ENTRÉ"]
    assert plan.refusals.select("person_id", "ref", "reason").rows() == [
        ("id-1", "LARM", "this system holds no alarm rights"),
    ]  # fmt: skip


def test_what_is_adopted_stands_in_the_document_with_its_dates() -> None:
    given = grant(ENTRE, begin=PAST)
    made = City(
        persons=[person(1)], jobs=[job(1)], holders=[holder(1, given)],
        target=replace(HALL, contacted=False, adopt="matching"),
    )  # fmt: skip
    assert document(made.plan()).header()["adopt"] == [
        {
            "target": "hall", "key": "n1", "kind": "access", "ref": "ENTRÉ",
            "valid_from": f"{PAST:%Y-%m-%dT%H:%M:%S}Z", "valid_to": None,
        }
    ]  # fmt: skip
