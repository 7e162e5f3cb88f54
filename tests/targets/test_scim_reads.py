"""The SCIM target reads everything or raises, whatever the service does (a nasty fake)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from idsync.errors import Denied, Incomplete, Unavailable
from idsync.model import Cardholder, Change, Grant
from idsync.targets.scim import ScimTarget
from tests.fakes.scim import FakeScim
from tests.fakes.scim_habits import Habits, Trouble

Start = Callable[..., tuple[FakeScim, ScimTarget]]


def people(fake: FakeScim, count: int = 5) -> list[str]:
    """Let *count* people be there, all in ALLA and the first in EN too."""
    ids = [fake.user(f"user-{n}", externalId=f"key-{n}") for n in range(count)]
    fake.group("ALLA", *ids)
    fake.group("EN", ids[0])
    fake.group("TOM")
    return ids


@pytest.mark.parametrize("page_size", [1, 2, 5, 7])
@pytest.mark.parametrize(
    "habits",
    [
        Habits(),
        Habits(page_limit=2),
        Habits(honours_start=False),
        Habits(after_end="refused"),
        Habits(members_in_lists=False),
        Habits(members_on_request=True),
        Habits(user_groups=True),
        Habits(config=False),
    ],
    ids=["plain", "short-pages", "no-paging", "no-page-after-the-end", "no-members-in-lists",
         "members-on-request",
         "users-show-groups", "no-config"],
)  # fmt: skip
def test_everybody_is_read_whatever_the_pages(
    fake_with: Start, habits: Habits, page_size: int
) -> None:
    fake, target = fake_with(habits, page_size=page_size)
    ids = people(fake)
    found = {one.native_id: one for one in target.read()}
    assert list(found) == ids
    assert found[ids[0]].grants == (Grant(ref="ALLA"), Grant(ref="EN"))
    assert all(found[id].grants == (Grant(ref="ALLA"),) for id in ids[1:])


@pytest.mark.parametrize(
    "habits",
    [
        Habits(total_off=1),
        Habits(total_off=-1),
        Habits(total_grows=True),
        Habits(total_of_page=True),
        Habits(lose_last_page=True),
    ],
    ids=["total-too-high", "total-too-low", "total-changes", "total-of-the-page", "last-page-lost"],
)
@pytest.mark.parametrize("page_size", [1, 2, 7])
def test_totals_that_do_not_agree_are_an_incomplete_read(
    fake_with: Start, habits: Habits, page_size: int
) -> None:
    fake, target = fake_with(habits, page_size=page_size)
    for n in range(5):
        fake.user(f"user-{n}", externalId=f"key-{n}")
    if page_size == 7 and (habits.total_of_page or habits.lose_last_page):
        assert len(list(target.read())) == 5  # one page: nothing is lost
        return
    with pytest.raises(Incomplete):
        list(target.read())


@pytest.mark.parametrize("joins", [False, True])
def test_people_who_move_between_pages_are_an_incomplete_read(
    fake_with: Start, joins: bool
) -> None:
    fake, target = fake_with(page_size=2)
    ids = [fake.user(f"user-{n}", externalId=f"key-{n}") for n in range(5)]

    def move() -> None:
        if joins:  # everybody moves down one place, and the totals still agree
            fake.users["u-00000"] = {"id": "u-00000", "userName": "new", "active": True}
            del fake.users[ids[-1]]
        else:  # everybody moves up one place: the third person is on no page
            del fake.users[ids[0]]

    fake.habits.after_page = [move]
    with pytest.raises(Incomplete):
        list(target.read())


def test_a_person_who_is_missing_from_the_list_is_noticed_by_a_membership(
    fake_with: Start,
) -> None:
    fake, target = fake_with()
    ids = people(fake)
    fake.habits.left_out = {ids[2]}
    with pytest.raises(Incomplete, match="1 users are in groups and not in the list"):
        list(target.read())


def test_blocked_people_whom_the_list_hides_are_read_all_the_same(fake_with: Start) -> None:
    fake, target = fake_with(Habits(hides_blocked=True))
    ids = people(fake)
    fake.users[ids[2]]["active"] = False
    found = {one.native_id: one.status for one in target.read()}
    assert found[ids[2]] == "suspended"
    assert len(found) == 5


def test_memberships_that_a_deleted_user_left_behind_are_nothing(fake_with: Start) -> None:
    fake, target = fake_with()
    ids = people(fake)
    del fake.users[ids[0]]
    assert len(list(target.read())) == 4


def test_lists_of_members_that_are_cut_short_are_an_incomplete_read(fake_with: Start) -> None:
    fake, target = fake_with(Habits(members_cut=3, user_groups=True))
    people(fake)
    with pytest.raises(Incomplete, match="does not show the user"):
        list(target.read())
    found = target.read_one("key-4")  # a filter by member sees the whole list
    assert found is not None
    assert found.grants == (Grant(ref="ALLA"),)


def test_a_list_cut_short_is_noticed_for_one_person_too(fake_with: Start) -> None:
    fake, target = fake_with(Habits(members_cut=3, user_groups=True, filters="refused"))
    people(fake)
    with pytest.raises(Incomplete, match="does not show the user"):
        target.read_one("key-4")


def test_a_group_inside_a_group_gives_nobody_a_grant_of_their_own(fake_with: Start) -> None:
    fake, target = fake_with()
    ids = people(fake, 1)
    inner = next(id for id, group in fake.groups.items() if group["displayName"] == "ALLA")
    fake.group("YTTRE", nested=(inner,))
    assert [one.grants for one in target.read()] == [(Grant(ref="ALLA"), Grant(ref="EN"))]
    assert fake.users.keys() == set(ids)


def test_a_group_inside_is_not_the_user_of_the_same_number(fake_with: Start) -> None:
    fake, target = fake_with(Habits(patch=False))
    for number in ("7", "8"):
        fake.users[number] = {
            "id": number,
            "userName": number,
            "externalId": number,
            "active": True,
        }
    fake.groups["7"] = {"id": "7", "displayName": "INRE", "members": []}
    fake.groups["9"] = {"id": "9", "displayName": "A", "members": [{"value": "7", "type": "Group"}]}
    assert [one.grants for one in target.read()] == [(), ()]
    within = Cardholder(key="7", grants=(Grant(ref="A"),))
    target.put(Change(before=None, after=within))
    target.put(Change(before=within, after=Cardholder(key="7")))
    assert fake.groups["9"]["members"] == [{"value": "7", "type": "Group"}]


@pytest.mark.parametrize("filters", ["right", "ignored", "refused", "folded"])
def test_one_person_is_read_rightly_whatever_the_filter_is_worth(
    fake_with: Start, filters: str
) -> None:
    fake, target = fake_with(Habits(filters=filters))  # type: ignore[arg-type]  # parametrized text
    people(fake)
    fake.user("big", externalId="KEY-1")
    for _ in range(2):
        found = target.read_one("key-0")
        assert found is not None
        assert found.grants == (Grant(ref="ALLA"), Grant(ref="EN"))
        assert target.read_one("KEY-0") is None
        one = target.read_one("KEY-1")
        assert one is not None
        assert one.grants == ()


def test_a_filter_by_member_that_finds_nobody_is_not_believed(fake_with: Start) -> None:
    fake, target = fake_with()
    people(fake)
    find = fake._filtered
    fake._filtered = lambda records, text: [] if "members" in text else find(records, text)  # type: ignore[method-assign]  # one more habit
    found = target.read_one("key-0")
    assert found is not None
    assert found.grants == (Grant(ref="ALLA"), Grant(ref="EN"))


def test_a_group_that_only_the_persons_own_list_names_is_looked_at(fake_with: Start) -> None:
    fake, target = fake_with(Habits(user_groups=True))
    people(fake)
    find = fake._filtered
    fake._filtered = lambda records, text: find(records, text)[:1]  # type: ignore[method-assign]  # one more habit
    found = target.read_one("key-0")
    assert found is not None
    assert found.grants == (Grant(ref="ALLA"), Grant(ref="EN"))


def test_an_honest_filter_spares_reading_all_groups_again(fake_with: Start) -> None:
    fake, target = fake_with()
    people(fake)
    target.read_one("key-0")
    before = len(fake.seen)
    target.read_one("key-1")
    assert len(fake.seen) - before == 2


def test_an_active_that_is_neither_true_nor_false_stops_the_read(fake_with: Start) -> None:
    fake, target = fake_with()
    fake.user("a", externalId="1", active="nja")
    with pytest.raises(Incomplete, match="neither true nor false"):
        list(target.read())


HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
READ_TROUBLES = {
    "login-page": (Trouble(200, HTML, b"<html>Logga in</html>"), Unavailable, "web page"),
    "page-not-found": (Trouble(404, HTML, b"<html>404</html>"), Unavailable, "web page"),
    "redirect": (Trouble(302, {"Location": "http://127.0.0.1:9/"}), Unavailable, "redirect"),
    "expired-token": (Trouble(401), Denied, "renew"),
    "no-right": (Trouble(403), Denied, "right to do this"),
    "busy": (Trouble(429, {"Retry-After": "7"}), Unavailable, "429"),
    "failing": (Trouble(500), Unavailable, "500"),
    "no-answer": (Trouble(how="drop"), Unavailable, "broke"),
    "half-an-answer": (Trouble(200, how="half"), Unavailable, "broke"),
    "nothing": (Trouble(200), Incomplete, "totalResults"),
    "list-of-nothing": (Trouble(200, JSON, b"[]"), Incomplete, "totalResults"),
    "no-total": (Trouble(200, JSON, b'{"Resources": []}'), Incomplete, "totalResults"),
    "true-total": (Trouble(200, JSON, b'{"totalResults": true}'), Incomplete, "totalResults"),
    "no-ids": (Trouble(200, JSON, b'{"totalResults":1,"Resources":[{}]}'), Incomplete, "id"),
    "wrong-address": (Trouble(404, JSON, b"{}"), Incomplete, "check the url"),
    "twins": (Trouble(200, JSON, b'{"totalResults":0,"totalResults":0}'), Unavailable, "JSON"),
}


@pytest.mark.parametrize("area", ["Users", "Groups"])
@pytest.mark.parametrize("name", READ_TROUBLES)
def test_a_read_in_trouble_raises_and_the_next_one_is_whole(
    fake_with: Start, area: str, name: str
) -> None:
    trouble, kind, words = READ_TROUBLES[name]
    fake, target = fake_with()
    people(fake)
    fake.next("GET", area, trouble)
    with pytest.raises(kind, match=words):
        list(target.read())
    assert len(list(target.read())) == 5


def test_a_group_that_vanishes_while_the_groups_are_read_is_an_incomplete_read(
    fake_with: Start,
) -> None:
    fake, target = fake_with(Habits(members_in_lists=False))
    people(fake)
    fake.habits.after_read = [fake.groups.popitem]
    with pytest.raises(Incomplete, match="removed while"):
        list(target.read())


def test_a_renewed_token_is_used_after_the_old_one_was_refused(
    fake_with: Start, tmp_path: Path
) -> None:
    fake, target = fake_with()
    people(fake)
    assert len(list(target.read())) == 5
    fake.token = "renewed"
    with pytest.raises(Denied):
        list(target.read())
    (tmp_path / "token-0").write_text("renewed")
    assert len(list(target.read())) == 5
