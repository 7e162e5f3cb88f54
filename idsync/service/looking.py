"""Looks at everything: reads sources and targets, and makes the plan of a run of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import polars as pl

from idsync.config import Config
from idsync.mapping.correlate import People, Reads, correlate
from idsync.mapping.following import NOBODY
from idsync.mapping.rules import Desired
from idsync.model import IdentityLink, Person, schema
from idsync.plan.document import Plan
from idsync.plan.given import Orders, TargetPlan
from idsync.plan.holdings import Holdings
from idsync.service.absences import (
    Believed,
    absent_people,
    away_of,
    believed_of,
    few_holdings,
    let_go,
    their_rest,
    with_waiting,
    without_absent,
)
from idsync.service.planning import (
    Remembered,
    accepted_people,
    assemble,
    desire_of,
    matching_of,
    orders_of,
    plan_all,
    read_targets,
    remembered,
    whoever,
)
from idsync.service.reading import Progress, SourceRead, read_sources
from idsync.store import State
from idsync.together import workers


@dataclass(frozen=True, kw_only=True)
class Look:
    """A plan and everything it was made from.

    `released` is what is believed where the plan lets go of absent people by an approval:
    of every source, and who is who without them. None where nobody is let go so.
    """

    plan: Plan
    people: People
    desired: Desired
    reads: Mapping[str, SourceRead]
    holdings: Mapping[str, Holdings]
    due: Mapping[str, pl.DataFrame]
    newest_order: int  # see Orders.newest: what came after it is not in the plan
    released: Released | None = None


@dataclass(frozen=True, kw_only=True)
class Released:
    """What is believed of every source, and the people behind it."""

    believed: Mapping[str, Believed]
    people: People


def look(
    config: Config, state: State, now: datetime, progress: Progress, *, sources: bool = True
) -> Look:
    """Read everything and return what would change. Nothing is written anywhere.

    Without *sources* none is read: what was last accepted decides, so that known dates act
    whatever is down.
    """
    reads: Mapping[str, SourceRead] = {}
    if sources:
        reads = read_sources(config, state, now, progress)
        progress("correlating people")
        people = whoever(config, state, reads, now)
    else:
        people = accepted_people(config, state)
    orders = orders_of(state, people)
    with workers(2) as beside:  # targets are read while the rules are applied
        reading = beside.submit(read_targets, config, progress)
        remembering = beside.submit(remembered, config, state, config.targets)
        progress("applying the rules")
        desired = desire_of(config, people, orders, now)
        holdings, failures = reading.result()
        known = remembering.result()
    progress("comparing")
    believed = believed_of(config, state, reads)
    plans = plan_all(known, desired, holdings, orders, now)
    if away := _away(state, reads, believed, people):
        gone = _plans_without(config, state, away, known, holdings, orders, now)
        plans = with_waiting(plans, gone, away.ids)
    plan = assemble(config, state, reads, plans, failures, now, holdings=holdings)
    return Look(
        plan=plan, people=people, desired=desired, reads=reads, holdings=holdings,
        due={one.target.name: one.due for one in plans}, newest_order=orders.newest,
        released=_released(config, state, away, let_go(plans, plan), now) if away else None,
    )  # fmt: skip


# ── absent people ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class _Away:
    """Of whom a record is absent, and what is believed of everybody."""

    ids: pl.Series
    reads: Mapping[str, SourceRead]
    believed: Mapping[str, Believed]
    links: pl.DataFrame
    faces: pl.DataFrame
    people: People


def _away(
    state: State,
    reads: Mapping[str, SourceRead],
    believed: Mapping[str, Believed],
    people: People,
) -> _Away | None:
    if not any(rows.height for one in believed.values() for rows in one.missed.values()):
        return None
    links, faces = people.links, people.faces
    if links.is_empty():  # no source was read
        links = state.frames.load("identity_link", schema(IdentityLink))
        faces = state.frames.load("face", schema(Person))
    ids = absent_people(believed, links)
    return _Away(ids=ids, reads=reads, believed=believed, links=links, faces=faces, people=people)


def _plans_without(
    config: Config,
    state: State,
    away: _Away,
    known: Mapping[str, Remembered],
    holdings: Mapping[str, Holdings],
    orders: Orders,
    now: datetime,
) -> list[TargetPlan]:
    """Return the plans for the absent alone, as if what is absent of them were gone."""
    rest = their_rest(away.believed, away.links, away.ids)
    people = _correlated(config, state, rest, away, now)
    few, small = {}, {}
    theirs = away.people.persons.filter(pl.col("id").is_in(away.ids.implode()))
    for name, held in holdings.items():
        links = known[name].links
        mine = pl.col("person_id").is_in(away.ids.implode())
        wished = theirs[config.targets[name].key].drop_nulls()
        keys = pl.concat([links.filter(mine)["key"], wished]).unique()
        here = pl.col("key").is_in(keys.implode())
        small[name] = few_holdings(held, keys)
        few[name] = dataclasses.replace(
            known[name], ledger=known[name].ledger.filter(here), links=links.filter(mine | here)
        )
    return plan_all(few, desire_of(config, people, orders, now), small, orders, now)


def _correlated(
    config: Config,
    state: State,
    believed: Reads,
    away: _Away,
    now: datetime,
    still: pl.DataFrame = NOBODY,
) -> People:
    people = correlate(
        believed, matching_of(config, away.reads),
        links=away.links, persons_before=away.faces, instance=state.instance, now=now, away=still,
    )  # fmt: skip
    return dataclasses.replace(
        people,
        trainings_known=away.people.trainings_known,
        memberships_known=away.people.memberships_known,
    )


def _released(
    config: Config, state: State, away: _Away, ids: pl.Series, now: datetime
) -> Released | None:
    if ids.is_empty():
        return None
    believed = without_absent(away.believed, away.links, ids)
    tables = {name: one.tables for name, one in believed.items()}
    still = away_of({name: one.absent for name, one in believed.items()})
    people = _correlated(config, state, cast(Reads, tables), away, now, still)
    return Released(believed=believed, people=people)
