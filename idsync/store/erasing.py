"""Takes somebody out of the state, and their old bytes out of the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

import polars as pl
from sqlalchemy import Connection, Engine, delete, func, select, update

from idsync.store.audit_checkpoints import retire
from idsync.store.columns import decoded, encoded
from idsync.store.frames import part_values
from idsync.store.journal import OPEN
from idsync.store.tables import journal, metadata, part, person_key

OF_PERSON = ("person_id", "person")
KEEPS = {journal.name, person_key.name}
"""Tables with people in them that are treated by themselves."""
AT_ONCE = 5000


def unfinished(connection: Connection, person_id: str) -> int:
    """Return how many operations on somebody are not known or not answered yet."""
    query = select(func.count()).select_from(journal)
    states = (*OPEN, "submitted")
    query = query.where(journal.c.person_id == person_id, journal.c.state.in_(states))
    return connection.execute(query).scalar_one()


def erase_rows(
    connection: Connection, person_id: str, keys: Mapping[str, Iterable[str]]
) -> list[list[int]]:
    """Take every row about somebody out of every table but their key; see `forget`.

    *keys* are their own keys by source. Returns the operations that left the journal, as
    ranges of first and last.
    """
    mine = journal.c.person_id == person_id
    numbers = list(connection.execute(select(journal.c.id).where(mine).order_by(journal.c.id)))
    gone = ranges(number for (number,) in numbers)
    connection.execute(delete(journal).where(mine))
    if gone:
        retire(connection, gone[-1][1])
    for table in metadata.sorted_tables:
        if "person_id" in table.columns and table.name not in KEEPS:
            connection.execute(delete(table).where(table.c.person_id == person_id))
    _erase_from_frames(connection, person_id, keys)
    return gone


def _erase_from_frames(
    connection: Connection, person_id: str, keys: Mapping[str, Iterable[str]]
) -> None:
    """Rewrite the parts of stored tables that tell of somebody."""
    places = connection.execute(select(part.c.frame, part.c.number)).all()
    for frame, number in places:
        here = (part.c.frame == frame) & (part.c.number == number)
        data = connection.execute(select(part.c.data).where(here)).scalar_one()
        rows = decoded(data)
        kept = rows.filter(~_tells_of(frame, rows, person_id, keys))
        if kept.height == rows.height:
            continue
        first = kept[kept.columns[0]].cast(pl.String)
        connection.execute(
            update(part)
            .where(here)
            .values(part_values(frame, number, kept.height, first, encoded(kept)))
        )


def _tells_of(
    frame: str, rows: pl.DataFrame, person_id: str, keys: Mapping[str, Iterable[str]]
) -> pl.Expr:
    """Which rows are about somebody: by id, or by a key of theirs in a source."""
    found = [
        pl.col(name).cast(pl.String) == person_id for name in OF_PERSON if name in rows.columns
    ]
    if frame in ("person", "face"):
        found.append(pl.col("id") == person_id)
    if {"source", "key"} <= set(rows.columns):
        found += [
            (pl.col("source").cast(pl.String) == source)
            & pl.col("key").cast(pl.String).is_in(list(theirs))
            for source, theirs in keys.items()
        ]
    of_source = frame.split(":")[1] if ":" in frame else ""
    found += [
        pl.col(name).cast(pl.String).is_in(list(keys[of_source]))
        for name in ("key", "person_key")
        if name in rows.columns and of_source in keys and not frame.startswith(TARGETS)
    ]
    return pl.any_horizontal(pl.lit(False), *found).fill_null(False)


TARGETS = ("link:", "ledger:", "due:", "local:")
"""Beginnings of the names of tables about a target: keys there are the target's."""


def ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Return ascending *numbers* as ranges, each of first and last."""
    ordered = list(numbers)
    if not ordered:
        return []
    breaks = [row for row, (one, two) in enumerate(pairwise(ordered), 1) if two != one + 1]
    starts, ends = [0, *breaks], [*breaks, len(ordered)]
    return [[ordered[s], ordered[e - 1]] for s, e in zip(starts, ends, strict=True)]


def purge(engine: Engine) -> None:
    """Write the database anew without what was deleted from it.

    On SQLite the file and its log hold nothing of it afterwards. On PostgreSQL the tables
    do not; its own log, standbys and backups forget as their administrator has set.
    """
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in metadata.sorted_tables:
                if table is part or "person_id" in table.columns:
                    connection.exec_driver_sql(f"VACUUM FULL {table.name}")
        return
    with engine.connect().execution_options(reads=True) as connection:
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
        connection.exec_driver_sql("VACUUM")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
