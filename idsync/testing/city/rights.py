"""What the rules of a city give its people, found by idsync itself."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from datetime import time
from pathlib import Path
from uuid import UUID

import polars as pl

from idsync.config import Config, load
from idsync.errors import IdsyncError
from idsync.mapping.rules import Desired
from idsync.mapping.times import ALWAYS, NEVER
from idsync.model import ATTRIBUTES
from idsync.plan.attributes import shown_attributes
from idsync.service.planning import desire_of, orders_of, whoever
from idsync.service.reading import read_sources
from idsync.store import open_state
from idsync.testing.city.holders import Right
from idsync.testing.city.make import read_made

INSTANCE = str(UUID(int=0))  # the namespace of ids that nobody sees
INSTANT = pl.Datetime("us", "UTC")


def rights_of(folder: Path) -> Iterator[Right]:
    """Yield what the rules give at noon of the city's day, sorted by employee number.

    Raises:
        ValueError: *folder* holds no city.
        IdsyncError: its configuration is wrong, or a source is not all there.
    """
    noon = datetime.datetime.combine(read_made(folder).today, time(12), datetime.UTC)
    config = load(folder / "connectors.toml")
    desired = _desired(config, noon)
    shown = _shown(config, desired)
    return (Right(*row) for row in _spelled(desired, shown).iter_rows())


def _desired(config: Config, now: datetime.datetime) -> Desired:
    nowhere = config.folder / "no-such-state.db"  # so it is played in memory
    state = open_state(f"sqlite:///{nowhere}", create=False, instance=INSTANCE)
    try:
        reads = read_sources(config, state, now, lambda step: None)
        for name, read in reads.items():
            if not read.state.complete:
                raise IdsyncError(f"source {name}: {read.state.reason}")
        people = whoever(config, state, reads, now)
        return desire_of(config, people, orders_of(state, people), now)
    finally:
        state.close()


def _shown(config: Config, desired: Desired) -> pl.DataFrame:
    """person_id, target and the attributes that the target receives; the others are null."""
    shown = shown_attributes(desired.people)
    return pl.concat(
        shown.select(
            "person_id",
            pl.lit(target.name).alias("target"),
            *(
                pl.col(name) if name in target.release else pl.lit(None, pl.String).alias(name)
                for name in ATTRIBUTES
            ),
        )
        for target in config.targets.values()
    )


def _spelled(desired: Desired, shown: pl.DataFrame) -> pl.DataFrame:
    """Every grant with the columns of Right."""
    persons = desired.people.persons.with_row_index("person").select(
        "person", "employee_number", person_id="id"
    )
    return (
        desired.grants.join(desired.rights, on="right")
        .join(persons, on="person")
        .join(shown, on=["person_id", "target"])
        .with_columns(_instant("valid_from", ALWAYS), _instant("valid_to", NEVER))
        .sort("employee_number", "target", "kind", "ref")
        .select(Right._fields)
    )


def _instant(name: str, unbounded: int) -> pl.Expr:
    return pl.when(pl.col(name) != unbounded).then(name).cast(INSTANT).alias(name)
