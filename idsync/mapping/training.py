"""When the courses that a rule requires cover somebody: expiry, and grace."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl

from idsync.mapping.catalogue import Catalogue, Rule
from idsync.mapping.correlate import People
from idsync.mapping.times import ALWAYS, NEVER, by_switch, days_later, micro, moved, shifted


def passed() -> pl.Expr:
    """Whether a completion counts: what says nothing of its result does."""
    return pl.col("result").fill_null("passed") != "failed"


def expiries(people: People, now: datetime, courses: Collection[str]) -> pl.DataFrame:
    """person, course_id, passed_from, passed_to: the last expiry of each of *courses*.

    One row a person and course passed. A course completed after *now* has not been passed yet.
    """
    persons = people.persons.select(person_id="id").with_row_index("person")
    counted = people.trainings.filter(
        pl.col("course_id").is_in(sorted(courses))
        & passed()
        & (pl.col("completed_at").fill_null(now) <= now)
    ).join(persons, on="person_id", how="inner")
    counted = counted.select(
        "person", "course_id", passed_from="completed_at", passed_to="valid_to"
    )
    again = counted.select(pl.struct("person", "course_id").is_duplicated()).to_series()
    taken_again = (
        counted.filter(again)
        .group_by("person", "course_id")
        .agg(
            pl.col("passed_from").min(),
            # no expiry at all outlasts every expiry
            passed_to=pl.when(pl.col("passed_to").is_null().any())
            .then(None)
            .otherwise(pl.col("passed_to").max()),
        )
    )
    return pl.concat([counted.filter(~again), taken_again])


def graces(catalogue: Catalogue) -> list[int]:
    """Return every length of grace, in days, of a rule that requires a course."""
    return sorted({rule.grace_days for rule in catalogue.rules if rule.requires})


def newcomer_until(begins: pl.Series, catalogue: Catalogue, zone: ZoneInfo) -> pl.DataFrame:
    """Until when grace covers who has not passed yet, a column for each length of it."""
    begin = micro("instant", ALWAYS)
    lengths = graces(catalogue)
    return moved(begins, {f"newcomer_{days}": days_later(begin, days, zone) for days in lengths})


def narrowed(
    windows: pl.DataFrame,
    newcomer: pl.DataFrame,
    people: People,
    catalogue: Catalogue,
    now: datetime,
    zone: ZoneInfo,
) -> pl.DataFrame:
    """Narrow windows to when the required courses are valid, grace included.

    *newcomer* is `newcomer_until`, row by row of the employments.
    """
    most = max((len(rule.requires) for rule in catalogue.rules), default=0)
    if not most:
        return windows
    requiring = pl.col("rule").is_in([n for n, rule in enumerate(catalogue.rules) if rule.requires])
    if not people.trainings_known:
        return windows.with_columns(certain=pl.col("certain") & ~requiring)
    free, windows = windows.filter(~requiring), windows.filter(requiring)
    courses = sorted({course for rule in catalogue.rules for course in rule.requires})
    last = _expiry_columns(people, catalogue, now, courses, zone)
    for position in range(most):
        windows = _narrowed(windows, newcomer, last, _demands(catalogue.rules, position, courses))
    return pl.concat([free, windows])


def _expiry_columns(
    people: People, catalogue: Catalogue, now: datetime, courses: Sequence[str], zone: ZoneInfo
) -> pl.DataFrame:
    """passing (person and course as one number), passed_from, and by its grace passed_to."""
    number = pl.DataFrame({"course_id": courses}).with_row_index("course")
    last = expiries(people, now, courses).join(number, on="course_id")
    lengths = graces(catalogue)
    ends = {f"passed_{days}": shifted("instant", days, zone, NEVER) for days in lengths}
    told = last.select(passing=_passing(), passed_from=micro("passed_from", ALWAYS))
    return told.hstack(moved(last["passed_to"], ends))


def _passing() -> pl.Expr:
    return pl.col("person").cast(pl.UInt64) * 2**32 + pl.col("course")


def _demands(rules: Sequence[Rule], position: int, courses: Sequence[str]) -> pl.DataFrame:
    """Row by row of the rules the course they require at *position*, if so many, and its grace."""
    number = {course: row for row, course in enumerate(courses)}
    asked = [rule.requires[position] if len(rule.requires) > position else None for rule in rules]
    return pl.DataFrame(
        {
            "course": [None if course is None else number[course] for course in asked],
            "grace": [rule.grace_days for rule in rules],
        },
        schema={"course": pl.UInt32, "grace": pl.Int32},
    )


def _narrowed(
    windows: pl.DataFrame, newcomer: pl.DataFrame, last: pl.DataFrame, demands: pl.DataFrame
) -> pl.DataFrame:
    columns = windows.columns
    asked = demands[windows["rule"]]
    windows = windows.with_columns(asked["course"], asked["grace"])
    free, windows = (
        windows.filter(pl.col("course").is_null()).select(columns),
        windows.filter(pl.col("course").is_not_null()),
    )
    row = windows["employment"]
    windows = windows.with_columns(
        passing=_passing(), **{name: newcomer[name].gather(row) for name in newcomer.columns}
    ).join(last, on="passing", how="left", maintain_order="left")
    lengths = [int(name.partition("_")[2]) for name in newcomer.columns]
    taken = pl.col("passed_from").is_not_null()
    covered, until = by_switch("grace", "passed", lengths), by_switch("grace", "newcomer", lengths)
    # whoever took it late was covered by grace before: the earlier begin stands
    begin = pl.when(taken & (pl.col("passed_from") > until)).then("passed_from").otherwise(ALWAYS)
    bounded = windows.with_columns(
        valid_from=pl.max_horizontal("valid_from", begin),
        valid_to=pl.min_horizontal("valid_to", pl.when(taken).then(covered).otherwise(until)),
    )
    return pl.concat([free, bounded.select(columns)])
