"""The part `revoke`: from an event to the last of eight doors, and a burst of a thousand events.

Beside idsync, in the same run and in turn with it, a bare HTTP client calls the same doors side
by side, and a bare file is synced to the same disk: the limits of what could be.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from benchmarks.doors import Arrival, Doors, doors
from benchmarks.measure import BenchmarkError
from benchmarks.office import AT_ONCE, Office, Served, a_session, number

DOORS, PAUSE_S = 8, 0.02
BLOCK = b"x" * 4096
CLOSED_WITHIN_S, QUIET_S = 60.0, 0.25
SIDE_BY_SIDE = 16
SETTLED_WITHIN_S = 600.0


@dataclass
class Samples:
    """Seconds, one an event. From the sending of the event: until it was answered; until each
    door was called; until each was told to close. Of the peers: a sync of 4 kB; a round trip."""

    accepted: list[float] = field(default_factory=list)
    called: list[float] = field(default_factory=list)
    closing: list[float] = field(default_factory=list)
    fsync: list[float] = field(default_factory=list)
    round_trip: list[float] = field(default_factory=list)


def run(
    people: int, events: int, burst: int, cache: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure the part and return its document.

    *people* stand in HR's file; *events* of them have access everywhere and lose it one after
    the other; *burst* events come at once, two a person, and the process is killed after the
    last answer.

    Raises:
        BenchmarkError: an event was lost, not accepted, or not obeyed.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="revoke-", dir=cache))
    office = Office(folder, max(people, events + burst // 2), events)
    names = [f"hr{n}" for n in range(math.ceil(events / AT_ONCE))]
    try:
        with doors(DOORS) as there:
            office.write(there.urls, [*names, "burst"])
            say(f"giving {events} of {office.people} people access through {DOORS} doors")
            office.sync()
            there.pause(PAUSE_S)
            samples = Samples()
            with office.serving() as served:
                one_by_one(office, served, there, names, samples, say)
            found = burst_of(office, burst, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "part": "revoke", "people": office.people, "events": events, "doors": DOORS,
        "door_pause_s": PAUSE_S, "measures": measures_of(samples), "goals": goals_of(samples),
        "burst": found,
    }  # fmt: skip


# ── one event after the other ───────────────────────────────────────────────────────────


def one_by_one(
    office: Office,
    served: Served,
    there: Doors,
    names: Sequence[str],
    samples: Samples,
    say: Callable[[str], None],
) -> None:
    """Let the access of everybody who has some end by an event, each after the one before."""
    with (
        a_session() as session,
        _bare_clients(there) as bare,
        (office.folder / "synced").open("wb") as file,
    ):
        for person in range(office.events):
            if person % AT_ONCE == 0:
                say(f"event {person + 1} of {office.events}")
            samples.fsync.append(_synced(file.fileno()))
            samples.round_trip.append(bare())
            there.take()
            began = time.monotonic()
            status = served.tell(session, names[person // AT_ONCE], person)
            samples.accepted.append(time.monotonic() - began)
            if status != 202:
                raise BenchmarkError(f"event {person} was answered {status}")
            first, written = _seen_by_all(there, number(person))
            samples.called.append(first - began)
            samples.closing.append(written - began)


def _seen_by_all(there: Doors, key: str) -> tuple[float, float]:
    """Return when the last door was first called for *key*, and when it was told to close.

    Waits until no door has been called for a while, so that the next event meets a service at
    rest.
    """
    called: dict[int, float] = {}
    written: dict[int, float] = {}
    until = time.monotonic() + CLOSED_WITHIN_S
    last = time.monotonic()
    while len(written) < DOORS or time.monotonic() - last < QUIET_S:
        if time.monotonic() > until:
            raise BenchmarkError(f"{DOORS - len(written)} doors were not closed in time")
        time.sleep(0.05)
        for one in there.take():
            last = one.at
            _note(one, key, called, written)
    return max(called.values()), max(written.values())


def _note(one: Arrival, key: str, called: dict[int, float], written: dict[int, float]) -> None:
    if one.key != key:
        return
    called.setdefault(one.door, one.at)
    if one.method != "GET":
        written.setdefault(one.door, one.at)


def _synced(file: int) -> float:
    began = time.monotonic()
    os.write(file, BLOCK)
    os.fsync(file)
    return time.monotonic() - began


@contextmanager
def _bare_clients(there: Doors) -> Iterator[Callable[[], float]]:
    """Give what calls every door once, side by side over open connections, and times it."""
    from tests.fakes.scim import TOKEN

    hosts = [urlsplit(url) for url in there.urls]
    connections = [HTTPConnection(host.netloc) for host in hosts]
    headers = {"Authorization": f"Bearer {TOKEN}"}

    def call(door: int) -> None:
        path = f"{hosts[door].path}/Users?filter=externalId%20eq%20%22nobody%22"
        connections[door].request("GET", path, headers=headers)
        connections[door].getresponse().read()

    with ThreadPoolExecutor(DOORS) as pool:

        def all_of_them() -> float:
            began = time.monotonic()
            list(pool.map(call, range(DOORS)))
            return time.monotonic() - began

        all_of_them()
        yield all_of_them
    for one in connections:
        one.close()


# ── a burst ─────────────────────────────────────────────────────────────────────────────


def burst_of(office: Office, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Send *count* events side by side, two a person; kill the service; look what is left.

    Raises:
        BenchmarkError: one was not accepted, was lost, stands in another order, or is not
            settled after another start.
    """
    persons = range(office.events, office.events + count // 2)
    gone = set(persons)
    office.write_hr([i for i in range(office.people) if i not in gone])
    say(f"a burst of {count} events")
    accepted: list[float] = []
    with office.serving() as served:

        def send(person: int) -> None:
            with a_session() as session:
                for kind in ("person.changed", "person.ended"):
                    began = time.monotonic()
                    status = served.tell(session, "burst", person, kind)
                    accepted.append(time.monotonic() - began)
                    if status != 202:
                        raise BenchmarkError(f"an event of the burst was answered {status}")

        began = time.monotonic()
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(send, persons))
        all_s = time.monotonic() - began
        os.kill(served.process.pid, signal.SIGKILL)
    query = "SELECT person, kind FROM event WHERE issuer = 'burst' ORDER BY number"
    kept = _rows(office, query)
    require_in_order(kept, count)
    say("starting again, until every event is settled")
    began = time.monotonic()
    with office.serving():
        settled_s = _settled(office, began)
    return {
        "events": count, "accepted_all_s": round(all_s, 3), "per_s": round(count / all_s, 1),
        "accept_p50_ms": _ms(median(accepted)), "accept_p99_ms": _ms(p99(accepted)),
        "kept_after_kill": len(kept), "in_order": True, "settled_s": round(settled_s, 1),
    }  # fmt: skip


def require_in_order(kept: Sequence[tuple[Any, ...]], count: int) -> None:
    """Look whether all *count* events are among *kept* (person, kind), each person's in order.

    Raises:
        BenchmarkError: some are lost, or stand in another order than they were sent in.
    """
    if len(kept) != count:
        raise BenchmarkError(f"{count - len(kept)} of {count} accepted events are lost")
    seen: dict[str, list[str]] = {}
    for person, kind in kept:
        seen.setdefault(person, []).append(kind)
    wrong = [one for one in seen.values() if one != ["person.changed", "person.ended"]]
    if wrong:
        raise BenchmarkError(f"the events of {len(wrong)} people stand in another order")


def _settled(office: Office, began: float) -> float:
    """Wait until no event waits and everybody is ordered out; return how long that took."""
    while time.monotonic() - began < SETTLED_WITHIN_S:
        query = "SELECT count(*) FROM event WHERE issuer = 'burst' AND state <> 'done'"
        [(waiting,)] = _rows(office, query)
        if not waiting:
            return time.monotonic() - began
        time.sleep(1)
    raise BenchmarkError(f"{waiting} events of the burst still wait")


def _rows(office: Office, query: str) -> list[tuple[Any, ...]]:
    """Ask the state's own file, past idsync."""
    file = office.folder / "var" / "idsync.db"
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=30)) as state:
        return state.execute(query).fetchall()


# ── figures ─────────────────────────────────────────────────────────────────────────────


def p99(samples: Sequence[float]) -> float:
    """Return the smallest sample that 99 of 100 do not exceed."""
    ordered = sorted(samples)
    return ordered[math.ceil(0.99 * len(ordered)) - 1]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def measures_of(samples: Samples) -> dict[str, dict[str, float]]:
    """Return the medians and the 99th percentiles, in milliseconds."""
    return {
        name: {"p50_ms": _ms(median(some)), "p99_ms": _ms(p99(some))}
        for name, some in vars(samples).items()
    }


def goals_of(samples: Samples) -> dict[str, dict[str, float]]:
    """Return each ratio that has a goal: of the 99th percentiles, and of the medians."""
    found = {}
    for name, goal, ours, peers in (
        ("accepted", 10.0, samples.accepted, (samples.fsync,)),
        ("called", 1.5, samples.called, (samples.round_trip, samples.fsync)),
        ("closing", 1.5, samples.closing, (samples.round_trip, samples.fsync)),
    ):
        found[name] = {
            "goal": goal,
            "p99_ratio": round(p99(ours) / sum(map(p99, peers)), 2),
            "p50_ratio": round(median(ours) / sum(map(median, peers)), 2),
        }
    return found
