"""What the brake is told in a run, what it answers, and how much room is left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

import polars as pl

from idsync.config import Config
from idsync.mapping.catalogue import Profile
from idsync.plan.brake import (
    ABSENT,
    ANNOUNCED,
    WAITING,
    Direction,
    HeldPart,
    Known,
    Limit,
    Window,
    brake,
)
from idsync.plan.document import Plan
from idsync.plan.given import TargetPlan
from idsync.plan.holdings import Holdings
from idsync.plan.scopes import Scope, scopes_of
from idsync.plan.watched import STAFF, Watched, staff_of
from idsync.store import State

DAY, WEEK = timedelta(hours=24), timedelta(days=7)
LONG = timedelta(hours=24)  # after so long a held part waits alone: who comes later goes by itself
TOLD = 3  # complete reads that must have told an end before it counts as announced
NOBODY: Mapping[str, Holdings] = MappingProxyType({})
ENDS = pl.Schema({**ANNOUNCED, "reads_seen": pl.Int64()})
HELD_PEOPLE = pl.Schema({"digest": pl.String(), "person_id": pl.String()})
"""Who waits in which held part: kept, so that nobody approves what is for themselves."""


@dataclass(frozen=True, kw_only=True)
class Braked:
    """What the brake made of the plans."""

    items: pl.DataFrame
    held: tuple[HeldPart, ...]
    used: tuple[str, ...]
    scopes: tuple[Scope, ...]


def held_back(
    config: Config,
    state: State,
    plans: Sequence[TargetPlan],
    holdings: Mapping[str, Holdings],
    now: datetime,
) -> Braked:
    """Return the items of *plans*, what of them is held, and what the brake counted."""
    scopes = scopes_of(plans, {name: table.controller for name, table in config.targets.items()})
    waiting = state.orders.waiting()
    watched = watched_of(config)
    known = Known(
        now=now,
        windows=windows_of(config),
        past=state.journal.changed_since(now - WEEK),
        scopes=scopes,
        waiting=_long_waiting(state, now),
        announced=announced_by(state),
        watched=watched,
        staff=_staff(state, plans, holdings, watched, now),
    )
    items, held, used = brake(
        plans, limits_of(config), config_digest=config.digest,
        approved=state.orders.approved(now), known=known,
    )  # fmt: skip
    since = {(part.scope, part.direction): part.first_seen_at for part in waiting}
    return Braked(
        items=items,
        held=tuple(
            replace(part, first_seen_at=since.get((part.scope, part.direction), now.isoformat()))
            for part in held
        ),
        used=tuple(used),
        scopes=tuple(scopes),
    )


# ── limits ──────────────────────────────────────────────────────────────────────────────


def limits_of(config: Config) -> dict[Direction, Limit]:
    """Return the limits of one run in both directions."""
    return {name: _limit(brakes) for name, brakes in _directions(config).items()}


def windows_of(config: Config) -> tuple[Window, ...]:
    """Return the windows that are counted beside the run."""
    day = {name: _limit(brakes.over_a_day) for name, brakes in _directions(config).items()}
    week = {name: _limit(brakes.over_a_week) for name, brakes in _directions(config).items()}
    return (
        Window(name="24 hours", span=DAY, limits=day),
        Window(name="7 days", span=WEEK, limits=week),
    )


def watched_of(config: Config) -> list[Watched]:
    """Return the profiles that have a floor or are sensitive."""
    sensitive = _limit(config.brakes.sensitive)
    return [
        Watched(
            name=profile.id, rights=_rights(profile), floor=profile.floor,
            sensitive=sensitive if profile.sensitive else None,
        )
        for profile in config.profiles
        if profile.floor or profile.sensitive
    ]  # fmt: skip


def _directions(config: Config) -> dict[Direction, Any]:
    return {"losing": config.brakes, "gaining": config.brakes.gaining or config.brakes}


def _limit(count: Any) -> Limit:  # noqa: ANN401 - any table with both
    return Limit(people=count.people, percent=count.percent)


def _rights(profile: Profile) -> pl.DataFrame:
    rows = [(right.target, right.kind, right.ref) for right in profile.rights]
    columns = dict.fromkeys(("target", "kind", "ref"), pl.String)
    return pl.DataFrame(rows, schema=columns, orient="row").unique()


# ── what it is told ─────────────────────────────────────────────────────────────────────


def announced_by(state: State) -> pl.DataFrame:
    """Return the ends that enough earlier complete reads have told, if reading keeps them."""
    seen = state.frames.load("announced", ENDS)
    return seen.filter(pl.col("reads_seen") >= TOLD).select(*ANNOUNCED)


def _long_waiting(state: State, now: datetime) -> pl.DataFrame:
    """Return WAITING: the people of parts that have waited for longer than a day."""
    oldest = (now - LONG).isoformat()
    parts = [part for part in state.orders.waiting() if part.first_seen_at < oldest]
    if not parts:
        return pl.DataFrame(schema=WAITING)
    scopes = pl.DataFrame(
        [(part.digest, part.scope, part.direction) for part in parts],
        schema=["digest", "scope", "direction"], orient="row",
    )  # fmt: skip
    people = state.frames.load("held", HELD_PEOPLE)
    return people.join(scopes, on="digest").select(*WAITING)


def _staff(
    state: State,
    plans: Sequence[TargetPlan],
    holdings: Mapping[str, Holdings],
    watched: Sequence[Watched],
    now: datetime,
) -> pl.DataFrame:
    rights = [profile.rights for profile in watched if profile.floor]
    if not rights:
        return pl.DataFrame(schema=STAFF)
    links = {}
    for plan in plans:
        found = plan.links.select("key", "person_id")
        known = state.frames.load(f"link:{plan.target.name}", found.schema)
        links[plan.target.name] = pl.concat([known, found]).unique()
    return staff_of(pl.concat(rights).unique(), holdings, links, now)


# ── what is kept ────────────────────────────────────────────────────────────────────────


def held_people(plan: Plan) -> pl.DataFrame:
    """Return HELD_PEOPLE of *plan*."""
    waiting = plan.items.filter(pl.col("held").is_not_null() & (pl.col("held") != ABSENT))
    return waiting.select("person_id", digest="held").select(*HELD_PEOPLE).unique()


def scopes_text(plan: Plan) -> str:
    """Return how many hold rights in each scope, as `margins` reads it."""
    told = [(scope.name, scope.targets, scope.base) for scope in plan.scopes]
    names = ("name", "targets", "base")
    return json.dumps([dict(zip(names, scope, strict=True)) for scope in told])


@dataclass(frozen=True, kw_only=True)
class Margin:
    """How much of one limit is used: `used` people of `limit`, of `base` who hold anything."""

    scope: str
    direction: Direction
    window: str
    used: int
    limit: int
    base: int


def margins(config: Config, state: State, now: datetime) -> list[Margin]:
    """Return how much of each window is used, by what the last run saw and the journal knows."""
    told = json.loads(state.remembered("scopes") or "[]")
    past = state.journal.changed_since(now - WEEK)
    return [
        margin
        for scope in told
        for window in windows_of(config)
        for margin in _margins(scope, window, past.filter(pl.col("at") > now - window.span))
    ]


def _margins(scope: Mapping[str, Any], window: Window, past: pl.DataFrame) -> Iterator[Margin]:
    if scope["targets"] is not None:
        past = past.filter(pl.col("target").is_in(scope["targets"]))
    for direction, limit in window.limits.items():
        people = past.filter(pl.col("direction") == direction)["person_id"].n_unique()
        yield Margin(
            scope=scope["name"], direction=direction, window=window.name,
            used=people, limit=limit.of(scope["base"]), base=scope["base"],
        )  # fmt: skip


# ── how long a part has waited ──────────────────────────────────────────────────────────

Urgency = Literal["new", "reminder", "overdue"]
REMIND, OVERDUE = timedelta(days=1), timedelta(days=3)


def urgency(first_seen_at: str, now: datetime) -> tuple[int, Urgency]:
    """Return how many whole hours a part has waited, and how loud to be about it."""
    age = now - datetime.fromisoformat(first_seen_at)
    hours = int(age.total_seconds() // 3600)
    if age >= OVERDUE:
        return hours, "overdue"
    return hours, "reminder" if age >= REMIND else "new"
