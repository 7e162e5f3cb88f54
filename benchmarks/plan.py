"""The part `plan`: the difference alone, and the whole way to a plan, against DiffSync.

The cases are the functions of a folder below and in `benchmarks.peers`. Whatever a case
needs is imported here at the top, before its clock starts.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.measure import Case, Counts, compare, run_cases
from idsync.plan.difference import classify, difference

KEY = ("target", "key", "ref", "kind")
MEASURES = ("diff", "plan")
MANY = 50_000  # from here on DiffSync takes minutes and gigabytes: once is enough
TOO_MANY = 300_000  # from here on DiffSync needs more memory (43 kB a person) than there is
DRIFT = 0.05
TABLES_VERSION = 1  # another number for other tables, so that a cache is never stale


@dataclass(frozen=True)
class Paths:
    """Where the tables of one size lie."""

    folder: Path

    @property
    def desired(self) -> Path:
        """The grants as they should be."""
        return self.folder / "desired.parquet"

    @property
    def actual(self) -> Path:
        """The grants as the access systems hold them."""
        return self.folder / "actual.parquet"


def run(
    people: int, rounds: int, measure: str, cache: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure the part and return its document. *measure* is "diff", "plan" or "all".

    Raises BenchmarkError where a case fails, or finds other changes than another.
    """
    paths = tables(people, cache, say)
    notes = _notes(people, rounds)
    for note in notes:
        say(note)
    names = MEASURES if measure == "all" else (measure,)
    measures = {}
    for name in names:
        say(f"measure {name}, {people} people")
        measures[name] = compare(
            "idsync", run_cases(_cases(name, people), paths.folder, rounds, say)
        )
    return {"part": "plan", "people": people, "runs": rounds, "measures": measures, "notes": notes}


def _cases(measure: str, people: int) -> list[Case]:
    cases = [
        Case(name="idsync", target=f"benchmarks.plan:idsync_{measure}"),
        Case(name="read-limit", target="benchmarks.plan:read_limit"),
        Case(name="columnar-limit", target="benchmarks.plan:columnar_limit"),
    ]
    if people < TOO_MANY:
        rounds = 1 if people >= MANY else None
        cases.append(Case(name="diffsync", target="benchmarks.peers:diffsync", rounds=rounds))
    return cases


def _notes(people: int, rounds: int) -> list[str]:
    if people >= TOO_MANY:
        return [f"diffsync is left out from {TOO_MANY} people: it would need {people // 23_000} GB"]
    if people >= MANY and rounds > 1:
        return [f"diffsync is measured once from {MANY} people: it takes minutes"]
    return []


# ── cases ───────────────────────────────────────────────────────────────────────────────


def idsync_diff(folder: Path) -> Counts:
    """Read both tables, take the difference, and classify it: the changes as a table."""
    paths = Paths(folder)
    desired, actual = pl.read_parquet(paths.desired), pl.read_parquet(paths.actual)
    diff = difference(desired, actual, seed=secrets.randbits(64))
    changes = classify(diff, KEY)
    counts = {"missing": diff.missing.height, "extra": diff.extra.height}
    return counts | {
        action: changes.filter(action=action).height for action in ("create", "update", "delete")
    }


def idsync_plan(folder: Path) -> Counts:
    """From stored people through the rules to the plan document."""
    # TO FILL IN: the pipeline on the state in `folder`, returning the counts of `idsync_diff`.
    raise NotImplementedError(f"the whole plan is not measured yet: {folder}")


def columnar_limit(folder: Path) -> Counts:
    """Read both tables and join each against the other over all columns: nothing of ours."""
    paths = Paths(folder)
    desired, actual = pl.read_parquet(paths.desired), pl.read_parquet(paths.actual)
    columns = desired.columns
    missing = desired.join(actual, on=columns, how="anti", nulls_equal=True)
    extra = actual.join(desired, on=columns, how="anti", nulls_equal=True)
    return {"missing": missing.height, "extra": extra.height}


def read_limit(folder: Path) -> Counts:
    """Read both tables and do nothing."""
    paths = Paths(folder)
    # Both are held at once, as every comparison has to hold them.
    both = pl.read_parquet(paths.desired), pl.read_parquet(paths.actual)
    return {"rows": sum(table.height for table in both)}


# ── tables ──────────────────────────────────────────────────────────────────────────────


def tables(people: int, cache: Path, say: Callable[[str], None]) -> Paths:
    """Return the tables for *people* people, made once and then kept in *cache*."""
    # A stand-in of the made-up city's shape, until the city and its rules make the tables.
    kept = Paths(cache / f"plan-v{TABLES_VERSION}-{people}")
    if kept.folder.exists():
        return kept
    say(f"making the tables of {people} people")
    cache.mkdir(parents=True, exist_ok=True)
    made = Paths(Path(tempfile.mkdtemp(dir=cache)))
    try:
        desired = stand_in(people)
        desired.write_parquet(made.desired)
        drifted(desired).write_parquet(made.actual)
        # Only whole tables get the name by which they are found again.
        made.folder.replace(kept.folder)
    except BaseException:
        shutil.rmtree(made.folder, ignore_errors=True)
        raise
    return kept


SCHEMA = pl.Schema(
    {
        "target": pl.String(),
        "key": pl.String(),
        "ref": pl.String(),
        "kind": pl.String(),
        "valid_from": pl.Datetime("us", "UTC"),
        "valid_to": pl.Datetime("us", "UTC"),
    }
)
TARGETS = {"cityhall": "STH", "schools": "FSK", "library": "BIB", "waterworks": "VATTEN"}
REFS = {
    target: tuple(f"{short}-RÄTT-{number:02d}" for number in range(40))
    for target, short in TARGETS.items()
}
ALARMS_FROM = 36  # of forty rights in a system, the last four disarm an alarm
DAYS = tuple(datetime(2015, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(6000))
CHUNK = 20_000  # people at a time, so that a million fit into memory


def stand_in(people: int) -> pl.DataFrame:
    """Return about 8.4 grants for each of *people* people: the same ones every time."""
    chance = random.Random(people)  # noqa: S311 - made-up people, not secrets
    return pl.concat(
        [
            _grants(range(first, min(first + CHUNK, people)), chance)
            for first in range(0, people, CHUNK)
        ],
        rechunk=False,
    )


def _grants(people: range, chance: random.Random) -> pl.DataFrame:
    rows = []
    for person in people:
        key = f"{10_000_000 + 7 * person}"
        begins = DAYS[chance.randrange(4000)]
        ends = None if chance.random() < 0.6 else DAYS[4000 + chance.randrange(2000)]
        for target, refs in REFS.items():
            held = chance.choice((1, 2, 2, 2, 2, 3)) + (chance.random() < 0.1)
            for number in chance.sample(range(len(refs)), held):
                kind = "alarm" if number >= ALARMS_FROM else "access"
                rows.append((target, key, refs[number], kind, begins, ends))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def drifted(desired: pl.DataFrame) -> pl.DataFrame:
    """Return *desired* with 5 % of its rows drifted, in another order.

    A third of them are missing, a third have other dates, and a third as many rows are extra.
    """
    chance = random.Random(desired.height)  # noqa: S311 - as above
    third = max(1, int(desired.height * DRIFT) // 3)
    picked = chance.sample(range(desired.height), 3 * third)
    fate = pl.repeat("kept", desired.height, dtype=pl.String, eager=True)
    fate = fate.scatter(picked[:third], "missing").scatter(picked[third : 2 * third], "moved")
    week_later = pl.when(fate == "moved").then(pl.lit(timedelta(days=7))).otherwise(timedelta())
    held = desired.with_columns(pl.col("valid_from") + week_later).filter(fate != "missing")
    extra = desired[picked[2 * third :]].with_columns(pl.col("ref") + "-GAMMAL")
    return pl.concat([held, extra]).sample(fraction=1, shuffle=True, seed=third)


def default_cache() -> Path:
    """Return the folder where tables are kept between runs."""
    return Path(os.environ.get("IDSYNC_BENCH_CACHE", Path(__file__).parents[1] / "var" / "bench"))
