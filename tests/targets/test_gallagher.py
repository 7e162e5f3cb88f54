"""What the Gallagher target sends, and what it makes of each answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from idsync.errors import ConfigError, ConnectorError, Denied, Refused, Unavailable
from idsync.model import Cardholder, Change, Grant
from idsync.targets.gallagher import GallagherTarget
from tests.fakes.gallagher import FakeGallagher
from tests.fakes.gallagher_habits import EDIT, VIEW, Habits, Trouble
from tests.targets.gallagher_site import (
    ALARM_RIGHTS,
    BASE,
    RIGHTS,
    Site,
    field_of,
    group_of,
    groups_of,
    person_of,
    someone,
)

DOOR, OTHER, THIRD = (Grant(ref=right) for right in RIGHTS)
NEW_YEAR = datetime(2031, 1, 1, tzinfo=UTC)
ANNA = Cardholder(key="1001", given_name="Anna", family_name="Ek", grants=(DOOR,))
SECRET = "Operator Ove on WORKSTATION-7"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def put(target: GallagherTarget, before: Cardholder | None, after: Cardholder) -> None:
    assert target.put(Change(before=before, after=after)).status == "confirmed"


def seen_now(target: GallagherTarget, key: str = "1001") -> Cardholder:
    found = target.read_one(key)
    assert found is not None
    return found


def bodies(fake: FakeGallagher) -> list[Any]:
    return [seen.body for seen in fake.writes]


# ── somebody new ────────────────────────────────────────────────────────────────────────


def test_a_new_person_is_one_request(site: Site) -> None:
    fake, target = site()
    put(target, None, replace(ANNA, mail="anna@example.org"))
    [body] = bodies(fake)
    system = fake.system
    [division] = [i for i, (name, _) in system.divisions.items() if name == "Kommunen"]
    assert body == {
        "firstName": "Anna",
        "lastName": "Ek",
        "@E-post": "anna@example.org",
        "@idsync nyckel": "1001",
        "authorised": True,
        "division": {"href": system.href("divisions", division)},
        "accessGroups": [
            {"accessGroup": {"href": system.href("access_groups", group_of(system, name).id)},
             "from": "", "until": ""}
            for name in (BASE, RIGHTS[0])
        ],
    }  # fmt: skip


def test_a_person_without_a_name_that_may_be_sent_is_called_by_the_key(site: Site) -> None:
    fake, target = site()
    put(target, None, Cardholder(key="1001"))
    assert bodies(fake)[0]["lastName"] == "1001"
    with pytest.raises(Refused, match="cuts names off after 50 characters"):
        put(target, None, Cardholder(key="1" * 51))


def test_one_right_that_may_not_be_given_keeps_no_other_door_closed(site: Site) -> None:
    fake, target = site(Habits(only_memberships_of={BASE, RIGHTS[1]}))
    with pytest.raises(Refused, match="privilege Modify Access Control"):
        put(target, None, replace(ANNA, grants=(DOOR, OTHER)))
    person = person_of(fake.system, "1001")
    assert person is not None
    assert groups_of(fake.system, person) == [BASE, RIGHTS[1]]


def test_a_right_that_is_not_there_keeps_nobody_out(site: Site) -> None:
    fake, target = site()
    with pytest.raises(Refused, match="no access group of a grant's name is shown"):
        put(target, None, replace(ANNA, grants=(Grant(ref="FINNS EJ"), DOOR)))
    assert len(fake.writes) == 1
    assert seen_now(target).grants == (DOOR,)


def test_somebody_who_is_made_meanwhile_is_not_made_twice(site: Site) -> None:
    fake, target = site()

    def made_by_another() -> None:
        someone(fake.system, "1001")

    fake.habits.after_search.append(made_by_another)
    put(target, None, ANNA)
    assert len(fake.system.people) == 1
    assert seen_now(target).grants == (DOOR,)


def test_a_person_who_is_not_found_by_key_is_closed_again(site: Site) -> None:
    fake, target = site()
    fake.habits.left_out = set(range(100_000))
    with pytest.raises(Refused, match="it was de-authorised again"):
        put(target, None, ANNA)
    [person] = fake.system.people.values()
    assert not person.authorised
    fake.habits.privileges -= {"edit cardholders"}
    fake.troubles["write"].append(Trouble(status=201))
    with pytest.raises(Refused, match="it could not be closed"):
        put(target, None, replace(ANNA, key="1002"))


def test_a_base_group_without_the_key_field_is_seen_before_anybody_is_made(site: Site) -> None:
    fake, target = site()
    group_of(fake.system).fields.clear()
    with pytest.raises(ConfigError, match="key_field: base_group does not give its members"):
        put(target, None, ANNA)
    assert not fake.writes


def test_a_parent_of_the_base_group_may_give_the_fields(site: Site) -> None:
    fake, target = site()
    base = group_of(fake.system)
    parent = fake.system.group("Alla")
    parent.fields, base.fields, base.parent = base.fields, set(), parent.id
    put(target, None, ANNA)
    assert seen_now(target).grants == (DOOR,)


def test_a_field_that_may_only_be_read_is_seen_before_anybody_is_made(site: Site) -> None:
    fake, target = site()
    field_of(fake.system, "E-post").access = "readOnly"
    with pytest.raises(Denied, match=r"mail_field: idsync's operator may read .* not write it"):
        put(target, None, ANNA)
    assert not fake.writes


@pytest.mark.case("T18")
def test_the_licences_number_of_people_concerns_that_person(site: Site) -> None:
    _, target = site(Habits(most_cardholders=0))
    with pytest.raises(Refused, match="the number of cardholders that the licence allows"):
        put(target, None, ANNA)


def test_making_people_without_the_privilege_is_denied(site: Site) -> None:
    _, target = site(Habits(privileges=(VIEW | EDIT) - {"create cardholders"}))
    with pytest.raises(Denied, match="lacks the privilege: give it Create and Edit Cardholders"):
        put(target, None, ANNA)


def test_a_field_that_a_group_demands_is_named_as_the_reason(site: Site) -> None:
    fake, target = site()
    badge = fake.system.field("Anhörig", required=True)
    group_of(fake.system, RIGHTS[0]).fields.add(badge.id)
    with pytest.raises(Refused, match="demands a personal data field that idsync does not fill"):
        put(target, None, replace(ANNA, grants=(DOOR, OTHER)))
    assert seen_now(target).grants == (OTHER,)


@pytest.mark.parametrize("way", ["name", "a list in /api", "above the base group", "address"])
def test_the_division_is_found(site: Site, way: str) -> None:
    fake, target = site(Habits(licences={"RESTCardholders", "RESTEvents"}))
    system = fake.system
    if way == "a list in /api":
        there = system.division("Annan")
        target = site.targets(fake, division="Annan")
    elif way == "above the base group":
        there = 2
        fake.habits.licences.discard("RESTEvents")
        target = site.targets(fake, division="Root division")
    elif way == "address":
        there = system.division("Tredje")
        target = site.targets(fake, division=system.href("divisions", there))
    else:
        [there] = [i for i, (name, _) in system.divisions.items() if name == "Kommunen"]
    put(target, None, ANNA)
    [person] = system.people.values()
    assert person.division == there


def test_a_division_that_is_not_shown_is_named(site: Site) -> None:
    fake, _ = site()
    target = site.targets(fake, division="Kommunnen")
    with pytest.raises(ConfigError, match="division: none of this name is shown"):
        put(target, None, ANNA)
    elsewhere = site.targets(fake, division="https://elsewhere.example.org/api/divisions/2")
    with pytest.raises(Unavailable, match="another host"):
        put(elsewhere, None, ANNA)


# ── somebody who is there ───────────────────────────────────────────────────────────────


def test_a_change_is_one_request(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    del fake.seen[:]
    after = replace(before, family_name="Alm", grants=(OTHER,), status="suspended")
    put(target, before, after)
    [body] = bodies(fake)
    assert set(body) == {"authorised", "lastName", "accessGroups"}
    assert {verb: len(told) for verb, told in body["accessGroups"].items()} == {
        "remove": 1,
        "add": 1,
    }
    assert replace(seen_now(target), native_id="") == replace(after, native_id="")


def test_a_change_of_nothing_sends_nothing(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    del fake.seen[:]
    put(target, before, before)
    put(target, None, ANNA)
    assert not fake.writes


def test_a_new_date_moves_the_membership(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    del fake.seen[:]
    put(target, before, replace(before, grants=(replace(DOOR, valid_to=NEW_YEAR),)))
    [body] = bodies(fake)
    [moved] = body["accessGroups"]["update"]
    assert (moved["from"], moved["until"]) == ("", "2031-01-01T00:00:00Z")
    put(target, seen_now(target), before)
    assert bodies(fake)[1]["accessGroups"]["update"][0]["until"] == ""
    assert seen_now(target).grants == (DOOR,)


def test_only_the_membership_with_those_dates_goes(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    person = person_of(fake.system, "1001")
    assert person is not None
    theirs = replace(DOOR, valid_to=NEW_YEAR)
    fake.system.membership(person, group_of(fake.system, RIGHTS[0]), end=NEW_YEAR)
    before = seen_now(target)
    assert set(before.grants) == {DOOR, theirs}
    put(target, before, replace(before, grants=(theirs,)))
    put(target, before, replace(before, grants=(theirs,)))
    assert seen_now(target).grants == (theirs,)


def test_a_membership_that_moved_meanwhile_is_found_again(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    person = person_of(fake.system, "1001")
    assert person is not None

    def touched_by_another() -> None:
        for part in person.memberships:
            part.token = fake.system.token()

    for after in ((OTHER,), ()):
        fake.habits.after_search.append(touched_by_another)
        put(target, before, replace(before, grants=after))
        before = seen_now(target)
        assert before.grants == after


def test_what_takes_away_is_done_though_what_gives_is_refused(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    fake.habits.only_memberships_of = {BASE}
    after = replace(before, grants=(OTHER,), status="suspended")
    with pytest.raises(Refused, match="Modify Access Control"):
        put(target, before, after)
    found = seen_now(target)
    assert found.status == "suspended"
    assert found.grants == ()


@pytest.mark.parametrize(
    ("grant", "told"),
    [
        (replace(OTHER, valid_to=NEW_YEAR + timedelta(milliseconds=1)), "finer: round it"),
        (replace(OTHER, valid_to=datetime(2100, 1, 1, tzinfo=UTC)), "before the end of 2099"),
        (replace(OTHER, kind="alarm"), "not by alarm_groups"),
        (Grant(ref=ALARM_RIGHTS[0]), "not by alarm_groups"),
        (Grant(ref=BASE), "the base group is no right"),
        (Grant(ref="HLR", kind="competency"), "set competencies = true"),
        (Grant(ref="FINNS EJ"), "no access group of a grant's name"),
    ],
)
def test_what_cannot_be_held_is_refused_and_the_rest_done(
    site: Site, grant: Grant, told: str
) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    with pytest.raises(Refused, match=told):
        put(target, before, replace(before, grants=(THIRD, grant)))
    assert seen_now(target).grants == (THIRD,)
    assert person_of(fake.system, "1001") is not None


def test_whole_minutes_are_kept_to_where_the_settings_say_so(site: Site) -> None:
    fake, _ = site()
    target = site.targets(fake, granularity="minute")
    assert target.capabilities.granularity == "minute"
    put(target, None, replace(ANNA, grants=(replace(DOOR, valid_to=NEW_YEAR),)))
    with pytest.raises(Refused, match="whole minutes"):
        finer = replace(DOOR, valid_to=NEW_YEAR + timedelta(seconds=1))
        put(target, None, replace(ANNA, key="1002", grants=(finer,)))


def test_two_groups_of_one_name_are_not_guessed_between(site: Site) -> None:
    fake, target = site()
    fake.system.group(RIGHTS[0])
    with pytest.raises(Refused, match="several of a grant's name"):
        put(target, None, ANNA)


def test_a_mail_address_that_is_refused_keeps_no_door_open(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    field_of(fake.system, "E-post").regex = r".+@example\.org"
    after = replace(before, mail="fel", department="Skola", grants=(OTHER,))
    with pytest.raises(Refused, match="the rules of the field") as refused:
        put(target, before, after)
    assert "fel" not in str(refused.value)
    found = seen_now(target)
    assert (found.mail, found.department, found.grants) == ("", "Skola", (OTHER,))


def test_a_plan_older_than_a_block_lets_nobody_in(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    person = person_of(fake.system, "1001")
    assert person is not None
    person.authorised = False
    put(target, before, replace(before, grants=(DOOR, OTHER)))
    put(target, None, ANNA)
    assert not person.authorised
    put(target, seen_now(target), before)
    assert person.authorised


def test_who_was_made_by_hand_and_is_closed_is_not_opened_by_a_new_plan(site: Site) -> None:
    fake, target = site()
    someone(fake.system, "1001").authorised = False
    put(target, None, ANNA)
    assert seen_now(target).status == "suspended"


# ── the base group ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("default", [False, True])
def test_an_end_of_the_base_group_is_taken_away(site: Site, default: bool) -> None:
    fake, target = site(Habits(blank_takes_default=default))
    if default:
        group_of(fake.system).until_default = NEW_YEAR
    put(target, None, ANNA)
    person = person_of(fake.system, "1001")
    assert person is not None
    assert person.memberships[0].end is None
    with fake.system.edit(person):
        person.memberships[0].end = NEW_YEAR
    found = seen_now(target)
    assert "key can vanish" in found.amiss
    put(target, found, found)
    assert not seen_now(target).amiss
    assert groups_of(fake.system, person) == [BASE, RIGHTS[0]]


def test_the_base_group_is_given_to_who_has_the_key_from_elsewhere(site: Site) -> None:
    fake, target = site()
    system = fake.system
    group_of(system, RIGHTS[0]).fields.add(field_of(system).id)
    person = system.person("Ek", group_of(system, RIGHTS[0]))
    person.values[field_of(system).id] = "1001"
    before = seen_now(target)
    assert before.amiss
    put(target, before, replace(before, grants=()))
    assert seen_now(target).grants == ()
    assert groups_of(system, person) == [BASE]


def test_suspending_leaves_the_base_group(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    put(target, before, replace(before, grants=(), status="suspended"))
    person = person_of(fake.system, "1001")
    assert person is not None
    assert groups_of(fake.system, person) == [BASE]


# ── nobody found ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lost", ["the key", "everybody", "a division"])
def test_a_suspension_of_who_is_only_hidden_is_not_taken_for_done(site: Site, lost: str) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    [person] = fake.system.people.values()
    if lost == "the key":
        field_of(fake.system).access = "noAccess"
    elif lost == "everybody":
        fake.habits.privileges -= {"view cardholders"}
    else:
        fake.habits.divisions = {2}
    closed = replace(before, grants=(), status="suspended")
    for planned_from in (before, None):
        with pytest.raises(Denied, match=r"hidden from|are not shown to"):
            put(target, planned_from, closed)
    with pytest.raises(Denied, match=r"hidden from|are not shown to"):
        target.read_one("1001")
    assert person.authorised


def test_who_lost_the_key_since_the_plan_is_not_taken_for_gone(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    [person] = fake.system.people.values()
    with fake.system.edit(person):
        person.memberships.pop(0)  # the base group, and with it the key
    for after in (replace(before, status="suspended"), replace(before, grants=())):
        with pytest.raises(Refused, match="lost its key since the plan"):
            put(target, before, after)
    assert len(fake.system.people) == 1


def test_who_was_deleted_since_the_plan_is_gone(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    fake.system.delete(next(iter(fake.system.people.values())))
    put(target, before, replace(before, status="suspended"))
    with pytest.raises(Refused, match="gone since the plan: plan again"):
        put(target, before, replace(before, grants=(OTHER,)))
    assert not fake.system.people


# ── dates that come from defaults ───────────────────────────────────────────────────────


def test_an_open_date_is_set_right_where_a_default_came_instead(site: Site) -> None:
    fake, target = site(Habits(blank_takes_default=True))
    group_of(fake.system, RIGHTS[0]).until_default = NEW_YEAR
    put(target, None, ANNA)
    assert seen_now(target).grants == (DOOR,)
    before = seen_now(target)
    put(target, before, replace(before, grants=(DOOR, OTHER)))
    assert set(seen_now(target).grants) == {DOOR, OTHER}
    person = person_of(fake.system, "1001")
    assert person is not None
    assert groups_of(fake.system, person) == [BASE, RIGHTS[0], RIGHTS[1]]


def test_a_group_that_keeps_open_dates_is_looked_after_once(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    put(target, None, replace(ANNA, key="1002", grants=()))
    before = seen_now(target, "1002")
    del fake.seen[:]
    put(target, before, replace(before, grants=(DOOR,)))
    assert [seen.method for seen in fake.seen] == ["GET", "PATCH"]


def test_a_strangers_new_membership_is_not_taken_for_ones_own(site: Site) -> None:
    fake, target = site(Habits(blank_takes_default=True))
    group_of(fake.system, RIGHTS[1]).until_default = NEW_YEAR
    put(target, None, ANNA)
    before = seen_now(target)
    person = person_of(fake.system, "1001")
    assert person is not None
    other = group_of(fake.system, RIGHTS[1])
    theirs = NEW_YEAR + timedelta(days=1)
    fake.habits.after_search.append(lambda: fake.system.membership(person, other, end=theirs))
    put(target, before, replace(before, grants=(DOOR, OTHER)))
    assert replace(OTHER, valid_to=theirs) in seen_now(target).grants


# ── refusals ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "message", "kind", "told"),
    [
        (409, f"The cardholder is locked by {SECRET}.", Unavailable, "open: later"),
        (409, None, Unavailable, "open: later"),
        (409, "You do not have the privilege to edit notes.", Refused, "lacks a privilege"),
        (409, f"Something else with {SECRET[9:12]}.", Refused, "neither for a lock nor"),
        (403, "Feature not licensed", Denied, "not licensed: the server needs RESTCardholders"),
        (403, "You do not have the privilege.", Denied, "lacks the privilege"),
        (403, None, Denied, "lacks the privilege"),
        (404, "Not found", Refused, "it is gone, or not shown"),
        (400, f"Invalid: {SECRET}", Refused, "correct the record"),
        (429, None, Unavailable, "answered 429"),
        (500, None, Unavailable, "answered 500"),
    ],
)
def test_each_answer_has_its_meaning_and_none_is_repeated(
    site: Site, status: int, message: str | None, kind: type[ConnectorError], told: str
) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    fake.troubles["write"].append(Trouble(status=status, message=message))
    with pytest.raises(kind, match=told) as refused:
        put(target, before, replace(before, grants=()))
    assert type(refused.value) is kind
    assert not any(word in str(refused.value) for word in ("Ove", "WORKSTATION-7", "1001"))


def test_an_edit_lock_changes_nothing_and_is_waited_for(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    [person] = fake.system.people.values()
    fake.system.locked[person.id] = SECRET
    with pytest.raises(Unavailable, match="an operator has the cardholder open"):
        put(target, before, replace(before, grants=(OTHER,)))
    assert seen_now(target).grants == (DOOR,)
    fake.system.locked.clear()
    put(target, before, replace(before, grants=(OTHER,)))
    assert seen_now(target).grants == (OTHER,)


def test_the_words_of_a_lock_can_be_told(site: Site) -> None:
    fake, _ = site()
    target = site.targets(fake, lock_words=["låst"])
    put(target, None, ANNA)
    before = seen_now(target)
    for message, kind in (("Kortinnehavaren är låst", Unavailable), ("locked", Refused)):
        fake.troubles["write"].append(Trouble(status=409, message=message))
        with pytest.raises(kind):
            put(target, before, replace(before, grants=()))


def test_a_suspension_needs_only_the_privilege_to_suspend(site: Site) -> None:
    fake, target = site()
    put(target, None, ANNA)
    before = seen_now(target)
    fake.habits.privileges -= {"edit cardholders"}
    with pytest.raises(Refused, match="lacks a privilege on this cardholder"):
        put(target, before, replace(before, grants=(), status="suspended"))
    assert seen_now(target).status == "suspended"


def test_the_key_is_sent_as_the_vendor_wants_it(site: Site) -> None:
    fake, target = site()
    assert list(target.read()) == []
    assert {seen.headers["authorization"] for seen in fake.seen} == {f"GGL-API-KEY {fake.key}"}
    put(target, None, ANNA)
    assert fake.writes[0].headers["content-type"] == "application/json"
