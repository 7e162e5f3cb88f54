"""Targets with one planted fault each that shows only when a system behaves badly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from idsync.errors import Incomplete, Refused, Unavailable
from idsync.model import Cardholder, Change, Grant, Outcome
from idsync.targets import Changed
from idsync.targets.local import LocalTarget
from idsync.targets.scim import ScimTarget

CONFIRMED = Outcome(status="confirmed")


# ── a system that is called ─────────────────────────────────────────────────────────────


class RefusesWhatIsThereAlready(ScimTarget):
    def put(self, change: Change) -> Outcome:
        if change.before is None and self.read_one(change.key):
            raise Refused("there is such a user already")
        return super().put(change)


class BelievesItsOwnWrites(ScimTarget):
    def put(self, change: Change) -> Outcome:
        self.__dict__.setdefault("believed", {})[change.key] = change.after
        return super().put(change)

    def read_one(self, key: str) -> Cardholder | None:
        believed: dict[str, Cardholder] = self.__dict__.setdefault("believed", {})
        return believed.get(key) or super().read_one(key)


class TakesBusyForEmpty(ScimTarget):
    def read(self) -> Iterator[Cardholder]:
        try:
            yield from list(super().read())
        except Unavailable:
            return


class KnowsNobodyWhenBusy(ScimTarget):
    def read_one(self, key: str) -> Cardholder | None:
        try:
            return super().read_one(key)
        except Unavailable:
            return None


class StopsAtThirdPage(ScimTarget):
    def __init__(self, config: ScimTarget.Config) -> None:
        super().__init__(config)
        self.most = 3 * config.page_size

    def read(self) -> Iterator[Cardholder]:
        return islice(super().read(), self.most)


class GivesHalfForAll(ScimTarget):
    def read(self) -> Iterator[Cardholder]:
        try:
            return iter(list(super().read()))
        except Incomplete:
            return islice(super().read(), 3)


# ── a system in a file ──────────────────────────────────────────────────────────────────


class PromisesAnAnswer(LocalTarget):
    def put(self, change: Change) -> Outcome:
        super().put(change)
        return Outcome(status="submitted")


class ConfirmsWhatIsAnsweredLater(LocalTarget):
    capabilities = replace(LocalTarget.capabilities, answer_hours=24)


class TakesNothingForEmpty(LocalTarget):
    def put(self, change: Change) -> Outcome:
        if change.before == change.after:
            nothing = replace(change.after, grants=())
            return super().put(replace(change, after=nothing))
        return super().put(change)


class CriesAmiss(LocalTarget):
    def read_one(self, key: str) -> Cardholder | None:
        found = super().read_one(key)
        return replace(found, amiss="something is wrong") if found else None


class GivesTheFirstCardOnly(LocalTarget):
    """Says that rights hang on cards, and never tells that one lacks them."""

    capabilities = replace(LocalTarget.capabilities, rights_on="credential")


class CutsNames(LocalTarget):
    capabilities = replace(LocalTarget.capabilities, lengths={"display_name": 12})

    def put(self, change: Change) -> Outcome:
        name = (change.after.display_name or "")[:12]
        return super().put(replace(change, after=replace(change.after, display_name=name)))


class DropsLetters(LocalTarget):
    capabilities = replace(LocalTarget.capabilities, characters="latin-1")

    def put(self, change: Change) -> Outcome:
        said: dict[str, Any] = {
            name: value.encode("latin-1", "ignore").decode("latin-1")
            for name, value in change.attributes.items()
        }
        return super().put(replace(change, after=replace(change.after, **said)))


class WritesWinterTime(LocalTarget):
    """Takes every instant for winter time, as a system whose clock never changes."""

    def put(self, change: Change) -> Outcome:
        grants = tuple(map(self._shifted, change.after.grants))
        return super().put(replace(change, after=replace(change.after, grants=grants)))

    def _shifted(self, grant: Grant) -> Grant:
        if grant.valid_from is None:
            return grant
        summer = grant.valid_from.astimezone(ZoneInfo("Europe/Stockholm")).dst() or timedelta()
        return replace(grant, valid_from=(grant.valid_from + summer).astimezone(UTC))


class ClaimsAChangeFeed(LocalTarget):
    capabilities = replace(LocalTarget.capabilities, change_feed=True)

    def changes(self, bookmark: str) -> Changed:
        return Changed(keys=(), bookmark="1")


class AnswersWithoutAFeed(LocalTarget):
    def changes(self, bookmark: str) -> Changed:
        return Changed(keys=(), bookmark="1")


class RemembersWhatItRead(LocalTarget):
    def read_one(self, key: str) -> Cardholder | None:
        seen: dict[str, Any] = self.__dict__.setdefault("seen", {})
        if key not in seen:
            seen[key] = super().read_one(key)
        found: Cardholder | None = seen[key]
        return found
