"""Which tests can find a mutant: those that run its function, the quickest first."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

FOLDERS = {"store": ("store", "audit", "inbox")}
"""Where the tests of a room stand, where not in the one folder of its name."""

Chosen = Mapping[str, float]
"""Tests by name, and how many seconds each takes."""


def folders_of(room: str) -> tuple[str, ...]:
    """Return the folders of tests/ whose tests are about *room*."""
    return FOLDERS.get(room, (room,))


# some plant faults of their own into the text of a module, which has another by now
OPTIONS = ("-q", "-p", "no:cacheprovider", "-m", "not long", "-k", "not machine_finds")
"""What pytest is told of which tests to run at all."""


def quickest(tests: Chosen, seconds: float) -> Chosen:
    """Return the quickest of *tests*, as many as take no more than *seconds* together."""
    chosen, taken = {}, 0.0
    for name, took in sorted(tests.items(), key=lambda test: test[1]):
        taken += took
        if taken > seconds:
            break
        chosen[name] = took
    return chosen


class Learner:
    """A plugin that notes which functions each test runs, and how long it takes.

    *hits* is the file where each process notes what it runs, those too that a test starts.
    """

    def __init__(self, hits: Path) -> None:
        self.hits = hits
        self.shared: dict[str, set[str]] = {}  # by file: what its fixtures run for all its tests
        self.found: dict[str, dict[str, float]] = {}
        self.seconds: dict[str, float] = {}

    def _noted(self) -> set[str]:
        return set(self.hits.read_text(encoding="utf-8").split()) if self.hits.exists() else set()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        before = self._noted()
        yield
        if fixturedef.scope != "function":
            file = request.node.nodeid.partition("::")[0]
            self.shared.setdefault(file, set()).update(self._noted() - before)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        from tests.mutation import switching

        switching.seen.clear()
        self.hits.unlink(missing_ok=True)
        began = time.monotonic()
        yield
        self.seconds[item.nodeid] = time.monotonic() - began
        for name in self._noted():
            self.found.setdefault(name, {})[item.nodeid] = self.seconds[item.nodeid]

    def write(self, file: Path) -> None:
        """Write by function the tests that run it."""
        for place, names in self.shared.items():
            mine = {one: took for one, took in self.seconds.items() if one.startswith(place)}
            for name in names:
                self.found.setdefault(name, {}).update(mine)
        file.write_text(json.dumps(self.found), encoding="utf-8")


class Only:
    """A plugin that runs the *chosen* tests alone, the quickest first."""

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        mine = [item for item in items if item.nodeid in self.chosen]
        items[:] = sorted(mine, key=lambda item: self.chosen[item.nodeid])
