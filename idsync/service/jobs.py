"""Which employments somebody has, which of them go on, and which are a controller's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import polars as pl

from idsync.config import WHOLE_CITY, Config
from idsync.mapping.correlate import People
from idsync.service.scope import scope_of
from idsync.store import Revocation


class Jobs:
    """The employments of some people, as last accepted, while events about them are weighed.

    Those that an order has ended are over. A controller's are those in its own units.
    """

    def __init__(
        self, config: Config, people: People, standing: Iterable[Revocation], now: datetime
    ) -> None:
        self._config = config
        self._people = people
        self._now = now
        self._over: dict[str, set[str]] = {}
        for one in standing:
            if one.employment is not None:
                self.end(one.person_id, [one.employment])
        self._theirs: dict[str, Mapping[str, set[str]]] = {}
        self._going: dict[str, Mapping[str, set[str]]] = {}

    def end(self, person: str, employments: Iterable[str]) -> None:
        """Count these as over from now on."""
        self._over.setdefault(person, set()).update(employments)

    def over(self, person: str) -> set[str]:
        """Return what orders have ended."""
        return self._over.get(person, set())

    def employs(self, controller: str, person: str) -> bool:
        """Whether the controller employs them, or did."""
        self._learn(controller)
        return person in self._theirs[controller]

    def known(self, person: str, controller: str = WHOLE_CITY) -> set[str]:
        """Return all of a person with a controller, whether they go on or not."""
        self._learn(controller)
        return self._theirs[controller].get(person, set())

    def live(self, person: str, controller: str = WHOLE_CITY) -> set[str]:
        """Return what goes on of a person with a controller."""
        self._learn(controller)
        return self._going[controller].get(person, set()) - self.over(person)

    def _learn(self, controller: str) -> None:
        if controller in self._theirs:
            return
        theirs = self._people
        if controller != WHOLE_CITY:
            theirs = scope_of(self._config, controller).people(theirs)
        nothing: dict[str, set[str]] = {person: set() for person in theirs.persons["id"]}
        for found, table in (
            (self._theirs, theirs.employments),
            (self._going, theirs.employments.filter(goes_on(self._now))),
        ):
            told = {key: jobs for (key,), jobs in grouped(table, ["person_id"], "id").items()}
            found[controller] = nothing | told


def goes_on(now: datetime) -> pl.Expr:
    """Whether an employment has begun and is not over."""
    begun = pl.col("valid_from").is_null() | (pl.col("valid_from") <= now)
    return begun & (pl.col("valid_to").is_null() | (pl.col("valid_to") > now))


def grouped(table: pl.DataFrame, by: Sequence[str], value: str) -> dict[tuple[str, ...], set[str]]:
    """Return the values of one column by those of others."""
    found: dict[tuple[str, ...], set[str]] = {}
    for *key, one in table.select(*by, value).iter_rows():
        found.setdefault(tuple(key), set()).add(one)
    return found
