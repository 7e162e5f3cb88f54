"""What the on-call was told, by which way, when: a restart neither repeats nor forgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from idsync.store.alarms import Alarm
from idsync.store.putting import put
from idsync.store.tables import oncall_told, oncall_way

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=15)
"""Between tries by a way that fails: each pause twice the one before, up to the longest."""


@dataclass(frozen=True, kw_only=True)
class Failing:
    """A way by which the on-call cannot be told, since when (ISO, UTC), and why."""

    way: str
    since: str
    failures: int
    reason: str


class Calls:
    """Who was told what, and the ways."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due(
        self, way: str, alarms: Sequence[Alarm], again: timedelta, now: datetime
    ) -> list[tuple[Alarm, int]]:
        """Return which of *alarms* are to be told by *way*, and how often each was before.

        An alarm is told once, and again when *again* is over. One that came back is another.
        What a clock that was put back says was told in the future is told anew.
        """
        mine = select(oncall_told).where(oncall_told.c.way == way)
        with self._engine.connect().execution_options(reads=True) as connection:
            known = {row.alarm: row for row in connection.execute(mine)}
        found = []
        for one in alarms:
            before = known.get(one.name)
            if before is None or before.since != one.since:
                found.append((one, 0))
            elif not _waits(before.told_at, again, now):
                found.append((one, before.times))
        return found

    def claim(self, way: str, lease: timedelta, now: datetime) -> bool:
        """Take *way* for *lease*; False while another has it, or while a failure is waited out."""
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        begun = {"way": way, "next_at": "", "failures": 0, "reason": ""}
        longest = (now + max(lease, LONGEST_WAIT)).isoformat()
        free = (oncall_way.c.next_at <= now.isoformat()) | (oncall_way.c.next_at > longest)
        with self._engine.begin() as connection:
            connection.execute(dialect.insert(oncall_way).values(begun).on_conflict_do_nothing())
            taken = connection.execute(
                update(oncall_way)
                .where(oncall_way.c.way == way, free)
                .values(next_at=(now + lease).isoformat())
            )
        return taken.rowcount == 1

    def told(self, way: str, alarms: Sequence[tuple[Alarm, int]], now: datetime) -> None:
        """Note that *alarms* (with how often before) were told, and that *way* works."""
        at = now.isoformat()
        with self._engine.begin() as connection:
            for one, times in alarms:
                put(connection, oncall_told, {
                    "alarm": one.name, "way": way, "since": one.since, "told_at": at,
                    "times": times + 1,
                })  # fmt: skip
            works = {"next_at": at, "failing_since": None, "failures": 0, "reason": ""}
            put(connection, oncall_way, {"way": way, **works})

    def failed(self, way: str, reason: str, now: datetime, wait: timedelta | None = None) -> None:
        """Note that *way* failed; it is tried again after a pause, at least *wait*."""
        with self._engine.begin() as connection:
            mine = oncall_way.c.way == way
            before = connection.execute(select(oncall_way).where(mine)).first()
            failures = before.failures + 1 if before else 1
            doubled = FIRST_WAIT * 2 ** min(failures - 1, 10)
            pause = min(max(doubled, wait or FIRST_WAIT), LONGEST_WAIT)
            put(connection, oncall_way, {
                "way": way, "next_at": (now + pause).isoformat(), "failures": failures,
                "failing_since": (before and before.failing_since) or now.isoformat(),
                "reason": reason,
            })  # fmt: skip

    def failing(self) -> list[Failing]:
        """Return the ways that failed at the last try."""
        query = select(oncall_way).where(oncall_way.c.failing_since.is_not(None))
        with self._engine.connect().execution_options(reads=True) as connection:
            return [
                Failing(
                    way=row.way, since=row.failing_since, failures=row.failures, reason=row.reason
                )
                for row in connection.execute(query.order_by(oncall_way.c.way))
            ]

    def forget(self, standing: Sequence[Alarm]) -> None:
        """Forget what was told of alarms that are over."""
        names = [one.name for one in standing]
        with self._engine.connect().execution_options(reads=True) as connection:
            known = connection.execute(select(oncall_told.c.alarm).distinct()).scalars()
            over = [name for name in known if name not in names]
        if over:
            with self._engine.begin() as connection:
                connection.execute(delete(oncall_told).where(oncall_told.c.alarm.in_(over)))


def _waits(told_at: str, again: timedelta, now: datetime) -> bool:
    """Whether it was told so lately that it is not told again yet."""
    return now - again < datetime.fromisoformat(told_at) <= now
