"""What one target holds, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import polars as pl

from idsync.model import Cardholder, Credential, Grant, schema

CARDHOLDERS = schema(Cardholder)
CREDENTIALS = pl.Schema({"holder": pl.UInt32(), **schema(Credential, "key", "native_id")})
GRANTS = pl.Schema({**schema(Grant, "key", "native_id"), "reason": pl.String()})
RIGHTS = pl.Schema({"kind": pl.String(), "ref": pl.String()})
INSTANT = pl.Datetime("us", "UTC")
HELD = pl.Schema(
    {
        "holder": pl.UInt32(),
        "right": pl.UInt32(),
        "valid_from": INSTANT,
        "valid_to": INSTANT,
        "reason": pl.String(),
    }
)

CHUNK = 20_000


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """The cardholders, credentials and grants of one target, from one complete read.

    Who holds what is told by row: `held` has holder (a row of `cardholders`), right (a row
    of `rights`: kind, ref) and the dates; `reason` is why the system says the grant is
    there: the type of its first reason, or null.
    """

    cardholders: pl.DataFrame
    credentials: pl.DataFrame
    rights: pl.DataFrame
    held: pl.DataFrame

    @classmethod
    def collect(cls, cardholders: Iterable[Cardholder]) -> Holdings:
        """Return the tables of *cardholders*; memory is bounded by the tables."""
        rights: dict[tuple[str, str], int] = {}
        holders, credentials, held = [], [], []
        seen = 0
        for chunk in _chunks(cardholders):
            holders.append(_holders(chunk))
            credentials.append(_credentials(chunk, seen))
            held.append(_held(chunk, seen, rights))
            seen += len(chunk)
        return cls(
            cardholders=pl.concat([pl.DataFrame(schema=CARDHOLDERS), *holders]),
            credentials=pl.concat([pl.DataFrame(schema=CREDENTIALS), *credentials]),
            rights=pl.DataFrame(list(rights), schema=RIGHTS, orient="row"),
            held=pl.concat([pl.DataFrame(schema=HELD), *held]),
        )

    @cached_property
    def grants(self) -> pl.DataFrame:
        """Every grant with the key and native id of its holder and the name of its right."""
        holder, right = self.cardholders[self.held["holder"]], self.rights[self.held["right"]]
        columns = (*holder.select("key", "native_id"), *right, *self.held.drop("holder", "right"))
        return pl.DataFrame(columns).select(*GRANTS)


def _holders(chunk: list[Cardholder]) -> pl.DataFrame:
    rows = [tuple(getattr(holder, name) for name in CARDHOLDERS) for holder in chunk]
    return pl.DataFrame(rows, schema=CARDHOLDERS, orient="row")


def _credentials(chunk: list[Cardholder], first: int) -> pl.DataFrame:
    rows = [
        (row, holder.key, holder.native_id, c.number, c.medium, c.state, c.state_reason)
        for row, holder in enumerate(chunk, first)
        for c in holder.credentials
    ]
    return pl.DataFrame(rows, schema=CREDENTIALS, orient="row")


def _held(chunk: list[Cardholder], first: int, rights: dict[tuple[str, str], int]) -> pl.DataFrame:
    rows = [
        (
            row, rights.setdefault((g.kind, g.ref), len(rights)), g.valid_from, g.valid_to,
            g.because[0].type if g.because else None,
        )
        for row, holder in enumerate(chunk, first)
        for g in holder.grants
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=HELD, orient="row")


def _chunks(cardholders: Iterable[Cardholder]) -> Iterator[list[Cardholder]]:
    iterator = iter(cardholders)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
