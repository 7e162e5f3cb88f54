"""What one target holds that no current person and no basis explains. Pure, in columns."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from idsync.mapping.correlate import People
from idsync.mapping.protection import is_protected
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
IDENTITY = ["key", "kind", "ref", "valid_from", "valid_to"]
CARRIED = (
    *HOLDER,
    "person_id",
    "listed_person",
    "last_day",
    "loose",
    "stays",
    "unsure",
    "department",
)
ROWS = (*CARRIED, "what", "ref", "kind", "sharing", "valid_to", "by_hand", "unexplained")


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
    nothing and is left out, and a grant given by hand is explained by who gave it. Of
    whoever cannot be told apart now nothing is said to have ended.
    """
    persons = _persons(people, desired, now)
    holders = _holders(holdings, _owners(people, links, key), persons)
    rows = pl.concat(
        [_credentials(holdings, holders), _grants(target, holdings, holders, ledger, desired, now)]
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
    """person_id, listed_person, shielded, stays, last_day, unit, unsure: what the sources know."""
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
        person_id="id", listed_person=pl.lit(True), shielded=is_protected()
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
        "listed_person",
        "last_day",
        # one person with two records is one holder; without a person a record stands for itself
        holder=pl.coalesce(
            "person_id",
            pl.concat_str(pl.lit("\x00"), _text("key"), pl.lit("\x00"), _text("native_id")),
        ),
        loose=(_text("key") == "") & (_text("native_id") == ""),
        stays=pl.col("stays").fill_null(False),
        unsure=unsure,
        department=department.otherwise(pl.coalesce(part, "there", pl.lit(""))),
    )


def _text(name: str) -> pl.Expr:
    return pl.col(name).fill_null("")


# ── what they hold ──────────────────────────────────────────────────────────────────────


def _credentials(holdings: Holdings, holders: pl.DataFrame) -> pl.DataFrame:
    active = (
        holdings.credentials.drop("holder")
        .filter(pl.col("state") == "active")
        .join(holders, on=HOLDER, how="inner", nulls_equal=True)
    )
    sharing = (
        active.filter(~pl.col("loose"))
        .group_by("number")
        .agg(sharing=pl.col("holder").n_unique().cast(pl.UInt32))
    )
    return active.join(sharing, on="number", how="left").select(
        *CARRIED,
        what=pl.lit("credential"), ref="number", kind="medium",
        sharing=pl.col("sharing").fill_null(0), valid_to=pl.lit(None, ORPHANS["valid_to"]),
        by_hand=pl.lit(False), unexplained=pl.lit(False),
    ).select(ROWS)  # fmt: skip


def _grants(
    target: str,
    holdings: Holdings,
    holders: pl.DataFrame,
    ledger: pl.DataFrame,
    desired: Desired,
    now: datetime,
) -> pl.DataFrame:
    begun = pl.col("valid_from").is_null() | (pl.col("valid_from") <= now)
    runs = pl.col("valid_to").is_null() | (pl.col("valid_to") > now)
    in_force = holdings.grants.filter(begun & runs).join(
        holders, on=HOLDER, how="inner", nulls_equal=True
    )
    ours = ledger.filter(pl.col("kind") != "block").select(IDENTITY).unique()
    held = in_force.join(
        ours.with_columns(ours=pl.lit(True)), on=IDENTITY, how="left", nulls_equal=True
    )
    known = desired.rights.filter(pl.col("target") == target)
    held = held.join(
        known.select("kind", "ref", listed=pl.lit(True)), on=["kind", "ref"], how="left"
    ).join(_decided(desired, known), on=["person_id", "kind", "ref"], how="left")
    unexplained = pl.col("listed") & pl.col("ours").is_null() & pl.col("decided").is_null()
    return held.select(
        *CARRIED, "ref", "kind", "valid_to",
        what=pl.lit("grant"), sharing=pl.lit(0, pl.UInt32),
        by_hand=pl.col("reason").fill_null("") == "manual",
        unexplained=unexplained.fill_null(False),
    ).select(ROWS)  # fmt: skip


def _decided(desired: Desired, rights: pl.DataFrame) -> pl.DataFrame:
    """person_id, kind, ref, decided: what the rules give, or cannot tell and so leave alone."""
    pairs = pl.concat(
        [desired.grants.select("person", "right"), desired.kept.select("person", "right")]
    )
    persons = desired.people.persons.select(person_id="id").with_row_index("person")
    return (
        pairs.unique()
        .join(rights, on="right")
        .join(persons, on="person")
        .select("person_id", "kind", "ref", decided=pl.lit(True))
    )


# ── which class, and why ────────────────────────────────────────────────────────────────


def _class() -> pl.Expr:
    explained = pl.col("by_hand")
    known = pl.col("person_id").is_not_null()
    left = known & ~pl.col("stays") & ~pl.col("unsure")
    ended = known & pl.col("stays") & ~pl.col("unsure") & pl.col("unexplained")
    return (
        pl.when(pl.col("sharing") > 1)
        .then(pl.lit("shared card number"))
        .when(pl.col("loose") & (pl.col("what") == "credential"))
        .then(pl.lit("no holder"))
        .when(explained)
        .then(None)
        .when(~known & ~pl.col("loose"))
        .then(pl.lit("holder unknown"))
        .when(left)
        .then(pl.lit("holder has left"))
        .when(ended)
        .then(pl.lit("basis ended"))
    )


def _detail(key: str) -> pl.Expr:
    return (
        pl.when(pl.col("cls") == "shared card number")
        .then(pl.format("active on {} holders", "sharing"))
        .when(pl.col("cls") == "no holder")
        .then(pl.lit("active, and nobody holds it"))
        .when((pl.col("cls") == "holder unknown") & (pl.col("key").fill_null("") == ""))
        .then(pl.lit(f"the record carries no {key}"))
        .when(pl.col("cls") == "holder unknown")
        .then(pl.lit(f"nobody in the sources has the {key} of the record"))
        .when(pl.col("cls") == "basis ended")
        .then(pl.lit("no rule gives this right to this person"))
        .when(pl.col("last_day").is_not_null())
        .then(pl.format("last employment ended {}", "last_day"))
        .when(pl.col("listed_person").fill_null(False))
        .then(pl.lit("has no employment"))
        .otherwise(pl.lit("no source knows this person any longer"))
    )
