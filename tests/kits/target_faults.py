"""Targets with one planted fault each: mistakes that authors of adapters have made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any

from idsync.capabilities import Capabilities
from idsync.errors import Unavailable
from idsync.model import ATTRIBUTES, Cardholder, Change, Outcome
from idsync.targets.local import LocalTarget
from idsync.targets.local_system import LocalSystem
from idsync.testing.cardholders import VALUES

CONFIRMED = Outcome(status="confirmed")


class Faulty(LocalTarget):
    """A sound target, with its system at hand."""

    def __init__(self, config: LocalTarget.Config) -> None:
        super().__init__(config)
        self.path = config.path
        self.system = LocalSystem(config.path, create=True)


# ── reading ─────────────────────────────────────────────────────────────────────────────


class ReadsTheFirstPageOnly(Faulty):
    def read(self) -> Iterator[Cardholder]:
        return islice(super().read(), 25)


class ReadsAnEmptySystemInAnOutage(Faulty):
    def read(self) -> Iterator[Cardholder]:
        try:
            yield from super().read()
        except Unavailable:
            return


class KnowsNobodyInAnOutage(Faulty):
    def read_one(self, key: str) -> Cardholder | None:
        try:
            return super().read_one(key)
        except Unavailable:
            return None


class ConfirmsInAnOutage(Faulty):
    def put(self, change: Change) -> Outcome:
        try:
            return super().put(change)
        except Unavailable:
            return CONFIRMED


class RemembersWhomItRead(Faulty):
    def read_one(self, key: str) -> Cardholder | None:
        known: dict[str, Cardholder | None] = self.__dict__.setdefault("known", {})
        if known.get(key) is None:
            known[key] = super().read_one(key)
        return known[key]


class HidesWhatHasNoKey(Faulty):
    def read(self) -> Iterator[Cardholder]:
        return (each for each in super().read() if each.key is not None)


class HidesGrantsOfOthers(Faulty):
    def read_one(self, key: str) -> Cardholder | None:
        found = super().read_one(key)
        if found is None:
            return None
        return replace(found, grants=tuple(each for each in found.grants if not each.because))


class HidesCards(Faulty):
    def read_one(self, key: str) -> Cardholder | None:
        found = super().read_one(key)
        return replace(found, credentials=()) if found else None


class FindsTheNextBest(Faulty):
    def read_one(self, key: str) -> Cardholder | None:
        return super().read_one(key) or next(iter(super().read()), None)


class MakesWhomItLooksFor(Faulty):
    def read_one(self, key: str) -> Cardholder | None:
        if super().read_one(key) is None:
            super().put(Change(before=None, after=Cardholder(key=key)))
            return None
        return super().read_one(key)


class BuildsItsQueryFromTheKey(Faulty):
    def read_one(self, key: str) -> Cardholder | None:
        with closing(sqlite3.connect(self.path)) as connection:
            try:
                rows = connection.execute(f"SELECT key FROM holder WHERE key = '{key}'")
                [found] = rows.fetchone() or [None]
            except sqlite3.Error:
                found = None
        return super().read_one(found) if found else None


class ReadsWildcards(Faulty):
    def read_one(self, key: str) -> Cardholder | None:
        with closing(sqlite3.connect(self.path)) as connection:
            found = connection.execute("SELECT key FROM holder WHERE key LIKE ?", [key]).fetchone()
        return super().read_one(found[0]) if found else None


# ── grants ──────────────────────────────────────────────────────────────────────────────


class Tampering(Faulty):
    """Puts something else than the change it was given."""

    def tamper(self, change: Change) -> Change:
        raise NotImplementedError

    def put(self, change: Change) -> Outcome:
        return super().put(self.tamper(change))


class AddsButNeverRemoves(Tampering):
    def tamper(self, change: Change) -> Change:
        return replace(change, after=replace(change.after, grants=_both(change)))


class RemovesButNeverAdds(Tampering):
    def tamper(self, change: Change) -> Change:
        if change.before is None:
            return change
        kept = tuple(each for each in change.after.grants if each in change.before.grants)
        return replace(change, after=replace(change.after, grants=kept))


class KeepsTheLastGrant(Tampering):
    def tamper(self, change: Change) -> Change:
        if change.after.grants or change.before is None:
            return change
        return replace(change, after=replace(change.after, grants=change.before.grants))


class ReplacesAllGrants(Tampering):
    def tamper(self, change: Change) -> Change:
        return replace(change, before=self.read_one(change.key))


class AddsWithoutLooking(Faulty):
    def put(self, change: Change) -> Outcome:
        super().put(replace(change, after=replace(change.after, grants=_both(change, adds=False))))
        with self.system.session("idsync") as session:
            holder = session.find(change.key)
            for each in change.added if holder else ():
                native_id = session.someone(change.key).native_id
                session.grant(native_id, each.kind, each.ref, each.valid_from, each.valid_to)
        return CONFIRMED


class ForgetsDates(Tampering):
    def tamper(self, change: Change) -> Change:
        return _undated(change)


class DropsDatesItDeclaresItHasNot(ForgetsDates):
    capabilities = Capabilities(dated_grants=False)


class DropsKindsItDeclaresItHasNot(Tampering):
    capabilities = replace(LocalTarget.capabilities, kinds=("access",))

    def tamper(self, change: Change) -> Change:
        return _doors_only(change)


class DropsCardsItDeclaresItHasNot(Tampering):
    capabilities = replace(LocalTarget.capabilities, credential=())

    def tamper(self, change: Change) -> Change:
        return replace(change, after=replace(change.after, credentials=()))


class NeverMovesAnEnd(Tampering):
    def tamper(self, change: Change) -> Change:
        had = {each.ref: each for each in change.before.grants} if change.before else {}
        grants = tuple(had.get(each.ref, each) for each in change.after.grants)
        return replace(change, after=replace(change.after, grants=grants))


class RemovesEveryPeriodOfARight(Tampering):
    def tamper(self, change: Change) -> Change:
        gone = {each.ref for each in change.removed}
        grants = tuple(
            each for each in change.after.grants if each.ref not in gone or each in change.added
        )
        return replace(change, after=replace(change.after, grants=grants))


class TakesAlarmsForDoors(Tampering):
    def tamper(self, change: Change) -> Change:
        return _doors_only(change)


class LeavesOutUnknownRights(Tampering):
    def tamper(self, change: Change) -> Change:
        grants = tuple(each for each in change.after.grants if "no such" not in each.ref)
        return replace(change, after=replace(change.after, grants=grants))


# ── people ──────────────────────────────────────────────────────────────────────────────


class SucceedsWithoutDoing(Faulty):
    def put(self, change: Change) -> Outcome:
        return CONFIRMED


class SuspendsNobody(Tampering):
    def tamper(self, change: Change) -> Change:
        if self.read_one(change.key) is None:
            return change
        return replace(change, after=replace(change.after, status="active"))


class LetsEverybodyBackIn(Tampering):
    def tamper(self, change: Change) -> Change:
        if change.before is None or change.before.status == "active":
            return change
        return replace(change, after=replace(change.after, status="active"))


class LetsNobodyBackIn(Tampering):
    def tamper(self, change: Change) -> Change:
        if change.before is None:
            return change
        return replace(change, before=replace(change.before, status="active"))


class DeletesInsteadOfSuspending(Faulty):
    def put(self, change: Change) -> Outcome:
        if change.after.status == "suspended" and super().read_one(change.key):
            self.system.delete_by_hand(change.key, by="idsync")
            return CONFIRMED
        return super().put(change)


class MakesStrangers(Faulty):
    def put(self, change: Change) -> Outcome:
        if super().read_one(change.key) is None:
            super().put(Change(before=None, after=Cardholder(key=change.key)))
        return super().put(change)


class SuspendsWhoeverHasALongerKey(Faulty):
    def put(self, change: Change) -> Outcome:
        if change.after.status == "suspended":
            for each in list(super().read()):
                if each.key and each.key.startswith(change.key):
                    self.system.suspend_by_hand(each.key, by="idsync")
        return super().put(change)


class SuspendsNamesakes(Faulty):
    def put(self, change: Change) -> Outcome:
        if change.after.status == "suspended":
            for each in list(super().read()):
                if each.native_id and each.display_name == change.after.display_name:
                    self.system.suspend_by_hand(each.native_id, by="idsync")
        return super().put(change)


# ── attributes and cards ────────────────────────────────────────────────────────────────


class WritesAscii(Tampering):
    def tamper(self, change: Change) -> Change:
        spelt: dict[str, Any] = {
            name: value.encode("ascii", "replace").decode()
            for name in VALUES
            if (value := getattr(change.after, name))
        }
        return replace(change, after=replace(change.after, **spelt))


class WritesAttributesOnlyOnce(Tampering):
    def tamper(self, change: Change) -> Change:
        if change.before is None:
            return change
        unnamed: dict[str, Any] = dict.fromkeys(ATTRIBUTES)
        return replace(change, after=replace(change.after, **unnamed))


class EmptiesNothing(Tampering):
    def tamper(self, change: Change) -> Change:
        named: dict[str, Any] = {name: getattr(change.after, name) or None for name in ATTRIBUTES}
        return replace(change, after=replace(change.after, **named))


class EmptiesWhatIsNotNamed(Tampering):
    def tamper(self, change: Change) -> Change:
        named: dict[str, Any] = {name: getattr(change.after, name) or "" for name in ATTRIBUTES}
        return replace(change, after=replace(change.after, **named))


class BlocksNoCards(Tampering):
    def tamper(self, change: Change) -> Change:
        return replace(change, after=replace(change.after, credentials=()))


class BlocksEveryCard(Tampering):
    def tamper(self, change: Change) -> Change:
        states = {each.state for each in change.after.credentials}
        if "suspended" not in states:
            return change
        cards = tuple(replace(each, state="suspended") for each in change.after.credentials)
        return replace(change, after=replace(change.after, credentials=cards))


def _both(change: Change, *, adds: bool = True) -> tuple[Any, ...]:
    before = change.before.grants if change.before else ()
    added = change.added if adds else ()
    kept = before if adds else tuple(each for each in before if each not in change.removed)
    return (*kept, *added)


def _each_side(change: Change, alter: Any) -> Change:
    before = change.before
    return Change(
        before=replace(before, grants=tuple(map(alter, before.grants))) if before else None,
        after=replace(change.after, grants=tuple(map(alter, change.after.grants))),
    )


def _undated(change: Change) -> Change:
    return _each_side(change, lambda grant: replace(grant, valid_from=None, valid_to=None))


def _doors_only(change: Change) -> Change:
    return _each_side(change, lambda grant: replace(grant, kind="access"))
