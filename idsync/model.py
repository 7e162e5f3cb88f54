"""The words of idsync, and the one declaration of every table.

Entities and fields follow the Physical Access Data Package (docs/model.md says where a
name differs). Each class below declares one row; `schema(cls)` is the table of it. The
same declaration serves what a source yields, what a target reads back, the plan and the
state.

Conventions:

* Instants are UTC. An interval is half-open, [valid_from, valid_to). None is unbounded.
* Text has three values: a value is known, "" is known to be absent, None is unknown.
* A local date becomes the instant of its local midnight (`day_start`).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Literal, TypeAlias, get_args, get_origin
from zoneinfo import ZoneInfo

if typing.TYPE_CHECKING:
    import polars as pl

Protection: TypeAlias = Literal["none", "secrecy_marking", "protected_registration"]
Kind: TypeAlias = Literal["persons", "employments", "trainings", "memberships"]
CredentialState: TypeAlias = Literal[
    "active", "suspended", "lost", "stolen", "damaged", "destroyed",
    "expired", "inactive", "returned", "stock",
]  # fmt: skip
GrantKind: TypeAlias = Literal["access", "alarm", "competency"]
HolderStatus: TypeAlias = Literal["active", "suspended"]


# ── people ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One human being, after correlation. `id` is never reused."""

    id: str
    given_name: str | None = None
    family_name: str | None = None
    display_name: str | None = None
    kind: str | None = None  # employee, contractor, elected, student, volunteer, visitor, service
    status: str | None = None  # active, suspended, archived: what the sources say of the person
    mail: str | None = None
    phone: str | None = None
    user_name: str | None = None
    employee_number: str | None = None
    birth_date: str | None = None  # only to tell two people on one number apart; never released
    protection: str | None = None  # none, secrecy_marking, protected_registration; None = unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Employment:
    """One basis for being here (the package's Assignment). A person has several at once."""

    id: str
    person_id: str
    unit: str | None = None  # path in the unit tree, parts joined by " / "
    employer: str | None = None
    kind: str | None = None  # form: permanent, fixed, hourly, elected, contractor …
    title: str | None = None
    job_code: str | None = None
    percent_permille: int | None = None
    primary: bool | None = None
    leave_from: datetime | None = None
    leave_to: datetime | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCompletion:
    """A person passed a course. `valid_to` is the expiry that drives access."""

    person_id: str
    course_id: str
    completed_at: datetime | None = None
    valid_to: datetime | None = None
    result: str | None = None  # passed, failed, exempt; None counts as passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A person is in a directory group or holds a role (the package's RoleAssignment)."""

    person_id: str
    role: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityLink:
    """`value` is the native key under which `system` knows the person `person_id`."""

    system: str
    value: str
    person_id: str
    first_seen: datetime | None = None


# ── what an access system holds ─────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a grant exists: one rule for one employment, one approval …"""

    type: str  # rule, training, approval, manual, imported
    ref: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One right in one target: an access level or group, an alarm authority, or a competency.

    `ref` is the target's own name of the right. Two grants are equal when right and
    interval are equal; the reasons do not take part.
    """

    ref: str
    kind: GrantKind = "access"
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    because: tuple[Reason, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A tag, card, mobile key or PIN, with its state. `number` identifies it in its target."""

    number: str
    medium: str = "card"
    state: CredentialState = "active"
    state_reason: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cardholder:
    """What one target holds, or should hold, for one person.

    `key` is the correlation key: the value by which the target's record is tied to a
    person. It is None for a record that carries none (made by hand, or a tag without
    any holder: then `native_id` is "" too). `native_id` is the system's own id.

    Two fields say that what is shown is not the whole truth, in words without personal
    data; both are "" where it is. `pending`: the system has not answered the last write
    yet, and what is shown is how it shall be. `amiss`: it does not hold everywhere as
    shown, since the system refused the last write later, or one of several cards lacks a
    right; an empty change (before = after) sends it again and sets it right.
    """

    key: str | None
    native_id: str = field(default="", compare=False)
    display_name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    mail: str | None = None
    department: str | None = None
    status: HolderStatus = "active"
    credentials: tuple[Credential, ...] = ()
    grants: tuple[Grant, ...] = ()
    version: str = field(default="", compare=False)
    pending: str = field(default="", compare=False)
    amiss: str = field(default="", compare=False)


ATTRIBUTES = ("display_name", "given_name", "family_name", "mail", "department")
"""Fields of a cardholder that idsync may send, where the target's release list allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A cardholder as it is and as it shall be.

    Both sides show local grants too, so what neither side adds nor removes is left
    alone. `before` is None where the target has no such cardholder yet. An attribute
    that is None in `after` is left as it is.
    """

    before: Cardholder | None
    after: Cardholder

    @property
    def key(self) -> str:
        """The correlation key, never None in a change."""
        if self.after.key is None:
            raise ValueError("a change always has a key")
        return self.after.key

    @property
    def added(self) -> tuple[Grant, ...]:
        """Grants that shall be there and are not."""
        had = set(self.before.grants) if self.before else set()
        return tuple(grant for grant in self.after.grants if grant not in had)

    @property
    def removed(self) -> tuple[Grant, ...]:
        """Grants that are there and shall not be."""
        keeps = set(self.after.grants)
        return (
            tuple(grant for grant in self.before.grants if grant not in keeps)
            if self.before
            else ()
        )

    @property
    def credentials(self) -> tuple[Credential, ...]:
        """Credentials whose state shall change, as they shall be."""
        had = set(self.before.credentials) if self.before else set()
        return tuple(credential for credential in self.after.credentials if credential not in had)

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes that shall be written."""
        return {
            name: wanted
            for name in ATTRIBUTES
            if (wanted := getattr(self.after, name)) is not None
            and (self.before is None or getattr(self.before, name) != wanted)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a change.

    confirmed: the system says it is done · submitted: it answers later · refused: it
    will not, with the reason · unknown: it may or may not have happened.
    """

    status: Literal["confirmed", "submitted", "refused", "unknown"]
    reason: str = ""


# ── tables ──────────────────────────────────────────────────────────────────────────────

SCALARS: dict[Any, str] = {str: "String", int: "Int64", bool: "Boolean", datetime: "Datetime"}


def scalar_fields(cls: type) -> dict[str, str]:
    """Return the columns of *cls*: its fields that hold one value, with the name of the type."""
    hints = typing.get_type_hints(cls)
    columns = {}
    for declared in dataclasses.fields(cls):
        kind = hints[declared.name]
        if get_origin(kind) in (types.UnionType, typing.Union):
            kind = next(part for part in get_args(kind) if part is not type(None))
        if get_origin(kind) is Literal:
            kind = str
        if kind in SCALARS:
            columns[declared.name] = SCALARS[kind]
    return columns


def schema(cls: type, *keys: str) -> pl.Schema:
    """Return the columns of the table of *cls*, led by the text columns *keys*."""
    import polars as pl

    dtypes = {
        "String": pl.String(),
        "Int64": pl.Int64(),
        "Boolean": pl.Boolean(),
        "Datetime": pl.Datetime("us", "UTC"),
    }
    columns = dict.fromkeys(keys, "String") | scalar_fields(cls)
    return pl.Schema({name: dtypes[kind] for name, kind in columns.items()})


def table(rows: Iterable[Any], cls: type) -> pl.DataFrame:
    """Return *rows*, instances of *cls*, as its table."""
    import polars as pl

    columns = schema(cls)
    return pl.DataFrame(
        [[getattr(row, name) for name in columns] for row in rows], schema=columns, orient="row"
    )


# ── time ────────────────────────────────────────────────────────────────────────────────


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant, in UTC, at which the local *day* begins in *zone*."""
    return datetime.combine(day, time.min, zone).astimezone(ZoneInfo("UTC"))


def day_end(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant at which the local *day* is over: midnight after it."""
    return day_start(day + timedelta(days=1), zone)
