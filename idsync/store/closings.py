"""How far each revocation has got: what every target showed of it last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select

from idsync.store.orders import Orders, Revocation
from idsync.store.putting import put
from idsync.store.tables import closing, revocation

SURE = ("confirmed", "nothing")
"""Outcomes after which a target need not be asked again for one revocation."""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """A revocation that one target has not confirmed; `outcome` is "" where it was not tried."""

    order: Revocation
    target: str
    outcome: str = ""
    reason: str = ""
    at: str = ""


class Closings:
    """What is known of standing revocations, target by target."""

    def __init__(self, engine: Engine, orders: Orders) -> None:
        self._engine = engine
        self._orders = orders

    def note(self, person_id: str, target: str, outcome: str, reason: str, now: datetime) -> None:
        """Write down what *target* showed of a person; nothing where no order stands."""
        with self._engine.begin() as connection:
            order = connection.execute(
                select(revocation.c.id).where(
                    revocation.c.person_id == person_id, revocation.c.lifted_at.is_(None)
                )
            ).scalar()
            if order is None:
                return
            row = {
                "revocation": order, "target": target, "outcome": outcome, "reason": reason,
                "at": now.isoformat(),
            }  # fmt: skip
            put(connection, closing, row)

    def unconfirmed(self, targets: Iterable[str]) -> list[Exposure]:
        """Return what of the standing revocations is not confirmed in *targets*, oldest first."""
        with self._engine.connect().execution_options(reads=True) as connection:
            rows = connection.execute(select(closing)).all()
        known = {(row.revocation, row.target): row for row in rows}
        found = []
        names = list(targets)
        for order in self._orders.revocations():
            for name in names:
                row = known.get((order.id, name))
                if row is None:
                    found.append(Exposure(order=order, target=name))
                elif row.outcome not in SURE:
                    found.append(
                        Exposure(
                            order=order, target=name, outcome=row.outcome, reason=row.reason,
                            at=row.at,
                        )
                    )  # fmt: skip
        return found
