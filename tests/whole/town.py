"""A small made-up town in a folder: one HR file, one LMS file, two access systems."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from idsync.config import connect_target, load
from idsync.model import Cardholder
from tests import forks

GIVEN = ("Åsa", "Björn", "Cecilia", "Dag", "Örjan", "Élise", "Gun-Britt", "Håkan")
FAMILY = ("Öberg", "af Ek", "O'Brien", "Ström", "Nuñez", "Ängquist")

CONFIG = """
[idsync]
state = "STATE"

[sources.hr]
type = "csv"
kind = "employments"
path = "hr.csv"
delimiter = ";"
map = { key = "AnstId", person_key = "PersonId", employee_number = "Nr", given_name = "Förnamn", \
family_name = "Efternamn", unit = "Enhet", title = "Titel", valid_from = "From", valid_to = "Tom" }
trailer = { starts_with = "#ANTAL", count = 2 }
absent_reads = ABSENT

[sources.lms]
type = "csv"
kind = "trainings"
path = "lms.csv"
map = { person_key = "nr", course_id = "kurs", completed_at = "klar", valid_to = "till" }

[targets.stadshuset]
type = "local"
path = "var/stadshuset.db"
initial = "stadshuset.ndjson"
key = "employee_number"
release = ["display_name"]
adopt = "matching"

[targets.skola]
type = "local"
path = "var/skola.db"
create = true
key = "employee_number"
release = ["display_name"]

[brakes]
people = 3
percent = 5.0
gaining = { people = 500, percent = 50.0 }

[[profiles]]
id = "alla"
name = "Alla anställda"
grants = { stadshuset = ["ENTRE"] }

[[profiles]]
id = "skola"
name = "Skolans dörrar"
grants = { skola = ["SKOLA", { ref = "LARM-SKOLA", kind = "alarm" }] }

[[rules]]
profile = "alla"
when = {}

[[rules]]
profile = "skola"
when = { unit_under = "Skola" }
requires = ["brand"]
grace_days = 14
"""


@dataclass
class Town:
    """The files of the town, and the command run on them."""

    folder: Path
    people: int = 60
    leavers: set[int] = field(default_factory=set)  # in the file no longer
    state: str = "sqlite:///var/idsync.db"
    absent_reads: int = 2

    def write(self) -> None:
        """Write every file of the town."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write_config()
        self.write_hr()
        self.write_lms()
        holders = [
            json.dumps(self.history(i), ensure_ascii=False) for i in range(0, self.people, 2)
        ]
        self._text("stadshuset.ndjson", holders)

    def write_config(self) -> None:
        """Write connectors.toml."""
        text = CONFIG.replace("STATE", self.state).replace("ABSENT", str(self.absent_reads))
        (self.folder / "connectors.toml").write_text(text, encoding="utf-8")

    def write_hr(self, rows: list[str] | None = None, *, trailer: bool = True) -> None:
        """Write the HR file; with *rows* these, else everybody's."""
        rows = self.hr_rows() if rows is None else rows
        head = "PersonId;Nr;Förnamn;Efternamn;AnstId;Enhet;Titel;From;Tom"
        self._text("hr.csv", [head, *rows, *([f"#ANTAL;{len(rows)}"] if trailer else [])])

    def write_lms(self) -> None:
        """Write the file of courses, of those who have not left."""
        rows = [
            f"{self.number(i)},brand,2026-01-10,2099-01-10"
            for i in range(self.people)
            if i not in self.leavers
        ]
        self._text("lms.csv", ["nr,kurs,klar,till", *rows])

    def hr_rows(self) -> list[str]:
        """Return one line an employment of those who have not left the file."""
        return [
            f"p{i};{self.number(i)};{self.given(i)};{self.family(i)};e{i};"
            f"{'Skola / Norr' if i % 3 else 'Stadskontoret'};Lärare;2020-01-01;"
            for i in range(self.people)
            if i not in self.leavers
        ]

    def history(self, i: int) -> dict[str, Any]:
        """Return what the city hall's system holds of one person before idsync comes."""
        return {
            "key": self.number(i), "native_id": f"n{i}",
            "display_name": f"{self.given(i)} {self.family(i)}", "status": "active",
            "credentials": [{"number": f"T{i}", "medium": "tag", "state": "active"}],
            "grants": [
                {"ref": "ENTRE", "kind": "access", "valid_from": None, "valid_to": None,
                 "granted_by": "migrated", "note": ""},
                *([{"ref": "GYM", "kind": "access", "valid_from": None, "valid_to": None,
                    "granted_by": "lokal.admin", "note": "gäst"}] if i % 10 == 0 else []),
            ],
        }  # fmt: skip

    @staticmethod
    def number(i: int) -> str:
        """Return an employee number."""
        return f"{200_000 + i}"

    @staticmethod
    def given(i: int) -> str:
        """Return a given name."""
        return GIVEN[i % len(GIVEN)]

    @staticmethod
    def family(i: int) -> str:
        """Return a family name."""
        return FAMILY[i % len(FAMILY)]

    def _text(self, name: str, lines: list[str]) -> None:
        (self.folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    # ── the command ─────────────────────────────────────────────────────────────────────

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the command in the town's folder."""
        return subprocess.Popen(
            [sys.executable, "-m", "idsync", *words],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip

    def run(self, *words: str) -> Answer:
        """Run the command and return what it said."""
        ran = forks.run(self.folder, *words, NO_COLOR="1")
        return Answer(ran.code, ran.out, ran.err)

    def json(self, *words: str, code: int | None = None) -> dict[str, Any]:
        """Run the command with --json, hold it to its exit code, return its document."""
        answer = self.run(*words, "--json")
        assert code in (None, answer.code), answer
        document: dict[str, Any] = json.loads(answer.out)
        return document

    def doors(self) -> dict[str, list[Cardholder]]:
        """Return what every access system holds now, sorted, without its own numbers."""
        config = load(self.folder / "connectors.toml")
        return {name: self.doors_of(name) for name in config.targets}

    def doors_of(self, name: str) -> list[Cardholder]:
        """Return what one access system holds now."""
        target = connect_target(load(self.folder / "connectors.toml").targets[name])
        try:
            return sorted(target.read(), key=lambda holder: (holder.key or "", repr(holder)))
        finally:
            target.close()


@dataclass
class Answer:
    """What the command said."""

    code: int
    out: str
    err: str
