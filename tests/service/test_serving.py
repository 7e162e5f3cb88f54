"""The service as a process: it stops, reloads, waits, and notices when a part of it dies."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from idsync.config import load
from idsync.service.scheduling import dates_are_due, slot
from idsync.store import open_state
from idsync.store.audit_signing import signing_key_in
from tests.servers.postgres import Database
from tests.whole.test_main_job import by_key, rights
from tests.whole.test_postgres_state import made
from tests.whole.test_safety import wait_for_operations
from tests.whole.town import Town

pytest_plugins = ("tests.servers.state_fixtures",)

PLANTED = """
import sys, time
from idsync.cli import main
import idsync.service.serving as serving
from idsync.targets.local import LocalTarget
{}
sys.argv = ["idsync", "serve", *sys.argv[1:]]
main()
"""
DIES_ONCE = """
pursue, deaths = serving.pursue, []
def dies(*given):
    if len(deaths) < {times}:
        deaths.append(1)
        raise RuntimeError("p1 Åsa Öberg")
    return pursue(*given)
serving.pursue = dies
"""
SLOW = """
put = LocalTarget.put
def slow(self, change):
    time.sleep(0.3)
    return put(self, change)
LocalTarget.put = slow
"""


ENDED_WHILE_IT_TELLS = """
import os, signal
class Asks:
    def __init__(self, under): self.under = under
    def flush(self): self.under.flush()
    def write(self, text):
        if '"configuration read"' in text:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.under.write(text)
sys.stderr = Asks(sys.stderr)
"""


@dataclass
class Served:
    """A process that serves, and what it says."""

    process: subprocess.Popen[str]
    lines: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)
    said: list[dict[str, Any]] = field(default_factory=list)
    reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def close(self) -> None:
        """End it, as by kill -9, and what reads it."""
        self.process.kill()
        self.process.wait()
        self.reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.put(json.loads(line) if line.startswith("{") else {"event": line})

    def until(self, event: str, seconds: float = 60, **facts: object) -> dict[str, Any]:
        """Wait until it says *event* with *facts*."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"never said {event}: {self.said}")
            self.said.append(line)
            if line["event"] == event and facts.items() <= line.items():
                return line

    def has_said(self, event: str, **facts: object) -> bool:
        """Whether it was among what has been waited through."""
        return any(one["event"] == event and facts.items() <= one.items() for one in self.said)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to end; return its exit code and how long that took, in seconds."""
        asked = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(30)
        return code, time.monotonic() - asked

    def get(self, address: str, page: str) -> tuple[int, str, dict[str, str]]:
        """Return what a page answers."""
        try:
            with urllib.request.urlopen(f"http://{address}{page}", timeout=10) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), dict(error.headers)


@contextmanager
def served(
    town: Town, planted: str = "", *, config: str = "connectors.toml", **environment: str
) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-c", PLANTED.format(planted), "--config", config],
        cwd=town.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    running = Served(process)
    try:
        yield running
    finally:
        running.close()


def add(town: Town, text: str) -> None:
    file = town.folder / "connectors.toml"
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")


def let_a_night_be_due(town: Town) -> None:
    """Make last night's run a thing that is still to be done."""
    config = load(town.folder / "connectors.toml")
    state = open_state(config.idsync.state, witness=config.idsync.witness)
    newest = slot(datetime.now(UTC), config.schedule.at, config.idsync.timezone)
    state.nights.note(newest.local_date - timedelta(days=1), "before", datetime.now(UTC))
    state.close()


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = Town(tmp_path / "en stad", people=30)
    made.write()
    add(town=made, text='\n[serve]\nlisten = "127.0.0.1:0"\n')
    return made


# ── what it does ────────────────────────────────────────────────────────────────────────


def test_a_night_that_is_due_is_run_and_health_tells_of_it(town: Town) -> None:
    let_a_night_be_due(town)
    with served(town) as service:
        address = service.until("listening")["address"]
        begins = service.until("night begins")
        ended = service.until("night ended")
        assert (begins["date"], ended["outcome"]) == (ended["date"], "applied")
        assert len(by_key(town.doors_of("skola"))) == 20
        status, text, _ = service.get(address, "/health")
        told = json.loads(text)
        assert (status, told["ok"]) == ((200, True) if not begins["late"] else (503, False))
        assert told["targets"]["skola"]["age_s"] < 60
        assert service.get(address, "/ready")[0] == 200
        assert service.get(address, "/people")[0] == 404
        status, text, headers = service.get(address, "/metrics")
        assert headers["content-type"].startswith("text/plain")
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert found["idsync_target_cycle_age_seconds", "skola"] < 60
        assert found["idsync_revocations_unconfirmed",] == 0
        assert found["idsync_healthy",] == int(told["ok"])
        code, took = service.stop()
        assert (code, took < 10) == (0, True)
    with served(town) as service:  # the same night is not run again
        service.until("serving")
        time.sleep(3)
        service.stop()
        while not service.lines.empty():
            service.said.append(service.lines.get())
        assert "night begins" not in [line["event"] for line in service.said]


@pytest.mark.case("J14")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_asked_to_end_finishes_what_is_under_way(
    town: Town, number: signal.Signals
) -> None:
    let_a_night_be_due(town)
    with served(town, SLOW) as service:
        service.until("night begins")
        wait_for_operations(town, 1)
        code, took = service.stop(number)
        assert code == 0
        assert took < 10
        service.until("ended", under_way=[])
    assert len(by_key(town.doors_of("skola"))) < 20
    assert town.json("status", code=0)["unsettled"] == 0
    town.run("sync")
    assert len(by_key(town.doors_of("skola"))) == 20


@pytest.mark.case("J14")
def test_a_hangup_takes_a_new_configuration_only_when_it_is_valid(town: Town) -> None:
    with served(town) as service:
        service.until("serving")
        file = town.folder / "connectors.toml"
        good = file.read_text(encoding="utf-8")
        for bad, told in (
            (good.replace("percent = 5.0", "percent = 500"), "percent"),
            (good.replace("var/idsync.db", "var/other.db"), "restart"),
            ("", ""),
        ):
            file.write_text(bad, encoding="utf-8")
            service.process.send_signal(signal.SIGHUP)
            if bad:
                line = service.until("configuration refused, the old one stays")
                assert told in line["reason"]
            file.write_text(good, encoding="utf-8")
            time.sleep(0.5)
        file.write_text(good.replace("percent = 5.0", "percent = 6.0"), encoding="utf-8")
        service.process.send_signal(signal.SIGHUP)
        new = load(file)
        service.until("configuration read", digest=new.digest)
        assert service.stop()[0] == 0
    assert not (town.folder / "var" / "other.db").exists()


@pytest.mark.case("J14")
def test_a_service_that_is_asked_to_end_while_it_tells_something_ends(town: Town) -> None:
    """A signal comes between any two steps: whoever hears it may wait for no lock."""
    with served(town, ENDED_WHILE_IT_TELLS) as service:
        service.until("serving")
        service.process.send_signal(signal.SIGHUP)
        service.until("configuration read")
        service.until("ending")
        assert service.process.wait(9) == 0


# ── what dies ───────────────────────────────────────────────────────────────────────────


@pytest.mark.case("C9")
def test_a_worker_that_dies_is_told_of_started_again_and_loses_nothing(town: Town) -> None:
    town.json("sync", code=0)
    system = town.folder / "var" / "skola.db"
    away = system.rename(system.with_suffix(".away"))
    system.write_bytes(b"down" * 1000)
    town.json("revoke", "200001", "--reason", "uppsagd", code=1)
    away.rename(system)
    with served(town, DIES_ONCE.format(times=1)) as service:
        address = service.until("listening")["address"]
        service.until("a worker has died", worker="pursuing")
        service.until("revocation pursued", target="skola", outcome="confirmed")
        assert rights(by_key(town.doors_of("skola"))["200001"]) == set()
        if not service.has_said("alarm", alarm="fault:pursuing"):
            service.until("alarm", alarm="fault:pursuing")
        status, text, _ = service.get(address, "/health")
        assert (status, json.loads(text)["ok"]) == (503, False)
        assert service.stop()[0] == 0
        assert service.has_said("a fault in idsync itself")
    assert "Åsa" not in json.dumps(service.said, ensure_ascii=False)


@pytest.mark.case("C9")
def test_a_worker_that_dies_again_and_again_ends_the_process_for_systemd_to_start_it(
    town: Town,
) -> None:
    with served(town, DIES_ONCE.format(times=99)) as service:
        for deaths in range(1, 6):
            service.until("a worker has died", worker="pursuing", deaths=deaths)
        assert service.process.wait(20) == 1


def test_a_port_that_is_taken_is_told_at_once(town: Town) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = town.folder / "connectors.toml"
        text = file.read_text(encoding="utf-8")
        port = taken.getsockname()[1]
        file.write_text(text.replace('"127.0.0.1:0"', f'"127.0.0.1:{port}"'), encoding="utf-8")
        answer = town.run("serve")
    assert answer.code == 2
    assert "[serve] listen" in answer.err


def test_systemd_is_told_that_it_is_ready_that_it_lives_and_that_it_stops(town: Town) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        name = str(town.folder / "notify")
        systemd.bind(name)
        systemd.settimeout(30)
        with served(town, NOTIFY_SOCKET=name, WATCHDOG_USEC="1000000") as service:
            heard = [systemd.recv(100).decode() for _ in range(4)]
            assert heard == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]
            assert service.stop()[0] == 0
            while (told := systemd.recv(100).decode()) != "STOPPING=1":
                assert told == "WATCHDOG=1"


# ── a state that is gone ────────────────────────────────────────────────────────────────


@pytest.mark.case("J9")
@pytest.mark.postgres
def test_a_state_that_is_gone_at_start_is_waited_for_and_never_done_without(
    tmp_path: Path, postgres_database: Database, postgres_url: str
) -> None:
    town = made(tmp_path / "en stad", postgres_database, people=30)
    add(town, '\n[serve]\nlisten = "127.0.0.1:0"\n')
    let_a_night_be_due(town)
    server = postgres_database.server
    server.stop()
    stopped = True
    try:
        with served(town) as service:
            address = service.until("listening")["address"]
            service.until("waiting", worker="running")
            status, _, headers = service.get(address, "/ready")
            assert (status, headers["retry-after"]) == (503, "10")
            assert not (town.folder / "var" / "skola.db").exists()
            server.start()
            stopped = False
            service.until("goes on", worker="running")
            assert service.until("night ended")["outcome"] == "applied"
            assert service.get(address, "/ready")[0] == 200
            assert service.stop()[0] == 0
    finally:
        if stopped:
            server.start()


def test_of_threads_that_make_the_audits_key_at_once_all_get_the_same(tmp_path: Path) -> None:
    for again in range(20):
        file, begin = tmp_path / str(again) / "audit.key", threading.Barrier(6)

        def key(_: int, file: Path = file, begin: threading.Barrier = begin) -> str:
            begin.wait()
            return signing_key_in(file).sign(b"x")

        with ThreadPoolExecutor(6) as pool:
            assert len(set(pool.map(key, range(6)))) == 1


# ── known dates ─────────────────────────────────────────────────────────────────────────


def test_known_dates_are_acted_on_at_once_and_after_a_try_in_vain_not_all_the_time() -> None:
    now = datetime(2026, 10, 1, 6, tzinfo=UTC)
    minute = timedelta(minutes=1)
    assert not dates_are_due(now, 0, None, None)
    assert dates_are_due(now, 1, None, None)
    assert not dates_are_due(now, 1, now - minute, None)
    assert dates_are_due(now, 1, now - 5 * minute, None)
    assert dates_are_due(now, 1, now - minute, now), "a date came since"
    assert not dates_are_due(now, 1, now - minute, now + minute)
    assert dates_are_due(now, 1, now + 60 * minute, None), "the clock was put back"
