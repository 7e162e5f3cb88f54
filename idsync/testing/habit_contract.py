"""The second contract of a target: what must hold when its system has bad habits.

    class TestAcmeHabits(HabitContract):
        ... the fixtures of TargetContract ...
        @pytest.fixture
        def habits(self) -> AcmeHabits: ...   # the stand-in's bad habits, as switches

It needs a stand-in that can be told to behave badly. What a system without calls cannot
do (a table or a file does not lose answers) is declared by `capabilities.wire`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pytest

from idsync.apply.one import Manner, carry_out_one
from idsync.errors import Incomplete, Refused, Unavailable
from idsync.model import Cardholder, Change, Credential, Grant
from idsync.plan.document import change_of
from idsync.targets import Target
from idsync.testing.cardholders import (
    fitting,
    giving,
    held,
    holding,
    only,
    picture,
    plain,
    refs,
    someone,
)
from idsync.testing.target_kit import Stranger, TargetKit


class Habits(Protocol):
    """Switches on a stand-in. Each is for the calls that follow, until it has been used up."""

    def lose_answer(self) -> None:
        """The next call that changes something is carried out, and its answer never comes."""

    def ignore_write(self) -> None:
        """The next call that changes something is answered with success, and nothing is done."""

    def be_busy(self, times: int) -> None:
        """The next *times* calls are answered with what means "too much, later"."""

    def between_pages(self, edit: Callable[[], None]) -> None:
        """After the first page of the next listing, *edit* happens; a second page must follow."""

    def paged(self, size: int) -> Target:
        """Return another adapter on the same system, with pages of *size* records."""


class WithoutCalls:
    """The habits of a system that is written as a table or a file: nothing gets lost on the way.

    *again* makes another adapter on the same system.
    """

    def __init__(self, again: Callable[[], Target]) -> None:
        self._again = again

    def lose_answer(self) -> None:
        """Do nothing: there are no answers."""

    def ignore_write(self) -> None:
        """Do nothing: what is written stands there."""

    def be_busy(self, times: int) -> None:
        """Do nothing: nobody is asked."""

    def between_pages(self, edit: Callable[[], None]) -> None:
        """Do nothing: there are no pages."""

    def paged(self, size: int) -> Target:
        """Return another adapter on the same system; it has no pages."""
        return self._again()


class HabitContract(TargetKit):
    """Inherit beside TargetContract, give its fixtures and `habits`."""

    @pytest.fixture
    def habits(self) -> Habits:
        """The bad habits of the stand-in."""
        raise NotImplementedError("give the fixture `habits`: your stand-in's bad habits")

    def _wired(self, target: Target) -> bool:
        return target.capabilities.wire == "calls"

    # ── answers that get lost, lie, or come later ───────────────────────────────────────

    def test_a_write_whose_answer_was_lost_can_be_sent_again(
        self, target: Target, habits: Habits, rights: tuple[str, ...]
    ) -> None:
        if not self._wired(target):
            return
        wanted = someone(target, grants=(Grant(ref=rights[0]),))
        self._lost(target, habits, Change(before=None, after=wanted))
        before = only(target, wanted.key)
        assert refs(before) == {rights[0]}, "sent twice, a new cardholder is not as put"
        after = holding(before, rights[1])
        self._lost(target, habits, Change(before=before, after=after))
        assert held(only(target, wanted.key)) == held(after), "sent twice, a change is not as put"
        found = [each for each in target.read() if each.key == wanted.key]
        assert len(found) == 1, "sent twice, somebody stands there twice"

    def _lost(self, target: Target, habits: Habits, change: Change) -> None:
        habits.lose_answer()
        with suppress(Unavailable):
            target.put(change)
        self._put(target, change.before, change.after)

    def test_a_system_that_says_yes_and_does_nothing_is_seen_through(
        self, target: Target, habits: Habits, rights: tuple[str, ...]
    ) -> None:
        if not self._wired(target):
            return
        before = self._given(target, holding(someone(target), rights[0]))
        habits.ignore_write()
        with suppress(Refused, Unavailable):
            self._put(target, before, holding(before))
            other = habits.paged(50)
            try:
                truth = other.read_one(before.key or "")
            finally:
                other.close()
            found = only(target, before.key)
            assert truth is not None, "a change that was ignored made somebody vanish"
            assert plain(found) == plain(truth), "what was not done is shown as done"

    def test_an_answer_that_comes_later_is_waited_for(
        self, target: Target, rights: tuple[str, ...]
    ) -> None:
        wanted = holding(someone(target), rights[0])
        outcome = target.put(Change(before=None, after=wanted))
        later = target.capabilities.answers_later
        assert outcome.status == ("submitted" if later else "confirmed"), "the outcome is not true"
        if later:
            assert only(target, wanted.key).pending, "what is not answered is not shown as pending"
            self.settle(target)
        found = only(target, wanted.key)
        assert not found.pending, "what is answered is still shown as pending"
        assert refs(found) == {rights[0]}, "the grants are not those that were put"

    def test_an_empty_change_does_no_harm(self, target: Target, rights: tuple[str, ...]) -> None:
        before = self._given(target, holding(someone(target), rights[0]))
        once = picture(target)
        nothing = Cardholder(key=before.key)
        for same in (before, nothing):
            self._put(target, same, same)
            assert picture(target) == once, "a change of nothing changed something"

    def test_a_storm_of_refused_calls_is_waited_out(
        self, target: Target, habits: Habits, rights: tuple[str, ...]
    ) -> None:
        if not self._wired(target):
            return
        before = self._given(target, holding(someone(target), rights[0]))
        calls: dict[str, Callable[[], object]] = {
            "read": lambda: list(target.read()),
            "read_one": lambda: target.read_one(before.key or ""),
            "put": lambda: target.put(Change(before=before, after=holding(before, rights[1]))),
        }
        for name, call in calls.items():
            habits.be_busy(1)
            try:
                call()
            except Unavailable:
                continue
            raise AssertionError(f"{name}: the system was too busy, and nobody was told")
        self._put(target, before, holding(before, rights[1]))
        assert refs(only(target, before.key)) == {rights[1]}, "after a storm, not as put"

    # ── hands on the same record ────────────────────────────────────────────────────────

    def test_a_hand_that_was_quicker_is_seen_before_the_write(
        self, target: Target, stranger: Stranger, rights: tuple[str, ...]
    ) -> None:
        before = self._given(target, holding(someone(target), rights[0]))
        assert only(target, before.key) == before
        stranger(Cardholder(key=before.key, grants=(Grant(ref=rights[1]),)))
        other = only(target, before.key)
        theirs = [grant for grant in other.grants if grant.ref == rights[1]]
        assert len(theirs) == 1, "what somebody gave by hand is not shown"
        planned = giving(before.key or "", theirs[0])
        result = carry_out_one(target, change_of(planned), planned, Manner(look=True))
        assert not result.sent, "what somebody gave by hand meanwhile was given again"
        assert result.standing.is_empty(), "what somebody gave by hand was taken for idsync's own"
        assert held(only(target, before.key)) == held(other), "a hand's edit was overwritten"

    # ── reading ─────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("size", [1, 2, 7])
    def test_pages_of_any_size_hold_everybody_once(
        self, target: Target, habits: Habits, rights: tuple[str, ...], size: int
    ) -> None:
        keys = [str(1000 + number) for number in range(8)]
        for key in keys:
            self._put(target, None, holding(someone(target, key), *rights[:2]))
        paged = habits.paged(size)
        try:
            found = [each for each in paged.read() if each.key is not None]
        finally:
            paged.close()
        assert Counter(each.key for each in found) == Counter(keys), "not everybody is read once"
        assert all(refs(each) == set(rights[:2]) for each in found), "somebody's grant is missing"

    def test_an_edit_during_a_read_loses_nobody(
        self, target: Target, habits: Habits, stranger: Stranger, rights: tuple[str, ...]
    ) -> None:
        if not self._wired(target):
            return
        keys = [str(1000 + number) for number in range(6)]
        for key in keys:
            self._put(target, None, holding(someone(target, key), rights[0]))
        paged = habits.paged(2)
        theirs = Cardholder(key=None, display_name="Aaa Aaa", grants=(Grant(ref=rights[1]),))
        habits.between_pages(lambda: stranger(theirs))
        try:
            found = [each.key for each in paged.read() if each.key is not None]
            assert Counter(found) == Counter(keys), "an edit during a read hid or doubled somebody"
        except Incomplete:
            pass  # half an answer, and it is said
        finally:
            paged.close()

    # ── cards, names, clocks ────────────────────────────────────────────────────────────

    def test_every_card_of_a_person_opens_the_same(
        self, target: Target, stranger: Stranger, rights: tuple[str, ...]
    ) -> None:
        if target.capabilities.credentials == "none":
            return
        if target.capabilities.cards_per_holder == 1:
            return
        before = self._given(target, holding(someone(target), rights[0]))
        stranger(Cardholder(key=before.key, credentials=(Credential(number="70002"),)))
        with_two = only(target, before.key)
        assert len(with_two.credentials) == len(before.credentials) + 1, "a card is not shown"
        on_cards = target.capabilities.rights_on == "credential"
        assert bool(with_two.amiss) == on_cards, "a card without rights is not told as amiss"
        nothing = Cardholder(key=before.key)  # as a plan writes it: it names no grant at all
        self._put(target, nothing, nothing)
        levelled = only(target, before.key)
        assert not levelled.amiss, "an empty change did not set the cards right"
        assert refs(levelled) == {rights[0]}, "an empty change took a right"
        self._put(target, with_two, holding(with_two, rights[1]))
        found = only(target, before.key)
        assert refs(found) == {rights[1]}, "a right went from one card only"
        assert not found.amiss, "a right came to one card only"

    def test_a_name_that_is_too_long_is_not_cut_in_silence(self, target: Target) -> None:
        for name, most in target.capabilities.lengths.items():
            if name not in target.capabilities.attributes:
                continue
            overlong: dict[str, Any] = {name: "Å" * (most + 1)}
            longer = replace(someone(target), **overlong)
            try:
                target.put(Change(before=None, after=longer))
            except Refused:
                continue
            raise AssertionError(f"{name}: longer than declared, and not refused")

    def test_letters_that_the_system_lacks_are_refused(self, target: Target) -> None:
        if target.capabilities.characters == "unicode" or not target.capabilities.attributes:
            return
        foreign: dict[str, Any] = dict.fromkeys(target.capabilities.attributes, "Ђорђе 京")
        wanted = replace(someone(target), **fitting(target, foreign))
        try:
            target.put(Change(before=None, after=wanted))
        except Refused:
            return
        raise AssertionError("letters that the system cannot hold were not refused")

    @pytest.mark.parametrize("clock", ["2031-03-30", "2031-10-26", "2031-07-01"])
    def test_a_day_is_the_same_day_on_both_sides_of_a_clock_change(
        self, target: Target, rights: tuple[str, ...], clock: str
    ) -> None:
        if not target.capabilities.dated_grants:
            return
        begin = datetime.fromisoformat(clock).replace(tzinfo=self.zone)
        end = datetime.combine(
            begin.date().replace(day=begin.day + 1) if begin.day < 31 else begin.date(),
            begin.time(), self.zone,
        )  # fmt: skip
        wanted = Grant(
            ref=rights[0], valid_from=begin.astimezone(UTC), valid_to=end.astimezone(UTC)
        )
        found = self._given(target, someone(target, grants=(wanted,)))
        assert held(found) == Counter([wanted]), "a day moved with the clocks"

    def test_the_change_feed_names_whom_somebody_touched(
        self, target: Target, stranger: Stranger, rights: tuple[str, ...]
    ) -> None:
        first = target.changes("")
        if not target.capabilities.change_feed:
            assert first.keys is None, "no feed is declared, and yet it answers"
            return
        ours = self._given(target, holding(someone(target), rights[0]))
        self._given(target, holding(someone(target, "1002"), rights[0]))
        between = target.changes(first.bookmark)
        assert between.keys is None or {"1001", "1002"} <= set(between.keys), "a change is missing"
        stranger(Cardholder(key=ours.key, grants=(Grant(ref=rights[1]),)))
        touched = target.changes(between.bookmark)
        assert touched.keys is None or "1001" in touched.keys, "a stranger's change is missing"
        quiet = target.changes(touched.bookmark)
        assert quiet.keys == (), "nothing was touched, and the feed tells otherwise"


ANOTHER_ZONE = ZoneInfo("America/New_York")
"""For a stand-in whose clock is elsewhere: run the contract once more with `zone` set to it."""
