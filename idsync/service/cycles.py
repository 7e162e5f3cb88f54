"""When each source and target last went through a whole run: read whole, and written to its end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from idsync.store import State

RUN, SOURCE, TARGET = "cycle:run", "cycle:source:", "cycle:target:"
"""Under these names the state remembers it."""


def note_cycles(state: State, names: Iterable[str], now: datetime) -> None:
    """Remember that each of *names* has gone through a whole run."""
    with state.engine.begin() as connection:
        for name in names:
            state.remember(connection, name, now.isoformat())


def last_cycle(state: State, name: str) -> datetime | None:
    """Return when *name* last went through a whole run; None: never."""
    found = state.remembered(name)
    return datetime.fromisoformat(found) if found else None
