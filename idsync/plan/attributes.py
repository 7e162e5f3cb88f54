"""What a target may show of a person: the released attributes, and of the protected an alias."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import polars as pl

from idsync.mapping.correlate import People
from idsync.mapping.protection import alias, is_protected
from idsync.plan.fitting import values_that_fit
from idsync.plan.given import Target
from idsync.plan.items import ITEMS, items


def attribute_items(
    target: str,
    names: list[str],
    shown: pl.DataFrame,
    cardholders: pl.DataFrame,
    holding: pl.DataFrame,
    *,
    lengths: Mapping[str, int],
) -> pl.DataFrame:
    """Return the items that make the attributes *names* right for the people *holding*.

    *holding* is person, person_id, key, exists, and the row `holder` of their record;
    *shown* is `shown_attributes`. An attribute that nobody knows is left as it is.
    """
    if not names or holding.is_empty():
        return pl.DataFrame(schema=ITEMS)
    known = holding.filter(pl.col("person") < shown.height)
    said = shown[known["person"]].select(names)
    there = cardholders.select(pl.col(name).gather(known["holder"]) for name in names)
    parts = []
    for name in names:
        value = said[name]
        if name in lengths:
            value = value.str.head(lengths[name])
        now = there[name]
        differs = value.is_not_null() & (value != now.fill_null(""))
        who = known.filter(differs)
        parts.append(
            who.select(
                "person_id", "key", ref=pl.lit(name), creates=~pl.col("exists"),
            ).with_columns(
                now.filter(differs).is_not_null().alias("was"),
                now.filter(differs).alias("value_before"),
                value.filter(differs).alias("value_after"),
            )
        )  # fmt: skip
    return items(
        pl.concat(parts), target=target, part="attribute", kind="", shall=True,
        effect="neutral", confirmed=False, because="",
    )  # fmt: skip


def first_records(there: pl.DataFrame, cardholders: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """person, holder: one record each; where several carry one key, always the same one."""
    if not there["person"].is_duplicated().any():
        return there
    if names:
        there = there.hstack(cardholders.select(names)[there["holder"]])
    ordered = there.sort("person", *names, "holder")
    return ordered.unique("person", keep="first").select("person", "holder")


HIDDEN = "(not shown)"
"""What a plan says an attribute of a protected person was: it may have been their name."""


def released(target: Target) -> list[str]:
    """Return the attributes that *target* may be told and can hold."""
    return [name for name in target.release if name in target.capabilities.attributes]


def attribute_changes(
    target: Target, people: People, cardholders: pl.DataFrame, holding: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the attribute items of the people *holding*; and person_id, ref, reason of the unfit.

    Of the protected every attribute that the system shows is overwritten, also one that
    nobody released: whoever wrote a name there, it has to go. And what it was is not said
    in the plan, which is shown, saved and kept in the journal.
    """
    capabilities, names = target.capabilities, released(target)
    shown, lengths = shown_attributes(people), capabilities.lengths
    found = attribute_items(target.name, names, shown, cardholders, holding, lengths=lengths)
    hidden = holding.filter(pl.col("person").is_in(protected(people).implode()))
    if hidden.is_empty():
        return values_that_fit(found, cardholders, capabilities)
    beyond = [name for name in capabilities.attributes if name not in names]
    unasked = attribute_items(target.name, beyond, shown, cardholders, hidden, lengths=lengths)
    unasked = unasked.filter(pl.col("value_before").fill_null("") != "")
    found, unheld = values_that_fit(pl.concat([found, unasked]), cardholders, capabilities)
    old = (pl.col("value_before").fill_null("") != "") & pl.col("person_id").is_in(
        hidden["person_id"].implode()
    )
    secret = pl.when(old).then(pl.lit(HIDDEN)).otherwise("value_before")
    return found.with_columns(value_before=secret), unheld


@lru_cache(maxsize=2)
def protected(people: People) -> pl.Series:
    """Return the rows of those who are shown by an alias; an unknown mark protects too."""
    return people.persons.with_row_index("person").filter(is_protected())["person"]


@lru_cache(maxsize=2)
def shown_attributes(people: People) -> pl.DataFrame:
    """Row by row of the persons: person_id and the attributes as they may be shown.

    The protected are shown by an alias alone.
    """
    units = _first_parts(_latest_units(people))

    def plain(value: pl.Expr) -> pl.Expr:
        return pl.when(is_protected()).then(pl.lit("")).otherwise(value)

    full = pl.concat_str("given_name", pl.lit(" "), "family_name")
    shown = pl.coalesce(pl.when(pl.col("display_name") != "").then("display_name"), full)
    return people.persons.with_columns(department=units).select(
        person_id="id",
        display_name=pl.when(is_protected()).then(alias()).otherwise(shown),
        given_name=plain(pl.col("given_name")),
        # some systems know only the parts of a name, and want one
        family_name=pl.when(is_protected()).then(alias()).otherwise("family_name"),
        mail=plain(pl.col("mail")),
        department=plain(pl.col("department")),
    )


def _first_parts(units: pl.Series) -> pl.Series:
    """The first part of each path; there are few units, and many people."""
    paths = units.alias("path").to_frame()
    told = paths.unique().with_columns(first=pl.col("path").str.split(" / ").list.first())
    joined = paths.join(told, on="path", how="left", nulls_equal=True, maintain_order="left")
    return joined["first"]


def _latest_units(people: People) -> pl.Series:
    """Row by row of the persons the unit of the last employment, the primary one if any."""
    known = people.employments.select("unit", "primary", "valid_from", "id").with_columns(
        people.employed_rows
    )
    known = known.filter(pl.col("person").is_not_null())
    alone = ~known["person"].is_duplicated()
    latest = (
        known.filter(~alone)
        .sort("person", "primary", "valid_from", "id", nulls_last=False)
        .unique("person", keep="last")
    )
    last = pl.concat([known.filter(alone), latest])
    rows = pl.DataFrame(
        {"person": pl.int_range(people.persons.height, dtype=pl.UInt32, eager=True)}
    )
    return rows.join(last, on="person", how="left", maintain_order="left")["unit"]
