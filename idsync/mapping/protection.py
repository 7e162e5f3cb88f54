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
