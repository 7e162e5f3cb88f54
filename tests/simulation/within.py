"""Works on tiny tables where polars works: handing each over costs more than the work itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import polars as pl

Result = TypeVar("Result")


def within_polars(work: Callable[[], Result]) -> Result:
    """Return what *work* returns, or raise what it raises; it runs on a thread of polars' pool.

    Called from any other thread, polars hands each operation to its pool and waits: some 100 µs,
    where the operation itself takes 20. On a thread of the pool it does the work at once.
    With one thread in the pool and no other thread that uses polars nothing can wait for
    nothing here; a program that has more threads must not do this.
    """
    done: list[Result] = []
    failed: list[BaseException] = []

    def one(rows: pl.Series) -> pl.Series:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)
        return rows

    # of two columns polars computes each in its pool; a single one it computes where it is asked
    row = pl.DataFrame({"first": [0], "second": [0]})
    row.select(pl.col("first").map_batches(one, return_dtype=pl.Int64), pl.col("second") + 1)
    if failed:
        raise failed[0]
    return done[0]
