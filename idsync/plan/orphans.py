"""What one target holds that no current person and no basis explains. Pure, in columns."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from idsync.mapping.correlate import People
from idsync.mapping.rules import Desired
from idsync.plan.because import local_day
from idsync.plan.holdings import Holdings

CLASSES = (
    "shared card number",
    "no holder",
    "holder unknown",
    "holder has left",
    "basis ended",
)
"""The classes; a row that fits several belongs to the first."""

ORPHANS = pl.Schema(
    {
        "target": pl.String(),
        "cls": pl.String(),
        "what": pl.String(),  # credential, grant
        "ref": pl.String(),  # the credential's number, or the right
        "kind": pl.String(),  # of a grant: access, alarm; of a credential: its medium
        "key": pl.String(),
        "native_id": pl.String(),
        "person_id": pl.String(),
        "department": pl.String(),
        "detail": pl.String(),
        "valid_to": pl.Datetime("us", "UTC"),
    }
)

HOLDER = ["key", "native_id"]


def find_orphans(
    target: str,
    holdings: Holdings,
    *,
    people: People,
    links: pl.DataFrame,
    key: str,
    ledger: pl.DataFrame,
    desired: Desired,
    now: datetime,
) -> pl.DataFrame:
    """Return the active credentials and grants in force that nothing explains: see ORPHANS.

    *links* (key, person_id) are the owners idsync knows in this target, and go before the
    person attribute *key*; *ledger* is of this target. A suspended cardholder opens
    nothing and is left out, and so is whoever cannot be told apart now, and what nobody
    can decide. A grant that the target explains as given by hand is no orphan, unless
    the person behind it is known and stays: then the rules do not speak of it either.
    """
    persons = _persons(people, desired, now)
    holders = _holders(holdings, _owners(people, links, key), persons)
    rows = pl.concat(
        [_credentials(holdings, holders), _grants(holdings, holders, ledger, desired, now)]
    )
    classified = rows.with_columns(cls=_class()).filter(pl.col("cls").is_not_null())
    return (
        classified.with_columns(target=pl.lit(target), detail=_detail(key))
        .select(*ORPHANS)
        .cast(ORPHANS)
        .unique()
        .sort(*ORPHANS)
    )


# ── who stands behind a record ──────────────────────────────────────────────────────────


def _persons(people: People, desired: Desired, now: datetime) -> pl.DataFrame:
    """person_id, unsure, stays, last_day, unit, shielded for everyone the sources know."""
    open_ = pl.col("valid_to").is_null() | (pl.col("valid_to") > now)
    by_age = people.employments.sort(
        open_, pl.col("valid_to").is_null(), "valid_to", "valid_from", "id", nulls_last=False
    )
    known_unit = pl.col("unit").filter(pl.col("unit").fill_null("") != "")
    employed = by_age.group_by("person_id", maintain_order=True).agg(
        stays=open_.any(), last=pl.col("valid_to").max(), unit=known_unit.last()
    )
    employed = employed.with_columns(last_day=local_day(employed["last"], desired.zone.key))
    unsure = people.set_aside["person_id"].drop_nulls().unique()
    return people.persons.select(
        person_id="id", shielded=pl.col("protection").fill_null("") != "none"
    ).join(employed.drop("last"), on="person_id", how="full", coalesce=True).join(
        unsure.to_frame().with_columns(unsure=pl.lit(True)),
        on="person_id", how="full", coalesce=True,
    )  # fmt: skip


def _owners(people: People, links: pl.DataFrame, key: str) -> pl.DataFrame:
    """key, person_id, shared: who a correlation key belongs to; a link stands before a number."""
    linked = links.select("key", "person_id").unique()
    wished = people.persons.select(key=pl.col(key), person_id="id").filter(
        pl.col("key").fill_null("") != ""
    )
    claims = pl.concat([linked, wished.join(linked, on="key", how="anti")])
    return claims.group_by("key").agg(
        person_id=pl.col("person_id").min(), shared=pl.col("person_id").n_unique() > 1
    )


def _holders(holdings: Holdings, owners: pl.DataFrame, persons: pl.DataFrame) -> pl.DataFrame:
    """Every record of the target that is not suspended, with what is known of its person."""
    suspended = pl.col("status").fill_null("active") == "suspended"
    one_name = pl.col("department").n_unique() == 1  # loose tags all share one empty identity
    records = holdings.cardholders.group_by(HOLDER).agg(
        suspended=suspended.all(),
        there=pl.when(one_name).then(pl.col("department").first()),
    )
    found = records.filter(~pl.col("suspended")).join(owners, on="key", how="left")
    found = found.join(persons, on="person_id", how="left")
    part = pl.col("unit").str.split(" / ").list.first()
    department = pl.when(pl.col("shielded").fill_null(False)).then(pl.lit(""))
    # two people on one key: each of them may be the holder, so nothing is said of either
    unsure = pl.col("unsure").fill_null(False) | pl.col("shared").fill_null(False)
    return found.select(
        *HOLDER,
        "person_id",
        "last_day",
        loose=pl.col("key").is_null() & (pl.col("native_id").fill_null("") == ""),
        stays=pl.col("stays").fill_null(False),
        unsure=unsure,
        department=department.otherwise(pl.coalesce(part, "there", pl.lit(""))),
    )


# ── what they hold ──────────────────────────────────────────────────────────────────────


def _credentials(holdings: Holdings, holders: pl.DataFrame) -> pl.DataFrame:
    active = holdings.credentials.filter(pl.col("state") == "active").join(
        holders, on=HOLDER, how="inner", nulls_equal=True
    )
    holder = pl.when(~pl.col("loose")).then(pl.struct(
        person=pl.col("person_id"),
        record=pl.when(pl.col("person_id").is_null()).then(pl.struct("key", "native_id")),
    ))  # fmt: skip
    sharing = holder.drop_nulls().n_unique().over("number")
    return active.select(
        pl.lit("credential").alias("what"), *_shown(holders), ref="number", kind="medium",
        sharing=sharing, valid_to=pl.lit(None, ORPHANS["valid_to"]),
        by_hand=pl.lit(False), unexplained=pl.lit(False),
    )  # fmt: skip


def _grants(
    holdings: Holdings,
    holders: pl.DataFrame,
    ledger: pl.DataFrame,
    desired: Desired,
    now: datetime,
) -> pl.DataFrame:
    begun = pl.col("valid_from").is_null() | (pl.col("valid_from") <= now)
    runs = pl.col("valid_to").is_null() | (pl.col("valid_to") > now)
    in_force = holdings.grants.filter(begun & runs)
    identity = ["key", "kind", "ref", "valid_from", "valid_to"]
    ours = ledger.filter(pl.col("kind") != "block").select(identity).unique()
    ours = ours.with_columns(ours=pl.lit(True))
    held = in_force.join(holders, on=HOLDER, how="inner", nulls_equal=True)
    held = held.join(ours, on=identity, how="left", nulls_equal=True)
    return held.select(
        pl.lit("grant").alias("what"), *_shown(holders), "ref", "kind",
        sharing=pl.lit(0, pl.UInt32), valid_to="valid_to",
        by_hand=pl.col("reason").fill_null("") == "manual", ours=pl.col("ours").fill_null(False),
    )  # fmt: skip
