"""A made-up HR office that signs what it sends, and the town it tells of."""

from __future__ import annotations

import base64
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from idsync.config import Config, connect_target, load
from idsync.service.applying import sync
from idsync.service.hearing import app, server_of
from idsync.service.obeying import Worked, work_off
from idsync.service.receiving import Answer, receive
from idsync.store import State, open_state
from tests.whole.town import Town

MINUTE = timedelta(minutes=1)
OLD = b"made-up-secret-of-last-year-32-b"
NEW = b"made-up-secret-of-this-year-32-b"
STRANGER = b"made-up-secret-of-nobody-here-32"
EDWARD = Ed25519PrivateKey.from_private_bytes(sha256(b"made up").digest())

EVENTS = """
[controllers]
skolan = ["Skola"]

[events]
trusted_proxy = [PROXY]

[events.hr]
controller = "*"
source = "hr"
keys = [{ file = "FOLDER/old" }, { file = "FOLDER/new" }, { file = "FOLDER/public" }]
kinds = ["person.ended", "employment.ended", "employment.ending", "employment.restored"]

[events.skolan]
controller = "skolan"
source = "hr"
keys = [{ file = "FOLDER/new" }]
kinds = ["person.ended", "employment.ended"]
"""


def secret_text(raw: bytes) -> str:
    return f"whsec_{base64.b64encode(raw).decode()}"


def hmac_of(raw: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(raw, content, "sha256")).decode()


def edward(content: bytes) -> str:
    return "v1a," + base64.b64encode(EDWARD.sign(content)).decode()


@dataclass
class Office:
    """The town's files, its state, a clock that is set by hand, and HR's letters."""

    town: Town
    now: datetime = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    proxy: str = ""
    more: str = ""  # of connectors.toml
    sent: int = 0
    jobs: dict[int, list[str]] = field(default_factory=dict)  # rows of HR, where not the town's

    def __post_init__(self) -> None:
        self.town.write()
        folder = self.town.folder
        for name, raw in (("old", OLD), ("new", NEW)):
            (folder / name).write_text(secret_text(raw), encoding="utf-8")
        public = EDWARD.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        text = f"whpk_{base64.b64encode(public).decode()}"
        (folder / "public").write_text(text, encoding="utf-8")
        with (folder / "connectors.toml").open("a", encoding="utf-8") as file:
            written = EVENTS.replace("PROXY", self.proxy) + self.more
            file.write(written.replace("FOLDER", str(folder)))
        self.write_hr()
        self.config: Config = load(folder / "connectors.toml")
        self.state: State = open_state(self.config.idsync.state)

    def clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def close(self) -> None:
        self.state.close()

    # ── HR ──────────────────────────────────────────────────────────────────────────────

    def write_hr(self) -> None:
        rows = [row for row in self.town.hr_rows() if int(row[1:].partition(";")[0])
                not in self.jobs]  # fmt: skip
        self.town.write_hr([*rows, *(row for some in self.jobs.values() for row in some)])

    def row(self, i: int, job: str, unit: str = "Skola / Norr", end: str = "") -> str:
        town = self.town
        return (
            f"p{i};{town.number(i)};{town.given(i)};{town.family(i)};{job};{unit};"
            f"Lärare;2020-01-01;{end}"
        )

    def message(
        self, person: str, kind: str = "person.ended", *, id: str = "", key: bytes | None = NEW,
        at: datetime | None = None, **data: Any,
    ) -> tuple[list[tuple[bytes, bytes]], bytes]:  # fmt: skip
        """Return headers and body of one message."""
        self.sent += 1
        stamp = str(int((at or self.now).timestamp()))
        told = data.pop("timestamp", None)
        document = {"type": kind, "data": {"person": person, **data}}
        body = json.dumps(document | ({"timestamp": told} if told else {})).encode()
        named = id or f"msg_{self.sent}"
        return headers_of(named, stamp, body, key), body

    def tell(self, *given: Any, to: str = "hr", **more: Any) -> Answer:
        """Send a message as the application does it, without a wire."""
        headers, body = self.message(*given, **more)
        return receive(self.config, self.state, to, headers, body, self.clock())

    # ── idsync ──────────────────────────────────────────────────────────────────────────

    def sync(self) -> None:
        sync(self.config, self.state, lambda _: None, time=self.clock)

    def work(self) -> Worked:
        return work_off(self.config, self.state, self.clock)

    def orders(self) -> list[str]:
        """Return whom orders shut out, by their key at HR."""
        return keys_of(self.state)

    def ended(self) -> list[str]:
        """Return the employments that orders have ended."""
        standing = self.state.orders.revocations()
        return sorted(one.employment for one in standing if one.employment is not None)

    def doors(self) -> dict[str, dict[str, list[str]]]:
        """Return what opens for whom in each system: rights of active holders."""
        told = {}
        for name, table in self.config.targets.items():
            target = connect_target(table)
            try:
                told[name] = {
                    str(one.key): sorted(grant.ref for grant in one.grants)
                    for one in target.read()
                    if one.status == "active"
                    and all(card.state == "active" for card in one.credentials)
                }
            finally:
                target.close()
        return told

    def opens(self, i: int) -> list[str]:
        """Return what opens for one person, anywhere."""
        number = self.town.number(i)
        return sorted(ref for held in self.doors().values() for ref in held.get(number, []))

    def alarms(self) -> list[str]:
        return [one.what for one in self.state.inbox.alarms(self.clock())]

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[str]:
        """Listen on loopback; give the address."""
        port = port or free_port()
        server = server_of(app(lambda: (self.config, self.state), self.clock), "127.0.0.1", port)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}/events/"
        finally:
            server.should_exit = True
            thread.join(15)
            assert not thread.is_alive()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def headers_of(named: str, stamp: str, body: bytes, key: bytes | None) -> list[tuple[bytes, bytes]]:
    content = f"{named}.{stamp}.".encode() + body
    signed = edward(content) if key is None else hmac_of(key, content)
    return [
        (b"webhook-id", named.encode()), (b"webhook-timestamp", stamp.encode()),
        (b"webhook-signature", signed.encode()),
    ]  # fmt: skip


def keys_of(state: State) -> list[str]:
    from idsync.model import IdentityLink, schema

    links = state.frames.load("identity_link", schema(IdentityLink))
    known = {
        person: value
        for system, value, person in links.select("system", "value", "person_id").iter_rows()
        if system == "hr"
    }
    whole = [one for one in state.orders.revocations() if one.employment is None]
    return sorted(known[one.person_id] for one in whole)


def post(
    url: str, headers: list[tuple[bytes, bytes]], body: bytes, /, **more: str
) -> requests.Response:
    named = {name.decode(): value.decode() for name, value in headers}
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, data=body, headers={**named, **more}, timeout=60)


def town_in(folder: Path, people: int = 12) -> Town:
    return Town(folder / "en stad åäö", people=people)
