"""What a change becomes on an order: days, doors, cards, names, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from idsync.errors import Refused
from idsync.model import Change, Credential, Grant
from idsync.targets.work_order import WorkOrderTarget
from tests.fakes.work_order import rows_of
from tests.targets.work_order import House, anna, give, refs, see

CARD = Credential(number="8123456")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def target(house: House) -> WorkOrderTarget:
    return house.target()


def order(house: House, number: int) -> list[dict[str, str]]:
    return rows_of((house.folder / f"order-{number:06}.csv").read_bytes())


def day(year: int, month: int, number: int, *, utc_hours: int = 0) -> datetime:
    """Return the instant at which a day begins in Stockholm, which is so far before UTC's."""
    return datetime(year, month, number, tzinfo=UTC) - timedelta(hours=utc_hours)


# ── days ────────────────────────────────────────────────────────────────────────────────


def test_the_end_is_the_last_day_and_an_open_end_is_empty(
    house: House, target: WorkOrderTarget
) -> None:
    until_summer = Grant(
        ref="PORT A", valid_from=day(2031, 4, 1, utc_hours=2), valid_to=day(2031, 7, 1, utc_hours=2)
    )
    for_ever = Grant(ref="PORT B", valid_from=day(2031, 12, 1, utc_hours=1))
    give(target, replace(anna(), grants=(until_summer, for_ever)))
    days = [(line["from"], line["last_day"]) for line in order(house, 1)]
    assert days == [("2031-04-01", "2031-06-30"), ("2031-12-01", "")]
    house.landlord.work()
    house.tomorrow()
    house.landlord.write_list()
    assert set(see(target).grants) == {until_summer, for_ever}, "read back from the landlord's list"


@pytest.mark.parametrize(
    "grant",
    [
        Grant(ref="PORT A", valid_to=day(2031, 7, 1)),
        Grant(ref="PORT A", valid_from=day(2031, 7, 1, utc_hours=2) + timedelta(seconds=1)),
        Grant(ref="PORT A", valid_from=day(2031, 7, 2, utc_hours=2),
              valid_to=day(2031, 7, 1, utc_hours=2)),
        Grant(ref="PORT A", kind="alarm"),
        Grant(ref="PORT A", kind="competency"),
        Grant(ref=""),
        Grant(ref="=HYPERLINK(1)"),
        Grant(ref="PORT\nA"),
        Grant(ref="Порт"),
        Grant(ref="P" * 101),
    ],
)  # fmt: skip
def test_what_an_order_cannot_say_is_refused_and_what_takes_away_is_done(
    house: House, target: WorkOrderTarget, grant: Grant
) -> None:
    give(target, anna("PORT B", "CYKELRUM Å"))
    house.landlord.work()
    before = see(target)
    after = replace(before, grants=(*anna("PORT B").grants, grant))
    [outcome] = target.put_many([Change(before=before, after=after)])
    assert outcome.status == "refused"
    with pytest.raises(Refused):
        give(target, after, before)
    house.landlord.work()
    assert refs(see(target)) == {"PORT B"}
    assert len(house.landlord.orders()) == 2, "twice is once"


def test_a_shorter_period_is_one_urgent_line_and_a_longer_one_is_not_urgent(
    house: House, target: WorkOrderTarget
) -> None:
    door = Grant(ref="PORT A", valid_to=day(2031, 7, 1, utc_hours=2))
    give(target, replace(anna(), grants=(door,)))
    house.landlord.work()
    for number, end, urgent in ((2, day(2031, 6, 1, utc_hours=2), "yes"), (3, None, "no")):
        before = see(target)
        after = replace(before, grants=(replace(door, valid_to=end),))
        give(target, after, before)
        [line] = order(house, number)
        assert (line["action"], line["urgent"]) == ("change", urgent)
        house.landlord.work()
        assert see(target).grants == after.grants


def test_a_right_that_the_landlord_gave_with_other_dates_is_left_alone(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT B"))
    house.landlord.work()
    house.landlord.tenant("P1").doors["PORT A"] = ("", "2031-12-31")
    house.landlord.write_list()
    with pytest.raises(Refused, match="not by idsync"):
        give(target, anna("PORT B", "PORT A"), anna("PORT B"))
    assert len(house.landlord.orders()) == 1


# ── people ──────────────────────────────────────────────────────────────────────────────


def test_a_plan_older_than_a_suspension_lets_nobody_back_in(
    house: House, target: WorkOrderTarget
) -> None:
    give(target, anna("PORT A", credentials=(CARD,)))
    house.landlord.work()
    active = see(target)
    blocked = (replace(CARD, state="lost"),)
    give(target, replace(active, status="suspended", grants=(), credentials=blocked), active)
    house.landlord.work()
    give(target, replace(active, grants=anna("PORT A", "PORT B").grants), active)
    give(target, active)
    house.landlord.work()
    found = see(target)
    assert found.status == "suspended"
    assert [card.state for card in found.credentials] == ["lost"]
    assert house.landlord.tenant("P1").blocked


def test_a_new_name_goes_out_after_what_takes_away(house: House, target: WorkOrderTarget) -> None:
    give(target, anna("PORT A"))
    house.landlord.work()
    before = see(target)
    give(target, replace(before, display_name="Anna Berg", grants=()), before)
    assert [line["name"] for line in order(house, 2)] == ["Anna Ek"]
    [renamed] = order(house, 3)
    assert (renamed["action"], renamed["name"]) == ("rename", "Anna Berg")
    house.landlord.work()
    assert see(target).display_name == "Anna Berg"


@pytest.mark.parametrize(
    "name", ["Šejla Đorđević", "=1+1", "@SUM(1)", "Anna\tEk", " Anna", "A" * 101]
)
def test_a_name_that_an_order_cannot_show_is_refused_and_never_shown(
    house: House, target: WorkOrderTarget, name: str
) -> None:
    with pytest.raises(Refused) as told:
        give(target, anna("PORT A", display_name=name))
    assert name not in str(told.value)
    assert house.files("order-*") == []
    assert target.read_one("1001") is None


def test_a_name_with_loose_accents_is_shown_composed_and_kept_as_it_came(
    house: House, target: WorkOrderTarget
) -> None:
    loose = "A\u030asa O\u0308berg"
    give(target, anna("PORT A", display_name=loose))
    assert order(house, 1)[0]["name"] == "Åsa Öberg"
    assert see(target).display_name == loose


def test_an_empty_or_broken_key_is_refused_and_stops_nobody_else(
    house: House, target: WorkOrderTarget
) -> None:
    nobody = [Change(before=None, after=replace(anna("PORT A"), key=key)) for key in ("", "\ud800")]
    outcomes = target.put_many([*nobody, Change(before=None, after=anna("PORT A"))])
    assert [outcome.status for outcome in outcomes] == ["refused", "refused", "submitted"]
    assert target.read_one("\ud800") is None


def test_a_closed_list_of_doors_refuses_every_other(house: House) -> None:
    with pytest.raises(Refused, match="`doors`"):
        give(house.target(doors=["PORT B"]), anna("PORT A"))
