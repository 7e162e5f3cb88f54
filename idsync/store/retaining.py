"""Lets go of what is done with and old enough: in small bites, oldest first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, or_, select

from idsync.store.audit_checkpoints import retire
from idsync.store.audit_records import Record
from idsync.store.erasing import ranges
from idsync.store.journal import FINAL
from idsync.store.tables import approval, journal, part, revocation, run, snapshot

BITE = 20_000
"""The most operations that leave the journal in one run, so that no night waits for it."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """For how many days what is done with is kept."""

    operations: int
    runs: int
    orders: int
    sources: int


def let_go(
    connection: Connection,
    limits: Limits,
    sources: Collection[str],
    kept: Collection[str],
    now: datetime,
) -> list[Record]:
    """Delete what is older than its class allows; return what the audit is to say of it.

    *sources* are those that are configured, *kept* the people under a legal hold.
    """
    gone = _operations(connection, _before(now, limits.operations), kept)
    facts = {
        "runs": _runs(connection, _before(now, limits.runs)),
        "orders": _orders(connection, _before(now, limits.orders), kept),
        "sources": _sources(connection, _before(now, limits.sources), sources),
        "operations": gone,
    }
    return [Record(kind="retired", facts=facts)] if any(facts.values()) else []


def _before(now: datetime, days: int) -> str:
    return (now - timedelta(days=days)).isoformat()


def _operations(connection: Connection, oldest: str, kept: Collection[str]) -> list[list[int]]:
    """Operations whose effect is summed up in the ledger, or that had none."""
    summed_up = journal.c.state.in_(FINAL) & journal.c.folded.is_(True)
    query = (
        select(journal.c.id)
        .where(or_(summed_up, journal.c.state == "refused"), journal.c.outcome_at < oldest)
        .where(journal.c.person_id.not_in(list(kept)))
        .order_by(journal.c.id)
        .limit(BITE)
    )
    numbers = [number for (number,) in connection.execute(query)]
    for start in range(0, len(numbers), 5000):
        some = numbers[start : start + 5000]
        connection.execute(delete(journal).where(journal.c.id.in_(some)))
    if numbers:
        retire(connection, numbers[-1])
    return ranges(numbers)


def _runs(connection: Connection, oldest: str) -> int:
    newest = select(func.max(run.c.id)).scalar_subquery()
    old = (run.c.started_at < oldest) & (run.c.id < newest)  # the last number is never lost
    return connection.execute(delete(run).where(old)).rowcount


def _orders(connection: Connection, oldest: str, kept: Collection[str]) -> int:
    lifted = (revocation.c.lifted_at < oldest) & revocation.c.person_id.not_in(list(kept))
    done = (approval.c.seen_at < oldest) & approval.c.state.in_(("used", "gone"))
    orders = connection.execute(delete(revocation).where(lifted)).rowcount
    return orders + connection.execute(delete(approval).where(done)).rowcount


def _sources(connection: Connection, oldest: str, configured: Collection[str]) -> list[str]:
    """What sources said that are no longer in the configuration."""
    old = (snapshot.c.accepted_at < oldest) & snapshot.c.source.not_in(list(configured))
    names = [name for (name,) in connection.execute(select(snapshot.c.source).where(old))]
    for name in names:
        connection.execute(
            delete(part).where(part.c.frame.startswith(f"read:{name}:", autoescape=True))
        )
        connection.execute(delete(snapshot).where(snapshot.c.source == name))
    return names
