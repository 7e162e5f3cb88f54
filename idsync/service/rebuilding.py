"""Rebuilds the ledger of a state that is not the newest: from what is left, and what targets show.

Nothing is claimed silently. Idsync's own is what the state that is left says and the target
still shows, and what the target itself says idsync gave. Everything else is told, and left
alone as local.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from idsync.apply import settle_unknown
from idsync.config import Config, connect_target
from idsync.plan.holdings import Holdings
from idsync.plan.items import LEDGER
from idsync.service.planning import LINKS, read_targets
from idsync.service.reading import Progress
from idsync.store import State

RIGHT = ["key", "kind", "ref", "valid_from", "valid_to"]
"""What tells one grant of a target from another."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one target shows, beside what the state says; in grants.

    kept: the state knows it and it stands. gone: the state knows it and it does not stand.
    marked: the target says that idsync gave it, and the state does not know. other: neither.
    """

    target: str
    ledger: pl.DataFrame
    kept: int = 0
    gone: int = 0
    marked: int = 0
    other: int = 0
    reason: str = ""  # why it could not be read


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What a rebuild found, and whether it was carried out."""

    found: list[Found]
    orders_lost: int
    operations_lost: int
    done: bool

    @property
    def complete(self) -> bool:
        """Whether every target could be read."""
        return not any(one.reason for one in self.found)

    def document(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return {
            "format": "idsync.rebuild/1",
            "done": self.done,
            "orders_lost": self.orders_lost,
            "operations_lost": self.operations_lost,
            "targets": {
                one.target: {
                    "complete": not one.reason, "reason": one.reason, "kept": one.kept,
                    "gone": one.gone, "marked": one.marked, "other": one.other,
                }
                for one in self.found
            },
        }  # fmt: skip


def rebuild(
    config: Config,
    state: State,
    progress: Progress,
    clock: Callable[[], datetime],
    *,
    because: str,
    act: bool,
) -> Rebuilt:
    """Compare the state with every target; where it shall *act*, believe what was found.

    Nothing is written to any target. A target that cannot be read keeps the ledger it has.

    Raises:
        Unavailable: a run is at work.
    """
    seen, height = state.behind(), state.height()
    orders = max(0, seen.orders - height.orders) if seen else 0
    operations = max(0, seen.operations - height.operations) if seen else 0
    if not act:
        found = _look(config, state, progress)
        return Rebuilt(found=found, orders_lost=orders, operations_lost=operations, done=False)
    with state.run_lock():
        settle_unknown(state, lambda name: connect_target(config.targets[name]), clock)
        found = _look(config, state, progress)
        with state.engine.begin() as connection:
            state.journal.require_turn(connection)
            for one in found:
                if not one.reason:
                    state.journal.replace_ledger(connection, one.target, one.ledger)
            state.begin_epoch(connection)
        number = state.begin_run("rebuild", clock())
        done = Rebuilt(found=found, orders_lost=orders, operations_lost=operations, done=True)
        outcome = "applied" if done.complete else "incomplete"
        state.end_run(number, outcome, {"because": because, **done.document()}, clock())
    return done


def _look(config: Config, state: State, progress: Progress) -> list[Found]:
    holdings, failures = read_targets(config, progress)
    return [
        _found(state, name, holdings[name])
        if name in holdings
        else Found(target=name, ledger=pl.DataFrame(schema=LEDGER), reason=failures[name])
        for name in config.targets
    ]


def _found(state: State, name: str, held: Holdings) -> Found:
    ledger = state.journal.ledger(name)
    grants = held.grants.filter(pl.col("key").is_not_null())
    blocks = pl.col("kind") == "block"
    rights = ledger.filter(~blocks)
    kept = rights.join(grants, on=RIGHT, how="semi", nulls_equal=True)
    there = held.cardholders.select("key").drop_nulls().unique()
    blocked = ledger.filter(blocks).join(there, on="key", how="semi")
    unknown = grants.join(rights, on=RIGHT, how="anti", nulls_equal=True)
    # only a system that says of some grants who gave them says it of the others by silence
    tells = grants["reason"].is_not_null().any()
    marked = unknown.filter(pl.col("reason").is_null()) if tells else unknown.clear()
    return Found(
        target=name,
        ledger=pl.concat([kept, blocked, _owned(state, name, marked)]).sort("key"),
        kept=kept.height,
        gone=rights.height - kept.height,
        marked=marked.height,
        other=unknown.height - marked.height,
    )


def _owned(state: State, name: str, marked: pl.DataFrame) -> pl.DataFrame:
    links = state.frames.load(f"link:{name}", LINKS)
    return (
        marked.join(links, on="key", how="left")
        .with_columns(
            target=pl.lit(name),
            person_id=pl.col("person_id").fill_null(""),
            because=pl.lit("given by idsync, as the system says; the state was rebuilt"),
        )
        .select(*LEDGER)
        .cast(LEDGER)
    )
