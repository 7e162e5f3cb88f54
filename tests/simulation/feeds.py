"""What HR, the directory and the LMS say, and how they fail to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from idsync.errors import Denied, Incomplete, Unavailable
from idsync.model import Kind, day_end, day_start
from idsync.sources import RECORDS, Batch
from tests.simulation.dice import Dice
from tests.simulation.people import CANARY, Job, Town

ZONE = ZoneInfo("Europe/Stockholm")
Rows = list[dict[str, Any]]
Said = dict[Kind, Rows]
"""Rows by kind; each has beside its columns `uid`, the truth about whom it speaks."""

COUNTED: dict[str, Kind] = {"hr": "employments", "directory": "memberships", "lms": "trainings"}
FAULTS = {
    "hr": ("down", "denied", "cut", "no_proof", "empty", "half", "old", "wiped", "broken", "twice"),
    "directory": ("down", "cut", "no_proof", "empty", "half", "old", "broken"),
    "lms": ("down", "denied", "cut", "empty", "half", "old", "broken"),
}
NEVER_BELIEVED = ("down", "denied", "cut", "no_proof", "empty", "half", "broken")


@dataclass
class Feeds:
    """The three sources. `delivered` is what each gave to the end in the run under way."""

    town: Town
    dice: Dice
    day: int = 0
    today: date = date.min
    calm: bool = False
    delivered: dict[str, tuple[str, Said]] = field(default_factory=dict)
    history: dict[str, list[Said]] = field(default_factory=dict)  # by source, a day each

    def dawn(self, day: int, today: date) -> None:
        """Let every source have its state of the day."""
        self.day, self.today = day, today
        for name in COUNTED:
            said: Said = getattr(self, f"_{name}")()
            self.history[name] = [*self.history.get(name, [])[-6:], self._gaps(name, said)]

    def fault(self, name: str) -> str:
        """Return how *name* fails today; "" where it does not."""
        if self.calm:
            return ""
        if self.dice.happens("dark", self.day):
            return "down"
        for back in range(7):
            asked = self.dice.stream("outage", name, self.day - back)
            if asked.random() < self.dice.weights["outage"] and asked.randint(1, 7) > back:
                return "down"
        if self.dice.happens("source_fault", self.day, name):
            return self.dice.stream("how", self.day, name).choice(FAULTS[name])
        return ""

    def read(self, name: str) -> Iterator[Batch]:
        """Yield what *name* says today, as well as it can."""
        fault = self.fault(name)
        chance = self.dice.stream("read", self.day, name)
        said = self.history[name][-1]
        if fault == "down":
            raise Unavailable(f"{name} does not answer", 5)
        if fault == "denied":
            raise Denied(f"{name} refuses the account")
        if fault == "broken":
            raise KeyError(f"{CANARY} stands in a fault of the connector")
        if fault in CHANGED:
            said = CHANGED[fault](said, COUNTED[name], self.history[name], chance)
        if self.dice.happens("reorder", self.day, name):
            said = {kind: chance.sample(rows, len(rows)) for kind, rows in said.items()}
        kinds = list(said)
        for kind in kinds:
            rows = said[kind][: len(said[kind]) // 2] if fault == "cut" else said[kind]
            last = kind == kinds[-1]
            if fault == "cut" and last:
                raise Incomplete(f"{name} stopped in the middle")
            proof = "the count agrees" if last and fault != "no_proof" else None
            if last:
                self.delivered[name] = (fault, said)
            # read twice in one night, it is one delivery
            cursor = f"day {self.day}" if proof else None
            yield Batch(kind=kind, records=_table(kind, rows), proof=proof, cursor=cursor)

    # ── what is true of each ────────────────────────────────────────────────────────────

    def _hr(self) -> Said:
        jobs = [job for job in self.town.jobs.values() if job.in_file]
        people = [self.town.humans[uid] for uid in dict.fromkeys(job.uid for job in jobs)]
        return {
            "persons": [
                {"uid": h.uid, "key": h.key, "employee_number": h.number, "given_name": h.given,
                 "family_name": h.family, "birth_date": h.born, "protection": h.mark}
                for h in people
            ],
            "employments": [_employment(job, self.today) for job in jobs],
        }  # fmt: skip

    def _known(self, letter: str) -> Rows:
        """Everybody whom the other systems know, by the number that they know."""
        return [
            {"uid": h.uid, "key": f"{letter}{h.uid}", "birth_date": h.born,
             "employee_number": h.late_number or h.number}
            for h in self.town.humans.values()
            if self.town.owners[h.number] == h.uid or h.uid in self.town.traces
        ]  # fmt: skip

    def _directory(self) -> Said:
        known = self._known("d")
        return {
            "persons": [
                row | {"mail": f"m{row['uid']}@{CANARY}.example", "birth_date": None}
                for row in known
            ],
            "memberships": [
                {"uid": row["uid"], "person_key": row["key"], "role": role}
                for row in known
                for role in ["G-ALLA", *sorted(self.town.humans[row["uid"]].groups)]
            ],
        }

    def _lms(self) -> Said:
        known = self._known("l")
        return {
            "persons": known,
            "trainings": [
                {"uid": row["uid"], "person_key": row["key"], "course_id": course,
                 "completed_at": day_start(on, ZONE),
                 "valid_to": day_end(until, ZONE) if until else None}
                for row in known
                for course, on, until in [
                    ("intro", date(2020, 1, 1), None), *self.town.humans[row["uid"]].trainings
                ]
            ],
        }  # fmt: skip

    def _gaps(self, name: str, said: Said) -> Said:
        """Leave a few out with a false proof: flapping people, and a little more every night."""
        if self.calm or name != "hr":
            return said
        chance = self.dice.stream("gaps", self.day)
        missing: set[int] = set()
        uids = [row["uid"] for row in said["persons"]]
        if self.dice.happens("flap", self.day):
            missing |= set(chance.sample(uids, min(2, len(uids))))
        for back in range(6):
            begun = self.dice.stream("salami", self.day - back)
            if begun.random() < self.dice.weights["salami"]:
                missing |= set(begun.sample(uids, min(6, len(uids)))[: back + 1])
        return {kind: [r for r in rows if r["uid"] not in missing] for kind, rows in said.items()}


# ── how a complete answer can be wrong ──────────────────────────────────────────────────


def _half(said: Said, counted: Kind, _: list[Said], chance: Random) -> Said:
    return said | {counted: said[counted][: len(said[counted]) * 4 // 10]}


def _empty(said: Said, _: Kind, __: list[Said], ___: Random) -> Said:
    return {kind: [] for kind in said}


def _old(said: Said, _: Kind, history: list[Said], __: Random) -> Said:
    return history[-2] if len(history) > 1 else said


def _wiped(said: Said, counted: Kind, _: list[Said], __: Random) -> Said:
    return said | {counted: [row | {"kind": None} for row in said[counted]]}


def _twice(said: Said, _: Kind, __: list[Said], chance: Random) -> Said:
    """One record of somebody stands there again with another birth date."""
    one = chance.choice(said["persons"])
    other = one | {"birth_date": f"another-{CANARY}", "doubled": True}
    return said | {"persons": [*said["persons"], other]}


CHANGED = {"half": _half, "empty": _empty, "old": _old, "wiped": _wiped, "twice": _twice}


def _employment(job: Job, today: date) -> dict[str, Any]:
    is_open = job.open_until is not None and today <= job.open_until
    return {
        "uid": job.uid, "key": job.key, "person_key": f"p{job.uid}", "unit": job.unit,
        "kind": None if is_open else job.kind, "valid_from": day_start(job.begins, ZONE),
        "valid_to": day_end(job.ends, ZONE) if job.ends else None,
        "leave_from": day_start(job.away[0], ZONE) if job.away else None,
        "leave_to": day_end(job.away[1], ZONE) if job.away else None,
    }  # fmt: skip


def _table(kind: Kind, rows: Rows) -> pl.DataFrame:
    columns = RECORDS[kind]
    names = [name for name in columns if not rows or name in rows[0]]
    told = [tuple(row.get(name) for name in names) for row in rows]
    return pl.DataFrame(told, schema={name: columns[name] for name in names}, orient="row")


def night(today: date, hour: int = 2, minute: int = 30) -> datetime:
    """Return the instant of a local time of day, in UTC; one that does not exist is the next."""
    local = datetime(today.year, today.month, today.day, hour, minute, tzinfo=ZONE)
    return local.astimezone(ZoneInfo("UTC"))


def midnight(today: date, days: int = 0) -> datetime:
    """Return the instant at which the local day, or one *days* later, begins."""
    return day_start(today + timedelta(days=days), ZONE)
