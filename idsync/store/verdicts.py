"""How the last read of each source ended, complete or not."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Engine, select

from idsync.mapping.bands import Doubt
from idsync.mapping.believing import Verdict
from idsync.store.putting import put
from idsync.store.tables import verdict


class Verdicts:
    """One verdict a source: that of its last read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def last(self, source: str) -> tuple[str, Verdict] | None:
        """Return when *source* was last read, and the verdict; None where it never was."""
        query = select(verdict).where(verdict.c.source == source)
        with self._engine.connect().execution_options(reads=True) as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        doubts = tuple(Doubt(**one) for one in json.loads(row.doubts))
        return row.at, Verdict(complete=row.complete, reason=row.reason, doubts=doubts)

    def keep(self, connection: Connection, source: str, told: Verdict, now: datetime) -> None:
        """Remember how the read of *source* ended."""
        values = {
            "source": source, "at": now.isoformat(),
            "complete": told.complete, "reason": told.reason,
            "doubts": json.dumps([asdict(one) for one in told.doubts], ensure_ascii=False),
        }  # fmt: skip
        put(connection, verdict, values)
