"""Alarms are state: each stands until what it tells of is over, whoever was told meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, select, update

from idsync.store.putting import put
from idsync.store.tables import alarm


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """What is wrong, since when; `acknowledged_at` where somebody has said that they see to it."""

    name: str
    since: str
    detail: str
    told_at: str
    acknowledged_at: str | None = None
    acknowledged_by: str | None = None


class Alarms:
    """The alarms that stand."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[Alarm]:
        """Return them, oldest first."""
        query = select(alarm).order_by(alarm.c.since, alarm.c.name)
        with self._engine.connect().execution_options(reads=True) as connection:
            return [Alarm(**row) for row in connection.execute(query).mappings()]

    def stand(self, wrong: Mapping[str, str], now: datetime) -> tuple[list[str], list[str]]:
        """Let exactly the alarms *wrong* (name to detail) stand; return who came and who went."""
        before = {one.name: one for one in self.all()}
        at = now.isoformat()
        came, gone = sorted(wrong.keys() - before.keys()), sorted(before.keys() - wrong.keys())
        changed = [name for name in wrong.keys() & before.keys()
                   if before[name].detail != wrong[name]]  # fmt: skip
        if came or gone or changed:
            with self._engine.begin() as connection:
                # one that another process tells of too is written anew, by whoever comes last
                connection.execute(delete(alarm).where(alarm.c.name.in_(gone)))
                for name in came:
                    told = {"name": name, "since": at, "detail": wrong[name], "told_at": at}
                    put(connection, alarm, told)
                for name in changed:
                    mine = update(alarm).where(alarm.c.name == name)
                    connection.execute(mine.values(detail=wrong[name]))
        return came, gone

    def told(self, names: list[str], now: datetime) -> None:
        """Note that the alarms *names* have been told again."""
        with self._engine.begin() as connection:
            mine = update(alarm).where(alarm.c.name.in_(names))
            connection.execute(mine.values(told_at=now.isoformat()))

    def acknowledge(self, name: str, by: str, now: datetime) -> bool:
        """Note who sees to an alarm, so that it is not told again; False where none stands."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(alarm)
                .where(alarm.c.name == name)
                .values(acknowledged_at=now.isoformat(), acknowledged_by=by)
            )
        return bool(changed.rowcount)
