"""What is believed of a source after a read: what came, and what stands for what is in doubt.

Pure. Every read ends in a verdict. A part that is outside its band stays as it was last
accepted; who is absent is carried on until enough complete reads have missed them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from idsync.mapping.absence import (
    IDENTITY,
    Tables,
    counted,
    gone_from,
    owner,
    present,
    replaced,
    with_their_persons,
    without,
)
from idsync.mapping.bands import Bands, Decisive, Doubt
from idsync.mapping.doubting import Finding, attributes, departments, facts, scope
from idsync.model import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a read ended: complete, with its proof; or incomplete, with the reason.

    A read that is complete but for some parts is incomplete for those: `doubts`.
    """

    complete: bool
    reason: str
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What was believed of a source after the last accepted read.

    `absent` are those of its rows that the read did not have, with `missed` and `since`.
    """

    tables: Tables
    absent: Tables


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One complete read. again: the same delivery as last time. moved: by other settings."""

    source: str
    tables: Tables
    at: datetime
    again: bool = False
    moved: bool = False


@dataclass(frozen=True, kw_only=True)
class Belief:
    """What is believed now, what of it is absent, what is doubted, and what was approved.

    `used` are the digests of approvals that let a part in.
    """

    tables: dict[Kind, pl.DataFrame]
    absent: dict[Kind, pl.DataFrame]
    doubts: tuple[Doubt, ...] = ()
    used: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a source is believed: its bands, what decides, and after how many reads who is
    absent is gone. approved: digests of doubts that somebody has let in."""

    bands: Bands = field(default_factory=Bands)
    asked: Decisive = field(default_factory=Decisive)
    absent_reads: int = 2
    approved: Collection[str] = ()


def believe(before: Accepted, read: Delivery, terms: Terms) -> Belief:
    """Return what is believed after *read*, where *before* was believed until now."""
    last = present(before.tables, before.absent)
    seen = _Sorting(terms.approved)
    came = dict(read.tables)
    for finding in seen.doubted(departments(read.source, last, came, terms.bands)):
        came = _with_last_known(came, finding)
    for finding in seen.doubted(attributes(read.source, last, came, terms.asked, terms.bands)):
        came = _with_last_known(came, finding)
    found = facts(read.source, last, came, terms.asked, terms.bands, read.at)
    for finding in seen.doubted(found):
        for kind, rows in finding.stay.items():
            came[kind] = without(came[kind], rows, kind) if kind in came else rows.clear()
    gone = gone_from(before.tables, before.absent, came)
    if read.moved:
        seen.doubted(scope(read.source, gone))
    staying = with_their_persons(gone, _named(gone, seen.findings))
    others = {
        kind: without(rows, staying[kind], kind) if kind in staying else rows
        for kind, rows in gone.items()
    }
    others = _without_replaced(others, came, terms.asked)
    # what other settings do not show has not been missed once more
    again = read.again or read.moved
    missing = {kind: counted(rows, read.at, again=again) for kind, rows in others.items()}
    young = {kind: rows.filter(pl.col("missed") < terms.absent_reads)
             for kind, rows in missing.items()}  # fmt: skip
    carried = with_their_persons(missing, young)
    absent = {
        kind: pl.concat([rows, *([staying[kind]] if kind in staying else [])])
        for kind, rows in carried.items()
    }
    return Belief(
        tables=_together(came, absent),
        absent=absent,
        doubts=tuple(finding.doubt for finding in seen.findings),
        used=tuple(seen.used),
    )


class _Sorting:
    """Findings that are doubted, and the approvals that have let others in."""

    def __init__(self, approved: Collection[str]) -> None:
        self.approved = approved
        self.findings: list[Finding] = []
        self.used: list[str] = []

    def doubted(self, found: Iterable[Finding]) -> list[Finding]:
        new = []
        for finding in found:
            if finding.doubt.digest in self.approved:
                self.used.append(finding.doubt.digest)
            else:
                new.append(finding)
        self.findings += new
        return new


def _with_last_known(came: dict[Kind, pl.DataFrame], finding: Finding) -> dict[Kind, pl.DataFrame]:
    """Put the values that stay over those that came."""
    for kind, name, was in finding.was:
        if kind in came and was.height:
            value = pl.col("was").cast(came[kind].schema[name])
            said = was.select(*IDENTITY[kind], value, kept=True).unique(IDENTITY[kind])
            told = came[kind].join(said, on=list(IDENTITY[kind]), how="left", maintain_order="left")
            came[kind] = told.with_columns(
                pl.when(pl.col("kept")).then("was").otherwise(name).alias(name)
            ).drop("was", "kept")
    return came


def _without_replaced(
    gone: dict[Kind, pl.DataFrame], came: Tables, asked: Decisive
) -> dict[Kind, pl.DataFrame]:
    """Leave out who is not absent, but whose number the source gives to another record."""
    if "persons" not in gone or "persons" not in came or gone["persons"].is_empty():
        return gone
    others = replaced(gone["persons"], came["persons"], asked.keys)
    return {
        kind: rows.filter(~pl.col(owner(kind)).is_in(others.implode()))
        for kind, rows in gone.items()
    }


def _named(gone: Tables, findings: Iterable[Finding]) -> dict[Kind, pl.DataFrame]:
    """The rows of *gone* that some finding keeps."""
    stay: dict[Kind, list[pl.DataFrame]] = {}
    for finding in findings:
        for kind, rows in finding.stay.items():
            stay.setdefault(kind, []).append(rows)
    return {
        kind: gone[kind].join(pl.concat(rows), on=list(IDENTITY[kind]), how="semi")
        for kind, rows in stay.items()
        if kind in gone
    }


def _together(came: Tables, absent: Tables) -> dict[Kind, pl.DataFrame]:
    tables = dict(came)
    for kind, rows in absent.items():
        told = rows.drop("missed", "since")
        tables[kind] = pl.concat([tables[kind], told]) if kind in tables else told
    return tables
