"""Who is shown under an alias alone. Pure.

Sweden knows two marks, secrecy marking and protected registration; a mark that nobody
could read counts as one, since the harm of showing is the greater one.
"""

from __future__ import annotations

import polars as pl

PLACES = ("unit", "title", "employer", "job_code")
"""What of an employment tells where somebody can be found."""


def is_protected() -> pl.Expr:
    """Whether the person of a row is protected, from the column `protection`."""
    return pl.col("protection").fill_null("unknown") != "none"


def alias() -> pl.Expr:
    """The name under which a protected person is shown: a part of the id, from the column `id`."""
    return pl.concat_str(pl.lit("Person "), pl.col("id").str.head(8))


def strictest(
    accepted: pl.DataFrame, persons: pl.DataFrame, before: pl.DataFrame, *, expected: bool
) -> pl.Series:
    """Return, row by row of *persons*, the strictest mark any source gives, or else the last known.

    A mark that was never known is protected where any source carries marks, ever did, or
    is *expected* to.
    """
    carried = accepted.filter(pl.col("protection").is_not_null())
    strictness = {"": 0, "none": 0, "secrecy_marking": 1, "protected_registration": 2}
    marks = carried.group_by("id").agg(
        mark=pl.col("protection").replace_strict(strictness, default=1, return_dtype=pl.Int32).max()
    )
    known = before.filter(pl.col("protection").is_not_null()).select(
        "id",
        last=pl.col("protection").replace_strict(strictness, default=1, return_dtype=pl.Int32),
    )
    marked = not carried.is_empty() or not known.filter(pl.col("last") > 0).is_empty()
    never_known = 1 if marked or expected else 0
    names = {0: "none", 1: "secrecy_marking", 2: "protected_registration"}
    return (
        persons.select("id")
        .join(marks, on="id", how="left", maintain_order="left")
        .join(known, on="id", how="left", maintain_order="left")
        .select(pl.coalesce("mark", "last").fill_null(never_known))
        .to_series()
        .replace_strict(names, return_dtype=pl.String)
        .alias("protection")
    )
