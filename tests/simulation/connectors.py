"""The simulated sources and systems as ordinary connectors, installed as a package would be."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from idsync.model import Cardholder, Change, Outcome
from idsync.settings import Settings
from idsync.sources import Batch, Source
from idsync.targets import Target
from tests.simulation.feeds import Feeds
from tests.simulation.systems import System

ENTRY_POINTS = """
[idsync.sources]
simulated = tests.simulation.connectors:SimulatedSource

[idsync.targets]
simulated = tests.simulation.connectors:SimulatedTarget
"""


class City:
    """What the connectors of this process reach: there is no network in a simulation."""

    feeds: ClassVar[Feeds]
    systems: ClassVar[dict[str, System]]


class SimulatedSource(Source):
    class Config(Settings):
        name: str

    def __init__(self, config: Config) -> None:
        self._name = config.name

    def read(self, since: str | None) -> Iterator[Batch]:
        return City.feeds.read(self._name)

    def close(self) -> None:
        pass


class SimulatedTarget(Target):
    class Config(Settings):
        name: str

    def __init__(self, config: Config) -> None:
        self._system = City.systems[config.name]
        self.capabilities = self._system.capabilities

    def read(self) -> Iterator[Cardholder]:
        return self._system.read()

    def read_one(self, key: str) -> Cardholder | None:
        return self._system.read_one(key)

    def put(self, change: Change) -> Outcome:
        return self._system.put(change)

    def put_many(self, changes: Sequence[Change]) -> list[Outcome]:
        return self._system.put_many(changes)

    def close(self) -> None:
        pass


def install(folder: Path) -> None:
    """Install the connectors, as pip would, for this process."""
    record = folder / "simulation-1.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: simulation\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(ENTRY_POINTS)
    sys.path.insert(0, str(folder))
