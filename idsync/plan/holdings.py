"""What one target holds, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import polars as pl

from idsync.model import Cardholder, Credential, Grant, schema

CARDHOLDERS = schema(Cardholder)
CREDENTIALS = schema(Credential, "key", "native_id")
GRANTS = pl.Schema({**schema(Grant, "key", "native_id"), "reason": pl.String()})
"""`reason` is why the system says the grant is there: the type of its first reason, or null."""

CHUNK = 20_000


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """The cardholders, credentials and grants of one target, from one complete read."""

    cardholders: pl.DataFrame
    credentials: pl.DataFrame
    grants: pl.DataFrame

    @classmethod
    def collect(cls, cardholders: Iterable[Cardholder]) -> Holdings:
        """Return the tables of *cardholders*; memory is bounded by the tables."""
        parts = [cls._chunk(chunk) for chunk in _chunks(cardholders)]
        return cls(
            cardholders=pl.concat([pl.DataFrame(schema=CARDHOLDERS), *(part[0] for part in parts)]),
            credentials=pl.concat([pl.DataFrame(schema=CREDENTIALS), *(part[1] for part in parts)]),
            grants=pl.concat([pl.DataFrame(schema=GRANTS), *(part[2] for part in parts)]),
        )

    @staticmethod
    def _chunk(chunk: list[Cardholder]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        holders = [tuple(getattr(holder, name) for name in CARDHOLDERS) for holder in chunk]
        credentials = [
            (holder.key, holder.native_id, c.number, c.medium, c.state, c.state_reason)
            for holder in chunk
            for c in holder.credentials
        ]
        grants = [
            (
                holder.key, holder.native_id, g.ref, g.kind, g.valid_from, g.valid_to,
                g.because[0].type if g.because else None,
            )
            for holder in chunk
            for g in holder.grants
        ]  # fmt: skip
        return (
            pl.DataFrame(holders, schema=CARDHOLDERS, orient="row"),
            pl.DataFrame(credentials, schema=CREDENTIALS, orient="row"),
            pl.DataFrame(grants, schema=GRANTS, orient="row"),
        )


def _chunks(cardholders: Iterable[Cardholder]) -> Iterator[list[Cardholder]]:
    iterator = iter(cardholders)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
