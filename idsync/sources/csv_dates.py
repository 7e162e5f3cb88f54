"""Days as a file writes them, and the instants they become."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import polars as pl

FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(9998, 12, 31)
"""Days outside are some system's word for "never", not days."""


def write_day(day: date, form: str) -> str:
    """Return *day* written in *form*, as polars spells forms."""
    return str(pl.Series([day]).cast(pl.Datetime("us")).dt.strftime(form)[0])


def parse_days(texts: pl.Series, form: str) -> pl.Series:
    """Return the day each text names, or null where it is not a day written in *form*.

    Strict: a text counts only if the day, written again, is the same text. So neither a
    cut-off date nor a missing zero passes for another day.
    """
    moments = texts.str.to_datetime(form, strict=False, time_unit="us")
    days = moments.dt.date()
    again = days.cast(pl.Datetime("us")).dt.strftime(form)
    good = (again == texts) & days.is_between(FIRST_DAY, LAST_DAY)
    return pl.select(pl.when(good).then(days)).to_series()


def instants(
    texts: pl.Series, form: str, never: tuple[str, ...], instant: Callable[[date], datetime]
) -> tuple[pl.Series, pl.Series]:
    """Return the *instant* of each text's day, and where there is none though there should be.

    Texts in *never* become null. The work is done once for each day that occurs, by the
    one function of the model that decides when a day begins or ends.
    """
    written = texts.unique()
    days = parse_days(written, form)
    moments = [day if day is None else instant(day) for day in days.to_list()]
    known = pl.Series(moments, dtype=pl.Datetime("us", "UTC"))
    unbounded = written.is_in(never)
    wrong = texts.is_in(written.filter(days.is_null() & ~unbounded).implode())
    known = pl.select(pl.when(~unbounded).then(known)).to_series()
    return texts.replace_strict(written, known, return_dtype=known.dtype), wrong
