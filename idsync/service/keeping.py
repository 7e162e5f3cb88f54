"""Keeps what was read: what is believed of each source, its absences, verdicts and ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl
from sqlalchemy import Connection

from idsync.mapping.absence import ANNOUNCED, announced_ends
from idsync.mapping.correlate import People
from idsync.model import Kind
from idsync.service.looking import Look
from idsync.service.reading import SourceRead
from idsync.store import State


def keep_reads(
    state: State, connection: Connection, seen: Look, people: People, now: datetime
) -> None:
    """Keep what is believed of every source, in the transaction of the caller.

    Frames: `read:SOURCE:KIND` is what is believed, `absent:SOURCE:KIND` those of its rows
    that did not come, `announced` the ends that are told; see ANNOUNCED.
    """
    for name, read in seen.reads.items():
        state.verdicts.keep(connection, name, read.verdict, now)
        if read.fresh is not None:
            state.accept(connection, name, read.fresh)
    believed = seen.released.believed if seen.released else {}
    for name in believed.keys() | seen.reads.keys():
        tables, absent = _to_keep(seen.reads.get(name))
        if name in believed:
            tables, absent = believed[name].tables, believed[name].absent
        for kind, table in tables.items():
            state.frames.save(connection, f"read:{name}:{kind}", table)
        for kind, table in absent.items():
            state.frames.save(connection, f"absent:{name}:{kind}", table)
    if seen.reads:
        _keep_announced(state, connection, seen.reads, people)


def _to_keep(
    read: SourceRead | None,
) -> tuple[Mapping[Kind, pl.DataFrame], Mapping[Kind, pl.DataFrame]]:
    if read is None or read.fresh is None or read.tables is None:
        return {}, {}
    return read.tables, read.absent


def _keep_announced(
    state: State, connection: Connection, reads: Mapping[str, SourceRead], people: People
) -> None:
    before = state.frames.load("announced", ANNOUNCED)
    counts = {name: read.fresh is not None and not read.again for name, read in reads.items()}
    after = announced_ends(before, people.employments, counts)
    if not after.equals(before):
        state.frames.save(connection, "announced", after)
