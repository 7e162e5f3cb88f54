"""What a simulated access system holds, and who put it there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from idsync.model import Cardholder, Change, Credential, Grant, Reason
from tests.simulation.reference import ALWAYS, NEVER

Key: TypeAlias = tuple[str, str, datetime | None, datetime | None]  # kind, ref, from, to


@dataclass
class Held:
    """One grant. `by`: idsync, local (a local administrator), before (who was here first)."""

    kind: str
    ref: str
    begins: datetime | None
    ends: datetime | None
    by: str

    @property
    def key(self) -> Key:
        return self.kind, self.ref, self.begins, self.ends

    def opens(self, now: datetime) -> bool:
        """Tell whether it opens anything now."""
        return (self.begins or ALWAYS) <= now < (self.ends or NEVER)


@dataclass
class Record:
    """One cardholder; `uid` is the human being who carries the card."""

    key: str | None
    uid: int
    shown: dict[str, str] = field(default_factory=dict)
    status: str = "active"
    stopped_by: str = ""  # who suspended it
    cards: dict[str, str] = field(default_factory=dict)  # number: state
    grants: list[Held] = field(default_factory=list)

    def open(self, now: datetime) -> bool:
        """Tell whether its holder opens any door now."""
        return self.status == "active" and any(grant.opens(now) for grant in self.grants)

    @property
    def doors(self) -> tuple[str, str, list[str], list[tuple[str, str]]]:
        """What counts when two ways to the same end are compared."""
        held = sorted(str(grant.key) for grant in self.grants)
        return self.key or "", self.status, held, sorted(self.cards.items())

    def holder(self, native: str) -> Cardholder:
        """Return it as the system shows it."""
        return Cardholder(
            key=self.key, native_id=native,
            status="active" if self.status == "active" else "suspended",
            credentials=tuple(
                Credential(number=number, state=state)  # type: ignore[arg-type]
                for number, state in self.cards.items()
            ),
            grants=tuple(
                Grant(
                    ref=g.ref, kind=g.kind,  # type: ignore[arg-type]
                    valid_from=g.begins, valid_to=g.ends,
                    because=(Reason(type="manual", ref="local"),) if g.by == "local" else (),
                )
                for g in self.grants
            ),
            **self.shown,
        )  # fmt: skip


def key_of(grant: Grant) -> Key:
    return grant.kind, grant.ref, grant.valid_from, grant.valid_to


def carried_out(record: Record, change: Change) -> Record:
    """Return *record* as *change* makes it; what the change does not name stays."""
    grants = [replace(one) for one in record.grants]
    for gone in change.removed:
        mine = [g for g in grants if g.key == key_of(gone)]
        mine.sort(key=lambda g: g.by == "local")  # an equal one that somebody gave stays
        if mine:
            grants.remove(mine[0])
    for new in change.added:
        if not any(g.key == key_of(new) for g in grants):
            grants.append(Held(*key_of(new), by="idsync"))
    cards = dict(record.cards)
    for card in change.credentials:
        if card.number in cards:
            cards[card.number] = card.state
    after = replace(record, grants=grants, cards=cards, shown=record.shown | change.attributes)
    before = change.before.status if change.before else "active"
    if change.after.status != before or change.after.status == "suspended":
        after.status = change.after.status
        after.stopped_by = "idsync" if change.after.status == "suspended" else ""
    return after
