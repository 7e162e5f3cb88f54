"""The part `country`: what one municipality costs, with its state in a database of PostgreSQL's.

Three runs of `idsync sync` on the made-up city (the first, one without changes, one where 1 % have
another unit), then `idsync serve` at rest, then a hundred ends told to it.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import create_engine, text

from benchmarks.measure import MEBIBYTE, BenchmarkError
from benchmarks.office import AT_ONCE, SENDER, Served, a_session, serving
from idsync.service.making_cities import make_city

SENDERS, SEED = 4, 7
REST_S, CLOSED_S, ASKED_EVERY_S = 20.0, 600.0, 2.0
UNIT, PERSON = 8, 1  # columns of the city's HR file
OPEN_BRAKES = """[brakes]
people = 1000000
percent = 100.0
gaining = { people = 1000000, percent = 100.0 }
"""


def run(people: int, state: str, cache: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the part and return its document. *state*: the address of an empty database.

    Raises:
        BenchmarkError: a run did not end well, or events were not obeyed.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="country-", dir=cache))
    try:
        say(f"making a city of {people} people")
        make_city(folder, people, SEED, datetime.now(ZoneInfo("Europe/Stockholm")).date())
        _configure(folder, state)
        runs = {}
        for name in ("first", "unchanged", "one percent"):
            if name == "one percent":
                _move(folder)
            say(f"sync: {name}")
            runs[name] = synced(folder) | {"state_mb": size_of(state)}
            say(f"{runs[name]}")
        say("serve: at rest, and told of ends")
        with serving(folder) as served:
            rest = at_rest(served, state)
            say(f"{rest}")
            told = ends(folder, served, state)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"part": "country", "people": people, "runs": runs, "serve": rest, "events": told}


def _configure(folder: Path, state: str) -> None:
    """Open the brakes, and let four senders tell of ends."""
    file = folder / "connectors.toml"
    whole = file.read_text(encoding="utf-8")
    whole = whole.replace('state = "sqlite:///var/idsync.db"', f'state = "{state}"')
    whole = re.sub(r"^\[brakes\]\n.*?(?=^# ──)", OPEN_BRAKES, whole, flags=re.DOTALL | re.MULTILINE)
    whole += "".join(SENDER.format(name=f"hr{n}") for n in range(SENDERS))
    file.write_text(whole + '\n[serve]\nlisten = "127.0.0.1:0"\n', encoding="utf-8")


def _rows(folder: Path) -> tuple[Path, list[list[str]]]:
    file = folder / "hr" / "employments.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        return file, list(csv.reader(lines, delimiter=";"))


def _move(folder: Path) -> None:
    """Give each hundredth employment the unit of another one."""
    file, rows = _rows(folder)
    count = len(rows) - 2  # without the heading and the last line
    for number in range(1, count + 1, 100):
        rows[number][UNIT] = rows[(number * 7919) % count + 1][UNIT]
    with file.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines, delimiter=";", lineterminator="\n").writerows(rows)


def synced(folder: Path) -> dict[str, float]:
    """Run `idsync sync`; return its seconds, and its peak memory in MiB."""
    began = time.monotonic()
    with (folder / "told").open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "idsync", "sync", "--json"], cwd=folder, stdout=told, stderr=told
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1):  # 1: some things have to be looked at, as in any city
        last = (folder / "told").read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise BenchmarkError(f"sync ended with {code}: {last}")
    return {
        "wall_s": round(time.monotonic() - began, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss / 1024),
    }


def asked(state: str, statement: str) -> int:
    """Return the one number that the database answers."""
    engine = create_engine(state.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        with engine.connect() as connection:
            return int(connection.execute(text(statement)).scalar_one())
    finally:
        engine.dispose()


def size_of(state: str) -> int:
    """Return the size of the database in MiB."""
    return asked(state, "SELECT pg_database_size(current_database())") // MEBIBYTE


def at_rest(served: Served, state: str) -> dict[str, float]:
    """Return what a service holds that has nothing to do."""
    time.sleep(REST_S)
    mine = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    before, began = _cpu(served), time.monotonic()
    connections = asked(state, f"SELECT count(*) {mine}")
    time.sleep(REST_S)
    spent = (_cpu(served) - before) / (time.monotonic() - began)
    with a_session() as session:
        before = _cpu(served)
        session.get(f"http://{served.address}/health", timeout=60)
    return {
        "resident_mb": _resident(served), "connections": connections,
        "cpu_s_a_minute": round(60 * spent, 2), "cpu_s_of_health": round(_cpu(served) - before, 2),
    }  # fmt: skip


def _resident(served: Served) -> int:
    pages = int(Path(f"/proc/{served.process.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // MEBIBYTE


def _cpu(served: Served) -> float:
    """Return the CPU seconds that the service has taken (proc(5), /proc/[pid]/stat)."""
    fields = Path(f"/proc/{served.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1]
    return sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")


def ends(folder: Path, served: Served, state: str) -> dict[str, float]:
    """Tell of as many ends as the senders may; return how fast they were taken and obeyed."""
    _, rows = _rows(folder)
    people = list(dict.fromkeys(row[PERSON] for row in rows[1:-1]))[: SENDERS * AT_ONCE]
    before, began = _cpu(served), time.monotonic()
    with a_session() as session:
        for number, person in enumerate(people):
            status = served.tell(session, f"hr{number % SENDERS}", person)
            if status != 202:
                raise BenchmarkError(f"an event was answered {status}")
        taken = time.monotonic() - began
        while _waiting(session, served, state):
            if time.monotonic() - began > CLOSED_S:
                raise BenchmarkError("events are not obeyed")
            time.sleep(ASKED_EVERY_S)
    took = time.monotonic() - began
    return {
        "events": len(people), "taken_per_s": round(len(people) / taken, 1),
        "obeyed_per_s": round(len(people) / took, 1),
        "cpu_s_each": round((_cpu(served) - before) / len(people), 3),
        "resident_mb": _resident(served),
    }  # fmt: skip


def _waiting(session: Any, served: Served, state: str) -> bool:  # noqa: ANN401 - of requests
    if asked(state, "SELECT count(*) FROM event WHERE state = 'waiting'"):
        return True
    unconfirmed = session.get(f"http://{served.address}/health", timeout=60).json()["unconfirmed"]
    return bool(unconfirmed["revocations"])
