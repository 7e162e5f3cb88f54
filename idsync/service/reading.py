"""Reads the sources, and decides what is believed of each."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from idsync.config import Config, SourceConfig, connect_source
from idsync.errors import IdsyncError, Incomplete
from idsync.mapping.absence import COUNT
from idsync.mapping.bands import Decisive, decisive
from idsync.mapping.believing import Accepted, Belief, Delivery, Terms, Verdict, believe
from idsync.model import Kind
from idsync.plan.document import SourceState
from idsync.service.personal_numbers import coded
from idsync.sources import RECORDS, Batch, Source
from idsync.store import Snapshot, State
from idsync.together import workers

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class SourceRead:
    """What is believed of a source now: read just now, or as last accepted.

    `fresh` is set where the read was complete, be it but for some parts; `tables` is None
    where nothing was ever accepted. `absent` are the rows of the tables that did not come,
    with `missed` and `since`. `again`: the same delivery as the last accepted one.
    """

    state: SourceState
    tables: Mapping[Kind, pl.DataFrame] | None
    absent: Mapping[Kind, pl.DataFrame]
    verdict: Verdict
    fresh: Snapshot | None = None
    again: bool = False
    used: tuple[str, ...] = ()


def read_sources(
    config: Config, state: State, now: datetime, progress: Progress
) -> dict[str, SourceRead]:
    """Read every source, side by side; one that fails leaves what was last accepted."""
    sources, asked = config.sources, decisive_of(config)
    approved = state.orders.approved(now)

    def one(table: SourceConfig) -> SourceRead:
        progress(f"reading {table.name}")
        terms = Terms(
            bands=table.bands, asked=asked, absent_reads=table.absent_reads, approved=approved
        )
        return _read(table, terms, state, now)

    with workers(len(sources)) as pool:
        return dict(zip(sources, pool.map(one, sources.values()), strict=True))


def decisive_of(config: Config) -> Decisive:
    """Return what of people's records the configuration looks at."""
    correlation = config.correlation
    keys = [target.key for target in config.targets.values()]
    return decisive(config.catalogue, correlation.keys, correlation.fingerprint, keys)


def _read(config: SourceConfig, terms: Terms, state: State, now: datetime) -> SourceRead:
    before = state.snapshot(config.name)
    try:
        source = connect_source(config)
        try:
            tables, last = _gather(source, before.cursor if before else None)
        finally:
            source.close()
        tables = coded(tables, config)
        records = tables[config.kind].height
        _require_enough(records, before, config)
    except IdsyncError as error:
        return _fall_back(config, state, before, str(error))
    except Exception as error:  # a fault in a connector must not look like an empty source
        reason = f"the connector failed ({type(error).__name__}): report it to its author"
        return _fall_back(config, state, before, reason)
    read = Delivery(
        source=config.name, tables=tables, at=now,
        again=before is not None and last.cursor is not None and last.cursor == before.cursor,
        moved=_moved(config, before),
    )  # fmt: skip
    belief = _believed(config, state, read, terms) if before else Belief(tables=tables, absent={})
    return _accepted_now(config, before, read, belief, last)


def _accepted_now(
    config: SourceConfig, before: Snapshot | None, read: Delivery, belief: Belief, last: Batch
) -> SourceRead:
    away = belief.absent.get(config.kind)
    absent = away.filter(pl.col("missed") > 0).height if away is not None else 0
    in_doubt = any(doubt.part == "scope" for doubt in belief.doubts)
    fresh = Snapshot(
        accepted_at=read.at.isoformat(), records=belief.tables[config.kind].height - absent,
        content=content_of(belief.tables), proof=last.proof or "", cursor=last.cursor,
        settings=before.settings if before and in_doubt else config.digest,
    )  # fmt: skip
    reasons = [_with_approval(doubt.reason, doubt.digest) for doubt in belief.doubts]
    verdict = Verdict(
        complete=not belief.doubts, reason="; ".join(reasons) or fresh.proof, doubts=belief.doubts
    )
    return SourceRead(
        state=_told(
            verdict, read.tables[config.kind].height, fresh.content, absent, again=read.again
        ),
        tables=belief.tables, absent=belief.absent, verdict=verdict, fresh=fresh,
        again=read.again, used=belief.used,
    )  # fmt: skip


def _told(
    verdict: Verdict, records: int, content: str, absent: int, *, again: bool = False
) -> SourceState:
    return SourceState(
        records=records, complete=verdict.complete, reason=verdict.reason, content=content,
        doubts=verdict.doubts, absent=absent, again=again,
    )  # fmt: skip


def _with_approval(reason: str, digest: str) -> str:
    return f'{reason}. If it is right: idsync approve {digest[:12]} --reason "…"'


def _believed(config: SourceConfig, state: State, read: Delivery, terms: Terms) -> Belief:
    before = Accepted(tables=accepted(config.name, state), absent=absences(config.name, state))
    return believe(before, read, terms)


def _moved(config: SourceConfig, before: Snapshot | None) -> bool:
    """Whether the source was read by other settings when it was last accepted."""
    return before is not None and before.settings not in (None, config.digest)


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


def _require_enough(records: int, before: Snapshot | None, config: SourceConfig) -> None:
    if records == 0:
        raise Incomplete("the answer has nobody in it: that is never believed")
    if before is not None and records < before.records * config.min_share:
        changed = "scope changed: the settings of this source are others now; "
        raise Incomplete(
            f"{changed if _moved(config, before) else ''}{records} records came, "
            f"{before.records} were accepted last time: less than min_share = "
            f"{config.min_share} of them. If it is right, lower min_share for one run"
        )


def _fall_back(
    config: SourceConfig, state: State, before: Snapshot | None, reason: str
) -> SourceRead:
    last = state.verdicts.last(config.name)
    doubts = last[1].doubts if last else ()  # what waits for approval goes on waiting
    verdict = Verdict(complete=False, reason=reason, doubts=doubts)
    absent = absences(config.name, state) if before else {}
    away = absent.get(config.kind)
    told = _told(
        verdict, before.records if before else 0, before.content if before else "",
        away.filter(pl.col("missed") > 0).height if away is not None else 0,
    )  # fmt: skip
    tables = accepted(config.name, state) if before else None
    return SourceRead(state=told, tables=tables, absent=absent, verdict=verdict)


def accepted(source: str, state: State) -> dict[Kind, pl.DataFrame]:
    """Return the tables of *source* as last accepted."""
    return _frames("read", source, state, pl.Schema())


def absences(source: str, state: State) -> dict[Kind, pl.DataFrame]:
    """Return the rows of *source* that are believed and were not in the last accepted read."""
    return _frames("absent", source, state, COUNT)


def _frames(prefix: str, source: str, state: State, more: pl.Schema) -> dict[Kind, pl.DataFrame]:
    there = state.frames.names(f"{prefix}:{source}:")
    return {
        kind: state.frames.load(f"{prefix}:{source}:{kind}", pl.Schema({**columns, **more}))
        for kind, columns in RECORDS.items()
        if f"{prefix}:{source}:{kind}" in there
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
