"""What the brake counts together: one target, all of a controller, the whole city."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from idsync.plan.given import TargetPlan


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Targets that are counted together; None is all of them, also those that are no more.

    base: how many people hold a right there, as far as the targets could be read.
    """

    name: str
    targets: tuple[str, ...] | None
    base: int


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
        Scope(name=f"target {name}", targets=(name,), base=people.len())
        for name, people in holders.items()
    ]
    for controller in dict.fromkeys(plan.target.controller for plan in plans):
        theirs = tuple(name for name, owner in owners.items() if owner == controller)
        if len(theirs) > 1:
            base = _distinct([holders[name] for name in theirs if name in holders])
            scopes.append(Scope(name=f"controller {controller}", targets=theirs, base=base))
    if len(set(owners.values())) > 1 and plans:
        scopes.append(Scope(name="city", targets=None, base=_distinct(list(holders.values()))))
    return scopes


def _distinct(people: list[pl.Series]) -> int:
    return pl.concat(people).n_unique() if people else 0
