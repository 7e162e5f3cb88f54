"""What is peculiar to UHPPOTE controllers: dates that block, doors, profiles, two of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from idsync.errors import Refused
from idsync.model import Change, Credential
from idsync.targets.uhppote import UhppoteTarget
from tests.fakes.uhppote import DELETE_CARD, PUT_CARD, Held
from tests.targets.uhppote import (
    CARD,
    DAY,
    SECOND,
    Site,
    change,
    held,
    holding,
    refs,
    shown,
    today,
)  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.own("1001", CARD)
    site.own("1002", 8_000_009)
    yield site
    site.close()


@pytest.fixture
def target(site: Site) -> UhppoteTarget:
    return site.target()


# ── what a record becomes ───────────────────────────────────────────────────────────────


def test_a_new_card_gets_the_dates_of_the_settings(site: Site) -> None:
    target = site.target(card_from="2024-05-01", card_until="2040-12-31")
    target.put(Change(before=None, after=holding("SKOLA-ENTRE")))
    new = Held("2024-05-01", "2040-12-31", (0, 0, 1, 0), pin=0, first=0)
    assert held(site) == (new, None), "a card stands where it opens something"


def test_dates_pin_and_first_card_rights_of_others_stay(site: Site, target: UhppoteTarget) -> None:
    site.first.put(
        CARD, 0, 1, begin=date(2020, 2, 3), end=date(2031, 4, 5), pin=123456, first=2
    )  # fmt: skip
    change(target, holding("FSK-ENTRE", f"{site.first.id}:2"))
    theirs = Held("2020-02-03", "2031-04-05", (1, 1, 0, 0), pin=123456, first=2)
    assert site.first.held(CARD) == theirs
    change(target, holding())
    assert site.first.held(CARD) == replace(theirs, doors=(0, 0, 0, 0))


def test_a_card_is_never_wider_on_a_new_controller_than_where_it_was(
    site: Site, target: UhppoteTarget
) -> None:
    site.first.put(CARD, 1, begin=date(2030, 1, 1), end=date(2031, 1, 1), pin=77, first=1)
    change(target, holding("FSK-ENTRE", "STADSHUS Å"))
    assert site.second.held(CARD) == Held("2030-01-01", "2031-01-01", (0, 1, 0, 0), 77, first=0)


def test_a_cardholder_without_doors_stands_on_the_first_controller(
    site: Site, target: UhppoteTarget
) -> None:
    target.put(Change(before=None, after=holding()))
    first, second = held(site)
    assert first is not None
    assert first.doors == (0, 0, 0, 0)
    assert second is None


def test_nothing_is_ever_deleted_and_nothing_is_written_twice(
    site: Site, target: UhppoteTarget
) -> None:
    wanted = holding("FSK-ENTRE", "STADSHUS Å")
    target.put(Change(before=None, after=wanted))
    target.put(Change(before=None, after=wanted))
    change(target, holding())
    change(target, holding(status="suspended"))
    asked = site.first.seen + site.second.seen
    assert DELETE_CARD not in asked
    assert asked.count(PUT_CARD) == 6


STATES = {"active": (-1, 1), "inactive": (2, 3), "expired": (-3, -2)}


@pytest.mark.parametrize("state", STATES)
def test_dates_of_a_card_show_as_its_state(site: Site, target: UhppoteTarget, state: str) -> None:
    begin, end = (today(site) + timedelta(days=days) for days in STATES[state])
    site.first.put(CARD, 1, begin=begin, end=end)
    found = shown(target)
    assert [card.state for card in found.credentials] == [state]
    assert found.status == "active", "dates of others are no suspension"


def test_the_first_and_the_last_day_count(site: Site, target: UhppoteTarget) -> None:
    site.first.put(CARD, 1, begin=today(site), end=today(site))
    assert shown(target).credentials == (Credential(number=str(CARD)),)


# ── suspending ──────────────────────────────────────────────────────────────────────────

DATES = {
    "usual": (date(2000, 1, 1), date(2099, 12, 31)),
    "of a local administrator": (date(2024, 2, 29), date(2027, 3, 1)),
    "of one day": (date(2030, 6, 6), date(2030, 6, 6)),
    "of two days": (date(2030, 6, 6), date(2030, 6, 7)),
    "not begun": (date(2044, 1, 1), date(2045, 1, 1)),
    "over": (date(2001, 1, 1), date(2002, 1, 1)),
}


@pytest.mark.parametrize("dates", DATES)
def test_a_block_leaves_no_valid_day_and_forgets_nothing(
    site: Site, target: UhppoteTarget, dates: str
) -> None:
    begin, end = DATES[dates]
    for controller in site.both:
        controller.put(CARD, 0, 1, 0, 1, begin=begin, end=end, pin=4711, first=9)
    as_it_was = held(site)
    suspended = change(target, replace(shown(target), status="suspended"))
    assert (suspended.status, suspended.amiss) == ("suspended", "")
    assert [card.state for card in suspended.credentials] == ["suspended"]
    for one in held(site):
        assert one is not None
        assert one.begin > one.end, "a blocked card is valid on some day"
    assert shown(target).grants == suspended.grants, "what a local administrator gave is gone"

    assert change(target, replace(suspended, status="active")).status == "active"
    assert held(site) == as_it_was


def test_a_plan_older_than_a_suspension_lets_nobody_in(site: Site, target: UhppoteTarget) -> None:
    active = change(target, holding("FSK-ENTRE"))
    change(target, replace(active, status="suspended"))
    target.put(Change(before=active, after=holding("FSK-ENTRE", "STADSHUS Å")))
    target.put(Change(before=None, after=holding("SKOLA-ENTRE")))
    target.put(Change(before=active, after=active))
    site.own("1001", SECOND)
    target.put(Change(before=active, after=active))
    assert shown(target).status == "suspended"
    for card in (CARD, SECOND):
        for one in held(site, card):
            assert one is not None
            assert one.begin > one.end, "a card of a suspended person is valid"


def test_a_block_on_one_controller_only_is_told_and_completed(
    site: Site, target: UhppoteTarget
) -> None:
    change(target, holding("FSK-ENTRE", "STADSHUS Å"))
    site.second.put(CARD, 0, 1, begin=date(2099, 12, 31), end=date(2000, 1, 1))
    found = shown(target)
    assert found.status == "active", "who can enter somewhere is not suspended"
    assert "on some controllers only" in found.amiss
    with pytest.raises(Refused, match="on some controllers only"):
        target.put(Change(before=found, after=found))
    assert site.second.held(CARD) == Held("2099-12-31", "2000-01-01", (0, 1, 0, 0), 0, 0)
    suspended = change(target, replace(found, status="suspended"))
    assert (suspended.status, suspended.amiss) == ("suspended", "")


def test_a_controller_that_takes_no_turned_dates_loses_at_least_the_doors(
    site: Site, target: UhppoteTarget
) -> None:
    before = change(target, holding("FSK-ENTRE"))
    site.first.put(CARD, 1, 1)
    site.habits.takes_turned_dates = False
    with pytest.raises(Refused, match="did not store a card"):
        target.put(Change(before=before, after=holding(status="suspended")))
    found = shown(target)
    assert (found.status, refs(found)) == ("active", {f"{site.first.id}:2"})


def test_a_card_whose_dates_cannot_be_read_is_not_written(
    site: Site, target: UhppoteTarget
) -> None:
    before = change(target, holding("FSK-ENTRE"))
    site.habits.zero_dates = True
    for after in (
        holding(),
        replace(before, status="suspended"),
        holding("FSK-ENTRE", "SKOLA-ENTRE"),
    ):
        with pytest.raises(Refused, match="dates cannot be read"):
            target.put(Change(before=before, after=after))
    site.habits.zero_dates = False
    assert refs(shown(target)) == {"FSK-ENTRE"}


# ── several cards ───────────────────────────────────────────────────────────────────────


def test_a_new_card_in_the_file_gets_what_the_other_has(site: Site, target: UhppoteTarget) -> None:
    change(target, holding("FSK-ENTRE", "STADSHUS Å"))
    site.own("1001", SECOND)
    found = shown(target)
    assert "lacks a door" in found.amiss
    assert [card.state for card in found.credentials] == ["active", "inactive"]
    found = change(target, found)
    assert found.amiss == ""
    assert held(site, SECOND) == held(site, CARD)


def test_a_right_goes_from_every_card(site: Site, target: UhppoteTarget) -> None:
    site.own("1001", SECOND)
    change(target, holding("FSK-ENTRE", "STADSHUS Å"))
    change(target, holding("FSK-ENTRE"))
    for card in (CARD, SECOND):
        first, second = held(site, card)
        assert (first.doors, second.doors) == ((1, 0, 0, 0), (0, 0, 0, 0))  # type: ignore[union-attr]  # None fails too


def test_two_cards_in_different_time_profiles_are_left_to_a_person(
    site: Site, target: UhppoteTarget
) -> None:
    site.own("1001", SECOND)
    site.first.put(CARD, 1, 0, 1)
    site.first.put(SECOND, DAY)
    found = shown(target)
    assert refs(found) == {"FSK-ENTRE", "FSK-ENTRE/DAY", "SKOLA-ENTRE"}
    assert "different time profiles" in found.amiss
    with pytest.raises(Refused, match="different time profiles"):
        target.put(Change(before=found, after=found))
    doors = [site.first.held(card).doors for card in (CARD, SECOND)]  # type: ignore[union-attr]  # None fails too
    assert doors == [(1, 0, 1, 0), (DAY, 0, 1, 0)], "the rest was not levelled, or too much was"

    found = change(target, holding("FSK-ENTRE/DAY", "SKOLA-ENTRE"))
    assert (refs(found), found.amiss) == ({"FSK-ENTRE/DAY", "SKOLA-ENTRE"}, "")


@pytest.mark.parametrize(
    "card",
    [
        Credential(number="8000777"),
        Credential(number=str(CARD), state="suspended"),
        Credential(number=str(CARD), medium="tag"),
    ],
)
def test_what_a_card_cannot_be_is_refused_after_taking_away(
    target: UhppoteTarget, card: Credential
) -> None:
    before = change(target, holding("FSK-ENTRE", "SKOLA-ENTRE"))
    with pytest.raises(Refused, match="lost card") as raised:
        target.put(Change(before=before, after=holding("FSK-ENTRE", credentials=(card,))))
    assert card.number not in str(raised.value)
    assert refs(shown(target)) == {"FSK-ENTRE"}
