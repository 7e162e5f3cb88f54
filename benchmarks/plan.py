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

from benchmarks.city import make_city_of, own_everything, whole_plan
from benchmarks.measure import Case, Counts, compare, run_cases
from idsync.plan.difference import classify, difference

KEY = ("target", "key", "ref", "kind")
MEASURES = ("diff", "plan")
MANY = 50_000  # from here on DiffSync takes minutes and gigabytes: once is enough
TOO_MANY = 300_000  # from here on DiffSync needs more memory (43 kB a person) than there is
DRIFT = 0.05
SOME_END = datetime(2031, 1, 1, tzinfo=UTC)
TABLES_VERSION = 5


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
    """From stored people through the rules to the plan document, as `idsync plan` makes it."""
    return whole_plan(folder)


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
    kept = Paths(cache / f"plan-v{TABLES_VERSION}-{people}")
    if kept.folder.exists():
        return kept
    say(f"making the tables of {people} people")
    cache.mkdir(parents=True, exist_ok=True)
    made = Paths(Path(tempfile.mkdtemp(dir=cache)))
    try:
        desired = make_city_of(people, made.folder)
        desired.write_parquet(made.desired)
        actual = drifted(desired)
        actual.write_parquet(made.actual)
        own_everything(made.folder, actual)
        # Only whole tables get the name by which they are found again.
        made.folder.replace(kept.folder)
    except BaseException:
        shutil.rmtree(made.folder, ignore_errors=True)
        raise
    return kept


def drifted(desired: pl.DataFrame) -> pl.DataFrame:
    """Return *desired* with 5 % of its rows drifted, in another order.

    A third of them are missing, a third have another end, and a third as many rows are extra.
    """
    chance = random.Random(desired.height)  # noqa: S311 - as above
    third = max(1, int(desired.height * DRIFT) // 3)
    picked = chance.sample(range(desired.height), 3 * third)
    fate = pl.repeat("kept", desired.height, dtype=pl.String, eager=True)
    fate = fate.scatter(picked[:third], "missing").scatter(picked[third : 2 * third], "moved")
    another_end = pl.coalesce(pl.col("valid_to") + timedelta(days=7), pl.lit(SOME_END))
    end = pl.when(fate == "moved").then(another_end).otherwise("valid_to")
    held = desired.with_columns(valid_to=end).filter(fate != "missing")
    extra = desired[picked[2 * third :]].with_columns(pl.col("ref") + "-GAMMAL")
    return pl.concat([held, extra]).sample(fraction=1, shuffle=True, seed=third)


def default_cache() -> Path:
    """Return the folder where tables are kept between runs."""
    return Path(os.environ.get("IDSYNC_BENCH_CACHE", Path(__file__).parents[1] / "var" / "bench"))
