"""Retention: what is old enough goes by itself at the end of a run, class by class."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from idsync.config import Config
from idsync.errors import ConfigError
from idsync.model import Person, schema
from idsync.service.auditing import checkpoints_of, public_keys, signing_key
from idsync.service.erasing import Decision, erase_unpurged
from idsync.service.history import LOCAL
from idsync.store import State, Transaction
from idsync.store.audit_checkpoints import is_genuine, parsed
from idsync.store.audit_cutting import cut, cuts_of
from idsync.store.audit_keys import kept as held_people
from idsync.store.audit_signing import PublicKey
from idsync.store.erasing import purge
from idsync.store.retaining import Limits, let_go

LEFT = pl.Schema({"person_id": pl.String(), "since": pl.Datetime("us", "UTC")})
"""Who is in no source any longer, and since which run."""
PEOPLE = 200
RECORDS = 100_000
"""The most people erased, and records of the audit cut, in one run."""


@dataclass(frozen=True, kw_only=True)
class Retained:
    """What went: people erased, and records of the audit."""

    people: int = 0
    records: int = 0


def retain(config: Config, state: State, now: datetime) -> Retained:
    """Let go of everything that is older than [retention] says. Within a run.

    Nothing goes while `hold` is set there, and nothing of people under a legal hold.
    """
    if config.retention.hold:
        return Retained()
    limits = config.retention
    with state.engine.begin() as connection:
        held = held_people(connection)
        rows = Limits(
            operations=limits.operations, runs=limits.runs, orders=limits.orders,
            sources=limits.sources,
        )  # fmt: skip
        gone = let_go(connection, rows, list(config.sources), list(held), now)
        _forget_old_grants(state, connection, now - timedelta(days=limits.local), held)
        state.audit.append(connection, gone, now)
        if gone:
            state.begin_epoch(connection)  # its newest numbers may be among what went
    state.note()
    people = _people(config, state, now)
    records = _audit(config, state, list(held.values()), now)
    return Retained(people=people, records=records)


def _forget_old_grants(
    state: State, connection: Transaction, oldest: datetime, held: Collection[str]
) -> None:
    for name in state.frames.names("local:"):
        local = state.frames.load(name, LOCAL)
        old = (pl.col("seen_to") < oldest) & ~pl.col("person_id").is_in(list(held)).fill_null(False)
        left = local.filter(~old.fill_null(False))
        if left.height != local.height:
            state.frames.save(connection, name, left)


# ── people ──────────────────────────────────────────────────────────────────────────────


def _people(config: Config, state: State, now: datetime) -> int:
    """Erase who has been in no source for long enough; who holds something stays."""
    left = _who_left(state, now)
    oldest = now - timedelta(days=config.retention.people)
    decision = Decision(reason=f"retention: gone for {config.retention.people} days", by="idsync")
    erased = 0
    for person_id in left.filter(pl.col("since") < oldest)["person_id"].to_list():
        if erased == PEOPLE:
            break
        try:
            erase_unpurged(state, person_id, decision, now)
        except ConfigError:
            continue  # what they hold is ended first, by the plan or by people
        erased += 1
    if erased:
        purge(state.engine)
    return erased


def _who_left(state: State, now: datetime) -> pl.DataFrame:
    """Keep who is known and in no source, since when, and return it."""
    before = state.frames.load("left", LEFT)
    known = state.frames.load("face", schema(Person)).select(person_id="id")
    here = state.frames.load("person", schema(Person)).select(person_id="id")
    away = known.join(here, on="person_id", how="anti")
    stayed = before.join(away, on="person_id", how="semi")
    new = away.join(before, on="person_id", how="anti").with_columns(
        since=pl.lit(now, LEFT["since"])
    )
    if new.is_empty() and stayed.height == before.height:
        return before
    left = pl.concat([stayed, new.select(*LEFT)])
    with state.engine.begin() as connection:
        state.frames.save(connection, "left", left)
    return left


# ── the audit ───────────────────────────────────────────────────────────────────────────


def _audit(config: Config, state: State, held: list[str], now: datetime) -> int:
    """Cut whole segments that are old enough: each ends where a checkpoint was signed."""
    limit = config.retention.audit
    oldest = (now - timedelta(days=limit)).isoformat()
    with state.engine.connect().execution_options(reads=True) as connection:
        done = cuts_of(connection)
    known = {one.name: one for one in public_keys(config)}
    heads = _segment(_genuine_lines(checkpoints_of(config), known, done), oldest, done)
    if not heads:
        return 0
    key = signing_key(config)
    told = []
    with state.engine.begin() as connection:
        for controller, (number, hash_) in sorted(heads.items()):
            if number <= done.get(controller, 0):
                continue
            record = cut(
                connection, controller, number, hash_, key=key, limit_days=limit, kept=held, now=now
            )
            told += [record] if record else []
        state.audit.append(connection, told, now)
    return sum(record.facts["records"] for record in told)


def _segment(
    lines: Iterable[dict[str, Any]], oldest: str, done: Mapping[str, int]
) -> dict[str, Any]:
    """Return the heads of the newest checkpoint before *oldest*, or of one a bite away."""
    chosen: dict[str, Any] = {}
    for line in lines:
        if line["at"] >= oldest:
            break
        if chosen and _uncut(line, done) > RECORDS:
            break
        chosen = line["heads"]  # one segment at least, however long it is
    return chosen


def _genuine_lines(
    file: Path, keys: Mapping[str, PublicKey], done: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Yield the checkpoints after what is cut already that one of *keys* signed.

    Whoever can write the file must not be able to let idsync cut by a line of theirs.
    """
    try:
        with file.open("rb") as handle:
            for text in handle:
                line = parsed(text)
                # most lines are of what is cut already: a signature takes longer to verify
                if line and _uncut(line, done) and is_genuine(line, text.rstrip(b"\n"), keys):
                    yield line
    except OSError:
        return


def _uncut(line: Mapping[str, Any], done: Mapping[str, int]) -> int:
    """Return how many records up to *line* are not cut yet; 0 where a forged one tells nothing."""
    try:
        heads = line["heads"].items()
        return sum(max(0, number - done.get(name, 0)) for name, (number, _) in heads)
    except (KeyError, TypeError, ValueError, AttributeError):
        return 0
