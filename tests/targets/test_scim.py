"""The SCIM target against the real scim2-server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from idsync.errors import Denied, Refused
from idsync.model import Cardholder, Change, Grant, HolderStatus
from idsync.targets.scim import ScimTarget
from tests.servers.scim import TOKEN, ScimServer

pytestmark = pytest.mark.scim

AWKWARD = [
    'a"b',
    "a\\b",
    '" or externalId pr or externalId eq "',
    "å ä ö Å Ä Ö é",
    "50%25&count=0#x",
    "a+b c/d?e",
    "line\nbreak\ttab",
    "😀",
    "(a) and [b]",
    " lead",
]

Make = Callable[..., ScimTarget]


@pytest.fixture
def make(scim_target: Make) -> Make:
    """Make a target that speaks to a server."""

    def target(server: ScimServer, token: str = TOKEN, **settings: Any) -> ScimTarget:
        return scim_target(server.url, token, **settings)

    return target


@pytest.fixture
def server() -> Iterator[ScimServer]:
    """An empty service with two rights, FSK-ENTRE and FÖRSKOLA-LARM."""
    running = ScimServer()
    running.group("FSK-ENTRE")
    running.group("FÖRSKOLA-LARM")
    yield running
    running.close()


@pytest.fixture(params=["patch", "put"])
def either(request: pytest.FixtureRequest) -> Iterator[ScimServer]:
    """The same, once with PATCH and once without."""
    running = ScimServer(patch=request.param == "patch")
    running.group("FSK-ENTRE")
    running.group("FÖRSKOLA-LARM")
    yield running
    running.close()


def holder(
    key: str = "1001", *refs: str, status: HolderStatus = "active", **attributes: Any
) -> Cardholder:
    return Cardholder(
        key=key, status=status, grants=tuple(Grant(ref=ref) for ref in sorted(refs)), **attributes
    )


def make_so(target: ScimTarget, after: Cardholder) -> Cardholder | None:
    """Put *after* the way the engine does, and return what is there then."""
    before = target.read_one(after.key or "")
    assert target.put(Change(before=before, after=after)).status == "confirmed"
    return target.read_one(after.key or "")


EVERYTHING: dict[str, Any] = {
    "display_name": "Åsa Öberg-Ängström",
    "given_name": "Åsa",
    "family_name": "Öberg-Ängström",
    "mail": "asa.oberg@example.se",
    "department": "Förskoleförvaltningen",
}


def test_what_is_put_is_read_back_with_its_swedish_letters(either: ScimServer, make: Make) -> None:
    target = make(either)
    wanted = holder("1001", "FSK-ENTRE", "FÖRSKOLA-LARM", **EVERYTHING)
    assert make_so(target, wanted) == wanted
    assert list(target.read()) == [wanted]


def test_only_what_the_change_names_is_sent(server: ScimServer, make: Make) -> None:
    make_so(make(server), holder("1001", display_name="Åsa"))
    [user] = server.ask("GET", "Users")["Resources"]
    sent = set(user) - {"id", "meta", "schemas"}
    assert sent == {"externalId", "userName", "active", "displayName"}


def test_one_grant_is_added_and_another_taken_away(either: ScimServer, make: Make) -> None:
    target = make(either)
    make_so(target, holder("1001", "FSK-ENTRE"))
    wanted = holder("1001", "FÖRSKOLA-LARM")
    found = make_so(target, wanted)
    assert found is not None
    assert found.grants == wanted.grants


def test_the_last_grant_can_be_taken_away(either: ScimServer, make: Make) -> None:
    target = make(either)
    make_so(target, holder("1001", "FSK-ENTRE"))
    found = make_so(target, holder("1001"))
    assert found is not None
    assert found.grants == ()


def test_a_suspended_person_holds_nothing_and_can_return(either: ScimServer, make: Make) -> None:
    target = make(either)
    make_so(target, holder("1001", "FSK-ENTRE", **EVERYTHING))
    gone = make_so(target, holder("1001", status="suspended"))
    assert gone == replace(holder("1001", status="suspended"), **EVERYTHING)
    back = holder("1001", "FSK-ENTRE", **EVERYTHING)
    assert make_so(target, back) == back


def test_a_suspended_stranger_is_not_created(server: ScimServer, make: Make) -> None:
    assert make_so(make(server), holder("1001", status="suspended")) is None
    assert server.ask("GET", "Users")["totalResults"] == 0


def test_a_person_is_renamed_and_moved(either: ScimServer, make: Make) -> None:
    target = make(either)
    make_so(target, holder("1001", "FSK-ENTRE", **EVERYTHING))
    married = EVERYTHING | {"family_name": "Öst", "mail": "asa.ost@example.se", "department": "HR"}
    wanted = holder("1001", "FSK-ENTRE", **married)
    assert make_so(target, wanted) == wanted


def test_an_attribute_can_be_cleared(either: ScimServer, make: Make) -> None:
    target = make(either)
    make_so(target, holder("1001", **EVERYTHING))
    wanted = holder("1001", **EVERYTHING | {"mail": "", "department": "", "given_name": ""})
    assert make_so(target, wanted) == wanted


def test_putting_twice_changes_nothing_the_second_time(either: ScimServer, make: Make) -> None:
    target = make(either)
    change = Change(before=None, after=holder("1001", "FSK-ENTRE", **EVERYTHING))
    target.put(change)
    before = [either.ask("GET", area) for area in ("Users", "Groups")]
    target.put(change)
    assert [either.ask("GET", area) for area in ("Users", "Groups")] == before


def test_taking_away_twice_changes_nothing_the_second_time(either: ScimServer, make: Make) -> None:
    target = make(either)
    had = holder("1001", "FSK-ENTRE")
    make_so(target, had)
    change = Change(before=had, after=holder("1001", status="suspended"))
    target.put(change)
    before = [either.ask("GET", area) for area in ("Users", "Groups")]
    target.put(change)
    assert [either.ask("GET", area) for area in ("Users", "Groups")] == before


@pytest.mark.parametrize("key", AWKWARD)
def test_a_key_is_only_ever_a_key(server: ScimServer, make: Make, key: str) -> None:
    target = make(server)
    server.user("somebody", externalId="somebody")
    wanted = holder(key, "FSK-ENTRE", display_name="Åsa")
    assert target.read_one(key) is None
    found = make_so(target, wanted)
    assert found is not None
    assert (found.key, found.grants, found.display_name) == (key, wanted.grants, "Åsa")
    assert sorted(one.key or "" for one in target.read()) == sorted([key, "somebody"])


@pytest.mark.parametrize("name", ['x" or displayName pr', "Å\\Ö", "A & B", "100 %"])
def test_a_right_is_only_ever_its_name(server: ScimServer, make: Make, name: str) -> None:
    server.group(name)
    target = make(server)
    assert make_so(target, holder("1001", name)) is not None
    found = make_so(target, holder("1001"))
    assert found is not None
    assert found.grants == ()


def test_keys_that_differ_in_case_are_different_people(server: ScimServer, make: Make) -> None:
    target = make(server, user_name="mail")
    make_so(target, holder("abc", display_name="Liten", mail="liten@example.se"))
    assert target.read_one("ABC") is None
    make_so(target, holder("ABC", display_name="Stor", mail="stor@example.se"))
    found = target.read_one("abc")
    assert found is not None
    assert found.display_name == "Liten"


def test_local_memberships_people_and_attributes_are_left_alone(
    either: ScimServer, make: Make
) -> None:
    target = make(either)
    mine = make_so(target, holder("1001", "FSK-ENTRE", display_name="Åsa"))
    assert mine is not None
    other = either.user("lokal", title="Vaktmästare")
    either.group("LOKAL", [mine.native_id, other])
    either.ask(
        "PUT",
        f"Users/{mine.native_id}",
        {
            **either.ask("GET", f"Users/{mine.native_id}"),
            "title": "Förskollärare",
            "phoneNumbers": [{"value": "+46 8 123 45 67", "type": "work"}],
        },
    )
    before = target.read_one("1001")
    assert before is not None
    assert before.grants == holder("1001", "FSK-ENTRE", "LOKAL").grants
    target.put(
        Change(before=before, after=replace(before, display_name="Åsa Ö", grants=before.grants[1:]))
    )
    user = either.ask("GET", f"Users/{mine.native_id}")
    assert (user["title"], user["phoneNumbers"][0]["value"]) == ("Förskollärare", "+46 8 123 45 67")
    local = next(g for g in either.ask("GET", "Groups")["Resources"] if g["displayName"] == "LOKAL")
    assert {member["value"] for member in local["members"]} == {mine.native_id, other}
    assert either.ask("GET", f"Users/{other}")["title"] == "Vaktmästare"


def test_a_users_other_mail_addresses_are_kept(either: ScimServer, make: Make) -> None:
    id = either.user(
        "1001",
        externalId="1001",
        emails=[
            {"value": "hem@example.org", "type": "home"},
            {"value": "gammal@example.se", "type": "work", "primary": True},
        ],
    )
    make_so(make(either), holder("1001", mail="ny@example.se"))
    found = {one["value"] for one in either.ask("GET", f"Users/{id}")["emails"]}
    assert found == {"hem@example.org", "ny@example.se"}
    cleared = make_so(make(either), holder("1001", mail=""))
    assert cleared is not None
    assert cleared.mail == ""
    [left] = either.ask("GET", f"Users/{id}")["emails"]
    assert left["value"] == "hem@example.org"


@pytest.mark.parametrize(("page_size", "limit"), [(1, 1000), (2, 1000), (7, 1000), (200, 3)])
def test_many_people_are_all_read_whatever_the_page(make: Make, page_size: int, limit: int) -> None:
    server = ScimServer(page_limit=limit)
    try:
        ids = {server.user(f"user-{n}", externalId=f"key-{n}"): f"key-{n}" for n in range(11)}
        server.group("ALLA", list(ids))
        found = list(make(server, page_size=page_size).read())
        assert {one.native_id: one.key for one in found} == ids
        assert all(one.grants == (Grant(ref="ALLA"),) for one in found)
    finally:
        server.close()


def test_a_missing_right_is_refused_and_named(server: ScimServer, make: Make) -> None:
    target = make(server)
    with pytest.raises(Refused, match=r"0 groups are called \"SAKNAS-Å\""):
        target.put(Change(before=None, after=holder("1001", "SAKNAS-Å")))


def test_a_missing_right_is_made_where_that_is_wanted(server: ScimServer, make: Make) -> None:
    target = make(server, create_groups=True)
    wanted = holder("1001", "NY-GRUPP", display_name="Åsa")
    found = make_so(target, wanted)
    assert found is not None
    assert found.grants == wanted.grants


def test_a_record_without_key_is_shown_and_its_name_is_not_taken(
    server: ScimServer, make: Make
) -> None:
    id = server.user("1001", displayName="Någon annan")
    target = make(server)
    [shown] = target.read()
    assert (shown.key, shown.native_id) == (None, id)
    with pytest.raises(Refused, match="somebody else's record"):
        target.put(Change(before=None, after=holder("1001", "FSK-ENTRE")))


def test_two_records_with_one_key_are_shown_without_it_and_refused(
    server: ScimServer, make: Make
) -> None:
    twins = {server.user("ett", externalId="1001"), server.user("två", externalId="1001")}
    target = make(server)
    assert {(one.key, one.native_id) for one in target.read()} == {(None, id) for id in twins}
    with pytest.raises(Refused, match="2 users have one externalId"):
        target.read_one("1001")
    with pytest.raises(Refused, match="2 users have one externalId"):
        target.put(Change(before=None, after=holder("1001", status="suspended")))


def test_a_wrong_token_is_denied_and_never_shown(server: ScimServer, make: Make) -> None:
    with pytest.raises(Denied) as caught:
        list(make(server, token="wrong-secret-token").read())
    assert "wrong-secret-token" not in str(caught.value)
