"""Who should hold what: rules over people, in columns. Pure; time is an argument.

The work is done once per distinct combination of what the rules look at, not per
person: a city has many people and few kinds of employment. Instants are handled as
microseconds, with the ends of the scale for "always" and "never ends".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

import polars as pl

from idsync.mapping.catalogue import Catalogue, Rule
from idsync.mapping.conditions import Test, column, expression, glob_pattern, tests
from idsync.mapping.correlate import People
from idsync.mapping.union import blocks_of, union_of_shared

ALWAYS = -(2**62)
NEVER = 2**62
INSTANT = pl.Datetime("us", "UTC")
NOBODY_PASSED = pl.DataFrame(
    schema={"person": pl.UInt32, "passed_from": INSTANT, "passed_to": INSTANT}
)


@dataclass(frozen=True, kw_only=True)
class Desired:
    """What everybody should hold.

    grants: person (row in `persons`), right (row in `rights`), valid_from, valid_to in
        microseconds since 1970, ALWAYS and NEVER where unbounded. One row a person and
        right: the interval in force now, or else the next one to begin.
    kept: person, right: nobody can say; what is held stays, nothing new is given.
    bases: person, employment (row), rule (row), valid_from, valid_to, certain: why.
    """

    grants: pl.DataFrame
    kept: pl.DataFrame
    bases: pl.DataFrame
    people: People
    catalogue: Catalogue
    zone: ZoneInfo

    @cached_property
    def grants_by_target(self) -> dict[str, pl.DataFrame]:
        """person, kind, ref, valid_from, valid_to: the grants of each target, split once."""
        spelled = self.grants.join(self.rights, on="right").drop("right")
        parts = spelled.partition_by("target", as_dict=True, include_key=False)
        return {str(name): part for (name,), part in parts.items()}

    @cached_property
    def rights(self) -> pl.DataFrame:
        """Row by row the rights that `right` counts: target, kind, ref."""
        columns = {"target": pl.String(), "kind": pl.String(), "ref": pl.String()}
        rows = [(right.target, right.kind, right.ref) for right in self.catalogue.rights]
        return pl.DataFrame(rows, schema=columns, orient="row").with_row_index("right")


def desire(
    people: People, catalogue: Catalogue, *, now: datetime, zone: ZoneInfo, ahead_days: int = 0
) -> Desired:
    """Return what *people* should hold by the rules of *catalogue* at *now*.

    Grants that begin within *ahead_days* are included, with their begin.
    """
    instant = microseconds(now)
    horizon = instant + ahead_days * 86_400_000_000
    facts = employment_facts(people, catalogue, now)
    bases = _windows(_matches(facts, catalogue), facts, people, catalogue, now, zone)
    bases = bases.filter(
        (pl.col("valid_to") > instant)
        & (pl.col("valid_from") <= horizon)
        & (pl.col("valid_from") < pl.col("valid_to"))
    )
    certain = blocks_of(
        bases.filter("certain").select("person", "profile", "valid_from", "valid_to"), "profile"
    )
    doubtful = bases.filter(~pl.col("certain")).select("person", "profile").unique()
    spelled = _spelled(catalogue)
    grants = certain.join(spelled, on="profile", how="inner").select(
        "person", "right", "valid_from", "valid_to", "block"
    )
    return Desired(
        grants=union_of_shared(grants, spelled),
        kept=doubtful.join(spelled, on="profile", how="inner").select("person", "right").unique(),
        bases=bases.drop("profile"),
        people=people,
        catalogue=catalogue,
        zone=zone,
    )


def microseconds(instant: datetime) -> int:
    """Return *instant* as microseconds since 1970."""
    return int(pl.Series([instant], dtype=INSTANT).to_physical()[0])


# ── which rule fits which employment ────────────────────────────────────────────────────


def employment_facts(people: People, catalogue: Catalogue, now: datetime) -> pl.DataFrame:
    """Employments with everything that some rule looks at, and the row of their person."""
    persons = people.persons.with_row_index("person").select(
        "person", person_id="id", person_kind="kind", person_status="status"
    )
    facts = people.employments.join(persons, on="person_id", how="inner", maintain_order="left")
    wanted = {test for rule in catalogue.rules for test in tests(rule.when)}
    for test in sorted(wanted, key=lambda one: (one.field, one.operator, one.values)):
        if test.field == "member_of":
            facts = _with_groups(facts, people, test, now)
        elif test.field == "has_training":
            facts = _with_courses(facts, people, test, now)
    return facts.with_row_index("employment")


def _with_groups(facts: pl.DataFrame, people: People, test: Test, now: datetime) -> pl.DataFrame:
    current = people.memberships.filter(_in_force(now))
    for name, group in zip(column(test), test.values, strict=True):
        role = pl.col("role")
        fits = role.str.contains(glob_pattern(group)) if test.operator == "glob" else role == group
        facts = _with_flag(facts, name, current.filter(fits), people.memberships_known)
    return facts


def _with_courses(facts: pl.DataFrame, people: People, test: Test, now: datetime) -> pl.DataFrame:
    passed = people.trainings.filter(_in_force(now, "completed_at") & _passed())
    for name, course in zip(column(test), test.values, strict=True):
        theirs = passed.filter(pl.col("course_id") == course)
        facts = _with_flag(facts, name, theirs, people.trainings_known)
    return facts


def _with_flag(facts: pl.DataFrame, name: str, holders: pl.DataFrame, known: bool) -> pl.DataFrame:
    flag = pl.col("person_id").is_in(holders["person_id"].unique().implode())
    return facts.with_columns((flag if known else pl.lit(None, pl.Boolean)).alias(name))


def _in_force(now: datetime, begin: str = "valid_from") -> pl.Expr:
    begun = pl.col(begin).is_null() | (pl.col(begin) <= now)
    return begun & (pl.col("valid_to").is_null() | (pl.col("valid_to") > now))


def _passed() -> pl.Expr:
    return pl.col("result").fill_null("passed") != "failed"


def _matches(facts: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """employment, rule, certain: the pairs where the condition holds or cannot be told."""
    looked_at = sorted(
        {name for rule in catalogue.rules for test in tests(rule.when) for name in column(test)}
    )
    kinds = facts.group_by(looked_at).agg("employment") if looked_at else facts.select(
        pl.col("employment").implode()
    )  # fmt: skip
    truth = kinds.select(
        "employment",
        **{str(row): expression(rule.when) for row, rule in enumerate(catalogue.rules)},
    )
    columns = {"employment": pl.UInt32(), "rule": pl.UInt32(), "certain": pl.Boolean()}
    pairs = [
        truth.filter(pl.col(str(row)).fill_null(True)).select(
            "employment", rule=pl.lit(row, pl.UInt32), certain=pl.col(str(row)).fill_null(False)
        )
        for row in range(len(catalogue.rules))
    ]
    if not pairs:
        return pl.DataFrame(schema=columns)
    return pl.concat(pairs).explode("employment").drop_nulls("employment").cast(pl.Schema(columns))


# ── from when to when ───────────────────────────────────────────────────────────────────


def _windows(
    pairs: pl.DataFrame,
    facts: pl.DataFrame,
    people: People,
    catalogue: Catalogue,
    now: datetime,
    zone: ZoneInfo,
) -> pl.DataFrame:
    """person, employment, rule, profile, certain, valid_from, valid_to for each pair."""
    times = facts.select(
        begins=_micro("valid_from", ALWAYS),
        valid_to=_micro("valid_to", NEVER),
        **{
            f"begin_{days}": shifted("valid_from", -days, zone, ALWAYS)
            for days in _leads(catalogue)
        },
        **{
            f"leave_{days}": shifted("leave_from", days, zone, NEVER)
            for days in _suspensions(catalogue)
        },
        back=pl.when(pl.col("leave_from").is_null())
        .then(NEVER)
        .otherwise(_micro("leave_to", NEVER)),
    )
    row = pairs["employment"]
    constants = _constants(catalogue)[pairs["rule"]]
    gathered = {name: times[name].gather(row) for name in times.columns}
    windows = pairs.with_columns(
        person=facts["person"].gather(row), profile=constants["profile"], **gathered
    ).with_columns(lead=constants["lead"], suspend=constants["suspend"])
    begin = _choose("lead", {days: pl.col(f"begin_{days}") for days in _leads(catalogue)})
    windows = windows.with_columns(valid_from=begin)
    windows = _with_leave(windows, catalogue)
    windows = windows.select(
        "person", "employment", "rule", "profile", "certain", "begins", "valid_from", "valid_to"
    )
    return _with_training(windows, people, catalogue, now, zone).drop("begins")


def _leads(catalogue: Catalogue) -> list[int]:
    return sorted({profile.lead_days for profile in catalogue.profiles})


def _suspensions(catalogue: Catalogue) -> list[int]:
    return sorted(
        {p.suspend_after_days for p in catalogue.profiles if p.suspend_after_days is not None}
    )


def _constants(catalogue: Catalogue) -> pl.DataFrame:
    """Row by row what each rule's profile says: profile, lead, suspend (null: leave keeps)."""
    profiles = [catalogue.profile(rule) for rule in catalogue.rules]
    return pl.DataFrame(
        {
            "profile": [catalogue.profile_index[profile.id] for profile in profiles],
            "lead": [profile.lead_days for profile in profiles],
            "suspend": [profile.suspend_after_days for profile in profiles],
        },
        schema={"profile": pl.UInt32, "lead": pl.Int32, "suspend": pl.Int32},
    )


def _choose(switch: str, columns: dict[int, pl.Expr]) -> pl.Expr:
    (_, chosen), *rest = columns.items() if columns else ((0, pl.lit(ALWAYS)),)
    for days, value in rest:
        chosen = pl.when(pl.col(switch) == days).then(value).otherwise(chosen)
    return chosen


def _micro(name: str, unbounded: int) -> pl.Expr:
    return pl.col(name).to_physical().fill_null(unbounded)


def shifted(name: str, days: int, zone: ZoneInfo, unbounded: int) -> pl.Expr:
    """The instant *days* local calendar days away: midnight stays midnight over clock changes."""
    if days == 0:
        return _micro(name, unbounded)
    local = pl.col(name).dt.convert_time_zone(zone.key).dt.offset_by(f"{days}d")
    return local.dt.convert_time_zone("UTC").to_physical().fill_null(unbounded)


def _with_leave(windows: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """Cut the leave out where the profile suspends: a window before it and one after."""
    suspensions = _suspensions(catalogue)
    if not suspensions:
        return windows
    leave = _choose("suspend", {days: pl.col(f"leave_{days}") for days in suspensions})
    split = pl.col("suspend").is_not_null() & (leave < pl.col("back")) & (leave < NEVER)
    split = split & (leave < pl.col("valid_to"))
    whole = windows.filter(~split)
    cut = windows.filter(split)
    before = cut.with_columns(valid_to=leave)
    after = cut.with_columns(valid_from=pl.max_horizontal("valid_from", "back"))
    return pl.concat([whole, before, after])


def _with_training(
    windows: pl.DataFrame, people: People, catalogue: Catalogue, now: datetime, zone: ZoneInfo
) -> pl.DataFrame:
    """Narrow windows to when the required courses are valid, grace included."""
    demands = [(row, rule) for row, rule in enumerate(catalogue.rules) if rule.requires]
    if not demands:
        return windows
    rows = [row for row, _ in demands]
    free = windows.filter(~pl.col("rule").is_in(rows))
    if not people.trainings_known:
        return pl.concat(
            [free, windows.filter(pl.col("rule").is_in(rows)).with_columns(certain=pl.lit(False))]
        )
    courses = {course for _, rule in demands for course in rule.requires}
    last = expiries(people, now, courses).partition_by("course_id", as_dict=True)
    passed = {str(course): rows for (course,), rows in last.items()}
    demanding = windows.filter(pl.col("rule").is_in(rows)).partition_by("rule", as_dict=True)
    narrowed = [
        _narrowed(demanding[row,], rule, passed, zone)
        for row, rule in demands
        if (row,) in demanding
    ]
    return pl.concat([free, *narrowed])


def expiries(people: People, now: datetime, courses: Collection[str]) -> pl.DataFrame:
    """person, course_id, passed_from, passed_to: the last expiry of each of *courses*.

    One row a person and course passed. A course completed after *now* has not been passed yet.
    """
    persons = people.persons.select(person_id="id").with_row_index("person")
    return (
        people.trainings.filter(
            pl.col("course_id").is_in(sorted(courses))
            & _passed()
            & (pl.col("completed_at").fill_null(now) <= now)
        )
        .join(persons, on="person_id", how="inner")
        .group_by("person", "course_id")
        .agg(
            passed_from=pl.col("completed_at").min(),
            # no expiry at all outlasts every expiry
            passed_to=pl.when(pl.col("valid_to").is_null().any())
            .then(None)
            .otherwise(pl.col("valid_to").max()),
        )
    )


def _narrowed(
    windows: pl.DataFrame, rule: Rule, last: Mapping[str, pl.DataFrame], zone: ZoneInfo
) -> pl.DataFrame:
    columns = windows.columns
    for course in rule.requires:
        passed = last.get(course, NOBODY_PASSED).select(
            "person",
            passed=pl.lit(True),
            passed_from=_micro("passed_from", ALWAYS),
            passed_to=shifted("passed_to", rule.grace_days, zone, NEVER),
        )
        joined = windows.join(passed, on="person", how="left", maintain_order="left")
        taken = pl.col("passed").is_not_null()
        newcomer_until = days_later(pl.col("begins"), rule.grace_days, zone)
        # whoever took it late was covered by grace before: the earlier begin stands
        begin = pl.when(taken & (pl.col("passed_from") > newcomer_until)).then("passed_from")
        windows = joined.with_columns(
            valid_from=pl.max_horizontal("valid_from", begin.otherwise(ALWAYS)),
            valid_to=pl.min_horizontal(
                "valid_to", pl.when(taken).then("passed_to").otherwise(newcomer_until)
            ),
        ).select(columns)
    return windows


def days_later(instant: pl.Expr, days: int, zone: ZoneInfo) -> pl.Expr:
    """*instant* and *days* local days; an unbounded begin has had its grace long ago."""
    if days == 0:
        return pl.lit(ALWAYS)
    bounded = pl.when(instant > ALWAYS).then(instant)
    local = bounded.cast(INSTANT).dt.convert_time_zone(zone.key).dt.offset_by(f"{days}d")
    return local.dt.convert_time_zone("UTC").to_physical().fill_null(ALWAYS)


def _spelled(catalogue: Catalogue) -> pl.DataFrame:
    """profile, right: what each profile gives, as rows of the catalogue."""
    position = {right: row for row, right in enumerate(catalogue.rights)}
    pairs = [
        (index, position[right])
        for index, profile in enumerate(catalogue.profiles)
        for right in dict.fromkeys(profile.rights)
    ]
    return pl.DataFrame(pairs, schema={"profile": pl.UInt32, "right": pl.UInt32}, orient="row")
