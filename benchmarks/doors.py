"""Access systems for the part `revoke`, in a process of their own: SCIM, each answer after a pause.

`python -m benchmarks.doors COUNT` says their addresses in one line of JSON. A line on its
stdin is an order, answered by one line: a number of seconds is the pause from now on; `take`
gives what has arrived since the last one, as [door, instant, method, key], where the instant
is CLOCK_MONOTONIC, the same for every process of the machine.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.scim import FakeScim
from tests.fakes.scim_habits import Seen

GROUP = "PORT"


@dataclass(frozen=True)
class Arrival:
    """A request as it arrived at a door, at an instant of CLOCK_MONOTONIC in seconds."""

    door: int
    at: float
    method: str
    key: str  # the person's, where the request names one


@dataclass(frozen=True)
class Doors:
    """The process, as whoever started it sees it."""

    process: subprocess.Popen[str]
    urls: list[str]

    def pause(self, seconds: float) -> None:
        """Let every answer come so many *seconds* after its request."""
        self._ask(str(seconds))

    def take(self) -> list[Arrival]:
        """Return what has arrived since the last call."""
        return [Arrival(*one) for one in self._ask("take")]

    def _ask(self, order: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        assert self.process.stdout is not None  # noqa: S101
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@contextlib.contextmanager
def doors(count: int) -> Iterator[Doors]:
    """Give *count* doors, running until the end of the block."""
    process = subprocess.Popen(  # noqa: S603 - this interpreter and this file
        [sys.executable, "-m", "benchmarks.doors", str(count)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        yield Doors(process, json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


# ── inside the process ──────────────────────────────────────────────────────────────────


def _main(count: int) -> None:
    fakes = [FakeScim() for _ in range(count)]
    pause = [0.0]
    arrivals: list[tuple[int, float, str, str]] = []
    taking = threading.Lock()

    def watched(door: int, fake: FakeScim) -> None:
        def arrived(seen: Seen) -> None:
            at = time.monotonic()
            with taking:
                arrivals.append((door, at, seen.method, _key(fake, seen)))
            time.sleep(pause[0])

        fake.group(GROUP)
        fake.arrived = arrived

    for door, fake in enumerate(fakes):
        watched(door, fake)
    _say([fake.url for fake in fakes])
    for line in sys.stdin:
        if line.strip() == "take":
            with taking:
                _say(arrivals)
                arrivals.clear()
        else:
            pause[0] = float(line)
            _say(pause[0])


def _key(fake: FakeScim, seen: Seen) -> str:
    """The person's key that a request names: in a filter, by the id of their user, or in a body."""
    quoted = seen.query.get("filter", "").partition(" eq ")[2]
    named = quoted.strip('"') or seen.path.partition("/")[2]
    user = fake.users.get(named)
    if user is None and seen.method == "PATCH":
        text = json.dumps(seen.body)
        user = next((one for id, one in list(fake.users.items()) if id in text), None)
    return str(user.get("externalId", "")) if user else named


def _say(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(int(sys.argv[1]))
