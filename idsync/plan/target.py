"""The changes of one target: what it should hold against what it holds. Pure, in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from itertools import accumulate

import polars as pl

from idsync.mapping.correlate import People
from idsync.mapping.rules import Desired
from idsync.mapping.times import ALWAYS, NEVER, microseconds
from idsync.plan.attributes import (
    attribute_changes,
    first_records,
    protected,
    released,
)
from idsync.plan.because import with_reasons
from idsync.plan.difference import difference
from idsync.plan.given import Orders, Target, TargetPlan
from idsync.plan.holdings import Holdings
from idsync.plan.items import INSTANT, ITEMS, LEDGER, ORDER, items
from idsync.plan.recognise import REFUSALS, recognise
from idsync.plan.redating import RIGHT, beside_kept, beside_others, grant_items
from idsync.plan.states import Moves, state_items
from idsync.plan.wanting import interval, wanted_in

DIFFED = ("person", "right", "begin", "end")
BLOCKED = "somebody else gave this right for another time: idsync leaves it as it is"


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
    Why an item is there is told by `reasoned`.
    """
    stage = _Stage(target, desired, holdings, ledger, links, orders, now, seed)
    return stage.plan()


def reasoned(
    plans: Sequence[TargetPlan], desired: Desired, orders: Orders, now: datetime
) -> list[TargetPlan]:
    """Return *plans* with every item's `because` filled in: once for all of them."""
    if not plans:
        return []
    told = with_reasons(pl.concat(plan.items for plan in plans), desired, orders.revoked, now)
    starts = accumulate((plan.items.height for plan in plans), initial=0)
    return [
        replace(plan, items=told.slice(start, plan.items.height))
        for plan, start in zip(plans, starts, strict=False)
    ]


class _Stage:
    """One planning of one target; the steps share the tables made in the first of them.

    The tables of everybody hold numbers only: rows of persons, rights and cardholders.
    Names come to the few rows that change.
    """

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
        self.rights, self.held_right = _rights(desired, target.name, holdings.rights)
        given = desired.given_in(target.name)
        unable = self.rights.filter(~pl.col("kind").is_in(target.capabilities.kinds))["right"]
        beyond = pl.col("right").is_in(unable.implode())
        self.beyond = given.filter(beyond) if unable.len() else given.clear()
        self.given = given.filter(~beyond) if unable.len() else given
        self.took_something = (ledger["kind"] == "block").any()
        self.known = recognise(
            self.people, links, holdings.cardholders, target.key, given["person"].unique()
        )
        self.keys = self.known.keys
        self.revoked = self._rows_of(orders.revoked["person_id"])
        self.frozen = self._frozen_rows()

    def plan(self) -> TargetPlan:
        wanting = wanted_in(
            self.target, self.desired, self.given, self.known, self.holdings,
            able=self._able(), instant=self.instant,
        )  # fmt: skip
        wanted, kept, actual = wanting.grants, self._kept(wanting.kept), self._actual()
        found = difference(wanted, actual, on=DIFFED, seed=self.seed)
        missing, extra = self._named(found.missing), self._named(found.extra)
        mine, others = self._owned(extra)
        grants, blocked = self._grants(missing, mine, others, kept)
        adopt, adoptable = self._adoption(actual, found.extra)
        wishing = self.known.mask(wanted["person"])
        recognised = self._recognised(wishing)
        managed = self._managed(grants, recognised)
        staying = pl.concat([others, extra.join(kept, on=RIGHT, how="semi").select(others.columns)])
        states = self._states(wishing, kept, actual, staying, managed)
        attributes, unheld = self._attributes(wishing, managed)
        again = self._again(managed)
        changed = pl.concat([grants, *states, attributes, again]).sort(*ORDER)
        wished = self.keys.filter(wishing.gather(self.keys["person"]))["person_id"]
        return TargetPlan(
            target=self.target,
            items=changed,
            refusals=self._refusals(blocked, wanting.refused, unheld),
            due=self._due(wanting.due),
            adopt=adopt,
            links=recognised,
            holders=self._holders(actual),
            adoptable=adoptable,
            local=others.height,
            unchanged=wished.len() - changed.select("person_id").unique().join(
                wished.to_frame(), on="person_id", how="semi"
            ).height,
        )  # fmt: skip

    def _rows_of(self, person_ids: pl.Series) -> pl.Series:
        if person_ids.is_empty():
            return self.keys["person"].clear()
        return self.keys.filter(pl.col("person_id").is_in(person_ids.implode()))["person"]

    def _frozen_rows(self) -> pl.Series:
        """Nobody decides about the frozen; but a revocation is decided."""
        rows = self._rows_of(self.orders.frozen)
        return rows.filter(~rows.is_in(self.revoked.implode()))

    def _named(self, grants: pl.DataFrame) -> pl.DataFrame:
        """The few rows that differ, with the key of the record, and kind and ref of the right."""
        named = grants.join(self.rights, on="right", maintain_order="left")
        if "holder" in grants.columns:
            key = self.holdings.cardholders["key"].gather(named["holder"])
            named = named.with_columns(key)
        return named

    # ── both sides of the difference ────────────────────────────────────────────────────

    def _able(self) -> pl.Series:
        """By person whether their wishes count: known here, not revoked, not in doubt."""
        able = self.known.mask(self.keys["person"])
        return able & ~self.known.mask(self.revoked) & ~self.known.mask(self.frozen)

    def _kept(self, unfit: pl.DataFrame) -> pl.DataFrame:
        """person, kind, ref that nobody can decide; of the revoked everything is decided."""
        kept = pl.concat([self.desired.kept, unfit]).join(self.rights, on="right").select(RIGHT)
        return kept.filter(~pl.col("person").is_in(self.revoked.implode()))

    def _actual(self) -> pl.DataFrame:
        """Grants of recognised people, without those whom nobody can tell apart.

        row (of the holdings' `held`), person, holder, right, begin, end, valid_from.
        """
        there, held = self.known.there, self.holdings.held
        decided = there.filter(~self.known.mask(self.frozen).gather(there["person"]))
        nobody = pl.repeat(None, self.holdings.cardholders.height, dtype=pl.UInt32, eager=True)
        owner = nobody.scatter(decided["holder"], decided["person"])
        grants = held.select(
            "holder",
            owner.gather(held["holder"]).alias("person"),
            self.held_right.gather(held["right"]).alias("right"),
            valid_from=pl.col("valid_from").to_physical().fill_null(ALWAYS),
            valid_to=pl.col("valid_to").to_physical().fill_null(NEVER),
        ).with_row_index("row")
        if grants["person"].null_count():
            grants = grants.filter(pl.col("person").is_not_null())
        return grants.select("row", "person", "holder", "right", *interval(self.instant))

    def _in_force(self) -> pl.Expr:
        begun = pl.col("begin").is_null()
        return begun & (pl.col("end").is_null() | (pl.col("end") > self.instant))

    def _holders(self, actual: pl.DataFrame) -> pl.DataFrame:
        holding = self.known.mask(actual.filter(self._in_force())["person"])
        return self.keys.filter(holding.gather(self.keys["person"])).select("person_id")

    # ── ownership ───────────────────────────────────────────────────────────────────────

    def _owned(self, extra: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Split rows that nobody wants into idsync's own and others'; what hands gave is theirs."""
        row = extra["row"]
        extra = extra.select("person", "key", "kind", "ref", "begin", "end", "valid_from")
        if extra.is_empty():
            return extra, extra
        reason = self.holdings.held["reason"].gather(row).fill_null("")
        ours = self.ledger.filter(
            pl.col("key").is_in(extra["key"].unique().implode()) & (pl.col("kind") != "block")
        ).select(
            "key",
            pl.col("kind", "ref").cast(pl.String),
            valid_from=pl.col("valid_from").to_physical(),
            end=pl.col("valid_to").to_physical(),
        )  # fmt: skip
        identity = ["key", "kind", "ref", "valid_from", "end"]
        by_hand = extra.filter(reason == "manual")
        extra = extra.filter(reason != "manual")
        mine = extra.join(ours, on=identity, how="semi", nulls_equal=True)
        others = extra.join(ours, on=identity, how="anti", nulls_equal=True)
        return mine, pl.concat([others, by_hand])

    def _adoption(self, actual: pl.DataFrame, extra: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """At first contact: grants that equal what the rules give, and how many they are."""
        nothing = pl.DataFrame(schema=LEDGER)
        if self.target.contacted:
            return nothing, 0
        matched = actual.join(extra, on="row", how="anti")
        reason = self.holdings.held["reason"].gather(matched["row"])
        # what a local administrator says to have given stays theirs
        matched = self._named(matched.filter(reason.fill_null("") != "manual"))
        matched = matched.join(self.keys.select("person", "person_id"), on="person")
        ours = self.ledger.select("key", pl.col("kind", "ref").cast(pl.String))
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
        fresh = self.keys.filter(~pl.col("linked"))
        mine = pl.col("key").is_in(touched.implode()) | revoked
        return pl.concat([self.keys.filter("linked"), fresh.filter(mine)])

    def _recognised(self, wishing: pl.Series) -> pl.DataFrame:
        there = self.keys.filter(pl.col("exists") & ~pl.col("linked"))
        there = there.filter(wishing.gather(there["person"]))
        return there.select("key", "person_id").sort("key")

    # ── what changes ────────────────────────────────────────────────────────────────────

    def _grants(
        self, missing: pl.DataFrame, mine: pl.DataFrame, others: pl.DataFrame, kept: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the items of grants, and the rights that others stand in the way of."""
        one = self.target.capabilities.grants_per_right == "one"
        instant = self.instant
        missing = missing.select("person", "kind", "ref", "begin", "end", "valid_from")
        missing, blocked = beside_others(missing, others, instant=instant, one_per_right=one)
        missing, mine = beside_kept(missing, mine, kept, instant=instant)
        rows = grant_items(
            self.target.name, missing, mine, self.keys, revoked=self.revoked, instant=instant
        )
        return rows, blocked

    def _due(self, due: pl.DataFrame) -> pl.DataFrame:
        """at, person_id, kind, ref, action: what the system cannot do by itself on the day."""
        named = due.join(self.rights, on="right").join(self.keys, on="person")
        return named.select(pl.col("at").cast(INSTANT), "person_id", "kind", "ref", "action").sort(
            "at", "person_id", "kind", "ref"
        )

    def _again(self, managed: pl.DataFrame) -> pl.DataFrame:
        """Items that send again what does not hold as the system shows it."""
        amiss = self.holdings.cardholders.select(because="amiss").with_row_index("holder")
        amiss = amiss.filter(pl.col("because") != "")
        if amiss.is_empty():
            return pl.DataFrame(schema=ITEMS)
        frozen = self.known.mask(self.frozen).gather(managed["person"])
        rows = self._records(managed.filter(~frozen)).join(amiss, on="holder")
        rows = rows.sort("key", "because").unique("key", keep="first")
        revoked = self.known.mask(self.revoked).gather(rows["person"])
        return items(
            rows.select("person_id", "key", "because", confirmed=revoked),
            target=self.target.name, part="again", kind="", ref="again", was=True, shall=True,
            effect="neutral", creates=False,
        )  # fmt: skip

    def _refusals(
        self, blocked: pl.DataFrame, refused: pl.DataFrame, unheld: pl.DataFrame
    ) -> pl.DataFrame:
        """person_id, ref, reason: who should get something here and does not."""
        wishing = self.known.mask(self.given["person"])
        unknown = self.known.unknown.with_columns(ref=pl.lit(""))
        people = unknown.filter(wishing.gather(unknown["person"]))
        rights = blocked.join(self.keys, on="person").with_columns(reason=pl.lit(BLOCKED))
        wished = self.beyond.filter(self._able().gather(self.beyond["person"]))
        beyond = self._named(wished).join(self.keys, on="person")
        beyond = beyond.with_columns(
            reason=pl.concat_str(pl.lit("this system holds no "), "kind", pl.lit(" rights"))
        )
        unfit = refused.join(self.keys, on="person")
        parts = [people, rights, beyond, unfit, unheld]
        told = pl.concat([part.select(*REFUSALS) for part in parts])
        return told.unique().sort("person_id", "ref")

    def _states(
        self,
        wishing: pl.Series,
        kept: pl.DataFrame,
        actual: pl.DataFrame,
        staying: pl.DataFrame,
        managed: pl.DataFrame,
    ) -> list[pl.DataFrame]:
        theirs = staying.filter(self._in_force())["person"]
        stays = wishing
        for persons in (employed(self.people, self.now), kept["person"], self.frozen, theirs):
            stays = stays | self.known.mask(persons)
        revoked = self.known.mask(self.revoked)
        leaves = managed.filter(~stays.gather(managed["person"]))
        ordered = self.keys.filter(revoked.gather(self.keys["person"]))
        coming = managed.filter((wishing & ~revoked).gather(managed["person"]))
        moves = Moves(
            leaving=self._records(pl.concat([leaves, ordered]).unique("person")),
            coming=self._records(coming) if self.took_something else coming.clear(),
            opening=actual.filter(self._in_force())["person"],
            confirmed=self.revoked,
        )
        return state_items(
            self.target.name, self.holdings, self.ledger, moves,
            credentials=self.target.capabilities.credentials == "write",
        )  # fmt: skip

    def _records(self, keys: pl.DataFrame) -> pl.DataFrame:
        """holder, person, person_id, key of the records of the people in *keys*."""
        chosen = keys.select("person", "person_id", "key")
        return self.known.there.join(chosen, on="person")

    def _attributes(
        self, wishing: pl.Series, managed: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Released attributes that differ, for those who hold or shall hold something here.

        Of protected people also for those who hold nothing any longer: their names go. And
        person_id, ref, reason of the values that the system cannot hold.
        """
        names = released(self.target)
        hidden = self.known.mask(protected(self.people)).gather(managed["person"])
        holding = managed.filter(
            (wishing.gather(managed["person"]) | (hidden & managed["exists"]))
            & ~self.known.mask(self.frozen).gather(managed["person"])
        )
        records = first_records(self.known.there, self.holdings.cardholders, names)
        concerned = holding.join(records, on="person", how="left")
        return attribute_changes(self.target, self.people, self.holdings.cardholders, concerned)


def _rights(desired: Desired, target: str, held: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """right, kind, ref of all rights that are given or held here; and the right of each held."""
    spelled = desired.rights.filter(pl.col("target") == target).select("right", "kind", "ref")
    first = desired.rights.height
    met = held.with_row_index("row").join(
        spelled, on=["kind", "ref"], how="left", maintain_order="left"
    )
    local = met["right"].is_null()
    numbers = met.select(
        pl.when(pl.col("right").is_null())
        .then(pl.col("row") + first)
        .otherwise("right")
        .cast(pl.UInt32)
        .alias("right")
    )["right"]
    strangers = held.with_columns(numbers).filter(local).select("right", "kind", "ref")
    return pl.concat([spelled, strangers]), numbers


@lru_cache(maxsize=2)
def employed(people: People, now: datetime) -> pl.Series:
    """Return the rows of the persons who have an employment that is not over."""
    until = people.employments["valid_to"]
    return people.employed_rows.filter(until.is_null() | (until > now)).drop_nulls()
