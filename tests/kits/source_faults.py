"""Sources with one planted fault each: mistakes that authors of connectors have made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from idsync.errors import Incomplete, Unavailable
from idsync.model import Kind
from idsync.sources import RECORDS, Batch, Source

PEOPLE = {
    "anst-10001": "Åsa Öberg",
    "anst-10002": "Märta Älv",
    "anst-10003": "André Lindström",
    "anst-10004": "Örjan Ek",
    "anst-10005": "Kerstin Håkansson",
}
ROLES = [("anst-10001", "Vårdlärare"), ("anst-10004", "Förskola Ängen")]


@dataclass
class Roster:
    """A system that holds people and roles, and counts them."""

    state: Literal["up", "down", "cut", "empty"] = "up"
    people: dict[str, str] = field(default_factory=lambda: dict(PEOPLE))
    roles: list[tuple[str, str]] = field(default_factory=lambda: list(ROLES))

    def answer(self) -> tuple[int, list[tuple[str, str]], list[tuple[str, str]]]:
        """Return how many records there are, and the people and roles that came."""
        if self.state == "down":
            raise Unavailable("roster: no answer: try again later")
        people, roles = list(self.people.items()), self.roles
        total = len(people) + len(roles)
        if self.state == "empty":
            return 0, [], []
        return (total, people[:2], []) if self.state == "cut" else (total, people, roles)


class Sound(Source):
    """Keeps every promise: two pages of people, then the roles with the proof."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster

    def read(self, since: str | None) -> Iterator[Batch]:
        total, people, roles = self.roster.answer()
        for start in (0, 3):
            yield self.batch("persons", people[start : start + 3], ("key", "display_name"))
        if total == 0 or len(people) + len(roles) != total:
            raise Incomplete(f"roster: {len(people) + len(roles)} of {total} came: read again")
        last = self.batch("memberships", roles, ("person_key", "role"))
        yield replace(last, proof=f"all {total} came", cursor="räknat")

    def close(self) -> None: ...

    @staticmethod
    def batch(kind: Kind, rows: list[tuple[str, str]], columns: tuple[str, str]) -> Batch:
        schema = {name: RECORDS[kind][name] for name in columns}
        return Batch(kind=kind, records=pl.DataFrame(rows, schema=schema, orient="row"))


class ReadsTheFirstPageOnly(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        *_, last = batches = list(super().read(since))
        yield replace(batches[0], proof=last.proof)


class ReadsPagesTwice(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            yield replace(batch, records=pl.concat([batch.records, batch.records]))


class ReadsNobodyInAnOutage(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        try:
            yield from super().read(since)
        except Unavailable:
            return


class ProvesNobodyInAnOutage(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        try:
            yield from super().read(since)
        except Unavailable:
            yield replace(self.batch("persons", [], ("key", "display_name")), proof="all came")


class CallsAnOutageIncomplete(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        try:
            yield from super().read(since)
        except Unavailable:
            raise Incomplete("roster: nothing came: read again") from None


class ProvesAnEmptyRead(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        if self.roster.state != "empty":
            yield from super().read(since)
            return
        yield replace(self.batch("persons", [], ("key", "display_name")), proof="all 0 came")


class ProvesACutRead(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        try:
            yield from super().read(since)
        except Incomplete:
            if self.roster.state != "cut":
                raise
            yield replace(self.batch("persons", [], ("key", "display_name")), proof="no more pages")


class ProvesBeforeItFails(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            yield replace(batch, proof="so far so good") if self.roster.state == "cut" else batch


class NeverProves(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            yield replace(batch, proof=None, cursor=None)


class ProvesWithABlank(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            yield replace(batch, proof=batch.proof and " ")


class ProvesEveryBatch(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            yield replace(batch, proof="this page is complete")


class InventsAColumn(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            yield replace(batch, records=batch.records.with_columns(office=pl.lit("Rådhuset")))


class GivesDatesAsText(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            dated = batch.records.with_columns(valid_to=pl.lit("2026-12-31"))
            yield replace(batch, records=dated) if batch.kind == "memberships" else batch


class GivesEmptyKeys(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            key = batch.records.columns[0]
            yield replace(batch, records=batch.records.with_columns(pl.lit("").alias(key)))


class DropsSwedishLetters(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            text = pl.col(pl.String())
            plain = text.str.normalize("NFD").str.replace_all(r"\p{M}", "")
            yield replace(batch, records=batch.records.with_columns(plain))


class GivesLettersInPieces(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            pieces = pl.col(pl.String()).str.normalize("NFD")
            yield replace(batch, records=batch.records.with_columns(pieces))


class NamesPeopleItDoesNotGive(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            if batch.kind == "memberships":
                stranger = self.batch(
                    "memberships", [("anst-99999", "Väktare")], ("person_key", "role")
                )
                yield replace(batch, records=pl.concat([batch.records, stranger.records]))
            else:
                yield batch


class LeaksANameInTheError(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        try:
            yield from super().read(since)
        except Incomplete:
            raise Incomplete("roster: the answer ended after ÅSA ÖBERG: read again") from None


class LeaksAKeyInTheCauseOfTheError(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        try:
            yield from super().read(since)
        except Unavailable as error:
            raise error from KeyError("anst-10003")


class IsExhaustedAfterOneRead(Sound):
    def __init__(self, roster: Roster) -> None:
        super().__init__(roster)
        self.once = super().read(None)

    def read(self, since: str | None) -> Iterator[Batch]:
        yield from self.once


class GivesOnlyWhatChanged(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        *others, last = super().read(since)
        yield from others if since is None else ()
        yield last


class GivesACursorThatIsNoText(Sound):
    def read(self, since: str | None) -> Iterator[Batch]:
        for batch in super().read(since):
            yield replace(batch, cursor=batch.cursor and b"r\xe4knat")  # type: ignore[arg-type] # the fault
