"""The town of the part `revoke`: people in an HR file, senders of events, idsync that serves."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from benchmarks.measure import BenchmarkError

KEY = hashlib.sha256(b"made up for a measurement").digest()
AT_ONCE = 25  # people that one sender may shut out on its word alone in ten minutes
START_S, SYNC_S = 60.0, 900.0

GENERAL = """
[idsync]
state = "sqlite:///var/idsync.db"

[sources.hr]
type = "csv"
kind = "employments"
path = "hr.csv"
map = { key = "job", person_key = "person", employee_number = "number", unit = "unit", \
valid_from = "from", valid_to = "to" }
trailer = { starts_with = "#COUNT", count = 2 }

[brakes]
people = 1000000
percent = 100.0

[[profiles]]
id = "port"
grants = { GRANTS }

[[rules]]
profile = "port"
when = { unit = "Port" }

[serve]
listen = "127.0.0.1:0"
"""
TARGET = """
[targets.door{number}]
type = "scim"
url = "{url}"
token = {{ env = "IDSYNC_BENCH_TOKEN" }}
key = "employee_number"
"""
SENDER = """
[events.{name}]
controller = "*"
source = "hr"
keys = [{{ env = "IDSYNC_BENCH_KEY" }}]
kinds = ["person.ended", "person.changed"]
"""


@dataclass(frozen=True)
class Office:
    """A folder with everything idsync needs. `events` people have access, the others none."""

    folder: Path
    people: int
    events: int

    def write(self, urls: Sequence[str], names: Sequence[str]) -> None:
        """Write connectors.toml for the doors at *urls* and the senders *names*, and HR's file."""
        grants = ", ".join(f'door{number} = ["PORT"]' for number in range(len(urls)))
        text = GENERAL.replace("GRANTS", grants)
        text += "".join(TARGET.format(number=n, url=url) for n, url in enumerate(urls))
        text += "".join(SENDER.format(name=name) for name in names)
        (self.folder / "connectors.toml").write_text(text, encoding="utf-8")
        self.write_hr(range(self.people))

    def write_hr(self, there: Sequence[int]) -> None:
        """Write HR's file with the people *there*."""
        rows = [
            f"j{i},p{i},{number(i)},{'Port' if i < self.events else f'Kontor {i % 40}'},2020-01-01,"
            for i in there
        ]
        text = "\n".join(["job,person,number,unit,from,to", *rows, f"#COUNT,{len(rows)}", ""])
        (self.folder / "hr.csv").write_text(text, encoding="utf-8")

    def sync(self) -> None:
        """Give everybody what the rules give.

        Raises:
            BenchmarkError: it did not end well.
        """
        done = subprocess.run(
            [sys.executable, "-m", "idsync", "sync", "--json"], cwd=self.folder, env=_environment(),
            capture_output=True, text=True, timeout=SYNC_S, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BenchmarkError(f"the first sync ended with {done.returncode}: {done.stderr}")

    def serving(self) -> contextlib.AbstractContextManager[Served]:
        """Give a process that serves, until the end of the block."""
        return serving(self.folder)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Give a process that serves, until the end of the block.

    Raises:
        BenchmarkError: it does not listen.
    """
    with (folder / "said").open("a", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "idsync", "serve"], cwd=folder, env=_environment(),
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        lines: queue.Queue[dict[str, Any]] = queue.Queue()

        def read() -> None:
            assert process.stderr is not None  # noqa: S101 - it was asked for
            for line in process.stderr:
                said.write(line)
                if line.startswith("{"):
                    lines.put(json.loads(line))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            address = _address(lines)
            _wait_until_ready(address)
            yield Served(process, address)
        finally:
            process.kill()
            process.wait()
            reader.join(5)
            if process.stderr is not None:
                process.stderr.close()


@dataclass(frozen=True)
class Served:
    """The process that serves."""

    process: subprocess.Popen[str]
    address: str

    def tell(
        self, session: requests.Session, sender: str, person: int | str, kind: str = "person.ended"
    ) -> int:
        """Send a signed event over *session*; return the status of the answer."""
        who = person if isinstance(person, str) else f"p{person}"
        body = json.dumps({"type": kind, "data": {"person": who}}).encode()
        stamp, name = str(int(time.time())), f"{sender}-{person}-{kind}"
        signed = hmac.digest(KEY, f"{name}.{stamp}.".encode() + body, "sha256")
        headers = {
            "webhook-id": name, "webhook-timestamp": stamp,
            "webhook-signature": "v1," + base64.b64encode(signed).decode(),
        }  # fmt: skip
        url = f"http://{self.address}/events/{sender}"
        return int(session.post(url, data=body, headers=headers, timeout=60).status_code)


def number(person: int) -> str:
    """Return an employee number."""
    return f"{500_000 + person}"


def a_session() -> requests.Session:
    """Return a session that looks at nothing of the environment."""
    session = requests.Session()
    session.trust_env = False
    return session


def _address(lines: queue.Queue[dict[str, Any]]) -> str:
    until = time.monotonic() + START_S
    address = ""
    while True:
        try:
            line = lines.get(timeout=max(0.01, until - time.monotonic()))
        except queue.Empty:
            raise BenchmarkError("idsync does not listen: see `said` in its folder") from None
        address = str(line.get("address", address))
        if line["event"] == "serving" and address:
            return address


def _wait_until_ready(address: str) -> None:
    """Return once the state answers at *address*."""
    until = time.monotonic() + START_S
    with a_session() as session:
        while session.get(f"http://{address}/ready", timeout=10).status_code != 200:
            if time.monotonic() > until:
                raise BenchmarkError("idsync does not get ready: see `said` in its folder")
            time.sleep(0.05)


def _environment() -> dict[str, str]:
    from tests.fakes.scim import TOKEN

    coded = base64.b64encode(KEY).decode()
    return {**os.environ, "IDSYNC_BENCH_TOKEN": TOKEN, "IDSYNC_BENCH_KEY": f"whsec_{coded}"}
