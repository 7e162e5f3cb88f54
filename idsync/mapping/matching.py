"""Which rule fits which employment: once per distinct combination of what the rules ask.

Every test is held against the few distinct values of its columns, never against people.
Values of which all tests say the same are one class, employments of the same classes are
one kind, and each rule is decided for kinds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from idsync.mapping.catalogue import Catalogue
from idsync.mapping.conditions import Test, column, expression, glob_pattern, tests
from idsync.mapping.correlate import People
from idsync.mapping.training import passed

MATCHES = pl.Schema({"employment": pl.UInt32(), "rule": pl.UInt32(), "certain": pl.Boolean()})


def employment_facts(people: People, catalogue: Catalogue, now: datetime) -> pl.DataFrame:
    """Employments with everything that some rule looks at, and the row of their person."""
    persons = people.persons.with_row_index("person").select(
        "person", person_id="id", person_kind="kind", person_status="status"
    )
    facts = people.employments.with_columns(people.employed_rows)
    facts = facts.filter(pl.col("person").is_not_null()) if facts["person"].null_count() else facts
    kinds = persons.select("person_kind", "person_status")[facts["person"]]
    facts = facts.hstack(kinds)
    flags = _groups(people, persons, catalogue, now) | _courses(people, persons, catalogue, now)
    held = [_flag(name, holders) for name, holders in flags.items()]
    return facts.with_columns(held).with_row_index("employment")


def _asked(catalogue: Catalogue) -> list[Test]:
    """Every test that some rule makes, once."""
    return list(dict.fromkeys(test for rule in catalogue.rules for test in tests(rule.when)))


def _groups(
    people: People, persons: pl.DataFrame, catalogue: Catalogue, now: datetime
) -> dict[str, pl.Series | None]:
    """For each group some rule asks for the rows of its members; None: nobody knows."""
    role = pl.col("role")
    fits = {
        name: role.str.contains(glob_pattern(group)) if test.operator == "glob" else role == group
        for test in _asked(catalogue)
        if test.field == "member_of"
        for name, group in zip(column(test), test.values, strict=True)
    }
    roles = people.memberships.select(role).unique().filter(_any(fits))["role"]
    asked = people.memberships.filter(role.is_in(roles.implode()))
    return _rows_of(asked.filter(_in_force(now)), persons, fits, known=people.memberships_known)


def _courses(
    people: People, persons: pl.DataFrame, catalogue: Catalogue, now: datetime
) -> dict[str, pl.Series | None]:
    """For each course some rule asks for the rows of who has it; None: nobody knows."""
    fits = {
        name: pl.col("course_id") == course
        for test in _asked(catalogue)
        if test.field == "has_training"
        for name, course in zip(column(test), test.values, strict=True)
    }
    valid = people.trainings.filter(_any(fits)).filter(_in_force(now, "completed_at") & passed())
    return _rows_of(valid, persons, fits, known=people.trainings_known)


def _any(fits: Mapping[str, pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(fits.values()) if fits else pl.lit(False)


def _rows_of(
    facts: pl.DataFrame, persons: pl.DataFrame, fits: Mapping[str, pl.Expr], *, known: bool
) -> dict[str, pl.Series | None]:
    """By name the rows of the persons of whom a fact fits."""
    if not known:
        return dict.fromkeys(fits)
    rows = facts.join(persons.select("person", "person_id"), on="person_id")
    return {name: rows.filter(fit)["person"].unique() for name, fit in fits.items()}


def _flag(name: str, holders: pl.Series | None) -> pl.Expr:
    if holders is None:
        return pl.lit(None, pl.Boolean).alias(name)
    return pl.col("person").is_in(holders.implode()).alias(name)


def _in_force(now: datetime, begin: str = "valid_from") -> pl.Expr:
    begun = pl.col(begin).is_null() | (pl.col(begin) <= now)
    return begun & (pl.col("valid_to").is_null() | (pl.col("valid_to") > now))


# ── kinds of employment ─────────────────────────────────────────────────────────────────


def matches(facts: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """employment, rule, certain: the pairs where the condition holds or cannot be told."""
    asked = _asked(catalogue)
    numbers = {test: str(number) for number, test in enumerate(asked)}
    kinds = _kinds(facts, numbers)
    truths = kinds.select(
        "employment",
        **{
            f"rule{row}": expression(rule.when, lambda test: pl.col(numbers[test]))
            for row, rule in enumerate(catalogue.rules)
        },
    )
    pairs = [
        truths.select("employment", truth=pl.col(f"rule{row}"))
        .filter(pl.col("truth").fill_null(True))
        .select("employment", rule=pl.lit(row, pl.UInt32), certain=pl.col("truth").fill_null(False))
        for row in range(len(catalogue.rules))
    ]
    if not pairs:
        return pl.DataFrame(schema=MATCHES)
    return pl.concat(pairs).explode("employment").drop_nulls("employment").cast(MATCHES)


def _kinds(facts: pl.DataFrame, numbers: dict[Test, str]) -> pl.DataFrame:
    """A row a kind: `employment`, its rows, and by its number what each test says of it."""
    groups: dict[tuple[str, ...], list[Test]] = {}
    for test in numbers:
        groups.setdefault(tuple(column(test)), []).append(test)
    if not groups:
        return facts.select(pl.col("employment").implode())
    classes = [_classes(facts, columns, mine, numbers) for columns, mine in groups.items()]
    packed, stride = pl.lit(0, pl.UInt64), 1
    codes = []
    for position, (outcomes, code) in enumerate(classes):
        codes.append(code.alias(f"class{position}"))
        packed = packed + pl.col(f"class{position}").cast(pl.UInt64) * stride
        stride *= max(1, outcomes.height)
    coded = pl.DataFrame([facts["employment"], *codes])
    names = [code.name for code in codes]
    # packed into one number where it has room for all combinations: far faster to group by
    by = [packed.alias("kind")] if stride < 2**63 else [pl.struct(names).alias("kind")]
    kinds = coded.group_by(by).agg("employment", *(pl.col(name).first() for name in names))
    said = [
        outcomes[kinds[code.name]].get_columns()
        for (outcomes, _), code in zip(classes, codes, strict=True)
    ]
    return pl.DataFrame([kinds["employment"], *(one for part in said for one in part)])


def _classes(
    facts: pl.DataFrame, columns: Sequence[str], mine: Sequence[Test], numbers: dict[Test, str]
) -> tuple[pl.DataFrame, pl.Series]:
    """What the tests *mine* say of each class of values, and the class of each employment."""
    names = [numbers[test] for test in mine]
    values = facts.select(columns)
    if len(columns) == 1 and [test.field in ("member_of", "has_training") for test in mine] == [
        True
    ]:
        # whether somebody is in one group is its own answer
        outcomes = pl.DataFrame({names[0]: [False, True, None]}, schema={names[0]: pl.Boolean})
        return outcomes, values.to_series().cast(pl.UInt32).fill_null(2)
    told = values.unique().with_columns(expression(test).alias(numbers[test]) for test in mine)
    outcomes = told.select(names).unique()
    classes = told.join(outcomes.with_row_index("class"), on=names, nulls_equal=True)
    coded = values.join(
        classes.select(*columns, "class"),
        on=list(columns), how="left", nulls_equal=True, maintain_order="left",
    )  # fmt: skip
    return outcomes, coded["class"]
