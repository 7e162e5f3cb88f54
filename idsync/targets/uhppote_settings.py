"""What a [targets.NAME] table of type "uhppote" may say."""

from __future__ import annotations

from datetime import date
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from idsync.settings import PathField, Settings, ZoneField

PORT = 60000
"""The port of every controller that was not told otherwise (uhppoted, README, "Addresses")."""

PROFILES = range(2, 255)
"""Numbers of time profiles; 1 in their place is always, 0 never (uhppoted, Card record)."""


def _address(written: str) -> str:
    host, port = split_address(written)
    known = IPv4Address(host)
    if known.is_multicast or known.is_unspecified or known == IPv4Address("255.255.255.255"):
        raise ValueError("an address of one controller, never a broadcast address")
    if not 0 < port < 65536:
        raise ValueError("a port is a number from 1 to 65535")
    return written


def split_address(written: str) -> tuple[str, int]:
    """Return host and port of "HOST" or "HOST:PORT"."""
    host, colon, port = written.partition(":")
    if colon and not (port.isascii() and port.isdigit()):
        raise ValueError("write an IPv4 address, with :PORT where it is not 60000")
    return host, int(port) if colon else PORT


def _day(written: Any) -> str:  # noqa: ANN401 - whatever TOML holds
    day = written if isinstance(written, date) else date.fromisoformat(str(written))
    if not 2000 <= day.year < 2100:
        raise ValueError("the controllers know days from 2000-01-01 to 2099-12-31")
    return f"{day:%Y-%m-%d}"


Day = Annotated[str, BeforeValidator(_day)]


class ControllerConfig(Settings):
    """One controller: its serial number, where it is, and what its doors are called here."""

    id: int = Field(ge=1, lt=2**32)
    address: Annotated[str, AfterValidator(_address)]
    doors: tuple[str, ...] = Field(min_length=1, max_length=4)  # "" where there is none
    protocol: Literal["udp", "tcp"] = "udp"


class UhppoteConfig(Settings):
    """Keys of a [targets.NAME] table with type = "uhppote"."""

    controllers: tuple[ControllerConfig, ...] = Field(min_length=1)
    holders: PathField
    holders_at_least: int = Field(default=1, ge=1)
    holders_counted: bool = False
    strangers_at_most: int = Field(default=20, ge=0)
    profiles: dict[str, int] = Field(default_factory=dict)
    card_from: Day = "2000-01-01"
    card_until: Day = "2099-12-31"
    timeout_s: float = Field(default=2.5, ge=0.05, le=30)
    timezone: ZoneField = Field(default=None, validate_default=True)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        ids = [controller.id for controller in self.controllers]
        if len(set(ids)) < len(ids):
            raise ValueError("controllers: one id stands twice")
        doors = [name for controller in self.controllers for name in controller.doors if name]
        if len(set(doors)) < len(doors):
            raise ValueError("controllers: one door name stands twice: a name is one door")
        numbers = list(self.profiles.values())
        if len(set(numbers)) < len(numbers) or not set(numbers) <= set(PROFILES):
            raise ValueError("profiles: each name has a number of its own, from 2 to 254")
        for name in (*doors, *self.profiles):
            if not name.strip() or "/" in name or ":" in name:
                raise ValueError("names of doors and profiles are not blank and hold no / or :")
        if any(name.isdigit() for name in self.profiles):
            raise ValueError("profiles: a name is no number, which would look like another profile")
        if self.card_from >= self.card_until:
            raise ValueError("card_from must be before card_until")
        return self
