"""The truth about a city: who lives, who works where, and what happens to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from tests.simulation.dice import Dice

CANARY = "qx"  # stands in every name, mail and birth date: no error may show it
GIVEN = ("Åsa", "Björn", "Cecilia", "Dag", "Örjan", "Élise", "Gun-Britt", "Håkan")
FAMILY = ("Öberg", "af Ek", "O'Brien", "Ström", "Nuñez", "Ängquist")
UNITS = ("Skola / Norr", "Skola / Söder", "Vård / Hem", "Kontor", "Hamn / Kaj 1")
KINDS = ("permanent", "fixed", "hourly")
COURSES = ("brand", "hamn")
GROUPS = ("G-JOUR", "G-NYCKEL")
FEWEST = 26  # people with a job; below it somebody is hired every day


@dataclass
class Human:
    """One human being. `number` is theirs only until somebody else gets it."""

    uid: int
    number: str
    mark: str = "none"
    groups: set[str] = field(default_factory=set)
    trainings: list[tuple[str, date, date | None]] = field(default_factory=list)
    late_number: str = ""  # what the directory and the LMS still call them

    @property
    def key(self) -> str:
        """Their key in HR, which is given once."""
        return f"p{self.uid}"

    @property
    def given(self) -> str:
        return f"{GIVEN[self.uid % len(GIVEN)]}{CANARY}{self.uid}"

    @property
    def family(self) -> str:
        return f"{FAMILY[self.uid % len(FAMILY)]}{CANARY}{self.uid}"

    @property
    def born(self) -> str:
        return f"born-{CANARY}{self.uid}"


@dataclass
class Job:
    """One employment; `ends` is its last day, `away` the first and last day of a leave."""

    key: str
    uid: int
    unit: str
    kind: str
    begins: date
    ends: date | None = None
    away: tuple[date, date] | None = None
    open_until: date | None = None  # HR has not decided what kind it is
    in_file: bool = True


@dataclass
class Town:
    """Everybody, and what happens on each day."""

    dice: Dice
    humans: dict[int, Human] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)  # whose a number is now
    traces: set[int] = field(default_factory=set)  # left, number reused, still in the LMS

    def found(self, people: int, today: date) -> None:
        """Let *people* have worked here for years."""
        chance = self.dice.stream("found")
        for _ in range(people):
            human = self._born(f"{2000 + len(self.humans)}")
            self._employ(chance, human, today - timedelta(days=chance.randint(30, 3000)))
            self._train(chance, human, today - timedelta(days=chance.randint(1, 300)))
            if chance.random() < 0.3:
                human.groups.add(chance.choice(GROUPS))

    def live(self, number: int, today: date) -> None:
        """Let one day happen."""
        for human in self.humans.values():
            if human.late_number and self.dice.stream("follow", number, human.uid).random() < 0.4:
                human.late_number = ""
        for uid in sorted(self.traces):
            if self.dice.stream("tidy", number, uid).random() < 0.4:
                self.traces.discard(uid)
        for job in self.jobs.values():
            if job.ends and job.ends < today - timedelta(days=40):
                job.in_file = False  # HR tidies its file
        for what in HAPPENINGS:
            busy = what == "hire" and len(self.active(today)) < FEWEST
            if busy or self.dice.happens(what, number):
                happening = getattr(self, f"_{what}")
                happening(self.dice.stream("which", what, number), today)

    def active(self, today: date) -> list[Job]:
        """Return the jobs in the file that are not over."""
        return [j for j in self.jobs.values() if j.in_file and (not j.ends or j.ends >= today)]

    # ── what happens ────────────────────────────────────────────────────────────────────

    def _born(self, number: str) -> Human:
        human = Human(uid=len(self.humans), number=number)
        self.humans[human.uid] = human
        self.owners[number] = human.uid
        return human

    def _employ(self, chance: Random, human: Human, begins: date) -> Job:
        job = Job(
            key=f"e{len(self.jobs)}", uid=human.uid, unit=chance.choice(UNITS),
            kind=chance.choice(KINDS), begins=begins,
        )  # fmt: skip
        self.jobs[job.key] = job
        return job

    def _train(self, chance: Random, human: Human, on: date) -> None:
        years = chance.choice((None, 100, 400))
        for course in chance.sample(COURSES, chance.randint(1, 2)):
            human.trainings.append((course, on, on + timedelta(days=years) if years else None))

    def _hire(self, chance: Random, today: date) -> None:
        human = self._born(f"{2000 + len(self.humans)}")
        self._employ(chance, human, today - timedelta(days=chance.randint(0, 3)))

    def _hire_ahead(self, chance: Random, today: date) -> None:
        human = self._born(f"{2000 + len(self.humans)}")
        self._employ(chance, human, today + timedelta(days=chance.randint(2, 40)))

    def _some(self, chance: Random, today: date) -> Job | None:
        jobs = [job for job in self.active(today) if job.ends is None]
        return chance.choice(jobs) if jobs else None

    def _end(self, chance: Random, today: date) -> None:
        if job := self._some(chance, today):
            job.ends = today + timedelta(days=chance.choice((-1, 0, 1, 5, 20)))

    def _end_by_absence(self, chance: Random, today: date) -> None:
        if job := self._some(chance, today):
            job.in_file = False

    def _mass_end(self, chance: Random, today: date) -> None:
        jobs = [job for job in self.active(today) if job.ends is None]
        day = today + timedelta(days=chance.choice((0, 10)))
        for job in chance.sample(jobs, min(9, len(jobs))):
            job.ends = day

    def _correct(self, chance: Random, today: date) -> None:
        """An end that was a mistake is taken back."""
        ended = [job for job in self.active(today) if job.ends]
        if ended:
            chance.choice(ended).ends = None

    def _leave(self, chance: Random, today: date) -> None:
        if job := self._some(chance, today):
            first = today + timedelta(days=chance.randint(-2, 5))
            job.away = (first, first + timedelta(days=chance.randint(3, 60)))

    def _second_job(self, chance: Random, today: date) -> None:
        if job := self._some(chance, today):
            self._employ(chance, self.humans[job.uid], today)

    def _open_kind(self, chance: Random, today: date) -> None:
        if job := self._some(chance, today):
            job.open_until = today + timedelta(days=chance.randint(2, 9))

    def _move(self, chance: Random, today: date) -> None:
        if job := self._some(chance, today):
            job.unit = chance.choice(UNITS)

    def _training(self, chance: Random, today: date) -> None:
        if job := self._some(chance, today):
            self._train(chance, self.humans[job.uid], today)

    def _group(self, chance: Random, today: date) -> None:
        if job := self._some(chance, today):
            self.humans[job.uid].groups ^= {chance.choice(GROUPS)}

    def _renumber(self, chance: Random, today: date) -> None:
        """Somebody gets another number; the other systems follow later."""
        if job := self._some(chance, today):
            human = self.humans[job.uid]
            human.late_number = human.late_number or human.number
            human.number = f"{7000 + len(self.owners)}"
            self.owners[human.number] = human.uid

    def _reuse(self, chance: Random, today: date) -> None:
        """A newcomer gets the number of somebody who has left."""
        working = {job.uid for job in self.jobs.values() if job.in_file}
        left = [h for h in self.humans.values() if h.uid not in working]
        free = [h.number for h in left if self.owners[h.number] == h.uid]
        if free:
            number = chance.choice(free)
            self.traces.add(self.owners[number])
            human = self._born(number)
            self._employ(chance, human, today)

    def _marked(self, chance: Random, today: date) -> None:
        if job := self._some(chance, today):
            self.humans[job.uid].mark = "secrecy_marking"

    def _rehire(self, chance: Random, today: date) -> None:
        working = {job.uid for job in self.active(today)}
        away = [h for h in self.humans.values() if h.uid not in working]
        back = [h for h in away if self.owners[h.number] == h.uid]
        if back:
            self._employ(chance, chance.choice(back), today)


HAPPENINGS = (
    "hire", "hire_ahead", "end", "end_by_absence", "mass_end", "correct", "leave", "second_job",
    "move", "open_kind", "training", "group", "renumber", "reuse", "marked", "rehire",
)  # fmt: skip
