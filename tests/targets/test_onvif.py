"""What an ONVIF device is told, and what never happens on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree

from idsync.errors import Denied, Refused, Unavailable
from idsync.model import Cardholder, Change, Credential, CredentialState, Grant
from idsync.targets.onvif import OnvifTarget
from tests.fakes.onvif import PASSWORD, Door, FakeOnvif
from tests.fakes.onvif_store import TCR, WRITES, Habits
from tests.targets.onvif import (
    CARD,
    HEX,
    OTHER_CARD,
    OTHER_HEX,
    RIGHTS,
    Start,
    another,
    person,
    put,
    shown,
    start,
)

__all__ = ["start"]

DAY = datetime(2031, 3, 9, 23, tzinfo=UTC)  # midnight in Stockholm


def written(fake: FakeOnvif) -> list[str]:
    """Return the commands that change something, as they came."""
    return [name for name in fake.seen if name in WRITES]


def holding(before: Cardholder, *grants: str | Grant) -> Cardholder:
    return replace(
        before, grants=tuple(Grant(ref=each) if isinstance(each, str) else each for each in grants)
    )


# ── making credentials ──────────────────────────────────────────────────────────────────


def test_a_new_card_is_set_under_a_token_of_our_own(start: Start) -> None:
    fake, target = start()
    put(target, None, person(RIGHTS[0], display_name="Åsa Öberg"))
    [held] = fake.store.credentials.values()
    assert held.token.startswith("i-")
    assert len(held.token) <= 36
    assert "1001" not in held.token
    assert held.identifiers() == {("pt:Card", "WIEGAND26", HEX)}
    assert (held.holder, held.description, held.enabled) == ("1001", "Åsa Öberg", True)
    assert written(fake) == ["SetCredential"]


def test_a_device_that_makes_tokens_is_let(start: Start) -> None:
    fake, target = start(Habits(client_tokens=False))
    put(target, None, person(RIGHTS[0]))
    assert written(fake) == ["CreateCredential"]


@pytest.mark.parametrize("client_tokens", [True, False])
def test_a_lost_answer_makes_no_second_card(start: Start, client_tokens: bool) -> None:
    fake, target = start(Habits(client_tokens=client_tokens, unique_cards=False))
    fake.lose_next_write = True
    change = Change(before=None, after=person(RIGHTS[0]))
    with pytest.raises(Unavailable):
        target.put(change)
    target.put(change)
    assert len(fake.store.credentials) == 1


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("check", [True, False])
def test_a_card_of_somebody_else_is_not_given_twice(
    start: Start, unique: bool, check: bool
) -> None:
    if not (unique or check):
        return  # a device that takes it, and nobody who looks: said in the manual
    fake, target = start(Habits(unique_cards=unique), check_cards=check)
    fake.credential("theirs", "2002", value=HEX)
    with pytest.raises(Refused, match="already"):
        target.put(Change(before=None, after=person(RIGHTS[0])))
    assert list(fake.store.credentials) == ["theirs"]


def test_a_card_made_a_moment_ago_is_known(start: Start) -> None:
    fake, target = start(Habits(unique_cards=False))
    put(target, None, person(RIGHTS[0]))
    with pytest.raises(Refused, match="on the device already"):
        target.put(Change(before=None, after=replace(person(RIGHTS[0]), key="2002")))
    [held] = fake.store.credentials.values()
    del fake.store.credentials[held.token]
    put(target, None, replace(person(RIGHTS[0]), key="2002"))


def test_a_credential_that_was_given_to_another_by_hand_is_not_overwritten(start: Start) -> None:
    fake, target = start(check_cards=False)
    put(target, None, person(RIGHTS[0]))
    [held] = fake.store.credentials.values()
    held.record.find(f"{{{TCR}}}CredentialHolderReference").text = "2002"
    with pytest.raises(Refused, match="somebody else's now"):
        target.put(Change(before=None, after=person(RIGHTS[1])))
    assert held.holder == "2002"
    assert list(held.links) == ["profile-0"]


def test_a_person_without_a_card_can_hold_nothing(start: Start) -> None:
    fake, target = start()
    with pytest.raises(Refused, match="no card on this device"):
        target.put(Change(before=None, after=replace(person(RIGHTS[0]), credentials=())))
    target.put(Change(before=None, after=replace(person(), credentials=())))
    assert not fake.store.credentials


def test_suspending_somebody_unknown_creates_nothing(start: Start) -> None:
    fake, target = start()
    target.put(Change(before=None, after=person(RIGHTS[0], status="suspended")))
    lost = (Credential(number=CARD, state="lost"),)
    target.put(Change(before=None, after=replace(person(), credentials=lost)))
    assert written(fake) == []


@pytest.mark.parametrize("key", ["", "Å" * 65, "a\x00b", "a\x1fb", "a\ud800b"])
def test_a_key_that_has_no_room_is_refused(start: Start, key: str) -> None:
    fake, target = start()
    with pytest.raises(Refused) as error:
        target.put(Change(before=None, after=replace(person(RIGHTS[0]), key=key)))
    assert not key or key not in str(error.value)
    assert target.read_one(key) is None
    assert not fake.store.credentials


# ── rights ──────────────────────────────────────────────────────────────────────────────


def test_rights_are_given_and_taken_one_by_one(start: Start) -> None:
    fake, target = start()
    before = put(target, None, person(RIGHTS[0]))
    fake.seen.clear()
    put(target, before, holding(before, RIGHTS[1]))
    assert written(fake) == ["DeleteCredentialAccessProfiles", "SetCredentialAccessProfiles"]


def test_a_right_gets_other_dates_without_a_gap(start: Start) -> None:
    fake, target = start()
    before = put(target, None, person(RIGHTS[0]))
    fake.seen.clear()
    found = put(target, before, holding(before, Grant(ref=RIGHTS[0], valid_to=DAY)))
    assert written(fake) == ["SetCredentialAccessProfiles"]
    assert found.grants == (Grant(ref=RIGHTS[0], valid_to=DAY),)


def test_a_right_whose_new_dates_are_refused_is_still_taken(start: Start) -> None:
    """Planned to end within a day, on a device that keeps days: better closed than for ever."""
    _, target = start(Habits(times=False))
    before = put(target, None, person(RIGHTS[0], RIGHTS[1]))
    noon = Grant(ref=RIGHTS[0], valid_to=DAY + timedelta(hours=12))
    with pytest.raises(Refused, match="within a day"):
        target.put(Change(before=before, after=holding(before, noon, RIGHTS[2])))
    assert {grant.ref for grant in shown(target).grants} == set()


def test_a_local_right_with_dates_keeps_them(start: Start) -> None:
    fake, target = start()
    before = put(target, None, person(RIGHTS[0]))
    [held] = fake.store.credentials.values()
    held.links["profile-1"] = (None, "2031-01-01T00:00:00Z")
    with pytest.raises(Refused, match="plan again"):
        target.put(Change(before=before, after=holding(before, RIGHTS[0], RIGHTS[1])))
    assert held.links["profile-1"] == (None, "2031-01-01T00:00:00Z")


def test_a_right_that_got_other_dates_since_it_was_planned_is_left(start: Start) -> None:
    fake, target = start()
    before = put(target, None, person(RIGHTS[0]))
    [held] = fake.store.credentials.values()
    held.links["profile-0"] = (None, "2031-01-01T00:00:00Z")
    target.put(Change(before=before, after=holding(before)))
    assert list(held.links) == ["profile-0"], "that one is another's now"


def test_a_right_whose_new_dates_the_device_refuses_is_still_taken(start: Start) -> None:
    fake, target = start()
    before = put(target, None, person(RIGHTS[0], RIGHTS[1]))
    fake.store.after_page += [
        lambda: None, lambda: None, lambda: fake.store.profiles.__delitem__("profile-0"),
    ]  # fmt: skip
    dated = holding(before, Grant(ref=RIGHTS[0], valid_to=DAY), RIGHTS[1])
    with pytest.raises(Refused, match="ReferenceNotFound"):
        target.put(Change(before=before, after=dated))
    assert [grant.ref for grant in shown(target).grants] == [RIGHTS[1]]


def test_a_right_that_is_there_twice_is_taken_by_hand_only(start: Start) -> None:
    """Taking one away would take both, and one may be somebody else's."""
    fake, target = start()
    twice = "<CredentialAccessProfile><AccessProfileToken>profile-0</AccessProfileToken>{}"
    end = "<ValidTo>2031-01-01T00:00:00Z</ValidTo>"
    extra = "".join(twice.format(each) + "</CredentialAccessProfile>" for each in ("", end))
    fake.credential("a", "1001", value=HEX, extra=extra)
    before = shown(target)
    assert len(before.grants) == 2
    with pytest.raises(Refused, match="holds one right twice"):
        target.put(Change(before=before, after=replace(before, grants=before.grants[:1])))
    assert written(fake) == []


def test_what_takes_away_is_done_when_what_gives_is_refused(start: Start) -> None:
    _, target = start()
    before = put(target, None, person(RIGHTS[0], RIGHTS[1]))
    with pytest.raises(Refused, match="0 access profiles"):
        target.put(Change(before=before, after=holding(before, RIGHTS[1], "NOWHERE", RIGHTS[2])))
    assert [grant.ref for grant in shown(target).grants] == [RIGHTS[1]]


def test_two_profiles_of_one_name_are_given_to_nobody_and_taken_from_all(start: Start) -> None:
    fake, target = start()
    fake.profile("twin", RIGHTS[0])
    held = fake.credential("a", "1001", value=HEX, links=("profile-0", "twin"))
    before = shown(target)
    with pytest.raises(Refused, match="2 access profiles"):
        target.put(Change(before=None, after=person(RIGHTS[0], card=OTHER_CARD)))
    target.put(Change(before=before, after=holding(before)))
    assert held.links == {}


@pytest.mark.parametrize(
    "grant",
    [
        Grant(ref=RIGHTS[0], kind="alarm"),
        Grant(ref=RIGHTS[0], kind="competency"),
        Grant(ref=RIGHTS[0], valid_from=DAY, valid_to=DAY),
        Grant(ref=RIGHTS[0], valid_to=DAY.replace(microsecond=1)),
        Grant(ref=""),
    ],
)
def test_what_onvif_has_no_place_for_is_refused(start: Start, grant: Grant) -> None:
    fake, target = start()
    with pytest.raises(Refused):
        target.put(Change(before=None, after=person(grant)))
    assert not fake.store.credentials


def test_too_many_rights_are_refused_before_any_is_given(start: Start) -> None:
    fake, target = start(Habits(most_links=2))
    before = put(target, None, person(RIGHTS[0], RIGHTS[1]))
    with pytest.raises(Refused, match="2 at most"):
        target.put(Change(before=before, after=holding(before, *RIGHTS)))
    assert len(shown(target).grants) == 2
    put(target, before, holding(before, RIGHTS[1], RIGHTS[2]))
    with pytest.raises(Refused, match="2 at most"):
        target.put(Change(before=None, after=replace(person(*RIGHTS, card="7"), key="2002")))
    assert len(fake.store.credentials) == 1


def test_a_right_that_everybody_lost_since_is_not_brought_back(start: Start) -> None:
    """A plan that shows a right on one card, and a revocation that took it from both."""
    fake, target = start()
    fake.credential("a", "1001", value=HEX, links=("profile-0",))
    fake.credential("b", "1001", value=OTHER_HEX)
    before = shown(target)
    fake.store.credentials["a"].links.clear()
    put(target, before, before)
    assert shown(target).grants == ()
    put(target, before, holding(before, RIGHTS[0], RIGHTS[1]))
    assert {grant.ref for grant in shown(target).grants} == {RIGHTS[1]}


def test_cards_that_differ_in_dates_are_not_levelled(start: Start) -> None:
    fake, target = start()
    a = fake.credential("a", "1001", value=HEX, links=("profile-0",))
    b = fake.credential("b", "1001", value=OTHER_HEX, links=("profile-0",))
    c = fake.credential("c", "1001", value="000003", links=())
    b.links["profile-0"] = (None, "2031-01-01T00:00:00Z")
    before = shown(target)
    assert len(before.grants) == 2
    put(target, before, before)
    assert (a.links, c.links) == ({"profile-0": (None, None)}, {})
    assert b.links == {"profile-0": (None, "2031-01-01T00:00:00Z")}


def test_a_new_card_gets_what_the_others_hold(start: Start) -> None:
    fake, target = start()
    fake.credential("a", "1001", value=HEX, links=("profile-0",))
    before = shown(target)
    cards = (*before.credentials, Credential(number=OTHER_CARD))
    found = put(target, before, replace(before, credentials=cards))
    assert not found.amiss
    assert len(found.credentials) == 2


# ── suspending ──────────────────────────────────────────────────────────────────────────


def test_suspending_disables_every_card_and_keeps_why_one_was(start: Start) -> None:
    fake, target = start()
    a, b, c = (fake.credential(token, "1001", value=f"00000{token}") for token in "abc")
    b.enabled, b.reason = False, "pt:CredentialLost"
    c.enabled, c.reason = False, "pt:CredentialLockedOut"  # it would open again by itself
    before = shown(target)
    found = put(target, before, replace(before, status="suspended"))
    assert found.status == "suspended"
    reasons = [a.reason, b.reason, c.reason]
    assert reasons == ["pt:CredentialBlocked", "pt:CredentialLost", "pt:CredentialBlocked"]


def test_a_lost_card_stays_lost_when_the_person_returns(start: Start) -> None:
    fake, target = start()
    a = fake.credential("a", "1001", value=HEX)
    b = fake.credential("b", "1001", value=OTHER_HEX)
    b.enabled, b.reason = False, "pt:CredentialLost"
    before = shown(target)
    suspended = put(target, before, replace(before, status="suspended"))
    put(target, suspended, replace(suspended, status="active"))
    assert (a.enabled, b.enabled) == (True, False)


def test_only_the_cards_that_the_plan_names_return(start: Start) -> None:
    fake, target = start()
    a = fake.credential("a", "1001", value=HEX)
    b = fake.credential("b", "1001", value=OTHER_HEX)
    a.enabled = b.enabled = False
    before = shown(target)
    cards = tuple(
        replace(card, state="active") if card.number == CARD else card
        for card in before.credentials
    )
    put(target, before, replace(before, status="active", credentials=cards))
    assert (a.enabled, b.enabled) == (True, False)


def test_a_plan_older_than_a_suspension_lets_nobody_in(start: Start) -> None:
    fake, target = start()
    before = put(target, None, person(RIGHTS[0]))
    [held] = fake.store.credentials.values()
    held.enabled, held.reason = False, "pt:CredentialBlocked"

    put(target, before, holding(before, RIGHTS[1]))
    put(target, None, person(RIGHTS[0]))
    cards = (*before.credentials, Credential(number=OTHER_CARD))
    found = put(target, before, replace(before, credentials=cards))
    assert found.status == "suspended"
    assert len(found.credentials) == 2, "the new card is there, and shut"

    lost = replace(before, credentials=(Credential(number=CARD, state="inactive"),))
    with pytest.raises(Refused, match="since it was planned"):
        target.put(Change(before=lost, after=before))
    assert shown(target).status == "suspended"


def test_a_card_returns_to_nobody_who_was_suspended_since(start: Start) -> None:
    fake, target = start()
    a = fake.credential("a", "1001", value=HEX)
    b = fake.credential("b", "1001", value=OTHER_HEX)
    a.enabled = False
    before = shown(target)
    back = tuple(replace(card, state="active") for card in before.credentials)
    b.enabled = False
    with pytest.raises(Refused, match="since it was planned"):
        target.put(Change(before=before, after=replace(before, credentials=back)))
    assert not a.enabled

    b.enabled = True  # and a plan that says both opens nothing
    after = replace(before, status="suspended", credentials=back)
    target.put(Change(before=before, after=after))
    assert shown(target).status == "suspended"


def test_a_description_is_written_without_a_word_about_the_state(start: Start) -> None:
    """ModifyCredential leaves the state alone, SetCredential would set it."""
    fake, target = start()
    before = put(target, None, person(RIGHTS[0], display_name="Åsa Öberg"))
    [held] = fake.store.credentials.values()
    held.enabled = False
    fake.seen.clear()
    put(target, before, replace(before, display_name="Åsa Söder"))
    assert written(fake) == ["ModifyCredential"]
    [held] = fake.store.credentials.values()
    assert (held.description, held.enabled) == ("Åsa Söder", False)


STATES: list[CredentialState] = [
    "suspended", "lost", "stolen", "damaged", "destroyed", "expired", "inactive", "returned",
    "stock",
]  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_a_card_gets_every_state_and_returns(start: Start, state: CredentialState) -> None:
    fake, target = start()
    fake.credential("b", "1001", value=OTHER_HEX)
    fake.credential("a", "1001", value=HEX)
    before = shown(target)
    cards = tuple(
        replace(card, state=state) if card.number == CARD else card for card in before.credentials
    )
    blocked = put(target, before, replace(before, credentials=cards))
    assert {card.number: card.state for card in blocked.credentials}[CARD] == state
    assert blocked.status == "active"
    assert put(target, blocked, before).credentials == before.credentials


def test_a_card_that_was_lost_since_it_was_planned_stays_lost(start: Start) -> None:
    fake, target = start()
    held = fake.credential("a", "1001", value=HEX)
    before = shown(target)
    held.enabled, held.reason = False, "pt:CredentialLost"
    blocked = (Credential(number=CARD, state="suspended"),)
    put(target, before, replace(before, credentials=blocked))
    assert held.reason == "pt:CredentialLost"


def test_a_card_that_was_deleted_since_it_was_planned_is_not_made_again(start: Start) -> None:
    fake, target = start()
    held = fake.credential("a", "1001", value=HEX)
    fake.credential("b", "1001", value=OTHER_HEX)
    held.enabled = False
    before = shown(target)
    del fake.store.credentials["a"]
    active = tuple(replace(card, state="active") for card in before.credentials)
    with pytest.raises(Refused, match="no longer on the device"):
        target.put(Change(before=before, after=replace(before, credentials=active)))
    assert list(fake.store.credentials) == ["b"]


# ── what is local stays ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("times", [True, False])
def test_a_new_name_leaves_everything_else_of_the_record(start: Start, times: bool) -> None:
    habits = Habits(times=times, days_shown="as sent" if times else "local midnight")
    fake, target = start(habits)
    held = fake.credential(
        "a", "1001", value=HEX, description="Åsa Öberg", links=("profile-0",),
        extra=(
            "<ExtendedGrantTime>true</ExtendedGrantTime>"
            '<Attribute Name="Locker" Value="17"/>'
            '<Attribute Name="Nested"><v:Deep xmlns:v="urn:example:vendor" a="1">x</v:Deep>'
            "</Attribute>"
            '<Extension><v:Hand xmlns:v="urn:example:vendor">left</v:Hand></Extension>'
        ),
    )  # fmt: skip
    pin = etree.fromstring(
        f'<CredentialIdentifier xmlns="{TCR}"><Type><Name>pt:PIN</Name>'
        "<FormatType>DIGITS</FormatType></Type>"
        "<ExemptedFromAuthentication>true</ExemptedFromAuthentication>"
        "<Value>0012</Value></CredentialIdentifier>"
    )
    held.record.find(f"{{{TCR}}}CredentialIdentifier").addnext(pin)
    begin = etree.Element(f"{{{TCR}}}ValidTo")
    begin.text = "2040-06-30T22:00:00Z"
    held.record.find(f"{{{TCR}}}CredentialHolderReference").addnext(begin)
    held.links["profile-1"] = ("2031-06-30T22:00:00Z", "2031-07-30T22:00:00Z")
    before = shown(target)
    found = put(target, before, replace(before, display_name="Åsa Söder"))
    assert found == replace(before, display_name="Åsa Söder")
    record = fake.store.credentials["a"].record
    assert record.findtext(f"{{{TCR}}}ExtendedGrantTime") == "true"
    assert record.find(f"{{{TCR}}}Attribute").attrib == {"Name": "Locker", "Value": "17"}
    assert record.find(f"{{{TCR}}}Attribute[2]/*").tag == "{urn:example:vendor}Deep"
    assert record.findtext(f"{{{TCR}}}Extension/*") == "left"
    assert (record.findtext(f"{{{TCR}}}ValidTo") or "")[:10] in ("2040-06-30", "2040-07-01")
    assert ("pt:PIN", "DIGITS", "0012") in fake.store.credentials["a"].identifiers()


def test_a_record_that_is_not_shown_whole_is_not_written_back(start: Start) -> None:
    fake, target = start(Habits(shows_identifiers=False), check_cards=False)
    fake.credential("a", "1001", value=HEX, description="Åsa Öberg")
    before = shown(target)
    with pytest.raises(Refused, match="does not show all identifiers"):
        target.put(Change(before=before, after=replace(before, display_name="Åsa Söder")))
    assert fake.store.credentials["a"].identifiers() == {("pt:Card", "WIEGAND26", HEX)}


def test_a_name_can_stay_at_home(start: Start) -> None:
    fake, target = start(display_name="none")
    put(target, None, person(RIGHTS[0], display_name="Åsa Öberg"))
    [held] = fake.store.credentials.values()
    assert held.description is None
    assert shown(target).display_name is None


def test_an_unchanged_person_is_not_written_to(start: Start) -> None:
    fake, target = start()
    before = put(target, None, person(RIGHTS[0], display_name="Åsa Öberg"))
    fake.seen.clear()
    put(target, before, before)
    put(target, None, person(RIGHTS[0], display_name="Åsa Öberg"))
    assert written(fake) == []


# ── faults ──────────────────────────────────────────────────────────────────────────────


def test_a_full_device_says_so(start: Start) -> None:
    fake, target = start(Habits(most_cards=1))
    fake.credential("a", "2002")
    with pytest.raises(Refused, match="MaxCredentials: it is full"):
        target.put(Change(before=None, after=person(RIGHTS[0])))


def test_a_format_that_the_device_lacks_is_told(start: Start) -> None:
    _, target = start(Habits(formats=("SIMPLE_NUMBER56",)))
    with pytest.raises(Refused, match="check format_type"):
        target.put(Change(before=None, after=person(RIGHTS[0])))


def test_an_account_that_may_not_write_is_denied(start: Start) -> None:
    _, target = start(door=Door(may_write=False))
    with pytest.raises(Denied, match="administrator"):
        target.put(Change(before=None, after=person(RIGHTS[0])))


@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_login_that_is_refused_is_denied_whatever_the_status(start: Start, status: int) -> None:
    fake, _ = start(door=Door(login="wsse", fault_status=status))
    target = another(fake, user="nobody")
    for call in (
        lambda: list(target.read()),
        lambda: target.read_one("1001"),
        lambda: target.put(Change(before=None, after=person(RIGHTS[0]))),
    ):
        with pytest.raises(Denied) as error:
            call()
        assert PASSWORD not in str(error.value)
    target.close()


def test_a_profile_that_went_away_meanwhile_is_refused(start: Start) -> None:
    fake, target = start()
    before = put(target, None, person(RIGHTS[0]))

    def nothing() -> None: ...

    def delete() -> None:
        del fake.store.profiles["profile-1"]

    # after the lists of credentials, of their rights, and of what the right's name means
    fake.store.after_page += [nothing, nothing, delete]
    with pytest.raises(Refused, match="ReferenceNotFound: it does not know the access profile"):
        target.put(Change(before=before, after=holding(before, RIGHTS[0], RIGHTS[1])))
    assert [grant.ref for grant in shown(target).grants] == [RIGHTS[0]]


def test_many_changes_do_not_stop_at_one_that_is_refused(start: Start) -> None:
    _, target = start()
    bad = Change(before=None, after=person("NOWHERE"))
    good = Change(before=None, after=replace(person(RIGHTS[0], card="7"), key="2002"))
    assert [one.status for one in target.put_many([bad, good])] == ["refused", "confirmed"]


def test_only_the_host_of_the_url_is_spoken_to(start: Start) -> None:
    """The fake tells addresses on a host where nobody answers."""
    _, target = start()
    assert isinstance(target, OnvifTarget)
    put(target, None, person(RIGHTS[0]))
    assert target.changes("").bookmark


# ── events ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("parameters", [True, False])
def test_the_feed_names_the_old_and_the_new_holder(start: Start, parameters: bool) -> None:
    fake, target = start(door=Door(reference_parameters=parameters))
    held = fake.credential("a", "1001")
    first = target.changes("")
    held.record.find(f"{{{TCR}}}CredentialHolderReference").text = "2002"
    fake.touch("a")
    found = target.changes(first.bookmark)
    assert found.keys == ("1001", "2002")
    assert target.changes(found.bookmark).keys == ()


def test_the_feed_names_whose_card_was_deleted_or_blocked(start: Start) -> None:
    fake, target = start()
    fake.credential("a", "1001")
    fake.credential("b", "2002")
    first = target.changes("")
    del fake.store.credentials["a"]
    fake.touch("a", "Configuration/Credential/Removed")
    fake.touch("b", "Credential/State/Enabled")
    fake.touch("door", "Door/State/DoorMode")
    assert target.changes(first.bookmark).keys == ("1001", "2002")


@pytest.mark.parametrize(
    "what", ["lost", "renamed", "nobody's", "too much", "used up", "another process", "no token"]
)
def test_what_the_feed_cannot_tell_needs_a_whole_read(start: Start, what: str) -> None:
    fake, target = start(event_limit=5)
    fake.credential("a", "1001")
    bookmark = target.changes("").bookmark
    match what:
        case "lost":
            fake.door.events_lost = True
        case "renamed":
            fake.touch("profile-0", "Configuration/AccessProfile/Changed")
        case "nobody's":
            fake.credential("b", "")
        case "too much":
            for _ in range(6):
                fake.touch("a")
        case "used up":
            target.changes(bookmark)
        case "another process":
            target = another(fake)
        case "no token":
            fake.touch("")
    found = target.changes(bookmark)
    assert found.keys is None
    assert target.changes(found.bookmark).keys == (), "the next question is a quick one again"
    target.close()


def test_a_feed_of_a_device_that_is_down_is_unavailable(start: Start) -> None:
    fake, target = start()
    bookmark = target.changes("").bookmark
    fake.busy = 3
    with pytest.raises(Unavailable):
        target.changes(bookmark)
    fake.busy = 0
    assert target.changes(bookmark).keys is None


def test_a_pull_point_is_given_back(start: Start) -> None:
    fake, target = start()
    target.changes(target.changes("").bookmark)
    assert len(fake.subscriptions) == 1
    target.changes("")
    assert len(fake.subscriptions) == 1
    target.close()
    assert not fake.subscriptions


def test_a_device_without_events_needs_a_whole_read(start: Start) -> None:
    _, target = start(door=Door(services=("credential", "accessrules")))
    assert target.changes("").keys is None
    _, silent = start(events=False)
    assert silent.changes("").keys is None
    assert not silent.capabilities.change_feed
