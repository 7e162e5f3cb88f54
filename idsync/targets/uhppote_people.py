"""A person as the controllers show them: everything that hangs on their cards, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from idsync.model import Cardholder, Credential, CredentialState, HolderStatus
from idsync.targets.uhppote_cards import Record, union
from idsync.targets.uhppote_rights import Rights

Records: TypeAlias = Mapping[tuple[int, int], Record]
"""Records of one person's cards, by controller (its place in the settings) and card number."""

LACKS = "one of several cards lacks a door that another opens"
TORN = "two cards open one door in different time profiles"
HALF_BLOCKED = "the cards are blocked on some controllers only"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody's cards, as the holders file has them, and what the controllers hold of them."""

    key: str | None
    cards: tuple[int, ...]
    records: Records

    @property
    def there(self) -> bool:
        """Whether any controller knows any of the cards."""
        return bool(self.records)

    @property
    def blocked(self) -> bool:
        """Whether no card opens anything anywhere, since all are blocked."""
        return self.there and all(record.blocked for record in self.records.values())

    @property
    def half_blocked(self) -> bool:
        """Whether some records are blocked and others are not."""
        return not self.blocked and any(record.blocked for record in self.records.values())

    def shown(self, rights: Rights, today: date) -> Cardholder:
        """Return the cardholder."""
        held = [(controller, record.doors) for (controller, _), record in self.records.items()]
        status: HolderStatus = "suspended" if self.blocked else "active"
        return Cardholder(
            key=self.key,
            native_id=str(min(number for _, number in self.records)),
            status=status,
            credentials=tuple(self._card(number, today) for number in self.cards),
            grants=rights.grants(held),
            amiss="; ".join(self.amiss()) if self.key is not None else "",
        )

    def amiss(self) -> list[str]:
        """Return in words why the cards are not all alike."""
        reasons = []
        for controller in {controller for controller, _ in self.records}:
            opened, torn = self.opened(controller)
            for number in self.cards:
                record = self.records.get((controller, number))
                doors = record.doors if record else (0, 0, 0, 0)
                if any(wanted and not held for wanted, held in zip(opened, doors, strict=True)):
                    reasons.append(LACKS)
            if torn:
                reasons.append(TORN)
        if self.half_blocked:
            reasons.append(HALF_BLOCKED)
        return sorted(set(reasons))

    def opened(self, controller: int) -> tuple[tuple[int, int, int, int], frozenset[int]]:
        """Return what any of the cards opens on one controller, and the doors in dispute."""
        return union(
            self.records[controller, number].doors
            for number in self.cards
            if (controller, number) in self.records
        )

    def _card(self, number: int, today: date) -> Credential:
        records = [record for (_, card), record in self.records.items() if card == number]
        states = {_state(record, today) for record in records}
        for state in ("active", "suspended", "inactive"):
            if state in states:
                return Credential(number=str(number), state=state)
        if states:
            return Credential(number=str(number), state="expired")
        return Credential(
            number=str(number), state="inactive", state_reason="on no controller so far"
        )


def _state(record: Record, today: date) -> CredentialState:
    if record.blocked:
        return "suspended"
    if record.begin is not None and record.begin > today:
        return "inactive"
    if record.end is not None and record.end < today:
        return "expired"
    return "active"
