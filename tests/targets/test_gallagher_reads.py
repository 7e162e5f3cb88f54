"""What the Gallagher target reads, and what it will not take for everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from idsync.errors import ConfigError, Denied, Incomplete, Refused, Unavailable
from idsync.model import Cardholder, Change, Credential, CredentialState, Grant
from idsync.targets.gallagher_records import instant
from idsync.targets.gallagher_service import host_of
from tests.fakes.gallagher import FakeGallagher
from tests.fakes.gallagher_habits import EDIT, VIEW, Habits, Trouble
from tests.targets.gallagher_site import (
    ALARM_RIGHTS,
    BASE,
    KEY_FIELD,
    RIGHTS,
    TRAINING,
    Site,
    field_of,
    group_of,
    someone,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def crowd(fake: FakeGallagher, keys: int = 6) -> None:
    """Make people whose names go down while their ids go up."""
    for number in range(keys):
        someone(fake.system, str(1000 + number), RIGHTS[0], last=f"{chr(ord('Z') - number)}ed")


# ── everybody, or an error ──────────────────────────────────────────────────────────────


def test_an_empty_system_is_truly_empty(site: Site) -> None:
    _, target = site()
    assert list(target.read()) == []


def test_a_member_of_the_base_group_who_is_not_listed_is_missed(site: Site) -> None:
    fake, target = site()
    crowd(fake)
    fake.habits.left_out.add(max(fake.system.people))
    with pytest.raises(Incomplete, match="1 members of base_group were not among"):
        list(target.read())


def test_nobody_listed_with_people_in_the_base_group_is_a_privilege(site: Site) -> None:
    fake, target = site()
    crowd(fake)
    fake.habits.left_out |= set(fake.system.people)
    with pytest.raises(Denied, match="shows nobody, though there are people in base_group"):
        list(target.read())


@pytest.mark.parametrize("lost", ["the privilege", "a division"])
def test_people_whom_the_operator_may_not_see_are_missed(site: Site, lost: str) -> None:
    fake, target = site()
    crowd(fake)
    if lost == "the privilege":
        fake.habits.privileges -= {"view cardholders"}
    else:
        fake.habits.divisions = {2}
        person = next(iter(fake.system.people.values()))
        person.division = fake.system.division("Räddningstjänsten")
    with pytest.raises(Denied, match="of its members are not shown to idsync's operator"):
        list(target.read())


def test_somebody_deleted_during_a_read_is_no_gap(site: Site) -> None:
    fake, target = site(page_size=2)
    crowd(fake)
    last = fake.system.people[max(fake.system.people)]
    fake.habits.after_page.append(lambda: fake.system.delete(last))
    assert {one.key for one in target.read()} == {"1000", "1001", "1002", "1003", "1004"}


def test_a_page_that_slips_during_a_read_is_seen(site: Site) -> None:
    fake, target = site(Habits(pages_by_offset=True), page_size=2)
    crowd(fake)
    first = fake.system.people[min(fake.system.people)]
    fake.habits.after_page.append(lambda: fake.system.delete(first))
    with pytest.raises(Incomplete, match="1 members of base_group"):
        list(target.read())


@pytest.mark.parametrize(
    ("habits", "told"),
    [
        (Habits(ignores_sort=True), "did not come in order of id"),
        (Habits(circles=True), "came twice"),
        (Habits(empty_pages=500), "in a circle"),
        (Habits(hidden="results"), "without results"),
    ],
)
def test_pages_that_prove_nothing_are_not_used(site: Site, habits: Habits, told: str) -> None:
    fake, target = site(habits, page_size=2)
    crowd(fake)
    with pytest.raises(Incomplete, match=told):
        list(target.read())


def test_somebody_who_comes_twice_is_seen(site: Site) -> None:
    fake, target = site()
    crowd(fake)
    fake.habits.twice.add(min(fake.system.people))
    with pytest.raises(Incomplete, match="came twice"):
        list(target.read())


def test_the_search_is_sorted_by_id_and_its_links_are_used_as_they_come(site: Site) -> None:
    fake, target = site(Habits(link_query="site=1"), page_size=2)
    crowd(fake)
    assert len(list(target.read())) == 6
    searches = [dict(seen.query) for seen in fake.seen if seen.path == "/api/cardholders"]
    assert all(query["sort"] == "id" and query["site"] == "1" for query in searches)
    assert [("pos" in query) for query in searches] == [False, True, True]


def test_hidden_memberships_are_no_empty_ones(site: Site) -> None:
    fake, target = site()
    crowd(fake)
    fake.habits.privileges -= {"view memberships"}
    gone = Cardholder(key="1000")
    calls: list[Callable[[], object]] = [
        lambda: list(target.read()),
        lambda: target.read_one("1000"),
        lambda: target.put(
            Change(before=replace(gone, grants=(Grant(ref=RIGHTS[0]),)), after=gone)
        ),
    ]
    for call in calls:
        with pytest.raises(Incomplete, match="memberships are hidden"):
            call()


def test_hidden_keys_are_no_missing_ones(site: Site) -> None:
    fake, target = site()
    crowd(fake)
    field_of(fake.system).access = "noAccess"
    with pytest.raises(Denied, match=r"values of a personal data field .* are hidden"):
        list(target.read())


def test_keys_that_become_hidden_after_the_start_are_no_missing_ones(site: Site) -> None:
    fake, target = site()
    crowd(fake)
    assert len(list(target.read())) == 6
    field_of(fake.system).access = "noAccess"
    with pytest.raises(Denied, match="nobody shows the personal data field"):
        list(target.read())


@pytest.mark.parametrize(
    ("lost", "told"),
    [("view fields", "field that the settings name is not shown"),
     ("view groups", "shows no access group at all")],
)  # fmt: skip
def test_an_empty_list_of_items_is_a_privilege(site: Site, lost: str, told: str) -> None:
    fake, target = site(Habits(privileges=(VIEW | EDIT) - {lost}))
    crowd(fake)
    with pytest.raises(Denied, match=told):
        list(target.read())


def test_a_key_field_that_can_be_the_same_twice_is_not_used(site: Site) -> None:
    fake, target = site()
    field_of(fake.system).unique = False
    with pytest.raises(ConfigError, match="not marked unique"):
        list(target.read())


def test_a_key_field_that_is_a_number_is_not_used(site: Site) -> None:
    fake, target = site()
    field_of(fake.system).type = "numeric"
    with pytest.raises(ConfigError, match="not of the type text"):
        list(target.read())


# ── links ───────────────────────────────────────────────────────────────────────────────


def test_a_link_to_another_host_is_not_followed(site: Site) -> None:
    fake, target = site(Habits(calls_itself="https://elsewhere.example.org:8904"))
    with pytest.raises(Unavailable, match="its links lead to another host than url does"):
        list(target.read())
    assert len(fake.seen) == 1


def test_a_name_the_server_calls_itself_can_be_allowed(site: Site) -> None:
    fake, target = site(
        Habits(calls_itself="https://cc.example.org:8904"), link_hosts=["cc.example.org:8904"]
    )
    crowd(fake)
    assert len(list(target.read())) == 6


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://CC.example.org/api", "cc.example.org:443"),
        ("http://127.0.0.1:8904", "127.0.0.1:8904"),
        ("cc.example.org:8904", "cc.example.org:8904"),
        ("https://cc.example.org:99999", "cc.example.org:-1"),
    ],
)
def test_hosts_are_compared_with_their_ports(url: str, host: str) -> None:
    assert host_of(url) == host


def test_the_url_may_name_the_api(site: Site) -> None:
    fake, _ = site()
    crowd(fake)
    assert len(list(site.targets(None, url=f"{fake.url}/api").read())) == 6


# ── whom a record belongs to ────────────────────────────────────────────────────────────


def test_two_with_one_key_belong_to_nobody(site: Site) -> None:
    fake, target = site()
    one, two = someone(fake.system, "1001"), someone(fake.system, "1002")
    two.values[field_of(fake.system).id] = "1001"
    assert [found.key for found in target.read()] == [None, None]
    calls: list[Callable[[], object]] = [
        lambda: target.read_one("1001"),
        lambda: target.put(Change(before=None, after=Cardholder(key="1001", status="suspended"))),
    ]
    for call in calls:
        with pytest.raises(Refused, match="2 cardholders have one key"):
            call()
    assert one.authorised
    assert two.authorised


def test_a_key_is_compared_exactly_though_the_search_is_not(site: Site) -> None:
    fake, target = site()
    someone(fake.system, "a1")
    someone(fake.system, "1001")
    assert target.read_one("A1") is None
    assert target.read_one("100") is None
    assert target.read_one("%") is None
    assert target.read_one("100_") is None
    [search] = [dict(seen.query) for seen in fake.seen if '"A1"' in dict(seen.query).values()]
    assert search[f"pdf_{field_of(fake.system).id}"] == '"A1"'


def test_a_key_that_cannot_be_searched_for_is_refused(site: Site) -> None:
    _, target = site()
    with pytest.raises(Refused, match="quotation mark"):
        target.read_one('1" or "1')


def test_nobody_has_no_key(site: Site) -> None:
    fake, target = site()
    someone(fake.system, None)
    assert target.read_one("") is None


def test_a_key_that_a_parent_of_the_group_gives_is_read(site: Site) -> None:
    fake, target = site()
    child = fake.system.group("Barn", parent=group_of(fake.system).id)
    person = someone(fake.system, "1001")
    with fake.system.edit(person):
        person.memberships[0].item = child.id
    found = target.read_one("1001")
    assert found is not None
    assert found.grants == (Grant(ref="Barn"),)
    assert "not in the base group without end" in found.amiss


# ── what a record says ──────────────────────────────────────────────────────────────────


def test_what_a_record_says(site: Site) -> None:
    fake, target = site()
    person = someone(fake.system, "1001", ALARM_RIGHTS[0])
    person.first, person.authorised = "Åsa", False
    person.values[field_of(fake.system, "E-post").id] = "asa@example.org"
    [found] = target.read()
    assert found == Cardholder(
        key="1001",
        given_name="Åsa",
        family_name="Öberg",
        mail="asa@example.org",
        department="",
        status="suspended",
        grants=(Grant(ref=ALARM_RIGHTS[0], kind="alarm"),),
    )
    assert found.native_id == f"api/cardholders/{person.id}"
    assert not found.amiss


def test_the_base_group_is_no_grant(site: Site) -> None:
    fake, target = site()
    someone(fake.system, "1001")
    [found] = target.read()
    assert found.grants == ()


def test_the_same_membership_twice_is_one_grant(site: Site) -> None:
    fake, target = site()
    someone(fake.system, "1001", RIGHTS[0], RIGHTS[0])
    [found] = target.read()
    assert found.grants == (Grant(ref=RIGHTS[0]),)


def test_a_group_the_operator_may_not_look_into_still_has_a_name(site: Site) -> None:
    fake, target = site()
    someone(fake.system, "1001", RIGHTS[0])
    assert target.read_one("1001") is not None
    fake.habits.privileges -= {"view groups"}  # then memberships show a name, and no href
    found = target.read_one("1001")
    assert found is not None
    assert found.grants == (Grant(ref=RIGHTS[0]),)


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("2031-03-09T12:34:56Z", datetime(2031, 3, 9, 12, 34, 56, tzinfo=UTC)),
        ("2031-03-09T12:34:56.1234567Z", datetime(2031, 3, 9, 12, 34, 56, 123456, tzinfo=UTC)),
        ("2031-03-09T08:00+13:00", datetime(2031, 3, 8, 19, 0, tzinfo=UTC)),
        ("2031-03-09", datetime(2031, 3, 9, tzinfo=UTC)),
        ("2031-03-09T08:00:00", datetime(2031, 3, 9, 8, tzinfo=UTC)),
        ("", None),
        (None, None),
    ],
)
def test_dates_are_read_as_they_may_come(told: str | None, meant: datetime | None) -> None:
    assert instant(told) == meant


@pytest.mark.parametrize("told", ["9/3/2031", 1899, ["2031-03-09"], "2031-13-09"])
def test_what_is_no_date_is_not_guessed(told: object) -> None:
    with pytest.raises(Incomplete, match="a date came that is none"):
        instant(told)


@pytest.mark.parametrize(
    ("state", "dates", "meant"),
    [
        ("Active", (None, None), "active"),
        ("Lost", (None, None), "lost"),
        ("Disabled (manually)", (None, None), "suspended"),
        ("Disabled (by inactivity)", (None, None), "inactive"),
        ("Stolen", (datetime(2090, 1, 1, tzinfo=UTC), None), "inactive"),
        ("Active", (datetime(2090, 1, 1, tzinfo=UTC), None), "inactive"),
        ("Active", (None, datetime(2020, 1, 1, tzinfo=UTC)), "expired"),
    ],
)
def test_a_cards_state_is_decided_by_its_type(
    site: Site,
    state: str,
    dates: tuple[datetime | None, datetime | None],
    meant: CredentialState,
) -> None:
    fake, target = site()
    person = someone(fake.system, "1001")
    kind = next(iter(fake.system.card_types.values()))
    fake.system.card(person, kind, "70001", state)
    person.cards[0].start, person.cards[0].end = dates
    found = target.read_one("1001")
    assert found is not None
    assert found.credentials == (Credential(number="70001", state=meant),)


def test_a_mobile_credential_is_no_card(site: Site) -> None:
    fake, target = site()
    person = someone(fake.system, "1001")
    mobile = next(k for k in fake.system.card_types.values() if k.credential_class == "mobile")
    fake.system.card(person, mobile, "Åsas telefon")
    found = target.read_one("1001")
    assert found is not None
    assert found.credentials == (Credential(number="Åsas telefon", medium="mobile"),)


def test_trainings_are_left_out_unless_asked_for(site: Site) -> None:
    fake, target = site()
    person = someone(fake.system, "1001")
    [hlr] = fake.system.competencies.values()
    fake.system.give_competency(person, hlr)
    found = target.read_one("1001")
    assert found is not None
    assert found.grants == ()
    assert target.capabilities.kinds == ("access", "alarm")
    asking = site.targets(fake, competencies=True)
    found = asking.read_one("1001")
    assert found is not None
    assert found.grants == (Grant(ref=TRAINING, kind="competency"),)
    assert asking.capabilities.kinds == ("access", "alarm", "competency")


# ── the feed ────────────────────────────────────────────────────────────────────────────


def test_a_bookmark_is_always_the_fresh_one(site: Site) -> None:
    fake, target = site(page_size=2)
    crowd(fake, 3)
    first = target.changes("")
    assert first.keys is None
    for person in fake.system.people.values():
        with fake.system.edit(person):
            person.first = "Åsa"
    second = target.changes(first.bookmark)
    assert second.keys == ("1000", "1001", "1002")
    third = target.changes(second.bookmark)
    assert third.keys == ()
    assert third.bookmark not in (second.bookmark, first.bookmark)
    asked = [dict(seen.query).get("pos") for seen in fake.seen if seen.path.endswith("changes")]
    assert len(set(asked)) == len(asked), "a link was asked twice"


@pytest.mark.parametrize("way", ["deleted", "out of the base group", "out, and the key untold"])
def test_whose_key_no_longer_shows_is_found_by_reading_everything(site: Site, way: str) -> None:
    fake, target = site()
    crowd(fake, 2)
    fake.habits.tells_old_fields = way != "out, and the key untold"
    mark = target.changes("").bookmark
    person = fake.system.people[min(fake.system.people)]
    if way == "deleted":
        fake.system.delete(person)
    else:
        with fake.system.edit(person):
            person.memberships.pop(0)
    told = target.changes(mark)
    if way == "out of the base group":
        assert told.keys == ("1000",), "the old key shows among the old values"
    else:
        assert told.keys is None
    assert target.changes(told.bookmark).keys == ()


def test_a_key_that_changes_touches_both(site: Site) -> None:
    fake, target = site()
    crowd(fake, 1)
    mark = target.changes("").bookmark
    [person] = fake.system.people.values()
    with fake.system.edit(person):
        person.values[field_of(fake.system).id] = "2000"
    assert target.changes(mark).keys == ("1000", "2000")


def test_a_strangers_change_touches_nobody(site: Site) -> None:
    fake, target = site()
    mark = target.changes("").bookmark
    person = someone(fake.system, None, RIGHTS[0])
    with fake.system.edit(person):
        person.first = "Åsa"
    assert target.changes(mark).keys == ()


def test_a_bookmark_that_is_forgotten_means_reading_everything(site: Site) -> None:
    fake, target = site()
    mark = target.changes("").bookmark
    fake.habits.forgets_bookmarks = True
    told = target.changes(mark)
    assert told.keys is None
    assert told.bookmark
    assert told.bookmark != mark


def test_a_server_without_the_feed_has_none(site: Site) -> None:
    _, target = site(Habits(feed=False))
    told = target.changes("")
    assert told.keys is None
    assert told.bookmark == ""


def test_a_feed_that_is_refused_is_not_quiet(site: Site) -> None:
    fake, target = site()
    mark = target.changes("").bookmark
    fake.troubles["any"].append(Trouble(status=403, message="Feature not licensed"))
    with pytest.raises(Denied, match="not licensed"):
        target.changes(mark)
    fake.troubles["any"].append(Trouble(status=500, message="deadline"))
    with pytest.raises(Unavailable):
        target.changes(mark)


def test_names_of_the_site_are_used_as_they_are(site: Site) -> None:
    fake, target = site()
    assert list(target.read()) == []
    asked = {seen.path for seen in fake.seen}
    assert asked == {
        "/api", "/api/personal_data_fields", "/api/access_groups", "/api/cardholders",
        f"/api/access_groups/{group_of(fake.system, BASE).id}/cardholders",
    }  # fmt: skip
    assert field_of(fake.system, KEY_FIELD).unique
