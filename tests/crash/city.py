"""A few made-up people on four systems of different habits, which can be put back as they were.

Two local files (dated), SCIM (without dates), ARX (all rights of a person at once) and
Gallagher (dated, addresses that change).
"""

from __future__ import annotations

import copy
import json
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from idsync.config import Config, connect_target, load
from idsync.model import Cardholder
from idsync.plan.items import LEDGER
from idsync.store import open_state
from idsync.targets.local_system import LocalSystem
from tests.fakes.arx import PASSWORD, USER, FakeArx
from tests.fakes.gallagher import KEY, FakeGallagher
from tests.fakes.scim import TOKEN, FakeScim
from tests.forks import Forks, Ran
from tests.servers.postgres import OWNER, PASSWORDS, Database
from tests.targets.gallagher_site import BASE, KEY_FIELD

CONFIG = """
[idsync]
state = "{state}"

[sources.hr]
type = "csv"
kind = "employments"
path = "hr.csv"
absent_reads = 1
delimiter = ";"
map = {{ key = "AnstId", person_key = "PersonId", employee_number = "Nr", given_name = "Förnamn", \
family_name = "Efternamn", unit = "Enhet", valid_from = "From", valid_to = "Tom" }}
trailer = {{ starts_with = "#ANTAL", count = 2 }}

[targets.stadshuset]
type = "local"
path = "var/stadshuset.db"
initial = "stadshuset.ndjson"
key = "employee_number"
release = ["display_name"]
adopt = "matching"

[targets.skola]
type = "scim"
url = "{scim}"
token = {{ env = "SCIM_TOKEN" }}
key = "employee_number"
release = ["display_name"]

[targets.omsorg]
type = "arx"
url = "{arx}"
user = "{user}"
password = {{ env = "ARX_PASSWORD" }}
id_prefix = "HR-"
key = "employee_number"
release = ["given_name", "family_name"]

[targets.hamnen]
type = "gallagher"
url = "{gallagher}"
token = {{ env = "GALLAGHER_KEY" }}
key_field = "{key_field}"
base_group = "{base}"
division = "Kommunen"
key = "employee_number"
release = ["given_name", "family_name"]

[brakes]
people = {limit}
percent = 0.0
gaining = {{ people = 100, percent = 100.0 }}

[[profiles]]
id = "alla"
grants = {{ stadshuset = ["ENTRE"] }}

[[profiles]]
id = "skola"
grants = {{ skola = ["SKOLA"], omsorg = ["SKOLA-O"] }}

[[profiles]]
id = "hamn"
grants = {{ hamnen = ["HAMN", "KAJ"], omsorg = ["HAMN-O"], stadshuset = ["LAGER"] }}

[[rules]]
profile = "alla"
when = {{}}

[[rules]]
profile = "skola"
when = {{ unit_under = "Skola" }}

[[rules]]
profile = "hamn"
when = {{ unit_under = "Hamn" }}
"""
ENV = {"SCIM_TOKEN": TOKEN, "ARX_PASSWORD": PASSWORD, "GALLAGHER_KEY": KEY}


@dataclass
class Saved:
    """Everything as it was at one moment."""

    folder: Path
    scim: Any
    arx: Any
    gallagher: Any
    database: Database | None


@dataclass
class Small:
    """The systems, the files, and the command run on them by forks."""

    folder: Path
    forks: Forks
    people: dict[int, tuple[str, str]] = field(default_factory=dict)  # unit, last day
    second: dict[int, str] = field(default_factory=dict)  # unit of another employment
    limit: int = 100
    database: Database | None = None  # of the state; None: a file
    saves: int = 0
    made_itself: bool = False  # the database of now, to be dropped again

    def __post_init__(self) -> None:
        self.scim = FakeScim()
        self.arx = FakeArx("SKOLA-O", "HAMN-O", "GÄST-O")
        self.gallagher = FakeGallagher()
        system = self.gallagher.system
        division = system.division("Kommunen")
        system.group(BASE, system.field(KEY_FIELD, unique=True), division=division)
        for name in ("HAMN", "KAJ", "GÄST"):
            system.group(name)
        system.card_type("Kommunkort")
        for name in ("SKOLA", "GÄST"):
            self.scim.group(name)
        self.env = dict(ENV)
        self.folder.mkdir(parents=True)
        for i in range(6):
            self.people[i] = ("Skola / Norr" if i % 2 else "Hamn / Kaj", "")
        holders = [
            {"key": f"{100 + i}", "native_id": f"n{i}", "display_name": f"Åsa{i} Öberg{i}",
             "credentials": [{"number": f"T{i}", "medium": "tag"}],
             "grants": [{"ref": "ENTRE", "kind": "access", "granted_by": "migrated"},
                        {"ref": "GYM", "kind": "access", "granted_by": "lokal.admin"}]}
            for i in range(3)
        ]  # fmt: skip
        lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in holders]
        (self.folder / "stadshuset.ndjson").write_text("".join(lines), encoding="utf-8")
        self.write()

    def write(self) -> None:
        """Write the files of the city as it is now."""
        if self.database is not None:
            self.env["PGPASSFILE"] = str(self.folder / "passwords")
            secret = self.folder / "passwords"
            secret.write_text(f"*:*:*:{OWNER}:{PASSWORDS[OWNER]}\n", encoding="utf-8")
            secret.chmod(0o600)
        state = self.database.verified_url() if self.database else "sqlite:///var/idsync.db"
        text = CONFIG.format(
            state=state, scim=self.scim.url, arx=self.arx.url, gallagher=self.gallagher.url,
            user=USER, key_field=KEY_FIELD, base=BASE, limit=self.limit,
        )  # fmt: skip
        (self.folder / "connectors.toml").write_text(text, encoding="utf-8")
        rows = [
            f"p{i};{100 + i};Åsa{i};Öberg{i};e{i};{unit};2020-01-01;{end}"
            for i, (unit, end) in self.people.items()
        ]
        rows += [
            f"p{i};{100 + i};Åsa{i};Öberg{i};x{i};{unit};2020-01-01;"
            for i, unit in self.second.items()
        ]
        head = "PersonId;Nr;Förnamn;Efternamn;AnstId;Enhet;From;Tom"
        (self.folder / "hr.csv").write_text(
            "\n".join([head, *rows, f"#ANTAL;{len(rows)}"]) + "\n", encoding="utf-8"
        )

    def run(self, *words: str, kill_at: int = 0, reads: bool = False) -> Ran:
        """Run the command, and kill it at a step if one is named."""
        return self.forks.run(
            self.folder, words, self.env, steps=True, kill_at=kill_at, reads=reads
        )

    def do(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run the command with --json, hold it to its exit code, return its document."""
        ran = self.run(*words, "--json")
        assert ran.code == code, ran
        return ran.document

    # ── as it is, and as it was ─────────────────────────────────────────────────────────

    def save(self) -> Saved:
        """Return everything as it is."""
        self.saves += 1
        kept = self.folder.with_name(f"{self.folder.name}-{self.saves}")
        shutil.copytree(self.folder, kept)
        database = None
        if self.database:
            database = self.database.server.new_database(f"TEMPLATE {self.database.name}")
        return Saved(
            folder=kept,
            scim=copy.deepcopy((self.scim.users, self.scim.groups, self.scim._count)),
            arx=copy.deepcopy((self.arx.people, self.arx.cards, self.arx._count)),
            gallagher=copy.deepcopy(self.gallagher.system),
            database=database,
        )

    def put_back(self, saved: Saved) -> None:
        """Make everything as it was."""
        shutil.rmtree(self.folder)
        shutil.copytree(saved.folder, self.folder)
        scim, arx = copy.deepcopy((saved.scim, saved.arx))
        self.scim.users, self.scim.groups, self.scim._count = scim
        self.arx.people, self.arx.cards, self.arx._count = arx
        self.gallagher.system = copy.deepcopy(saved.gallagher)
        for fake in (self.scim, self.arx, self.gallagher):
            fake.seen.clear()
        if saved.database is not None and self.database is not None:
            old = self.database
            self.database = old.server.new_database(f"TEMPLATE {saved.database.name}")
            if self.made_itself:
                old.drop()
            self.made_itself = True
            self.write()

    # ── what is to be seen ──────────────────────────────────────────────────────────────

    @property
    def config(self) -> Config:
        return load(self.folder / "connectors.toml")

    def doors(self) -> dict[str, list[str]]:
        """Return what every system holds, as anybody can compare it."""
        told = {}
        for name, table in self.config.targets.items():
            target = connect_target(table)
            try:
                told[name] = sorted(map(_told, target.read()))
            finally:
                target.close()
        return told

    def ledger(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return what is idsync's own in every system."""
        state = open_state(self.state_url())
        try:
            columns = [name for name in LEDGER if name not in ("person_id", "because")]
            return {
                name: sorted(state.journal.ledger(name).select(columns).rows(), key=repr)
                for name in self.config.targets
            }
        finally:
            state.close()

    def open_operations(self) -> int:
        """Return of how many operations nobody knows whether they happened."""
        state = open_state(self.state_url(), create=False)
        try:
            return len(state.journal.unsettled())
        finally:
            state.close()

    def orders(self) -> list[str]:
        """Return the ids of the people who are revoked."""
        state = open_state(self.state_url(), create=False)
        try:
            return [one.person_id for one in state.orders.revocations()]
        finally:
            state.close()

    def approved(self) -> list[str]:
        """Return the digests of held parts that were ever let go."""
        state = open_state(self.state_url(), create=False)
        try:
            waiting = state.orders.waiting()
        finally:
            state.close()
        return [one.digest for one in waiting if one.state == "approved"]

    def state_url(self) -> str:
        if self.database:
            return self.database.verified_url()
        return f"sqlite:///{self.folder}/var/idsync.db"

    def calls(self) -> Counter[str]:
        """Return how many calls that change something each service was sent, by kind."""
        sent = [f"scim {one.method}" for one in self.scim.writes]
        sent += [f"gallagher {one.method}" for one in self.gallagher.writes]
        sent += ["arx import" for _ in self.arx.imports]
        return Counter(sent)

    def events(self) -> Counter[str]:
        """Return what was ever done in the local system, by whom and to whom."""
        file = self.folder / "var" / "stadshuset.db"
        if not file.exists():
            return Counter()
        found = LocalSystem(file).events()
        return Counter(f"{one.by} {one.what} {one.native_id} {one.detail}" for one in found)

    def close(self) -> None:
        for fake in (self.scim, self.arx, self.gallagher):
            fake.close()


def _told(holder: Cardholder) -> str:
    grants = sorted((g.kind, g.ref, str(g.valid_from), str(g.valid_to)) for g in holder.grants)
    cards = sorted((c.number, c.state) for c in holder.credentials)
    return repr((holder.key, holder.status, holder.display_name, grants, cards))
