"""What senders have told: kept before it is answered, and until what became of it is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from idsync.errors import Unavailable
from idsync.store.audit import Audit
from idsync.store.audit_records import Record
from idsync.store.orders import Orders
from idsync.store.tables import event, event_alarm
from idsync.store.turns import call

REMEMBERED = timedelta(days=8)
"""For how long an id is known again. Senders try one event for up to three days or so."""

AGAIN = timedelta(minutes=1)
"""After how long an event that could not be settled is looked at once more."""

LATE = timedelta(minutes=15)
"""After how long somebody should look at an event whose person or employment nobody knows."""

OPEN = ("waiting", "parked", "doubtful")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a sender says, once it is known that it is they who say it.

    `person` and `employment` are keys of the sender's source. `ends` is the instant from
    which it is over; None: now.
    """

    issuer: str
    id: str
    digest: str
    kind: str
    person: str
    employment: str | None = None
    occurred_at: datetime | None = None
    sequence: int | None = None
    ends: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Event(Told):
    """An event that stands in the inbox."""

    number: int
    received_at: datetime
    state: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What became of an event. `at_once`: obeyed on the sender's word alone."""

    event: Event
    state: str  # done, refused, parked, doubtful
    reason: str
    person_id: str | None = None
    at_once: bool = False
    order: str = ""  # the reason of the order that this person opens nothing; "": none
    employments: tuple[str, ...] = ()  # the order is on these alone, by their ids
    reread: bool = False  # what HR says is wanted anew
    alarm: str = ""  # what somebody has to look at


@dataclass(frozen=True, kw_only=True)
class EventAlarm:
    """Something about a sender's events that somebody has to look at."""

    issuer: str
    what: str
    first_at: str
    last_at: str
    count: int


class Inbox:
    """The events, each with its issuer, its id and what became of it."""

    def __init__(
        self, engine: Engine, audit: Audit, orders: Orders, noted: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._audit = audit
        self._orders = orders
        self._noted = noted

    def receive(self, told: Told, now: datetime) -> bool:
        """Keep it; when this returns, it survives a power cut. Tell whether it is new.

        Raises:
            Unavailable: the state does not take it now.
        """
        try:
            return self._received(told, now)
        except DBAPIError:
            raise Unavailable("the state takes no events now: look at it") from None

    def _received(self, told: Told, now: datetime) -> bool:
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        values = _stored(told) | {
            "received_at": now.isoformat(), "state": "waiting", "reason": "", "at_once": False,
        }  # fmt: skip
        # whoever sends it waits for the answer; what it leads to is written after it
        with self._engine.connect().execution_options(first=True) as connection, connection.begin():
            new = connection.execute(
                dialect.insert(event).values(values).on_conflict_do_nothing()
                .returning(event.c.number)
            ).scalar()  # fmt: skip
            if new is not None:
                # not the digest: of a body that names somebody it could be guessed from
                call(connection)
                facts = {"event": new, "issuer": told.issuer, "kind": told.kind}
                self._audit.append(connection, [Record(kind="told", facts=facts)], now)
                return True
            mine = (event.c.issuer == told.issuer) & (event.c.id == told.id)
            before = connection.execute(select(event.c.digest).where(mine)).scalar()
            if before != told.digest:
                _alarm(connection, told.issuer, "one id for two different events", now)
        return False

    def open(self, now: datetime) -> list[Event]:
        """Return what is to be looked at now, oldest first."""
        again = event.c.state.in_(("parked", "doubtful")) & (
            event.c.tried_at <= (now - AGAIN).isoformat()
        )
        query = select(event).where((event.c.state == "waiting") | again).order_by(event.c.number)
        with self._engine.connect().execution_options(reads=True) as connection:
            return [_event(row) for row in connection.execute(query)]

    def last(self, issuer: str) -> datetime | None:
        """Return when the newest event of *issuer* that is still kept came; None: there is none."""
        query = select(func.max(event.c.received_at)).where(event.c.issuer == issuer)
        with self._engine.connect().execution_options(reads=True) as connection:
            return _instant(connection.execute(query).scalar())

    def at_once(self, issuer: str, since: datetime) -> int:
        """Return how many people lost access on the word of *issuer* alone since then."""
        query = select(func.count(event.c.person_id.distinct())).where(
            event.c.issuer == issuer, event.c.at_once, event.c.tried_at > since.isoformat()
        )
        with self._engine.connect().execution_options(reads=True) as connection:
            return connection.execute(query).scalar_one()

    def settle(self, settled: Sequence[Settled], now: datetime) -> None:
        """Write down what became of events, with the orders that follow: all of it, or nothing."""
        if not settled:
            return
        with self._engine.begin() as connection:
            for one in settled:
                for part in one.employments or (None,):
                    if one.order and one.person_id:
                        self._orders.revoke_in(
                            connection, one.person_id, one.order, f"events.{one.event.issuer}",
                            now, one.event.received_at, employment=part,
                        )  # fmt: skip
                connection.execute(
                    update(event)
                    .where(event.c.number == one.event.number, event.c.state.in_(OPEN))
                    .values(
                        state=one.state, reason=one.reason, person_id=one.person_id,
                        tried_at=now.isoformat(), at_once=one.at_once,
                    )
                )  # fmt: skip
            # what is looked at again and again is told once
            news = [one for one in settled if one.state != one.event.state]
            self._audit.append(connection, map(_record, news), now)
            for issuer in sorted({one.event.issuer for one in settled if one.reread}):
                _alarm(connection, issuer, REREAD, now)
            for one in news:
                if one.alarm:
                    _alarm(connection, one.event.issuer, one.alarm, now)
        if any(one.order for one in settled):
            self._noted()

    # ── what somebody has to do ─────────────────────────────────────────────────────────

    def note(self, issuer: str, what: str, now: datetime) -> None:
        """Let somebody look at what a sender does. One row a sender and kind of trouble."""
        with self._engine.begin() as connection:
            _alarm(connection, issuer, what, now)

    def ask_reread(self, issuer: str, now: datetime) -> None:
        """Keep that *issuer* tells of a change; when this returns, it survives a power cut.

        Not what has changed, nor of whom: all that follows is a fresh read, and of a
        thousand changes one.

        Raises:
            Unavailable: the state does not take it now.
        """
        try:
            with (
                self._engine.connect().execution_options(first=True) as connection,
                connection.begin(),
            ):
                _alarm(connection, issuer, REREAD, now)
        except DBAPIError:
            raise Unavailable("the state takes no events now: look at it") from None

    def reread_wanted(self) -> str | None:
        """Return since when a fresh read of HR is wanted; None: none is."""
        query = select(func.min(event_alarm.c.first_at)).where(event_alarm.c.what == REREAD)
        with self._engine.connect().execution_options(reads=True) as connection:
            return connection.execute(query).scalar()

    def reread_done(self, begun: datetime) -> None:
        """Note that a whole run that began then has come to its end."""
        with self._engine.begin() as connection:
            connection.execute(
                delete(event_alarm).where(
                    event_alarm.c.what == REREAD, event_alarm.c.last_at < begun.isoformat()
                )
            )

    def alarms(self, now: datetime) -> list[EventAlarm]:
        """Return what somebody has to look at, of the last 8 days."""
        late, oldest = (now - LATE).isoformat(), (now - REMEMBERED).isoformat()
        counted = (func.min(event.c.received_at), func.max(event.c.received_at), func.count())
        parked = (event.c.state == "parked") & (event.c.received_at <= late)
        kinds = {
            "person not known": parked & event.c.person_id.is_(None),
            "employment not known": parked & event.c.person_id.is_not(None),
            "not confirmed by HR": event.c.state == "doubtful",
        }
        found = []
        with self._engine.connect().execution_options(reads=True) as connection:
            for what, those in kinds.items():
                query = select(event.c.issuer, *counted).where(those).group_by(event.c.issuer)
                found += [(issuer, what, *rest) for issuer, *rest in connection.execute(query)]
            noted = select(event_alarm).where(
                event_alarm.c.last_at >= oldest, event_alarm.c.what != REREAD
            )
            found += [tuple(row) for row in connection.execute(noted)]
        return [
            EventAlarm(issuer=issuer, what=what, first_at=first, last_at=last, count=count)
            for issuer, what, first, last, count in sorted(found)
        ]

    def forget(self, now: datetime) -> int:
        """Forget events older than 8 days; return how many were never settled."""
        old = event.c.received_at < (now - REMEMBERED).isoformat()
        with self._engine.connect().execution_options(reads=True) as connection:
            if connection.execute(select(event.c.number).where(old).limit(1)).first() is None:
                return 0
        with self._engine.begin() as connection:
            query = select(event).where(old, event.c.state.in_(OPEN))
            never = [
                Settled(event=_event(row), state="given up", reason=row.reason)
                for row in connection.execute(query)
            ]
            for one in never:
                what = "given up after 8 days, never settled"
                _alarm(connection, one.event.issuer, what, now)
            connection.execute(delete(event).where(old))
            self._audit.append(connection, map(_record, never), now)
        return len(never)


REREAD = "reread"


def _record(settled: Settled) -> Record:
    facts: dict[str, Any] = {
        "event": settled.event.number, "issuer": settled.event.issuer, "state": settled.state,
        "reason": settled.reason, "at_once": settled.at_once,
    }  # fmt: skip
    return Record(kind="heeded", person_id=settled.person_id or "", facts=facts)


def _alarm(connection: Connection, issuer: str, what: str, now: datetime) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    at = now.isoformat()
    row = {"issuer": issuer, "what": what, "first_at": at, "last_at": at, "count": 1}
    connection.execute(
        dialect.insert(event_alarm).values(row).on_conflict_do_update(
            index_elements=["issuer", "what"],
            set_={"last_at": at, "count": event_alarm.c.count + 1},
        )
    )  # fmt: skip


def _stored(told: Told) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in vars(told).items()
    }


def _event(row: Row[Any]) -> Event:
    return Event(
        number=row.number, issuer=row.issuer, id=row.id, digest=row.digest, kind=row.kind,
        person=row.person, employment=row.employment, sequence=row.sequence,
        occurred_at=_instant(row.occurred_at), ends=_instant(row.ends),
        received_at=datetime.fromisoformat(row.received_at), state=row.state, reason=row.reason,
    )  # fmt: skip


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
