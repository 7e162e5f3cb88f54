"""Why each change is made, in words: computed for what changes, not for everybody."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import polars as pl

from idsync.mapping.protection import is_protected
from idsync.mapping.rules import Desired
from idsync.mapping.times import NEVER
from idsync.plan.recognise import mask

INSTANT = pl.Datetime("us", "UTC")


def with_reasons(
    items: pl.DataFrame, desired: Desired, revoked: pl.DataFrame, now: datetime
) -> pl.DataFrame:
    """Return *items* with `because` filled in; *revoked* is person_id, because."""
    if items.is_empty():
        return items
    orders = revoked.select("person_id", order="because").unique("person_id", keep="first")
    if revoked.height and items["person_id"].is_in(revoked["person_id"].implode()).all():
        # most often it is one person, and somebody waits
        told = items.join(orders, on="person_id", how="left", maintain_order="left")
        return told.with_columns(because="order").select(items.columns)
    rows = desired.people.persons.select(person_id="id").with_row_index("person")
    who = items.select("person_id").unique().join(rows, on="person_id", how="left")
    asked = (
        items.rename({"because": "amiss"})
        .join(who, on="person_id", how="left", maintain_order="left")
        .join(desired.rights, on=["target", "kind", "ref"], how="left", maintain_order="left")
    )
    told = (
        asked.join(
            _given(asked, desired), on=["person", "right"], how="left", maintain_order="left"
        )
        .join(_taken(asked, desired, now), on="person", how="left", maintain_order="left")
        .join(orders, on="person_id", how="left", maintain_order="left")
    )
    leaves = (pl.col("effect") == "losing") | pl.col("value_after").eq_missing("suspended")
    gone = pl.when(pl.col("person").is_null()).then(
        pl.lit("no source knows this person any longer")
    )
    return told.with_columns(
        because=pl.when(pl.col("order").is_not_null())
        .then("order")
        .when(pl.col("part") == "again")
        .then("amiss")
        .when(pl.col("part") == "attribute")
        .then(pl.lit("the sources say so"))
        .when((pl.col("part") == "grant") & pl.col("shall"))
        .then(pl.coalesce("given", pl.lit("the rules give it")))
        .when((pl.col("part") == "grant") & ~leaves)
        .then(pl.lit("it is over"))
        .when(leaves)
        .then(pl.coalesce(gone, "taken", pl.lit("no rule gives it any longer")))
        .otherwise(pl.lit("the rules give access here again"))
    ).select(items.columns)


def _given(asked: pl.DataFrame, desired: Desired) -> pl.DataFrame:
    """person, right, given: the rules and employments behind what shall be."""
    grants = asked.filter((pl.col("part") == "grant") & pl.col("shall"))
    wanted = grants.select("person", "right").drop_nulls().unique()
    here = mask(desired.people.persons.height, wanted["person"])
    bases = desired.bases.filter(pl.col("certain") & here.gather(desired.bases["person"]))
    backed = bases.join(_spelled_by_rule(desired), on="rule").join(
        wanted, on=["person", "right"], how="semi"
    )
    texts = backed.select("person", "right", _basis(backed, desired))
    many = texts.select(pl.struct("person", "right").is_duplicated()).to_series()
    joined = (
        texts.filter(many)
        .sort("person", "right", "text")
        .group_by("person", "right")
        .agg(pl.col("text").unique(maintain_order=True).str.join("; "))
    )
    return pl.concat([texts.filter(~many), joined]).rename({"text": "given"})


def _spelled_by_rule(desired: Desired) -> pl.DataFrame:
    position = {right: row for row, right in enumerate(desired.catalogue.rights)}
    pairs = [
        (row, position[right])
        for row, rule in enumerate(desired.catalogue.rules)
        for right in dict.fromkeys(desired.catalogue.profile(rule).rights)
    ]
    return pl.DataFrame(pairs, schema={"rule": pl.UInt32, "right": pl.UInt32}, orient="row")


def _basis(backed: pl.DataFrame, desired: Desired) -> pl.Series:
    """In words: which rule, for which employment, until when."""
    rules = pl.Series([rule.id for rule in desired.catalogue.rules], dtype=pl.String)
    employments = desired.people.employments
    hidden = desired.people.persons.select(is_protected()).to_series().gather(backed["person"])
    until = backed.select(
        pl.when(pl.col("valid_to") < NEVER).then("valid_to").cast(INSTANT).alias("until")
    )["until"]
    words = pl.DataFrame(
        {
            "rule": rules.gather(backed["rule"]),
            "title": employments["title"].gather(backed["employment"]).fill_null(""),
            "unit": employments["unit"].gather(backed["employment"]).fill_null(""),
            "until": local_day(until, desired.zone.key),
        }
    )
    # where a protected person works is nobody's business, not even in a plan
    words = words.with_columns(
        pl.when(hidden).then(pl.lit("")).otherwise(name).alias(name) for name in ("title", "unit")
    )
    return words.select(
        pl.concat_str(
            pl.lit("rule "),
            "rule",
            pl.when(pl.col("title") != "")
            .then(pl.concat_str(pl.lit(": "), "title"))
            .otherwise(pl.lit("")),
            pl.when(pl.col("unit") != "")
            .then(pl.concat_str(pl.lit(" in "), pl.col("unit").str.split(" / ").list.last()))
            .otherwise(pl.lit("")),
            pl.when(pl.col("until").is_not_null())
            .then(pl.concat_str(pl.lit(", to "), "until"))
            .otherwise(pl.lit("")),
        ).alias("text")
    )["text"]


def rule_named(because: str) -> str:
    """Return the id of the rule that *because* begins with: all that leaves for a target.

    The employment behind it is on no target's release list.
    """
    found = re.match(r"rule (.+?)(?:: | in |, to |; |$)", because)
    return found[1] if found else "idsync"


def local_day(instants: pl.Series, zone: str) -> pl.Series:
    """Return the last local day before each instant: an end at midnight is the day before."""
    before = instants - timedelta(microseconds=1)
    return before.dt.convert_time_zone(zone).dt.date().cast(pl.String)


def _taken(asked: pl.DataFrame, desired: Desired, now: datetime) -> pl.DataFrame:
    """person, taken: why somebody has less than before, as far as the sources tell."""
    losing = asked.filter((pl.col("effect") == "losing") | (pl.col("value_after") == "suspended"))
    people = desired.people
    persons = losing["person"].drop_nulls().unique()
    rows = people.employed_rows
    theirs = people.employments.select("valid_to").with_columns(rows)
    theirs = theirs.filter(mask(people.persons.height, persons).gather(rows).fill_null(False))
    ends = theirs.group_by("person").agg(
        open=(pl.col("valid_to").is_null() | (pl.col("valid_to") > now)).any(),
        last=pl.col("valid_to").max(),
    )
    told = persons.to_frame().join(ends, on="person", how="left")
    return told.with_columns(day=local_day(told["last"], desired.zone.key)).select(
        "person",
        taken=pl.when(pl.col("open").is_null())
        .then(pl.lit("has no employment"))
        .when(~pl.col("open"))
        .then(pl.concat_str(pl.lit("the last employment ended "), "day")),
    )
