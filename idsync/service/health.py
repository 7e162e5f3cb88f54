"""How idsync is: what has gone through a whole run and when, what waits, and what is wrong.

Health is the age of the last cycle that was complete and successful, of each source and each
target by itself: a process that answers may have done nothing for days. Nothing here names a
person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from idsync.config import Config
from idsync.service.braking import margins
from idsync.service.cycles import RUN, SOURCE, TARGET, last_cycle
from idsync.service.scheduling import slow_after
from idsync.service.streams import heard, silent
from idsync.service.subscriptions import lapsed, subscribed
from idsync.store import Exposure, Night, State, latencies
from idsync.store.nights import BEFORE, MISSED, lasted

STALE = timedelta(hours=26)
"""A night and two hours: what has not been through a run for longer is alarming."""

UNCONFIRMED = timedelta(minutes=15)
"""How long a revocation may be without a target's confirmation before it is alarming."""

REMEMBERED = timedelta(days=7)
"""How long a night that nobody ran is told of."""

FAULTS = "fault:"
"""So begin the alarms that the process itself tells of; no other process ends them."""


def health(config: Config, state: State, now: datetime) -> dict[str, Any]:
    """Return how idsync is, as `/health` shows it; times are UTC, ages seconds."""
    open_ = state.closings.unconfirmed(config.targets)
    oldest = min((one.order.ordered_at for one in open_), default=None)
    alarms = standing(config, state, now)
    unsettled = state.journal.unsettled()
    return {
        "format": "idsync.health/1",
        "at": now.isoformat(),
        "ok": not any(one["acknowledged_at"] is None for one in alarms),
        "sources": {name: _cycle(state, SOURCE + name, now) for name in config.sources},
        "targets": {name: _cycle(state, TARGET + name, now) for name in config.targets},
        "run": _cycle(state, RUN, now),
        "streams": {
            name: {"heard_at": at.isoformat() if at else None, "age_s": _since(at, now)}
            for name, at in heard(config, state).items()
        },
        "subscriptions": subscribed(config, state, now),
        "unconfirmed": {
            "revocations": len({one.order.id for one in open_}),
            "oldest": oldest,
            "oldest_s": _age(oldest, now),
            "oldest_s_by_target": {name: _oldest(open_, name, now) for name in config.targets},
        },
        "latencies": {
            name: asdict(one) for name, one in latencies(state.engine, config.targets).items()
        },
        "oncall": {
            way: way not in {one.way for one in state.calls.failing()}
            for way in config.oncall.ways
        },
        "backlog": len(unsettled),
        "held": [
            {
                "scope": one.scope, "direction": one.direction, "people": one.people,
                "since": one.first_seen_at or one.seen_at,
                "age_s": _age(one.first_seen_at or one.seen_at, now),
            }
            for one in state.orders.waiting()
        ],
        "brakes": [asdict(one) for one in margins(config, state, now)],
        "alarms": alarms,
    }  # fmt: skip


def _cycle(state: State, name: str, now: datetime) -> dict[str, Any]:
    at = last_cycle(state, name)
    return {"complete_at": at.isoformat() if at else None, "age_s": _since(at, now)}


def _oldest(open_: Sequence[Exposure], target: str, now: datetime) -> float:
    """The age of the oldest order that *target* has not confirmed; 0: it has confirmed all."""
    mine = [one.order.ordered_at for one in open_ if one.target == target]
    return max(0.0, _age(min(mine, default=None), now) or 0.0)


def _age(since: str | None, now: datetime) -> float | None:
    return _since(datetime.fromisoformat(since) if since else None, now)


def _since(at: datetime | None, now: datetime) -> float | None:
    return (now - at).total_seconds() if at else None


# ── alarms ──────────────────────────────────────────────────────────────────────────────


def wrong(config: Config, state: State, now: datetime) -> dict[str, str]:
    """Return what is wrong by what the state says, each by the name of its alarm."""
    return (
        _stale(config, state, now)
        | _nights(state, now)
        | _unconfirmed(config, state, now)
        | silent(config, state, now)
        | lapsed(config, state, now)
        | _mute(config, state)
    )


def standing(config: Config, state: State, now: datetime) -> list[dict[str, Any]]:
    """Return the alarms that stand: what is wrong now, whether or not anybody watches."""
    known = {one.name: asdict(one) for one in state.alarms.all()}
    found = wrong(config, state, now)
    new = {"acknowledged_at": None, "acknowledged_by": None, "told_at": None}
    told = [
        {"since": now.isoformat(), **new, **known.get(name, {}), "name": name, "detail": detail}
        for name, detail in found.items()
    ]
    told += [one for name, one in known.items() if name.startswith(FAULTS)]
    return sorted(told, key=lambda one: (one["since"], one["name"]))


def watch(
    config: Config, state: State, now: datetime, faults: Mapping[str, str] | None = None
) -> tuple[list[str], list[str]]:
    """Let the alarms stand that are due, and return which came and which went.

    *faults* are those of the service's process, by name; another process leaves them as they are.
    """
    if faults is None:
        own = {one.name: one.detail for one in state.alarms.all() if one.name.startswith(FAULTS)}
    else:
        own = {FAULTS + name: detail for name, detail in faults.items()}
    return state.alarms.stand(wrong(config, state, now) | own, now)


def _stale(config: Config, state: State, now: datetime) -> dict[str, str]:
    asked = {"run-stale": ("a run", RUN)}
    asked |= {f"source-stale:{name}": (f"a read of {name}", SOURCE + name)
              for name in config.sources}  # fmt: skip
    asked |= {f"target-stale:{name}": (f"a run with {name}", TARGET + name)
              for name in config.targets}  # fmt: skip
    found = {}
    for name, (what, cycle) in asked.items():
        at = last_cycle(state, cycle)
        if at is None:
            found[name] = f"{what} has never been complete: run `idsync check`, then `idsync sync`"
        elif now - at > STALE:
            hours = (now - at) // timedelta(hours=1)
            found[name] = f"{what} was last complete {hours} hours ago: run `idsync check`"
    return found


def _mute(config: Config, state: State) -> dict[str, str]:
    return {
        f"oncall-failed:{one.way}": f"the on-call cannot be told by {one.way}: {one.reason}"
        for one in state.calls.failing()
        if one.way in config.oncall.ways
    }


def _nights(state: State, now: datetime) -> dict[str, str]:
    nights = state.nights.last()
    missed = [one for one in nights
              if one.outcome == MISSED and now - one.claimed_at < REMEMBERED]  # fmt: skip
    found = {}
    if missed:
        days = ", ".join(str(one.local_date) for one in reversed(missed))
        found["night-missed"] = f"nobody ran on {days}: was the machine off?"
    newest = next((one for one in nights if one.outcome not in (BEFORE, MISSED)), None)
    if newest is None:
        return found
    if newest.late:
        found["night-late"] = f"the run of {newest.local_date} began late: was the machine off?"
    if newest.outcome == "failed":
        found["night-failed"] = f"the run of {newest.local_date} failed: run `idsync sync`"
    if _is_slow(newest, [one for one in nights if one is not newest], now):
        found["night-slow"] = (
            f"the run of {newest.local_date} takes more than twice as long as usual: "
            "run `idsync status`"
        )
    return found


def _is_slow(newest: Night, others: list[Night], now: datetime) -> bool:
    usual = slow_after(lasted(others))
    return usual is not None and (newest.ended_at or now) - newest.claimed_at > usual


def _unconfirmed(config: Config, state: State, now: datetime) -> dict[str, str]:
    open_ = state.closings.unconfirmed(config.targets)
    old = [one for one in open_
           if now - datetime.fromisoformat(one.order.ordered_at) > UNCONFIRMED]  # fmt: skip
    if not old:
        return {}
    targets = ", ".join(sorted({one.target for one in old}))
    orders = len({one.order.id for one in old})
    return {
        "revocation-unconfirmed": f"{orders} revocations are not confirmed by {targets}: close "
        "those doors another way, and see `idsync status`"
    }
