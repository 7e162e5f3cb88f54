"""A site of two controllers with a holders file, and the adapter on it."""

from __future__ import annotations

import csv
from datetime import date, datetime
from pathlib import Path
from typing import Any

from idsync.model import Cardholder, Change, Grant
from idsync.targets.uhppote import UhppoteTarget
from tests.fakes.uhppote import FakeController, Habits, Held

RIGHTS = ("FSK-ENTRE", "SKOLA-ENTRE", "STADSHUS Å")
PLACES = {"FSK-ENTRE": (0, 1), "SKOLA-ENTRE": (0, 3), "STADSHUS Å": (1, 2)}
"""Each right as the number of its controller and of its door there."""

ENTRANCE, CITY_HALL = 405419896, 303986753
CARD, SECOND = 8_000_001, 8_000_002  # cards of the person with the key 1001
DAY = 29  # the number of the time profile that the settings call DAY


class Site:
    """Two controllers and a holders file, running."""

    def __init__(self, folder: Path) -> None:
        self.habits = Habits()
        self.first = FakeController(ENTRANCE, self.habits)
        self.second = FakeController(CITY_HALL, self.habits, version="8.92")
        self.both = (self.first, self.second)
        for controller in self.both:
            controller.profiles.add(DAY)
        self.file = folder / "holders.csv"
        self.rows: list[tuple[str, int]] = []
        self.write()

    def close(self) -> None:
        for controller in self.both:
            controller.close()

    def revive(self) -> None:
        """Bring the first controller back, with what it held, on another port."""
        cards = self.first.slots
        self.first = FakeController(self.first.id, self.habits)
        self.first.slots = cards
        self.both = (self.first, self.second)

    def write(self, *, end: str = "") -> None:
        """Write the holders file anew."""
        with self.file.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=";", lineterminator="\n")
            writer.writerows([("key", "card"), *self.rows])
            file.write(end)

    def own(self, key: str, *cards: int) -> None:
        """Enter cards of a person into the holders file."""
        self.rows += [(key, card) for card in cards]
        self.write()

    def settings(self, **changed: Any) -> dict[str, Any]:
        return {
            "controllers": [
                {
                    "id": ENTRANCE,
                    "address": self.first.address,
                    "doors": ["FSK-ENTRE", "", "SKOLA-ENTRE"],
                },
                {
                    "id": CITY_HALL,
                    "address": self.second.address,
                    "doors": ["STADSHUS BAK", "STADSHUS Å"],
                    "protocol": "tcp",
                },
            ],
            "holders": str(self.file),
            "profiles": {"DAY": DAY},
            "timeout_s": 0.3,
            **changed,
        }

    def target(self, **changed: Any) -> UhppoteTarget:
        return UhppoteTarget(UhppoteTarget.Config.model_validate(self.settings(**changed)))

    def stranger(self, wanted: Cardholder) -> None:
        """Write as a local administrator would, at the controllers and in the file."""
        cards = [int(card.number) for card in wanted.credentials]
        if wanted.key is None:
            cards = cards or [9_000_001 + len(self.first.slots) + len(self.second.slots)]
        else:
            for card in cards:
                if (wanted.key, card) not in self.rows:
                    self.own(wanted.key, card)
            owned = [card for key, card in self.rows if key == wanted.key]
            standing = [c for c in owned if c in self.first.numbers + self.second.numbers]
            if wanted.grants and not cards:
                cards = standing
        for card in cards:
            doors = [[0] * 4, [0] * 4]
            for controller, (device, have) in enumerate(zip(self.both, doors, strict=True)):
                there = device.held(card)
                have[:] = there.doors if there else have
                for grant in wanted.grants:
                    where, door = PLACES[grant.ref]
                    if where == controller:
                        have[door - 1] = 1
                if any(have) or (controller == 0 and not there):
                    _put(device, card, have, there)


def _put(device: FakeController, card: int, doors: list[int], there: Held | None) -> None:
    """Put a card with other doors; whatever else it had stays."""
    if there is None:
        device.put(card, *doors)
        return
    begin, end = date.fromisoformat(there.begin), date.fromisoformat(there.end)
    device.put(card, *doors, begin=begin, end=end, pin=there.pin, first=there.first)


# ── hands and eyes ──────────────────────────────────────────────────────────────────────


def holding(*refs: str, key: str = "1001", **fields: Any) -> Cardholder:
    return Cardholder(key=key, grants=tuple(Grant(ref=ref) for ref in refs), **fields)


def change(target: UhppoteTarget, after: Cardholder) -> Cardholder:
    """Put *after* as the engine does, and return what is there then."""
    before = target.read_one("1001")
    target.put(Change(before=before, after=after))
    return shown(target)


def shown(target: UhppoteTarget, key: str = "1001") -> Cardholder:
    found = target.read_one(key)
    assert found is not None
    return found


def today(site: Site) -> date:
    return datetime.now(UhppoteTarget.Config.model_validate(site.settings()).timezone).date()


def refs(holder: Cardholder) -> set[str]:
    return {grant.ref for grant in holder.grants}


def held(site: Site, card: int = CARD) -> tuple[Held | None, Held | None]:
    return site.first.held(card), site.second.held(card)
