"""What a configuration says, once it is known to fit together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from idsync.config.events import Events
from idsync.config.oncall import OnCall
from idsync.config.tables import Brakes, Correlation, General, Retention, Schedule, Serve
from idsync.mapping.bands import Bands
from idsync.mapping.catalogue import Catalogue, Profile, Rule
from idsync.model import Kind
from idsync.settings import Secret, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """[sources.NAME]: what idsync needs of it, and the connector's own settings.

    `digest` is of those settings as they are written: another one is another scope.
    """

    name: str
    type: str
    kind: Kind
    min_share: float
    settings: Settings
    bands: Bands
    absent_reads: int
    digest: str
    personal_numbers: tuple[str, ...] = ()
    number_key: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetConfig:
    """[targets.NAME]: what idsync needs of it, and the connector's own settings."""

    name: str
    type: str
    controller: str
    key: str
    release: tuple[str, ...]
    adopt: Literal["nothing", "matching"]
    settings: Settings
    calls_per_second: float | None = None
    settles_s: float | None = None
    exempt: tuple[str, ...] = ()  # keys that nothing is ever written to


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration in which every name points to something.

    `digest` (SHA-256, hexadecimal) is of all that decides who gets what: correlation,
    each target's key, release, adopt and exempt, brakes, profiles and rules. Remarks, the order
    of keys and defaults that are written out do not change it.
    """

    folder: Path  # of the file; relative paths in it begin here
    digest: str
    idsync: General
    correlation: Correlation
    sources: dict[str, SourceConfig]
    targets: dict[str, TargetConfig]
    controllers: dict[str, tuple[str, ...]]  # the units of each
    brakes: Brakes
    profiles: list[Profile]
    rules: list[Rule]
    retention: Retention
    schedule: Schedule
    serve: Serve
    events: Events = field(default_factory=Events)
    oncall: OnCall = field(default_factory=OnCall)

    @property
    def catalogue(self) -> Catalogue:
        """Profiles and rules together."""
        return Catalogue(profiles=tuple(self.profiles), rules=tuple(self.rules))
