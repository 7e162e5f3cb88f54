"""A made-up city with a system of every kind, and canaries in every input.

Whoever is in it exists nowhere. Each value is unmistakable, so that one of them in an
output says who leaked, and what.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from idsync.model import Cardholder
from tests.fakes.arx import PASSWORD as ARX_PASSWORD
from tests.fakes.arx import USER as ARX_USER
from tests.fakes.arx import FakeArx
from tests.fakes.file import NightlyCsv
from tests.fakes.gallagher import KEY as GALLAGHER_KEY
from tests.fakes.gallagher import FakeGallagher
from tests.fakes.onvif import PASSWORD as ONVIF_PASSWORD
from tests.fakes.onvif import USER as ONVIF_USER
from tests.fakes.onvif import FakeOnvif
from tests.fakes.salto import Staging
from tests.fakes.scim import TOKEN as SCIM_TOKEN
from tests.fakes.scim import FakeScim
from tests.fakes.sql import RowsDatabase
from tests.fakes.work_order import Landlord
from tests.privacy.people import OPEN, OTHERS, Human
from tests.servers.proxy import Proxy
from tests.targets.gallagher_site import furnished
from tests.targets.gallagher_site import settings as gallagher_settings
from tests.targets.gallagher_site import write as write_gallagher
from tests.targets.uhppote import Site as Uhppote
from tests.targets.work_order import made_up_key, pem

SECRETS = {
    "SCIM_TOKEN": SCIM_TOKEN,
    "ARX_PASSWORD": ARX_PASSWORD,
    "ONVIF_PASSWORD": ONVIF_PASSWORD,
}
"""Secrets that stand in the environment; the others stand in files."""

RIGHT = "FSK-ENTRE"
KINDS = (
    "local", "scim", "gallagher", "arx", "salto", "sql", "file", "onvif", "uhppote", "order",
)  # fmt: skip
RELEASE: dict[str, tuple[str, ...]] = {
    "local": ("display_name", "mail"),
    "scim": ("display_name",),
    "gallagher": ("given_name", "family_name"),
    "arx": ("given_name", "family_name"),
    "salto": ("given_name", "family_name"),
    "sql": ("display_name", "mail"),
    "file": ("display_name",),
    "onvif": ("display_name",),
    "uhppote": (),
    "order": ("display_name",),
}
"""What each system may be told of a person."""

HEAD = """
[idsync]
state = "{state}"

[correlation]
keys = ["employee_number"]

[correlation.precedence]
display_name = ["directory"]

[sources.hr]
type = "csv"
kind = "employments"
path = "hr.csv"
delimiter = ";"
map = {{ key = "AnstId", person_key = "PersonId", employee_number = "Nr", given_name = "Förnamn", \
family_name = "Efternamn", phone = "Telefon", birth_date = "Född", protection = "Skydd", \
unit = "Enhet", title = "Titel", valid_from = "From", valid_to = "Tom" }}
values = {{ protection = {{ "" = "none", S = "secrecy_marking" }} }}
trailer = {{ starts_with = "#ANTAL", count = 2 }}

[sources.directory]
type = "csv"
kind = "persons"
path = "directory.csv"
map = {{ key = "guid", employee_number = "nr", user_name = "uid", mail = "mail", \
display_name = "cn" }}

[sources.lms]
type = "csv"
kind = "trainings"
path = "lms.csv"
map = {{ person_key = "nr", course_id = "kurs", completed_at = "klar", valid_to = "till" }}

[brakes]
people = {brake}
percent = 0.0

[[profiles]]
id = "alla"
name = "Alla anställda"
grants = {grants}

[[rules]]
profile = "alla"
when = {{}}
requires = ["brand"]

"""


@dataclass
class Answer:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


@dataclass
class Site:
    """The city's files, its systems, and the command run on them."""

    folder: Path
    kinds: tuple[str, ...] = KINDS
    people: tuple[Human, ...] = (OPEN, *OTHERS)
    brake: int = 1000
    state: str = "sqlite:///var/idsync.db"
    proxies: dict[str, Proxy] = field(default_factory=dict)
    fakes: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    head: str = HEAD

    @contextmanager
    def standing(self) -> Iterator[Site]:
        """The city with its systems running."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            tables = {kind: MAKERS[kind](self, stack) for kind in self.kinds}
            self.write_people()
            self.write_config(tables)
            yield self

    def proxied(self, kind: str, url: str, stack: ExitStack) -> str:
        """Return an address at which everything said to *url* is listened to."""
        address, _, path = url.removeprefix("http://").partition("/")
        proxy = stack.enter_context(Proxy(int(address.rpartition(":")[2])))
        self.proxies[kind] = proxy
        return f"http://127.0.0.1:{proxy.port}/{path}".rstrip("/")

    def secret(self, name: str, text: str | bytes) -> dict[str, str]:
        """Write a secret into a file of its own and return what points to it."""
        file = self.folder / "secrets" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return {"file": str(file)}

    # ── files ───────────────────────────────────────────────────────────────────────────

    def write_config(self, tables: Mapping[str, dict[str, Any]]) -> None:
        grants = inline({kind: [RIGHT] for kind in self.kinds})
        text = self.head.format(state=self.state, brake=self.brake, grants=grants)
        for kind, table in tables.items():
            common = {"key": "employee_number", "release": list(RELEASE[kind])}
            text += f"[targets.{kind}]\n"
            rows = {**table, **common, **({"controller": "hamnen"} if kind == "arx" else {})}
            text += "".join(f"{json.dumps(k)} = {inline(v)}\n" for k, v in rows.items()) + "\n"
        (self.folder / "connectors.toml").write_text(text, encoding="utf-8")

    def write_people(self) -> None:
        """Write the files of HR, the directory and the courses, as everybody is now."""
        rows = [human.hr() for human in self.people]
        self.text("hr.csv", [Human.HR, *rows, f"#ANTAL;{len(rows)}"])
        self.text("directory.csv", [Human.DIRECTORY, *(one.directory() for one in self.people)])
        lms = [f"{one.number},brand,2026-01-10,2099-01-10" for one in self.people]
        self.text("lms.csv", ["nr,kurs,klar,till", *lms])

    def text(self, name: str, lines: list[str]) -> None:
        (self.folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    # ── the command ─────────────────────────────────────────────────────────────────────

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start the command in the city's folder."""
        return subprocess.Popen(
            [sys.executable, "-m", "idsync", *words],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.PIPE, text=True,
            env={**os.environ, "NO_COLOR": "1", **SECRETS, **self.environment, **environment},
        )  # fmt: skip

    def run(self, *words: str, stdin: str = "", **environment: str) -> Answer:
        """Run the command and return what it said."""
        process = self.start(*words, **environment)
        out, err = process.communicate(stdin, timeout=100)
        return Answer(process.returncode, out, err)

    def json(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Run the command with --json, hold it to its exit code, return its document."""
        answer = self.run(*words, "--json")
        assert answer.code == code, answer
        document: dict[str, Any] = json.loads(answer.out)
        return document

    # ── what the systems were told, and hold ────────────────────────────────────────────

    def told(self, kind: str) -> bytes:
        """Return every byte that a system was sent, or that lies in its tables and files."""
        if kind in self.proxies:
            return bytes(self.proxies[kind].sent)
        if kind == "uhppote":
            return b"".join(slot for one in self.fakes[kind].both for slot in one.slots)
        return b"\n".join(path.read_bytes() for path in sorted(self.of(kind).rglob("*")) if
                          path.is_file())  # fmt: skip

    def of(self, kind: str) -> Path:
        """Return the folder of a system that is files."""
        folder = self.folder / kind
        folder.mkdir(exist_ok=True)
        return folder

    def work(self) -> None:
        """Let the systems that answer later do their work."""
        if "salto" in self.fakes:
            self.fakes["salto"].run()
        if "order" in self.fakes:
            self.fakes["order"].work()


def inline(value: object) -> str:
    """Return *value* as TOML writes it in one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {inline(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


# ── a system of each kind ───────────────────────────────────────────────────────────────

CARD = {human.number: human.card for human in (OPEN, *OTHERS)}


def _local(site: Site, stack: ExitStack) -> dict[str, Any]:
    return {"type": "local", "path": str(site.of("local") / "system.db"), "create": True}


def _scim(site: Site, stack: ExitStack) -> dict[str, Any]:
    fake = stack.enter_context(closing(FakeScim()))
    fake.group(RIGHT)
    site.fakes["scim"] = fake
    url = site.proxied("scim", fake.url, stack)
    return {"type": "scim", "url": url, "token": {"env": "SCIM_TOKEN"}}


def _gallagher(site: Site, stack: ExitStack) -> dict[str, Any]:
    fake = stack.enter_context(closing(furnished(FakeGallagher())))
    site.fakes["gallagher"] = fake
    url = site.proxied("gallagher", fake.url, stack)
    fake.system.base = url
    write_gallagher(fake.system, Cardholder(key=None, display_name=STRANGER))
    return {"type": "gallagher", **gallagher_settings(url, "-"),
            "token": site.secret("gallagher", GALLAGHER_KEY)}  # fmt: skip


def _arx(site: Site, stack: ExitStack) -> dict[str, Any]:
    fake = stack.enter_context(closing(FakeArx(RIGHT)))
    site.fakes["arx"] = fake
    url = site.proxied("arx", fake.url, stack)
    return {"type": "arx", "url": url, "user": ARX_USER, "password": {"env": "ARX_PASSWORD"},
            "id_prefix": "HR-"}  # fmt: skip


def _salto(site: Site, stack: ExitStack) -> dict[str, Any]:
    site.fakes["salto"] = Staging(f"sqlite:///{site.of('salto') / 'staging.db'}")
    return {"type": "salto_staging", "url": site.fakes["salto"].url}


def _sql(site: Site, stack: ExitStack) -> dict[str, Any]:
    site.fakes["sql"] = RowsDatabase(site.of("sql") / "passage.db")
    return {"type": "sql", **site.fakes["sql"].description()}


def _file(site: Site, stack: ExitStack) -> dict[str, Any]:
    site.fakes["file"] = NightlyCsv(site.of("file"))
    return {"type": "file", **site.fakes["file"].description()}


def _onvif(site: Site, stack: ExitStack) -> dict[str, Any]:
    fake = stack.enter_context(closing(FakeOnvif()))
    fake.profile("profile-0", RIGHT)
    for number, (key, card) in enumerate(CARD.items()):
        fake.credential(f"0-by-hand-{number}", key, value=f"{int(card):06X}")
    site.fakes["onvif"] = fake
    url = site.proxied("onvif", fake.url, stack)
    return {"type": "onvif", "url": url, "user": ONVIF_USER, "format_type": "WIEGAND26",
            "password": {"env": "ONVIF_PASSWORD"}, "login": "digest"}  # fmt: skip


def _uhppote(site: Site, stack: ExitStack) -> dict[str, Any]:
    fake = stack.enter_context(closing(Uhppote(site.of("uhppote"))))
    site.fakes["uhppote"] = fake
    for key, card in CARD.items():
        fake.own(key, int(card))
        fake.first.put(int(card), 0, 0, 0, 0)
    return {"type": "uhppote", **fake.settings()}


def _order(site: Site, stack: ExitStack) -> dict[str, Any]:
    site.fakes["order"] = landlord = Landlord(site.of("order"), date(2026, 11, 23))
    key = made_up_key("kanarie")
    from tests.fakes.work_order import fingerprint

    landlord.fingerprints.add(fingerprint(key.public_key()))
    return {
        "type": "work_order", "landlord": "Björkens Fastigheter AB",
        "folder": str(site.of("order")), "create": True,
        "ledger": str(site.folder / "order-ledger.sqlite"),
        "signing_key": site.secret("signing", pem(key)), "inventory": str(landlord.list_file),
    }  # fmt: skip


STRANGER = "Lokalfia Ortsbunden"
"""Somebody whom only an access system knows: the guest of a local administrator."""

MAKERS = {
    "local": _local, "scim": _scim, "gallagher": _gallagher, "arx": _arx, "salto": _salto,
    "sql": _sql, "file": _file, "onvif": _onvif, "uhppote": _uhppote, "order": _order,
}  # fmt: skip
