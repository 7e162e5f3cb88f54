"""How long confirmations of revocations took: counters that never go down.

They are kept apart from the orders, so that neither retention nor an erasure takes from them,
and nothing in them is about anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from idsync.store.tables import latency

BOUNDS_MS = (
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000,
    14_400_000, 86_400_000,
)  # fmt: skip
"""Upper ends of the classes, in milliseconds: from a tenth of a second to a day."""

BEYOND = 0
"""The class of what took longer than any of them."""


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Of one target: how many were confirmed within each of BOUNDS_MS, in all, and the sum."""

    within: tuple[int, ...]
    count: int
    total_s: float


def count(connection: Connection, target: str, took: timedelta) -> None:
    """Count one confirmation; a clock that was put back meanwhile makes it take no time."""
    took_ms = max(0, took // timedelta(milliseconds=1))
    bound = next((one for one in BOUNDS_MS if took_ms <= one), BEYOND)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {"target": target, "bound_ms": bound, "count": 1, "total_ms": took_ms}
    connection.execute(
        dialect.insert(latency).values(row).on_conflict_do_update(
            index_elements=["target", "bound_ms"],
            set_={"count": latency.c.count + 1, "total_ms": latency.c.total_ms + took_ms},
        )
    )  # fmt: skip


def latencies(engine: Engine, targets: Iterable[str]) -> dict[str, Latencies]:
    """Return what was counted of each of *targets*: also of one that has confirmed nothing yet."""
    with engine.connect().execution_options(reads=True) as connection:
        rows = connection.execute(select(latency)).mappings().all()
    found = {}
    for name in targets:
        mine = [row for row in rows if row["target"] == name]
        # a class of another version counts for the first of today's that holds it whole
        within = [
            sum(row["count"] for row in mine if low < row["bound_ms"] <= high)
            for low, high in pairwise((BEYOND, *BOUNDS_MS))
        ]
        found[name] = Latencies(
            within=tuple(accumulate(within)),
            count=sum(row["count"] for row in mine),
            total_s=sum(row["total_ms"] for row in mine) / 1000,
        )
    return found
