"""What people have ordered: revocations, and approvals of held parts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    func,
    insert,
    select,
    true,
    update,
)

from idsync.errors import ConfigError
from idsync.plan.brake import HeldPart
from idsync.store.audit import Audit
from idsync.store.audit_records import Record
from idsync.store.digests import digest_of, require_sound
from idsync.store.engines import REVOKING, alone
from idsync.store.tables import approval, revocation

APPROVAL_LIVES = timedelta(hours=24)
WAITING = ("held", "approved")
FEW = 500
"""For so many people a database is asked by name; beyond that it is quicker to look at all."""


@dataclass(frozen=True, kw_only=True)
class Revocation:
    """A durable order that a person, or one employment, opens nothing from now on.

    `told_at` is when the word came that it follows from, where that was before the order.
    `employment` is the id of the one that gives nothing any longer; None: the whole person.
    """

    id: int
    person_id: str
    reason: str
    ordered_by: str
    ordered_at: str
    told_at: str | None = None
    employment: str | None = None


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A held part that somebody looks at, or has let go."""

    digest: str
    scope: str
    direction: str
    people: int
    base: int
    allowed: int
    seen_at: str
    state: str
    window: str = "run"  # which limit was full: run, day, week, floor
    before: int = 0  # people who had changed in that window already
    approvals: int = 1  # how many different people must agree
    first_seen_at: str = ""  # when a part of this scope and direction began to wait
    first_by: str | None = None  # who has agreed, where somebody else must too

    @property
    def waits_for_another(self) -> bool:
        """Whether one of two has agreed."""
        return self.state == "held" and self.first_by is not None


class Orders:
    """Revocations and approvals, each with who, when and why."""

    def __init__(
        self, engine: Engine, audit: Audit, noted: Callable[[], None] = lambda: None
    ) -> None:
        self._engine = engine
        self._audit = audit
        self._noted = noted

    # ── revocations ─────────────────────────────────────────────────────────────────────

    def revoke(
        self, person_id: str, reason: str, by: str, now: datetime, *, employment: str | None = None
    ) -> Revocation:
        """Order it. When this returns, the order survives a power cut. Twice is one order.

        With *employment*, its id, that one alone gives nothing any longer.
        """
        with self._engine.begin() as connection:
            order = self.revoke_in(
                connection, person_id, reason, by, now, employment=employment
            )  # fmt: skip
        self._noted()
        return order

    def revoke_in(
        self,
        connection: Connection,
        person_id: str,
        reason: str,
        by: str,
        now: datetime,
        told: datetime | None = None,
        *,
        employment: str | None = None,
    ) -> Revocation:
        """Do as `revoke` in a transaction of the caller's, who tells the witness after it.

        *told* is when the word came that the order follows from.
        """
        order = {
            "person_id": person_id, "reason": reason, "ordered_by": by,
            "ordered_at": now.isoformat(),
        }  # fmt: skip
        alone(connection, REVOKING)
        standing = connection.execute(
            select(revocation).where(_stands(person_id), _of(employment))
        ).first()
        if standing is not None:
            return _revocation(standing)
        digest = digest_of(*_with(employment, tuple(order.values())))
        came = told.isoformat() if told else None
        row = {**order, "digest": digest, "told_at": came, "employment": employment}
        number = connection.execute(
            insert(revocation).values(row).returning(revocation.c.id)
        ).scalar_one()
        ordered = Record(
            kind="revoked", person_id=person_id, facts={"order": number, "by": by},
            sealed=_sealed(reason, employment),
        )  # fmt: skip
        self._audit.append(connection, [ordered], now)
        return Revocation(id=number, **order, told_at=came, employment=employment)

    def lift(
        self, person_id: str, reason: str, by: str, now: datetime, *, employment: str | None = None
    ) -> bool:
        """Lift the standing revocation of a person, or of *employment*; tell if there was one."""
        with self._engine.begin() as connection:
            lifted = connection.execute(
                update(revocation)
                .where(_stands(person_id), _of(employment))
                .values(lifted_at=now.isoformat(), lifted_by=by, lifted_reason=reason)
            )
            if lifted.rowcount:
                told = Record(
                    kind="restored", person_id=person_id, facts={"by": by},
                    sealed=_sealed(reason, employment),
                )  # fmt: skip
                self._audit.append(connection, [told], now)
        return lifted.rowcount > 0

    def lifted(self, of: Collection[str]) -> dict[str, str]:
        """Return when the access of each of the persons *of* was last given back, by person."""
        query = select(revocation.c.person_id, func.max(revocation.c.lifted_at).label("at")).where(
            revocation.c.lifted_at.is_not(None), _about(of)
        )
        with self._engine.connect().execution_options(reads=True) as connection:
            rows = connection.execute(query.group_by(revocation.c.person_id))
            return {row.person_id: row.at for row in rows if row.person_id in of}

    def revocations(self, of: Collection[str] | None = None) -> list[Revocation]:
        """Return the standing revocations, of all or of the persons *of*, oldest first."""
        standing = revocation.c.lifted_at.is_(None)
        if of is None:
            return self.those(standing)
        return [order for order in self.those(standing & _about(of)) if order.person_id in of]

    def those(self, which: ColumnElement[bool]) -> list[Revocation]:
        """Return the revocations *which*, a condition on their table, oldest first."""
        query = select(revocation).where(which).order_by(revocation.c.id)
        with self._engine.connect().execution_options(reads=True) as connection:
            return [_revocation(row) for row in connection.execute(query)]

    def is_revoked(self, person_id: str, *, planned: int = 0) -> bool:
        """Return whether a revocation stands now of this person, or of an employment of theirs.

        Of employments only orders count that are newer than the one numbered *planned*: what
        was planned by the others knows what is left to give.
        """
        whole, newer = revocation.c.employment.is_(None), revocation.c.id > planned
        query = select(revocation.c.id).where(_stands(person_id), whole | newer)
        with self._engine.connect().execution_options(reads=True) as connection:
            return connection.execute(query).first() is not None

    # ── approvals ───────────────────────────────────────────────────────────────────────

    def hold(self, parts: Iterable[HeldPart], used: Iterable[str], now: datetime) -> None:
        """Keep the parts that wait now; what waited before and was not seen again is gone."""
        with self._engine.begin() as connection:
            self.hold_in(connection, parts, used, now)

    def hold_in(
        self,
        connection: Connection,
        parts: Iterable[HeldPart],
        used: Iterable[str],
        now: datetime,
    ) -> None:
        """Do as `hold` in a transaction of the caller's."""
        waiting = {part.digest: part for part in parts}
        # locked: an approval given meanwhile is seen here, or given on what is written here
        query = select(approval.c.digest, approval.c.state).with_for_update()
        states = connection.execute(query)
        known = {row.digest: row.state for row in states}
        connection.execute(
            update(approval).where(approval.c.digest.in_(list(used))).values(state="used")
        )
        connection.execute(
            update(approval)
            .where(approval.c.state.in_(WAITING))
            .where(approval.c.digest.not_in(list(waiting)))
            .values(state="gone")
        )
        for digest, part in waiting.items():
            if known.get(digest) == "approved":
                continue  # somebody let it go while this run was under way
            values = _held(part, now)
            if known.get(digest) != "held":  # what one of two agreed to stands while it waits
                values |= {"first_by": None, "first_at": None, "first_reason": None}
            if digest in known:
                connection.execute(
                    update(approval).where(approval.c.digest == digest).values(values)
                )
            else:
                connection.execute(insert(approval).values(digest=digest, **values))

    def waiting(self) -> list[Approval]:
        """Return the parts that are held or approved and not yet used."""
        query = (
            select(approval)
            .where(approval.c.state.in_(WAITING))
            .order_by(approval.c.scope, approval.c.direction)
        )
        with self._engine.connect().execution_options(reads=True) as connection:
            return [_approval(row) for row in connection.execute(query)]

    def waiting_under(self, start: str) -> Approval:
        """Return the one part that waits under a digest that begins with *start*.

        Raises:
            ConfigError: none waits under this digest, or several do.
        """
        fitting = [part for part in self.waiting() if part.digest.startswith(start.lower())]
        if len(start) >= 8 and len(fitting) == 1:
            return fitting[0]
        several = len(start) >= 8 and len(fitting) > 1
        raise ConfigError(f"{'more than one' if several else 'no'} {NO_SUCH_PART}")

    def approve(self, start: str, by: str, reason: str, now: datetime) -> Approval:
        """Approve the one held part whose digest begins with *start*, and return it.

        Where two must agree, the first leaves it held, and waits for another for a day.

        Raises:
            ConfigError: none waits under this digest, or several do, or the same person
                agrees twice where two must.
        """
        part = self.waiting_under(start)
        with self._engine.begin() as connection:
            mine = approval.c.digest == part.digest
            row = connection.execute(select(approval).where(mine).with_for_update()).one()
            first = row.first_by if _fresh(row.first_at, now) else None
            if row.approvals > 1 and first is None:
                agreed = {
                    "state": "held", "first_by": by, "first_at": now.isoformat(),
                    "first_reason": reason,
                }  # fmt: skip
            elif row.approvals > 1 and first is not None and _same(first, by):
                raise ConfigError("this part needs two people: somebody else has to approve it too")
            else:
                agreed = {
                    "state": "approved", "approved_by": by, "approved_at": now.isoformat(),
                    "reason": reason,
                }  # fmt: skip
            written = connection.execute(
                update(approval)
                .where(mine, approval.c.state.in_(WAITING))  # a run may have used it meanwhile
                .values(agreed)
                .returning(approval)
            ).first()
            if written is not None:
                told = {"digest": part.digest, "by": by, "reason": reason, "state": written.state}
                self._audit.append(connection, [Record(kind="approved", facts=told)], now)
        if written is None:
            raise ConfigError(f"no {NO_SUCH_PART}")
        return _approval(written)

    def approved(self, now: datetime) -> list[str]:
        """Return the digests that may go: approved, not used, not older than a day."""
        oldest = (now - APPROVAL_LIVES).isoformat()
        query = select(approval.c.digest).where(
            approval.c.state == "approved", approval.c.approved_at >= oldest
        )
        with self._engine.connect().execution_options(reads=True) as connection:
            return [digest for (digest,) in connection.execute(query)]


def _revocation(row: Row[Any]) -> Revocation:
    order = Revocation(
        id=row.id, person_id=row.person_id, reason=row.reason, ordered_by=row.ordered_by,
        ordered_at=row.ordered_at, told_at=row.told_at, employment=row.employment,
    )  # fmt: skip
    said = (order.person_id, order.reason, order.ordered_by, order.ordered_at)
    require_sound(row.digest, *_with(order.employment, said))
    return order


def _about(persons: Collection[str]) -> ColumnElement[bool]:
    """Which rows may be about *persons*: of very many, any."""
    return revocation.c.person_id.in_(list(persons)) if len(persons) <= FEW else true()


def _stands(person_id: str) -> ColumnElement[bool]:
    return (revocation.c.person_id == person_id) & revocation.c.lifted_at.is_(None)


def _of(employment: str | None) -> ColumnElement[bool]:
    """Which orders end *employment*; None: the whole person."""
    return revocation.c.employment.is_not_distinct_from(employment)


def _with(employment: str | None, said: tuple[str, ...]) -> tuple[str, ...]:
    """Of an order on one employment its digest says so: no damage makes it one on a person."""
    return said if employment is None else (*said, employment)


def _sealed(reason: str, employment: str | None) -> dict[str, str]:
    return {"reason": reason} | ({} if employment is None else {"employment": employment})


NO_SUCH_PART = (
    "held part has this digest: `idsync status` lists what waits; "
    "write at least 8 signs of its digest"
)


def _held(part: HeldPart, now: datetime) -> dict[str, Any]:
    """Return the columns of a part that waits."""
    return {
        "scope": part.scope, "direction": part.direction, "people": part.people,
        "base": part.base, "allowed": part.limit, "seen_at": now.isoformat(),
        "state": "held", "approved_by": None, "approved_at": None, "reason": None,
        "full_window": part.window, "already": part.before, "approvals": part.approvals,
        "first_seen_at": part.first_seen_at or now.isoformat(),
    }  # fmt: skip


def _approval(row: Row[Any]) -> Approval:
    return Approval(
        digest=row.digest, scope=row.scope, direction=row.direction, people=row.people,
        base=row.base, allowed=row.allowed, seen_at=row.seen_at, state=row.state,
        window=row.full_window, before=row.already, approvals=row.approvals,
        first_seen_at=row.first_seen_at or row.seen_at, first_by=row.first_by,
    )  # fmt: skip


def _fresh(at: str | None, now: datetime) -> bool:
    return at is not None and at >= (now - APPROVAL_LIVES).isoformat()


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()
