"""Columns as bytes: Arrow's streaming format, compressed."""

from __future__ import annotations

import io

import polars as pl

COMPACT = pl.CompatLevel.oldest()
"""Texts one after the other: the newer layout may carry along those of rows that are gone."""
AS_FILE = b"ARROW1"
"""How Arrow's file format begins, in which states of version 3 and before hold their tables."""


def encoded(rows: pl.DataFrame) -> bytes:
    """Return *rows* as bytes.

    A stream, since a small one is read ten times as fast as a file of the same rows; large
    ones take the same time.
    """
    buffer = io.BytesIO()
    rows.write_ipc_stream(buffer, compression="lz4", compat_level=COMPACT)
    return buffer.getvalue()


def decoded(data: bytes, columns: list[str] | None = None) -> pl.DataFrame:
    """Return the rows in *data*, with *columns* alone if they are named.

    Raises:
        polars.exceptions.PolarsError: it is damaged, or lacks a column.
        OSError: it is cut.
    """
    read = pl.read_ipc if data.startswith(AS_FILE) else pl.read_ipc_stream
    return read(io.BytesIO(data), columns=columns)
