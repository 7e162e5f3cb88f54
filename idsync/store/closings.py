"""How far each revocation has got: what every target showed of it, and when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select

from idsync.store.latencies import count
from idsync.store.orders import Orders, Revocation
from idsync.store.putting import put
from idsync.store.tables import closing, journal, revocation

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
    sent_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far one order has got in one target; instants are ISO texts in UTC.

    `sent_at` is when a write there was first intended; None: nothing was left to send, or the
    target could not be read. `confirmed_at` is when it was first seen there that they open nothing.
    """

    order: int
    target: str
    outcome: str
    at: str
    sent_at: str | None
    confirmed_at: str | None


class Closings:
    """What is known of standing revocations, target by target."""

    def __init__(self, engine: Engine, orders: Orders) -> None:
        self._engine = engine
        self._orders = orders

    def note(
        self, person_id: str, target: str, outcome: str, reason: str, now: datetime,
        *, planned: int | None = None,
    ) -> None:  # fmt: skip
        """Write down what *target* showed of a person; nothing where no order stands.

        Of the orders that stand, those that were known to whoever looked: up to the one
        numbered *planned*, or all. What was done by an older order says nothing of a newer
        one, which may take more. The first confirmation is counted among the latencies, from
        when the word came.
        """
        stands = (revocation.c.person_id == person_id) & revocation.c.lifted_at.is_(None)
        if planned is not None:
            stands = stands & (revocation.c.id <= planned)
        with self._engine.begin() as connection:
            orders = connection.execute(
                select(revocation)
                .where(stands)
                .order_by(revocation.c.id)
                .with_for_update()  # so that of two who see it at once one counts it
            ).all()
            for order in orders:
                _note(connection, order, target, outcome, reason, now)

    def progress(self, order: int | None = None) -> list[Progress]:
        """Return how far *order* has got, or every standing one; what was not tried is left out."""
        query = select(closing).join(revocation, revocation.c.id == closing.c.revocation)
        mine = revocation.c.lifted_at.is_(None) if order is None else revocation.c.id == order
        query = query.where(mine)
        with self._engine.connect().execution_options(reads=True) as connection:
            rows = connection.execute(query.order_by(closing.c.revocation, closing.c.target))
            return [
                Progress(
                    order=row.revocation, target=row.target, outcome=row.outcome, at=row.at,
                    sent_at=row.sent_at, confirmed_at=row.confirmed_at,
                )
                for row in rows
            ]  # fmt: skip

    def sure(self) -> list[tuple[int, str]]:
        """Return order and target wherever the last look at a standing order was sure."""
        query = select(closing.c.revocation, closing.c.target).join(
            revocation, revocation.c.id == closing.c.revocation
        )
        query = query.where(closing.c.outcome.in_(SURE), revocation.c.lifted_at.is_(None))
        with self._engine.connect().execution_options(reads=True) as connection:
            return [(order, target) for order, target in connection.execute(query)]

    def unconfirmed(self, targets: Iterable[str]) -> list[Exposure]:
        """Return what of the standing revocations is not confirmed in *targets*, oldest first."""
        names = list(targets)
        seen = closing.alias()
        sure = (
            select(func.count())
            .where(
                seen.c.revocation == revocation.c.id, seen.c.target.in_(names),
                seen.c.outcome.in_(SURE),
            )
            .scalar_subquery()
        )  # fmt: skip
        # of thousands of orders that stand a few are open: only those are looked at
        somewhere = revocation.c.lifted_at.is_(None) & (sure < len(names))
        orders = self._orders.those(somewhere)
        if not orders:
            return []
        query = select(closing).join(revocation, revocation.c.id == closing.c.revocation)
        with self._engine.connect().execution_options(reads=True) as connection:
            rows = connection.execute(query.where(somewhere)).all()
        known = {(row.revocation, row.target): row for row in rows}
        found = []
        for order in orders:
            for name in names:
                row = known.get((order.id, name))
                if row is None:
                    found.append(Exposure(order=order, target=name))
                elif row.outcome not in SURE:
                    found.append(
                        Exposure(
                            order=order, target=name, outcome=row.outcome, reason=row.reason,
                            at=row.at, sent_at=row.sent_at,
                        )
                    )  # fmt: skip
        return found


def _note(
    connection: Connection, order: Row[Any], target: str, outcome: str, reason: str, now: datetime
) -> None:
    mine = (closing.c.revocation == order.id) & (closing.c.target == target)
    before = connection.execute(select(closing).where(mine)).first()
    row = {
        "revocation": order.id, "target": target, "outcome": outcome, "reason": reason,
        "at": now.isoformat(),
        "sent_at": (before and before.sent_at) or _sent_at(connection, order, target),
        "confirmed_at": before.confirmed_at if before else None,
    }  # fmt: skip
    if outcome in SURE and row["confirmed_at"] is None:
        row["confirmed_at"] = row["at"]
        if outcome == "confirmed":  # where nothing of theirs was, no door was closed
            came = datetime.fromisoformat(order.told_at or order.ordered_at)
            count(connection, target, now - came)
    put(connection, closing, row)


def _sent_at(connection: Connection, order: Row[Any], target: str) -> str | None:
    """When the first write of *order* to *target* was intended; None: none was."""
    since = order.ordered_at
    return connection.execute(
        select(func.min(journal.c.intent_at)).where(
            journal.c.person_id == order.person_id, journal.c.target == target,
            journal.c.intent_at >= since, journal.c.reason.not_like("not sent:%"),
        )
    ).scalar()  # fmt: skip
