"""The local target and the access system it talks to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from idsync.errors import Refused
from idsync.model import Cardholder, Change, Credential, Grant
from idsync.targets.local import LocalTarget
from idsync.targets.local_system import (
    CardRecord,
    GrantRecord,
    HolderRecord,
    LocalSystem,
    NotAllowed,
)
from idsync.testing.habit_contract import HabitContract, WithoutCalls
from idsync.testing.target_contract import TargetContract
from idsync.testing.target_kit import Stranger
from tests.targets.local import (
    ANNA,
    administrator,
    down_target,
    new_target,
    put,
    write_initial,
)

MAY = datetime(2031, 5, 1, tzinfo=UTC)
JUNE = datetime(2031, 6, 1, tzinfo=UTC)


class TestLocal(TargetContract, HabitContract):
    @pytest.fixture
    def target(self, tmp_path: Path) -> LocalTarget:
        return new_target(tmp_path)

    @pytest.fixture
    def habits(self, tmp_path: Path) -> WithoutCalls:
        return WithoutCalls(lambda: new_target(tmp_path))

    @pytest.fixture
    def outage(self, tmp_path: Path) -> LocalTarget:
        return down_target(tmp_path)

    @pytest.fixture
    def stranger(self, tmp_path: Path) -> Stranger:
        return administrator(tmp_path)

    @pytest.fixture
    def rights(self) -> tuple[str, ...]:
        return ("FSK-ENTRE", "SKOLA-ENTRE", "STADSHUS")

    @pytest.fixture
    def alarm_rights(self) -> tuple[str, ...]:
        return ("LARM-FSK",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "city hall å#%.db"


@pytest.fixture
def system(path: Path) -> LocalSystem:
    return LocalSystem(path, create=True)


@pytest.fixture
def target(path: Path) -> LocalTarget:
    return LocalTarget(LocalTarget.Config(path=path, create=True))


@pytest.fixture
def initial(tmp_path: Path) -> Path:
    return write_initial(tmp_path)


def grants_by(system: LocalSystem, key: str = "1001") -> Counter[str]:
    record = system.record(key)
    assert record is not None
    return Counter(grant.granted_by for grant in record.grants)


# ── changes ─────────────────────────────────────────────────────────────────────────────


def test_a_refused_change_leaves_nothing_behind(path: Path, initial: Path) -> None:
    target = LocalTarget(LocalTarget.Config(path=path, initial=initial, rights="closed"))
    before = put(target, Cardholder(key="1002", grants=(Grant(ref="FSK-ENTRE"),)))
    after = replace(before, display_name="Ny", grants=(Grant(ref="FSK-ENTRÉ"),))
    with pytest.raises(Refused, match="no access right 'FSK-ENTRÉ'"):
        target.put(Change(before=before, after=after))
    assert target.read_one("1002") == before
    LocalSystem(path).add_right("FSK-ENTRÉ", by=ANNA)
    assert put(target, after, before).grants == after.grants


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_text_that_cannot_be_kept_is_refused(target: LocalTarget, text: str) -> None:
    for after in (
        Cardholder(key=text),
        Cardholder(key="1001", display_name=text),
        Cardholder(key="1001", grants=(Grant(ref=text),)),
        Cardholder(key="1001", credentials=(Credential(number=text),)),
    ):
        with pytest.raises(Refused):
            target.put(Change(before=None, after=after))
    assert [*target.read()] == []


@pytest.mark.parametrize(
    "after",
    [
        Cardholder(key=""),
        Cardholder(key="1001", grants=(Grant(ref=""),)),
        Cardholder(key="1001", credentials=(Credential(number=""),)),
        Cardholder(key="1001", grants=(Grant(ref="A", valid_to=MAY.replace(tzinfo=None)),)),
    ],
)
def test_an_empty_name_or_a_time_without_a_zone_is_refused(
    target: LocalTarget, after: Cardholder
) -> None:
    with pytest.raises(Refused):
        target.put(Change(before=None, after=after))
    assert [*target.read()] == []


def test_a_second_put_writes_nothing(system: LocalSystem, target: LocalTarget) -> None:
    grants = (Grant(ref="A", valid_from=MAY), Grant(ref="LARM", kind="alarm"))
    first = put(target, Cardholder(key="1001", display_name="Åsa", grants=grants))
    change = Change(
        before=first,
        after=replace(first, display_name="Åsa Ö", status="suspended", grants=grants[1:]),
    )
    target.put(change)
    last = system.events()[-1].number
    target.put(change)
    assert system.events(after=last) == []


def test_part_of_a_second_is_not_kept(target: LocalTarget) -> None:
    fine = Grant(ref="A", valid_to=MAY + timedelta(microseconds=999_999))
    after = Cardholder(key="1001", grants=(fine,))
    assert put(target, after).grants == (Grant(ref="A", valid_to=MAY),)
    assert put(target, after).grants == (Grant(ref="A", valid_to=MAY),)
    assert put(target, replace(after, grants=()), after).grants == ()


def test_a_stale_change_lets_nobody_back_in(system: LocalSystem, target: LocalTarget) -> None:
    planned_on = put(target, Cardholder(key="1001", display_name="Åsa"))
    system.suspend_by_hand("1001", by=ANNA)
    assert put(target, replace(planned_on, display_name="Åsa Ö"), planned_on).status == "suspended"
    assert put(target, Cardholder(key="1001")).status == "suspended"


# ── what is idsync's own ────────────────────────────────────────────────────────────────


def test_of_two_equal_grants_idsync_takes_its_own(system: LocalSystem, target: LocalTarget) -> None:
    ours = put(target, Cardholder(key="1001", grants=(Grant(ref="A", valid_to=MAY),)))
    system.grant_by_hand("1001", "A", valid_to=MAY, by=ANNA)
    before = target.read_one("1001")
    assert before is not None
    assert before.grants == (*ours.grants, *ours.grants)
    for _ in range(2):  # also when the change is sent again
        put(target, replace(before, grants=()), before)
        assert grants_by(system) == {ANNA: 1}


def test_an_adopted_grant_can_be_taken_away(path: Path, initial: Path) -> None:
    target = LocalTarget(LocalTarget.Config(path=path, initial=initial))
    before = target.read_one("1001")
    assert before is not None
    assert put(target, replace(before, grants=()), before).grants == ()


def test_a_grant_with_another_end_is_another_grant(
    system: LocalSystem, target: LocalTarget
) -> None:
    before = put(target, Cardholder(key="1001", grants=(Grant(ref="A", valid_to=MAY),)))
    system.edit_end("1001", "A", JUNE, by=ANNA)
    after = put(target, replace(before, grants=()), before)
    assert after.grants == (Grant(ref="A", valid_to=JUNE),)


def test_a_grant_shows_whose_it_is(system: LocalSystem, target: LocalTarget) -> None:
    put(target, Cardholder(key="1001", grants=(Grant(ref="A"),)))
    system.grant_by_hand("1001", "B", by=ANNA, note="vikarie")
    found = target.read_one("1001")
    assert found is not None
    ours, theirs = found.grants
    assert ours.because == ()
    assert [(each.type, each.ref, each.text) for each in theirs.because] == [
        ("manual", ANNA, "vikarie")
    ]


@pytest.mark.case("T15")
def test_a_card_that_moved_is_left_to_its_new_holder(
    system: LocalSystem, target: LocalTarget
) -> None:
    put(target, Cardholder(key="1001"))
    put(target, Cardholder(key="1002"))
    system.issue_card("1001", "7001", by=ANNA)
    before = target.read_one("1001")
    assert before is not None
    system.move_card("7001", "1002", by=ANNA)
    blocked = Credential(number="7001", state="suspended")
    gone = put(target, replace(before, status="suspended", credentials=(blocked,)), before)
    assert gone.credentials == ()
    other = target.read_one("1002")
    assert other is not None
    assert other.credentials == (Credential(number="7001"),)


def test_one_number_may_stand_on_two_people(system: LocalSystem, target: LocalTarget) -> None:
    for key in ("1001", "1002"):
        put(target, Cardholder(key=key, credentials=(Credential(number="7001", medium="tag"),)))
    before = target.read_one("1001")
    assert before is not None
    lost = Credential(number="7001", medium="tag", state="lost", state_reason="anmäld")
    found = put(target, replace(before, credentials=(lost,)), before)
    assert [(each.state, each.state_reason) for each in found.credentials] == [("lost", "anmäld")]
    other = target.read_one("1002")
    assert other is not None
    assert [each.state for each in other.credentials] == ["active"]


# ── local administrators ────────────────────────────────────────────────────────────────


def test_every_write_is_in_the_log_with_who_and_what(
    system: LocalSystem, target: LocalTarget
) -> None:
    put(target, Cardholder(key="1001", grants=(Grant(ref="A"),)))
    system.grant_by_hand("1001", "B", "alarm", MAY, JUNE, by=ANNA)
    system.edit_end("1001", "B", MAY, "alarm", by=ANNA)
    system.remove_by_hand("1001", "B", "alarm", MAY, MAY, by=ANNA)
    system.issue_card("1001", "7001", by=ANNA)
    system.move_card("7001", None, by=ANNA)
    system.suspend_by_hand("1001", by=ANNA)
    system.delete_by_hand("1001", by=ANNA)
    events = system.events()
    assert [(each.by, each.what) for each in events] == [
        ("idsync", "cardholder added"),
        ("idsync", "right added"),
        ("idsync", "granted"),
        (ANNA, "right added"),
        (ANNA, "granted"),
        (ANNA, "end changed"),
        (ANNA, "withdrawn"),
        (ANNA, "card issued"),
        (ANNA, "card moved"),
        (ANNA, "status changed"),
        (ANNA, "cardholder deleted"),
    ]
    assert [each.number for each in events] == [*range(1, 12)]
    assert all(datetime.now(UTC) - each.at < timedelta(minutes=1) for each in events)


def test_a_cardholder_deleted_by_hand_leaves_its_card_and_no_native_id(
    system: LocalSystem, target: LocalTarget
) -> None:
    first = put(target, Cardholder(key="1001", credentials=(Credential(number="7001"),)))
    system.delete_by_hand("1001", by=ANNA)
    assert [*target.read()] == [Cardholder(key=None, credentials=first.credentials)]
    assert put(target, Cardholder(key="1001")).native_id != first.native_id


def test_a_local_administrator_works_by_native_id_too(
    system: LocalSystem, target: LocalTarget
) -> None:
    record = HolderRecord(
        key=None,
        native_id="N9",
        display_name="Gäst",
        credentials=[CardRecord(number="7009")],
        grants=[GrantRecord(ref="A")],
    )
    system.add_by_hand(record, by=ANNA)
    system.grant_by_hand("N9", "B", by=ANNA)
    [guest] = target.read()
    assert {grant.ref for grant in guest.grants} == {"A", "B"}
    assert {grant.because[0].ref for grant in guest.grants} == {ANNA}


def test_keys_are_unique(system: LocalSystem) -> None:
    system.add_by_hand(HolderRecord(key="1001"), by=ANNA)
    with pytest.raises(NotAllowed, match="a key that another has"):
        system.add_by_hand(HolderRecord(key="1001"), by=ANNA)
