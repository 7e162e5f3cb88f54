"""Keeps what a run has read and understood, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import polars as pl

from idsync.config import Config
from idsync.mapping.correlate import People
from idsync.plan.brake import HeldPart
from idsync.plan.clock import SCOPE
from idsync.service.absences import doubted_parts
from idsync.service.braking import held_people, scopes_text
from idsync.service.forgetting import lost_in
from idsync.service.history import LOCAL, OWN, seen_locally
from idsync.service.keeping import source_frames
from idsync.service.looking import Look
from idsync.service.planning import LINKS
from idsync.store import State, Transaction
from idsync.store.audit_records import Record, adopted_records


def remember(config: Config, state: State, seen: Look, now: datetime) -> None:
    """Keep what was read and understood: all of it, or nothing, in one transaction."""
    people = seen.released.people if seen.released else seen.people
    plan = seen.plan
    parts = [*plan.held, *doubted_parts(config, state, seen.reads)]
    frames = source_frames(state, seen, people)
    if seen.reads or seen.released:
        frames |= people_frames(people)
    frames |= {f"due:{name}": frame for name, frame in seen.due.items()}
    with state.engine.begin() as connection:
        state.journal.require_turn(connection)  # what was read before another run is old by now
        for name, read in seen.reads.items():
            state.verdicts.keep(connection, name, read.verdict, now)
            if read.fresh is not None:
                state.accept(connection, name, read.fresh)
        for name, frame in {**frames, "held": held_people(plan)}.items():
            state.frames.save(connection, name, frame)
        adopted: list[Record] = []
        for name, target in plan.targets.items():
            if target.complete:
                adopted += _remember_target(connection, config, state, seen, name, now)
        state.remember(connection, "scopes", scopes_text(plan))
        if not any(part.scope == SCOPE for part in plan.held):
            state.remember(connection, "clock", now.isoformat())
        state.orders.hold_in(connection, parts, plan.used_approvals, now)
        state.audit.append(connection, [*_decided(parts, plan.used_approvals), *adopted], now)


def _remember_target(
    connection: Transaction, config: Config, state: State, seen: Look, name: str, now: datetime
) -> list[Record]:
    """Keep what is known of one target now; return what was adopted there, for the audit."""
    plan, mine = seen.plan, pl.col("target") == name
    gone = lost_in(config, state, name, seen.holdings[name], now)
    if gone.height:
        state.journal.forget(connection, name, gone)
    adopt = plan.adopt.filter(mine)
    adopted: list[Record] = []
    if config.targets[name].adopt == "matching" and not state.remembered(f"adopted:{name}"):
        state.journal.adopt(connection, name, adopt)
        adopted = adopted_records(adopt, config.targets[name].controller)
        state.remember(connection, f"adopted:{name}", now.isoformat())
    new = [plan.go.filter(mine), plan.links.filter(mine), adopt]
    known = state.frames.load(f"link:{name}", LINKS)
    links = pl.concat([known, *(rows.select(*LINKS) for rows in new)])
    linked = links.unique("key", keep="first", maintain_order=True)
    if linked.height != known.height:
        state.frames.save(connection, f"link:{name}", linked)
    own = pl.concat([state.journal.ledger(name), adopt]).select(OWN)
    before = state.frames.load(f"local:{name}", LOCAL)
    local = seen_locally(before, seen.holdings[name], own, linked, now)
    if local is not before:
        state.frames.save(connection, f"local:{name}", local)
    return adopted


def _decided(parts: list[HeldPart], used: Iterable[str]) -> list[Record]:
    """What the brake held, and what an approval let go, for the audit."""
    held = [
        Record(
            kind="held",
            facts={
                "digest": part.digest, "scope": part.scope, "direction": part.direction,
                "people": part.people, "base": part.base,
            },
        )
        for part in parts
    ]  # fmt: skip
    return held + [Record(kind="let go", facts={"digest": one}) for one in used]


def people_frames(people: People) -> dict[str, pl.DataFrame]:
    """Return the stored tables of people; each begins with the column it is looked up by."""
    return {
        "person": people.persons,
        "face": people.faces,  # of everybody ever known: a reused number is told by it
        "employment": people.employments.select("person_id", pl.exclude("person_id")),
        "training_completion": people.trainings,
        "membership": people.memberships,
        "identity_link": people.links,
        "set_aside": people.set_aside,
        "disagreement": people.disagreements,
    }
