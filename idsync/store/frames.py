"""Bulk facts as columns: each frame is stored in sorted parts that can be read by themselves."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, Select, delete, insert, select

from idsync.errors import IntegrityError
from idsync.store.digests import digest_of, require_sound
from idsync.store.tables import part
from idsync.together import workers

PART_ROWS = 100_000
SIDE_BY_SIDE = 4
COMPACT = pl.CompatLevel.oldest()
"""Texts one after the other: the newer layout may carry along those of rows that are gone."""
FEW = 16  # rows for each distinct text, from which on a column is stored by number


class Frames:
    """Named tables. Saving one replaces it, in the transaction of the caller."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self, name: str, columns: pl.Schema) -> pl.DataFrame:
        """Return the frame *name* with *columns*; without rows where it was never saved.

        Raises:
            IntegrityError: a stored part is damaged.
        """
        query = select(part).where(part.c.frame == name).order_by(part.c.number)
        return self._read(query, columns, from_the_first=True)

    def load_one(self, name: str, columns: pl.Schema, value: str) -> pl.DataFrame:
        """Return the rows of frame *name* whose first column is *value*, reading only its part."""
        query = (
            select(part)
            .where(part.c.frame == name, part.c.low <= value, part.c.high >= value)
            .order_by(part.c.number)
        )
        return self._read(query, columns).filter(pl.col(next(iter(columns))) == value)

    def load_all(self, wanted: Mapping[str, pl.Schema]) -> dict[str, pl.DataFrame]:
        """Return several frames by name, loaded side by side; see `load`."""
        with workers(SIDE_BY_SIDE) as pool:
            return dict(zip(wanted, pool.map(self.load, wanted, wanted.values()), strict=True))

    def names(self, prefix: str) -> list[str]:
        """Return the names of the stored frames that begin with *prefix*."""
        with self._engine.connect().execution_options(reads=True) as connection:
            rows = connection.execute(select(part.c.frame).distinct())
            return sorted(name for (name,) in rows if name.startswith(prefix))

    def save(self, connection: Connection, name: str, frame: pl.DataFrame) -> None:
        """Replace the frame *name* by *frame*, sorted by its first column."""
        connection.execute(delete(part).where(part.c.frame == name))
        first = frame.columns[0]
        frame = frame.sort(first, maintain_order=True)
        named = frame.schema[first] == pl.String  # others are never looked up by it
        for number, start in enumerate(range(0, max(frame.height, 1), PART_ROWS)):
            rows = frame.slice(start, PART_ROWS)
            buffer = io.BytesIO()
            _coded(rows).write_ipc(buffer, compression="lz4", compat_level=COMPACT)
            ends = rows[first] if named else rows[first].clear()
            values = part_values(name, number, rows.height, ends, buffer.getvalue())
            connection.execute(insert(part).values(values))

    def _read(
        self, query: Select[Any], columns: pl.Schema, *, from_the_first: bool = False
    ) -> pl.DataFrame:
        with self._engine.connect().execution_options(reads=True) as connection:
            found = connection.execute(query).all()
        if from_the_first and [one.number for one in found] != list(range(len(found))):
            raise IntegrityError(
                "a stored table in the state lacks a part: restore the state from its last copy"
            )
        blobs = []
        for one in found:
            known = (one.frame, one.number, one.low, one.high, one.rows, one.data)
            require_sound(one.digest, *known)
            blobs.append(one.data)
        try:
            parts = [_decoded(blob, columns) for blob in blobs]
            return pl.concat(parts) if parts else pl.DataFrame(schema=columns)
        except (pl.exceptions.PolarsError, OSError):
            raise IntegrityError(
                "a stored table in the state is damaged: restore the state from its last copy"
            ) from None


def part_values(
    frame: str, number: int, rows: int, first: pl.Series, data: bytes
) -> dict[str, Any]:
    """Return the row of one part of a frame: *first* is its first column, *data* the whole."""
    values: dict[str, Any] = {
        "frame": frame, "number": number, "low": first.min(), "high": first.max(), "rows": rows,
        "data": data,
    }  # fmt: skip
    return values | {"digest": digest_of(*values.values())}


def _decoded(blob: bytes, columns: pl.Schema) -> pl.DataFrame:
    rows = pl.read_ipc(io.BytesIO(blob), columns=columns.names())
    return (
        rows
        if rows.schema == columns
        else rows.select(pl.col(name).cast(dtype) for name, dtype in columns.items())
    )


def _coded(rows: pl.DataFrame) -> pl.DataFrame:
    """Store texts that stand again and again once, and their number in each row."""
    texts = [name for name, dtype in rows.schema.items() if dtype == pl.String]
    if rows.is_empty() or not texts:
        return rows
    counts = rows.select(pl.col(texts).approx_n_unique()).row(0, named=True)
    few = [name for name in texts if counts[name] * FEW <= rows.height]
    return rows.with_columns(pl.col(few).cast(pl.Categorical)) if few else rows
