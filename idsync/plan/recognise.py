"""Who is who in a target: the person behind each key, and why some cannot be told."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from idsync.mapping.correlate import People
from idsync.mapping.protection import alias

REFUSALS = pl.Schema({"person_id": pl.String(), "ref": pl.String(), "reason": pl.String()})
NOT_ONE = pl.Series([False])


@dataclass(frozen=True, kw_only=True)
class Known:
    """Who is known under which key of a target, and who is not, and why.

    keys: person, person_id, key, linked, exists. unknown: person, person_id, reason.
    there: person, holder (row of the target's cardholders): the records of the known.
    `person` counts the rows of the people, and after them those whom links name and no
    source knows any longer; `count` is how many that are in all. Whom neither a link nor
    a record nor a wish ties to the target is in no table.
    """

    keys: pl.DataFrame
    unknown: pl.DataFrame
    there: pl.DataFrame
    count: int

    def mask(self, persons: pl.Series) -> pl.Series:
        """Return for every person whether it is among *persons*."""
        return mask(self.count, persons)


def mask(count: int, rows: pl.Series) -> pl.Series:
    """Return *count* Booleans, true in *rows*."""
    return NOT_ONE.new_from_index(0, count).scatter(rows, True)


def recognise(
    people: People, links: pl.DataFrame, cardholders: pl.DataFrame, key: str, wishing: pl.Series
) -> Known:
    """Return who is who. *key* names the attribute that is the key, *wishing* who wants in.

    Whom a link ties to a key keeps it, whoever else claims it: a number that is given to
    somebody new must not hide what its former owner still holds.
    """
    tied, count = _tied(people, links)
    claims = _claims(people, tied, key, count)
    records = cardholders.select("key").with_row_index("holder").filter(pl.col("key").is_not_null())
    there = records.join(claims.select("key", "person"), on="key").select("person", "holder")
    exists, wished = mask(count, there["person"]), mask(count, wishing)
    claims = claims.with_columns(exists=exists.gather(claims["person"]))
    sharing = _sharing(people, claims, key)
    concerned = wished.gather(claims["person"]) | claims["linked"] | claims["exists"]
    claims = claims.filter(concerned)
    strangers = _strangers(claims, there, cardholders, people)
    claims = claims.with_columns(reason=_doubt(claims, links, sharing, strangers, key))
    doubtful = claims["reason"].is_not_null()
    trusted = claims.filter(~doubtful)
    return Known(
        keys=trusted.select("person", "person_id", "key", "linked", "exists"),
        unknown=claims.filter(doubtful).select("person", "person_id", "reason"),
        there=there.filter(mask(count, trusted["person"]).gather(there["person"])),
        count=count,
    )


def _tied(people: People, links: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """person, person_id, key of whom links name, known to a source or not; and the count of all."""
    if links["person_id"].is_duplicated().any():
        links = links.sort("person_id", "key").unique("person_id", keep="first")
    rows = people.persons.select(person_id="id").with_row_index("person")
    met = links.join(rows, on="person_id", how="left")
    departed = met.filter(pl.col("person").is_null()).sort("person_id")
    numbers = pl.int_range(rows.height, rows.height + departed.height, dtype=pl.UInt32, eager=True)
    tied = pl.concat(
        [met.filter(pl.col("person").is_not_null()), departed.with_columns(person=numbers)]
    )
    return tied.select("person", "person_id", "key"), rows.height + departed.height


def _claims(people: People, tied: pl.DataFrame, key: str, count: int) -> pl.DataFrame:
    """person, person_id, key, linked: the key that is each person's by a link, or by wish."""
    free = ~mask(count, tied["person"]).head(people.persons.height)
    own = people.persons.select(person_id="id", key=pl.when(pl.col(key) != "").then(key))
    wishes = own.with_row_index("person").filter(free)
    return pl.concat(
        [tied.with_columns(linked=pl.lit(True)), wishes.with_columns(linked=pl.lit(False))]
    )


@lru_cache(maxsize=8)
def _given_twice(people: People, key: str) -> pl.Series:
    """The values of the attribute *key* that several persons have."""
    values = people.persons[key].drop_nulls()
    return values.filter(values.is_duplicated()).unique()


def _sharing(people: People, claims: pl.DataFrame, key: str) -> pl.Series:
    """Persons who claim a key that somebody else claims in the same way."""
    linked = claims.filter("linked")
    rivals = [linked.filter(pl.col("key").is_duplicated())["person"]]
    twice = _given_twice(people, key)
    if twice.len():
        wishing = claims.filter(~pl.col("linked") & pl.col("key").is_in(twice.implode()))
        rivals.append(wishing.filter(pl.col("key").is_duplicated())["person"])
    return pl.concat(rivals)


def _doubt(
    claims: pl.DataFrame, links: pl.DataFrame, sharing: pl.Series, strangers: pl.Series, name: str
) -> pl.Series:
    """Why a person's key cannot be trusted to be theirs; null where it can."""
    fresh = ~pl.col("linked")
    untied = claims.filter(fresh)["key"]
    taken = untied.filter(untied.is_in(links["key"].implode()))
    return claims.select(
        reason=pl.when(pl.col("key").is_null())
        .then(pl.lit(f"has no {name}: the system cannot know them"))
        .when(fresh & pl.col("key").is_in(taken.implode()))
        .then(pl.lit(f"their {name} belonged to somebody else here: free it first"))
        .when(pl.col("person").is_in(sharing.implode()))
        .then(pl.lit(f"shares their {name} with somebody else"))
        .when(fresh & pl.col("exists") & pl.col("person").is_in(strangers.implode()))
        .then(pl.lit("the record with their key carries another name: look who it is"))
    ).to_series()


def _strangers(
    claims: pl.DataFrame, there: pl.DataFrame, cardholders: pl.DataFrame, people: People
) -> pl.Series:
    """Persons never met here whose record shows a name that shares no part with theirs.

    A name that nobody gave says nothing, on either side.
    """
    fresh = claims.filter(pl.col("exists") & ~pl.col("linked")).select("person")
    if fresh.is_empty():
        return fresh["person"]
    met = there.join(fresh, on="person", how="semi")
    both = people.persons[met["person"]].select(
        given=_folded("given_name"), family=_folded("family_name"), alias=_folded(alias()),
    )  # fmt: skip
    shown = cardholders["display_name"].gather(met["holder"])
    both = both.with_columns(met["person"], shown.alias("shown")).with_columns(_folded("shown"))
    both = both.filter((pl.col("shown") != "") & (pl.concat_str("given", "family") != ""))
    shares = pl.any_horizontal(
        (pl.col(part) != "") & pl.col("shown").str.contains(pl.col(part), literal=True)
        for part in ("given", "family", "alias")
    )
    return both.filter(~shares)["person"].unique()


def _folded(name: str | pl.Expr) -> pl.Expr:
    column = pl.col(name) if isinstance(name, str) else name
    return column.fill_null("").str.normalize("NFC").str.to_lowercase().str.strip_chars()
