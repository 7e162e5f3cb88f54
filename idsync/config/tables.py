"""The tables of connectors.toml, as they are written."""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
)

from idsync.config.events import Events
from idsync.config.oncall import OnCall
from idsync.config.sentences import suggest
from idsync.mapping.conditions import Condition, parse
from idsync.model import ATTRIBUTES, GrantKind, Kind, Person, scalar_fields
from idsync.settings import PathField, SecretField, Settings, Text, ZoneField

IDENTIFYING = ("employee_number", "user_name", "mail", "phone")
"""Attributes that can tell who somebody is. A name cannot: two people may share one."""

KNOWN_OF_PEOPLE = tuple(name for name in scalar_fields(Person) if name != "id")


def _one_of(*known: str) -> AfterValidator:
    def check(word: str) -> str:
        if word not in known:
            raise ValueError(f"there is no attribute of this name here; {suggest(word, known)}")
        return word

    return AfterValidator(check)


def _name(word: str) -> str:
    if not re.fullmatch(r"[\w-]+", word):
        raise ValueError("write a name of letters, digits, - and _")
    return word


def _state(url: str, info: ValidationInfo) -> str:
    """Return *url* with every path in it made absolute: of an SQLite file, of certificates."""
    folder: Path = (info.context or {}).get("folder", Path())
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return f"sqlite:///{(folder / url.removeprefix('sqlite:///')).absolute()}"
    if url.startswith("postgresql://"):
        try:
            parts = urlsplit(url)
            secret, said = parts.password is not None, parse_qsl(parts.query)
        except ValueError:
            raise ValueError('write "postgresql://user@host/database"') from None
        if secret or SECRETS & {name for name, _ in said}:
            raise ValueError(
                "a secret never stands in this file: leave the password out, and give it in a "
                "PostgreSQL password file (PGPASSFILE)"
            )
        named = [(name, _absolute(name, value, folder)) for name, value in said]
        return url if named == said else f"{url.partition('?')[0]}?{urlencode(named)}"
    raise ValueError('write "sqlite:///var/idsync.db" or "postgresql://user@host/database"')


def _beside(path: Path, info: ValidationInfo) -> Path:
    """Return *path* made absolute, as seen from the folder of the configuration."""
    folder: Path = (info.context or {}).get("folder", Path())
    return (folder / path).absolute()


def _time_of_day(word: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", word):
        raise ValueError('write a local time: "02:30"')
    return word


def _address(word: str) -> str:
    host, _, port = word.rpartition(":")
    if not host or not port.isdecimal() or int(port) > LAST_PORT:
        raise ValueError('write an address and a port: "127.0.0.1:8080"')
    return word


LAST_PORT = 65_535
SECRETS = {"password", "sslpassword"}
FILES = ("passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl")


def _absolute(name: str, value: str, folder: Path) -> str:
    is_path = name in FILES and (name, value) != ("sslrootcert", "system")
    return str((folder / value).absolute()) if is_path else value


WIDE_PEOPLE, WIDE_PERCENT = 500, 50
"""Of any limit of the brake: beyond it a limit holds next to nothing, which `check` says."""

Name: TypeAlias = Annotated[Text, AfterValidator(_name)]
Days: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=3660)]
Kept: TypeAlias = Annotated[int, Field(strict=True, ge=30, le=36_600)]
People: TypeAlias = Annotated[int, Field(strict=True, ge=0)]
Percent: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)]
Staff: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=1000)]
Share: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]


class General(Settings):
    """[idsync]. `state` is a database URL, an SQLite path in it absolute.

    `witness` is the file that tells how far the state has come, kept apart from it.
    """

    state: Annotated[str, AfterValidator(_state)] = Field(
        default="sqlite:///var/idsync.db", validate_default=True
    )
    witness: Annotated[Path, AfterValidator(_beside)] = Field(
        default=Path("var/idsync.witness"), validate_default=True
    )
    timezone: ZoneField = ZoneInfo("Europe/Stockholm")
    ahead_days: Days = 14
    checkpoints: PathField | None = None
    audit_key: SecretField | None = None


class Correlation(Settings):
    """[correlation]: which records are one person, and which source is believed."""

    keys: tuple[Annotated[str, _one_of(*IDENTIFYING)], ...] = Field(
        default=("employee_number",), min_length=1
    )
    fingerprint: tuple[Annotated[str, _one_of(*KNOWN_OF_PEOPLE)], ...] = ("birth_date",)
    precedence: dict[Annotated[str, _one_of("default", *KNOWN_OF_PEOPLE)], tuple[Text, ...]] = (
        Field({})
    )
    number_key: SecretField | None = None


class Retention(Settings):
    """[retention]: for how many days what is done with is remembered. Then it goes by itself."""

    operations: Kept = 400
    runs: Kept = 400
    orders: Kept = 1825
    sources: Kept = 400
    local: Kept = 1825
    people: Kept = 730
    audit: Kept = 3650
    hold: bool = False


class Schedule(Settings):
    """[schedule]: when `idsync serve` runs by itself. `nightly` is a local time."""

    nightly: Annotated[str, AfterValidator(_time_of_day)] = "02:30"

    @property
    def at(self) -> time:
        """The local time of the nightly run."""
        return time.fromisoformat(self.nightly)


class Serve(Settings):
    """[serve]: where `idsync serve` answers, and looks for urgent lists; None is nowhere."""

    listen: Annotated[str, AfterValidator(_address)] | None = None
    urgent: PathField | None = None


class SourceTable(Settings):
    """What every [sources.NAME] may have, whatever its type."""

    type: Text
    kind: Kind | None = None
    min_share: Share = 0.6
    department_share: Annotated[Share, Field(ge=0.1)] = 0.4
    attribute_share: Annotated[Share, Field(le=0.9)] = 0.25
    band_people: Annotated[People, Field(ge=1, le=1000)] = 25
    absent_reads: Annotated[int, Field(strict=True, ge=1, le=30)] = 2
    personal_numbers: tuple[
        Annotated[str, _one_of("key", "person_key", "employee_number", "user_name")], ...
    ] = ()


class TargetTable(Settings):
    """What every [targets.NAME] may have, whatever its type."""

    type: Text
    controller: Text | None = None
    key: Annotated[str, _one_of("id", *IDENTIFYING)] = "id"
    release: tuple[Annotated[str, _one_of(*ATTRIBUTES)], ...] = ()
    adopt: Literal["nothing", "matching"] = "nothing"
    calls_per_second: Annotated[float, Field(gt=0)] | None = None
    settles_s: Annotated[float, Field(ge=0, le=3600)] | None = None
    exempt: tuple[Text, ...] = ()


class Count(Settings):
    """How many people's access may change before somebody has to look.

    The larger of the two counts: `people`, and `percent` (0 to 100) of those who hold any.
    """

    people: People
    percent: Percent

    @property
    def wide(self) -> bool:
        """Whether it holds next to nothing: who means that should hear it."""
        return self.people > WIDE_PEOPLE or self.percent > WIDE_PERCENT


class Limits(Count):
    """The limits of one direction: of a run, of 24 hours and of 7 days."""

    day: Count | None = None
    week: Count | None = None

    @property
    def over_a_day(self) -> Count:
        """The limit of 24 hours: as written, or twice the people of a run, at least 5 %."""
        return self.day or self._wider(2, 5.0)

    @property
    def over_a_week(self) -> Count:
        """The limit of 7 days: as written, or four times the people of a run, at least 10 %."""
        return self.week or self._wider(4, 10.0)

    def _wider(self, times: int, percent: float) -> Count:
        return Count(people=self.people * times, percent=max(self.percent, percent))

    @property
    def wide_limits(self) -> list[str]:
        """The names of the limits that hold next to nothing."""
        named = {"run": self, "day": self.over_a_day, "week": self.over_a_week}
        return [name for name, limit in named.items() if limit.wide]


class Brakes(Limits):
    """[brakes]: for losing access and, unless `gaining` says otherwise, for gaining it.

    sensitive: how many may gain a sensitive profile in a run before two people must agree.
    """

    people: People = 3
    percent: Percent = 2.0
    gaining: Limits | None = None
    sensitive: Count = Count(people=3, percent=1.0)

    @property
    def wide_limits(self) -> list[str]:
        """The names of the limits that hold next to nothing, in both directions."""
        gaining = self.gaining.wide_limits if self.gaining else []
        found = [*super().wide_limits, *(f"gaining, {name}" for name in gaining)]
        return [*found, *(["sensitive"] if self.sensitive.wide else [])]


def _right(value: Any) -> Any:  # noqa: ANN401 - whatever TOML holds
    if isinstance(value, str):
        return {"ref": value}
    if isinstance(value, dict):
        return value
    raise ValueError('write "NAME" or { ref = "NAME", kind = "alarm" }')


class RightTable(Settings):
    """One right of a profile, by the target's own name; a plain text is an access right."""

    ref: Text
    kind: GrantKind = "access"


def _suspended_after(value: Any) -> int | None:  # noqa: ANN401 - whatever TOML holds
    if value == "keep":
        return None
    if value == "suspend":
        return 0
    days = value.get("suspend_after_days") if isinstance(value, dict) else None
    if type(days) is int and days >= 0 and len(value) == 1:
        return days
    raise ValueError('write "keep", "suspend" or { suspend_after_days = 30 }')


class ProfileTable(Settings):
    """[[profiles]]. `on_leave` is the days of leave after which access rests; None is never."""

    id: Text
    name: Text | None = None
    level: Literal["basic", "extended", "advanced"] = "basic"
    grants: dict[str, tuple[Annotated[RightTable, BeforeValidator(_right)], ...]]
    lead_days: Days = 0
    on_leave: Annotated[int | None, PlainValidator(_suspended_after)] = None
    floor: Staff = 0
    sensitive: bool = False


def _condition(value: Any) -> Condition:  # noqa: ANN401 - whatever TOML holds
    if not isinstance(value, dict):
        raise ValueError("write a table of conditions: { unit_under = … }")
    return parse(value)


class RuleTable(Settings):
    """[[rules]]. `when` has to be written, so that nobody gives access to all by forgetting it."""

    id: Text | None = None
    profile: Text
    when: Annotated[Any, PlainValidator(_condition)]
    requires: tuple[Text, ...] = ()
    grace_days: Days = 0


class FileTable(Settings):
    """The whole file; what a connector reads of its own table is left to the connector."""

    idsync: General = Field(default={}, validate_default=True)
    correlation: Correlation = Field(default={}, validate_default=True)
    sources: dict[Name, dict[str, Any]] = Field(default={})
    targets: dict[Name, dict[str, Any]] = Field(default={})
    controllers: dict[Text, tuple[Text, ...]] = Field(default={})
    brakes: Brakes = Field(default={}, validate_default=True)
    retention: Retention = Field(default={}, validate_default=True)
    schedule: Schedule = Field(default={}, validate_default=True)
    serve: Serve = Field(default={}, validate_default=True)
    events: Events = Field(default={}, validate_default=True)
    oncall: OnCall = Field(default={}, validate_default=True)
    profiles: tuple[ProfileTable, ...] = ()
    rules: tuple[RuleTable, ...] = ()
