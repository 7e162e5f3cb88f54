"""What a target may show of a person: the released attributes, and of the protected an alias."""

from __future__ import annotations

from functools import lru_cache

import polars as pl

from idsync.mapping.correlate import People
from idsync.plan.items import ITEMS, items
from idsync.plan.recognise import alias


def attribute_items(
    target: str,
    names: list[str],
    people: People,
    cardholders: pl.DataFrame,
    holding: pl.DataFrame,
    *,
    display_name_length: int | None,
) -> pl.DataFrame:
    """Return the items that make the attributes *names* right for the people *holding*.

    An attribute that nobody knows is left as it is.
    """
    if not names or holding.is_empty():
        return pl.DataFrame(schema=ITEMS)
    said = holding.join(shown_attributes(people), on="person_id", maintain_order="left")
    there = cardholders.filter(pl.col("key").is_not_null()).select("key", *names)
    if there["key"].is_duplicated().any():
        there = there.sort("key", *names).unique("key", keep="first", maintain_order=True)
    held = said.join(there, on="key", how="left", suffix="_held", maintain_order="left")
    rows = []
    for name in names:
        value = pl.col(name)
        if name == "display_name" and display_name_length:
            value = value.str.head(display_name_length)
        now = pl.col(f"{name}_held")
        differs = value.is_not_null() & (value != now.fill_null(""))
        rows.append(
            held.filter(differs).select(
                "person_id", "key", ref=pl.lit(name), was=now.is_not_null(),
                value_before=now, value_after=value, creates=~pl.col("exists"),
            )
        )  # fmt: skip
    return items(
        pl.concat(rows), target=target, part="attribute", kind="", shall=True,
        effect="neutral", confirmed=False, because="",
    )  # fmt: skip


def protected(people: People) -> pl.Series:
    """Return the ids of those who are shown by an alias; an unknown mark protects too."""
    return people.persons.filter(_protected())["id"]


@lru_cache(maxsize=2)
def shown_attributes(people: People) -> pl.DataFrame:
    """person_id and the cardholder attributes as they may be shown; the protected by an alias."""
    latest = people.employments.sort("person_id", "primary", "valid_from", "id", nulls_last=False)
    units = latest.group_by("person_id", maintain_order=True).agg(unit=pl.col("unit").last())

    def plain(value: pl.Expr) -> pl.Expr:
        return pl.when(_protected()).then(pl.lit("")).otherwise(value)

    full = pl.concat_str("given_name", pl.lit(" "), "family_name")
    shown = pl.coalesce(pl.when(pl.col("display_name") != "").then("display_name"), full)
    return people.persons.join(
        units, left_on="id", right_on="person_id", how="left", maintain_order="left"
    ).select(
        person_id="id",
        display_name=pl.when(_protected()).then(alias()).otherwise(shown),
        given_name=plain(pl.col("given_name")),
        family_name=plain(pl.col("family_name")),
        mail=plain(pl.col("mail")),
        department=plain(pl.col("unit").str.split(" / ").list.first()),
    )


def _protected() -> pl.Expr:
    return pl.col("protection").fill_null("unknown") != "none"
