"""A few made-up people, and the shortest way to ask what the rules give them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from idsync.mapping.catalogue import Catalogue, Profile, Right, Rule
from idsync.mapping.conditions import parse
from idsync.mapping.correlate import People
from idsync.mapping.rules import Desired, desire
from idsync.mapping.times import ALWAYS, NEVER
from idsync.model import (
    Employment,
    IdentityLink,
    Membership,
    Person,
    TrainingCompletion,
    day_end,
    day_start,
    table,
)

ZONE = ZoneInfo("Europe/Stockholm")
NOW = datetime(2026, 6, 1, 8, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ENTRE = Right("hall", "access", "ENTRÉ")
KITCHEN = Right("hall", "access", "KÖK")
ALARM = Right("hall", "alarm", "LARM")
ASIDE = pl.Schema(
    {"source": pl.String(), "key": pl.String(), "reason": pl.String(), "person_id": pl.String()}
)


def begin(text: str) -> datetime:
    """Return the instant at which that local day begins."""
    return day_start(date.fromisoformat(text), ZONE)


def end(text: str) -> datetime:
    """Return the instant at which that local day is over."""
    return day_end(date.fromisoformat(text), ZONE)


def job(number: int = 1, suffix: str = "a", **more: Any) -> Employment:
    """Return an employment of that person; by default always in force."""
    known: dict[str, Any] = {"job_code": "1", "title": "Kock", "unit": "Skola / Ängen"}
    return Employment(id=f"hr:{number}{suffix}", person_id=f"p{number}", **{**known, **more})


def passed(number: int = 1, course: str = "brand", **more: Any) -> TrainingCompletion:
    """Return a passed course."""
    return TrainingCompletion(person_id=f"p{number}", course_id=course, **more)


def people(
    *rows: Person | Employment | TrainingCompletion | Membership,
    set_aside: Iterable[tuple[str, str, str, str | None]] = (),
    trainings_known: bool = True,
    memberships_known: bool = True,
) -> People:
    """Return those people as if correlated; who only has an employment is a person too."""

    def of(cls: type) -> list[Any]:
        return [row for row in rows if isinstance(row, cls)]

    persons = {one.id: one for one in of(Person)}
    for one in of(Employment):
        persons.setdefault(one.person_id, Person(id=one.person_id, protection="none"))
    return People(
        persons=table(persons.values(), Person).sort("id"),
        employments=table(of(Employment), Employment).sort("person_id", "id"),
        trainings=table(of(TrainingCompletion), TrainingCompletion),
        memberships=table(of(Membership), Membership),
        links=table([], IdentityLink),
        set_aside=pl.DataFrame(list(set_aside), schema=ASIDE, orient="row"),
        disagreements=pl.DataFrame(),
        unmatched=pl.DataFrame(),
        trainings_known=trainings_known,
        memberships_known=memberships_known,
    )


def catalogue(*rules: dict[str, Any]) -> Catalogue:
    """Return one rule and one profile for each: when, gives, and what Rule and Profile take."""
    profiles, made = [], []
    for number, given in enumerate(rules):
        known = {"id": f"r{number}", "when": {"job_code": "1"}, "gives": (ENTRE,), **given}
        profiles.append(
            Profile(
                id=known["id"], name=f"Profil {number}", rights=known["gives"],
                lead_days=known.get("lead_days", 0),
                suspend_after_days=known.get("suspend_after_days"),
            )
        )  # fmt: skip
        made.append(
            Rule(
                id=known["id"], profile=known["id"], when=parse(known["when"]),
                requires=known.get("requires", ()), grace_days=known.get("grace_days", 0),
            )
        )  # fmt: skip
    return Catalogue(profiles=tuple(profiles), rules=tuple(made))


def wish(everybody: People, rules: Catalogue, now: datetime = NOW, ahead_days: int = 14) -> Desired:
    """Return what the rules give."""
    return desire(everybody, rules, now=now, zone=ZONE, ahead_days=ahead_days)


Given = dict[tuple[str, str], tuple[datetime | None, datetime | None]]


def given(desired: Desired) -> Given:
    """Return (person, right) with the interval, None where unbounded; one row a pair, or fail."""
    ids, rights = desired.people.persons["id"], desired.catalogue.rights
    found: Given = {}
    for person, right, first, last in desired.grants.iter_rows():
        pair = (ids[person], rights[right].ref)
        assert pair not in found
        found[pair] = (_instant(first), _instant(last))
    return found


def kept(desired: Desired) -> set[tuple[str, str]]:
    """Return (person, right) that nobody can decide."""
    ids, rights = desired.people.persons["id"], desired.catalogue.rights
    return {(ids[person], rights[right].ref) for person, right in desired.kept.iter_rows()}


def _instant(microseconds: int) -> datetime | None:
    if microseconds in (ALWAYS, NEVER):
        return None
    return EPOCH + timedelta(microseconds=microseconds)
