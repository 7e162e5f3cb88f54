"""What a target can hold of what is wanted. What does not fit is refused and told, never cut.

A system that keeps whole days cannot end a right at noon, and one that writes Latin-1
cannot hold every name. Whom it cannot hold is left out for this reason; whoever is there
already keeps what they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import polars as pl

from idsync.capabilities import Capabilities
from idsync.mapping.times import ALWAYS, NEVER

INSTANT = pl.Datetime("us", "UTC")
LATIN_1 = r"^[\x00-\xff]*$"
ASCII = r"^[\x00-\x7f]*$"
STEPS = {"minute": "1m", "day": "1d"}


def dates_that_fit(
    grants: pl.DataFrame, capabilities: Capabilities, zone: ZoneInfo, instant: int
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return grants with dates as the system keeps them, those that wait, and those that cannot.

    A begin that has passed is written as the step it lies in: it opens nothing earlier. A
    begin to come within a step waits until it has come. An end within a step has no place:
    earlier would cut, later would widen.
    """
    step = STEPS.get(capabilities.granularity)
    if step is None or not capabilities.dated_grants or grants.is_empty():
        return grants, grants.clear(), grants.clear()
    begin, end = pl.col("valid_from"), pl.col("valid_to")
    floored = _floored("valid_from", step, zone).fill_null(ALWAYS)
    waits = grants.select((begin > instant) & (floored != begin)).to_series()
    crooked = grants.select((end != NEVER) & (_floored("valid_to", step, zone) != end)).to_series()
    return (
        grants.filter(~waits & ~crooked).with_columns(valid_from=floored),
        grants.filter(waits & ~crooked),
        grants.filter(crooked),
    )


def _floored(name: str, step: str, zone: ZoneInfo) -> pl.Expr:
    """The local step in which the instant lies, in microseconds; null where it is unbounded."""
    bounded = pl.col(name).is_between(ALWAYS, NEVER, closed="none")
    local = pl.when(bounded).then(name).cast(INSTANT).dt.convert_time_zone(zone.key)
    return local.dt.truncate(step).dt.convert_time_zone("UTC").to_physical()


def names_that_do_not_fit(
    shown: pl.DataFrame, others: pl.DataFrame, capabilities: Capabilities, names: Sequence[str]
) -> pl.DataFrame:
    """person, name, reason: the values that the system cannot hold.

    *shown* is person, key and *names* of those to be written; *others* has the *names* of
    every record that is not theirs. Where nothing can be unfit, nothing is looked at.
    """
    faults = [*_foreign(shown, capabilities, names), *_too_long(shown, capabilities)]
    faults += [
        _taken(shown, others, name, capabilities) for name in names if name in capabilities.unique
    ]
    schema = {"person": pl.UInt32, "name": pl.String, "reason": pl.String}
    return pl.concat([pl.DataFrame(schema=schema), *faults]).unique(
        ["person", "name"], keep="first", maintain_order=True
    )


def _foreign(
    shown: pl.DataFrame, capabilities: Capabilities, names: Sequence[str]
) -> list[pl.DataFrame]:
    pattern = {"latin-1": LATIN_1, "ascii": ASCII}.get(capabilities.characters)
    if pattern is None:
        return []
    return [
        shown.filter(~pl.col(name).fill_null("").str.contains(pattern)).select(
            "person", name=pl.lit(name),
            reason=pl.lit(f"{name} holds letters that {capabilities.characters} lacks"),
        )
        for name in ("key", *names)
    ]  # fmt: skip


def _too_long(shown: pl.DataFrame, capabilities: Capabilities) -> list[pl.DataFrame]:
    """A key that is cut would be another key; names are cut, and looked at after it."""
    most = capabilities.lengths.get("key")
    if most is None:
        return []
    return [
        shown.filter(pl.col("key").str.len_chars() > most).select(
            "person", name=pl.lit("key"),
            reason=pl.lit(f"their key is longer than the {most} characters of this system"),
        )
    ]  # fmt: skip


def _taken(
    shown: pl.DataFrame, others: pl.DataFrame, name: str, capabilities: Capabilities
) -> pl.DataFrame:
    value = pl.col(name)
    if name in capabilities.lengths:
        value = value.str.head(capabilities.lengths[name])
    said = shown.select("person", value.alias("value")).filter(pl.col("value").fill_null("") != "")
    there = others[name].drop_nulls()
    clashing = pl.col("value").is_duplicated() | pl.col("value").is_in(there.implode())
    how = "as this system cuts it, " if name in capabilities.lengths else ""
    return said.filter(clashing).select(
        "person", name=pl.lit(name),
        reason=pl.lit(f"{name} is, {how}that of somebody else here, and this system takes it once"),
    )  # fmt: skip


def values_that_fit(
    items: pl.DataFrame, cardholders: pl.DataFrame, capabilities: Capabilities
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return attribute items that the system can hold; and person_id, ref, reason of the others.

    What it cannot hold stays as it is: a name that is a little old harms nobody.
    """
    if items.is_empty() or not (capabilities.unique or capabilities.characters != "unicode"):
        return items, pl.DataFrame(schema=dict.fromkeys(("person_id", "ref", "reason"), pl.String))
    numbered = items.with_row_index("person")
    unfit = []
    for name in items["ref"].unique().sort():
        mine = numbered.filter(pl.col("ref") == name)
        shown = mine.select("person", "key", value="value_after").rename({"value": name})
        unfit.append(names_that_do_not_fit(shown, cardholders.select(name), capabilities, [name]))
    faults = pl.concat(unfit).filter(pl.col("name") != "key")
    told = faults.join(numbered.select("person", "person_id", "ref"), on="person")
    fits = numbered.join(faults, on="person", how="anti", maintain_order="left").drop("person")
    return fits, told.select("person_id", "ref", "reason")
