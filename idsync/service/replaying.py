"""From records to who held what, and when: the history of grants, played again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import polars as pl

from idsync.store.audit_reading import Told

Origin = Literal["idsync", "adopted", "local", "ledger"]
STANDS = ("confirmed", "submitted")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A right that somebody held in a target, from when to when, and why.

    known_from is when it was sent, or first seen; None: before the history begins. known_to
    is when its end was confirmed, or it was first seen no longer; None: it stands. What is
    valid may be shorter. `person` is an idsync id, else the alias of somebody erased.
    certain is False where a system has not answered, or its answer was never known.
    """

    person: str
    target: str
    kind: str
    ref: str
    valid_from: datetime | None
    valid_to: datetime | None
    known_from: datetime | None
    origin: Origin
    known_to: datetime | None = None
    because: str = ""
    ended_because: str = ""
    operation: int = 0
    certain: bool = True
    key: str = ""  # of a cardholder that no person is known to be

    @property
    def begins(self) -> datetime | None:
        """From when it opened something, as far as is known."""
        return _latest(self.known_from, self.valid_from)

    @property
    def ends(self) -> datetime | None:
        """Until when."""
        return _earliest(self.known_to, self.valid_to)

    def touches(self, start: datetime, end: datetime) -> bool:
        """Whether it opened something in [start, end], or at the instant where both are one."""
        begins, ends = self.begins, self.ends
        return (begins is None or begins <= end) and (ends is None or start < ends)


@dataclass(kw_only=True)
class History:
    """The spans of grants, and when people were suspended: by person and target."""

    spans: list[Span] = field(default_factory=list)
    suspended: dict[tuple[str, str], list[tuple[datetime, datetime | None]]] = field(
        default_factory=dict
    )

    def opening(self, start: datetime, end: datetime) -> Iterator[Span]:
        """Yield what opened something at some instant of [start, end]."""
        for span in self.spans:
            if span.touches(start, end) and not self._rested(span, start, end):
                yield span

    def _rested(self, span: Span, start: datetime, end: datetime) -> bool:
        """Whether the person was suspended there for all of the time that is asked for."""
        begins = _latest(start, span.begins) or start
        ends = _earliest(end, span.ends) or end
        rests = self.suspended.get((span.person, span.target), ())
        return any(one <= begins and (two is None or ends < two) for one, two in rests)


def replay(records: Iterable[Told]) -> History:
    """Return the history that *records* tell, given oldest first.

    A grant counts from the instant it was sent, and its end from the instant it was
    confirmed: what may have opened is never left out.
    """
    told = list(records)
    outcome = {one.operation: one for one in told if one.kind == "settled"}  # the last one
    history = _Replay()
    for record in told:
        if record.kind == "adopted":
            history.adopt(record)
        elif record.kind == "intended":
            history.carry_out(record, outcome.get(record.operation))
    return History(spans=[*history.done, *history.open.values()], suspended=history.suspended)


Identity = tuple[str, str, str, str, datetime | None, datetime | None]


class _Replay:
    """The grants that stand while the records go by."""

    def __init__(self) -> None:
        self.open: dict[Identity, Span] = {}
        self.done: list[Span] = []
        self.suspended: dict[tuple[str, str], list[tuple[datetime, datetime | None]]] = {}

    def adopt(self, record: Told) -> None:
        at = datetime.fromisoformat(record.at)
        for item in record.facts["items"]:
            because = "it stood there at first contact and equals what the rules give"
            self._begin(record, item, at, "adopted", because, certain=True)

    def carry_out(self, intended: Told, settled: Told | None) -> None:
        state = settled.facts["state"] if settled else "unknown"
        sent = datetime.fromisoformat(intended.at)
        seen = datetime.fromisoformat(settled.at) if settled else None
        items, hidden = intended.facts["items"], intended.hidden.get("items", [])
        if state == "partly" and settled:
            items, hidden = settled.facts["items"], settled.hidden.get("items", [])
        if state not in (*STANDS, "partly", "unknown", "intent"):
            return
        for row, item in enumerate(items):
            because = hidden[row].get("because", "") if row < len(hidden) else ""
            if item["part"] == "status":
                self._rest(intended, item, sent, seen, known=state in (*STANDS, "partly"))
            if item["part"] != "grant":
                continue
            certain = state in ("confirmed", "partly")
            if "before" in item and state != "unknown":
                self._end(intended, item, seen, because)
            if "after" in item:
                self._begin(intended, item, sent, "idsync", because, certain=certain)

    def _begin(
        self,
        record: Told,
        item: dict[str, Any],
        at: datetime,
        origin: Origin,
        because: str,
        *,
        certain: bool,
    ) -> None:
        identity = _identity(record, item, "after")
        if identity in self.open and (self.open[identity].certain or not certain):
            return
        person, target, kind, ref, start, end = identity
        self.open[identity] = Span(
            person=person, target=target, kind=kind, ref=ref, valid_from=start, valid_to=end,
            known_from=at, origin=origin, because=because, operation=record.operation,
            certain=certain,
        )  # fmt: skip

    def _end(self, record: Told, item: dict[str, Any], at: datetime | None, because: str) -> None:
        span = self.open.pop(_identity(record, item, "before"), None)
        if span is not None:
            self.done.append(replace(span, known_to=at, ended_because=because))

    def _rest(
        self,
        record: Told,
        item: dict[str, Any],
        sent: datetime,
        seen: datetime | None,
        *,
        known: bool,
    ) -> None:
        rests = self.suspended.setdefault((record.person_id or record.alias, record.target), [])
        if item.get("value") == "suspended" and known and seen is not None:
            rests.append((seen, None))
        elif item.get("value") == "active" and rests and rests[-1][1] is None:
            rests[-1] = (rests[-1][0], sent)


def _identity(record: Told, item: dict[str, Any], side: str) -> Identity:
    start, end = item[side]
    person = record.person_id or record.alias
    return (person, record.target, item["kind"], item["ref"], _at(start), _at(end))


def from_frame(rows: pl.DataFrame, target: str, origin: Origin) -> Iterator[Span]:
    """Yield the spans of stored grants: of LOCAL as seen, of LEDGER as they stand now."""
    for row in rows.iter_rows(named=True):
        person = row["person_id"] or ""
        yield Span(
            person=person, target=target, kind=row["kind"], ref=row["ref"],
            valid_from=row["valid_from"], valid_to=row["valid_to"], origin=origin,
            known_from=row.get("seen_from"), known_to=row.get("seen_to"),
            because=row.get("because") or "", key="" if person else row["key"] or "",
        )  # fmt: skip


def _at(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _latest(one: datetime | None, two: datetime | None) -> datetime | None:
    return max(at for at in (one, two) if at is not None) if one or two else None


def _earliest(one: datetime | None, two: datetime | None) -> datetime | None:
    return min(at for at in (one, two) if at is not None) if one or two else None
