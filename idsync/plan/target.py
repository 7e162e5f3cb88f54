"""The changes of one target: what it should hold against what it holds. Pure, in columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import polars as pl

from idsync.capabilities import Capabilities
from idsync.mapping.correlate import People
from idsync.mapping.rules import Desired
from idsync.mapping.times import ALWAYS, NEVER, microseconds
from idsync.plan.attributes import attribute_items, protected, shown_attributes
from idsync.plan.because import with_reasons
from idsync.plan.difference import difference
from idsync.plan.holdings import Holdings
from idsync.plan.items import INSTANT, LEDGER, ORDER
from idsync.plan.recognise import REFUSALS, recognise
from idsync.plan.redating import RIGHT, beside_kept, beside_others, grant_items
from idsync.plan.states import Moves, state_items

__all__ = ["Orders", "Target", "TargetPlan", "plan_target", "shown_attributes"]

DIFFED = ("person", "kind", "ref", "begin", "end")
BLOCKED = "somebody else gave this right for another time: idsync leaves it as it is"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the planner must know of a target.

    key: the person attribute that is the correlation key there ("id": idsync's own).
    adopt: "matching" where grants found at first contact that equal the rules' become ours.
    contacted: whether idsync has taken stock of the target before.
    """

    name: str
    controller: str
    key: str
    release: tuple[str, ...]
    adopt: str
    contacted: bool
    capabilities: Capabilities


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Whose access is decided outside the rules.

    revoked: person_id, because: opens nothing, whatever the rules say.
    frozen: person ids that could not be told apart: neither widened nor removed.
    """

    revoked: pl.DataFrame
    frozen: pl.Series


@dataclass(frozen=True, kw_only=True)
class TargetPlan:
    """Everything that must change in one target.

    items: see ITEMS. refusals: person_id, ref, reason. adopt: rows of LEDGER to become
    ours without a write. links: key, person_id of the cardholders that were recognised.
    holders: person_id of everybody who holds a right in force there now. Counts:
    adoptable grants equal what the rules give, and local ones are others' and nobody's wish
    (of grants); unchanged people are as they should be.
    """

    target: Target
    items: pl.DataFrame
    refusals: pl.DataFrame
    adopt: pl.DataFrame
    links: pl.DataFrame
    holders: pl.DataFrame
    adoptable: int
    local: int
    unchanged: int


def plan_target(
    target: Target,
    desired: Desired,
    holdings: Holdings,
    *,
    ledger: pl.DataFrame,
    links: pl.DataFrame,
    orders: Orders,
    now: datetime,
    seed: int = 0,
) -> TargetPlan:
    """Return what must change in *target* so that it holds what is desired.

    *ledger* and *links* (key, person_id) are what idsync knows of this target. Nothing
    that idsync does not own is ever removed, and nothing that is unknown is decided.
    """
    stage = _Stage(target, desired, holdings, ledger, links, orders, now, seed)
    return stage.plan()


class _Stage:
    """One planning of one target; the steps share the tables made in the first of them."""

    def __init__(
        self,
        target: Target,
        desired: Desired,
        holdings: Holdings,
        ledger: pl.DataFrame,
        links: pl.DataFrame,
        orders: Orders,
        now: datetime,
        seed: int,
    ) -> None:
        self.target = target
        self.desired = desired
        self.people: People = desired.people
        self.holdings = holdings
        self.ledger = ledger
        self.orders = orders
        self.now = now
        self.instant = microseconds(now)
        self.seed = seed
        rights = desired.rights.filter(pl.col("target") == target.name)
        able = target.capabilities.alarm_rights | (pl.col("kind") != "alarm")
        self.rights = rights.filter(able).select("right", "kind", "ref")
        given = desired.grants_by_target.get(target.name)
        nothing = pl.DataFrame(
            schema={"person": pl.UInt32, "valid_from": pl.Int64, "valid_to": pl.Int64}
            | {"kind": pl.String, "ref": pl.String}
        )
        self.given = given.filter(able) if given is not None else nothing
        self.beyond = given.filter(~able) if given is not None else nothing
        self.keys, self.unknown = recognise(self.people, links, holdings.cardholders, target.key)
        self.revoked = self._rows_of(orders.revoked["person_id"])
        self.frozen = self._frozen_rows()

    def plan(self) -> TargetPlan:
        wanted, kept, actual = self._wanted(), self._kept(), self._actual()
        found = difference(wanted, actual, on=DIFFED, seed=self.seed)
        mine, others = self._owned(found.extra)
        grants, blocked = self._grants(found.missing, mine, others, kept)
        adopt, adoptable = self._adoption(actual, found.extra)
        recognised = self._recognised(wanted)
        managed = self._managed(grants, recognised)
        staying = pl.concat([others, found.extra.join(kept, on=RIGHT, how="semi")])
        states = self._states(wanted, kept, actual, staying, managed)
        attributes = self._attributes(wanted, managed)
        changed = pl.concat([grants, *states, attributes]).sort(*ORDER)
        wishing = wanted.select("person").unique().join(self.keys, on="person")["person_id"]
        untouched = ~wishing.is_in(changed["person_id"].unique().implode())
        return TargetPlan(
            target=self.target,
            items=with_reasons(changed, self.desired, self.orders.revoked, self.now),
            refusals=self._refusals(blocked),
            adopt=adopt,
            links=recognised,
            holders=self._holders(actual),
            adoptable=adoptable,
            local=others.height,
            unchanged=int(untouched.sum()),
        )

    def _rows_of(self, person_ids: pl.Series) -> pl.Series:
        return self.keys.filter(pl.col("person_id").is_in(person_ids.implode()))["person"]

    def _frozen_rows(self) -> pl.Series:
        """Nobody decides about the frozen; but a revocation is decided."""
        rows = self._rows_of(self.orders.frozen)
        return rows.filter(~rows.is_in(self.revoked.implode()))

    # ── both sides of the difference ────────────────────────────────────────────────────

    def _wanted(self) -> pl.DataFrame:
        """What the rules give here: person, kind, ref, begin, end, valid_from."""
        decided = pl.concat([self.revoked, self.frozen])
        able = self.keys.select("person").filter(~pl.col("person").is_in(decided.implode()))
        grants = self.given
        if decided.len() or self.unknown.height:
            grants = grants.join(able, on="person", how="semi")
        if not self.target.capabilities.dated_grants:
            grants = grants.filter(pl.col("valid_from") <= self.instant).with_columns(
                valid_from=pl.lit(ALWAYS), valid_to=pl.lit(NEVER)
            )
        return grants.select("person", "kind", "ref", *self._interval())

    def _kept(self) -> pl.DataFrame:
        """person, kind, ref that nobody can decide; of the revoked everything is decided."""
        kept = self.desired.kept.join(self.rights, on="right").select(RIGHT)
        return kept.filter(~pl.col("person").is_in(self.revoked.implode()))

    def _interval(self) -> list[pl.Expr]:
        """begin and end as compared, valid_from as written: a begin that has passed is no news."""
        begun = pl.col("valid_from") <= self.instant
        return [
            pl.when(~begun).then("valid_from").alias("begin"),
            pl.when(pl.col("valid_to") != NEVER).then("valid_to").alias("end"),
            pl.when(pl.col("valid_from") != ALWAYS).then("valid_from").alias("valid_from"),
        ]

    def _actual(self) -> pl.DataFrame:
        """Grants of recognised people, without those whom nobody can tell apart."""
        known = self.keys.filter(~pl.col("person").is_in(self.frozen.implode()))
        grants = self.holdings.grants.join(known.select("person", "key"), on="key", how="inner")
        times = grants.select(
            "person", "key", "kind", "ref", "reason",
            valid_from=pl.col("valid_from").to_physical().fill_null(ALWAYS),
            valid_to=pl.col("valid_to").to_physical().fill_null(NEVER),
        )  # fmt: skip
        return times.select("person", "key", "kind", "ref", "reason", *self._interval())

    def _in_force(self) -> pl.Expr:
        begun = pl.col("begin").is_null()
        return begun & (pl.col("end").is_null() | (pl.col("end") > self.instant))

    def _holders(self, actual: pl.DataFrame) -> pl.DataFrame:
        holding = actual.filter(self._in_force()).select("person").unique()
        return holding.join(self.keys, on="person").select("person_id")

    # ── ownership ───────────────────────────────────────────────────────────────────────

    def _owned(self, extra: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Split rows that nobody wants into idsync's own and others'."""
        ours = self.ledger.filter(pl.col("kind") != "block").select(
            "key", "kind", "ref",
            valid_from=pl.col("valid_from").to_physical(),
            end=pl.col("valid_to").to_physical(),
        )  # fmt: skip
        identity = ["key", "kind", "ref", "valid_from", "end"]
        ours = ours.join(extra.select("key").unique(), on="key", how="semi")
        mine = extra.join(ours, on=identity, how="semi", nulls_equal=True)
        others = extra.join(ours, on=identity, how="anti", nulls_equal=True)
        return mine, others

    def _adoption(self, actual: pl.DataFrame, extra: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """At first contact: grants that equal what the rules give, and how many they are."""
        nothing = pl.DataFrame(schema=LEDGER)
        if self.target.contacted:
            return nothing, 0
        matched = actual.join(extra, on=DIFFED, how="anti", nulls_equal=True)
        # what a local administrator says to have given stays theirs
        matched = matched.filter(pl.col("reason").fill_null("") != "manual")
        matched = matched.join(self.keys.select("person", "person_id"), on="person")
        ours = self.ledger.select("key", "kind", "ref")
        matched = matched.join(ours, on=["key", "kind", "ref"], how="anti")
        if self.target.adopt != "matching":
            return nothing, matched.height
        rows = matched.select(
            pl.lit(self.target.name).alias("target"), "key", "kind", "ref",
            valid_from=pl.col("valid_from").cast(INSTANT), valid_to=pl.col("end").cast(INSTANT),
            person_id="person_id", because=pl.lit("adopted: equal to what the rules give"),
        )  # fmt: skip
        rows = rows.unique().sort("key", "kind", "ref", "valid_from", "valid_to")
        return rows.select(*LEDGER), rows.height

    def _managed(self, grants: pl.DataFrame, recognised: pl.DataFrame) -> pl.DataFrame:
        """Cardholders that are idsync's to keep right: linked, or written by this very plan."""
        touched = pl.concat([grants["key"], recognised["key"]]).unique()
        revoked = pl.col("exists") & pl.col("person").is_in(self.revoked.implode())
        mine = pl.col("linked") | pl.col("key").is_in(touched.implode()) | revoked
        return self.keys.filter(mine)

    def _recognised(self, wanted: pl.DataFrame) -> pl.DataFrame:
        there = self.keys.filter(pl.col("exists") & ~pl.col("linked"))
        there = there.join(wanted.select("person").unique(), on="person", how="semi")
        return there.select("key", "person_id").sort("key")

    # ── what changes ────────────────────────────────────────────────────────────────────

    def _grants(
        self, missing: pl.DataFrame, mine: pl.DataFrame, others: pl.DataFrame, kept: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the items of grants, and the rights that others stand in the way of."""
        one = self.target.capabilities.grants_per_right == "one"
        instant = self.instant
        missing, blocked = beside_others(missing, others, instant=instant, one_per_right=one)
        missing, mine = beside_kept(missing, mine, kept, instant=instant)
        rows = grant_items(
            self.target.name, missing, mine, self.keys, revoked=self.revoked, instant=instant
        )
        return rows, blocked

    def _refusals(self, blocked: pl.DataFrame) -> pl.DataFrame:
        """person_id, ref, reason: who should get something here and does not."""
        wishing = pl.col("person").is_in(self.given["person"].implode())
        people = self.unknown.filter(wishing).with_columns(ref=pl.lit(""))
        rights = blocked.join(self.keys, on="person").with_columns(reason=pl.lit(BLOCKED))
        beyond = self.beyond.join(self.keys, on="person")
        beyond = beyond.with_columns(reason=pl.lit("this system holds no alarm rights"))
        parts = [people, rights, beyond]
        told = pl.concat([part.select(*REFUSALS) for part in parts])
        return told.unique().sort("person_id", "ref")

    def _states(
        self,
        wanted: pl.DataFrame,
        kept: pl.DataFrame,
        actual: pl.DataFrame,
        staying: pl.DataFrame,
        managed: pl.DataFrame,
    ) -> list[pl.DataFrame]:
        revoked = pl.col("person").is_in(self.revoked.implode())
        wishing = pl.col("person").is_in(wanted["person"].unique().implode())
        theirs = staying.filter(self._in_force())["person"]
        stays = pl.concat(
            [self._employed(), wanted["person"], kept["person"], self.frozen, theirs]
        ).unique()
        leaves = managed.filter(~pl.col("person").is_in(stays.implode()))
        moves = Moves(
            leaving=pl.concat([leaves, self.keys.filter(revoked)]).unique("person"),
            coming=managed.filter(wishing & ~revoked),
            opening=actual.filter(self._in_force())["person"].unique(),
            confirmed=self.revoked,
        )
        return state_items(
            self.target.name, self.holdings, self.ledger, moves,
            credentials=self.target.capabilities.credentials == "write",
        )  # fmt: skip

    def _employed(self) -> pl.Series:
        """Persons who have an employment now or soon."""
        return employed(self.people, self.now)

    def _attributes(self, wanted: pl.DataFrame, managed: pl.DataFrame) -> pl.DataFrame:
        """Released attributes that differ, for those who hold or shall hold something here.

        Of protected people also for those who hold nothing any longer: their names go.
        """
        wishing = pl.col("person").is_in(wanted["person"].unique().implode())
        hidden = pl.col("exists") & pl.col("person_id").is_in(protected(self.people).implode())
        undecided = pl.col("person").is_in(self.frozen.implode())
        capabilities = self.target.capabilities
        return attribute_items(
            self.target.name,
            [name for name in self.target.release if name in capabilities.attributes],
            self.people,
            self.holdings.cardholders,
            managed.filter((wishing | hidden) & ~undecided),
            display_name_length=capabilities.lengths.get("display_name"),
        )


@lru_cache(maxsize=2)
def employed(people: People, now: datetime) -> pl.Series:
    """Return the rows of the persons who have an employment that is not over."""
    until = people.employments["valid_to"]
    current = people.employments.filter(until.is_null() | (until > now))
    here = pl.col("id").is_in(current["person_id"].unique().implode())
    return people.persons.with_row_index("person").filter(here)["person"]
