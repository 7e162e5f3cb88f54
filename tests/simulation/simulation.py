"""A city's years: each day something happens, and idsync runs; each law is looked at each time."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from sqlalchemy import event

from idsync.config import load
from idsync.errors import IdsyncError
from idsync.plan.document import Plan
from idsync.service.applying import Run, sync
from idsync.service.auditing import verify_audit
from idsync.service.looking import look
from idsync.service.revoking import close_person
from idsync.store import State, open_state
from idsync.together import in_their_place
from tests.simulation.connectors import City, install
from tests.simulation.dice import Dice, Weights
from tests.simulation.feeds import Feeds, night
from tests.simulation.in_order import InOrder
from tests.simulation.laws import Allowance, Broken, Crash, Judge, parts_of
from tests.simulation.people import Town
from tests.simulation.quiet import settled
from tests.simulation.records import Held, Record
from tests.simulation.reference import Reference
from tests.simulation.systems import CAPABILITIES, System, local_edit
from tests.simulation.within import within_polars

CONFIG = (Path(__file__).parent / "connectors.toml").read_text(encoding="utf-8")
INSTANCE = "6f1c4a52-3a52-4d38-9a0f-6b5c0d9e1a11"
LIMITS = {"losing": (3, 10.0), "gaining": (6, 20.0)}  # as connectors.toml has them
SCOPES = {
    "target hall": ["hall"], "target school": ["school"], "target ward": ["ward"],
    "controller staden": ["hall", "ward"],
}  # fmt: skip
YEARS = (date(2026, 1, 10), 600)  # the days on one of which a city's story begins
CALM = range(14, 20)  # of each twenty days: nothing is wrong, and all must come right
Doors: TypeAlias = dict[str, list[Any]]
SHARED_MEMORY = Path("/dev/shm")


class Simulation:
    """One city, one seed. `history` is everything that was done, in words."""

    def __init__(
        self, seed: int, folder: Path, weights: Weights | None = None, people: int = 34
    ) -> None:
        self.dice = Dice(seed, weights)
        self.folder = folder
        self.begins = YEARS[0] + timedelta(days=seed * 97 % YEARS[1])
        self.now = night(self.begins)
        self.day = 0
        self.runs = 0
        self.town = Town(self.dice)
        self.feeds = Feeds(self.town, self.dice)
        self.database = folder / "state.db"
        config = folder / "connectors.toml"
        config.write_text(CONFIG.replace("STATE", str(self.database)), encoding="utf-8")
        install(folder / "packages")
        self.config = load(config)
        self.judge = Judge(
            feeds=self.feeds, reference=Reference(absences=2), systems={}, limits=LIMITS,
            scopes=SCOPES, database=self.database, tell=lambda: self.now,
        )  # fmt: skip
        for name in CAPABILITIES:
            self.judge.systems[name] = System(name, self.dice, self.judge)
        City.feeds, City.systems = self.feeds, self.judge.systems
        self.town.found(people, self.begins)
        self._before_idsync()
        self.state = self._open(self.database)

    def _before_idsync(self) -> None:
        """Let the hall have people in it whom nobody took stock of yet."""
        chance = self.dice.stream("before")
        for human in self.town.humans.values():
            if chance.random() < 0.5:
                record = Record(
                    key=human.number, uid=human.uid,
                    shown={"display_name": f"{human.given} {human.family}"},
                )  # fmt: skip
                record.grants.append(Held("access", "ENTRE", None, None, "before"))
                if chance.random() < 0.3:
                    record.grants.append(Held("access", "GYM", None, None, "local"))
                record.cards[f"T{self.judge.next_number()}"] = "active"
                self.judge.systems["hall"].add(record)

    def _open(self, database: Path) -> State:
        state = open_state(f"sqlite:///{database}", instance=INSTANCE)
        event.listen(state.engine, "commit", lambda _: self.judge.step("commit"))
        self.judge.state = state
        return state

    def close(self) -> None:
        """Let go of the state, and of the connectors of this city."""
        self.state.close()
        sys.path.remove(str(self.folder / "packages"))

    # ── a day ───────────────────────────────────────────────────────────────────────────

    def live(self, days: int) -> None:
        """Let *days* go by.

        Raises:
            Broken: a law was.
        """
        with in_their_place(lambda _: InOrder(self.chance), lambda _: None):
            for _ in range(days):
                self.day += 1
                self._day()

    def _day(self) -> None:
        today = self.today = self.begins + timedelta(days=self.day - 1)
        self.chance = self.dice.stream("order", self.day)
        self.seen: Plan | None = None
        self.calm = self.day < 4 or self.day % 20 in CALM
        self.feeds.calm = self.calm
        if self.day > 1:
            self.town.live(self.day, today)
        self.feeds.dawn(self.day, today)
        self.now = night(today) + self._step()
        self.judge.say(f"day {self.day} {self.now.isoformat()}")
        self._local_edits()
        due = self._happens("due_only")
        self._night(due=due)
        if self.seen and not due and (self.day % 20 == CALM[-1] or self._happens("twice")):
            self._again()
        self.now += timedelta(hours=9)
        self._operator()
        self._orders()
        if self.day % 20 == CALM[-1]:
            self._audited()

    def _audited(self) -> None:
        """Every chain of the audit is whole, and tells of every operation."""
        verdict = verify_audit(self.config, self.state)
        if verdict.problems:
            raise Broken(12, f"the audit: {verdict.problems[0]}")

    def _happens(self, what: str) -> bool:
        return not self.calm and self.dice.happens(what, self.day)

    def _step(self) -> timedelta:
        """The clock is wrong now and then."""
        wrong = self._happens("clock_step")
        hours = self.dice.stream("step", self.day).choice((-5, -1, 1, 3)) if wrong else 0
        return timedelta(hours=hours)

    def _local_edits(self) -> None:
        for name, system in self.judge.systems.items():
            if self.day > 3 and self.dice.happens("local", self.day, name):
                local_edit(system, self.dice.stream("edit", self.day, name), self.now)

    # ── the nightly run ─────────────────────────────────────────────────────────────────

    def _night(self, *, due: bool) -> None:
        if self._happens("crash"):
            self._crashing()
            return
        if self._happens("apply_saved"):
            self._apply_saved()
            return
        self._begin()
        self._hooks()
        run = self._sync(sources=not due)
        self._judged(run)

    def _begin(self, *, calm: bool = False) -> None:
        self.judge.begin()
        for system in self.judge.systems.values():
            system.begin(self.day, calm=calm or self.calm)

    def _sync(self, *, sources: bool = True, digest: str | None = None) -> Run:
        self.runs += 1
        said: list[str] = []
        run = sync(
            self.config, self.state, said.append, sources=sources, time=lambda: self.now,
            approved_digest=digest,
        )  # fmt: skip
        self.judge.scan(*said, str(run.document()), run.look.plan.outcome)
        return run

    def _judged(self, run: Run) -> None:
        """Hold a run that came to its end against the laws."""
        plan = self.seen = run.look.plan
        self.judge.learn()
        self._adopted()
        self.judge.say(f"{run.outcome} {plan.digest} {run.writes}")
        self.judge.braked()
        self.judge.held(plan)
        self.judge.remembers()
        self._told_in_the_state()
        for name, system in self.judge.systems.items():
            if not system.faults and not system.touched and plan.targets[name].complete:
                settled(self.judge, system, plan)

    def _adopted(self) -> None:
        """At first contact what equals the rules' became idsync's own, and nothing after it."""
        hall = self.judge.systems["hall"]
        for record in hall.records.values():
            want, _ = self.judge.reference.want(record.uid, self.now)
            for grant in record.grants:
                span = want.get(("hall", grant.kind, grant.ref))
                if grant.by == "before":
                    lasting = span is not None and span[1].year == 9000 and span[0] <= self.now
                    grant.by = "idsync" if lasting else "local"

    def _told_in_the_state(self) -> None:
        connection = sqlite3.connect(self.database, isolation_level=None)
        rows = connection.execute(
            "SELECT reason FROM journal WHERE run = (SELECT max(id) FROM run) "
            "UNION ALL SELECT coalesce(summary, '') FROM run WHERE id = (SELECT max(id) FROM run)"
        ).fetchall()
        connection.close()
        self.judge.scan(*(text for (text,) in rows))

    def _again(self) -> None:
        """The same once more: nothing is left to write, but for who waited and may go by now."""
        systems = self.judge.systems.values()
        waited = _people(self.seen, held=True)
        honest = all(not s.faults and not s.touched and s.fault == "" for s in systems)
        self._begin()
        run = self._sync()
        self._judged(run)
        honest = honest and not any(s.faults for s in systems)
        if honest and any(s.puts for s in systems) and _people(self.seen, held=False) - waited:
            raise Broken(8, f"a second run wrote {run.writes} times")

    def _operator(self) -> None:
        """Somebody looks at what is held, and lets it go or does not."""
        plan = self.seen
        if plan is None or not (self.calm or self.dice.happens("approve", self.day)):
            return
        for part in plan.held:
            rows = plan.items.filter(plan.items["held"] == part.digest)
            people = rows["person_id"].unique()
            self.state.orders.approve(part.digest, "drift", "looked at", self.now)
            self.judge.allowances.append(
                Allowance(
                    digest=part.digest, scope=part.scope, direction=part.direction, at=self.now,
                    people={self.judge.ids[one] for one in people if one in self.judge.ids},
                    parts=parts_of(rows.filter(rows["part"] == "grant")),
                )
            )  # fmt: skip
            self.judge.say(f"approved {part.digest}")

    def _apply_saved(self) -> None:
        """Apply a plan that was saved earlier: exactly that, or nothing."""
        self._begin()
        seen = look(self.config, self.state, self.now, lambda _: None)
        if self.dice.stream("saved", self.day).random() < 0.5:
            self.town.live(self.day + 100_000, self.today)
            self.feeds.dawn(self.day, self.today)
        self._begin()
        self.judge.approved = {
            (row["target"], row["key"], verb, row["kind"], row["ref"],
             row[f"from_{side}"], row[f"to_{side}"])
            for row in seen.plan.go.filter(seen.plan.go["part"] == "grant").to_dicts()
            for verb, stands, side in (("give", "shall", "after"), ("take", "was", "before"))
            if row[stands]
        }  # fmt: skip
        try:
            self._judged(self._sync(digest=seen.plan.digest))
        except IdsyncError as error:
            self.judge.scan(str(error))
            self.judge.say(f"{type(error).__name__}")

    # ── orders, also in the middle of a run ─────────────────────────────────────────────

    def _hooks(self) -> None:
        """Let an order or a local administrator come in the middle of this run."""
        systems = list(self.judge.systems.values())
        chance = self.dice.stream("within", self.day)
        if self._happens("revoke_within"):
            system = chance.choice(systems)
            system.hooks[chance.randint(1, 4)] = [lambda: self.revoke(chance)]
        if self._happens("local_within"):
            system = chance.choice(systems)
            system.hooks.setdefault(chance.randint(1, 3), []).append(
                lambda: local_edit(system, chance, self.now)
            )

    def _orders(self) -> None:
        self.chance = self.dice.stream("order later", self.day)
        for system in self.judge.systems.values():
            system.begin(self.day, calm=self.calm)
        self.judge.begin()
        if self.day > 3 and self.dice.happens("revoke", self.day):
            self.revoke(self.dice.stream("whom", self.day))
        if self.judge.revoked and self.dice.happens("restore", self.day):
            self.restore(self.dice.stream("back", self.day))
        if self.day > 3 and self.dice.happens("order_end", self.day):
            self.order_end(self.dice.stream("which end", self.day))
        if self.judge.reference.ended and self.dice.happens("lift_end", self.day):
            self.lift_end(self.dice.stream("end back", self.day))

    def revoke(self, chance: Random) -> None:
        """HR ends somebody's access now."""
        known = [uid for uid in self.town.humans if self.judge.id_of(uid)]
        uid = chance.choice(known)
        person = self.judge.id_of(uid)
        if person is None or uid in self.judge.reference.doubted():
            return
        self.judge.say(f"revoke {person}")
        self.state.orders.revoke(person, "HR says so", "hr", self.now)
        self.judge.revoked[uid] = person
        self._close(person)

    def restore(self, chance: Random) -> None:
        """HR takes an order back."""
        uid = chance.choice(sorted(self.judge.revoked))
        person = self.judge.revoked.pop(uid)
        self.judge.say(f"restore {person}")
        self.state.orders.lift(person, "it was a mistake", "hr", self.now)
        self._close(person, giving=True)

    def order_end(self, chance: Random) -> None:
        """HR ends one job of somebody now, rather than all of their access."""
        reference = self.judge.reference
        doubted = reference.doubted() | reference.unsettled()
        rows = reference.believed.get("hr", {}).get("employments", [])
        jobs = [(row["uid"], row["key"]) for row in rows if row["uid"] not in doubted]
        if not jobs:
            return
        several = [job for job in jobs if sum(other[0] == job[0] for other in jobs) > 1]
        uid, key = chance.choice(several or jobs)
        person = self.judge.id_of(uid)
        if person is None or (uid, key) in reference.ended:
            return
        self.judge.say(f"end {key} of {person}")
        self.state.orders.revoke(person, "HR says so", "hr", self.now, employment=f"hr:{key}")
        reference.end(uid, key)
        self._close(person)

    def lift_end(self, chance: Random) -> None:
        """HR takes the end of a job back."""
        uid, key = chance.choice(sorted(self.judge.reference.ended))
        person = self.judge.id_of(uid)
        assert person is not None
        self.judge.say(f"give {key} of {person} back")
        lifted = self.state.orders.lift(
            person, "it was a mistake", "hr", self.now, employment=f"hr:{key}"
        )
        assert lifted
        self.judge.reference.lift(uid, key)
        self._close(person, giving=True)

    def _close(self, person: str, *, giving: bool = False) -> None:
        run = self.state.begin_run("revoke", self.now)
        closed = close_person(
            self.config, self.state, person, run, lambda: self.now, giving=giving
        )  # fmt: skip
        self.state.end_run(run, "applied", {}, self.now)
        self.judge.scan(*(str(one) for one in closed))
        self.judge.remembers()
        self.judge.say(" ".join(f"{one.target}:{one.outcome}" for one in closed))
        for one in closed:
            system = self.judge.systems[one.target]
            uid = self.judge.ids[person]
            open_ = [r for r in system.of(uid) if r.open(self.now)]
            ours = any(g.by == "idsync" for r in open_ for g in r.grants if g.opens(self.now))
            if uid in self.judge.revoked and ours and not system.faults and not system.touched:
                raise Broken(4, f"human {uid} is revoked, {one.target} says {one.outcome}")
            if one.shut and not system.faults and not system.touched:
                self._taken(system, uid)

    def _taken(self, system: System, uid: int) -> None:
        """What a job that HR has ended alone gave is gone where the system says so."""
        taken = self.judge.reference.taken(uid, self.now)
        for grant in (g for record in system.of(uid) for g in record.grants if g.by == "idsync"):
            right = (system.name, grant.kind, grant.ref)
            if right in taken and right not in self.judge.reference.want(uid, self.now)[0]:
                raise Broken(4, f"a job of human {uid} is ended, and {grant.ref} is left")

    # ── crashes ─────────────────────────────────────────────────────────────────────────

    def _crashing(self) -> None:
        """Let the process die somewhere, once or twice, and come to the same end."""
        chance = self.dice.stream("crash", self.day)
        uncrashed = self._in_a_copy()
        for _ in range(chance.choice((1, 1, 2))):
            self._begin(calm=True)
            self.judge.steps, self.judge.crash_at = 0, chance.randint(1, 40)
            try:
                self._sync()
            except Crash:
                self.judge.say(f"crashed at step {self.judge.crash_at}")
            finally:
                self.judge.crash_at, self.judge.dead = 0, False
            self.state.close()
            self.state = self._open(self.database)
            self.judge.learn()
            self.judge.spent()
            self.judge.braked()
            self.judge.remembers()
        self._begin(calm=True)
        run = self._sync()
        self._judged(run)
        if uncrashed is not None and not run.look.plan.held:
            self._same(uncrashed, self._doors())

    def _same(self, uncrashed: Doors, crashed: Doors) -> None:
        for name, records in uncrashed.items():
            for one, other in zip_longest(records, crashed[name]):
                if one != other:
                    raise Broken(9, f"{name} after a crash: {other}, and without: {one}")

    def _doors(self) -> Doors:
        return {
            name: sorted(record.doors for record in system.records.values())
            for name, system in self.judge.systems.items()
        }  # fmt: skip

    def _in_a_copy(self) -> Doors | None:
        """Return how the doors stand after a run that nothing interrupts; None if it held."""
        before = {n: copy.deepcopy(s.records) for n, s in self.judge.systems.items()}
        numbers, judge = self.judge.numbers, self.judge
        twin = self.folder / "twin.db"
        with _copied(self.database, twin), _muted(judge):
            state, config = self.state, self.config
            self.state = judge.state = open_state(f"sqlite:///{twin}", instance=INSTANCE)
            signed = {"checkpoints": self.folder / "twin.db.checkpoints"}
            own = config.idsync.model_copy(update=signed)
            self.config = dataclasses.replace(config, idsync=own)
            try:
                self._begin(calm=True)
                run = self._sync()
                doors = self._doors()
            finally:
                self.state.close()
                self.state = judge.state = state
                self.config = config
        for name, records in before.items():
            judge.systems[name].records = records
        judge.numbers = numbers
        return None if run.look.plan.held or run.look.plan.used_approvals else doors


def _people(plan: Plan | None, *, held: bool) -> set[str]:
    """Who waits for somebody in a plan, or of whom something goes."""
    if plan is None:
        return set()
    mine = plan.items["held"].is_not_null() == held
    return {*plan.items.filter(mine)["person_id"]}


@contextmanager
def _copied(database: Path, twin: Path) -> Iterator[None]:
    for file in twin.parent.glob(f"{twin.name}*"):
        file.unlink()
    with sqlite3.connect(database) as one, sqlite3.connect(twin) as other:
        one.backup(other)
    one.close()
    other.close()
    yield


@contextmanager
def _muted(judge: Judge) -> Iterator[None]:
    judge.muted = True
    try:
        yield
    finally:
        judge.muted = False


def simulate(seed: int, days: int, weights: Weights | None = None, *, bug: str = "") -> Simulation:
    """Live *days* of the city of *seed*; what is left of it is its history."""
    within = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="idsync-simulation-", dir=within))
    try:
        simulation = Simulation(seed, folder, weights)
        try:
            within_polars(lambda: simulation.live(days))
        except BaseException as error:
            command = f"python -m tests.simulation --seed {seed} --days {simulation.day}"
            command += f' --bug "{bug}"' if bug else ""
            error.add_note(f"seed {seed}, day {simulation.day}: replay it with {command}")
            raise
        finally:
            simulation.close()
        return simulation
    finally:
        shutil.rmtree(folder)


def digest_of(simulation: Simulation) -> str:
    """Return the digest of everything that was done."""
    return hashlib.sha256("\n".join(simulation.judge.history).encode()).hexdigest()
