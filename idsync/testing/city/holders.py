"""One access system as it was before idsync came: what is right in it, and what is wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, TextIO
from zoneinfo import ZoneInfo

from idsync.model import day_end, day_start
from idsync.testing.city.dice import Dice
from idsync.testing.city.people import Human
from idsync.testing.city.posts import days

ZONE = ZoneInfo("Europe/Stockholm")
MIGRATED = "migrated"  # how a system marks what came from the system before it
PRIME = 99_999_989  # the largest prime below a hundred million
ENTRANCE = 2  # rights that nearly all have in the town hall: never the ones that are missing
SHARED_CARD = 25  # after so many holders, one whose card number the next one got too


class Right(NamedTuple):
    """One right that the rules give one person in one system, and what it may show of them.

    A name or address is None where the system receives none. Instants have a time zone;
    None is unbounded.
    """

    employee_number: str
    display_name: str | None
    given_name: str | None
    family_name: str | None
    mail: str | None
    department: str | None
    target: str
    kind: str
    ref: str
    valid_from: datetime | None
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class System:
    """An access system of the city.

    Its `departments` have their houses in it; () is all. `sound`: nothing is wrong in it.
    """

    name: str
    prefix: str  # of the ids it gives
    digit: int  # the first of its card numbers
    medium: str
    administrator: str
    departments: tuple[str, ...] = ()
    sound: bool = False


SYSTEMS = (
    System("stadshuset", "STH", 1, "card", "lokal.admin@stadskontoret.example.se"),
    System("skola", "SKO", 2, "fob", "lokal.admin@skola.example.se", ("FSK", "GRS", "GYM")),
    System("omsorg", "OMS", 3, "fob", "lokal.admin@omsorg.example.se", ("VOF", "SOC")),
    System("hamnen", "HYR", 4, "card", "reception@hamnen.example.se", ("HMN",), sound=True),
)


@dataclass(slots=True)
class Fate:
    """What is wrong with one person's records, the same in every system."""

    lacks: bool = False  # a right that they should have
    expired: bool = False  # something that ran out is still listed
    local: bool = False  # a local administrator gave them something
    forgotten: bool = False  # they left, and their tag works
    closed: bool = False  # they left, and the record was closed


def fate_of(human: Human, dice: Dice) -> Fate:
    """Return what is wrong with *human*'s records."""
    share, other = dice.random(), dice.random()
    if human.story in ("left", "gone"):
        return Fate(forgotten=share < 0.145, closed=share > 0.85)
    return Fate(
        lacks=share < 0.01,
        expired=0.01 <= share < 0.017,
        local=other < 0.01,
    )


class Holders:
    """The records of one system, written one a line: see `idsync.targets.local`.

    What is not written has its default: nothing, active, an access right.
    """

    def __init__(self, system: System, file: TextIO, dice: Dice, today: date) -> None:
        self.system = system
        self._file = file
        self._dice = dice
        self._today = today
        self._count = 0
        self._card_of_the_last = ""
        self._shared = False
        self._shown: tuple[str, ...] = ()
        self._refs: dict[str, None] = {}
        self._colleagues: dict[str, list[dict[str, Any]]] = {}

    def add(self, human: Human, rights: Sequence[Right], fate: Fate) -> None:
        """Write what the system holds for *human*, who has these *rights*, or had some."""
        if rights:
            self._current(human, rights, fate)
        elif fate.forgotten or fate.closed:
            self._former(human, fate)

    def _current(self, human: Human, rights: Sequence[Right], fate: Fate) -> None:
        grants = [
            _grant(one.ref, one.kind, one.valid_from, one.valid_to, MIGRATED) for one in rights
        ]
        self._remember(human, rights, grants)
        if not self.system.sound:
            if fate.lacks and len(grants) > ENTRANCE:
                grants.pop(self._dice.below(len(grants)))
                fate.lacks = False  # in one system is enough
            if fate.expired:
                grants.append(self._old(ended=True))
            if fate.local:
                grants.append(self._local("akut"))
        self._write(
            {
                "key": human.number,
                "native_id": self._native_id(),
                **self._details(human, rights[0]),
                "credentials": [self._card(self._number(human))],
                "grants": grants,
            }
        )

    def _remember(
        self, human: Human, rights: Sequence[Right], grants: list[dict[str, Any]]
    ) -> None:
        self._shown = tuple(
            name for name in Right._fields[1:6] if getattr(rights[0], name) is not None
        )
        self._refs.update(dict.fromkeys(one.ref for one in rights if one.kind == "access"))
        code = human.main.unit.code
        if len(human.posts) == 1 and code in (self.system.departments or (code,)):
            self._colleagues[code] = list(grants)

    def _details(self, human: Human, right: Right) -> dict[str, str | None]:
        """The names by which the system knows somebody: the old ones, or those now to hide."""
        details = {name: getattr(right, name) for name in Right._fields[1:6]}
        if human.former_family or human.protection != "none":
            known = known_as(human)
            details.update({name: known[name] for name in details if details[name] is not None})
        return details

    def _former(self, human: Human, fate: Fate) -> None:
        """Write a leaver: with what a colleague has and no end, or put away as it should be."""
        grants = self._colleagues.get(human.main.unit.code)
        if self.system.sound or not grants:
            return
        known = known_as(human)
        begun = _stamp(day_start(human.main.first, ZONE))
        endless = [
            {name: one[name] for name in ("ref", "kind", "granted_by") if name in one}
            | {"valid_from": begun}
            for one in grants
        ]
        self._write(
            {
                "key": human.number,
                "native_id": self._native_id(),
                **{name: known[name] for name in self._shown},
                "status": "active" if fate.forgotten else "suspended",
                "credentials": [
                    self._card(
                        self._scrambled(int(human.number)),
                        "active" if fate.forgotten else "returned",
                    )
                ],
                "grants": endless if fate.forgotten else [],
            }
        )

    def finish(self) -> None:
        """Write the records that belong to nobody the sources know."""
        if self.system.sound:
            return
        for serial in range(2 + self._count // 120):
            self._write({"key": None, "credentials": [self._card(self._spare(serial))]})
        for serial in range(2 + self._count // 400):
            number = f"{4711 + serial * 13:06d}"  # of a series that HR no longer gives out
            self._stranger(number, f"Okänd {number}", 100_000 + serial, MIGRATED)
        for serial in range(2 + self._count // 600):
            by = self.system.administrator
            self._stranger(None, f"Besökskort {serial + 1}", 200_000 + serial, by)

    def _stranger(self, key: str | None, name: str, serial: int, given_by: str) -> None:
        grant = self._local("gäst") if given_by != MIGRATED else self._old(ended=False)
        record = {"key": key, "native_id": self._native_id(), "display_name": name}
        self._write(record | {"credentials": [self._card(self._spare(serial))], "grants": [grant]})

    # ── parts of a record ───────────────────────────────────────────────────────────────

    def _old(self, *, ended: bool) -> dict[str, Any]:
        """A grant from long ago that has *ended*, or has no end."""
        begun = self._today - days(self._dice.between(500, 1500))
        last = begun + days(self._dice.between(30, 400))
        return _grant(
            self._any_ref(), "access", day_start(begun, ZONE),
            day_end(last, ZONE) if ended else None, MIGRATED,
        )  # fmt: skip

    def _local(self, note: str) -> dict[str, Any]:
        begun = self._today - days(self._dice.between(0, 60))
        until = self._today + days(self._dice.between(5, 500))
        grant = _grant(
            self._any_ref(), "access", day_start(begun, ZONE), day_end(until, ZONE),
            self.system.administrator,
        )  # fmt: skip
        return grant | {"note": note}

    def _any_ref(self) -> str:
        return self._dice.pick(list(self._refs) or ["ENTRE"])

    def _native_id(self) -> str:
        self._count += 1
        return f"{self.system.prefix}{self._count:06d}"

    def _number(self, human: Human) -> str:
        """One tag a person and system; now and then it is that of the person before, too."""
        shared = self._card_of_the_last
        number = self._scrambled(int(human.number))
        due = self._count >= SHARED_CARD and not self._shared
        again = not self.system.sound and (due or self._dice.chance(0.0005))
        self._shared = self._shared or again
        self._card_of_the_last = number if again else ""
        return shared or number

    def _spare(self, serial: int) -> str:
        return self._scrambled(3_000_000 + serial)  # no employee number is that high

    def _scrambled(self, value: int) -> str:
        return f"{self.system.digit}{value * 48_271 % PRIME:08d}"

    def _card(self, number: str, state: str = "active") -> dict[str, str]:
        card = {"number": number, "medium": self.system.medium, "state": state}
        defaults = {"medium": "card", "state": "active"}
        return {name: value for name, value in card.items() if defaults.get(name) != value}

    def _write(self, record: dict[str, Any]) -> None:
        kept = {
            name: value
            for name, value in record.items()
            if name == "key" or value not in (None, "", [])
        }
        if kept.get("status") == "active":
            del kept["status"]
        self._file.write(json.dumps(kept, ensure_ascii=False, separators=(",", ":")) + "\n")


def known_as(human: Human) -> dict[str, str]:
    """Return the names by which the systems knew *human* before anything changed."""
    given, family = human.given, human.former_family or human.family
    return {
        "display_name": f"{given} {family}",
        "given_name": given,
        "family_name": family,
        "mail": human.mail,
        "department": human.main.unit.department,
    }


def _grant(
    ref: str, kind: str, begin: datetime | None, end: datetime | None, given_by: str
) -> dict[str, Any]:
    grant: dict[str, Any] = {"ref": ref}
    if kind != "access":
        grant["kind"] = kind
    if begin:
        grant["valid_from"] = _stamp(begin)
    if end:
        grant["valid_to"] = _stamp(end)
    return grant | {"granted_by": given_by}


def _stamp(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
