"""The service catalogue: profiles, what they give in each target, and the rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from idsync.mapping.conditions import Condition
from idsync.model import GrantKind


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One right in one target, by the target's own name."""

    target: str
    kind: GrantKind
    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A named bundle of access.

    `suspend_after_days` is None where leave changes nothing, 0 where it suspends at once.
    `floor` is how many people must keep each of its rights before somebody looks; who is to
    gain a `sensitive` one in numbers waits for two people.
    """

    id: str
    name: str
    level: Literal["basic", "extended", "advanced"] = "basic"
    rights: tuple[Right, ...]
    lead_days: int = 0
    suspend_after_days: int | None = None
    floor: int = 0
    sensitive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who gets which profile, under which condition, requiring which training."""

    id: str
    profile: str
    when: Condition
    requires: tuple[str, ...] = ()
    grace_days: int = 0


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All profiles and rules."""

    profiles: tuple[Profile, ...]
    rules: tuple[Rule, ...]

    @cached_property
    def profile_index(self) -> dict[str, int]:
        """The position of each profile, by its id."""
        return {profile.id: index for index, profile in enumerate(self.profiles)}

    @cached_property
    def rights(self) -> tuple[Right, ...]:
        """Every right that some profile gives, sorted."""
        return tuple(sorted({right for profile in self.profiles for right in profile.rights}))

    def profile(self, rule: Rule) -> Profile:
        """Return the profile that *rule* gives."""
        return self.profiles[self.profile_index[rule.profile]]
