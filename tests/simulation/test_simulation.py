"""Thousands of days of small cities, and no law broken on any of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
SEEDS, EVERY_DAY = range(1, 21), 12
DAYS = 100
"""20 cities of 100 days: 2,000 days; 12 of them every day, since the others take minutes more.

They begin on other days of two years each.
"""
LONG_DAYS = 100_000


def live(seed: int, days: int, *more: str, hashes: str = "0") -> subprocess.CompletedProcess[str]:
    """Let one city live in a process of its own: the command that also replays it."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", f"--seed={seed}", f"--days={days}", *more],
        cwd=HOME, capture_output=True, text=True, check=False,
        # the tables are tiny: threads would only wait for each other
        env={**os.environ, "POLARS_MAX_THREADS": "1", "PYTHONHASHSEED": hashes},
    )  # fmt: skip


@pytest.mark.case("S7", "S11", "S25", "C1", "T1", "T2", "T17", "T19", "J2")
@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=pytest.mark.long if seed > EVERY_DAY else ()) for seed in SEEDS],
)
def test_no_law_is_broken_on_any_day(seed: int) -> None:
    lived = live(seed, DAYS)
    assert lived.returncode == 0, lived.stdout + lived.stderr
    assert f"{DAYS} days lived" in lived.stdout


def test_one_seed_has_one_history_byte_for_byte() -> None:
    one, other = (live(3, 12, "--history", hashes=hashes) for hashes in ("1", "2"))
    assert one.returncode == 0, one.stdout + one.stderr
    assert _history(one) == _history(other)
    assert len(_history(one)) > 50
    assert _history(one) != _history(live(4, 12, "--history"))


def _history(lived: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in lived.stdout.splitlines() if not line.endswith((" cpu", "broken"))]


def test_a_failing_seed_tells_its_day_its_law_and_how_to_replay_it() -> None:
    failed = live(5, 9, "--bug=silence means nobody")
    assert failed.returncode == 1
    law, replay = failed.stdout.splitlines()
    assert law.startswith("law 2 is broken: ")
    day = int(replay.partition(", day ")[2].partition(":")[0])
    command = f'python -m tests.simulation --seed 5 --days {day} --bug "silence means nobody"'
    assert replay == f"seed 5, day {day}: replay it with {command}"
    assert live(5, day, "--bug=silence means nobody").stdout == failed.stdout
    assert live(5, day - 1, "--bug=silence means nobody").returncode == 0


@pytest.mark.long
def test_a_hundred_thousand_days_break_no_law(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    minutes = float(request.config.getoption("--minutes"))
    until, lived = time.monotonic() + minutes * 60, 0
    first = 1000
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        workers = os.cpu_count() or 1
        while lived < LONG_DAYS and time.monotonic() < until:
            seeds = range(first, first + workers)
            for seed, one in zip(seeds, pool.map(lambda s: live(s, DAYS), seeds), strict=True):
                assert one.returncode == 0, f"seed {seed}: {one.stdout}{one.stderr}"
            first, lived = first + workers, lived + workers * DAYS
    told = f"{lived} of {LONG_DAYS} days lived in {minutes:g} minutes, to seed {first - 1}"
    with capsys.disabled():
        print(f"\n{told}")
    assert lived > 0, told
