"""What a target can hold, and its limits: data that the planner, the kit and the reports read.

One profile is one JSON file for one version of one product, checked against
`idsync/targets/profiles/schema.json`; docs/targets/index.md shows them side by side.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal, TypeAlias, get_args, get_origin

from idsync.errors import ConfigError
from idsync.model import ATTRIBUTES, GrantKind

Operation: TypeAlias = Literal["read", "create", "update", "remove"]
Granularity: TypeAlias = Literal["second", "minute", "day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFormat:
    """A form in which the system keeps card numbers, and how many bits it has room for."""

    name: str
    bits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PinRules:
    """How a PIN must look, and whether two people may have the same."""

    min_length: int
    max_length: int
    unique: bool = False
    readable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a target can hold, and its limits. Data, not code.

    Lengths count characters; None is no limit that is known.
    """

    # ── which system, and how sure ──────────────────────────────────────────────────────
    system: str = ""  # the product
    version: str = ""  # the version that the facts are of
    evidence: Literal["", "A", "B", "C"] = ""  # A the vendor's document, B clients seen, C hearsay

    # ── what can be done ────────────────────────────────────────────────────────────────
    cardholder: tuple[Operation, ...] = ("read", "create", "update")
    credential: tuple[Operation, ...] = ()
    grant: tuple[Operation, ...] = ("read", "create", "update", "remove")
    kinds: tuple[GrantKind, ...] = ("access",)  # of grants
    arming_levels: tuple[str, ...] = ()  # what an alarm right can allow
    rights_on: Literal["person", "credential"] = "person"
    writes: Literal["additive", "delta", "replace"] = "delta"  # of one cardholder's grants
    wire: Literal["calls", "documents"] = "calls"  # asked and answered, or a table or file put

    # ── time ────────────────────────────────────────────────────────────────────────────
    dated_grants: bool  # a grant can carry from and until
    dated_cardholders: bool = False
    grants_per_right: Literal["one", "many"] = "one"  # can it be held twice, with other dates
    granularity: Granularity = "second"
    end_inclusive: bool = False  # how the system itself writes an end; the adapter translates
    time_zone: Literal["utc", "system"] = "utc"  # what the system's own times are in

    # ── values ──────────────────────────────────────────────────────────────────────────
    attributes: tuple[str, ...] = ATTRIBUTES
    lengths: Mapping[str, int] = field(default_factory=dict)  # of attributes, and of "key"
    characters: Literal["unicode", "latin-1", "ascii"] = "unicode"
    unique: tuple[str, ...] = ()  # attributes that no two cardholders may share
    grants_per_holder: int | None = None
    grants_text: int | None = None  # characters in which all names of one holder's rights must fit
    card_formats: tuple[CardFormat, ...] = ()
    cards_per_holder: int | None = None
    pin: PinRules | None = None

    # ── how it is spoken to ─────────────────────────────────────────────────────────────
    marks: tuple[str, ...] = ()  # how our own records are known: external_id, client_id, field …
    change_feed: bool = False
    batch: int = 1  # how many changes one call may carry
    lanes: int = 1  # how many calls at the same time, each lane its own connection
    calls_per_second: float | None = None
    answer_hours: float = 0  # 0: at once; else how long an answer may take before it is overdue
    settles_s: float = 0  # how long the old state may show after a write was said to be done
    keeps_history: bool = True  # may what was overwritten, such as a name, stand there yet
    offline_hours: int = 0  # how long an offline lock may honour a revoked tag

    @property
    def credentials(self) -> Literal["none", "read", "write"]:
        """What can be done with tags: nothing, look at them, or change their state."""
        if "update" in self.credential:
            return "write"
        return "read" if "read" in self.credential else "none"

    @property
    def alarm_rights(self) -> bool:
        """Whether rights to arm and disarm have a place here."""
        return "alarm" in self.kinds

    @property
    def answers_later(self) -> bool:
        """Whether a write is only known to have happened some time after it was sent."""
        return self.answer_hours > 0


def profile(name: str, **overrides: Any) -> Capabilities:  # noqa: ANN401 - any field's value
    """Return the capabilities that idsync ships as `profiles/NAME.json`, with *overrides*.

    Raises:
        ConfigError: there is no such profile, or it holds what no capability is.
    """
    shipped = _shipped(name)
    return replace(shipped, **overrides) if overrides else shipped


@cache
def _shipped(name: str) -> Capabilities:
    """Read once: a connection is made for every person whose access ends."""
    return read_profile(files("idsync.targets") / "profiles" / f"{name}.json")


def read_profile(file: Traversable) -> Capabilities:
    """Return the capabilities in a JSON file, of idsync's own or of another package.

    Raises:
        ConfigError: the file cannot be read, or holds what no capability is.
    """
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        told.pop("$schema", None)
        return typing.cast(Capabilities, _made(Capabilities, told))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"capability profile {file.name} is not sound ({type(error).__name__}): "
            "hold it against profiles/schema.json"
        ) from None


def _made(cls: type, told: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an instance of cls
    hints = typing.get_type_hints(cls)
    known = {declared.name for declared in fields(cls)}
    if unknown := set(told) - known:
        raise KeyError(*sorted(unknown))
    return cls(**{name: _value(hints[name], value) for name, value in told.items()})


def _value(hint: Any, value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if get_origin(hint) in (types.UnionType, typing.Union):
        if value is None:
            return None
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], one) for one in value)
    if hint in (CardFormat, PinRules):
        return _made(hint, value)
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise ValueError(value)
    return value
