"""What a [sources.NAME] table of type "ldap" may say: docs/sources/ldap.md."""

from __future__ import annotations

import difflib
import ipaddress
import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from idsync.settings import PathField, SecretField, Settings
from idsync.sources import RECORDS
from idsync.sources.ldap_values import VOCABULARY

FIELDS = tuple(name for name in RECORDS["persons"] if name != "key")
ATTRIBUTE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(;[A-Za-z0-9-]+)*")
SCOPES: dict[str, str] = {"subtree": "SUBTREE", "one": "LEVEL"}


class LdapConfig(Settings):
    """The settings of one LDAP source."""

    kind: Literal["persons", "memberships"] = "persons"
    url: str
    start_tls: bool = False
    ca_file: PathField | None = None
    bind_dn: str = Field(min_length=1)
    password: SecretField
    base: str
    filter: str
    scope: Literal["subtree", "one"] = "subtree"
    key: str = "entryUUID"
    map: dict[str, str] = Field(min_length=1)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    person: str = "employee_number"
    group_base: str | None = None
    group_filter: str = "(|(objectClass=groupOfNames)(objectClass=group))"
    role: str = "cn"
    member: str = "member"
    referrals: Literal["refuse", "ignore"] = "refuse"
    page_size: int = Field(default=1000, ge=1, le=10_000)
    timeout_s: int = Field(default=30, ge=1, le=600)

    @property
    def host(self) -> str:
        """The host in `url`."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port in `url`, or the usual one."""
        return urlsplit(self.url).port or (636 if self.secure else 389)

    @property
    def secure(self) -> bool:
        """Whether TLS comes before anything else."""
        return self.url.lower().startswith("ldaps:")

    @property
    def loopback(self) -> bool:
        """Whether the host is this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @field_validator("url")
    @classmethod
    def _only_a_server(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            fits = parts.scheme in ("ldap", "ldaps") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            fits = False
        if not fits or parts.path not in ("", "/") or parts.query or parts.username is not None:
            raise ValueError("write ldaps://host or ldaps://host:port, and the rest in base")
        return url.rstrip("/")

    @field_validator("key", "role", "member")
    @classmethod
    def _one_attribute(cls, name: str) -> str:
        if not ATTRIBUTE.fullmatch(name):
            raise ValueError("write the name of one attribute, such as cn")
        return name

    @field_validator("map")
    @classmethod
    def _known_fields(cls, fields: dict[str, str]) -> dict[str, str]:
        for field, attribute in fields.items():
            if field not in FIELDS:
                near = difflib.get_close_matches(field, FIELDS, 1)
                hint = f"; did you mean {near[0]}?" if near else f": one of {', '.join(FIELDS)}"
                raise ValueError(f"map.{field} is not a field of a person{hint}")
            if not ATTRIBUTE.fullmatch(attribute):
                raise ValueError(f"map.{field}: write the name of one attribute, such as mail")
        return fields

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.secure and self.start_tls:
            raise ValueError("ldaps:// has TLS already: leave out start_tls")
        if not (self.secure or self.start_tls or self.loopback):
            raise ValueError(
                "ldap:// sends the password in clear: use ldaps:// or start_tls = true"
            )
        for field, words in self.values.items():
            if field not in self.map:
                raise ValueError(f"values.{field} has no attribute: add {field} to map")
            wrong = [word for word in words.values() if word not in VOCABULARY.get(field, (word,))]
            if wrong:
                raise ValueError(f"values.{field}: only {', '.join(VOCABULARY[field])} are known")
        if self.kind == "memberships":
            if self.group_base is None:
                raise ValueError('kind = "memberships" needs group_base: where the groups are')
            if self.person not in self.map:
                raise ValueError(f"person = {self.person!r} needs its attribute: add it to map")
        elif self.model_fields_set & {"group_base", "group_filter", "role", "member", "person"}:
            raise ValueError('group_base, group_filter, role, member, person: kind = "memberships"')
        return self
