"""The plan as a document: it survives being saved, and what is altered shows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idsync.errors import IntegrityError
from idsync.mapping.catalogue import Right
from idsync.model import Credential
from idsync.plan.brake import Limit, brake
from idsync.plan.document import SourceState, TargetState, change_of, ordered_changes, read_saved
from tests.plan.examples import (
    ALARM,
    ENTRE,
    HALL,
    KITCHEN,
    NOW,
    PAST,
    SOON,
    City,
    card,
    catalogue,
    document,
    grant,
    holder,
    job,
    links,
    owned,
    person,
    rule,
)


def busy(name: str = "Åsa", right: str = "ENTRÉ") -> City:
    """Somebody new, somebody who leaves, somebody who changes."""
    odd = Right("hall", "access", right)
    rules = catalogue(rule("städ", odd, job_code="1"), rule("kök", odd, KITCHEN, job_code="2"))
    mine = grant(odd)
    return City(
        persons=[person(1, given_name=name), person(2), person(3)],
        jobs=[job(1, valid_to=SOON), job(2, valid_to=PAST), job(3, "2")],
        holders=[
            holder(2, mine, credentials=(card("7"),)), holder(3, mine, grant(ALARM)),
        ],
        owned=owned((2, mine), (3, mine)), links=links(2, 3), rules=rules,
    )  # fmt: skip


def test_a_saved_plan_reads_back() -> None:
    plan = document(busy().plan())
    header = read_saved(plan.json())
    assert header["digest"] == plan.digest
    assert header["targets"]["hall"]["create"] == 1
    assert header["outcome"] == "planned"
    assert "changes" not in header


awkward = st.text(min_size=1, max_size=20) | st.sampled_from(
    ["Åäö\u2028ÅÄÖ", "\u2029\x85\n", '\x00\x01\x1f\x7f"\\/', "\ufeff𝄞", "a\u030a", "\r\n\t\b\f"]
)


@settings(max_examples=30)
@given(awkward, awkward)
def test_any_name_survives_being_saved(name: str, right: str) -> None:
    plan = document(busy(name, right).plan())
    assert read_saved(plan.json())["digest"] == plan.digest
    told = json.loads(plan.json())["changes"]
    assert told[0]["after"]["grants"][0]["ref"] == right
    assert len(told) == plan.lines.count(b"\n") == 3


SAVED = document(busy("Å\u2028\x07").plan()).json().encode()


@settings(max_examples=250)
@given(st.data())
def test_any_altered_byte_of_the_changes_is_found(data: st.DataObject) -> None:
    text = SAVED
    start = text.index(b'"changes"')
    place = data.draw(st.integers(start, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != text[place]))
    altered = text[:place] + bytes([byte]) + text[place + 1 :]
    try:
        told = altered.decode()
        same = json.loads(told) == json.loads(text)
    except ValueError:
        told, same = altered.decode("utf-8", "replace"), False
    if same:
        assert read_saved(told)
    else:
        with pytest.raises(IntegrityError):
            read_saved(told)


@pytest.mark.parametrize(
    "alter",
    [
        lambda plan: plan["changes"].pop(),
        lambda plan: plan["changes"].reverse(),
        lambda plan: plan["changes"].append(plan["changes"][0]),
        lambda plan: plan["changes"][0].update(person="id-9"),
        lambda plan: plan["adopt"].append("{}"),
        lambda plan: plan.update(config="another"),
        lambda plan: plan.update(digest="0" * 64),
        lambda plan: plan.update(format="idsync.plan/2"),
        lambda plan: plan["sources"]["hr"].update(content="another"),
        lambda plan: plan.pop("changes"),
        lambda plan: plan.pop("sources"),
    ],
)
def test_a_plan_that_was_tampered_with_is_refused(alter: Any) -> None:
    told = json.loads(document(busy().plan()).json())
    alter(told)
    with pytest.raises(IntegrityError):
        read_saved(json.dumps(told))


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "{}", '"x"', '{"changes": 1}'])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        read_saved(text)


def test_how_the_file_is_laid_out_does_not_matter() -> None:
    text = document(busy().plan()).json()
    assert read_saved(json.dumps(json.loads(text), indent=2)) == read_saved(text)


def test_a_damaged_plan_is_refused_without_showing_what_stands_in_it() -> None:
    with pytest.raises(IntegrityError) as caught:
        read_saved(document(busy("Hemlig").plan()).json().replace("Hemlig", "Annan"))
    assert "Hemlig" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_digest_covers_configuration_sources_and_changes() -> None:
    city = busy()
    plan = document(city.plan())
    other = document(replace(city, revoked=["id-3"]).plan())
    sources = {"hr": SourceState(records=3, complete=True, reason="", content="b")}
    digests = {
        plan.digest,
        other.digest,
        replace(plan, config_digest="other").digest,
        replace(plan, sources=sources).digest,
    }
    assert len(digests) == 4
    assert replace(plan, made_at=SOON, instance="other").digest == plan.digest


def test_the_digest_covers_what_is_adopted() -> None:
    target = replace(HALL, contacted=False, adopt="matching")
    city = City(persons=[person(1)], jobs=[job(1)], holders=[holder(1, grant(ENTRE))], target=target)  # fmt: skip  # noqa: E501
    plan = document(city.plan())
    assert plan.adopt.height == 1
    assert plan.digest != replace(plan, adopt=plan.adopt.head(0)).digest
    assert read_saved(plan.json())["digest"] == plan.digest


def test_shuffled_people_and_holdings_give_the_same_bytes() -> None:
    city = busy()
    mixed = replace(
        city, persons=city.persons[::-1], jobs=city.jobs[::-1], holders=city.holders[::-1],
        owned=city.owned.reverse(), links=city.links.reverse(),
    )  # fmt: skip
    assert document(city.plan()).json() == document(mixed.plan(seed=99)).json()


def test_a_change_names_only_what_changes() -> None:
    changes = {who: change for _, who, change, _ in document(busy().plan()).changes()}
    leaver = changes["id-2"]
    assert leaver.before is not None
    assert leaver.after.status == "suspended"
    assert leaver.credentials == (Credential(number="7", state="suspended"),)
    assert [one.ref for one in leaver.removed] == ["ENTRÉ"]
    assert leaver.added == ()
    newcomer = changes["id-1"]
    assert newcomer.before is None
    assert newcomer.key == "n1"
    assert newcomer.attributes["display_name"] == "Åsa Öberg1"
    assert newcomer.added == (grant(ENTRE, PAST, SOON),)
    assert [why.type for why in newcomer.added[0].because] == ["rule"]


def test_losses_come_first() -> None:
    items = document(busy().plan()).items
    assert [who for _, who, _, _ in ordered_changes(items)] == ["id-2", "id-1", "id-3"]
    assert list(ordered_changes(items.head(0))) == []


def test_what_is_held_is_shown_and_not_done() -> None:
    target_plan = busy().plan()
    items, held, _ = brake(
        [target_plan], {"losing": Limit(people=0, percent=0)}, config_digest="c0ffee"
    )
    plan = document(target_plan, items=items, held=tuple(held))
    assert plan.outcome == "held"
    assert "id-2" not in {who for _, who, _, _ in plan.changes()}
    told = json.loads(plan.json())
    assert {one["person"] for one in told["changes"]} == {"id-1", "id-2", "id-3"}
    assert [one["held"] for one in told["changes"] if one["person"] == "id-2"] == [[held[0].digest]]
    assert told["targets"]["hall"]["held"] == 1
    assert read_saved(plan.json())["held"][0]["digest"] == held[0].digest


def test_the_outcome_says_when_something_could_not_be_read() -> None:
    plan = document(City().plan())
    assert plan.outcome == "no-change"
    assert json.loads(plan.json())["changes"] == []
    blind = replace(plan, targets={"hall": TargetState(complete=False, reason="down")})
    assert blind.outcome == "incomplete"
    deaf = replace(plan, sources={"hr": SourceState(records=0, complete=False, reason="cut")})
    assert deaf.outcome == "incomplete"


def test_a_count_is_of_people() -> None:
    counts = document(busy().plan()).counts()["hall"]
    assert (counts["create"], counts["update"], counts["revoke"]) == (1, 1, 1)


def test_an_instant_is_told_in_utc() -> None:
    lines = document(busy().plan()).lines.decode()
    assert SOON.strftime("%Y-%m-%dT%H:%M:%SZ") in lines
    assert NOW.strftime("%Y-%m-%d") not in lines


def test_a_redated_grant_is_removed_and_added_by_one_change() -> None:
    mine = grant(ENTRE, PAST, SOON)
    city = City(
        persons=[person(1)], jobs=[job(1)], holders=[holder(1, mine)],
        owned=owned((1, mine)), links=links(1),
    )  # fmt: skip
    change = change_of(city.plan().items)
    assert change.removed == (mine,)
    assert change.added == (grant(ENTRE),)
