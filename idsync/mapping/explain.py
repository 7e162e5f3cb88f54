"""Why somebody has access, and why not, in sentences. Pure; names of people never appear.

What is given is read from the very tables that the plan is made of; what is missing is
found by the very expressions that made them: an explanation cannot disagree with a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

import polars as pl

from idsync.mapping.catalogue import Right, Rule
from idsync.mapping.correlate import People
from idsync.mapping.days import first_day, instant, last_day, span
from idsync.mapping.matching import employment_facts
from idsync.mapping.protection import PLACES, is_protected
from idsync.mapping.rules import Desired
from idsync.mapping.shortcomings import Case, Course, shortcomings

CLOSEST = 3
"""At most so many ways to a right that is not given are told of, the closest first."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why and why not.

    rights: target, kind, ref, given (None: nobody can say), valid_from, valid_to, reasons,
    why_not. employments: id, title, unit, state (current, ended, future; revoked: an order has
    ended it) and dates.
    trainings: course_id, completed_at, valid_to, result. All instants are UTC.
    """

    sentences: tuple[str, ...]
    rights: list[dict[str, Any]]
    employments: list[dict[str, Any]]
    trainings: list[dict[str, Any]]


def explain(
    person_id: str,
    desired: Desired,
    *,
    now: datetime,
    target: str | None = None,
    grant: str | None = None,
    ended: Mapping[str, int] = MappingProxyType({}),
    everybody: People | None = None,
) -> Explanation:
    """Return why *person_id* has what the rules give at *now*, and why not the rest.

    *ended* names the order that has ended an employment, by its id; *everybody* is whoever
    *desired* was made of, with those employments.

    *target* and *grant* (the target's own name of a right) narrow it down; what is not
    given is then told right by right, and otherwise rule by rule.
    """
    case = _case(person_id, desired, now)
    if case.people.persons.is_empty():
        doubts = _doubts(person_id, desired)
        unknown = doubts or ("No source knows this person.",)
        told = (*unknown, *_ended_sentences(None, ended))
        return Explanation(sentences=told, rights=[], employments=[], trainings=[])
    past = _case(person_id, replace(desired, people=_ended_of(ended, everybody, desired)), now)
    scope = [
        (number, right)
        for number, right in enumerate(desired.catalogue.rights)
        if target in (None, right.target) and grant in (None, right.ref)
    ]
    rights = [_right(case, desired, person_id, number, right) for number, right in scope]
    asked = target is not None or grant is not None
    return Explanation(
        sentences=(
            *_doubts(person_id, desired),
            *_employment_sentences(case),
            *_ended_sentences(past, ended),
            *_given_sentences(rights, case),
            *_unsure_sentences(rights),
            *(_missing_by_right(rights) if asked else _missing_by_rule(case, rights)),
            *_outside(scope, target, grant),
        ),
        rights=rights,
        employments=[*_employments(case), *_ended_employments(past)],
        trainings=case.people.trainings.drop("person_id").to_dicts(),
    )


def _case(person_id: str, desired: Desired, now: datetime) -> Case:
    """Everything about one person, in the order in which the rules count employments."""
    people = desired.people
    mine = pl.col("person_id") == person_id
    own = replace(
        people,
        persons=people.persons.filter(pl.col("id") == person_id),
        employments=people.employments.filter(mine),
        trainings=people.trainings.filter(mine),
        memberships=people.memberships.filter(mine),
    )
    facts = employment_facts(own, desired.catalogue, now)
    return Case(
        people=own, facts=facts, catalogue=desired.catalogue, now=now, zone=desired.zone,
        hidden=own.persons.select(is_protected().any()).item(),
    )  # fmt: skip


def _ended_of(ended: Mapping[str, int], everybody: People | None, desired: Desired) -> People:
    """Return the people with nothing but the employments that an order has ended."""
    people = desired.people if everybody is None else everybody
    gone = people.employments.filter(pl.col("id").is_in(list(ended)))
    return replace(people, employments=gone)


def _doubts(person_id: str, desired: Desired) -> tuple[str, ...]:
    aside = desired.people.set_aside
    if aside.is_empty():
        return ()
    told = aside.filter(pl.col("person_id") == person_id).select("source", "reason").unique()
    return tuple(
        f"Source {source} cannot be used for this person: {reason}. What they hold stays, "
        "and nothing is added."
        for source, reason in told.sort("source", "reason").iter_rows()
    )


# ── one right ───────────────────────────────────────────────────────────────────────────


def _right(
    case: Case, desired: Desired, person_id: str, number: int, right: Right
) -> dict[str, Any]:
    """Return the structured answer for one right of the catalogue."""
    row = desired.people.persons["id"].index_of(person_id)
    this = (pl.col("person") == row) & (pl.col("right") == number)
    given = desired.grants.filter(this)
    kept = not desired.kept.filter(this).is_empty()
    told: dict[str, Any] = {
        "target": right.target, "kind": right.kind, "ref": right.ref,
        "given": True if given.height else (None if kept else False),
        "valid_from": None, "valid_to": None, "reasons": [], "why_not": [],
    }  # fmt: skip
    rules = [
        (index, rule)
        for index, rule in enumerate(case.catalogue.rules)
        if right in case.catalogue.profile(rule).rights
    ]
    if given.height:
        told["valid_from"] = instant(given["valid_from"][0])
        told["valid_to"] = instant(given["valid_to"][0])
        told["reasons"] = _reasons(case, desired, row, rules)
    else:
        told["why_not"] = _closest(case, [rule for _, rule in rules])
    return told


def _reasons(
    case: Case, desired: Desired, person: int | None, rules: list[tuple[int, Rule]]
) -> list[str]:
    """Return the rules and employments that give a right, from the plan's own table."""
    bases = desired.bases.filter(
        "certain", pl.col("person") == person, pl.col("rule").is_in([index for index, _ in rules])
    ).sort("valid_from", "rule", "employment")
    by_index = dict(rules)
    own_row = {one: row for row, one in enumerate(case.facts["id"])}
    ids = desired.people.employments["id"]
    reasons = []
    for base in bases.iter_rows(named=True):
        rule, row = by_index[base["rule"]], own_row[ids[base["employment"]]]
        reasons.append(_reason(case, rule, row, base["valid_from"], base["valid_to"]))
    return list(dict.fromkeys(reasons))


def _reason(case: Case, rule: Rule, row: int, begin: int, end: int) -> str:
    one, profile = case.employment(row), case.catalogue.profile(rule)
    dates = span(one["valid_from"], one["valid_to"], case.zone)
    parts = [f"rule {rule.id}, for {case.named(row)}" + (f" ({dates})" if dates else "")]
    parts += [_covered(course, rule, case) for course in case.courses(rule, row)]
    if profile.lead_days and one["valid_from"] is not None and one["valid_from"] > case.now:
        parts.append(f"access begins {profile.lead_days} days before the first day")
    if one["leave_from"] is not None and (one["leave_to"] is None or one["leave_to"] > case.now):
        leave = span(one["leave_from"], one["leave_to"], case.zone)
        effect = "changes nothing" if profile.suspend_after_days is None else "suspends it"
        parts.append(f"leave {leave} {effect}")
    given = span(instant(begin), instant(end), case.zone)
    if given and given != dates:
        parts.append(f"which gives it {given}")
    return "; ".join(parts)


def _covered(course: Course, rule: Rule, case: Case) -> str:
    if not course.taken:
        until = f" to {last_day(course.until, case.zone)}" if course.until else ""
        return f"{course.course} not yet passed, {rule.grace_days} days of grace{until}"
    if course.valid_to is None:
        return f"{course.course} passed, valid for good"
    grace = f"{rule.grace_days} days of grace" if rule.grace_days else ""
    if course.valid_to <= case.now and course.until is not None:
        over = f"{course.course} expired {last_day(course.valid_to, case.zone)}"
        return f"{over}, {grace} to {last_day(course.until, case.zone)}"
    text = f"{course.course} passed, valid to {last_day(course.valid_to, case.zone)}"
    return text + (f" and {grace}" if grace else "")


def _closest(case: Case, rules: Iterable[Rule]) -> list[str]:
    """Return what is missing where least is missing, over all these rules and employments."""
    ways = [
        (missing, rule, row)
        for rule in rules
        for row in range(case.facts.height)
        if (missing := shortcomings(case, rule, row))
    ]
    if not case.facts.height:
        return ["there is no employment, and every rule asks for one"]
    # an employment that fits but is over says more than one that never fitted
    ranked = sorted(ways, key=lambda way: _rank(case, way))
    best = [way for way in ranked if _rank(case, way) == _rank(case, ranked[0])][:CLOSEST]
    return list(dict.fromkeys(text for missing, _, _ in best for text in missing))


def _rank(case: Case, way: tuple[list[str], Rule, int]) -> tuple[bool, int]:
    return case.truth(way[1].when, way[2]) is False, len(way[0])


# ── sentences ───────────────────────────────────────────────────────────────────────────


def _employments(case: Case) -> list[dict[str, Any]]:
    names = (
        "id", "title", "unit", "employer", "kind", "job_code", "valid_from", "valid_to",
        "leave_from", "leave_to",
    )  # fmt: skip
    return [
        {name: None if case.hidden and name in PLACES else one[name] for name in names}
        | {"state": _state(one, case.now)}
        for one in case.facts.iter_rows(named=True)
    ]


def _state(one: dict[str, Any], now: datetime) -> str:
    if one["valid_to"] is not None and one["valid_to"] <= now:
        return "ended"
    return "future" if one["valid_from"] is not None and one["valid_from"] > now else "current"


def _employment_sentences(case: Case) -> list[str]:
    if not case.facts.height:
        return ["There is no employment."]
    told = []
    for row, one in enumerate(case.facts.iter_rows(named=True)):
        state = _state(one, case.now)
        text = case.named(row).replace("the employment", "Employment", 1)
        text += f" ({one['id']})" if case.facts.height > 1 else ""  # as `revoke` wants it
        dates = span(one["valid_from"], one["valid_to"], case.zone)
        told.append(f"{text}{f', {dates}' if dates else ''}: {state}.")
    return told


def _ended_employments(past: Case) -> list[dict[str, Any]]:
    return [one | {"state": "revoked"} for one in _employments(past)]


def _ended_sentences(past: Case | None, ended: Mapping[str, int]) -> list[str]:
    """One sentence for each order, also where no source tells of its employment any longer."""
    rows = {one: past.named(row) for row, one in enumerate(past.facts["id"])} if past else {}
    told = []
    for employment, order in ended.items():
        named = rows.get(employment, "the employment").replace("the employment", "Employment", 1)
        told.append(
            f"{named} ({employment}): ended by order {order}: it gives nothing, whatever the "
            "sources say of it."
        )
    return told


def _given_sentences(rights: list[dict[str, Any]], case: Case) -> list[str]:
    """One sentence for rights of one target that are given alike."""
    alike: dict[tuple[Any, ...], list[str]] = {}
    for right in rights:
        if right["given"]:
            same = (
                right["target"], right["valid_from"], right["valid_to"], tuple(right["reasons"])
            )  # fmt: skip
            alike.setdefault(same, []).append(_name(right))
    told = []
    for (target, begin, end, reasons), names in alike.items():
        are = "is" if len(names) == 1 else "are"
        soon = f" from {first_day(begin, case.zone)}" if begin and begin > case.now else ""
        until = f" to {last_day(end, case.zone)}" if end else ""
        why = ". Also ".join(reasons)
        told.append(f"{target}: {', '.join(names)} {are} given{soon}{until}: {why}.")
    return told


def _unsure_sentences(rights: list[dict[str, Any]]) -> list[str]:
    return [
        f"{right['target']}: nobody can say whether {_name(right)} is due; if it is held it "
        f"stays, and it is not given: {'; '.join(right['why_not'])}."
        for right in rights
        if right["given"] is None
    ]


def _missing_by_right(rights: list[dict[str, Any]]) -> list[str]:
    return [
        f"{right['target']}: {_name(right)} is not given: "
        f"{'; '.join(right['why_not']) or 'no rule gives it'}."
        for right in rights
        if right["given"] is False
    ]


def _missing_by_rule(case: Case, rights: list[dict[str, Any]]) -> list[str]:
    """What a rule fits and still does not give, one sentence a rule; the rest by name only."""
    if not case.facts.height:
        return []
    missing = {(one["target"], one["kind"], one["ref"]) for one in rights if one["given"] is False}
    near, far = [], []
    for rule in case.catalogue.rules:
        profile = case.catalogue.profile(rule)
        if not any((one.target, one.kind, one.ref) in missing for one in profile.rights):
            continue
        rows = range(case.facts.height)
        if all(case.truth(rule.when, row) is False for row in rows):
            far.append(profile.name)
        else:
            near.append(f"Not {profile.name}: {'; '.join(_closest(case, [rule]))}.")
    if far:
        names = ", ".join(dict.fromkeys(far))
        near.append(f"No employment fits the rules of: {names}. Ask for one right to see why.")
    return list(dict.fromkeys(near))


def _name(right: dict[str, Any]) -> str:
    return f"{right['ref']} (alarm)" if right["kind"] == "alarm" else str(right["ref"])


def _outside(
    scope: list[tuple[int, Right]], target: str | None, grant: str | None
) -> tuple[str, ...]:
    if scope:
        return ()
    what = f"the right {grant}" if grant is not None else "any right"
    where = f" in {target}" if target is not None else ""
    return (f"No profile of the catalogue gives {what}{where}: idsync neither gives nor takes it.",)
