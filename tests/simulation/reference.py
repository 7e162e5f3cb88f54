"""What the doors should do, written from the laws: small, slow, and of no code of idsync's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from idsync.model import Kind
from tests.simulation.feeds import ZONE, Rows, Said

Right: TypeAlias = tuple[str, str, str]  # target, kind, ref
Name: TypeAlias = tuple[Any, ...]
Span: TypeAlias = tuple[datetime, datetime]
ALWAYS, NEVER = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=14)

PROFILES: dict[str, tuple[list[Right], int, int | None]] = {  # rights, lead, days of leave
    "alla": ([("hall", "access", "ENTRE"), ("ward", "access", "GÅRD")], 3, None),
    "skola": ([("school", "access", "SKOLA"), ("school", "alarm", "LARM")], 0, None),
    "vård": ([("ward", "access", "VÅRD"), ("hall", "access", "VÅRDENTRE")], 0, 0),
    "jour": ([("ward", "access", "JOUR")], 0, None),
    "nyckel": ([("school", "access", "NYCKEL")], 0, None),
    "natt": ([("hall", "access", "NATT")], 0, 10),
    "hamn": ([("hall", "access", "HAMN"), ("ward", "access", "HAMN")], 0, None),
    "fast": ([("ward", "access", "VÅRD")], 0, None),
}


@dataclass
class Reference:
    """What may be believed, and what everybody should therefore hold.

    *absences* is in how many accepted reads in a row somebody has to be missing before
    that means anything.
    """

    absences: int = 1
    believed: dict[str, Said] = field(default_factory=dict)
    before: dict[str, Said] = field(default_factory=dict)  # of a source that is in doubt
    missing: dict[str, dict[Name, tuple[int, dict[str, Any]]]] = field(default_factory=dict)
    deliveries: dict[str, int] = field(default_factory=dict)
    ended: dict[tuple[int, str], dict[str, Any]] = field(default_factory=dict)  # jobs, by orders
    wants: dict[int, tuple[datetime, dict[Right, Span], set[Right]]] = field(default_factory=dict)
    told: dict[tuple[int, str, datetime], int] = field(default_factory=dict)

    def learn(
        self, source: str, said: Said, now: datetime, *, delivery: int = 0, in_doubt: bool = False
    ) -> None:
        """Believe a read that idsync has accepted, or accepted but for parts *in_doubt*.

        The same *delivery* read again is one read.
        """
        again = delivery == self.deliveries.get(source)
        self.deliveries[source] = delivery
        old = self.believed.get(source, {})
        here = {_name(kind, row) for kind, rows in said.items() for row in rows}
        missing = self.missing.setdefault(source, {})
        for kind, rows in old.items():
            missing |= {_name(kind, r): (0, r) for r in rows if _name(kind, r) not in here}
        self.missing[source] = {
            name: (counted, row)
            for name, (times, row) in missing.items()
            if name not in here
            and (counted := times if again and times else times + 1) < self.absences
        }
        if in_doubt:
            self.before.setdefault(source, old)
        else:
            self.before.pop(source, None)
        self.believed[source] = said
        self.wants.clear()
        if source == "hr" and not again:
            self._count_ends(now)

    def _count_ends(self, now: datetime) -> None:
        """Count in how many reads each end was told while it was still to come."""
        ends = {
            (row["uid"], row["key"], row["valid_to"])
            for row in self._rows("hr", "employments")
            if row["valid_to"]
        }
        self.told = {end: self.told.get(end, 0) + (end[2] > now) for end in ends}

    def announced(self) -> dict[int, set[datetime]]:
        """Return by human the ends that enough reads have told before their day."""
        found: dict[int, set[datetime]] = {}
        for (uid, _, end), times in self.told.items():
            if times >= TOLD:
                found.setdefault(uid, set()).add(end)
        return found

    def let_go(self, uids: set[int]) -> None:
        """Wait no longer for the absent among *uids*: somebody approved that they go."""
        for source, missing in self.missing.items():
            self.missing[source] = {
                name: (times, row)
                for name, (times, row) in missing.items()
                if row["uid"] not in uids
            }
        self.wants.clear()

    def unsettled(self) -> set[int]:
        """Return of whom a source in doubt says something else than before."""
        found = set()
        for source, old in self.before.items():
            new = self.believed[source]
            for uid in _speaks_of(old) | _speaks_of(new):
                one = {kind: _of(uid, rows) for kind, rows in old.items()}
                if one != {kind: _of(uid, rows) for kind, rows in new.items()}:
                    found.add(uid)
        return found

    def doubted(self) -> set[int]:
        """Return whom a number does not tell apart from somebody else, or whom two records are."""
        owners: dict[str, set[int]] = {}
        doubled = set()
        for source in self.believed:
            for row in self._rows(source, "persons"):
                owners.setdefault(row["employee_number"], set()).add(row["uid"])
                doubled |= {row["uid"]} if "doubled" in row else set()
        return doubled.union(*(uids for uids in owners.values() if len(uids) > 1))

    def want(self, uid: int, now: datetime) -> tuple[dict[Right, Span], set[Right]]:
        """Return what somebody should hold, and the rights of which nobody can say it."""
        known = self.wants.get(uid)
        if known is None or known[0] != now:
            known = self.wants[uid] = (now, *self._want(uid, now))
        return known[1], known[2]

    def end(self, uid: int, key: str) -> None:
        """Let a job give nothing from now on, whatever HR says of it."""
        [row] = [r for r in _of(uid, self._rows("hr", "employments")) if r["key"] == key]
        self.ended[uid, key] = row
        self.wants.clear()

    def lift(self, uid: int, key: str) -> None:
        """Let a job count again."""
        del self.ended[uid, key]
        self.wants.clear()

    def taken(self, uid: int, now: datetime) -> set[Right]:
        """Return what only jobs give, or gave, that an order has ended."""
        over = [row | FOR_EVER for (whose, _), row in self.ended.items() if whose == uid]
        if not over:
            return set()
        jobs = _of(uid, self._rows("hr", "employments"))
        gave, unsure = self._given(uid, over, now)
        want, still = self._given(uid, [j for j in jobs if (uid, j["key"]) not in self.ended], now)
        longer = {right for right, span in gave.items() if right in want and span != want[right]}
        return ({*gave} | unsure) - {*want} - still | longer

    def _rows(self, source: str, kind: Kind) -> Rows:
        kept = [row for name, (_, row) in self.missing.get(source, {}).items() if name[0] == kind]
        return [*self.believed.get(source, {}).get(kind, []), *kept]

    def _want(self, uid: int, now: datetime) -> tuple[dict[Right, Span], set[Right]]:
        jobs = _of(uid, self._rows("hr", "employments"))
        return self._given(uid, [j for j in jobs if (uid, j["key"]) not in self.ended], now)

    def _given(self, uid: int, jobs: Rows, now: datetime) -> tuple[dict[Right, Span], set[Right]]:
        groups = {row["role"] for row in _of(uid, self._rows("directory", "memberships"))}
        courses = _of(uid, self._rows("lms", "trainings"))
        spans: dict[Right, list[Span]] = {}
        unsure: set[Right] = set()
        for job in jobs:
            for name, holds, requires in self._rules(job, groups, courses, now):
                rights, lead, leave = PROFILES[name]
                windows = _windows(job, lead, leave, requires, courses, now)
                windows = [(a, b) for a, b in windows if b > now and a <= now + AHEAD and a < b]
                if holds is None or (requires and "lms" not in self.believed):
                    unsure |= set(rights) if windows else set()
                elif holds:
                    for right in rights:
                        spans.setdefault(right, []).extend(windows)
        return {right: _first(all_) for right, all_ in spans.items() if all_}, unsure

    def _rules(
        self, job: dict[str, Any], groups: set[str], courses: Rows, now: datetime
    ) -> Iterable[tuple[str, bool | None, list[str]]]:
        """Yield profile, whether the rule holds (None: nobody knows), and what it requires."""
        under, kind = job["unit"].split(" / ")[0], job["kind"]
        valid = {
            row["course_id"] for row in courses
            if row["completed_at"] <= now and (row["valid_to"] or NEVER) > now
        }  # fmt: skip
        grouped = "directory" in self.believed
        yield "alla", True, []
        yield "skola", under == "Skola", ["brand"]
        yield "vård", under == "Vård", []
        yield "jour", "G-JOUR" in groups if grouped else None, []
        nyckel = "G-NYCKEL" in groups if grouped else None
        yield "nyckel", _both(nyckel, None if kind is None else kind != "hourly"), []
        fixed = None if kind is None else kind in ("permanent", "fixed")
        yield "natt", _both(under != "Kontor", fixed), []
        taken = "hamn" in valid if "lms" in self.believed else None
        yield "hamn", _both(under == "Hamn", taken), []
        yield "fast", None if kind is None else kind == "permanent", []


FOR_EVER: dict[str, Any] = {"valid_to": None, "leave_from": None, "leave_to": None}
GRACE = 14
TOLD = 3  # reads that make an end an announced one: its losses are nobody's surprise
NAMES = {
    "persons": ("key",), "employments": ("key",), "memberships": ("person_key", "role"),
    "trainings": ("person_key", "course_id", "completed_at"),
}  # fmt: skip
"""What makes a row the same row in the next read."""


def _name(kind: Kind, row: dict[str, Any]) -> Name:
    return kind, *(row[part] for part in NAMES[kind])


def _windows(
    job: dict[str, Any], lead: int, leave: int | None, requires: list[str], courses: Rows,
    now: datetime,
) -> list[Span]:  # fmt: skip
    begin, end = _days(job["valid_from"], -lead), job["valid_to"] or NEVER
    windows = [(begin, end)]
    if leave is not None and job["leave_from"]:
        rests, back = _days(job["leave_from"], leave), job["leave_to"] or NEVER
        if rests < min(back, end):
            windows = [(begin, rests), (max(begin, back), end)]
    windows = [(a, min(b, end)) for a, b in windows]
    for course in requires:
        taken = [r for r in courses if r["course_id"] == course and r["completed_at"] <= now]
        until = _days(job["valid_from"], GRACE)
        if not taken:
            windows = [(a, min(b, until)) for a, b in windows]
            continue
        first = min(row["completed_at"] for row in taken)
        last = [row["valid_to"] for row in taken]
        covered = NEVER if None in last else _days(max(last), GRACE)
        late = first if first > until else ALWAYS
        windows = [(max(a, late), min(b, covered)) for a, b in windows]
    return windows


def _days(instant: datetime, days: int) -> datetime:
    """Some local days later: midnight stays midnight over a clock change."""
    local = instant.astimezone(ZONE).replace(tzinfo=None) + timedelta(days=days)
    return local.replace(tzinfo=ZONE).astimezone(UTC)


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _first(windows: list[Span]) -> Span:
    """The earliest stretch without a gap."""
    begin, end = min(windows)
    for a, b in sorted(windows):
        if a <= end:
            end = max(end, b)
    return begin, end


def _of(uid: int, rows: Rows) -> Rows:
    return [row for row in rows if row["uid"] == uid]


def _speaks_of(said: Said) -> set[int]:
    return {row["uid"] for rows in said.values() for row in rows}
