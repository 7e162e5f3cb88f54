"""The nights: one row a local date, which whoever runs it has to claim."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError as Taken

from idsync.errors import IdsyncError
from idsync.store.tables import night

BEFORE, MISSED = "before", "missed"
"""Outcomes of dates on which nobody ran: the service did not exist yet, or was off."""


@dataclass(frozen=True, kw_only=True)
class Night:
    """The nightly run of a local date; `outcome` is "" until it has come to its end."""

    local_date: date
    claimed_by: str
    claimed_at: datetime
    late: bool
    run: int | None
    outcome: str
    ended_at: datetime | None


class Nights:
    """Every night that was claimed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, local_date: date, by: str, now: datetime, *, late: bool = False) -> bool:
        """Take the night of *local_date*; False where somebody has it already."""
        return self._insert(local_date, by, now, late=late)

    def note(self, local_date: date, outcome: str, now: datetime) -> bool:
        """Write down that nobody runs on *local_date*; False where somebody did."""
        return self._insert(local_date, "", now, outcome=outcome, ended_at=now.isoformat())

    def _insert(self, local_date: date, by: str, now: datetime, **more: object) -> bool:
        values = {
            "local_date": local_date.isoformat(), "claimed_by": by,
            "claimed_at": now.isoformat(), "late": False, "outcome": "", **more,
        }  # fmt: skip
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(night).values(values))
        except (Taken, IdsyncError):
            if self.of(local_date) is None:  # it was not the row that stood in the way
                raise
            return False
        return True

    def take_over(self, before: Night, by: str, now: datetime) -> bool:
        """Take a night that was left without an outcome; False where somebody was quicker."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(night)
                .where(
                    night.c.local_date == before.local_date.isoformat(),
                    night.c.claimed_by == before.claimed_by,
                    night.c.claimed_at == before.claimed_at.isoformat(),
                    night.c.outcome == "",
                )
                .values(claimed_by=by, claimed_at=now.isoformat())
            )
        return bool(changed.rowcount)

    def leave(self, local_date: date, by: str, now: datetime) -> bool:
        """Give up what *by* has tried in vain: whoever comes later tries again.

        False where somebody took it over already.
        """
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(night)
                .where(
                    night.c.local_date == local_date.isoformat(),
                    night.c.claimed_by == by,
                    night.c.outcome == "",
                )
                .values(claimed_by="", claimed_at=now.isoformat())
            )
        return bool(changed.rowcount)

    def end(self, local_date: date, by: str, run: int | None, outcome: str, now: datetime) -> bool:
        """Write down how the night of *by* ended; False where somebody took it over."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(night)
                .where(night.c.local_date == local_date.isoformat(), night.c.claimed_by == by)
                .values(run=run, outcome=outcome, ended_at=now.isoformat())
            )
        return bool(changed.rowcount)

    def of(self, local_date: date) -> Night | None:
        """Return the night of *local_date*."""
        query = select(night).where(night.c.local_date == local_date.isoformat())
        with self._engine.connect().execution_options(reads=True) as connection:
            row = connection.execute(query).first()
        return _night(row._mapping) if row else None

    def before(self, local_date: date) -> date | None:
        """Return the newest date before *local_date* that has a row."""
        query = (
            select(night.c.local_date)
            .where(night.c.local_date < local_date.isoformat())
            .order_by(night.c.local_date.desc())
        )
        with self._engine.connect().execution_options(reads=True) as connection:
            found = connection.execute(query.limit(1)).scalar()
        return date.fromisoformat(found) if found else None

    def last(self, count: int = 14) -> list[Night]:
        """Return the newest nights, newest first."""
        query = select(night).order_by(night.c.local_date.desc()).limit(count)
        with self._engine.connect().execution_options(reads=True) as connection:
            return [_night(row._mapping) for row in connection.execute(query)]


def lasted(nights: list[Night]) -> list[timedelta]:
    """Return how long those of *nights* took that somebody ran to their end."""
    return [
        one.ended_at - one.claimed_at
        for one in nights
        if one.claimed_by and one.ended_at is not None and one.ended_at >= one.claimed_at
    ]


def _night(row: object) -> Night:
    told = dict(row)  # type: ignore[call-overload]
    ended = told["ended_at"]
    return Night(
        **told
        | {
            "local_date": date.fromisoformat(told["local_date"]),
            "claimed_at": datetime.fromisoformat(told["claimed_at"]),
            "ended_at": datetime.fromisoformat(ended) if ended else None,
        }
    )
