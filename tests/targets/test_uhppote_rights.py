"""UHPPOTE controllers: doors, time profiles, two of them, and what check and settings say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from idsync.errors import Refused, Unavailable
from idsync.model import Change, Grant, GrantKind
from idsync.targets.uhppote import UhppoteTarget
from tests.fakes.uhppote import PUT_CARD
from tests.targets.uhppote import CARD, DAY, SECOND, Site, change, held, holding, refs, shown

HOME = Path(__file__).parents[2]


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


# ── rights ──────────────────────────────────────────────────────────────────────────────


def test_a_time_profile_is_given_shown_and_taken(site: Site, target: UhppoteTarget) -> None:
    assert refs(change(target, holding("STADSHUS Å/DAY"))) == {"STADSHUS Å/DAY"}
    assert site.second.held(CARD).doors == (0, DAY, 0, 0)  # type: ignore[union-attr]  # None fails too
    assert refs(change(target, holding("STADSHUS Å"))) == {"STADSHUS Å"}, "exchanged in one change"
    assert refs(change(target, holding())) == set()


def test_a_time_profile_that_is_not_defined_there_is_refused(
    site: Site, target: UhppoteTarget
) -> None:
    """A card with such a profile would open the door at all times."""
    site.second.profiles.clear()
    with pytest.raises(Refused, match="time profile 29 is not defined there"):
        target.put(Change(before=None, after=holding("STADSHUS Å/DAY", "FSK-ENTRE")))
    assert held(site) == (None, None)


def test_what_the_settings_do_not_name_is_shown_and_kept_and_taken_and_never_given(
    site: Site, target: UhppoteTarget
) -> None:
    site.first.put(CARD, 7, 1)
    theirs = {"FSK-ENTRE/7", f"{site.first.id}:2"}
    assert refs(shown(target)) == theirs
    assert refs(change(target, holding(*theirs, "SKOLA-ENTRE"))) == {*theirs, "SKOLA-ENTRE"}
    assert refs(change(target, holding("SKOLA-ENTRE"))) == {"SKOLA-ENTRE"}
    for ref in theirs:
        with pytest.raises(Refused, match="no door of the settings"):
            change(target, holding("SKOLA-ENTRE", ref))


@pytest.mark.parametrize("there", ["FSK-ENTRE", "FSK-ENTRE/DAY"])
def test_a_door_that_others_gave_at_other_times_is_left_alone(
    site: Site, target: UhppoteTarget, there: str
) -> None:
    site.first.put(CARD, DAY if "/" in there else 1)
    wanted = "FSK-ENTRE" if "/" in there else "FSK-ENTRE/DAY"
    with pytest.raises(Refused, match="another time profile"):
        target.put(Change(before=None, after=holding(wanted)))
    assert refs(shown(target)) == {there}


WRONG: dict[str, tuple[Grant, ...]] = {
    "an alarm right": (Grant(ref="FSK-ENTRE", kind="alarm"),),
    "a training": (Grant(ref="FSK-ENTRE", kind="competency"),),
    "a begin": (Grant(ref="FSK-ENTRE", valid_from=datetime(2031, 1, 1, tzinfo=UTC)),),
    "an end": (Grant(ref="FSK-ENTRE", valid_to=datetime(2031, 1, 1, tzinfo=UTC)),),
    "two profiles of one door": (Grant(ref="FSK-ENTRE"), Grant(ref="FSK-ENTRE/DAY")),
    "a profile of nothing": (Grant(ref="/DAY"),),
    "a number for a named profile": (Grant(ref=f"FSK-ENTRE/{DAY}"),),
    "a profile 1": (Grant(ref="FSK-ENTRE/1"),),
    "more after the profile": (Grant(ref="FSK-ENTRE/DAY/DAY"),),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_grant_that_fits_no_door_is_refused_after_taking_away(
    site: Site, target: UhppoteTarget, what: str
) -> None:
    before = change(target, holding("SKOLA-ENTRE", "STADSHUS Å"))
    after = replace(before, grants=(Grant(ref="STADSHUS Å"), *WRONG[what]))
    with pytest.raises(Refused):
        target.put(Change(before=before, after=after))
    assert refs(shown(target)) == {"STADSHUS Å"}


@pytest.mark.parametrize("alias", [f"FSK-ENTRE/{DAY}", f"FSK-ENTRE/0{DAY}"])
def test_a_right_has_one_name_only(target: UhppoteTarget, alias: str) -> None:
    there = change(target, holding("FSK-ENTRE/DAY"))
    target.put(Change(before=replace(there, grants=(Grant(ref=alias),)), after=holding()))
    assert refs(shown(target)) == {"FSK-ENTRE/DAY"}


@pytest.mark.parametrize("kind", ["alarm", "competency"])
def test_a_removed_right_of_another_kind_is_no_door(target: UhppoteTarget, kind: GrantKind) -> None:
    there = change(target, holding("FSK-ENTRE"))
    before = replace(there, grants=(Grant(ref="FSK-ENTRE", kind=kind),))
    target.put(Change(before=before, after=holding()))
    assert refs(shown(target)) == {"FSK-ENTRE"}


# ── several controllers ─────────────────────────────────────────────────────────────────


def test_what_is_taken_goes_where_it_can_and_nothing_is_given_until_it_is_whole(
    site: Site, target: UhppoteTarget
) -> None:
    before = change(target, holding("FSK-ENTRE", "STADSHUS Å"))
    site.first.close()
    after = Change(before=before, after=holding("SKOLA-ENTRE", "STADSHUS BAK"))
    with pytest.raises(Unavailable, match="1 of 2 controllers answered: what was to be taken"):
        target.put(after)
    assert site.second.held(CARD).doors == (0, 0, 0, 0)  # type: ignore[union-attr]  # None fails too
    with pytest.raises(Unavailable):
        target.read_one("1001")
    with pytest.raises(Unavailable):
        list(target.read())

    site.revive()
    again = site.target()
    again.put(after)
    assert refs(shown(again)) == {"SKOLA-ENTRE", "STADSHUS BAK"}


def test_a_half_given_change_is_told_and_completed(site: Site, target: UhppoteTarget) -> None:
    site.habits.lost = 1
    after = Change(before=None, after=holding("FSK-ENTRE", "STADSHUS Å"))
    with pytest.raises(Unavailable, match="1 of 2 controllers answered: what was to be given"):
        target.put(after)
    assert target.put(after).status == "confirmed"
    assert refs(shown(target)) == {"FSK-ENTRE", "STADSHUS Å"}


def test_a_full_controller_is_refused(site: Site, target: UhppoteTarget) -> None:
    site.second.capacity = 0
    with pytest.raises(Refused, match=r"controller 303986753 .* may be full"):
        target.put(Change(before=None, after=holding("FSK-ENTRE", "STADSHUS Å")))
    assert refs(shown(target)) == {"FSK-ENTRE"}


def test_a_card_that_is_not_stored_is_not_sent_again(site: Site, target: UhppoteTarget) -> None:
    before = change(target, holding("FSK-ENTRE"))
    sent = site.first.seen.count(PUT_CARD)
    site.habits.refused = 1
    with pytest.raises(Refused, match="did not store a card"):
        target.put(Change(before=before, after=holding()))
    assert site.first.seen.count(PUT_CARD) == sent + 1
    assert refs(shown(target)) == {"FSK-ENTRE"}


def test_no_message_holds_a_card_or_a_key(site: Site, target: UhppoteTarget) -> None:
    before = change(target, holding("FSK-ENTRE"))
    site.own("1001", SECOND)
    site.first.put(SECOND, DAY)
    found = shown(target)
    told = [found.amiss, target.check()]
    for after in (found, holding("X"), holding("FSK-ENTRE", key="4711")):
        with pytest.raises(Refused) as raised:
            target.put(Change(before=found if after is found else before, after=after))
        told.append(str(raised.value))
    site.first.close()
    with pytest.raises(Unavailable) as silent:
        target.put(Change(before=before, after=holding()))
    told.append(str(silent.value))
    for words in told:
        said = words.replace(site.first.address, "").replace(site.second.address, "")
        assert not any(value in said for value in ("1001", "4711", str(CARD), str(SECOND)))


def test_there_is_no_change_feed(site: Site, target: UhppoteTarget) -> None:
    assert target.changes("").keys is None


# ── check and settings ──────────────────────────────────────────────────────────────────


def test_check_tells_versions_counts_and_what_is_odd(site: Site, target: UhppoteTarget) -> None:
    site.second.profiles.clear()
    site.first.clock = datetime(2031, 1, 1, tzinfo=UTC)
    told = target.check()
    assert "2 cards in the holders file" in told
    assert "firmware 6.62, 0 cards, its clock is" in told
    assert "firmware 8.92, 0 cards, without the time profiles DAY" in told
    assert PUT_CARD not in site.first.seen + site.second.seen


def test_check_tells_another_controller_from_none(site: Site) -> None:
    settings = site.settings()
    settings["controllers"][0]["id"] = 405419897
    wrong = UhppoteTarget(UhppoteTarget.Config.model_validate(settings))
    with pytest.raises(Unavailable, match=r"another controller is there \(id 405419896\)"):
        wrong.check()
    site.habits.busy = 5
    with pytest.raises(Unavailable, match="no answer within"):
        site.target().check()
    site.first.close()
    with pytest.raises(Unavailable, match="nothing listens there"):
        site.target().check()


def test_check_tells_a_firmware_that_is_too_old(site: Site, target: UhppoteTarget) -> None:
    site.second.version = "5.52"
    with pytest.raises(Refused, match=r"firmware 5\.52 is older than 6\.56"):
        target.check()
    site.second.version = "10.01"
    assert "firmware" in target.check()


def one(**changed: Any) -> dict[str, Any]:
    return {"id": 1, "address": "192.168.1.100", "doors": ["A"], **changed}


BAD: dict[str, dict[str, Any]] = {
    "no controller": {"controllers": []},
    "a broadcast address": {"controllers": [one(address="255.255.255.255")]},
    "every address": {"controllers": [one(address="0.0.0.0:60000")]},
    "a multicast address": {"controllers": [one(address="224.0.0.1")]},
    "a host name": {"controllers": [one(address="door.example.org")]},
    "no port": {"controllers": [one(address="192.168.1.100:")]},
    "a port too high": {"controllers": [one(address="192.168.1.100:65536")]},
    "number 0, which is everybody": {"controllers": [one(id=0)]},
    "one id twice": {"controllers": [one(), one(doors=["B"])]},
    "one door twice": {"controllers": [one(), one(id=2)]},
    "five doors": {"controllers": [one(doors=list("ABCDE"))]},
    "a door with a slash": {"controllers": [one(doors=["A/B"])]},
    "a blank door": {"controllers": [one(doors=[" "])]},
    "a profile that is always": {"profiles": {"DAY": 1}},
    "a profile beyond": {"profiles": {"DAY": 255}},
    "two names of a profile": {"profiles": {"DAY": 2, "WEEK": 2}},
    "a number as a profile's name": {"profiles": {"7": 2}},
    "an end before the begin": {"card_from": "2030-01-01", "card_until": "2029-01-01"},
    "a day that the controllers do not know": {"card_until": "2100-01-01"},
    "no day": {"card_until": "never"},
    "no time": {"timeout_s": 0},
}


@pytest.mark.parametrize("what", BAD)
def test_settings_that_cannot_be_are_refused(what: str) -> None:
    sound = {"controllers": [one()], "holders": "holders.csv"}
    assert UhppoteTarget.Config.model_validate(sound)
    with pytest.raises(ValidationError):
        UhppoteTarget.Config.model_validate(sound | BAD[what])


def test_the_example_of_the_page_is_sound() -> None:
    text = (HOME / "docs/targets/uhppote.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    table = tomllib.loads(example)["targets"]["depot"]
    own = {key: value for key, value in table.items() if key not in ("type", "controller", "key")}
    config = UhppoteTarget.Config.model_validate(own)
    assert [len(controller.doors) for controller in config.controllers] == [4, 1]
    for key in (*UhppoteTarget.Config.model_fields, *type(config.controllers[0]).model_fields):
        assert f"`{key}`" in text or f"`controllers.{key}`" in text, f"{key} is not on the page"
