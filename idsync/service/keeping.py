"""What is kept of the sources after a run: what is believed, its absences, announced ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from idsync.mapping.absence import ANNOUNCED, announced_ends
from idsync.mapping.correlate import People
from idsync.service.looking import Look
from idsync.service.reading import SourceRead
from idsync.store import State


def source_frames(state: State, seen: Look, people: People) -> dict[str, pl.DataFrame]:
    """Return the frames of the sources as they shall be after the run, by name.

    `read:SOURCE:KIND` is what is believed, `absent:SOURCE:KIND` those of its rows that did
    not come, `announced` the ends that are told (ANNOUNCED). What did not change is left out.
    """
    believed = {
        name: (read.tables, read.absent)
        for name, read in seen.reads.items()
        if read.fresh is not None and read.tables is not None
    }
    if seen.released:
        believed |= {name: (one.tables, one.absent) for name, one in seen.released.believed.items()}
    frames: dict[str, pl.DataFrame] = {}
    for name, (tables, absent) in believed.items():
        frames |= {f"read:{name}:{kind}": table for kind, table in tables.items()}
        frames |= {f"absent:{name}:{kind}": table for kind, table in absent.items()}
    if seen.reads:
        frames |= _announced(state, seen.reads, people, seen.plan.made_at)
    return frames


def _announced(
    state: State, reads: Mapping[str, SourceRead], people: People, now: datetime
) -> dict[str, pl.DataFrame]:
    before = state.frames.load("announced", ANNOUNCED)
    counts = {name: read.fresh is not None and not read.again for name, read in reads.items()}
    after = announced_ends(before, people.employments, counts, now).sort("person_id", "employment")
    return {} if after.equals(before) else {"announced": after}
