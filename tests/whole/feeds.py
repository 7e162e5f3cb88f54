"""Sources as real files that change from night to night, and runs inside the test's process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from idsync.config import connect_target, load
from idsync.service import applying
from idsync.store import State, open_state

CONFIG = """
[idsync]
state = "sqlite:///var/idsync.db"

[sources.hr]
type = "csv"
kind = "employments"
path = "hr.csv"
map = {{ key = "id", person_key = "person", employee_number = "number", birth_date = "born", \
given_name = "given", protection = "mark", unit = "unit", job_code = "job", kind = "form", \
leave_from = "away", leave_to = "back", valid_from = "begin", valid_to = "end" }}
trailer = {{ starts_with = "#", count = 2 }}
as_of = {{ trailer = 3 }}
no_end = ["", "9999-12-31"]
{hr}

[sources.lms]
type = "csv"
kind = "trainings"
path = "lms.csv"
map = {{ person_key = "number", course_id = "course", completed_at = "taken", valid_to = "until" }}
{lms}

[targets.doors]
type = "local"
path = "var/doors.db"
create = true
key = "employee_number"
release = ["given_name"]

[brakes]
people = {people}
percent = 0.0
gaining = {{ people = 500, percent = 50.0 }}

[[profiles]]
id = "all"
grants = {{ doors = ["ENTRY"] }}

[[profiles]]
id = "nurse"
grants = {{ doors = ["WARD"] }}
on_leave = "suspend"

[[profiles]]
id = "lab"
grants = {{ doors = ["LAB"] }}

[[rules]]
profile = "all"
when = {{}}

[[rules]]
profile = "nurse"
when = {{ job_code = "N" }}

[[rules]]
profile = "lab"
when = {{ unit_under = ["Care", "Welfare"] }}
requires = ["fire"]
"""

FIRST = date(2026, 11, 1)


@dataclass(frozen=True)
class Row:
    """One employment in the HR file."""

    id: str
    person: str
    number: str
    born: str = "1980-01-01"
    given: str = "Åsa"
    mark: str = "none"
    unit: str = "Care / North"
    job: str = "N"
    form: str = "permanent"
    away: str = ""
    back: str = ""
    begin: str = "2020-01-01"
    end: str = ""


def employed(i: int, **said: str) -> Row:
    """Return the employment of person number *i*, with what is *said* of it."""
    return replace(Row(f"e{i}", f"p{i}", f"{1000 + i}", born=f"19{60 + i % 40}-01-01"), **said)


@dataclass
class Feeds:
    """The files of one city, a day that passes, and what its doors hold."""

    folder: Path
    rows: list[Row]
    day: date = FIRST
    hr: str = ""
    lms: str = ""
    people: int = 5
    courses: dict[str, str] = field(default_factory=dict)  # by number: until when

    def configure(self) -> None:
        """Write connectors.toml."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = CONFIG.format(hr=self.hr, lms=self.lms, people=self.people)
        (self.folder / "connectors.toml").write_text(text, encoding="utf-8")

    def deliver(self, day: date | None = None) -> None:
        """Write the files of today, or of another *day*."""
        lines = [",".join(vars(row).values()) for row in self.rows]
        head = ",".join(vars(employed(0)))
        end = f"#,{len(lines)},{day or self.day}"
        self._text("hr.csv", [head, *lines, end])
        taken = [f"{number},fire,2026-01-01,{until}" for number, until in self.courses.items()]
        self._text("lms.csv", ["number,course,taken,until", *taken, "0,none,2026-01-01,"])

    def _text(self, name: str, lines: list[str]) -> None:
        (self.folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def now(self) -> datetime:
        """The night of today."""
        return datetime.combine(self.day, time(3), UTC)

    @contextmanager
    def state(self) -> Iterator[State]:
        """Open the state."""
        opened = open_state(load(self.folder / "connectors.toml").idsync.state)
        try:
            yield opened
        finally:
            opened.close()

    def sync(self, *, sources: bool = True) -> dict[str, Any]:
        """Run the real line with the clock of today; return the document of the run."""
        clock = applying.clock
        applying.clock = lambda: self.now
        try:
            config = load(self.folder / "connectors.toml")
            with self.state() as state:
                return applying.sync(config, state, lambda _: None, sources=sources).document()
        finally:
            applying.clock = clock

    def night(self, *, sources: bool = True) -> dict[str, Any]:
        """A new day, its files, and a run."""
        self.day += timedelta(days=1)
        self.deliver()
        return self.sync(sources=sources)

    def approve(self, digest: str) -> None:
        """Let what waits under *digest* go."""
        with self.state() as state:
            state.orders.approve(digest, "test", "right so", self.now)

    def waits(self) -> list[str]:
        """Return the scopes of what waits for approval."""
        with self.state() as state:
            return [part.scope for part in state.orders.waiting()]

    def held(self) -> dict[str, set[str]]:
        """Return what each employee number holds at the doors now."""
        target = connect_target(load(self.folder / "connectors.toml").targets["doors"])
        try:
            return {
                holder.key or "": {
                    grant.ref
                    for grant in holder.grants
                    if (grant.valid_to is None or grant.valid_to > self.now)
                    and (grant.valid_from is None or grant.valid_from <= self.now)
                }
                for holder in target.read()
            }
        finally:
            target.close()

    def without(self, *numbers: int) -> None:
        """Take people out of the file."""
        gone = {f"p{i}" for i in numbers}
        self.rows = [row for row in self.rows if row.person not in gone]


def started(folder: Path, rows: list[Row] | None = None, **settings: Any) -> Feeds:
    """Return a city after its first run: *rows*, or forty nurses in care, all with the course."""
    feeds = Feeds(folder, rows or [employed(i) for i in range(40)], **settings)
    feeds.courses = {row.number: "2099-01-01" for row in feeds.rows}
    feeds.configure()
    feeds.deliver()
    first = feeds.sync()
    assert first["outcome"] == "applied", first
    return feeds
