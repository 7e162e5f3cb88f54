"""Courses that the made-up people took, forgot, or let run out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from idsync.testing.city.dice import Dice
from idsync.testing.city.jobs import COURSES, Course
from idsync.testing.city.posts import Post, days


@dataclass(slots=True)
class Completion:
    """A course passed on one day, counting until the end of another, or for ever."""

    course: Course
    completed: date
    valid_to: date | None


def completions_of(
    dice: Dice, posts: Sequence[Post], today: date, *, sure: bool
) -> list[Completion]:
    """Return what somebody with *posts* has passed. *sure*: everything, and for long yet."""
    wanted = dict.fromkeys(course for post in posts for course in post.job.courses)
    newcomer = all(post.first > today - days(14) for post in posts)
    found: list[Completion] = []
    for name in wanted:
        course = COURSES[name]
        if sure:
            found.append(completion(course, today, dice.between(700, course.days or 700), 700))
        elif not dice.chance(0.6 if newcomer else 0.05):
            found += taken(dice, course, today)
    return found


def completion(course: Course, today: date, rest: int, since: int) -> Completion:
    """Return a completion that counts *rest* days yet; one for ever was *since* days ago."""
    if course.days is None:
        return Completion(course, today - days(since), None)
    valid_to = today + days(rest)
    return Completion(course, valid_to - days(course.days), valid_to)


def taken(dice: Dice, course: Course, today: date) -> list[Completion]:
    """Return a completion: most count for long, some run out soon, some have run out."""
    share, rest, since = dice.random(), dice.random(), dice.between(1, 2000)
    whole = course.days or 0
    if share < 0.05:
        left = -1 - int(rest * 300)
    elif share < 0.08:
        left = int(rest * 30)
    else:
        left = 31 + int(rest * (whole - 32))
    latest = completion(course, today, left, since)
    if latest.valid_to is None or not dice.chance(0.08):
        return [latest]
    before = latest.completed - days(whole - dice.between(5, 60))
    return [Completion(course, before, before + days(whole)), latest]
