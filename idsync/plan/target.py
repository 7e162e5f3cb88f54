"""The changes of one target: what it should hold against what it holds. Pure, in columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from idsync.mapping.correlate import People
from idsync.mapping.rules import ALWAYS, NEVER, Desired, microseconds
from idsync.model import Capabilities
from idsync.plan.because import with_reasons
from idsync.plan.difference import difference
from idsync.plan.holdings import Holdings
from idsync.plan.items import INSTANT, ITEMS, LEDGER, ORDER, items

DIFFED = ("person", "kind", "ref", "begin", "end")
RIGHT = ["person", "kind", "ref"]


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
    base: how many people hold a right there now. Counts are of grants made by others:
    local (explained by the target itself, or covered), orphan is counted elsewhere.
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
        self.links = links
        self.orders = orders
        self.now = now
        self.instant = microseconds(now)
        self.seed = seed

    def plan(self) -> TargetPlan:
        self.keys, collisions = self._recognise()
        self.revoked = self._rows_of(self.orders.revoked["person_id"])
        self.frozen = self._rows_of(self.orders.frozen)
        wanted, kept = self._wanted()
        actual = self._actual()
        found = difference(wanted, actual, on=DIFFED, seed=self.seed)
        mine, others = self._owned(found.extra)
        grants, refusals = self._grants(found.missing, mine, others, kept)
        adopt, adoptable = self._adoption(actual, found.extra)
        managed = self._managed(grants, adopt, wanted)
        states = self._states(wanted, kept, actual, mine, managed)
        attributes = self._attributes(wanted, managed)
        changed = pl.concat([grants, *states, attributes]).sort(*ORDER)
        touched = changed["person_id"].n_unique()
        holding = actual.filter(self._in_force()).select("person").unique()
        return TargetPlan(
            target=self.target,
            items=with_reasons(changed, self.desired, self.orders.revoked, self.now),
            refusals=pl.concat([collisions, refusals]).unique().sort("person_id", "ref"),
            adopt=adopt,
            links=self._recognised(wanted),
            holders=holding.join(self.keys, on="person").select("person_id"),
            adoptable=adoptable,
            local=others.height,
            unchanged=max(0, wanted["person"].n_unique() - touched),
        )

    # ── who is who in this target ───────────────────────────────────────────────────────

    def _recognise(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """person, person_id, key, linked, exists for everyone with a key here; and the refusals."""
        persons = self.people.persons
        universe = pl.concat([persons["id"], self._departed()]).alias("person_id")
        everyone = universe.to_frame().with_row_index("person")
        own = persons.select(person_id="id", wished=pl.col(self.target.key))
        keys = (
            everyone.join(own, on="person_id", how="left", maintain_order="left")
            .join(
                self.links.select("person_id", linked="key"),
                on="person_id",
                how="left",
                maintain_order="left",
            )
            .unique("person", keep="first", maintain_order=True)
            .with_columns(key=pl.coalesce("linked", pl.when(pl.col("wished") != "").then("wished")))
        )
        holders = self.holdings.cardholders.filter(pl.col("key").is_not_null())
        holders = holders.select("key", shown=pl.col("display_name"), exists=pl.lit(True))
        keys = keys.join(holders.unique("key"), on="key", how="left", maintain_order="left")
        reason = self._doubt(keys)
        refused = keys.with_columns(reason=reason).filter(pl.col("reason").is_not_null())
        wanting = self.desired.grants.select("person").unique()
        refusals = refused.join(wanting, on="person", how="semi").select(
            "person_id", "reason", ref=pl.lit("")
        )
        sound = keys.join(refused, on="person", how="anti").select(
            "person", "person_id", "key", linked=pl.col("linked").is_not_null(),
            exists=pl.col("exists").fill_null(False),
        )  # fmt: skip
        columns = ["person_id", "ref", "reason"]
        return sound, refusals.select(columns)

    def _departed(self) -> pl.Series:
        """Persons that the target's links name and the sources do not know any longer."""
        gone = self.links.join(self.people.persons, left_on="person_id", right_on="id", how="anti")
        return gone["person_id"].unique(maintain_order=True)

    def _doubt(self, keys: pl.DataFrame) -> pl.Expr:
        """Why a person's key cannot be trusted to be theirs; null where it can."""
        taken = self.links.select("key", owner="person_id")
        others = keys.select("person", "key", "person_id", "linked").join(taken, on="key")
        stolen = others.filter(
            pl.col("linked").is_null() & (pl.col("owner") != pl.col("person_id"))
        )
        stranger = _another_name(keys, self.people)
        return (
            pl.when(pl.col("key").is_null())
            .then(pl.lit(f"has no {self.target.key}: the system cannot know them"))
            .when(pl.col("key").is_duplicated())
            .then(pl.lit(f"shares their {self.target.key} with somebody else"))
            .when(pl.col("person").is_in(stolen["person"].implode()))
            .then(pl.lit(f"their {self.target.key} belonged to somebody else here: free it first"))
            .when(pl.col("linked").is_null() & pl.col("exists").fill_null(False) & stranger)
            .then(pl.lit("the record with their key carries another name: look who it is"))
        )

    def _rows_of(self, person_ids: pl.Series) -> pl.Series:
        return self.keys.filter(pl.col("person_id").is_in(person_ids.implode()))["person"]

    # ── both sides of the difference ────────────────────────────────────────────────────

    def _wanted(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What the rules give here, and (person, kind, ref) that nobody can decide."""
        rights = self.desired.rights.filter(pl.col("target") == self.target.name)
        rights = rights.select("right", "kind", "ref")
        decided = pl.concat([self.revoked, self.frozen])
        able = self.keys.select("person").filter(~pl.col("person").is_in(decided.implode()))
        grants = self.desired.grants.join(rights, on="right").join(able, on="person", how="semi")
        if not self.target.capabilities.dated_grants:
            grants = grants.filter(pl.col("valid_from") <= self.instant).with_columns(
                valid_from=pl.lit(ALWAYS), valid_to=pl.lit(NEVER)
            )
        wanted = grants.select("person", "kind", "ref", *self._interval())
        kept = self.desired.kept.join(rights, on="right").select(RIGHT)
        return wanted, kept

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
        known = pl.concat(
            [known, self.keys.filter(pl.col("person").is_in(self.revoked.implode()))]
        ).unique("person")
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

    def _owned(self, extra: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Split rows that nobody wants into idsync's own and others'."""
        ours = self.ledger.filter(pl.col("kind") != "block").select(
            "key", "kind", "ref",
            valid_from=pl.col("valid_from").to_physical(),
            end=pl.col("valid_to").to_physical(),
        )  # fmt: skip
        identity = ["key", "kind", "ref", "valid_from", "end"]
        mine = extra.join(ours, on=identity, how="semi", nulls_equal=True)
        others = extra.join(ours, on=identity, how="anti", nulls_equal=True)
        return mine, others

    # ── grants ──────────────────────────────────────────────────────────────────────────

    def _grants(
        self, missing: pl.DataFrame, mine: pl.DataFrame, others: pl.DataFrame, kept: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        missing, refusals = self._beside_others(missing, others)
        undecided = mine.join(kept, on=RIGHT, how="anti")
        # one right once: several own rows of one right pair with the new one by the first
        first = pl.int_range(pl.len()).over(RIGHT)
        paired = undecided.with_columns(nth=first).join(
            missing.with_columns(nth=pl.lit(0, pl.Int64)),
            on=[*RIGHT, "nth"], how="full", coalesce=True, suffix="_after",
        )  # fmt: skip
        was = pl.col("key").is_not_null()
        shall = pl.col("wanted").fill_null(False)
        rows = paired.with_columns(was=was, shall=shall).drop("key")
        rows = rows.join(self.keys.select("person", "person_id", "key", "exists"), on="person")
        return (
            items(
                rows.select(
                    "person_id", "key", "kind", "ref", "was", "shall",
                    from_before=_when("was", "valid_from"),
                    to_before=_when("was", "end"),
                    from_after=_when("shall", "valid_from_after"),
                    to_after=_when("shall", "end_after"),
                    effect=self._effect(),
                    confirmed=pl.col("person").is_in(self.revoked.implode()),
                    creates=~pl.col("exists"),
                ),
                target=self.target.name, part="grant", because="",
            ),
            refusals,
        )  # fmt: skip

    def _beside_others(
        self, missing: pl.DataFrame, others: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Leave out what a grant made by others already gives, or stands in the way of."""
        theirs = others.filter(pl.col("end").is_null() | (pl.col("end") > self.instant)).select(
            *RIGHT,
            their_begin=pl.col("begin").fill_null(ALWAYS),
            their_end=pl.col("end").fill_null(NEVER),
        )
        covers = (pl.col("their_begin") <= pl.col("begin").fill_null(ALWAYS)) & (
            pl.col("their_end") >= pl.col("end").fill_null(NEVER)
        )
        met = missing.join(theirs, on=RIGHT, how="left", maintain_order="left")
        met = met.with_columns(
            covered=covers.fill_null(False), stands=pl.col("their_end").is_not_null()
        )
        settled = met.filter("covered").select(RIGHT).unique()
        open_ = missing.join(settled, on=RIGHT, how="anti").with_columns(wanted=pl.lit(True))
        refusals = pl.DataFrame(
            schema={"person_id": pl.String, "ref": pl.String, "reason": pl.String}
        )
        if self.target.capabilities.grants_per_right == "one":
            blocked = (
                met.filter(pl.col("stands"))
                .select(RIGHT)
                .unique()
                .join(settled, on=RIGHT, how="anti")
            )
            open_ = open_.join(blocked, on=RIGHT, how="anti")
            refusals = blocked.join(self.keys, on="person").select(
                "person_id", "ref",
                reason=pl.lit("somebody else gave this right for another time: idsync leaves it as it is"),
            )  # fmt: skip
        return open_, refusals

    def _effect(self) -> pl.Expr:
        """What an item does to opening doors: a shortened date loses, a swap does both."""
        over = pl.col("end").is_not_null() & (pl.col("end") <= self.instant)
        lived = pl.col("was") & ~over
        later_end = pl.col("end_after").fill_null(NEVER) > pl.col("end").fill_null(NEVER)
        earlier_end = pl.col("end_after").fill_null(NEVER) < pl.col("end").fill_null(NEVER)
        earlier_begin = pl.col("begin_after").fill_null(ALWAYS) < pl.col("begin").fill_null(ALWAYS)
        later_begin = pl.col("begin_after").fill_null(ALWAYS) > pl.col("begin").fill_null(ALWAYS)
        both = lived & pl.col("shall")
        return (
            pl.when(both & (earlier_end | later_begin))
            .then(pl.lit("losing"))
            .when(both & (later_end | earlier_begin))
            .then(pl.lit("gaining"))
            .when(both)
            .then(pl.lit("neutral"))
            .when(pl.col("shall"))
            .then(pl.lit("gaining"))
            .when(lived)
            .then(pl.lit("losing"))
            .otherwise(pl.lit("neutral"))
        )

    # ── ownership ───────────────────────────────────────────────────────────────────────

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

    def _managed(
        self, grants: pl.DataFrame, adopt: pl.DataFrame, wanted: pl.DataFrame
    ) -> pl.DataFrame:
        """Cardholders that are idsync's to keep right: linked, or linked by this very plan."""
        new = self._recognised(wanted)["key"]
        touched = pl.concat([grants["key"], adopt["key"], new]).unique()
        mine = pl.col("linked") | pl.col("key").is_in(touched.implode())
        return self.keys.filter(mine)

    def _recognised(self, wanted: pl.DataFrame) -> pl.DataFrame:
        there = self.keys.filter(pl.col("exists") & ~pl.col("linked"))
        return there.join(wanted.select("person").unique(), on="person", how="semi").select(
            "key", "person_id"
        )

    # ── blocking and returning ──────────────────────────────────────────────────────────

    def _states(
        self,
        wanted: pl.DataFrame,
        kept: pl.DataFrame,
        actual: pl.DataFrame,
        mine: pl.DataFrame,
        managed: pl.DataFrame,
    ) -> list[pl.DataFrame]:
        """Status and credentials: suspended for leavers and the revoked, given back as taken."""
        holders = self.holdings.cardholders.filter(pl.col("key").is_not_null()).unique("key")
        ours = self.ledger.filter(pl.col("kind") == "block").select(
            "key", "ref", blocked=pl.lit(True)
        )
        leaving = self._leaving(wanted, kept, actual, mine, managed)
        opening = actual.filter(self._in_force()).select("person", opens=pl.lit(True)).unique()
        coming = managed.filter(
            pl.col("person").is_in(wanted["person"].unique().implode())
            & ~pl.col("person").is_in(self.revoked.implode())
        )
        parts = [
            self._state_items(
                holders.select("key", kind=pl.lit(""), ref=pl.lit("status"), state="status"),
                ours,
                leaving.join(opening, on="person", how="left"),
                coming,
                "status",
            )
        ]
        if self.target.capabilities.credentials == "write":
            credentials = self.holdings.credentials.filter(pl.col("key").is_not_null()).select(
                "key",
                kind="medium",
                ref=pl.concat_str(pl.lit("credential:"), "number"),
                state="state",
            )
            parts.append(
                self._state_items(
                    credentials.unique(["key", "ref"]),
                    ours,
                    leaving.join(opening, on="person", how="left"),
                    coming,
                    "credential",
                )
            )
        return parts

    def _leaving(
        self,
        wanted: pl.DataFrame,
        kept: pl.DataFrame,
        actual: pl.DataFrame,
        mine: pl.DataFrame,
        managed: pl.DataFrame,
    ) -> pl.DataFrame:
        """Whose cards shall open nothing: the revoked; and leavers to whom nobody gave anything."""
        until = self.people.employments["valid_to"]
        current = self.people.employments.filter(until.is_null() | (until > self.now))
        here = self.people.persons.join(current, left_on="id", right_on="person_id", how="semi")
        staying = [
            self._rows_of(here["id"]),
            wanted["person"],
            kept["person"],
            self.frozen,
            actual.filter(self._in_force()).join(mine, on=DIFFED, how="anti", nulls_equal=True)[
                "person"
            ],
        ]
        stays = pl.concat([one.cast(pl.UInt32) for one in staying]).unique()
        gone = managed.filter(~pl.col("person").is_in(stays.implode()))
        revoked = self.keys.filter(pl.col("person").is_in(self.revoked.implode()))
        return pl.concat([gone, revoked]).unique("person")

    def _state_items(
        self,
        states: pl.DataFrame,
        ours: pl.DataFrame,
        leaving: pl.DataFrame,
        coming: pl.DataFrame,
        part: str,
    ) -> pl.DataFrame:
        off = states.filter(pl.col("state") == "active").join(leaving, on="key")
        on = (
            states.filter(pl.col("state") == "suspended")
            .join(ours, on=["key", "ref"], how="semi")
            .join(coming, on="key")
        )
        rows = pl.concat(
            [
                off.with_columns(
                    value_after=pl.lit("suspended"),
                    effect=pl.when(pl.col("opens").is_not_null())
                    .then(pl.lit("losing"))
                    .otherwise(pl.lit("neutral")),  # a card that opens nothing loses nothing
                ).drop("opens"),
                on.with_columns(value_after=pl.lit("active"), effect=pl.lit("gaining")),
            ]
        )
        named = rows.select(
            "person_id", "key", "kind", "effect", "value_after",
            ref=pl.col("ref").str.strip_prefix("credential:"), value_before="state",
            confirmed=pl.col("person").is_in(self.revoked.implode()),
        )  # fmt: skip
        return items(
            named, target=self.target.name, part=part, was=True, shall=True,
            creates=False, because="",
        )  # fmt: skip

    # ── names ───────────────────────────────────────────────────────────────────────────

    def _attributes(self, wanted: pl.DataFrame, managed: pl.DataFrame) -> pl.DataFrame:
        """Released attributes that differ, for those who hold or shall hold something here."""
        released = [n for n in self.target.release if n in self.target.capabilities.attributes]
        holding = managed.filter(pl.col("person").is_in(wanted["person"].unique().implode()))
        if not released or holding.is_empty():
            return pl.DataFrame(schema=ITEMS)
        said = holding.join(
            shown_attributes(self.people), on="person_id", how="inner", maintain_order="left"
        )
        holders = self.holdings.cardholders.filter(pl.col("key").is_not_null()).unique("key")
        held = said.join(holders, on="key", how="left", suffix="_held", maintain_order="left")
        limit = self.target.capabilities.display_name_length
        rows = []
        for name in released:
            value = (
                pl.col(name).str.head(limit) if limit and name == "display_name" else pl.col(name)
            )
            now = pl.col(f"{name}_held")
            differs = value.is_not_null() & (value != now.fill_null(""))
            rows.append(
                held.filter(differs).select(
                    "person_id",
                    "key",
                    ref=pl.lit(name),
                    was=now.is_not_null(),
                    value_before=now,
                    value_after=value,
                    creates=~pl.col("exists"),
                )  # fmt: skip
            )
        return items(
            pl.concat(rows), target=self.target.name, part="attribute", kind="", shall=True,
            effect="neutral", confirmed=False, because="",
        )  # fmt: skip


def shown_attributes(people: People) -> pl.DataFrame:
    """person_id and the cardholder attributes as they may be shown; protected people by an alias."""
    latest = people.employments.sort("person_id", "primary", "valid_from", nulls_last=False)
    units = latest.group_by("person_id", maintain_order=True).agg(unit=pl.col("unit").last())
    protected = pl.col("protection") != "none"
    alias = pl.concat_str(pl.lit("Person "), pl.col("id").str.head(8))

    def plain(value: pl.Expr) -> pl.Expr:
        return pl.when(protected).then(pl.lit("")).otherwise(value)

    full = pl.concat_str("given_name", pl.lit(" "), "family_name")
    shown = pl.coalesce(pl.when(pl.col("display_name") != "").then("display_name"), full)
    return people.persons.join(
        units, left_on="id", right_on="person_id", how="left", maintain_order="left"
    ).select(
        person_id="id",
        display_name=pl.when(protected).then(alias).otherwise(shown),
        given_name=plain(pl.col("given_name")),
        family_name=plain(pl.col("family_name")),
        mail=plain(pl.col("mail")),
        department=plain(pl.col("unit").str.split(" / ").list.first()),
    )


def _when(condition: str, column: str) -> pl.Expr:
    return pl.when(condition).then(column).cast(INSTANT)


def _another_name(keys: pl.DataFrame, people: People) -> pl.Expr:
    """Whether the name on the record shares no part with the person's: a reused number."""
    names = people.persons.select(person_id="id", given="given_name", family="family_name")
    both = keys.select("person", "person_id", "shown").join(names, on="person_id", how="inner")
    both = both.filter(
        (pl.col("shown").fill_null("") != "")
        & ((pl.col("given").fill_null("") != "") | (pl.col("family").fill_null("") != ""))
    )
    fold: Callable[[str], pl.Expr] = lambda name: pl.col(name).fill_null("\x00").str.to_lowercase()  # noqa: E731
    shares = fold("shown").str.contains(fold("given"), literal=True) | fold("shown").str.contains(
        fold("family"), literal=True
    )
    strangers = both.filter(~shares)["person"]
    return pl.col("person").is_in(strangers.implode())
