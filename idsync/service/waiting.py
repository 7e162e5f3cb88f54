"""What idsync waits for: answers that come later, and days on which it must act itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from idsync.config import Config
from idsync.service.planning import DUE
from idsync.service.reaching import capabilities_of
from idsync.store import State


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Operations that a target has taken and not answered, and how many are late."""

    target: str
    submitted: int
    overdue: int
    oldest: datetime


@dataclass(frozen=True, kw_only=True)
class Due:
    """What a target cannot do by itself: how much is due already, and when the next is."""

    target: str
    now: int
    later: int
    next: datetime | None


def waiting(config: Config, state: State, now: datetime) -> list[Waiting]:
    """Return what each target has still to answer; one that has answered all is left out."""
    asked: dict[str, list[datetime]] = {}
    for operation in state.journal.submitted():
        asked.setdefault(operation.target, []).append(datetime.fromisoformat(operation.intent_at))
    found = []
    for name, times in asked.items():
        late = now - timedelta(hours=_patience(config, name))
        found.append(
            Waiting(
                target=name, submitted=len(times), oldest=min(times),
                overdue=sum(at < late for at in times),
            )
        )  # fmt: skip
    return found


def _patience(config: Config, name: str) -> float:
    if name not in config.targets:
        return 0
    return capabilities_of(config.targets[name]).answer_hours


def due(config: Config, state: State, now: datetime) -> list[Due]:
    """Return what is due in each target by the schedule of its last run, if anything is."""
    found = []
    for name in config.targets:
        schedule = state.frames.load(f"due:{name}", DUE)
        ahead = schedule.filter(pl.col("at") > now)
        if schedule.height:
            times: list[datetime] = ahead["at"].head(1).to_list()
            found.append(
                Due(
                    target=name, now=schedule.height - ahead.height, later=ahead.height,
                    next=times[0] if times else None,
                )
            )  # fmt: skip
    return found
