"""The SCIM target writes exactly what it should, whatever the service does (a nasty fake)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from idsync.errors import ConfigError, ConnectorError, Denied, Refused, Unavailable
from idsync.model import Cardholder, Change, Credential, Grant, HolderStatus
from idsync.targets.scim import ScimTarget
from tests.fakes.scim import TOKEN, FakeScim
from tests.fakes.scim_habits import Habits, Trouble

Start = Callable[..., tuple[FakeScim, ScimTarget]]

SERVICES = {
    "plain": Habits(),
    "put-only": Habits(patch=False),
    "put-only-and-quiet-about-it": Habits(patch=False, config=False),
    "patch-only": Habits(put=False),
    "etag-offered": Habits(etag="offered"),
    "etag-required": Habits(etag="required"),
    "etag-required-put-only": Habits(etag="required", patch=False),
    "members-not-in-lists": Habits(members_in_lists=False),
    "members-not-in-lists-put-only": Habits(members_in_lists=False, patch=False),
    "members-on-request-put-only": Habits(members_on_request=True, patch=False),
    "filters-ignored": Habits(filters="ignored"),
    "filters-refused": Habits(filters="refused"),
    "filters-fold-case": Habits(filters="folded"),
    "repeats-refused": Habits(repeats="refused"),
    "member-paths-refused": Habits(removal="value"),
    "small-pages": Habits(page_limit=1),
    "users-show-groups": Habits(user_groups=True),
}


def holder(
    *refs: str, key: str = "1001", status: HolderStatus = "active", **attributes: Any
) -> Cardholder:
    grants = tuple(Grant(ref=ref) for ref in sorted(refs))
    return Cardholder(key=key, status=status, grants=grants, **attributes)


def put(target: ScimTarget, after: Cardholder) -> None:
    before = target.read_one(after.key or "")
    assert target.put(Change(before=before, after=after)).status == "confirmed"


@pytest.mark.parametrize("name", SERVICES)
def test_a_persons_whole_life_comes_out_right(fake_with: Start, name: str) -> None:
    fake, target = fake_with(replace(SERVICES[name]))
    local = fake.user("lokal")
    others = [fake.user(f"other-{n}", externalId=f"other-{n}") for n in range(3)]
    fake.group("A", *others)
    fake.group("B")
    fake.group("LOKAL", local)
    for wanted in (
        holder("A", display_name="Åsa", mail="asa@example.se", department="Skola"),
        holder("A", "B", display_name="Åsa Ö", given_name="Åsa", family_name="Ö"),
        holder("B"),
        holder(status="suspended"),
        holder("A"),
        holder(),
    ):
        put(target, wanted)
        found = target.read_one("1001")
        assert found is not None
        assert (found.status, found.grants) == (wanted.status, wanted.grants)
    assert found is not None
    assert (found.display_name, found.mail, found.department) == (
        "Åsa Ö", "asa@example.se", "Skola",
    )  # fmt: skip
    assert (fake.members("A"), fake.members("LOKAL")) == (others, [local])


@pytest.mark.parametrize("name", SERVICES)
def test_a_change_put_again_is_confirmed_and_changes_nothing(fake_with: Start, name: str) -> None:
    fake, target = fake_with(replace(SERVICES[name]))
    fake.group("A")
    fake.group("B", *(fake.user(f"other-{n}") for n in range(3)))
    put(target, holder("B", display_name="Åsa"))
    change = Change(before=target.read_one("1001"), after=holder("A", display_name="Åsa Ö"))
    target.put(change)
    state = (repr(fake.users), repr(fake.groups))
    target.put(change)
    assert (repr(fake.users), repr(fake.groups)) == state


def test_what_takes_away_is_sent_before_what_gives(fake_with: Start) -> None:
    fake, target = fake_with()
    ids = {name: fake.group(name) for name in ("OLD", "NEW")}
    put(target, holder("OLD"))
    fake.seen.clear()
    put(target, holder("NEW", status="suspended", display_name="Åsa"))
    user = next(iter(fake.users))
    assert [seen.path for seen in fake.writes] == [
        f"Users/{user}", f"Groups/{ids['OLD']}", f"Users/{user}", f"Groups/{ids['NEW']}",
    ]  # fmt: skip
    assert fake.writes[0].body["Operations"] == [
        {"op": "replace", "path": "active", "value": False}
    ]


def test_a_refused_block_does_not_stop_the_memberships_from_going(fake_with: Start) -> None:
    fake, target = fake_with()
    fake.group("A")
    fake.group("B")
    put(target, holder("A", "B"))
    fake.habits.refuses_paths = {"active"}
    with pytest.raises(Refused, match="400 invalidPath"):
        put(target, holder(status="suspended"))
    assert (fake.members("A"), fake.members("B")) == ([], [])


def test_a_missing_group_to_enter_does_not_stop_what_takes_away(fake_with: Start) -> None:
    fake, target = fake_with()
    fake.group("A")
    fake.group("C")
    put(target, holder("A"))
    with pytest.raises(Refused, match="0 groups are called"):
        put(target, holder("B", "C"))
    assert (fake.members("A"), len(fake.members("C"))) == ([], 1)


def test_a_local_block_is_not_lifted_by_a_change_that_knew_nothing_of_it(fake_with: Start) -> None:
    fake, target = fake_with()
    id = fake.user("1001", externalId="1001")
    before = target.read_one("1001")
    fake.users[id]["active"] = False
    target.put(Change(before=before, after=holder(display_name="Åsa")))
    target.put(Change(before=None, after=holder(display_name="Åsa")))
    assert fake.users[id]["active"] is False


@pytest.mark.case("T13", "T14")
def test_another_groups_edit_between_read_and_write_is_kept(fake_with: Start) -> None:
    fake, target = fake_with(Habits(patch=False, etag="offered"))
    local = fake.user("lokal")
    id = fake.group("A")

    def edit() -> None:
        fake.groups[id]["members"].append({"value": local})
        fake.touch(fake.groups[id])

    put(target, holder())
    fake.habits.after_read = [edit]
    target.put(Change(before=None, after=holder("A")))
    assert len(fake.members("A")) == 2
    assert local in fake.members("A")


@pytest.mark.case("T13", "T14")
def test_another_edit_of_the_person_between_read_and_write_is_kept(fake_with: Start) -> None:
    fake, target = fake_with(Habits(patch=False, etag="required"))
    id = fake.user("1001", externalId="1001", title="Rektor", unknownToIdsync={"x": [1]})

    def edit() -> None:
        fake.users[id]["title"] = "Lärare"
        fake.touch(fake.users[id])

    fake.habits.after_read = [edit]
    before = target.read_one("1001")
    target.put(Change(before=before, after=holder(display_name="Åsa")))
    user = fake.users[id]
    assert (user["title"], user["displayName"], user["unknownToIdsync"]) == (
        "Lärare", "Åsa", {"x": [1]},
    )  # fmt: skip


def test_a_race_that_is_lost_every_time_ends(fake_with: Start) -> None:
    fake, target = fake_with(Habits(etag="required"))
    fake.group("A")
    put(target, holder())
    fake.next("PATCH", "Groups", *[Trouble(412)] * 9)
    with pytest.raises(Unavailable, match="all the time"):
        put(target, holder("A"))
    assert len([seen for seen in fake.writes if seen.method == "PATCH"]) == 5


@pytest.mark.parametrize(
    "habits", [Habits(), Habits(patch=False, etag="offered"), Habits(patch=False)]
)
def test_many_people_enter_and_leave_one_group_at_once(fake_with: Start, habits: Habits) -> None:
    fake, target = fake_with(habits)
    fake.group("A")
    people = [holder("A", key=f"key-{n}") for n in range(8)]
    with ThreadPoolExecutor(4) as lanes:
        list(lanes.map(lambda one: put(target, one), people))
        assert len(fake.members("A")) == 8
        list(lanes.map(lambda one: put(target, replace(one, grants=())), people[1:]))
    assert len(fake.members("A")) == 1


@pytest.mark.case("T14")
@pytest.mark.parametrize(("habits", "count"), [(Habits(), 3), (Habits(patch=False), 12)])
def test_all_who_leave_a_group_at_once_over_lanes_of_their_own_stay_out(
    fake_with: Start, scim_target: Callable[..., ScimTarget], habits: Habits, count: int
) -> None:
    fake, first = fake_with(habits)
    fake.group("A")
    people = [holder("A", key=f"key-{n}") for n in range(count)]
    for one in people:
        put(first, one)
    slow = lambda _: time.sleep(0.01)  # noqa: E731 - so that the lanes meet
    fake.arrived = fake.carried_out = slow
    targets = [scim_target(fake.url, TOKEN) for _ in range(4)]
    own = threading.local()

    def leave(one: Cardholder) -> None:
        if not hasattr(own, "target"):
            own.target = targets.pop()
        put(own.target, replace(one, grants=()))

    with ThreadPoolExecutor(4) as lanes:
        list(lanes.map(leave, people))
    assert fake.members("A") == [], "a lane put back whom another had taken out"


@pytest.mark.case("T2")
@pytest.mark.parametrize("how", ["drop", "half", "answer"])
@pytest.mark.parametrize(("method", "area"), [("POST", "Users"), ("PATCH", "Groups")])
def test_a_write_whose_answer_was_lost_is_unknown_and_then_found_done(
    fake_with: Start, how: str, method: str, area: str
) -> None:
    fake, target = fake_with()
    fake.group("A")
    change = Change(before=None, after=holder("A", display_name="Åsa"))
    fake.next(method, area, Trouble(500, committed=True, how=how))  # type: ignore[arg-type]  # parametrized text
    with pytest.raises(Unavailable):
        target.put(change)
    assert target.put(change).status == "confirmed"
    assert (len(fake.users), len(fake.members("A"))) == (1, 1)


def test_somebody_who_was_made_in_the_meantime_is_found_and_used(fake_with: Start) -> None:
    fake, target = fake_with()
    fake.group("A")
    find = fake._list

    def made_by_another(*args: object) -> object:
        fake._list = find  # type: ignore[method-assign]
        answer = find(*args)  # type: ignore[arg-type]
        fake.user("1001", externalId="1001")
        return answer

    fake._list = made_by_another  # type: ignore[method-assign,assignment]  # once
    target.put(Change(before=None, after=holder("A", display_name="Åsa")))
    [user] = fake.users.values()
    assert (user["displayName"], fake.members("A")) == ("Åsa", [user["id"]])


def test_a_name_that_is_taken_is_somebody_elses_and_stays_so(fake_with: Start) -> None:
    fake, target = fake_with()
    fake.group("A")
    id = fake.user("1001", externalId="another")
    state = repr(fake.users)
    with pytest.raises(Refused, match="somebody else's record"):
        target.put(Change(before=None, after=holder("A")))
    assert (repr(fake.users), fake.members("A"), list(fake.users)) == (state, [], [id])


def test_a_filter_that_never_finds_anybody_makes_no_second_record(fake_with: Start) -> None:
    fake, target = fake_with(Habits(filters="blind"))
    fake.user("1001", externalId="1001")
    with pytest.raises(Refused):
        target.put(Change(before=None, after=holder()))
    assert len(fake.users) == 1


def test_a_service_that_cannot_patch_and_does_not_say_so_is_sent_whole_records(
    fake_with: Start,
) -> None:
    fake, target = fake_with(Habits(patch=False, says_patch=True))
    id = fake.user("1001", externalId="1001", title="Rektor")
    put(target, holder(display_name="Åsa"))
    assert (fake.users[id]["displayName"], fake.users[id]["title"]) == ("Åsa", "Rektor")
    assert [seen.method for seen in fake.writes] == ["PATCH", "PUT"]


def test_a_service_that_keeps_less_than_it_was_sent_still_gives_access(fake_with: Start) -> None:
    department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    fake, target = fake_with(
        Habits(forgets={department}, refuses_paths={f"{department}:department"})
    )
    fake.group("A")
    put(target, holder("A", department="Skola"))
    assert len(fake.members("A")) == 1


def test_a_group_that_a_filter_does_not_show_is_left_all_the_same(fake_with: Start) -> None:
    fake, target = fake_with()
    fake.group("A")
    put(target, holder("A"))
    find = fake._filtered
    fake._filtered = lambda records, text: [] if "displayName" in text else find(records, text)  # type: ignore[method-assign]  # one more habit
    put(target, holder())
    assert fake.members("A") == []


@pytest.mark.parametrize("removal", ["filter", "value"])
def test_a_removal_that_empties_the_group_is_undone_and_said(
    fake_with: Start, removal: str
) -> None:
    fake, target = fake_with(Habits(removal="wipes"), member_removal=removal)
    others = [fake.user(f"other-{n}") for n in range(3)]
    fake.group("A", *others)
    put(target, holder("A"))
    with pytest.raises(ConfigError, match="were put back"):
        put(target, holder())
    assert fake.members("A") == others


def test_groups_are_written_whole_where_that_is_set(fake_with: Start) -> None:
    fake, target = fake_with(Habits(removal="wipes"), member_removal="whole")
    others = [fake.user(f"other-{n}") for n in range(3)]
    fake.group("A", *others)
    put(target, holder("A"))
    put(target, holder())
    assert fake.members("A") == others


def test_two_groups_of_one_name_are_left_and_never_entered(fake_with: Start) -> None:
    fake, target = fake_with()
    put(target, holder())
    [id] = fake.users
    fake.group("A", id)
    fake.group("A", id)
    put(target, holder())
    assert fake.members("A") == []
    with pytest.raises(Refused, match="2 groups are called"):
        put(target, holder("A"))


def test_a_group_that_is_called_otherwise_by_now_is_not_entered(fake_with: Start) -> None:
    fake, target = fake_with()
    id = fake.group("A")
    list(target.read())
    fake.groups[id]["displayName"] = "Z"
    with pytest.raises(Refused):
        put(target, holder("A"))
    assert fake.members("Z") == []


def test_what_scim_cannot_hold_is_refused(fake_with: Start) -> None:
    fake, target = fake_with()
    fake.group("A")
    dated = Grant(ref="A", valid_to=datetime(2026, 1, 1, tzinfo=UTC))
    for grant in (dated, Grant(ref="A", kind="alarm")):
        with pytest.raises(Refused, match="without dates only"):
            target.put(Change(before=None, after=replace(holder(), grants=(grant,))))
    with pytest.raises(Refused, match="no credentials"):
        target.put(
            Change(before=None, after=replace(holder(), credentials=(Credential(number="1"),)))
        )
    assert fake.members("A") == []


def test_a_person_without_mail_is_refused_where_mail_is_the_user_name(fake_with: Start) -> None:
    fake, target = fake_with(user_name="mail")
    with pytest.raises(Refused, match="no mail address"):
        target.put(Change(before=None, after=holder()))
    put(target, holder(mail="asa@example.se"))
    assert [user["userName"] for user in fake.users.values()] == ["asa@example.se"]


@pytest.mark.parametrize("status", [400, 409, 413, 422, 507])
def test_a_refusal_repeats_nothing_that_was_sent(fake_with: Start, status: int) -> None:
    fake, target = fake_with()
    said = b'{"detail": "Hemlig Person 19121212-1212", "scimType": "Hemlig Person"}'
    answer = Trouble(status, {"Content-Type": "application/scim+json"}, said)
    fake.next("POST", "Users", answer)
    with pytest.raises(Refused) as caught:
        target.put(Change(before=None, after=holder(key="Hemlig", display_name="Hemlig Person")))
    assert "Hemlig" not in str(caught.value)
    assert caught.value.__cause__ is None


TROUBLES = [
    (Trouble(401), Denied),
    (Trouble(403), Denied),
    (Trouble(429, {"Retry-After": "7"}), Unavailable),
    (Trouble(503), Unavailable),
    (Trouble(302, {"Location": "/elsewhere"}), Unavailable),
    (Trouble(200, {"Content-Type": "text/html"}, b"<html>"), Unavailable),
    (Trouble(how="drop"), Unavailable),
    (Trouble(400), Refused),
]


@pytest.mark.parametrize(("trouble", "kind"), TROUBLES)
@pytest.mark.parametrize(
    ("method", "area"), [("PATCH", "Users"), ("POST", "Users"), ("GET", "Groups")]
)
def test_trouble_in_a_write_is_raised_once_and_never_tried_again(
    fake_with: Start, trouble: Trouble, kind: type[ConnectorError], method: str, area: str
) -> None:
    fake, target = fake_with()
    fake.group("A")
    if method == "PATCH":
        fake.user("1001", externalId="1001")
    if kind is Refused and method == "GET":
        return  # a filter that is refused is not needed: the list is read instead
    fake.next(method, area, trouble)
    with pytest.raises(kind) as caught:
        target.put(Change(before=None, after=holder("A", display_name="Åsa")))
    assert type(caught.value) is kind
    sent = [s for s in fake.seen if (s.method, s.path.partition("/")[0]) == (method, area)]
    assert len(sent) == 1
