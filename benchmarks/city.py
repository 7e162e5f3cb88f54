"""The made-up city at any size: its people in a state, and the whole way to a plan from there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from benchmarks.measure import Counts
from idsync.config import Config, load
from idsync.mapping.times import ALWAYS, NEVER
from idsync.model import Cardholder, schema
from idsync.plan.attributes import shown_attributes
from idsync.plan.holdings import CREDENTIALS, HELD, Holdings
from idsync.plan.items import LEDGER
from idsync.service.planning import (
    LINKS,
    assemble,
    desire_of,
    orders_of,
    plan_all,
    remembered,
    stored_people,
    whoever,
)
from idsync.service.reading import read_sources
from idsync.service.remembering import people_frames
from idsync.sources import csv as _csv_source  # noqa: F401 - loaded before the clock starts
from idsync.store import State, open_state
from idsync.targets import local as _local_target  # noqa: F401
from idsync.testing.city import build

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")


def make_city_of(people: int, folder: Path) -> pl.DataFrame:
    """Make the city, store its people, and return what the rules give them as a table."""
    build(folder, people, today=NOW.date(), ldif=False)
    config, state = _opened(folder)
    reads = read_sources(config, state, NOW, lambda _: None)
    everybody = whoever(config, state, reads, NOW)
    with state.engine.begin() as connection:
        for name, read in reads.items():
            if read.fresh is not None:
                state.accept(connection, name, read.fresh)
        for name, frame in people_frames(everybody).items():
            state.frames.save(connection, name, frame)
    desired = desire_of(config, everybody, orders_of(state, everybody), NOW)
    persons = everybody.persons.with_row_index("person").select("person", key="employee_number")
    return (
        desired.grants.join(desired.rights, on="right")
        .join(persons, on="person")
        .select(
            "target", "key", "ref", "kind",
            valid_from=pl.when(pl.col("valid_from") != ALWAYS).then("valid_from").cast(INSTANT),
            valid_to=pl.when(pl.col("valid_to") != NEVER).then("valid_to").cast(INSTANT),
        )
        .sort("target", "key", "kind", "ref")
    )  # fmt: skip


def own_everything(folder: Path, actual: pl.DataFrame) -> None:
    """Store that every grant of *actual* is idsync's own, and write what the targets hold."""
    config, state = _opened(folder)
    people = stored_people(config, state)
    ids = people.persons.select(key="employee_number", person_id="id")
    shown = shown_attributes(people)
    with state.engine.begin() as connection:
        for name in config.targets:
            grants = actual.filter(pl.col("target") == name).join(ids, on="key")
            ledger = grants.with_columns(because=pl.lit("rule")).select(*LEDGER)
            state.frames.save(connection, f"ledger:{name}", ledger)
            links = grants.select(*LINKS).unique()
            state.frames.save(connection, f"link:{name}", links)
            state.remember(connection, f"adopted:{name}", NOW.isoformat())
            holders = _complete(links.join(shown, on="person_id"), schema(Cardholder))
            _write_holdings(folder, name, holders, grants)
    state.close()


def whole_plan(folder: Path) -> Counts:
    """From stored people through the rules to the plan document."""
    config, state = _opened(folder)
    people = stored_people(config, state)
    orders = orders_of(state, people)
    with ThreadPoolExecutor(2) as beside:  # as `idsync plan` reads while the rules are applied
        reading = beside.submit(_all_holdings, folder, config)
        remembering = beside.submit(remembered, config, state, config.targets)
        desired = desire_of(config, people, orders, NOW)
        holdings, known = reading.result(), remembering.result()
    plans = plan_all(known, desired, holdings, orders, NOW)
    plan = assemble(config, state, {}, plans, {}, NOW)
    document = plan.encoded()
    grants = plan.items.filter(pl.col("part") == "grant")
    was, shall = pl.col("was"), pl.col("shall")
    return {
        "create": grants.filter(~was & shall).height,
        "update": grants.filter(was & shall).height,
        "delete": grants.filter(was & ~shall).height,
        "document_bytes": len(document),
    }


def _opened(folder: Path) -> tuple[Config, State]:
    config = load(folder / "connectors.toml")
    return config, open_state(config.idsync.state)


def _all_holdings(folder: Path, config: Config) -> dict[str, Holdings]:
    return {name: _holdings(folder, name) for name in config.targets}


def _holdings(folder: Path, name: str) -> Holdings:
    return Holdings(
        cardholders=pl.read_ipc(folder / f"{name}.holders.arrow"),
        credentials=pl.DataFrame(schema=CREDENTIALS),
        rights=pl.read_ipc(folder / f"{name}.rights.arrow"),
        held=pl.read_ipc(folder / f"{name}.held.arrow"),
    )


def _write_holdings(folder: Path, name: str, holders: pl.DataFrame, grants: pl.DataFrame) -> None:
    """Write what a read of the target would have collected: see Holdings."""
    rights = grants.select("kind", "ref").unique().sort("kind", "ref")
    held = grants.join(holders.select("key").with_row_index("holder"), on="key").join(
        rights.with_row_index("right"), on=["kind", "ref"]
    )
    holders.write_ipc(folder / f"{name}.holders.arrow")
    rights.write_ipc(folder / f"{name}.rights.arrow")
    _complete(held, HELD).write_ipc(folder / f"{name}.held.arrow")


def _complete(rows: pl.DataFrame, columns: pl.Schema) -> pl.DataFrame:
    """*rows* with every column of *columns*."""
    known = {"status": "active"}
    missing = [
        pl.lit(known.get(name), dtype).alias(name)
        for name, dtype in columns.items()
        if name not in rows.columns
    ]
    return rows.with_columns(missing).select(*columns)
