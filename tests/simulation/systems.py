"""Three access systems in memory, with the habits that real ones have."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from idsync.capabilities import Capabilities
from idsync.errors import Incomplete, Refused, Unavailable
from idsync.model import Cardholder, Change, Outcome
from tests.simulation.dice import Dice
from tests.simulation.people import CANARY
from tests.simulation.records import Record, carried_out

HALL = Capabilities(
    system="hall", dated_grants=True, credential=("read", "update"), grants_per_right="one"
)
SCHOOL = Capabilities(system="school", dated_grants=False, kinds=("access", "alarm"))
WARD = Capabilities(
    system="ward", dated_grants=True, grants_per_right="many", writes="replace", batch=5
)
CAPABILITIES = {"hall": HALL, "school": SCHOOL, "ward": WARD}
FAULTS = ("lost", "failed", "lying", "refusing", "broken", "storm", "half_read")


@dataclass
class System:
    """One access system. `hooks` run when the given write of a run arrives."""

    name: str
    dice: Dice
    watch: Watch
    records: dict[str, Record] = field(default_factory=dict)  # by native id
    day: int = 0
    calm: bool = False
    puts: int = 0  # in this run
    faults: int = 0  # in this run: how often it was not honest
    touched: bool = False  # by a local administrator, in this run
    shown: dict[str, Record] = field(default_factory=dict)  # what a late system shows
    hooks: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    attempt: int = 0  # runs of the day: each has faults of its own

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES[self.name]

    def begin(self, day: int, *, calm: bool) -> None:
        """Begin a run, or an order by itself."""
        self.attempt = self.attempt + 1 if day == self.day else 0
        self.day, self.calm = day, calm
        self.puts = self.faults = 0
        self.touched = False
        self.hooks = {}
        self.shown = copy.deepcopy(self.records) if self.fault == "late" else {}

    @property
    def fault(self) -> str:
        """How it fails today; "" where it does not."""
        if self.calm:
            return ""
        for back in range(4):
            asked = self.dice.stream("target outage", self.name, self.day - back)
            begun = asked.random() < self.dice.weights["target_outage"]
            if begun and asked.randint(1, 4) > back:
                return "down"
        if self.dice.happens("target_fault", self.day, self.name):
            return self.dice.stream("how", self.day, self.name).choice(FAULTS)
        return ""

    def named(self, key: str) -> list[Record]:
        """Return the records that carry *key*."""
        return [record for record in self.records.values() if record.key == key]

    def of(self, uid: int) -> list[Record]:
        """Return the records of a human being."""
        return [record for record in self.records.values() if record.uid == uid]

    def add(self, record: Record) -> Record:
        """Take a new record in."""
        self.records[f"{self.name[0]}{self.watch.next_number()}"] = record
        return record

    # ── how it answers ──────────────────────────────────────────────────────────────────

    def read(self) -> Iterator[Cardholder]:
        fault = self._asked("read")
        records = self.shown if fault == "late" else self.records
        for position, (native, record) in enumerate(list(records.items())):
            if fault == "half_read" and position > len(records) // 2:
                self.faults += 1
                raise Incomplete(f"{self.name} stopped in the middle")
            yield record.holder(native)

    def read_one(self, key: str) -> Cardholder | None:
        fault = self._asked("look")
        records = self.shown if fault == "late" else self.records
        self.faults += fault == "late"
        found = [(native, r) for native, r in records.items() if r.key == key]
        return found[0][1].holder(found[0][0]) if found else None

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        """Take several in one call: what is ordered meanwhile comes too late for all of them."""
        sent = self.watch.orders()
        outcomes = []
        for change in changes:
            try:
                outcomes.append(self.put(change, sent))
            except Refused as error:
                outcomes.append(Outcome(status="refused", reason=str(error)))
        return outcomes

    def put(self, change: Change, sent: frozenset[int] | None = None) -> Outcome:
        """Carry *change* out; *sent* is who was revoked when the call was sent."""
        self.watch.asked(self, change, self.watch.orders() if sent is None else sent)
        fault = self._asked("put")
        self.puts += 1
        for hook in self.hooks.pop(self.puts, []):
            hook()
        chance = self.dice.stream("put", self.day, self.name, self.puts, self.attempt)
        hit = chance.random() < 0.5
        if fault and hit:
            self.faults += 1
        if fault == "failed" and hit:
            raise Unavailable(f"{self.name}: 500")
        if fault == "refusing" and hit:
            raise Refused(f"{self.name} does not take it")
        if fault == "lying" and hit:
            return Outcome(status="confirmed")
        self._commit(change)
        if fault == "lost" and hit:
            raise Unavailable(f"{self.name}: the answer was lost", None)
        if fault == "broken" and hit:
            raise RuntimeError(f"{CANARY} stands in a fault of the connector")
        return Outcome(status="confirmed")

    def _asked(self, what: str) -> str:
        """Count a call; raise where the system does not answer at all."""
        fault = self.fault
        self.watch.step(f"{self.name} {what}")
        if fault == "down":
            self.faults += 1
            raise Unavailable(f"{self.name} is down", 60)
        if (
            fault == "storm"
            and self.dice.stream("storm", self.day, self.name, self.watch.steps).random() < 0.4
        ):
            self.faults += 1
            raise Unavailable(f"{self.name}: 429", 3600)
        return fault

    def _commit(self, change: Change) -> None:
        found = self.named(change.key)
        if not found:
            if change.after.status == "suspended":
                return
            found = [self.add(Record(key=change.key, uid=self.watch.whose(self, change.key)))]
        before = copy.deepcopy(found[0])
        vars(found[0]).update(vars(carried_out(found[0], change)))
        self.watch.changed(self, before, found[0])
        self.watch.step(f"{self.name} answer")


class Watch:
    """What a system tells while it is called; the simulation listens."""

    steps: int = 0

    def step(self, what: str) -> None: ...
    def orders(self) -> frozenset[int]: ...  # type: ignore[empty-body]
    def asked(self, system: System, change: Change, revoked: frozenset[int]) -> None: ...
    def changed(self, system: System, before: Record, after: Record) -> None: ...
    def whose(self, system: System, key: str) -> int: ...  # type: ignore[empty-body]
    def next_number(self) -> int: ...  # type: ignore[empty-body]


# ── local administrators ────────────────────────────────────────────────────────────────


def local_edit(system: System, chance: Any, now: datetime) -> None:
    """Let a local administrator do something by hand."""
    system.touched = True
    records = [record for record in system.records.values() if record.key]
    if not records:
        return
    record = chance.choice(records)
    what = chance.choice(LOCAL)
    what(system, record, chance, now)


def _guest(system: System, record: Record, chance: Any, now: datetime) -> None:
    from tests.simulation.records import Held

    taken = {grant.ref for grant in record.grants}
    ref = chance.choice(("GYM", "ENTRE", "VÅRD", "NATT"))
    if ref in taken and system.capabilities.grants_per_right == "one":
        return
    ends = chance.choice((None, now.replace(year=now.year + 1, microsecond=len(record.grants))))
    record.grants.append(Held("access", ref, None, ends, "local"))


def _taken_back(system: System, record: Record, chance: Any, now: datetime) -> None:
    if record.grants:
        record.grants.remove(chance.choice(record.grants))


def _card(system: System, record: Record, chance: Any, now: datetime) -> None:
    if system.capabilities.credentials == "write":
        record.cards[f"T{system.watch.next_number()}"] = "active"


def _moved_card(system: System, record: Record, chance: Any, now: datetime) -> None:
    other = chance.choice(list(system.records.values()))
    if record.cards and other is not record:
        number = sorted(record.cards)[0]
        other.cards[number] = record.cards.pop(number)


def _deleted(system: System, record: Record, chance: Any, now: datetime) -> None:
    native = next(n for n, one in system.records.items() if one is record)
    if not record.cards:
        del system.records[native]


def _stranger(system: System, record: Record, chance: Any, now: datetime) -> None:
    from tests.simulation.records import Held

    guest = system.add(Record(key=None, uid=-1, shown={"display_name": "Hantverkare"}))
    guest.grants.append(Held("access", "GYM", None, None, "local"))


LOCAL = (_guest, _guest, _card, _card, _taken_back, _moved_card, _deleted, _stranger)
