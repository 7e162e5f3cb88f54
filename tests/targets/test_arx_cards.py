"""How somebody is shut out of ARX and let back in, and what becomes of their cards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from idsync.model import Cardholder, Change, Credential, Grant
from idsync.targets.arx import ArxTarget
from tests.fakes.arx import PASSWORD, FakeArx
from tests.targets.arx import (
    DOOR,
    HALL,
    RIGHTS,
    TOWER,
    back,
    made,
    person,
    refusal,
    suspended,
    target_on,
    there,
)

NOW = datetime(2031, 3, 4, 12, tzinfo=UTC)
BLOCKING = ("inhibit_cards", "delete_cards")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeArx]:
    monkeypatch.setenv("ARX_PASSWORD", PASSWORD)
    running = FakeArx(*RIGHTS)
    yield running
    running.close()


def holder(fake: FakeArx, **settings: Any) -> ArxTarget:
    """Make 1001, with a door of ours, a hall of others, a description, and two cards."""
    target = target_on(fake.url, **settings)
    made(target, "1001", DOOR)
    fake.people["1001"].categories.append((HALL, "", ""))
    fake.people["1001"].texts["description"] = "Vaktmästare [nord]"
    fake.card("0070001", "1001", description="blå")
    fake.card("0070002", "1001", inhibited=True, description="lost by hand")
    return target


def states(target: ArxTarget) -> dict[str, str]:
    return {card.number: card.state for card in there(target, "1001").credentials}


def with_card(cardholder: Cardholder, number: str, state: Any) -> Cardholder:
    others = [card for card in cardholder.credentials if card.number != number]
    cards = (*others, Credential(number=number, state=state))
    return replace(cardholder, credentials=cards)


# ── suspending ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suspend", BLOCKING)
def test_who_is_suspended_gets_in_nowhere_and_keeps_everything(fake: FakeArx, suspend: str) -> None:
    target = holder(fake, suspend=suspend)
    assert fake.opens("0070001", HALL, NOW)
    suspended(target, "1001")
    assert not fake.opens("0070001", HALL, NOW)
    found = there(target, "1001")
    assert (found.status, found.amiss) == ("suspended", "")
    assert set(found.grants) == {Grant(ref=DOOR), Grant(ref=HALL)}
    assert fake.people["1001"].texts["description"] == "Vaktmästare [nord] [idsync: suspended]"
    assert len(fake.cards) == 2


@pytest.mark.parametrize("suspend", BLOCKING)
def test_who_returns_gets_back_what_idsync_took_and_no_more(fake: FakeArx, suspend: str) -> None:
    target = holder(fake, suspend=suspend)
    suspended(target, "1001")
    back(target, "1001")
    assert fake.opens("0070001", DOOR, NOW)
    assert states(target) == {"0070001": "active", "0070002": "suspended"}
    assert fake.people["1001"].texts["description"] == "Vaktmästare [nord]"
    assert {card.description for card in fake.cards} == {"blå", "lost by hand"}


def test_suspending_twice_sends_once(fake: FakeArx) -> None:
    target = holder(fake)
    before = there(target, "1001")
    suspended(target, "1001")
    sent = len(fake.imports)
    target.put(Change(before=before, after=replace(before, status="suspended")))
    assert len(fake.imports) == sent


@pytest.mark.parametrize("suspend", BLOCKING)
def test_an_older_plan_lets_nobody_back_in(fake: FakeArx, suspend: str) -> None:
    target = holder(fake, suspend=suspend)
    before = there(target, "1001")
    blocked = with_card(before, "0070001", "suspended")
    suspended(target, "1001")
    target.put(Change(before=before, after=replace(before, family_name="Söder")))
    assert "suspended" in refusal(target, blocked, with_card(before, "0070001", "active"))
    assert there(target, "1001").status == "suspended"
    assert not fake.opens("0070001", HALL, NOW)


def test_a_new_card_of_somebody_suspended_is_told_and_blocked_by_an_empty_change(
    fake: FakeArx,
) -> None:
    target = holder(fake)
    suspended(target, "1001")
    fake.card("0070003", "1001")
    found = there(target, "1001")
    assert "is not blocked" in found.amiss
    target.put(Change(before=found, after=found))
    assert there(target, "1001").amiss == ""
    assert not fake.opens("0070003", HALL, NOW)
    back(target, "1001")
    assert fake.opens("0070003", HALL, NOW)


@pytest.mark.parametrize("habit", ["ignored", "refused"])
def test_where_cards_cannot_be_inhibited_the_setting_is_named_and_the_rest_is_done(
    fake: FakeArx, habit: str
) -> None:
    target = holder(fake)
    fake.habits.inhibited = habit  # type: ignore[assignment]  # one of its words
    before = there(target, "1001")
    after = replace(before, status="suspended", grants=(Grant(ref=HALL),))
    assert "suspend = 'inhibit_cards'" in refusal(target, before, after)
    assert fake.held("1001") == {HALL}
    assert there(target, "1001").status == "suspended"
    assert there(target, "1001").amiss


def test_cards_are_blocked_even_where_the_person_is_refused(fake: FakeArx) -> None:
    target = holder(fake)
    before = there(target, "1001")
    fake.habits.bad_ids = {"1001"}
    refusal(target, before, replace(before, status="suspended"))
    assert not fake.opens("0070001", HALL, NOW)
    assert there(target, "1001").status == "active"
    target.put(Change(before=there(target, "1001"), after=there(target, "1001")))
    assert not fake.opens("0070001", HALL, NOW), "an empty change let somebody in"


def test_a_mark_that_does_not_stay_is_told(fake: FakeArx) -> None:
    target = holder(fake)
    fake.habits.description_length = 20
    before = there(target, "1001")
    assert "description" in refusal(target, before, replace(before, status="suspended"))


def test_with_deleted_cards_that_are_gone_nobody_gets_in(fake: FakeArx) -> None:
    target = holder(fake, suspend="delete_cards")
    fake.habits.deleted_cards = "gone"
    suspended(target, "1001")
    assert not fake.opens("0070001", HALL, NOW)
    back(target, "1001")
    assert states(target) == {"0070002": "suspended"}


def test_with_the_mark_alone_cards_are_left_alone_and_nothing_is_given(fake: FakeArx) -> None:
    target = holder(fake, suspend="mark")
    assert target.capabilities.credentials == "read"
    before = there(target, "1001")
    target.put(Change(before=before, after=replace(before, status="suspended", grants=())))
    found = there(target, "1001")
    assert (found.status, found.grants, found.amiss) == ("suspended", (), "")
    assert not fake.cards[0].inhibited
    assert "suspended" in refusal(target, person("1001"), person("1001", DOOR))
    blocked = with_card(found, "0070001", "suspended")
    assert "leaves the cards" in refusal(target, found, blocked)


# ── single cards ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suspend", BLOCKING)
@pytest.mark.parametrize("state", ["suspended", "lost", "stolen"])
def test_a_blocked_card_keeps_its_reason_through_a_suspension(
    fake: FakeArx, suspend: str, state: str
) -> None:
    target = holder(fake, suspend=suspend)
    before = there(target, "1001")
    target.put(Change(before=before, after=with_card(before, "0070001", state)))
    assert states(target)["0070001"] == state
    assert not fake.opens("0070001", HALL, NOW)
    suspended(target, "1001")
    back(target, "1001")
    assert states(target)["0070001"] == state
    before = there(target, "1001")
    target.put(Change(before=before, after=with_card(before, "0070001", "active")))
    assert fake.opens("0070001", HALL, NOW)
    assert fake.cards[-1].description == "blå"


def test_a_card_is_issued_with_format_and_prefix(fake: FakeArx) -> None:
    target = target_on(fake.url, card_format="kort", card_prefix="00")
    before = made(target, "1001", DOOR)
    target.put(Change(before=before, after=with_card(before, "70005", "active")))
    assert fake.opens("0070005", DOOR, NOW)
    assert states(target) == {"70005": "active"}
    target.put(Change(before=before, after=with_card(before, "70005", "active")))
    assert len(fake.cards) == 1


@pytest.mark.case("T15")
def test_a_card_that_others_hold_is_not_taken_from_them(fake: FakeArx) -> None:
    target = target_on(fake.url, card_format="kort")
    before = made(target, "1001", DOOR)
    fake.card("70005", "1002")
    wanted = with_card(replace(before, grants=(Grant(ref=HALL),)), "70005", "active")
    assert "other hands" in refusal(target, before, wanted)
    assert fake.cards[0].person_id == "1002"
    known = with_card(before, "70005", "active")
    target.put(Change(before=known, after=with_card(before, "70005", "suspended")))
    assert not fake.cards[0].inhibited, "a card that moved away was blocked in other hands"


def test_a_card_needs_a_format_that_arx_has(fake: FakeArx) -> None:
    for settings, word in (({}, "card_format"), ({"card_format": "no such"}, "card")):
        target = target_on(fake.url, **settings)
        before = target.read_one("1001") or made(target, "1001", DOOR)
        assert word in refusal(target, before, with_card(before, "70005", "active"))
    assert fake.cards == []


@pytest.mark.parametrize("suspend", BLOCKING)
@pytest.mark.parametrize("excludes", [True, False])
def test_a_card_that_others_have_deleted_is_not_there(
    fake: FakeArx, suspend: str, excludes: bool
) -> None:
    fake.habits.excludes_deleted = excludes
    target = target_on(fake.url, suspend=suspend)
    made(target, "1001", DOOR)
    fake.card("70001", "1001", deleted=True, description="by hand")
    assert there(target, "1001").credentials == ()
    assert list(target.read()) == [there(target, "1001")]
    suspended(target, "1001")
    back(target, "1001")
    assert not fake.opens("70001", DOOR, NOW)


def test_a_prefix_is_taken_off_what_has_it(fake: FakeArx) -> None:
    target = target_on(fake.url, card_prefix="00")
    made(target, "1001", DOOR)
    for number in ("0070001", "70002", "00"):
        fake.card(number, "1001")
    assert set(states(target)) == {"70001", "70002", "00"}


def test_cards_of_many_go_in_one_document(fake: FakeArx) -> None:
    target = target_on(fake.url)
    for at in range(8):
        made(target, f"100{at}", DOOR)
        fake.card(f"700{at}", f"100{at}")
    sent = len(fake.imports)
    found = [one for one in target.read() if one.key]
    outcomes = target.put_many(
        [Change(before=one, after=replace(one, status="suspended")) for one in found]
    )
    assert {outcome.status for outcome in outcomes} == {"confirmed"}
    assert len(fake.imports) == sent + 2
    assert not any(fake.opens(f"700{at}", DOOR, NOW) for at in range(8))


def test_an_import_that_loses_cards_is_told_at_the_first_person(fake: FakeArx) -> None:
    target = holder(fake)
    fake.habits.drops_cards = True
    before = there(target, "1001")
    assert "cards of the person are gone" in refusal(target, before, person("1001", TOWER))
