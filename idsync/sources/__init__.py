"""The promise of a source: a system that says something about people."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from idsync.model import Employment, Kind, Membership, Person, TrainingCompletion, schema

RECORDS: dict[Kind, pl.Schema] = {
    "persons": pl.Schema(
        {"key": pl.String(), **{k: v for k, v in schema(Person).items() if k != "id"}}
    ),
    "employments": pl.Schema(
        {
            "key": pl.String(),
            "person_key": pl.String(),
            **{k: v for k, v in schema(Employment).items() if k not in ("id", "person_id")},
        }
    ),
    "trainings": pl.Schema(
        {
            "person_key": pl.String(),
            **{k: v for k, v in schema(TrainingCompletion).items() if k != "person_id"},
        }
    ),
    "memberships": pl.Schema(
        {
            "person_key": pl.String(),
            **{k: v for k, v in schema(Membership).items() if k != "person_id"},
        }
    ),
}
"""The columns of each kind of record, as a source knows them: by its own keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some records of one kind, and on the last batch the proof that all have come.

    `records` has columns of RECORDS[kind], in any order; a column that is left out is
    unknown for everybody. Whoever is named by a `person_key` must come as a persons
    record too (by `key`), from the same source, with whatever identifies them elsewhere.

    `proof` stands on the last batch only and says in words why the read is complete
    ("control total 2531 agrees"). A read that ends without one is incomplete.
    `cursor` goes with the proof: what the source wants back at the next read.
    """

    kind: Kind
    records: pl.DataFrame
    proof: str | None = None
    cursor: str | None = None


class Source(Protocol):
    """Reads what one system says about people, and never writes to it."""

    @abstractmethod
    def read(self, since: str | None) -> Iterator[Batch]:
        """Yield everything in scope; the last batch carries the proof that it is everything.

        *since* is the cursor of the last read that was accepted, or None. Half an answer
        is the one unforgivable bug: whoever is missing may lose access. If a page fails,
        raise; do not stop early, do not skip.

        Raises:
            Unavailable: the system does not answer.
            Incomplete: it answered with less than everything.
            Denied: it refuses the account.
            ConfigError: a setting does not fit what the system holds.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections. Called once, after the last read."""
