"""Makes the plan of a run: sources, people, rules, targets, difference, brake."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import polars as pl

from idsync.config import Config, TargetConfig, connect_target
from idsync.errors import ConfigError, IdsyncError
from idsync.mapping.correlate import Matching, People, Reads, correlate
from idsync.mapping.ending import ENDED, split_ended, tied_elsewhere
from idsync.mapping.rules import Desired, desire
from idsync.model import (
    Employment,
    IdentityLink,
    Kind,
    Membership,
    Person,
    TrainingCompletion,
    schema,
)
from idsync.plan.clock import hold_by_clock
from idsync.plan.document import EMPTY_LINKS, EMPTY_REFUSALS, Plan, TargetState
from idsync.plan.ending import confirmed_ends, with_ends_told
from idsync.plan.exempt import without_exempt
from idsync.plan.given import DONE, Orders, Target, TargetPlan
from idsync.plan.holdings import Holdings
from idsync.plan.items import LEDGER, OWNED
from idsync.plan.target import plan_target, reasoned
from idsync.service.absences import away_of
from idsync.service.braking import NOBODY, held_back
from idsync.service.reading import Progress, SourceRead
from idsync.store import State
from idsync.together import workers

LINKS = pl.Schema({"key": pl.String(), "person_id": pl.String()})
SET_ASIDE = pl.Schema(dict.fromkeys(("source", "key", "reason", "person_id"), pl.String()))
DUE = pl.Schema(
    {"at": pl.Datetime("us", "UTC")}
    | dict.fromkeys(("person_id", "kind", "ref", "action"), pl.String())
)
"""What a target cannot do by itself on the day: kept by target, so that idsync does it."""
DISAGREEMENTS = pl.Schema(dict.fromkeys(("person_id", "attribute", "sources"), pl.String()))
STORED = {
    "person": schema(Person),
    "employment": schema(Employment),
    "training_completion": schema(TrainingCompletion),
    "membership": schema(Membership),
    "set_aside": SET_ASIDE,
    "disagreement": DISAGREEMENTS,
}
"""The tables of people that are kept, by name."""


# ── people ──────────────────────────────────────────────────────────────────────────────


def matching_of(config: Config, reads: Mapping[str, SourceRead]) -> Matching:
    """Return how records of different sources, read as *reads* say, are known as one person."""
    correlation = config.correlation
    return Matching(
        keys=correlation.keys,
        fingerprint=correlation.fingerprint,
        precedence=correlation.precedence,
        stale=frozenset(
            name for name in config.sources if name not in reads or reads[name].fresh is None
        ),
    )


def whoever(config: Config, state: State, reads: Mapping[str, SourceRead], now: datetime) -> People:
    """Return the people behind what is believed of every source."""
    believed = {name: read.tables for name, read in reads.items() if read.tables is not None}
    people = correlate(
        cast(Reads, believed),
        dataclasses.replace(
            matching_of(config, reads), marks_expected=_marks_to_come(config, believed)
        ),
        links=state.frames.load("identity_link", schema(IdentityLink)),
        persons_before=state.frames.load("face", schema(Person)),
        instance=state.instance,
        now=now,
        away=away_of({name: read.absent for name, read in reads.items()}),
    )
    return dataclasses.replace(
        people,
        trainings_known=_known(config, "trainings", set(believed)),
        memberships_known=_known(config, "memberships", set(believed)),
    )


def _marks_to_come(config: Config, believed: Collection[str]) -> bool:
    """Whether a source that may carry marks of protection was never read: it could be down."""
    unread = (source for name, source in config.sources.items() if name not in believed)
    maps = (
        getattr(source.settings, "map", None)
        for source in unread
        if source.kind in ("persons", "employments")
    )
    return any(named is None or "protection" in named for named in maps)


def _known(config: Config, kind: Kind, believed: set[str]) -> bool:
    """A kind of fact is known when every source of it has been read at least once."""
    sources = {name for name, source in config.sources.items() if source.kind == kind}
    return bool(sources) and sources <= believed


def stored_people(config: Config, state: State) -> People:
    """Return everybody as last accepted, without reading any source."""
    believed = {name for name in config.sources if state.snapshot(name) is not None}
    load = state.frames.load_all(STORED)
    return People(
        persons=load["person"],
        employments=load["employment"],
        trainings=load["training_completion"],
        memberships=load["membership"],
        links=pl.DataFrame(schema=schema(IdentityLink)),  # only reading asks who was who
        set_aside=load["set_aside"],
        disagreements=load["disagreement"],
        unmatched=pl.DataFrame(schema={"source": pl.String, "count": pl.UInt32}),
        trainings_known=_known(config, "trainings", believed),
        memberships_known=_known(config, "memberships", believed),
    )


def accepted_people(config: Config, state: State) -> People:
    """Return everybody as last accepted; nobody at all is never taken for everybody gone."""
    people = stored_people(config, state)
    if people.persons.is_empty():
        raise ConfigError("no source has ever been accepted: run `idsync sync` once, then --due")
    return people


def desire_of(config: Config, people: People, orders: Orders, now: datetime) -> Desired:
    """Return what *people* should hold by the rules of *config*.

    An employment that one of *orders* has ended counts for nothing.
    """
    left, gone = split_ended(people, orders.ended)
    desired = desire(
        left, config.catalogue, now=now, zone=config.idsync.timezone,
        ahead_days=config.idsync.ahead_days,
    )  # fmt: skip
    if orders.ended.is_empty():
        return desired
    elsewhere = tied_elsewhere(left, gone, orders.ended, config.catalogue, now)
    return dataclasses.replace(desired, elsewhere=elsewhere)


def orders_of(
    state: State, people: People, *, of: Collection[str] | None = None, seen: bool = True
) -> Orders:
    """Return whose access is decided outside the rules; *of* the persons who are asked about.

    Without *seen* as if none of the orders were done yet.
    """
    standing = state.orders.revocations(of)
    whole = [order for order in standing if order.employment is None]
    parts = [order for order in standing if order.employment is not None]
    told = {order.id: f"an employment was ended by order {order.id}" for order in parts}
    ended = [(order.person_id, order.employment, told[order.id]) for order in parts]
    sure = state.closings.sure() if parts and seen else ()
    done = [(told[order], target) for order, target in sure if order in told]
    return Orders(
        revoked=pl.DataFrame(
            {
                "person_id": [order.person_id for order in whole],
                "because": [f"revoked by order {order.id}" for order in whole],
            },
            schema={"person_id": pl.String, "because": pl.String},
        ),
        frozen=people.set_aside["person_id"].drop_nulls().unique(),
        ended=pl.DataFrame(ended, schema=ENDED, orient="row"),
        done=pl.DataFrame(done, schema=DONE, orient="row"),
        newest=max((order.id for order in standing), default=0),
    )


# ── targets ─────────────────────────────────────────────────────────────────────────────


def read_targets(
    config: Config, progress: Progress, *, leave: Collection[str] = ()
) -> tuple[dict[str, Holdings], dict[str, str]]:
    """Return what each target holds but those to *leave*, and why others could not be read."""
    targets = {name: table for name, table in config.targets.items() if name not in leave}

    def one(target: TargetConfig) -> Holdings | str:
        progress(f"reading {target.name}")
        return _holdings(target)

    with workers(len(targets)) as pool:
        answers = dict(zip(targets, pool.map(one, targets.values()), strict=True))
    holdings = {name: held for name, held in answers.items() if isinstance(held, Holdings)}
    failures = {name: reason for name, reason in answers.items() if isinstance(reason, str)}
    return holdings, failures


def _holdings(target: TargetConfig) -> Holdings | str:
    try:
        adapter = connect_target(target)
        try:
            return Holdings.collect(adapter.read())
        finally:
            adapter.close()
    except IdsyncError as error:
        return str(error)
    except Exception as error:  # a fault in a connector must not look like an empty system
        return f"the connector failed ({type(error).__name__}): report it to its author"


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """What idsync knows of a target before it looks: what is its own there, and who is who."""

    target: Target
    ledger: pl.DataFrame
    links: pl.DataFrame


def remembered(config: Config, state: State, names: Iterable[str]) -> dict[str, Remembered]:
    """Return what the state and the configuration say of each target."""

    def one(name: str) -> Remembered:
        return Remembered(
            target=target_of(config, state, name),
            ledger=state.journal.ledger(name, OWNED),
            links=state.frames.load(f"link:{name}", LINKS),
        )

    names = list(names)
    with workers(len(names)) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


def target_of(config: Config, state: State, name: str) -> Target:
    """Return what the planner must know of the target *name*."""
    table = config.targets[name]
    adapter = connect_target(table)
    try:
        return Target(
            name=name,
            controller=table.controller,
            key=table.key,
            release=table.release,
            adopt=table.adopt,
            contacted=bool(state.remembered(f"adopted:{name}")),
            exempt=table.exempt,
            capabilities=adapter.capabilities,
        )
    finally:
        adapter.close()


def plan_all(
    known: Mapping[str, Remembered],
    desired: Desired,
    holdings: Mapping[str, Holdings],
    orders: Orders,
    now: datetime,
) -> list[TargetPlan]:
    """Return what must change in every target that *holdings* names, planned side by side."""

    def one(name: str) -> TargetPlan:
        plan = plan_target(
            known[name].target, desired, holdings[name],
            ledger=known[name].ledger, links=known[name].links,
            orders=orders, now=now, seed=int(now.timestamp()),
        )  # fmt: skip
        return without_exempt(confirmed_ends(plan, desired, orders), holdings[name])

    with workers(len(holdings)) as pool:
        plans = reasoned(list(pool.map(one, holdings)), desired, orders, now)
    return [with_ends_told(plan, orders) for plan in plans]


def assemble(
    config: Config,
    state: State,
    reads: Mapping[str, SourceRead],
    plans: list[TargetPlan],
    failures: Mapping[str, str],
    now: datetime,
    *,
    holdings: Mapping[str, Holdings] = NOBODY,
) -> Plan:
    """Return the plan of a run: what goes, what is held, what is refused, and why.

    *holdings* tell who is left of a profile with a floor.
    """
    braked = held_back(config, state, plans, holdings, now)
    items, doubted, told = hold_by_clock(
        braked.items, now, trusted_time(state), state.orders.approved(now)
    )
    # whoever says that the time is right sees the rest after it
    held = (doubted,) if doubted else braked.held
    states = {name: TargetState(complete=False, reason=reason) for name, reason in failures.items()}
    for one in plans:
        states[one.target.name] = TargetState(
            complete=True, unchanged=one.unchanged, adopt=one.adopt.height,
            adoptable=one.adoptable, local=one.local,
        )  # fmt: skip
    return Plan(
        made_at=now,
        instance=str(state.instance),
        config_digest=config.digest,
        sources={name: read.state for name, read in reads.items()},
        targets={name: states[name] for name in config.targets},
        items=items,
        adopt=pl.concat([pl.DataFrame(schema=LEDGER), *(one.adopt for one in plans)]),
        links=_named(EMPTY_LINKS, [(one.target.name, one.links) for one in plans]),
        refusals=_named(EMPTY_REFUSALS, [(one.target.name, one.refusals) for one in plans]),
        held=held,
        used_approvals=(
            *braked.used,
            *([told] if told else []),
            *(one for read in reads.values() for one in read.used),
        ),
        scopes=braked.scopes,
    )


def trusted_time(state: State) -> datetime | None:
    """Return when the last run was whose clock was believed; None: there was none."""
    known = state.remembered("clock")
    return datetime.fromisoformat(known) if known else None


def _named(columns: pl.Schema, tables: list[tuple[str, pl.DataFrame]]) -> pl.DataFrame:
    parts = [table.with_columns(target=pl.lit(name)).select(*columns) for name, table in tables]
    return pl.concat([pl.DataFrame(schema=columns), *parts])
