"""The laws of the house, each held against what the systems are asked to do and what they hold."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from idsync.model import Change, Grant, IdentityLink, schema
from idsync.plan.document import Plan
from idsync.store import State
from tests.simulation.feeds import NEVER_BELIEVED, Feeds
from tests.simulation.people import CANARY
from tests.simulation.records import Held, Record, key_of
from tests.simulation.reference import ALWAYS, NEVER, Reference, Span
from tests.simulation.systems import System, Watch

PERSON = re.compile(rf"{CANARY}(\d+)")
Effects = dict[str, set[int]]  # losing, gaining: whose doors changed


class Broken(BaseException):
    """A law is broken. No code of idsync's catches it."""

    def __init__(self, law: int, what: str) -> None:
        super().__init__(f"law {law} is broken: {what}")
        self.law = law


class JudgeFailed(BaseException):
    """The simulation itself is wrong: idsync must not take it for a fault of a system."""


class Crash(BaseException):
    """The process is gone, here and now."""


CONVERGES = 18
"""Not a law of the house but invariant 18: faults end, and in bounded rounds all is well."""
ROUNDS = 2


@dataclass
class Allowance:
    """What the operator let go: one held part, once."""

    digest: str
    scope: str
    direction: str
    people: set[int]
    parts: set[tuple[object, ...]]
    at: datetime


@dataclass(kw_only=True)
class Judge(Watch):
    """Sees every call that a system gets, and what each run leaves behind."""

    feeds: Feeds
    reference: Reference
    systems: dict[str, System]
    limits: dict[str, tuple[int, float]]  # by direction: people, percent
    scopes: dict[str, list[str]]
    database: Path
    tell: Callable[[], datetime]
    state: State = None  # type: ignore[assignment]
    ids: dict[str, int] = field(default_factory=dict)  # person id: whose it is
    revoked: dict[int, str] = field(default_factory=dict)  # by human: the id that was ordered
    allowances: list[Allowance] = field(default_factory=list)
    approved: set[tuple[object, ...]] | None = None  # what alone may be done in this run
    effects: dict[str, Effects] = field(default_factory=dict)
    bases: dict[str, int] = field(default_factory=dict)
    ordered: frozenset[int] = frozenset()  # who was revoked before this run
    announced: dict[int, set[datetime]] = field(default_factory=dict)  # as told before this run
    learnt: set[str] = field(default_factory=set)  # of which source the read was looked at
    muted: bool = False  # while a copy of the city is tried out
    debts: dict[tuple[object, ...], int] = field(default_factory=dict)
    numbers: int = 0
    steps: int = 0
    crash_at: int = 0
    dead: bool = False
    history: list[str] = field(default_factory=list)

    # ── steps, and crashes ──────────────────────────────────────────────────────────────

    def step(self, what: str) -> None:
        """Come to the next point at which a process may die."""
        self.steps += 1
        if self.dead or self.steps == self.crash_at:
            self.dead = True
            raise Crash(what)

    def next_number(self) -> int:
        self.numbers += 1
        return self.numbers

    def say(self, text: str) -> None:
        if not self.muted:
            self.history.append(text)

    # ── a run begins ────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Note how everything stands before a run."""
        now = self.tell()
        self.learnt.clear()
        self.feeds.delivered.clear()
        self.approved = None
        self.ordered = self.orders()
        self.announced = self.reference.announced()
        self.effects = {name: {"losing": set(), "gaining": set()} for name in self.systems}
        self.bases = {
            name: sum(any(g.opens(now) for g in r.grants) for r in system.records.values())
            for name, system in self.systems.items()
        }

    def learn(self) -> None:
        """Find out which reads idsync has accepted in this run, and believe them too."""
        unheard = [name for name in self.feeds.delivered if name not in self.learnt]
        for name in unheard:
            fault, said = self.feeds.delivered[name]
            known = self.state.snapshot(name)
            if known is None or known.accepted_at != self.tell().isoformat():
                continue
            self.learnt.add(name)
            if fault in NEVER_BELIEVED:
                raise Broken(2, f"{name} gave a read that was {fault}, and it was believed")
            verdict = self.state.verdicts.last(name)
            in_doubt = verdict is not None and bool(verdict[1].doubts)
            self.reference.learn(
                name, said, self.tell(), delivery=self.feeds.day, in_doubt=in_doubt
            )
        if unheard:
            self.learn_ids()

    def learn_ids(self) -> None:
        """Read who idsync thinks is who; one id is never of two human beings."""
        links = self.state.frames.load("identity_link", schema(IdentityLink))
        for value, person in links.select("value", "person_id").iter_rows():
            uid = int(value[1:])
            if self.ids.setdefault(person, uid) != uid:
                raise Broken(7, f"human {uid} is taken for human {self.ids[person]}")

    def id_of(self, uid: int) -> str | None:
        """Return the person id that idsync has for a human being by their HR record."""
        links = self.state.frames.load("identity_link", schema(IdentityLink))
        mine: dict[str, str] = dict(links.select("value", "person_id").iter_rows())
        return mine.get(f"p{uid}")

    def whose(self, system: System, key: str) -> int:
        """Return for whom a new record with *key* is made."""
        if system.name == "school":
            if key not in self.ids:
                self.learn_ids()
            return self.ids[key]
        believed = self.reference.believed.get("hr", {}).get("persons", [])
        now = [row["uid"] for row in believed if row["employee_number"] == key]
        return now[0] if now else self.feeds.town.owners[key]

    # ── what a system is asked to do ────────────────────────────────────────────────────

    def orders(self) -> frozenset[int]:
        """Return who is revoked now."""
        return frozenset(self.revoked)

    def asked(self, system: System, change: Change, revoked: frozenset[int]) -> None:
        """Judge one write before it is carried out."""
        if self.muted:
            return
        try:
            self._judge(system, change, revoked)
        except Exception as error:
            raise JudgeFailed(repr(error)) from error

    def _judge(self, system: System, change: Change, revoked: frozenset[int]) -> None:
        self.learn()
        self.say(f"{system.name} {_told(change)}")
        self._journalled(system, change)
        found = system.named(change.key)
        record = found[0] if found else Record(key=change.key, uid=self.whose(system, change.key))
        self._names(record, change)
        self._allowed(system, change)
        lets_in = change.before is not None and change.before.status == "suspended"
        if record.uid in revoked and (
            change.added or (lets_in and change.after.status == "active")
        ):
            raise Broken(1, f"human {record.uid} is revoked, and {system.name} lets them in")
        for grant in change.added:
            self._added(system, record, grant)
        for grant in change.removed:
            self._removed(system, record, grant, change)

    def _journalled(self, system: System, change: Change) -> None:
        connection = sqlite3.connect(self.database, isolation_level=None)
        try:
            found = connection.execute(
                "SELECT 1 FROM journal WHERE target = ? AND state = 'intent' AND instr(items, ?)",
                (system.name, f'"key":"{change.key}"'),
            ).fetchone()
        finally:
            connection.close()
        if found is None:
            raise Broken(12, f"{system.name} is written to, and nothing durable says so")

    def _names(self, record: Record, change: Change) -> None:
        """What is shown of somebody is their own."""
        shown = {int(uid) for v in change.attributes.values() for uid in PERSON.findall(v)}
        if shown - {record.uid}:
            raise Broken(7, f"the record of human {record.uid} gets the name of {shown}")
        believed = self.reference.believed["hr"]["persons"]
        marks = {row["protection"] for row in believed if row["uid"] == record.uid}
        if shown and "secrecy_marking" in marks and "none" not in marks:
            raise Broken(13, f"the name of protected human {record.uid} is sent out")

    def _allowed(self, system: System, change: Change) -> None:
        if self.approved is None:
            return
        for verb, grants in (("give", change.added), ("take", change.removed)):
            for grant in grants:
                if (system.name, change.key, verb, *key_of(grant)) not in self.approved:
                    raise Broken(10, f"{verb} {grant.ref}: that is not what was approved")

    def _added(self, system: System, record: Record, grant: Grant) -> None:
        uid, now = record.uid, self.tell()
        right = (system.name, grant.kind, grant.ref)
        doubted = self.reference.doubted() | self.reference.unsettled()
        want, _ = self.reference.want(uid, now)
        if uid in doubted | self.reference.unsettled() or (
            right in want and _fits(system, want[right], grant, now)
        ):
            return
        heirs = {row["uid"] for row in self._with_number(record.key)} - {uid}
        if any(right in self.reference.want(heir, now)[0] for heir in heirs):
            raise Broken(7, f"{grant.ref} of {heirs} is given to the record of human {uid}")
        law = 1 if right in self.reference.taken(uid, now) else 2
        raise Broken(law, f"nothing known gives human {uid} {grant.ref} in {system.name}")

    def _with_number(self, key: str | None) -> list[dict[str, int]]:
        believed = self.reference.believed["hr"]["persons"]
        return [row for row in believed if row["employee_number"] == key]

    def _removed(self, system: System, record: Record, grant: Grant, change: Change) -> None:
        uid, now = record.uid, self.tell()
        right = (system.name, grant.kind, grant.ref)
        held = [g for g in record.grants if g.key == key_of(grant)]
        if held and all(one.by == "local" for one in held):
            raise Broken(5, f"{grant.ref} of human {uid} in {system.name} is not idsync's")
        over = grant.valid_to is not None and grant.valid_to <= now
        doubted = self.reference.doubted() | self.reference.unsettled()
        let_go = any(uid in one.people for one in self.allowances)  # the absent go at once
        if not held or over or let_go or uid in self.revoked or uid in doubted:
            return
        want, unsure = self.reference.want(uid, now)
        replaced = any((g.kind, g.ref) == right[1:] for g in change.added)
        if replaced or (right not in want and right not in unsure):
            return
        others = [g for g in record.grants if g.by == "local" and (g.kind, g.ref) == right[1:]]
        if right in want and any(covers(g, want[right], now) for g in others):
            return
        jobs = [r for r in self.reference.believed["hr"]["employments"] if r["uid"] == uid]
        law = 6 if right in want and len(jobs) > 1 else 2
        raise Broken(law, f"human {uid} loses {grant.ref} in {system.name}, which is still theirs")

    # ── what came of it ─────────────────────────────────────────────────────────────────

    def changed(self, system: System, before: Record, after: Record) -> None:
        """Count whose doors changed, as they feel it."""
        if self.muted or not self.effects:
            return
        now, uid = self.tell(), after.uid
        had, has = _spans(before.grants, now), _spans(after.grants, now)
        lost = {right for right, spans in had.items() if not _within(spans, has.get(right, []))}
        won = {right for right, spans in has.items() if not _within(spans, had.get(right, []))}
        opened = any(g.opens(now) for g in before.grants)
        stopped = before.status == "active" and after.status != "active" and opened
        let_in = before.status != "active" and after.status == "active"
        if (lost or stopped) and not (
            uid in self.revoked
            or self._expected(uid, after, now)
            or self._by_order(system, uid, lost, now)
        ):
            self.effects[system.name]["losing"].add(uid)
        if won - lost or let_in:
            self.effects[system.name]["gaining"].add(uid)

    def _expected(self, uid: int, after: Record, now: datetime) -> bool:
        """Tell whether somebody loses by an end that was announced: those are not counted."""
        ends = self.announced.get(uid, set())
        return any(end <= now for end in ends) or any(g.ends in ends for g in after.grants)

    def _by_order(
        self, system: System, uid: int, lost: set[tuple[str, str]], now: datetime
    ) -> bool:
        """Tell whether an order on a job takes all that somebody loses: that is not counted."""
        taken = self.reference.taken(uid, now)
        return bool(taken) and {(system.name, *right) for right in lost} <= taken

    def braked(self) -> None:
        """Hold what a run did against the limits: per system and per controller."""
        now = self.tell()
        for scope, names in self.scopes.items():
            base = sum(self.bases[name] for name in names)
            for direction, (people, percent) in self.limits.items():
                done = set().union(*(self.effects[name][direction] for name in names))
                let_go = set()
                for one in self.allowances:
                    if one.direction == direction and now - one.at <= timedelta(hours=24):
                        let_go |= one.people
                limit = max(people, int(base * percent / 100))
                if len(done - let_go) > limit:
                    law = 10 if any(a.direction == direction for a in self.allowances) else 3
                    raise Broken(
                        law, f"{scope}: {len(done - let_go)} {direction}, the limit is {limit}"
                    )

    def held(self, plan: Plan) -> None:
        """What is held is over the limit, and nobody whose end is confirmed is in it."""
        for part in plan.held:
            # whoever waits already lets others go first: all of them together are too many
            items = plan.items.filter(plan.items["effect"] == part.direction)
            people = items.filter(~items["confirmed"])["person_id"].n_unique()
            if people + part.before <= part.limit:
                raise Broken(3, f"{part.scope} is held although within its limit")
        waiting = plan.items.filter(plan.items["held"].is_not_null())
        standing = self.ordered & self.orders()  # one that came within the run closed by itself
        for person in waiting["person_id"].unique():
            if self.ids.get(person) in standing:
                raise Broken(4, f"the end of human {self.ids[person]} is held by the brake")
        used = set(plan.used_approvals)
        unknown = used - {one.digest for one in self.allowances}
        if unknown:
            raise Broken(10, "an approval was used that nobody gave, or twice")
        there = parts_of(plan.items)
        for one in self.allowances:
            if one.digest in used and not one.parts <= there:
                raise Broken(10, f"{one.scope} was approved for something else than this")
            if one.digest in used:
                self.reference.let_go(one.people)
        self.allowances = [one for one in self.allowances if one.digest not in used]

    def spent(self) -> None:
        """Find out which approvals a run has used that did not come to its end."""
        left = self.state.orders.approved(self.tell())
        for one in self.allowances:
            fresh = self.tell() - one.at < timedelta(hours=24)
            if fresh and one.digest not in left:
                self.reference.let_go(one.people)

    def remembers(self) -> None:
        """Every order that was acknowledged stands, whatever happened since."""
        standing = {(o.person_id, o.employment) for o in self.state.orders.revocations()}
        known: set[tuple[str | None, str | None]] = {(one, None) for one in self.revoked.values()}
        known |= {(self.id_of(uid), f"hr:{key}") for uid, key in self.reference.ended}
        if lost := known - standing:
            raise Broken(14, f"{len(lost)} revocations were acknowledged, and are gone")

    def scan(self, *texts: str) -> None:
        """Nothing that is told names anybody."""
        if any(CANARY in text for text in texts):
            raise Broken(13, "something that is told names a person")


def parts_of(items: pl.DataFrame) -> set[tuple[object, ...]]:
    """Return what items change, to be compared with what was looked at."""
    names = ("target", "key", "part", "kind", "ref", "was", "shall", "to_before", "to_after")
    return set(items.select(names).iter_rows())


# ── grants and spans ────────────────────────────────────────────────────────────────────


def _fits(system: System, want: Span, grant: Grant, now: datetime) -> bool:
    """Tell whether *grant* is what is wanted, as this system can say it."""
    begin, end = want
    if not system.capabilities.dated_grants:
        return begin <= now and grant.valid_from is None and grant.valid_to is None
    from_ = grant.valid_from or ALWAYS
    return (grant.valid_to or NEVER) == end and (from_ == begin or (from_ <= now and begin <= now))


def covers(grant: Held, want: Span, now: datetime) -> bool:
    begun = (grant.begins or ALWAYS) <= max(now, want[0])
    return begun and (grant.ends or NEVER) >= want[1]


def _spans(grants: Iterable[Held], now: datetime) -> dict[tuple[str, str], list[Span]]:
    found: dict[tuple[str, str], list[Span]] = {}
    for grant in grants:
        begin, end = grant.begins or ALWAYS, grant.ends or NEVER
        if end > now:
            begin = ALWAYS if begin <= now else begin
            found.setdefault((grant.kind, grant.ref), []).append((begin, end))
    return found


def _within(spans: list[Span], others: list[Span]) -> bool:
    return all(any(o[0] <= s[0] and s[1] <= o[1] for o in others) for s in spans)


def _told(change: Change) -> str:
    def told(grants: Iterable[Grant]) -> str:
        return ",".join(f"{g.ref}[{g.valid_from}..{g.valid_to}]" for g in grants)

    status = f" {change.before.status if change.before else '-'}>{change.after.status}"
    cards = ",".join(f"{c.number}={c.state}" for c in change.credentials)
    return (
        f"{change.key} +{told(change.added)} -{told(change.removed)}{status} {cards} "
        f"{sorted(change.attributes)}"
    )
