"""Bulk facts as columns: each frame is stored in sorted parts that can be read by themselves."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, delete, insert, select, true

from idsync.errors import IntegrityError
from idsync.store.columns import decoded, encoded
from idsync.store.digests import digest_of, require_sound
from idsync.store.tables import part
from idsync.together import workers

PART_ROWS = 100_000
SIDE_BY_SIDE = 4
FEW = 16  # rows for each distinct text, from which on a column is stored by number


class Frames:
    """Named tables. Saving one replaces it, in the transaction of the caller."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: KeptFrames | None = None

    def keep(self, most_bytes: int) -> None:
        """From now on keep what is loaded in memory, as long as all of it has *most_bytes*.

        Each load looks whether what is kept is what stands there, by its digests.
        """
        self._kept = KeptFrames(most_bytes)

    def drop_changed(self) -> None:
        """Let go of what is kept and is no longer what stands there: somebody may be erased."""
        if self._kept is None:
            return
        self._kept.only(self._stand(true()))

    def load(self, name: str, columns: pl.Schema) -> pl.DataFrame:
        """Return the frame *name* with *columns*; without rows where it was never saved.

        Raises:
            IntegrityError: a stored part is damaged.
        """
        return self.load_all({name: columns})[name]

    def _read(self, name: str, columns: pl.Schema) -> pl.DataFrame:
        query = select(part).where(part.c.frame == name).order_by(part.c.number)
        rows = self._rows(query)
        frame = self._joined(rows, columns, from_the_first=True)
        if self._kept is not None:
            self._kept.put(name, columns, tuple(one.digest for one in rows), frame)
        return frame

    def load_one(self, name: str, columns: pl.Schema, value: str) -> pl.DataFrame:
        """Return the rows of frame *name* whose first column is *value*, reading only its part."""
        query = (
            select(part)
            .where(part.c.frame == name, part.c.low <= value, part.c.high >= value)
            .order_by(part.c.number)
        )
        return self._joined(self._rows(query), columns).filter(pl.col(next(iter(columns))) == value)

    def load_all(self, wanted: Mapping[str, pl.Schema]) -> dict[str, pl.DataFrame]:
        """Return several frames by name, read side by side; see `load`."""
        found = self._known(wanted)
        rest = [name for name in wanted if name not in found]
        if len(rest) == 1:
            found[rest[0]] = self._read(rest[0], wanted[rest[0]])
        elif rest:
            with workers(SIDE_BY_SIDE) as pool:
                columns = [wanted[name] for name in rest]
                found |= zip(rest, pool.map(self._read, rest, columns), strict=True)
        return found

    def _known(self, wanted: Mapping[str, pl.Schema]) -> dict[str, pl.DataFrame]:
        """Return those that are kept and are what stands there: one look at the state for all."""
        if self._kept is None:
            return {}
        stands = self._stand(part.c.frame.in_(list(wanted)))
        kept = {
            name: self._kept.get(name, columns, stands.get(name, ()))
            for name, columns in wanted.items()
        }
        return {name: frame for name, frame in kept.items() if frame is not None}

    def _stand(self, those: ColumnElement[bool]) -> dict[str, tuple[str | None, ...]]:
        """Return by name the digests of the parts that stand in the state."""
        query = select(part.c.frame, part.c.digest).where(those)
        stands: dict[str, tuple[str | None, ...]] = {}
        with self._engine.connect().execution_options(reads=True) as connection:
            for name, digest in connection.execute(query.order_by(part.c.frame, part.c.number)):
                stands[name] = (*stands.get(name, ()), digest)
        return stands

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
            ends = rows[first] if named else rows[first].clear()
            values = part_values(name, number, rows.height, ends, encoded(_coded(rows)))
            connection.execute(insert(part).values(values))

    def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self._engine.connect().execution_options(reads=True) as connection:
            return connection.execute(query).all()

    @staticmethod
    def _joined(
        found: Sequence[Row[Any]], columns: pl.Schema, *, from_the_first: bool = False
    ) -> pl.DataFrame:
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
            parts = [_as_asked(blob, columns) for blob in blobs]
            return pl.concat(parts) if parts else pl.DataFrame(schema=columns)
        except (pl.exceptions.PolarsError, OSError):
            raise IntegrityError(
                "a stored table in the state is damaged: restore the state from its last copy"
            ) from None


class KeptFrames:
    """Frames in memory, each with the digests of the parts that it was read from.

    A frame is never changed in place, so that several threads may have the same one.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._frames: dict[tuple[str, str], tuple[tuple[str | None, ...], pl.DataFrame, int]] = {}
        self._turn = threading.Lock()

    def get(
        self, name: str, columns: pl.Schema, stands: tuple[str | None, ...]
    ) -> pl.DataFrame | None:
        """Return the frame if it is made of the parts that have the digests *stands*."""
        with self._turn:
            known = self._frames.get((name, str(columns)))
        return known[1] if known is not None and known[0] == stands else None

    def only(self, stands: Mapping[str, tuple[str | None, ...]]) -> None:
        """Let go of every frame that is not made of the parts with the digests *stands*."""
        with self._turn:
            self._frames = {
                key: one for key, one in self._frames.items() if one[0] == stands.get(key[0], ())
            }

    def put(
        self, name: str, columns: pl.Schema, stands: tuple[str | None, ...], frame: pl.DataFrame
    ) -> None:
        """Keep *frame* in place of an older one, if it has room and every part has a digest."""
        size = int(frame.estimated_size())
        with self._turn:
            self._frames.pop((name, str(columns)), None)
            taken = sum(one for _, _, one in self._frames.values())
            if None not in stands and taken + size <= self._most:
                self._frames[name, str(columns)] = (stands, frame, size)


def part_values(
    frame: str, number: int, rows: int, first: pl.Series, data: bytes
) -> dict[str, Any]:
    """Return the row of one part of a frame: *first* is its first column, *data* the whole."""
    values: dict[str, Any] = {
        "frame": frame, "number": number, "low": first.min(), "high": first.max(), "rows": rows,
        "data": data,
    }  # fmt: skip
    return values | {"digest": digest_of(*values.values())}


def _as_asked(blob: bytes, columns: pl.Schema) -> pl.DataFrame:
    rows = decoded(blob, columns.names())
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
