"""Targets that do not answer, across runs: since when, why, and when one of them is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, select

from idsync.store.putting import put
from idsync.store.tables import circuit

FIRST = timedelta(minutes=1)
LONGEST = timedelta(minutes=15)
"""How long a silent target is left alone: twice as long after each probe in vain, up to this."""


@dataclass(frozen=True, kw_only=True)
class Circuit:
    """A target that is left alone but for revocations, until a probe gets an answer."""

    target: str
    since: str
    reason: str
    probes: int
    next_probe_at: str


class Circuits:
    """The circuits that are open."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[Circuit]:
        """Return the open ones, oldest first."""
        query = select(circuit).order_by(circuit.c.since, circuit.c.target)
        with self._engine.connect().execution_options(reads=True) as connection:
            return [Circuit(**row) for row in connection.execute(query).mappings()]

    def of(self, target: str) -> Circuit | None:
        """Return the circuit of *target* where it is open."""
        return next((one for one in self.all() if one.target == target), None)

    def open(self, target: str, reason: str, now: datetime) -> None:
        """Leave *target* alone for a while, longer each time it stays silent."""
        with self._engine.begin() as connection:
            mine = circuit.c.target == target
            query = select(circuit).where(mine).with_for_update()
            before = connection.execute(query).first()
            probes = before.probes + 1 if before else 0
            wait = min(LONGEST, FIRST * 2 ** min(probes, 10))
            row = {
                "target": target, "since": before.since if before else now.isoformat(),
                "reason": reason, "probes": probes, "next_probe_at": (now + wait).isoformat(),
            }  # fmt: skip
            put(connection, circuit, row)

    def close(self, target: str) -> None:
        """Work with *target* again: it has answered."""
        with self._engine.begin() as connection:
            connection.execute(delete(circuit).where(circuit.c.target == target))
