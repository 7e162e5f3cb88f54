"""The contract kit of a target: what every adapter must do, as tests to inherit.

    class TestAcme(TargetContract):
        @pytest.fixture
        def target(self) -> Iterator[AcmeTarget]: ...   # the adapter, its system empty
        @pytest.fixture
        def outage(self) -> AcmeTarget: ...             # the adapter, its system down
        @pytest.fixture
        def stranger(self) -> Stranger: ...             # a local administrator's hand
        @pytest.fixture
        def rights(self) -> tuple[str, ...]: ...        # three rights the system has

A fixture that is not given is an error, and no promise is ever skipped: what the system
cannot hold by its declared capabilities (see `ABILITIES`), the adapter must refuse, since
a grant that silently loses its end date is a grant for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from idsync.errors import Refused, Unavailable
from idsync.model import Cardholder, Change, Credential, CredentialState, Grant
from idsync.targets import Target
from idsync.testing.cardholders import (
    AWKWARD_KEYS,
    OTHER_VALUES,
    attributes,
    fitting,
    held,
    holding,
    only,
    picture,
    plain,
    refs,
    someone,
)
from idsync.testing.target_kit import Stranger, TargetKit


class TargetContract(TargetKit):
    """Inherit, give the fixtures, and every method below is a test of your adapter."""

    # ── writing and reading back ────────────────────────────────────────────────────────

    def test_what_is_put_is_read_back(self, target: Target, rights: tuple[str, ...]) -> None:
        wanted = someone(target, grants=(Grant(ref=rights[0]), Grant(ref=rights[1])))
        self._put(target, None, wanted)
        found = only(target, wanted.key)
        assert found.status == "active", "a new cardholder is not active"
        assert held(found) == held(wanted), "the grants are not those that were put"
        for name in target.capabilities.attributes:
            assert getattr(found, name) == getattr(wanted, name), f"{name} is not what was put"

    def test_putting_twice_equals_putting_once(
        self, target: Target, rights: tuple[str, ...]
    ) -> None:
        first = someone(target, grants=(Grant(ref=rights[0]),))
        self._put(target, None, first)
        once = picture(target)
        self._put(target, None, first)
        assert picture(target) == once, "putting a new cardholder twice is not the same as once"

        before = only(target, first.key)
        after = replace(before, grants=(Grant(ref=rights[1]),))
        self._put(target, before, after)
        once = picture(target)
        self._put(target, before, after)
        assert picture(target) == once, "putting a change twice is not the same as once"

    def test_a_grant_can_be_added(self, target: Target, rights: tuple[str, ...]) -> None:
        before = self._given(target, someone(target, grants=(Grant(ref=rights[0]),)))
        self._put(target, before, holding(before, rights[0], rights[1]))
        assert refs(only(target, before.key)) == {rights[0], rights[1]}, "a grant was not added"

    def test_a_grant_can_be_taken_away(self, target: Target, rights: tuple[str, ...]) -> None:
        before = self._given(target, holding(someone(target), rights[0], rights[1]))
        self._put(target, before, holding(before, rights[1]))
        assert refs(only(target, before.key)) == {rights[1]}, "not exactly one grant went"

    def test_the_last_grant_can_be_taken_away(
        self, target: Target, rights: tuple[str, ...]
    ) -> None:
        before = self._given(target, holding(someone(target), rights[0]))
        self._put(target, before, holding(before))
        assert refs(only(target, before.key)) == set(), "the last grant is still there"

    def test_an_unknown_right_is_refused_or_held(self, target: Target) -> None:
        wanted = holding(someone(target), "no such right åäö")
        try:
            self._put(target, None, wanted)
        except Refused:
            return
        found = only(target, wanted.key)
        assert refs(found) == refs(wanted), "a right was silently left out: raise Refused"

    # ── suspending ──────────────────────────────────────────────────────────────────────

    def test_suspending_closes_without_deleting(
        self, target: Target, rights: tuple[str, ...]
    ) -> None:
        before = self._given(target, holding(someone(target), rights[0]))
        self._put(target, before, replace(holding(before), status="suspended"))
        found = only(target, before.key)
        assert found.status == "suspended", "the cardholder is not suspended"
        assert refs(found) == set(), "a suspended cardholder kept a grant that was to go"
        assert attributes(found) == attributes(before), "suspending changed the attributes"

    def test_a_suspended_person_stays_suspended(
        self, target: Target, rights: tuple[str, ...]
    ) -> None:
        active = self._given(target, holding(someone(target), rights[0]))
        self._put(target, active, replace(active, status="suspended"))
        before = only(target, active.key)
        self._put(target, before, holding(before))
        assert only(target, active.key).status == "suspended", "another change ended a suspension"

    def test_a_suspended_person_can_return(self, target: Target, rights: tuple[str, ...]) -> None:
        active = self._given(target, holding(someone(target), rights[0]))
        self._put(target, active, replace(holding(active), status="suspended"))
        before = only(target, active.key)
        self._put(target, before, replace(holding(before, rights[1]), status="active"))
        found = only(target, active.key)
        assert found.status == "active", "a suspended cardholder did not become active"
        assert refs(found) == {rights[1]}, "who returned does not hold what was put"

    def test_suspending_a_stranger_creates_nothing(self, target: Target) -> None:
        self._given(target, someone(target))
        before = picture(target)
        self._put(target, None, Cardholder(key="404404", status="suspended"))
        assert picture(target) == before, "suspending somebody unknown changed the system"

    # ── leaving alone ───────────────────────────────────────────────────────────────────

    def test_one_person_does_not_touch_another(
        self, target: Target, rights: tuple[str, ...]
    ) -> None:
        one = self._given(target, holding(someone(target, "1001"), rights[0]))
        others = [
            self._given(target, holding(someone(target, key), rights[0], rights[1]))
            for key in ("100", "10011", "1002")
        ]
        self._put(target, one, holding(one, rights[1]))
        now = only(target, "1001")
        self._put(target, now, replace(holding(now), status="suspended"))
        for other in others:
            assert plain(only(target, other.key)) == plain(other), "somebody else was changed"

    def test_an_attribute_can_be_changed(self, target: Target) -> None:
        before = self._given(target, someone(target))
        for name, value in fitting(target, OTHER_VALUES).items():
            self._put(target, only(target, before.key), replace(before, **{name: value}))
            found = getattr(only(target, before.key), name)
            assert found == value, f"{name} is not what was put"

    def test_an_attribute_can_be_emptied(self, target: Target) -> None:
        if not target.capabilities.attributes:
            return
        name = target.capabilities.attributes[-1]
        before = self._given(target, someone(target))
        emptied: dict[str, Any] = {name: ""}
        self._put(target, before, replace(before, **emptied))
        assert not getattr(only(target, before.key), name), f"{name} is not empty"

    def test_attributes_not_named_are_left_alone(
        self, target: Target, rights: tuple[str, ...]
    ) -> None:
        if not target.capabilities.attributes:
            return
        before = self._given(target, someone(target))
        (name, value), *_ = fitting(target, OTHER_VALUES).items()
        others = [other for other in target.capabilities.attributes if other != name]
        nameless = Cardholder(key=before.key, grants=(Grant(ref=rights[0]),))
        self._put(target, before, replace(nameless, **{name: value}))
        found = only(target, before.key)
        for other in others:
            assert getattr(found, other) == getattr(before, other), f"{other} was not named"

    def test_a_grant_made_by_others_is_read_and_left_alone(
        self, target: Target, stranger: Stranger, rights: tuple[str, ...]
    ) -> None:
        ours = self._given(target, holding(someone(target), rights[0]))
        stranger(Cardholder(key=ours.key, grants=(Grant(ref=rights[1]),)))
        assert refs(only(target, ours.key)) == {*rights[:2]}, "another's grant is not shown"

        self._put(target, ours, holding(ours, rights[2]))  # planned before the stranger came
        assert refs(only(target, ours.key)) == {*rights[1:3]}, "a grant nobody named was touched"

        now = only(target, ours.key)
        self._put(target, now, replace(holding(now, rights[1]), status="suspended"))
        assert refs(only(target, ours.key)) == {rights[1]}, "suspending touched another's grant"

    def test_records_of_others_are_shown_and_left_alone(
        self, target: Target, stranger: Stranger, rights: tuple[str, ...]
    ) -> None:
        name = someone(target).display_name  # the same name is not the same person
        theirs = Cardholder(key=None, display_name=name, grants=(Grant(ref=rights[0]),))
        stranger(theirs)
        shown = picture(target)
        assert any(found.key is None and held(found) == held(theirs) for found in shown), (
            "a record that is not idsync's is not shown"
        )

        ours = self._given(target, holding(someone(target), rights[1]))
        self._put(target, ours, replace(holding(ours), status="suspended"))
        assert not shown - picture(target), "a record that is not idsync's was changed"

    # ── what not every system can ───────────────────────────────────────────────────────

    def test_dates_are_kept_to_the_granularity(
        self, target: Target, rights: tuple[str, ...]
    ) -> None:
        both = Grant(ref=rights[0], valid_from=self._day(target, 3), valid_to=self._day(target, 9))
        if not self._able(target, "dated grants", someone(target, grants=(both,))):
            return
        start = Grant(ref=rights[1], valid_from=self._day(target, 4))
        end = Grant(ref=rights[2], valid_to=self._day(target, 8))
        found = self._given(target, someone(target, grants=(both, start, end)))
        assert held(found) == Counter((both, start, end)), "the dates are not those that were put"

    def test_a_grant_can_get_a_new_end(self, target: Target, rights: tuple[str, ...]) -> None:
        start = self._day(target, 3)
        begun = Grant(ref=rights[0], valid_from=start)
        if not self._able(target, "dated grants", someone(target, grants=(begun,))):
            return
        for end in (self._day(target, 20), self._day(target, 5), None):
            before = target.read_one("1001")
            grant = replace(begun, valid_to=end)
            self._put(target, before, replace(before or someone(target), grants=(grant,)))
            assert held(only(target, "1001")) == Counter([grant]), "a grant did not get its new end"

    def test_one_right_can_be_held_for_two_periods(
        self, target: Target, rights: tuple[str, ...]
    ) -> None:
        early = Grant(ref=rights[0], valid_to=self._day(target, 5))
        late = Grant(ref=rights[0], valid_from=self._day(target, 9))
        wanted = someone(target, grants=(early, late))
        if not self._able(target, "one right for two periods", wanted):
            return
        before = self._given(target, wanted)
        assert held(before) == Counter((early, late)), "a right is not held for two periods"
        self._put(target, before, replace(before, grants=(late,)))
        assert held(only(target, before.key)) == Counter([late]), "the wrong period went"

    def test_an_alarm_right_is_no_access_right(
        self, target: Target, rights: tuple[str, ...], alarm_rights: tuple[str, ...]
    ) -> None:
        alarm = Grant(ref=(alarm_rights or rights)[0], kind="alarm")
        if not self._able(target, "alarm rights", someone(target, grants=(alarm,))):
            return
        assert alarm_rights, "give the fixture `alarm_rights`: the name of one that the system has"
        door = Grant(ref=rights[0])
        before = self._given(target, someone(target, grants=(alarm, door)))
        assert held(before) == Counter((alarm, door)), "the kinds are not those that were put"
        self._put(target, before, replace(before, grants=(alarm,)))
        assert held(only(target, before.key)) == Counter([alarm]), "the wrong kind went"

    def test_credentials_are_read(self, target: Target, stranger: Stranger) -> None:
        card = Credential(number="70001")
        wanted = replace(someone(target), credentials=(card,))
        if not self._able(target, "credentials to be read", wanted):
            return
        ours = self._given(target, someone(target))
        stranger(Cardholder(key=ours.key, credentials=(card,)))
        shown = Counter(only(target, ours.key).credentials)
        assert shown == Counter((*ours.credentials, card)), "a card is not shown"

    def test_credentials_are_blocked_and_returned(self, target: Target, stranger: Stranger) -> None:
        one, two = Credential(number="70001"), Credential(number="70002")
        wanted = replace(someone(target), credentials=(one,))
        if not self._able(target, "credentials to be written", wanted):
            return
        ours, other = self._given(target, someone(target)), someone(target, "1002")
        self._given(target, other)
        stranger(Cardholder(key=ours.key, credentials=(one, two)))
        stranger(Cardholder(key=other.key, credentials=(Credential(number="70003"),)))
        states: tuple[CredentialState, ...] = ("suspended", "active")
        for state in states:
            before = only(target, ours.key)
            cards = (*ours.credentials, replace(one, state=state), two)
            self._put(target, before, replace(before, credentials=cards))
            found = only(target, ours.key).credentials
            assert Counter(found) == Counter(cards), f"the cards are not as put: {state}"
        others = only(target, other.key).credentials
        assert {card.state for card in others} == {"active"}, "somebody else's card was changed"

    # ── reading ─────────────────────────────────────────────────────────────────────────

    def test_many_people_are_all_read(self, target: Target, rights: tuple[str, ...]) -> None:
        keys = [str(1000 + number) for number in range(self.many)]
        for key in keys:
            self._put(target, None, holding(someone(target, key), rights[0]))
        found = [cardholder for cardholder in target.read() if cardholder.key is not None]
        assert Counter(each.key for each in found) == Counter(keys), "not everybody is read once"
        assert all(refs(each) == {rights[0]} for each in found), "somebody's grant is not read"

    def test_swedish_letters_survive(self, target: Target) -> None:
        letters: dict[str, Any] = {
            name: f"å ä ö Å Ä Ö é ü {name}" for name in target.capabilities.attributes
        }
        if "mail" in letters:
            letters["mail"] = "åsa.öberg@exämple.org"
        wanted = replace(someone(target), **fitting(target, letters))
        self._put(target, None, wanted)
        assert attributes(only(target, "1001")) == attributes(wanted), "letters were lost"

    def test_a_key_is_only_ever_a_key(self, target: Target, rights: tuple[str, ...]) -> None:
        self._given(target, holding(someone(target, "1001"), rights[0]))
        self._given(target, holding(someone(target, "a1"), rights[0]))
        bystanders = picture(target)
        for key in (*AWKWARD_KEYS, "A1", "1001 ", " 1001"):
            with suppress(Refused):  # a system may refuse such a key, but not misread it
                assert target.read_one(key) is None, f"the key {key!r} found somebody"
                self._put(target, None, Cardholder(key=key, status="suspended"))
                assert picture(target) == bystanders, f"suspending {key!r} changed somebody"
                self._put(target, None, holding(someone(target, key), rights[1]))
                found = only(target, key)
                assert refs(found) == {rights[1]}, f"the key {key!r} found somebody else"
                bystanders[plain(found)] += 1
            assert picture(target) == bystanders, f"putting the key {key!r} changed somebody"

    def test_read_one_agrees_with_read(
        self, target: Target, stranger: Stranger, rights: tuple[str, ...]
    ) -> None:
        ours = self._given(target, holding(someone(target, "1001"), rights[0]))
        self._given(target, holding(someone(target, "1002"), rights[0], rights[1]))
        assert only(target, "1001") == ours
        self._put(target, ours, replace(holding(ours), status="suspended"))
        stranger(Cardholder(key="1002", grants=(Grant(ref=rights[2]),)))
        for found in picture(target):
            one = target.read_one(found.key or "")
            assert one is not None, "read shows somebody that read_one does not"
            assert plain(one) == found, "read_one does not agree with read"

    def test_an_unknown_key_is_none(self, target: Target) -> None:
        assert target.read_one("404404") is None, "an empty system knows somebody"
        self._given(target, someone(target))
        assert target.read_one("404404") is None, "an unknown key found somebody"

    def test_reading_changes_nothing(self, target: Target, rights: tuple[str, ...]) -> None:
        assert not picture(target), "the fixture `target` must give an empty system"
        self._given(target, holding(someone(target), rights[0]))
        first = picture(target)
        target.read_one("1001")
        target.read_one("404404")
        assert picture(target) == first, "reading changed the system"

    def test_an_outage_is_raised_not_hidden(self, outage: Target) -> None:
        calls: dict[str, Callable[[], object]] = {
            "read": lambda: list(outage.read()),
            "read_one": lambda: outage.read_one("1001"),
            "put": lambda: outage.put(Change(before=None, after=Cardholder(key="1001"))),
        }
        for name, call in calls.items():
            try:
                call()
            except Unavailable:
                continue
            raise AssertionError(f"{name}: the system is down, and Unavailable was not raised")
