"""The brake: holds the doubtful part of a plan for a person to approve, and lets the rest go.

It counts people whose access changes by effect, in each direction, per target, per
controller and for the whole city; in one run and over the windows before it. Confirmed
terminations are never counted and never held. There is no switch to turn it off: there is
approval of one held part, by its digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from idsync.plan.given import TargetPlan
from idsync.plan.items import INSTANT, ITEMS, ORDER
from idsync.plan.scopes import Scope, scopes_of
from idsync.plan.watched import STAFF, Watched, short_of_staff

Direction = Literal["losing", "gaining"]

ABSENT = "absent"
"""In `held`: the person was not in enough reads. It waits by itself, and is counted as losing."""

PAST = pl.Schema(
    {"target": pl.String(), "direction": pl.String(), "person_id": pl.String(), "at": INSTANT}
)
"""Whose access changed, in which direction and when at last; without what no limit counts."""

WAITING = pl.Schema({"scope": pl.String(), "direction": pl.String(), "person_id": pl.String()})
"""Who has waited for an approval so long that others need not wait with them."""

ANNOUNCED = pl.Schema({"person_id": pl.String(), "valid_to": INSTANT})
"""Whose end was told in earlier complete reads, and when it is."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How many people may change: the larger of both counts."""

    people: int
    percent: float

    def of(self, base: int) -> int:
        """Return the limit where *base* people hold rights."""
        return max(self.people, int(base * self.percent / 100))


@dataclass(frozen=True, kw_only=True)
class Window:
    """A time before now, this run included, in which so many people may change at most."""

    name: str
    span: timedelta
    limits: dict[Direction, Limit]


@dataclass(frozen=True, kw_only=True)
class HeldPart:
    """A part of a plan that waits for approval, and why.

    `people` would change now, and `before` had changed in the same window already; `limit`
    is how many may, of `base` who hold anything there. Of a profile with a floor, `limit`
    is the floor and `base` its holders.
    """

    digest: str
    scope: str  # "target NAME", "controller NAME", "city", "profile NAME" or "source NAME …"
    direction: Direction | Literal["changing"]  # changing: a part of a source that is doubted
    people: int
    limit: int
    base: int
    window: str = "run"  # or the name of a window, or "floor"
    before: int = 0
    approvals: int = 1  # how many different people must let it go
    first_seen_at: str = ""  # when a part of this scope and direction began to wait


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the brake is told beside the plans.

    past: see PAST, as far back as the longest window. scopes: what is counted together.
    waiting: see WAITING. announced: see ANNOUNCED. watched: profiles that need more than the
    limits. staff: see STAFF, who holds the rights of profiles with a floor.
    """

    now: datetime | None = None  # only windows ask
    windows: Sequence[Window] = ()
    past: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PAST))
    scopes: Sequence[Scope] | None = None  # None: those of the plans
    waiting: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=WAITING))
    announced: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ANNOUNCED))
    watched: Sequence[Watched] = ()
    staff: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=STAFF))


NOTHING_MORE = Known()


def brake(
    plans: Sequence[TargetPlan],
    limits: dict[Direction, Limit],
    *,
    config_digest: str,
    approved: Collection[str] = (),
    known: Known = NOTHING_MORE,
) -> tuple[pl.DataFrame, list[HeldPart], list[str]]:
    """Return all items with `held` and `exempt` set, the held parts, and the approvals used.

    *limits* are those of one run. An approval names the digest of exactly one part: what was
    seen, by the configuration it was seen under. Another input is another digest, so the
    approval does not fit. What is approved counts in no scope and in no later window.
    """
    items = pl.concat([pl.DataFrame(schema=ITEMS), *(plan.items for plan in plans)])
    pulled = _Brake(items, config_digest, approved, known)
    scopes = scopes_of(plans) if known.scopes is None else known.scopes
    for profile in known.watched:
        pulled.watch(profile, scopes)
    pulled.exempt_announced()
    for scope in scopes:
        for direction, limit in limits.items():
            pulled.pull(scope, direction, limit)
    return _with_their_makings(pulled.items), pulled.held, pulled.used


class _Brake:
    """The items of all plans while part after part of them is held or let go."""

    def __init__(
        self, items: pl.DataFrame, config_digest: str, approved: Collection[str], known: Known
    ) -> None:
        self.items = items.with_columns(pl.col("exempt").fill_null(False))
        self.config_digest = config_digest
        self.approved = approved
        self.known = known
        self.held: list[HeldPart] = []
        self.used: list[str] = []

    def pull(self, scope: Scope, direction: Direction, limit: Limit) -> None:
        """Hold what *scope* would lose or gain beyond *limit* or beyond a window."""
        doubtful = _doubtful(direction) & ~pl.col("exempt")
        mine = doubtful if scope.targets is None else doubtful & _within(scope)
        people = self.items.filter(mine)["person_id"].unique()
        tripped = self._tripped(scope, direction, limit, people)
        if tripped is None:
            return
        waiting = self._waiting(scope, direction)
        others = people.filter(~people.is_in(waiting.implode()))
        if others.len() < people.len() and not self._tripped(scope, direction, limit, others):
            mine = mine & pl.col("person_id").is_in(waiting.implode())  # the others need not wait
        self._hold(tripped, mine)

    def watch(self, profile: Watched, scopes: Sequence[Scope]) -> None:
        """Hold what would take a profile below its floor, or give a sensitive one to many."""
        name = f"profile {profile.name}"
        if profile.floor:
            losing = self.items.filter(pl.col("effect") == "losing")
            short = short_of_staff(losing, profile, self.known.staff)
            if short.height:
                mine = _doubtful("losing") & _of_holders(short)
                holders = self.known.staff.join(profile.rights, on=RIGHT, how="semi")
                base = holders["person_id"].n_unique()
                part = HeldPart(
                    digest="", scope=name, direction="losing", people=0, limit=profile.floor,
                    base=base, window="floor",
                )  # fmt: skip
                self._hold(part, mine)
        if profile.sensitive is not None:
            grants = pl.struct(RIGHT).is_in(profile.rights.to_struct().implode())
            mine = _doubtful("gaining") & (pl.col("part") == "grant") & grants
            base = scopes[-1].base if scopes else 0  # the widest comes last
            part = HeldPart(
                digest="", scope=name, direction="gaining", people=0,
                limit=profile.sensitive.of(base), base=base, approvals=2,
            )  # fmt: skip
            if self.items.filter(mine)["person_id"].n_unique() > part.limit:
                self._hold(part, mine)

    def exempt_announced(self) -> None:
        """Exempt losses by an end that earlier reads told: they come on their day."""
        if self.known.announced.is_empty():
            return
        ends = self.known.announced.group_by("person_id").agg(end=pl.col("valid_to"))
        told = self.items.join(ends, on="person_id", how="left", maintain_order="left")
        passed = pl.col("end").list.min() <= pl.lit(self.known.now, INSTANT)
        dated = pl.col("end").list.contains(pl.col("to_after"))
        theirs = _doubtful("losing") & (passed | dated).fill_null(False)
        self.items = told.with_columns(exempt=pl.col("exempt") | theirs).select(*ITEMS)

    def _tripped(
        self, scope: Scope, direction: Direction, limit: Limit, people: pl.Series
    ) -> HeldPart | None:
        """Return the first limit that *people* would go beyond; its part has no digest yet."""
        if people.is_empty():
            return None
        for name, allowed, before in self._allowances(scope, direction, limit):
            fresh = people.len()
            if before.len():
                fresh -= people.filter(people.is_in(before.implode())).len()
            counted = fresh + before.len()
            # the floor first: to count the holders of a city takes time
            if fresh and counted > allowed.people and counted > allowed.of(scope.base):
                return HeldPart(
                    digest="", scope=scope.name, direction=direction, people=people.len(),
                    limit=allowed.of(scope.base), base=scope.base, window=name,
                    before=before.len(),
                )  # fmt: skip
        return None

    def _allowances(
        self, scope: Scope, direction: Direction, limit: Limit
    ) -> Iterator[tuple[str, Limit, pl.Series]]:
        """Yield run and windows: name, how many may change, who has changed already."""
        past = self.known.past
        yield "run", limit, past["person_id"].clear()
        mine = past.filter(pl.col("direction") == direction) if past.height else past
        if mine.height and scope.targets is not None:
            mine = mine.filter(_within(scope))
        for window in self.known.windows:
            begin = pl.lit(self.known.now, INSTANT) - window.span
            since = mine.filter(pl.col("at") > begin) if mine.height else mine
            yield window.name, window.limits[direction], since["person_id"].unique()

    def _waiting(self, scope: Scope, direction: Direction) -> pl.Series:
        waiting = self.known.waiting
        mine = (pl.col("scope") == scope.name) & (pl.col("direction") == direction)
        return waiting.filter(mine)["person_id"]

    def _hold(self, part: HeldPart, mine: pl.Expr) -> None:
        """Hold the rows *mine*, or let them go where their digest is approved."""
        rows = self.items.filter(mine)
        digest = _digest(part.scope, part.direction, self.config_digest, rows)
        go = digest in self.approved
        if go:
            self.used.append(digest)
        else:
            people = rows["person_id"].n_unique()
            self.held.append(replace(part, digest=digest, people=people))
        held = pl.lit(None if go else digest, pl.String)
        self.items = self.items.with_columns(
            held=pl.when(mine).then(held).otherwise("held"),
            exempt=pl.col("exempt") | (mine & go),
        )


RIGHT = ["target", "kind", "ref"]


def _doubtful(direction: Direction) -> pl.Expr:
    """What changes access in *direction*, is not confirmed, and is in no held part yet."""
    free = pl.col("held").is_null() | (pl.col("held") == ABSENT)
    return (pl.col("effect") == direction) & ~pl.col("confirmed") & free


def _within(scope: Scope) -> pl.Expr:
    return pl.col("target").is_in(scope.targets or ())


def _of_holders(short: pl.DataFrame) -> pl.Expr:
    """Rows that take one of the rights in *short* (STAFF), or all of them at once by the card."""
    right = [*RIGHT, "person_id"]
    held = pl.struct(right).is_in(short.select(right).to_struct().implode())
    here = ["target", "person_id"]
    there = pl.struct(here).is_in(short.select(here).unique().to_struct().implode())
    return pl.when(pl.col("part") == "grant").then(held).otherwise(there)


def _with_their_makings(items: pl.DataFrame) -> pl.DataFrame:
    """Hold the making of a cardholder all of whose grants are held."""
    making = pl.col("creates") & (pl.col("part") == "attribute")
    free = ((pl.col("part") == "grant") & pl.col("held").is_null()).any().over("target", "key")
    first = pl.col("held").drop_nulls().first().over("target", "key")
    return items.with_columns(held=pl.when(making & ~free).then(first).otherwise("held"))


def _digest(scope: str, direction: str, config_digest: str, part: pl.DataFrame) -> str:
    told = part.drop("held", "exempt").sort(*ORDER)
    told_text = told.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    text = f"idsync.held/2\n{scope}\n{direction}\n{config_digest}\n{told_text}"
    return hashlib.sha256(text.encode()).hexdigest()
