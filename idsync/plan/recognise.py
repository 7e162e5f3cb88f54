"""Who is who in a target: the person behind each key, and why some cannot be told."""

from __future__ import annotations

import polars as pl

from idsync.mapping.correlate import People

REFUSALS = pl.Schema({"person_id": pl.String(), "ref": pl.String(), "reason": pl.String()})


def recognise(
    people: People, links: pl.DataFrame, cardholders: pl.DataFrame, key: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return who is known under which key of a target, and who is not, and why.

    The first table is person, person_id, key, linked, exists; the second person,
    person_id, reason. `person` counts the rows of *people*, and after them those whom
    *links* name and no source knows any longer. *key* names the attribute that is the key.

    Whom a link ties to a key keeps it, whoever else claims it: a number that is given to
    somebody new must not hide what its former owner still holds.
    """
    keys = _with_keys(people, links, key)
    there = cardholders.filter(pl.col("key").is_not_null())
    there = there.select("key", "display_name")
    met = keys.with_columns(exists=pl.col("key").is_in(there["key"].unique().implode()))
    keys = met.with_columns(pl.col("exists").fill_null(False))
    strangers = _strangers(keys, there, people)
    keys = keys.with_columns(reason=_doubt(links, strangers, key))
    doubtful = pl.col("reason").is_not_null()
    return (
        keys.filter(~doubtful).select("person", "person_id", "key", "linked", "exists"),
        keys.filter(doubtful).select("person", "person_id", "reason"),
    )


def _with_keys(people: People, links: pl.DataFrame, key: str) -> pl.DataFrame:
    """person, person_id, key, linked of everybody, known to the sources or to the target only."""
    gone = links.join(people.persons, left_on="person_id", right_on="id", how="anti")
    departed = gone["person_id"].unique().sort()
    own = people.persons.select(person_id="id", wished=pl.col(key))
    everyone = pl.concat([own, departed.to_frame()], how="diagonal").with_row_index("person")
    tied = links
    if links["person_id"].is_duplicated().any():
        tied = links.sort("person_id", "key").unique("person_id", keep="first", maintain_order=True)
    return everyone.join(
        tied.select("person_id", tied="key"), on="person_id", how="left", maintain_order="left"
    ).select(
        "person",
        "person_id",
        key=pl.coalesce("tied", pl.when(pl.col("wished") != "").then("wished")),
        linked=pl.col("tied").is_not_null(),
    )


def _doubt(links: pl.DataFrame, strangers: pl.Series, name: str) -> pl.Expr:
    """Why a person's key cannot be trusted to be theirs; null where it can."""
    fresh = ~pl.col("linked")
    taken = pl.col("key").is_in(links["key"].unique().implode())
    shared = pl.struct("linked", "key").is_duplicated()
    return (
        pl.when(pl.col("key").is_null())
        .then(pl.lit(f"has no {name}: the system cannot know them"))
        .when(fresh & taken)
        .then(pl.lit(f"their {name} belonged to somebody else here: free it first"))
        .when(shared)
        .then(pl.lit(f"shares their {name} with somebody else"))
        .when(fresh & pl.col("exists") & pl.col("person").is_in(strangers.implode()))
        .then(pl.lit("the record with their key carries another name: look who it is"))
    )


def _strangers(keys: pl.DataFrame, there: pl.DataFrame, people: People) -> pl.Series:
    """Persons never met here whose record shows a name that shares no part with theirs.

    A name that nobody gave says nothing, on either side.
    """
    fresh = keys.filter(pl.col("exists") & ~pl.col("linked"))
    met = fresh.join(there.select("key", shown="display_name"), on="key")
    known = people.persons.join(met.select(id="person_id"), on="id", how="semi")
    names = known.select(
        person_id="id", given=_folded("given_name"), family=_folded("family_name"),
        alias=_folded(alias()),
    )  # fmt: skip
    both = met.with_columns(shown=_folded("shown")).join(names, on="person_id")
    both = both.filter((pl.col("shown") != "") & (pl.concat_str("given", "family") != ""))
    shares = pl.any_horizontal(
        (pl.col(part) != "") & pl.col("shown").str.contains(pl.col(part), literal=True)
        for part in ("given", "family", "alias")
    )
    return both.filter(~shares)["person"].unique()


def alias() -> pl.Expr:
    """The name under which a protected person is shown: a part of the id, from the column `id`."""
    return pl.concat_str(pl.lit("Person "), pl.col("id").str.head(8))


def _folded(name: str | pl.Expr) -> pl.Expr:
    column = pl.col(name) if isinstance(name, str) else name
    return column.fill_null("").str.normalize("NFC").str.to_lowercase().str.strip_chars()
