"""[oncall] of connectors.toml: who is told when an alarm stands, and by which ways."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from idsync.settings import PathField, SecretField, Settings

AlarmKind: TypeAlias = Literal[
    "run-stale", "source-stale", "target-stale", "night-late", "night-missed", "night-slow",
    "night-failed", "revocation-unconfirmed", "stream-silent",
    "subscription-lapsed", "oncall-failed", "fault",
]  # fmt: skip
"""What an alarm's name begins with, up to a colon."""

URGENT: tuple[AlarmKind, ...] = (
    "revocation-unconfirmed", "run-stale", "night-failed", "oncall-failed", "fault",
)  # fmt: skip
"""What somebody should be woken for, where the file does not say otherwise."""

PORTS = {"starttls": 587, "tls": 465, "none": 25}


def _address(text: str) -> str:
    """Return *text* if it is an address that every mail server takes and no header breaks at."""
    if not re.fullmatch(r"[!-9;-?A-~]+@[A-Za-z0-9.-]+", text):
        raise ValueError("write an address alone, in plain letters: jour@example.org")
    return text


def _url(url: str) -> str:
    from idsync.http import check_url

    return check_url(url)


Text: TypeAlias = Annotated[str, Field(min_length=1)]
Address: TypeAlias = Annotated[Text, AfterValidator(_address)]


class MailTable(Settings):
    """[oncall.mail]: a mail server, whose certificate is verified, and who gets the mail."""

    host: Text
    port: Annotated[int, Field(strict=True, ge=1, le=65_535)] | None = None
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: PathField | None = None
    user: Text | None = None
    password: SecretField | None = None
    sender: Address
    to: Annotated[tuple[Address, ...], Field(min_length=1, max_length=20)]

    @property
    def at(self) -> int:
        """The port: as written, or the usual one."""
        return self.port or PORTS[self.tls]

    @model_validator(mode="after")
    def _fits(self) -> MailTable:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together: write both, or neither")
        if self.tls == "none" and not _is_loopback(self.host):
            raise ValueError('tls = "none" is only for a mail server on this machine: 127.0.0.1')
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class WebhookTable(Settings):
    """[oncall.webhook]: where a signed message is posted; `token` is a bearer token beside it."""

    url: Annotated[Text, AfterValidator(_url)]
    key: SecretField
    token: SecretField | None = None
    ca_file: PathField | None = None


class OnCall(Settings):
    """[oncall]: for which alarms somebody is told, and how often until they see to it."""

    alarms: Annotated[tuple[AlarmKind, ...], Field(min_length=1)] = URGENT
    again_minutes: Annotated[int, Field(strict=True, ge=5, le=1440)] = 60
    manual: Text = "docs/operate.md#alarms"
    mail: MailTable | None = None
    webhook: WebhookTable | None = None

    @property
    def again(self) -> timedelta:
        """After how long an alarm that nobody sees to is told again."""
        return timedelta(minutes=self.again_minutes)

    @property
    def ways(self) -> tuple[str, ...]:
        """The names of the ways there are."""
        return tuple(name for name in ("mail", "webhook") if getattr(self, name) is not None)

    def wants(self, alarm: str, way: str) -> bool:
        """Whether *alarm* (its name) is told by *way*; no way tells that it fails itself."""
        return alarm.partition(":")[0] in self.alarms and alarm != f"oncall-failed:{way}"
