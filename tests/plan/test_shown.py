"""What a plan shows: of people only what may be told, of itself all that is approved by it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from idsync.mapping.bands import Doubt
from idsync.plan.attributes import (
    HIDDEN,
    attribute_changes,
    first_records,
    protected,
    shown_attributes,
)
from idsync.plan.brake import ABSENT, HeldPart
from idsync.plan.document import SourceState, TargetState, ordered_changes, per_change
from idsync.plan.items import ITEMS, items
from idsync.plan.scopes import scopes_of
from idsync.plan.watched import Watched, short_of_staff
from tests.plan.examples import (
    ALARM,
    ENTRE,
    HALL,
    KITCHEN,
    LATER,
    NOW,
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
    people,
    person,
)

# ── people ──────────────────────────────────────────────────────────────────────────────


def shown(*persons: Any, jobs: Any = ()) -> list[tuple[Any, ...]]:
    return shown_attributes(people(persons, jobs)).rows()


def test_of_most_people_their_name_address_and_department_may_be_shown() -> None:
    named = person(2, display_name="Åsa Ö")
    unnamed = person(3, display_name="")
    found = shown(person(1), named, unnamed, jobs=[job(1), job(2, unit="Hamn")])
    assert found == [
        ("id-1", "Åsa1 Öberg1", "Åsa1", "Öberg1", "a1@exempel.se", "Skola"),
        ("id-2", "Åsa Ö", "Åsa2", "Öberg2", "a2@exempel.se", "Hamn"),
        ("id-3", "Åsa3 Öberg3", "Åsa3", "Öberg3", "a3@exempel.se", None),
    ]


@pytest.mark.parametrize("mark", ["secrecy_marking", "protected_registration", None])
def test_of_the_protected_nothing_is_shown_but_an_alias(mark: Any) -> None:
    hidden = person(1, protection=mark, display_name="Åsa Ö")
    ((who, display, given, family, mail, department),) = shown(hidden, jobs=[job(1)])
    assert (who, given, mail, department) == ("id-1", "", "", "")
    assert display == family
    assert "Å" not in display
    assert display
    assert protected(people([hidden, person(2)], [])).to_list() == [0]


def test_the_department_is_that_of_the_last_employment_and_of_the_primary_one_if_any() -> None:
    first, last = job(1, unit="A / x"), job(1, suffix="b", unit="B / y", valid_from=NOW)
    assert shown(person(1), jobs=[last, first])[0][-1] == "B"
    main = replace(first, primary=True)
    others = [replace(last, primary=False), main, job(2, unit="C")]
    assert shown(person(1), person(2), jobs=others)[0][-1] == "A"
    same = [job(1, suffix="a", unit="A"), job(1, suffix="b", unit="B")]
    assert shown(person(1), jobs=same)[0][-1] == "B"
    early = [job(1, suffix="z", unit="A", valid_from=None), job(1, suffix="a", unit="B")]
    assert shown(person(1), jobs=early)[0][-1] == "B"


def changes(city: City, **able: Any) -> list[tuple[str, str, Any, Any, bool]]:
    target = replace(HALL, capabilities=replace(HALL.capabilities, **able))
    plan = replace(city, target=target).plan()
    mine = plan.items.filter(pl.col("part") == "attribute")
    return sorted(mine.select("key", "ref", "value_before", "value_after", "was").rows(), key=str)


def test_what_is_shown_otherwise_than_it_is_gets_right_and_the_unknown_is_left() -> None:
    city = City(
        persons=[person(1, mail=None), person(2)], jobs=[job(1), job(2)],
        holders=[
            holder(1, grant(ENTRE), display_name="Åsa", department=None),
            holder(2, grant(ENTRE), department=""),
        ],
        owned=owned((1, grant(ENTRE)), (2, grant(ENTRE))), links=links(1, 2),
    )  # fmt: skip
    assert changes(city) == [
        ("n1", "department", None, "Skola", False),
        ("n1", "display_name", "Åsa", "Åsa1 Öberg1", True),
        ("n2", "department", "", "Skola", True),
    ]
    cut = changes(city, lengths={"display_name": 3})
    assert ("n1", "display_name", "Åsa", "Åsa1 Öberg1", True) not in cut
    assert ("n2", "display_name", "Åsa2 Öberg2", "Åsa", True) in cut


def test_of_the_protected_all_that_a_system_shows_is_overwritten_and_not_told() -> None:
    everybody = people([person(1, protection="secrecy_marking"), person(2)], [])
    target = replace(HALL, release=("display_name",))
    there = pl.DataFrame(
        {
            "display_name": ["Åsa1 Öberg1", "Annat"], "mail": ["a1@exempel.se", "x@exempel.se"],
            "department": ["", "Hamn"], "given_name": [None, None], "family_name": [None, None],
        },
        schema_overrides={"given_name": pl.String, "family_name": pl.String},
    )  # fmt: skip
    holding = pl.DataFrame(
        {
            "person": [0, 1], "person_id": ["id-1", "id-2"], "key": ["n1", "n2"],
            "exists": [True, True], "holder": [0, 1],
        },
        schema_overrides={"person": pl.UInt32, "holder": pl.UInt32},
    )  # fmt: skip
    found, unfit = attribute_changes(target, everybody, there, holding)
    told = {(row["key"], row["ref"]): row for row in found.to_dicts()}
    assert told.keys() == {("n1", "display_name"), ("n1", "mail"), ("n2", "display_name")}
    assert told["n1", "display_name"]["value_before"] == HIDDEN
    assert told["n1", "mail"]["value_before"] == HIDDEN
    assert told["n1", "mail"]["value_after"] == ""
    assert told["n2", "display_name"]["value_before"] == "Annat"
    assert "Öberg1" not in str(told)
    assert {(row["effect"], row["shall"], row["confirmed"]) for row in told.values()} == {
        ("neutral", True, False)
    }
    assert unfit.is_empty()


@pytest.mark.parametrize("turned", [False, True])
def test_of_several_records_of_one_person_the_same_is_looked_at(turned: bool) -> None:
    there = pl.DataFrame({"person": [1, 1, 2], "holder": [0, 1, 2]})
    shown_there = pl.DataFrame({"mail": ["b", "a", "c"]})
    there = there.reverse() if turned else there
    found = first_records(there, shown_there, ["mail"]).sort("person")
    assert found.rows() == [(1, 1), (2, 2)]
    assert first_records(there, shown_there, []).sort("person").rows() == [(1, 0), (2, 2)]
    alone = pl.DataFrame({"person": [2, 1], "holder": [0, 1]})
    assert first_records(alone, shown_there, ["mail"]).equals(alone)


# ── the document ────────────────────────────────────────────────────────────────────────

PART = HeldPart(
    digest="ab" * 32, scope="target hall", direction="losing", people=1, limit=0, base=2
)


def leaving() -> City:
    """One who is new, one who leaves, one who changes."""
    return City(
        persons=[person(n) for n in (1, 2, 3)],
        jobs=[job(1), job(2, valid_to=PAST), job(3, "2")],
        holders=[
            holder(2, grant(ENTRE), credentials=(card("7"),), mail="gammal@exempel.se"),
            holder(3, grant(ENTRE, PAST, SOON), grant(ALARM)),
        ],
        owned=owned((2, grant(ENTRE)), (3, grant(ENTRE, PAST, SOON))), links=links(2, 3),
    )  # fmt: skip


def test_the_head_of_a_plan_tells_what_was_read_and_what_will_be_done() -> None:
    doubt = Doubt(part="department Skola", people=8, base=10, reason="fewer", digest="cd")
    sources = {
        "hr": SourceState(records=3, complete=True, reason="", content="abc", doubts=(doubt,)),
        "lms": SourceState(records=0, complete=False, reason="cut", absent=2, again=True),
    }
    state = TargetState(
        complete=True, reason="", unchanged=5, adopt=1, adoptable=2, local=3,
    )  # fmt: skip
    refusals = pl.DataFrame(
        [("hall", "id-9", "ENTRÉ", "no number")] * 2,
        schema=["target", "person_id", "ref", "reason"], orient="row",
    )  # fmt: skip
    plan = document(
        leaving().plan(), sources=sources, targets={"hall": state, "annex": TargetState(
            complete=False, reason="down")}, refusals=refusals, held=(PART,),
        adopt=owned((1, grant(ENTRE, None, LATER))),
    )  # fmt: skip
    head = plan.header()
    assert (head["format"], head["outcome"], head["writes"]) == ("idsync.plan/1", "incomplete", 0)
    assert (head["made_at"], head["config"]) == (NOW.isoformat(), "c0ffee")
    assert head["instance"] == "11111111-1111-1111-1111-111111111111"
    assert head["digest"] == plan.digest
    assert head["sources"]["lms"] == {
        "records": 0, "complete": False, "reason": "cut", "content": "", "doubts": (), "absent": 2,
        "again": True,
    }  # fmt: skip
    assert head["sources"]["hr"]["doubts"][0]["part"] == "department Skola"
    assert head["targets"]["hall"] == {
        "complete": True, "reason": "", "create": 1, "update": 1, "revoke": 1, "unchanged": 5,
        "held": 0, "waiting": 0, "adopt": 1, "adoptable": 2, "local": 3, "refused": 2,
        "written": 0, "confirmed": 0, "unknown": 0,
    }  # fmt: skip
    assert (head["targets"]["annex"]["reason"], head["targets"]["annex"]["create"]) == ("down", 0)
    assert head["held"][0]["digest"] == "ab" * 32
    assert head["refusals"] == refusals.to_dicts()
    assert head["adopt"] == [
        {"target": "hall", "key": "n1", "kind": "access", "ref": "ENTRÉ", "valid_from": None,
         "valid_to": LATER.strftime("%Y-%m-%dT%H:%M:%SZ")}
    ]  # fmt: skip


def test_what_waits_for_the_missing_is_counted_apart_from_what_a_brake_holds() -> None:
    planned = leaving().plan().items
    who = pl.col("person_id")
    held = planned.with_columns(
        held=pl.when(who == "id-1").then(pl.lit(ABSENT)).when(who == "id-2").then(pl.lit("ab"))
    )
    counts = document(leaving().plan(), items=held).counts()["hall"]
    assert (counts["held"], counts["waiting"], counts["update"]) == (1, 1, 1)
    assert (counts["create"], counts["revoke"]) == (0, 0)
    rows = per_change(held).select("person_id", "action", "held").rows()
    assert sorted(rows) == [("id-1", "create", True), ("id-2", "revoke", True),
                            ("id-3", "update", False)]  # fmt: skip


def test_a_plan_in_which_nothing_may_go_is_no_change_and_one_that_adopts_is_one() -> None:
    plan = document(City().plan())
    assert plan.outcome == "no-change"
    assert replace(plan, adopt=owned((1, grant(ENTRE)))).outcome == "planned"
    assert replace(plan, held=(PART,)).outcome == "held"


def test_a_change_tells_both_sides_and_why() -> None:
    told = {one["person"]: one for one in json.loads(document(leaving().plan()).json())["changes"]}
    new, gone, moved = (told[f"id-{n}"] for n in (1, 2, 3))
    assert (new["target"], new["key"], new["action"], new["before"]) == (
        "hall",
        "n1",
        "create",
        None,
    )
    assert new["after"]["grants"] == [
        {"kind": "access", "ref": "ENTRÉ", "valid_from": PAST.strftime("%Y-%m-%dT%H:%M:%SZ"),
         "valid_to": None}
    ]  # fmt: skip
    assert {one["name"]: one["value"] for one in new["after"]["attributes"]} == {
        "display_name": "Åsa1 Öberg1", "mail": "a1@exempel.se", "department": "Skola",
    }  # fmt: skip
    assert (gone["action"], gone["before"]["status"], gone["after"]["status"]) == (
        "revoke", "active", "suspended",
    )  # fmt: skip
    assert gone["before"]["credentials"] == [{"number": "7", "state": "active"}]
    assert gone["after"]["credentials"] == [{"number": "7", "state": "suspended"}]
    assert [one["ref"] for one in gone["before"]["grants"]] == ["ENTRÉ"]
    assert gone["after"]["grants"] is None
    assert moved["action"] == "update"
    assert [one["ref"] for one in moved["after"]["grants"]] == ["ENTRÉ", "KÖK"]
    assert [one["ref"] for one in moved["before"]["grants"]] == ["ENTRÉ"]
    assert moved["because"] == sorted(moved["because"])
    assert all(one["because"] for one in (new, gone, moved))
    assert [one["held"] for one in (new, gone, moved)] == [[], [], []]


def test_confirmed_ends_go_first_then_losses_then_those_in_numbers_then_gains() -> None:
    def row(key: str, effect: str, *, confirmed: bool = False, exempt: bool | None = None) -> Any:
        return {"key": key, "person_id": f"id-{key}", "part": "grant", "kind": "access", "ref": "A",
                "was": effect == "losing", "shall": effect != "losing", "effect": effect,
                "confirmed": confirmed, "exempt": exempt, "because": ""}  # fmt: skip

    rows = [
        row("gains", "gaining"), row("neutral", "neutral"),
        row("many", "losing", exempt=True), row("loses", "losing", exempt=False),
        row("both", "gaining"), row("revoked", "losing", confirmed=True),
        row("both", "losing"), row("old", "losing"),
    ]  # fmt: skip
    table = pl.DataFrame(rows, schema_overrides={"exempt": pl.Boolean})
    planned = items(table, target="hall", creates=False)
    assert planned.schema == ITEMS
    order = [change.key for _, _, change, _ in ordered_changes(planned)]
    assert order == ["revoked", "loses", "both", "old", "many", "gains", "neutral"]
    (both,) = [part for _, who, _, part in ordered_changes(planned) if who == "id-both"]
    assert both.height == 2
    assert both.columns == planned.columns


# ── what is counted together ────────────────────────────────────────────────────────────


def test_targets_are_counted_alone_by_controller_and_all_together() -> None:
    first = leaving().plan()
    others = {
        "annex": ("stadskontoret", ["id-2", "id-8"]), "quay": ("hamnen", ["id-2", "id-9", "id-10"]),
    }  # fmt: skip
    plans = [first] + [
        replace(
            first, target=replace(HALL, name=name, controller=owner),
            holders=pl.DataFrame({"person_id": who}),
        )
        for name, (owner, who) in others.items()
    ]  # fmt: skip
    told = {one.name: (one.targets, one.base) for one in scopes_of(plans)}
    assert told == {
        "target hall": (("hall",), 2), "target annex": (("annex",), 2),
        "target quay": (("quay",), 3),
        "controller stadskontoret": (("hall", "annex"), 3),
        "city": (None, 5),
    }  # fmt: skip
    known = {"hall": "stadskontoret", "gone": "stadskontoret"}
    alone = {one.name: (one.targets, one.base) for one in scopes_of([first], known)}
    assert alone == {
        "target hall": (("hall",), 2),
        "controller stadskontoret": (("hall", "gone"), 2),
    }
    assert [one.name for one in scopes_of([first])] == ["target hall"]
    elsewhere = scopes_of([first], {"hall": "stadskontoret", "quay": "hamnen"})
    assert [one.name for one in elsewhere] == ["target hall", "city"]
    assert scopes_of([], {"hall": "a", "quay": "b"}) == []


def staff(*who: int, ref: str = "ENTRÉ") -> pl.DataFrame:
    rows = [("hall", "access", ref, f"id-{n}") for n in who]
    return pl.DataFrame(rows, schema=["target", "kind", "ref", "person_id"], orient="row")


@pytest.mark.parametrize(
    ("floor", "confirmed", "short"),
    [(2, [], []), (3, [], ["id-1", "id-2"]), (3, ["id-1"], ["id-2"]), (3, ["id-1", "id-2"], [])],
)
def test_who_would_leave_too_few_is_told_but_for_confirmed_ends(
    floor: int, confirmed: list[str], short: list[str]
) -> None:
    watched = Watched(name="vakt", rights=staff(0).drop("person_id"), floor=floor)
    going = pl.DataFrame(
        [
            ("hall", "access", "ENTRÉ", "id-1", "grant"),
            ("hall", "access", "KÖK", "id-3", "grant"),
            ("hall", "", "status", "id-2", "status"), ("annex", "", "status", "id-3", "status"),
        ],
        schema=["target", "kind", "ref", "person_id", "part"], orient="row",
    ).with_columns(confirmed=pl.col("person_id").is_in(confirmed))  # fmt: skip
    there = pl.concat([staff(1, 2, 3, 4), staff(1, 2, ref=KITCHEN.ref)])
    found = short_of_staff(going, watched, there)
    assert sorted(found["person_id"]) == short
    assert set(found["ref"]) <= {"ENTRÉ"}
