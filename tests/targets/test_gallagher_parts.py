"""Trainings and cards in Command Centre, and what idsync does not take from others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from idsync.errors import Denied, Refused
from idsync.model import Cardholder, Change, Credential, CredentialState, Grant
from idsync.targets.gallagher import GallagherTarget
from tests.fakes.gallagher import FakeGallagher
from tests.fakes.gallagher_habits import Habits
from tests.fakes.gallagher_system import Person
from tests.targets.gallagher_site import RIGHTS, TRAINING, Site, someone

DOOR = Grant(ref=RIGHTS[0])
PAST, SOON, LATER = (datetime(year, 3, 1, tzinfo=UTC) for year in (2021, 2051, 2061))
HLR = Grant(ref=TRAINING, kind="competency", valid_from=PAST, valid_to=SOON)
ANNA = Cardholder(key="1001", given_name="Anna", family_name="Ek")
STATES: list[CredentialState] = ["suspended", "lost", "stolen", "damaged"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def trained(site: Site) -> tuple[FakeGallagher, GallagherTarget]:
    """A system with trainings, and a target that holds them."""
    return site(competencies=True)


def put(target: GallagherTarget, before: Cardholder | None, after: Cardholder) -> None:
    assert target.put(Change(before=before, after=after)).status == "confirmed"


def seen_now(target: GallagherTarget) -> Cardholder:
    found = target.read_one("1001")
    assert found is not None
    return found


def holder(fake: FakeGallagher) -> Person:
    [person] = fake.system.people.values()
    return person


# ── trainings ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("grant", "state"),
    [
        (HLR, "active"),
        (replace(HLR, valid_from=None, valid_to=None), "active"),
        (replace(HLR, valid_from=SOON, valid_to=LATER), "pending"),
        (replace(HLR, valid_to=PAST + timedelta(days=1)), "expired"),
    ],
)
@pytest.mark.parametrize("default", [False, True])
def test_a_training_is_kept_with_its_dates(
    site: Site, grant: Grant, state: str, default: bool
) -> None:
    fake, target = site(Habits(blank_takes_default=default), competencies=True)
    put(target, None, ANNA)
    before = seen_now(target)
    put(target, before, replace(before, grants=(grant,)))
    assert seen_now(target).grants == (grant,)
    [shown] = fake.system.shown_whole(holder(fake))["competencies"]
    assert shown["status"]["type"] == state


def test_a_new_person_comes_with_a_training(
    trained: tuple[FakeGallagher, GallagherTarget],
) -> None:
    fake, target = trained
    put(target, None, replace(ANNA, grants=(HLR, DOOR)))
    put(target, None, replace(ANNA, grants=(HLR, DOOR)))
    assert set(seen_now(target).grants) == {HLR, DOOR}
    assert len(fake.writes) == 1
    [said] = fake.writes[0].body["competencies"]
    assert (said["enabled"], said["enablement"]) == (True, "2021-03-01T00:00:00Z")
    assert said["expiry"] == "2051-03-01T00:00:00Z"


def test_a_renewed_training_moves_its_end(
    trained: tuple[FakeGallagher, GallagherTarget],
) -> None:
    fake, target = trained
    put(target, None, replace(ANNA, grants=(HLR,)))
    before, renewed = seen_now(target), replace(HLR, valid_to=LATER)
    put(target, before, replace(before, grants=(renewed,)))
    put(target, before, replace(before, grants=(renewed,)))
    assert seen_now(target).grants == (renewed,)
    assert [list(seen.body["competencies"]) for seen in fake.writes[1:]] == [["update"]]


def test_a_training_is_taken_away(trained: tuple[FakeGallagher, GallagherTarget]) -> None:
    fake, target = trained
    put(target, None, replace(ANNA, grants=(HLR,)))
    before = seen_now(target)
    put(target, before, replace(before, grants=()))
    assert holder(fake).competencies == []


def test_anothers_training_is_not_moved(trained: tuple[FakeGallagher, GallagherTarget]) -> None:
    fake, target = trained
    put(target, None, ANNA)
    before = seen_now(target)
    [item] = fake.system.competencies.values()
    fake.system.give_competency(holder(fake), item, end=LATER)
    with pytest.raises(Refused, match="with other dates, and can stand there once"):
        put(target, before, replace(before, grants=(HLR, DOOR)))
    theirs = Grant(ref=TRAINING, kind="competency", valid_to=LATER)
    assert set(seen_now(target).grants) == {theirs, DOOR}


def test_a_training_that_is_switched_off_by_hand_stays_off(
    trained: tuple[FakeGallagher, GallagherTarget],
) -> None:
    fake, target = trained
    put(target, None, replace(ANNA, grants=(HLR,)))
    before = seen_now(target)
    holder(fake).competencies[0].enabled = False
    assert seen_now(target).grants == ()
    for planned_from in (before, seen_now(target)):
        renewed = replace(HLR, valid_to=LATER)
        with pytest.raises(Refused, match="switched off on the person by hand"):
            put(target, planned_from, replace(planned_from, grants=(renewed,)))
        assert not holder(fake).competencies[0].enabled


def test_a_training_for_two_periods_is_refused(
    trained: tuple[FakeGallagher, GallagherTarget],
) -> None:
    _, target = trained
    second = replace(HLR, valid_from=SOON, valid_to=LATER)
    with pytest.raises(Refused):
        put(target, None, replace(ANNA, grants=(HLR, second)))
    assert seen_now(target).grants == (HLR,)


def test_a_training_that_is_on_has_begun_whatever_its_date(
    trained: tuple[FakeGallagher, GallagherTarget],
) -> None:
    fake, target = trained
    put(target, None, ANNA)
    [item] = fake.system.competencies.values()
    fake.system.give_competency(holder(fake), item, start=SOON, end=LATER)
    shown = Grant(ref=TRAINING, kind="competency", valid_to=LATER)
    assert seen_now(target).grants == (shown,)


def test_trainings_need_a_licence_of_their_own(site: Site) -> None:
    _, target = site(Habits(licences={"RESTCardholders"}), competencies=True)
    put(target, None, replace(ANNA, grants=(DOOR,)))
    before = seen_now(target)
    with pytest.raises(Denied, match="for competencies RESTConfiguration too"):
        put(target, before, replace(before, grants=(HLR, Grant(ref=RIGHTS[1]))))
    assert seen_now(target).grants == (Grant(ref=RIGHTS[1]),)


def test_a_training_that_is_not_there_is_refused(
    trained: tuple[FakeGallagher, GallagherTarget],
) -> None:
    _, target = trained
    with pytest.raises(Refused, match="no competency of a grant's name"):
        put(target, None, replace(ANNA, grants=(replace(HLR, ref="FINNS EJ"),)))


# ── cards ───────────────────────────────────────────────────────────────────────────────


def carded(site: Site, *states: str, **settings: Any) -> tuple[FakeGallagher, GallagherTarget]:
    """Return a system with one person who has one card for each state, and a target."""
    fake, target = site(**settings)
    person = someone(fake.system, "1001")
    kind = next(iter(fake.system.card_types.values()))
    for number, state in enumerate(states, 70001):
        fake.system.card(person, kind, str(number), state)
    return fake, target


def turned(before: Cardholder, state: CredentialState) -> Cardholder:
    return replace(before, credentials=tuple(replace(c, state=state) for c in before.credentials))


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_written_by_its_name_and_read_by_its_type(
    site: Site, state: CredentialState
) -> None:
    fake, target = carded(site, "Active")
    before = seen_now(target)
    put(target, before, turned(before, state))
    put(target, before, turned(before, state))
    [write] = fake.writes
    assert set(write.body["cards"]["update"][0]) == {"href", "status"}
    assert set(write.body["cards"]["update"][0]["status"]) == {"value"}
    blocked = seen_now(target)
    assert [card.state for card in blocked.credentials] == [state]
    put(target, blocked, turned(blocked, "active"))
    assert [card.state for card in seen_now(target).credentials] == ["active"]


def test_a_sites_own_names_of_states_are_used(site: Site) -> None:
    names = {"active": "Giltigt", "suspended": "Spärrat", "lost": "Borttappat"}
    fake, target = site(card_states=names)
    person = someone(fake.system, "1001")
    kind = fake.system.card_type("Kort", states=("Giltigt", "Spärrat", "Borttappat"))
    fake.system.card(person, kind, "70001")
    before = seen_now(target)
    put(target, before, turned(before, "suspended"))
    assert person.cards[0].state == "Spärrat"
    person.cards[0].state = "Borttappat"
    assert seen_now(target).credentials[0].state == "lost"


def test_a_state_without_a_name_is_refused(site: Site) -> None:
    _, target = carded(site, "Active")
    before = seen_now(target)
    with pytest.raises(Refused, match="no card state is named for returned"):
        put(target, before, turned(before, "returned"))


def test_a_state_the_card_type_lacks_is_refused_and_the_rest_done(site: Site) -> None:
    _, target = carded(site, "Active", card_states={"active": "Active", "suspended": "Spärrat"})
    before = seen_now(target)
    with pytest.raises(Refused):
        put(target, before, replace(turned(before, "suspended"), grants=(DOOR,)))
    assert seen_now(target).grants == (DOOR,)


def test_a_card_that_was_blocked_since_is_not_opened(site: Site) -> None:
    fake, target = carded(site, "Disabled (manually)")
    before = seen_now(target)
    holder(fake).cards[0].state = "Stolen"
    with pytest.raises(Refused, match="blocked by somebody else since the plan"):
        put(target, before, turned(before, "active"))
    assert holder(fake).cards[0].state == "Stolen"


def test_a_stolen_card_is_not_called_something_milder(site: Site) -> None:
    fake, target = carded(site, "Active")
    before = seen_now(target)
    holder(fake).cards[0].state = "Stolen"
    put(target, before, turned(before, "suspended"))
    assert holder(fake).cards[0].state == "Stolen"


def test_a_card_that_is_gone_is_nothing_to_change(site: Site) -> None:
    fake, target = carded(site, "Active")
    before = seen_now(target)
    holder(fake).cards.clear()
    put(target, before, turned(before, "suspended"))
    assert not fake.writes


def test_a_card_is_not_made(site: Site) -> None:
    _, target = carded(site)
    before = seen_now(target)
    with pytest.raises(Refused, match="a card is not on the person"):
        put(target, before, replace(before, credentials=(Credential(number="70009"),)))


def test_two_cards_of_one_number_are_not_guessed_between(site: Site) -> None:
    fake, target = carded(site, "Active", "Active")
    for card in holder(fake).cards:
        card.number = "70001"
    before = seen_now(target)
    with pytest.raises(Refused, match="two cards of the person have one number"):
        put(target, before, turned(before, "suspended"))
    assert {card.state for card in holder(fake).cards} == {"Active"}
