"""Reads what the audit says of a person, or of one right; opens what is sealed where it may."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select

from idsync.store.audit_keys import PersonKey, known_keys, people_of
from idsync.store.audit_records import facts_of
from idsync.store.audit_verifying import one_snapshot
from idsync.store.tables import audit, audit_cut

AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True)
class Told:
    """A stored record. `person_id` is "" and `hidden` empty where the person was erased."""

    controller: str
    number: int
    at: str
    kind: str
    target: str
    person_id: str
    alias: str
    operation: int
    facts: dict[str, Any]
    hidden: dict[str, Any] = field(default_factory=dict)


def of_person(engine: Engine, person_id: str) -> list[Told]:
    """Return every record about somebody, oldest first."""
    with engine.connect().execution_options(reads=True) as connection:
        mine = known_keys(connection, [person_id])
        if not mine:
            return []
        key = mine[person_id]
        query = select(audit).where(audit.c.person == key.alias)
        rows = connection.execute(query.order_by(audit.c.at, audit.c.operation, audit.c.number))
        return [_told(row, person_id, key) for row in rows]


def of_right(
    engine: Engine, target: str, ref: str, progress: Callable[[int], None] = lambda _: None
) -> list[Told]:
    """Return what changed one right of *target*, and who was suspended there, oldest first.

    Reads every record of the target; memory is what fits.
    """
    wanted = f'"ref":{json.dumps(ref, ensure_ascii=False)}'
    query = (
        select(audit)
        .where(audit.c.target == target, audit.c.kind.in_(("intended", "settled", "adopted")))
        .order_by(audit.c.controller, audit.c.number)
    )
    found: list[Row[Any]] = []
    operations: set[int] = set()
    with one_snapshot(engine) as connection:  # PostgreSQL streams within a transaction only
        streamed = connection.execution_options(yield_per=AT_ONCE).execute(query)
        for seen, row in enumerate(streamed, 1):
            if row.kind != "settled":
                if wanted in row.facts or '"part":"status"' in row.facts:
                    found.append(row)
                    operations.add(row.operation)
            elif row.operation in operations:
                found.append(row)
            if seen % AT_ONCE == 0:
                progress(seen)
        whose = people_of(connection, (row.person for row in found))
    found.sort(key=lambda row: (row.at, row.operation, row.number))
    return [_told(row, *whose.get(row.person, ("", None))) for row in found]


def begins_at(engine: Engine, controllers: Iterable[str]) -> str:
    """Return from when the chains of all *controllers* tell, or "" where nothing was ever cut."""
    with engine.connect().execution_options(reads=True) as connection:
        return max((_first(connection, one) for one in controllers), default="")


def _first(connection: Connection, controller: str) -> str:
    if not connection.execute(
        select(audit_cut.c.number).where(audit_cut.c.controller == controller)
    ).first():
        return ""
    oldest = select(func.min(audit.c.at)).where(audit.c.controller == controller)
    return connection.execute(oldest).scalar() or ""


def _told(row: Row[Any], person_id: str, key: PersonKey | None) -> Told:
    sealed = bytes(row.sealed)
    return Told(
        controller=row.controller, number=row.number, at=row.at, kind=row.kind,
        target=row.target, person_id=person_id, alias=row.person, operation=row.operation,
        facts=facts_of(row.facts), hidden=key.unseal(sealed) if key and sealed else {},
    )  # fmt: skip
