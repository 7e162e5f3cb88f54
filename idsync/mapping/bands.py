"""Bands: what may change between two reads of a source before somebody has to look.

A part of a read that is outside its band is doubted alone: a department, an attribute
that decides something, a course, a group, or what a changed scope left out. What was last
accepted stands for it; everything else of the read is believed. Approval of a doubt's
digest lets exactly that part in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from idsync.mapping.catalogue import Catalogue
from idsync.mapping.conditions import tests
from idsync.model import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """How far a part of a read may be from the last accepted one.

    department_share: what must be left of a department (0 to 1). attribute_share: the part
    of people for whom one attribute, course or group may change. people: so many at
    least must be concerned, so that small departments do not trip.
    """

    department_share: float = 0.4
    attribute_share: float = 0.25
    people: int = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisive:
    """What rules and correlation look at: all else may change freely.

    attributes: kind of record and name. courses: ids. groups: names; globs: patterns of them.
    keys: the attributes by which one person is known in every source.
    """

    attributes: tuple[tuple[Kind, str], ...] = ()
    courses: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A part of a read that is not believed: what, how many people of how many, and why.

    `digest` is of exactly what is doubted; whoever approves it lets that in.
    """

    part: str
    people: int
    base: int
    reason: str
    digest: str


def decisive(
    catalogue: Catalogue, keys: Sequence[str], fingerprint: Sequence[str], targets: Iterable[str]
) -> Decisive:
    """Return what decides. *targets* are the attributes by which targets know people."""
    asked = [test for rule in catalogue.rules for test in tests(rule.when)]
    of_person = {"person_kind": "kind", "person_status": "status"}
    of_employment = {"unit_under": "unit", "percent": "percent_permille"}
    attributes: dict[tuple[Kind, str], None] = {}
    for name in (*keys, *fingerprint, *(t for t in targets if t != "id"), "protection"):
        attributes["persons", name] = None
    for test in asked:
        if test.field in of_person:
            attributes["persons", of_person[test.field]] = None
        elif test.field not in ("member_of", "has_training"):
            attributes["employments", of_employment.get(test.field, test.field)] = None
    if any(profile.suspend_after_days is not None for profile in catalogue.profiles):
        attributes["employments", "leave_from"] = None
        attributes["employments", "leave_to"] = None
    courses = [course for rule in catalogue.rules for course in rule.requires]
    courses += [one for test in asked if test.field == "has_training" for one in test.values]
    member = [test for test in asked if test.field == "member_of"]
    return Decisive(
        attributes=tuple(attributes),
        courses=tuple(dict.fromkeys(courses)),
        groups=tuple(one for test in member if test.operator != "glob" for one in test.values),
        globs=tuple(one for test in member if test.operator == "glob" for one in test.values),
        keys=tuple(keys),
    )
