"""Reads the sources, and decides what is believed of each."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from idsync.config import SourceConfig, connect_source
from idsync.errors import IdsyncError, Incomplete
from idsync.model import Kind
from idsync.plan.document import SourceState
from idsync.service.personal_numbers import coded
from idsync.sources import RECORDS, Batch, Source
from idsync.store import Snapshot, State

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class SourceRead:
    """What is believed of a source now: read just now, or as last accepted.

    `fresh` is set where the read was complete; `tables` is None where nothing was ever
    accepted.
    """

    state: SourceState
    tables: Mapping[Kind, pl.DataFrame] | None
    fresh: Snapshot | None = None


def read_sources(
    sources: Mapping[str, SourceConfig], state: State, now: datetime, progress: Progress
) -> dict[str, SourceRead]:
    """Read every source, side by side; one that fails leaves what was last accepted."""

    def one(config: SourceConfig) -> SourceRead:
        progress(f"reading {config.name}")
        return _read(config, state, now)

    with ThreadPoolExecutor(max(1, len(sources))) as pool:
        return dict(zip(sources, pool.map(one, sources.values()), strict=True))


def _read(config: SourceConfig, state: State, now: datetime) -> SourceRead:
    before = state.snapshot(config.name)
    try:
        source = connect_source(config)
        try:
            tables, last = _gather(source, before.cursor if before else None)
        finally:
            source.close()
        tables = coded(tables, config)
        records = tables[config.kind].height
        _require_enough(records, before, config.min_share)
    except IdsyncError as error:
        return _fall_back(config, state, before, str(error))
    except Exception as error:  # a fault in a connector must not look like an empty source
        reason = f"the connector failed ({type(error).__name__}): report it to its author"
        return _fall_back(config, state, before, reason)
    fresh = Snapshot(
        accepted_at=now.isoformat(), records=records, content=content_of(tables),
        proof=last.proof or "", cursor=last.cursor,
    )  # fmt: skip
    seen = SourceState(
        records=records, complete=True, reason=last.proof or "", content=fresh.content
    )
    return SourceRead(state=seen, tables=tables, fresh=fresh)


def _gather(source: Source, since: str | None) -> tuple[dict[Kind, pl.DataFrame], Batch]:
    """Return the records of a whole read by kind, and its last batch."""
    parts: dict[Kind, list[pl.DataFrame]] = {}
    last: Batch | None = None
    for batch in source.read(since):
        if last is not None and last.proof is not None:
            raise Incomplete("the connector went on after its proof: report it to its author")
        parts.setdefault(batch.kind, []).append(_whole(batch))
        last = batch
    if last is None or last.proof is None:
        raise Incomplete("the read ended without proof that everything came")
    return {kind: pl.concat(tables) for kind, tables in parts.items()}, last


def _whole(batch: Batch) -> pl.DataFrame:
    """The records with every declared column; what the source leaves out is unknown."""
    columns = RECORDS[batch.kind]
    missing = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in columns.items()
        if name not in batch.records.columns
    ]
    return batch.records.with_columns(missing).select(columns.names()).cast(columns)


def _require_enough(records: int, before: Snapshot | None, share: float) -> None:
    if records == 0:
        raise Incomplete("the answer has nobody in it: that is never believed")
    if before is not None and records < before.records * share:
        raise Incomplete(
            f"{records} records came, {before.records} were accepted last time: less than "
            f"min_share = {share} of them. If it is right, lower min_share for one run"
        )


def _fall_back(
    config: SourceConfig, state: State, before: Snapshot | None, reason: str
) -> SourceRead:
    told = SourceState(
        records=before.records if before else 0, complete=False, reason=reason,
        content=before.content if before else "",
    )  # fmt: skip
    return SourceRead(state=told, tables=accepted(config.name, state) if before else None)


def accepted(source: str, state: State) -> dict[Kind, pl.DataFrame]:
    """Return the tables of *source* as last accepted."""
    return {
        kind: state.frames.load(f"read:{source}:{kind}", columns)
        for kind, columns in RECORDS.items()
        if f"read:{source}:{kind}" in state.frames.names(f"read:{source}:")
    }


def content_of(tables: Mapping[Kind, pl.DataFrame]) -> str:
    """Return the digest of what the tables say; the order of rows does not matter."""
    digest = hashlib.sha256()
    for kind in sorted(tables):
        rows = tables[kind].unique().sort(pl.all(), nulls_last=True).rechunk()
        buffer = io.BytesIO()
        rows.write_ipc(buffer)
        digest.update(kind.encode())
        digest.update(buffer.getbuffer())
    return digest.hexdigest()
