"""What one controller may see: its own systems, its own people, and nothing of anybody else.

A board (nämnd) is a data controller of its own. This narrows what is shown to one of them;
it is a view for somebody who may run idsync, and no lock: whoever may read connectors.toml
and the state may read all of both. docs/privacy.md says what is a lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from idsync.config import Config
from idsync.errors import ConfigError
from idsync.mapping.correlate import People
from idsync.store import Revocation

STRANGER = "somebody whom this controller does not employ"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """One controller: its name, its targets, and the units that are its own."""

    controller: str
    targets: tuple[str, ...]
    units: tuple[str, ...]

    def config(self, config: Config) -> Config:
        """Return *config* with the controller's targets alone, and what gives rights there."""
        profiles = [
            replace(one, rights=tuple(r for r in one.rights if r.target in self.targets))
            for one in config.profiles
        ]
        kept = [one for one in profiles if one.rights]
        names = {one.id for one in kept}
        return replace(
            config,
            targets={name: config.targets[name] for name in self.targets},
            profiles=kept,
            rules=[rule for rule in config.rules if rule.profile in names],
        )

    def people(self, people: People) -> People:
        """Return those whom the controller employs, or did, with these employments alone.

        Who works for two boards is a subject of each, and neither learns of the other.
        """
        unit = pl.col("unit").fill_null("")
        under = [(unit == one) | unit.str.starts_with(f"{one} / ") for one in self.units]
        employments = people.employments.filter(pl.any_horizontal([pl.lit(False), *under]))
        theirs = employments["person_id"].unique().implode()
        mine = pl.col("person_id").is_in(theirs)
        return People(
            persons=people.persons.filter(pl.col("id").is_in(theirs)),
            employments=employments,
            trainings=people.trainings.filter(mine),
            memberships=people.memberships.filter(mine),
            links=people.links.filter(mine),
            set_aside=people.set_aside.filter(mine),
            disagreements=people.disagreements.filter(mine),
            unmatched=people.unmatched.clear(),
            trainings_known=people.trainings_known,
            memberships_known=people.memberships_known,
        )

    def orders(self, standing: Iterable[Revocation], theirs: People) -> list[Revocation]:
        """Return the orders on its own people (*theirs*): on all of one, or on an employment here.

        Who works for two boards has an order of each, and neither learns of the other's.
        """
        people, employments = set(theirs.persons["id"]), {None, *theirs.employments["id"]}
        return [
            one for one in standing if one.person_id in people and one.employment in employments
        ]

    def orphans(self, found: pl.DataFrame, people: People) -> pl.DataFrame:
        """Return the rows of *found* that are in its targets, silent about others' people."""
        own = pl.col("person_id").is_in(self.people(people).persons["id"].implode())
        others = pl.col("person_id").is_not_null() & ~own
        return found.filter(pl.col("target").is_in(self.targets)).with_columns(
            person_id=pl.when(~others).then("person_id"),
            cls=pl.when(others).then(pl.lit("holder unknown")).otherwise("cls"),
            department=pl.when(others).then(pl.lit("")).otherwise("department"),
            detail=pl.when(others).then(pl.lit(STRANGER)).otherwise("detail"),
        )

    def holds(self, held: str) -> bool:
        """Return whether a held part, by the name of its scope, is the controller's."""
        return held in (f"controller {self.controller}", *(f"target {n}" for n in self.targets))

    def run(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return what may be told of a run, which was everybody's: when it was."""
        told = {"id", "command", "started_at", "ended_at"}
        return {name: value if name in told else None for name, value in row.items()}


def scope_of(config: Config, controller: str) -> Scope:
    """Return the scope of *controller*.

    Raises:
        ConfigError: nothing is said of a controller of this name. Those there are stay unsaid.
    """
    targets = tuple(name for name, one in config.targets.items() if one.controller == controller)
    if not targets and controller not in config.controllers:
        raise ConfigError(
            "connectors.toml names no controller like this: see [controllers], and "
            "controller of the targets"
        )
    return Scope(
        controller=controller, targets=targets, units=config.controllers.get(controller, ())
    )
