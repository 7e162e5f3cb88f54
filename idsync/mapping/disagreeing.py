"""What sources tell differently of one person, the end of their employments included. Pure."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from idsync.mapping.correlate import People


def disagreements(people: People, now: datetime) -> pl.DataFrame:
    """Return person_id, attribute, sources: known values that differ.

    As `employment` stands there who is active as a person though every employment has
    ended. The end is what counts for access; the account may have been forgotten.
    """
    past = (pl.col("valid_to") <= now).fill_null(False)
    over = people.employments.group_by("person_id").agg(ended=past.all())
    ended = over.filter("ended")["person_id"]
    active = people.persons.filter(pl.col("status") == "active")["id"]
    told = (
        people.links.filter(
            pl.col("person_id").is_in(active.implode()) & pl.col("person_id").is_in(ended.implode())
        )
        .group_by("person_id")
        .agg(sources=pl.col("system").unique().sort().str.join(", "))
        .select("person_id", attribute=pl.lit("employment"), sources="sources")
    )
    return pl.concat([people.disagreements, told]).sort("person_id", "attribute")
