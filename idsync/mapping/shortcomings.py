"""One rule held against one employment: how it stands, and which parts fail or are unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from idsync.mapping.catalogue import Catalogue, Profile, Rule
from idsync.mapping.conditions import All, AnyOf, Condition, Not, Test, column, expression, words
from idsync.mapping.correlate import People
from idsync.mapping.days import first_day, instant, last_day
from idsync.mapping.protection import PLACES
from idsync.mapping.times import ALWAYS, NEVER, days_later, microseconds, shifted
from idsync.mapping.training import expiries


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a person stands with one required course.

    `until` is when the course, or the grace that stands in for it, covers no longer;
    None: never. `valid_to` is the expiry, without grace.
    """

    course: str
    taken: bool
    valid_to: datetime | None
    until: datetime | None
    covers: bool


@dataclass(frozen=True, kw_only=True)
class Case:
    """One person's rows; `facts` has one row an employment, as `employment_facts` makes them."""

    people: People
    facts: pl.DataFrame
    catalogue: Catalogue
    now: datetime
    zone: ZoneInfo
    hidden: bool = False  # a protected person: nothing tells where they can be found
    told: dict[tuple[Rule, int], list[str]] = field(default_factory=dict)

    @cached_property
    def passed(self) -> pl.DataFrame:
        """The last expiry of each course that the person passed."""
        return expiries(
            self.people, self.now, self.people.trainings["course_id"].unique().to_list()
        )

    def truth(self, condition: Condition, row: int) -> bool | None:
        """Return whether *condition* holds for an employment; None: nobody can say."""
        found = self.facts.slice(row, 1).select(truth=expression(condition))["truth"][0]
        return None if found is None else bool(found)

    def employment(self, row: int) -> dict[str, Any]:
        """Return the facts of one employment by column."""
        return self.facts.row(row, named=True)

    def named(self, row: int) -> str:
        """Return an employment in words, with the last part of its unit."""
        one = self.employment(row)
        if self.hidden:
            return "the employment"
        what = "the employment" + (f" as {one['title']}" if one["title"] else "")
        return what + (f" in {one['unit'].split(' / ')[-1]}" if one["unit"] else "")

    def courses(self, rule: Rule, row: int) -> list[Course]:
        """Return how the person stands with each course that *rule* requires."""
        begins = pl.col("valid_from").to_physical().fill_null(ALWAYS)
        newcomer = self.facts.slice(row, 1).select(
            until=days_later(begins, rule.grace_days, self.zone)
        )["until"][0]
        known = self.passed.with_columns(
            until=shifted("passed_to", rule.grace_days, self.zone, NEVER)
        )
        taken = {one["course_id"]: one for one in known.iter_rows(named=True)}
        return [self._course(course, taken.get(course), newcomer) for course in rule.requires]

    def _course(self, course: str, taken: dict[str, Any] | None, newcomer: int) -> Course:
        until = newcomer if taken is None else taken["until"]
        return Course(
            course=course,
            taken=taken is not None,
            valid_to=taken["passed_to"] if taken else None,
            until=instant(until),
            covers=until > microseconds(self.now),
        )


def shortcomings(case: Case, rule: Rule, row: int) -> list[str]:
    """Return why *rule* gives nothing now for the employment in that row; [] when it does.

    The condition first: dates and courses are told only where it holds or may hold.
    """
    if (rule, row) not in case.told:
        case.told[rule, row] = list(_shortcomings(case, rule, row))
    return case.told[rule, row]


def _shortcomings(case: Case, rule: Rule, row: int) -> Iterator[str]:
    truth = case.truth(rule.when, row)
    if not truth:
        yield from _unmet(case, rule, rule.when, row)
    if truth is not False:
        profile = case.catalogue.profile(rule)
        yield from _dates(case, profile, row)
        yield from _leave(case, profile, row)
        yield from _courses(case, rule, row)


# ── the condition ───────────────────────────────────────────────────────────────────────


def _unmet(case: Case, rule: Rule, condition: Condition, row: int) -> Iterator[str]:
    """Yield the smallest parts of *condition* that are not true for the employment."""
    truth = case.truth(condition, row)
    if isinstance(condition, All):
        for part in condition.parts:
            if case.truth(part, row) is truth:  # an unknown part matters only where none is false
                yield from _unmet(case, rule, part, row)
        return
    asked = f"rule {rule.id} asks that {words(condition)}"
    has = _has(case, condition, row)
    if isinstance(condition, AnyOf) and len(condition.parts) == 1:
        yield from _unmet(case, rule, condition.parts[0], row)
    elif truth is None:
        yield f"{asked}; whether {case.named(row)} fits is unknown: {has}"
    else:
        yield f"{asked}; {case.named(row)} has {has}"


def _has(case: Case, condition: Condition, row: int) -> str:
    """Return what the employment has in the fields that *condition* looks at."""
    found = dict.fromkeys(_one(case, test, row) for test in _tests(condition))
    return ", ".join(found) or "nothing that could fit"


def _tests(condition: Condition) -> Iterator[Test]:
    if isinstance(condition, Test):
        yield condition
        return
    parts = (condition.part,) if isinstance(condition, Not) else condition.parts
    for part in parts:
        yield from _tests(part)


def _one(case: Case, test: Test, row: int) -> str:
    facts = case.employment(row)
    if test.field in ("member_of", "has_training"):
        return _flags(test, [facts[name] for name in column(test)], hidden=case.hidden)
    name, value = test.field.removesuffix("_under"), facts[column(test)[0]]
    if value is None:
        return f"{name} unknown"
    if value == "":
        return f"no {name}"
    if case.hidden and name in PLACES:
        return f"another {name}, which is not shown"
    if test.field == "percent":
        value = f"{value / 10:g}"
    return f"{name} {str(value).lower() if isinstance(value, bool) else value}"


def _flags(test: Test, flags: list[bool | None], *, hidden: bool) -> str:
    group = test.field == "member_of"
    if all(flag is None for flag in flags):
        return "unknown memberships" if group else "unknown training"
    found = [str(value) for value, flag in zip(test.values, flags, strict=True) if flag]
    if not found:
        return "none of the groups" if group else "no valid course of these"
    if group and hidden:
        return "membership in one that is not shown"
    return ("membership in " if group else "a valid course ") + ", ".join(found)


# ── dates, leave and courses ────────────────────────────────────────────────────────────


def _dates(case: Case, profile: Profile, row: int) -> Iterator[str]:
    one = case.employment(row)
    if one["valid_to"] is not None and one["valid_to"] <= case.now:
        yield f"{case.named(row)} ended {last_day(one['valid_to'], case.zone)}"
        return
    begin = instant(
        case.facts.slice(row, 1).select(
            begin=shifted("valid_from", -profile.lead_days, case.zone, ALWAYS)
        )["begin"][0]
    )
    if begin is None or begin <= case.now:
        return
    first = first_day(one["valid_from"], case.zone)
    early = ""
    if profile.lead_days:
        early = (
            f"; access may begin {first_day(begin, case.zone)}, {_days(profile.lead_days)} before"
        )
    yield f"{case.named(row)} begins {first}{early}"


def _leave(case: Case, profile: Profile, row: int) -> Iterator[str]:
    one = case.employment(row)
    days = profile.suspend_after_days
    if days is None or one["leave_from"] is None:
        return
    off = instant(
        case.facts.slice(row, 1).select(off=shifted("leave_from", days, case.zone, NEVER))["off"][0]
    )
    back = one["leave_to"]
    if off is None or off > case.now or (back is not None and (back <= case.now or back <= off)):
        return
    until = f" to {last_day(back, case.zone)}" if back else ""
    after = f" after {_days(days)} of leave" if days else " during leave"
    yield (
        f"{case.named(row)} is on leave from {first_day(one['leave_from'], case.zone)}{until}, and "
        f"the profile {profile.id} is suspended{after}"
    )


def _courses(case: Case, rule: Rule, row: int) -> Iterator[str]:
    if rule.requires and not case.people.trainings_known:
        courses = ", ".join(rule.requires)
        yield f"rule {rule.id} requires {courses}; no source says who has passed it"
        return
    for course in case.courses(rule, row):
        if not course.covers:
            yield f"rule {rule.id} requires {course.course}; {lapsed(course, rule, case.zone)}"


def lapsed(course: Course, rule: Rule, zone: ZoneInfo) -> str:
    """Return why *course* covers no longer."""
    if course.taken and course.valid_to is not None:
        text = f"it expired {last_day(course.valid_to, zone)}"
        after = "of grace after it"
    else:
        text, after = "it has not been passed", "of grace from the first day"
    if rule.grace_days and course.until is not None:
        text += f", and {_days(rule.grace_days)} {after} ended {last_day(course.until, zone)}"
    return text


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
