"""Employments of the made-up people: where, as what, from when until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, TypeAlias

from idsync.testing.city.dice import Dice, Weighted
from idsync.testing.city.jobs import (
    CONTRACTORS,
    DEPARTMENT_SIZE,
    ELECTED,
    JOBS,
    Job,
)
from idsync.testing.city.units import COUNCIL, TERMINAL, UNIT, UNITS, Unit

Story: TypeAlias = Literal["current", "future", "left", "gone"]
"""current: works here now · future: has not begun · left: ended within a year, still in
the HR file · gone: ended longer ago, in no HR file any more."""

YEAR = 365

FORMS = Weighted(
    [("permanent", 70), ("fixed", 13), ("hourly", 12), ("elected", 2), ("contractor", 3)]
)
EXTRA_FORMS = Weighted([("hourly", 45), ("fixed", 30), ("permanent", 25)])
EXTRA_POSTS = Weighted([(0, 80.0), (1, 15.0), (2, 5.0)])
MAIN_PERCENT = Weighted([(100, 72), (80, 12), (75, 10), (50, 6)])

HOMES: dict[str, list[Unit]] = {code: [] for code in JOBS}
for _unit in UNITS:
    if _unit.name not in (COUNCIL, TERMINAL):
        HOMES[_unit.code].append(_unit)


@dataclass(slots=True)
class Post:
    """One employment, assignment or office. `last` and `leave` include their last day."""

    unit: Unit
    job: Job
    form: str
    percent: int
    first: date
    last: date | None = None
    primary: bool = False
    leave: tuple[date, date | None] | None = None

    def runs(self, day: date) -> bool:
        """Return whether the employment has begun and is not over on *day*."""
        return self.first <= day and (self.last is None or day <= self.last)


def days(count: int) -> timedelta:
    """Return *count* days."""
    return timedelta(days=count)


def workplace(dice: Dice, form: str, code: str) -> tuple[Unit, Job]:
    """Return a unit of the department *code* and a job in it; the council for the elected."""
    if form == "elected":
        return UNIT[COUNCIL], dice.weighed(ELECTED)
    unit = dice.pick(HOMES[code])
    return unit, dice.weighed(CONTRACTORS if form == "contractor" else JOBS[code])


def tenure(dice: Dice, form: str, working_years: int) -> int:
    """Return for how many days somebody has been here, many not for long."""
    if form == "elected":
        return 39  # one mandate began for all on one day
    if form == "permanent":
        return 20 + int(dice.random() ** 2 * working_years * YEAR)
    return 1 + int(dice.random() ** 2 * (min(working_years, 7) * YEAR if form == "hourly" else 600))


def known_end(dice: Dice, form: str, first: date, today: date) -> date | None:
    """Return the last day that is known beforehand, spread over the two years to come."""
    if form == "elected":
        return first + days(4 * YEAR)
    if form in ("fixed", "contractor"):
        return max(first, today) + days(dice.between(2, 2 * YEAR))
    if form == "permanent" and dice.chance(0.02):
        return max(first, today) + days(dice.between(5, 120))
    return None


def main_post(dice: Dice, story: Story, working_years: int, today: date) -> Post:
    """Return somebody's main employment."""
    form = dice.weighed(FORMS)
    unit, job = workplace(dice, form, dice.weighed(DEPARTMENT_SIZE))
    percent = dice.between(5, 60) if form == "hourly" else dice.weighed(MAIN_PERCENT)
    length = tenure(dice, form, working_years)
    post = Post(unit, job, form, percent, today - days(length), primary=True)
    if story == "current":
        post.last = known_end(dice, form, post.first, today)
    elif story == "future":
        post.first = today + days(1 + int(dice.random() ** 1.6 * 400))
        post.last = known_end(dice, form, post.first, today)
    else:
        ago = int(dice.random() ** 1.5 * 363) + 1 if story == "left" else dice.between(370, 1800)
        post.last = today - days(ago)
        post.first = post.last - days(length)
    return post


def extra_post(dice: Dice, main: Post, today: date) -> Post:
    """Return another employment of somebody who works here: most run, some are over or to come."""
    code = main.unit.code if dice.chance(0.5) else dice.weighed(DEPARTMENT_SIZE)
    form = dice.weighed(EXTRA_FORMS)
    unit, job = workplace(dice, form, code)
    post = Post(unit, job, form, dice.between(5, 40), today - days(dice.between(1, 900)))
    share = dice.random()
    if share < 0.12:
        post.last = today - days(dice.between(1, 360))
        post.first = post.last - days(dice.between(20, 700))
    elif share < 0.20:
        post.first = today + days(dice.between(1, 300))
    if post.last is None:
        post.last = known_end(dice, form, post.first, today)
    return post


def earlier_post(dice: Dice, main: Post, today: date) -> Post:
    """Return what somebody did here before they left and came back to *main*."""
    main.first = today - days(dice.between(1, 200))
    last = main.first - days(dice.between(10, 120))
    unit, job = workplace(dice, "fixed", main.unit.code)
    return Post(unit, job, "fixed", main.percent, last - days(dice.between(90, 1500)), last)


def leave(dice: Dice, post: Post, today: date) -> tuple[date, date | None] | None:
    """Return a leave from *post*, for few: one that lasts now, is over, or is to come."""
    if post.form not in ("permanent", "fixed") or not dice.chance(0.07):
        return None
    share = dice.random()
    if share < 0.55:
        first = today - days(dice.between(1, 200))
        last = None if share < 0.06 else today + days(dice.between(3, 420))
    elif share < 0.75:
        last = today - days(dice.between(1, 300))
        first = last - days(dice.between(14, 200))
    else:
        first = today + days(dice.between(1, 330))
        last = first + days(dice.between(14, 300))
    begun = max(first, post.first)
    return None if last is not None and last < begun else (begun, last)


def posts_of(dice: Dice, story: Story, working_years: int, today: date) -> list[Post]:
    """Return somebody's employments, oldest first; exactly one is the main one."""
    main = main_post(dice, story, working_years, today)
    posts = [main]
    if story == "current":
        if main.form == "permanent" and dice.chance(0.02):
            posts.append(earlier_post(dice, main, today))
        main.leave = leave(dice, main, today)
        posts += [extra_post(dice, main, today) for _ in range(dice.weighed(EXTRA_POSTS))]
        posts.sort(key=lambda post: post.first)
    return posts


def terminal_post(dice: Dice, today: date) -> Post:
    """Return the post of one of the six at the ferry terminal: permanent, nothing else."""
    job = next(job for job in JOBS["HMN"].items if job.title == "Trafikledare hamn")
    return Post(
        UNIT[TERMINAL],
        job,
        "permanent",
        100,
        today - days(dice.between(300, 6000)),
        primary=True,
    )
