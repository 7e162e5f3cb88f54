"""What the brake counts together: one target, all of a controller, the whole city."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from idsync.plan.given import TargetPlan


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Targets that are counted together; None is all of them, also those that are no more.

    holders: who holds a right in each of them that could be read.
    """

    name: str
    targets: tuple[str, ...] | None
    holders: tuple[pl.Series, ...] = field(repr=False, compare=False)

    @cached_property
    def base(self) -> int:
        """How many people hold a right there. It takes time, so it is counted when asked for."""
        if len(self.holders) == 1:  # of one target everybody is named once
            return self.holders[0].len()
        return pl.concat(self.holders).n_unique() if self.holders else 0


def scopes_of(
    plans: Sequence[TargetPlan], controllers: Mapping[str, str] | None = None
) -> list[Scope]:
    """Return every target, every controller of several, and the city of several controllers.

    *controllers* names the controller of every target there is, planned or not: what went
    before in a target that does not answer now counts all the same.
    """
    owners = {plan.target.name: plan.target.controller for plan in plans}
    owners = dict(controllers) if controllers is not None else owners
    holders = {plan.target.name: plan.holders["person_id"] for plan in plans}
    scopes = [
        Scope(name=f"target {name}", targets=(name,), holders=(people,))
        for name, people in holders.items()
    ]
    for controller in dict.fromkeys(plan.target.controller for plan in plans):
        theirs = tuple(name for name, owner in owners.items() if owner == controller)
        if len(theirs) > 1:
            read = tuple(holders[name] for name in theirs if name in holders)
            scopes.append(Scope(name=f"controller {controller}", targets=theirs, holders=read))
    if len(set(owners.values())) > 1 and plans:
        scopes.append(Scope(name="city", targets=None, holders=tuple(holders.values())))
    return scopes
