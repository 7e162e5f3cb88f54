"""What nothing explains, in every target."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from idsync.config import Config
from idsync.mapping.correlate import People
from idsync.mapping.rules import Desired
from idsync.plan.holdings import Holdings
from idsync.plan.orphans import find_orphans
from idsync.service.looking import Look
from idsync.service.planning import LINKS, desire_of, orders_of, read_targets, whoever
from idsync.service.reading import Progress, read_sources
from idsync.store import State


def all_orphans(
    config: Config, state: State, now: datetime, progress: Progress
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return the orphans of every target, and why systems that failed could not be read.

    While a source is incomplete, people are believed as they were last accepted.
    """
    reads = read_sources(config, state, now, progress)
    people = whoever(config, state, reads, now)
    desired = desire_of(config, people, orders_of(state, people), now)
    holdings, failures = read_targets(config, progress)
    unread = {n: r.state.reason for n, r in reads.items() if not r.state.complete}
    parts = [
        _in_target(config, state, name, held, people, desired, now)
        for name, held in holdings.items()
    ]
    return pl.concat(parts) if parts else pl.DataFrame(), failures | unread


def orphans_of(config: Config, state: State, seen: Look, now: datetime) -> pl.DataFrame:
    """Return the orphans in what a plan was made from."""
    return pl.concat(
        [
            _in_target(config, state, name, held, seen.people, seen.desired, now)
            for name, held in seen.holdings.items()
        ]
    )


def _in_target(
    config: Config,
    state: State,
    name: str,
    held: Holdings,
    people: People,
    desired: Desired,
    now: datetime,
) -> pl.DataFrame:
    return find_orphans(
        name,
        held,
        people=desired.people,  # an employment that was ended by an order explains nothing
        links=state.frames.load(f"link:{name}", LINKS),
        key=config.targets[name].key,
        ledger=state.journal.ledger(name),
        desired=desired,
        now=now,
    )
