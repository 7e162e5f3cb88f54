"""What would be taken from whoever is absent, were they gone: it waits, and it is counted.

Who is missing from a read is believed until enough complete reads have missed them. But a
mass that is missing at once must show at once: so the changes of their leaving stand in
the plan, marked as waiting, and the brake counts them with everything else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from idsync.config import Config
from idsync.mapping.absence import owner, without
from idsync.mapping.following import NOBODY
from idsync.model import Kind
from idsync.plan.brake import ABSENT, HeldPart
from idsync.plan.document import Plan
from idsync.plan.given import TargetPlan
from idsync.plan.holdings import Holdings
from idsync.plan.items import ORDER
from idsync.service.reading import SourceRead, absences, accepted
from idsync.store import State

PARTS = ("grant", "credential", "status")
SAME = ("target", "key", "part", "kind", "ref")
KEY = pl.Schema({"source": pl.String(), "key": pl.String()})


@dataclass(frozen=True, kw_only=True)
class Believed:
    """What is believed of a source in this run, and which rows of it did not come."""

    tables: Mapping[Kind, pl.DataFrame]
    absent: Mapping[Kind, pl.DataFrame]

    @property
    def missed(self) -> dict[Kind, pl.DataFrame]:
        """The rows that some complete read has missed; what is only in doubt is not absent."""
        return {kind: table.filter(pl.col("missed") > 0) for kind, table in self.absent.items()}


def believed_of(
    config: Config, state: State, reads: Mapping[str, SourceRead]
) -> dict[str, Believed]:
    """Return what is believed of every source: as read, or without *reads* as last accepted."""
    if reads:
        return {
            name: Believed(tables=read.tables, absent=read.absent)
            for name, read in reads.items()
            if read.tables is not None
        }
    away = {name: absences(name, state) for name in config.sources}
    if all(table.is_empty() for absent in away.values() for table in absent.values()):
        return {}
    return {
        name: Believed(tables=accepted(name, state), absent=absent) for name, absent in away.items()
    }


def absent_people(believed: Mapping[str, Believed], links: pl.DataFrame) -> pl.Series:
    """Return the ids of everybody of whom a record is absent. *links*: system, value, person_id."""
    keys = [
        rows.select(source=pl.lit(name), key=owner(kind))
        for name, one in believed.items()
        for kind, rows in one.missed.items()
    ]
    named = pl.concat([pl.DataFrame(schema=KEY), *keys]).unique()
    known = links.select(source="system", key="value", person_id="person_id")
    return known.join(named, on=["source", "key"], how="semi")["person_id"].unique().sort()


def away_of(absent: Mapping[str, Mapping[Kind, pl.DataFrame]]) -> pl.DataFrame:
    """Return AWAY: the records of people that some complete read has missed. *absent*: by source"""
    rows = [
        kinds["persons"].filter(pl.col("missed") > 0).select(pl.lit(name).alias("source"), "key")
        for name, kinds in absent.items()
        if "persons" in kinds
    ]
    return pl.concat([NOBODY, *rows])


def their_rest(
    believed: Mapping[str, Believed], links: pl.DataFrame, people: pl.Series
) -> dict[str, dict[Kind, pl.DataFrame]]:
    """Return what every source says of *people*, without what is absent."""
    theirs = links.filter(pl.col("person_id").is_in(people.implode()))
    rest: dict[str, dict[Kind, pl.DataFrame]] = {}
    for name, one in believed.items():
        keys = theirs.filter(pl.col("system") == name)["value"].implode()
        missed = one.missed
        rest[name] = {
            kind: without(
                table.filter(pl.col(owner(kind)).is_in(keys)), missed.get(kind, table.clear()), kind
            )
            for kind, table in one.tables.items()
        }
    return rest


def without_absent(
    believed: Mapping[str, Believed], links: pl.DataFrame, people: pl.Series
) -> dict[str, Believed]:
    """Return *believed* where *people* are gone: somebody said so, no more reads are asked for."""
    theirs = links.filter(pl.col("person_id").is_in(people.implode()))
    after = {}
    for name, one in believed.items():
        keys = theirs.filter(pl.col("system") == name)["value"].implode()
        gone = {
            kind: rows.filter(pl.col(owner(kind)).is_in(keys)) for kind, rows in one.missed.items()
        }
        after[name] = Believed(
            tables={
                kind: without(table, gone[kind], kind) if kind in gone else table
                for kind, table in one.tables.items()
            },
            absent={kind: without(rows, gone[kind], kind) for kind, rows in one.absent.items()},
        )
    return after


def few_holdings(holdings: Holdings, keys: pl.Series) -> Holdings:
    """Return the records of *holdings* whose key is one of *keys*."""
    chosen = holdings.cardholders.with_row_index("holder").filter(
        pl.col("key").is_in(keys.implode())
    )
    rows = chosen.select("holder").with_row_index("new")
    return Holdings(
        cardholders=chosen.drop("holder"),
        credentials=_renumbered(holdings.credentials, rows),
        rights=holdings.rights,
        held=_renumbered(holdings.held, rows),
    )


def _renumbered(table: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    met = table.join(rows, on="holder", maintain_order="left")
    return met.with_columns(holder=pl.col("new")).select(table.columns)


def with_waiting(
    plans: Sequence[TargetPlan], gone: Sequence[TargetPlan], people: pl.Series
) -> list[TargetPlan]:
    """Return *plans* with what *people* would lose by the plans where they are *gone*."""
    losses = {plan.target.name: plan.items for plan in gone}
    return [
        dataclasses.replace(plan, items=_with_losses(plan.items, losses[plan.target.name], people))
        if plan.target.name in losses
        else plan
        for plan in plans
    ]


def _with_losses(items: pl.DataFrame, losses: pl.DataFrame, people: pl.Series) -> pl.DataFrame:
    mine = losses.filter(
        pl.col("person_id").is_in(people.implode())
        & pl.col("part").is_in(PARTS)
        & (pl.col("effect") != "gaining")
        & ~pl.col("confirmed")
        & ~pl.col("creates")
    )
    waiting = mine.join(items, on=list(SAME), how="anti", nulls_equal=True)
    if waiting.is_empty():
        return items
    marked = waiting.with_columns(held=pl.lit(ABSENT))
    return pl.concat([items, marked.select(items.columns)]).sort(*ORDER)


def let_go(plans: Sequence[TargetPlan], plan: Plan) -> pl.Series:
    """Return who waited in *plans* and goes in *plan*, because a held part was approved."""
    waited = pl.concat(
        [one.items.filter(pl.col("held") == ABSENT).select(*SAME, "person_id") for one in plans]
        or [plan.items.clear().select(*SAME, "person_id")]
    )
    gone = plan.go.join(waited, on=[*SAME, "person_id"], how="semi", nulls_equal=True)
    return gone["person_id"].unique().sort()


def doubted_parts(config: Config, state: State, reads: Mapping[str, SourceRead]) -> list[HeldPart]:
    """Return the doubted parts of sources as they wait for approval; see `Doubt`."""
    parts = []
    for name in config.sources:
        last = state.verdicts.last(name) if name not in reads else None
        verdict = reads[name].verdict if name in reads else last[1] if last else None
        for doubt in verdict.doubts if verdict else ():
            parts.append(
                HeldPart(
                    digest=doubt.digest, scope=f"source {name}, {doubt.part}",
                    direction="changing", people=doubt.people, base=doubt.base, limit=0,
                )
            )  # fmt: skip
    return parts
