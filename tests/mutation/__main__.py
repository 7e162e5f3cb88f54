"""`python -m tests.mutation plan store apply --minutes 30`: how many planted faults are found.

First the tests of each room run once without a fault: they have to pass, and it is noted which
functions each runs. Then every mutant runs in a process of its own, forked before idsync is
imported, on the tests of its room that run its function.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.mutation.choosing import OPTIONS, Chosen, Learner, Only, folders_of, quickest
from tests.mutation.explained import explained, key_of, stale
from tests.mutation.mutants import ROOT, Mutant, made

PATIENCE_S, SLOWER = 20.0, 3.0
"""A mutant hangs that takes so much longer than its tests do, and that is found out too."""

FIRST = 10
"""How many tests a mutant is tried on before the rest of its tests are collected."""

QUIET = (0, 5)
"""What pytest returns where all passed, or none was there to be run."""

SOME_S = 5.0
"""How long the tests take on which the way itself is tried, with no mutant."""

LONGEST_S = 30.0
"""The slowest of a mutant's tests are left out beyond this: its share of an hour's sample."""


def main() -> int:
    """Plant, run, count; 1 when fewer than the required share are found."""
    asked = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    asked.add_argument("rooms", nargs="+", help="rooms of idsync/, as plan or store")
    asked.add_argument("--minutes", type=float, default=60.0, help="stop after so long")
    asked.add_argument("--side-by-side", type=int, default=os.cpu_count() or 1)
    asked.add_argument("--seed", type=int, default=0, help="which mutants come first")
    asked.add_argument("--only", default="", help="only mutants whose name holds this")
    asked.add_argument("--sample", type=int, default=sys.maxsize, help="no more than so many")
    asked.add_argument("--learned", type=Path, help="which tests run what: read, or written, there")
    asked.add_argument("--required", type=float, default=90.0, help="percent to be found")
    asked.add_argument("--report", type=Path, help="where to write the survivors, as JSON")
    options = asked.parse_args()
    _warm_up()
    with tempfile.TemporaryDirectory(prefix="idsync-mutants-") as folder:
        copy = Path(folder) / "idsync"
        planted, listed = made(copy, options.rooms), explained()
        if old := stale(planted, listed):
            sys.exit("explained.toml names what is no mutant any more:\n" + "\n".join(old))
        chosen = [one for one in planted if options.only in one.name]
        random.Random(options.seed).shuffle(chosen)
        chosen = chosen[: options.sample]
        mutants = [one for one in chosen if key_of(one) not in listed]
        print(f"{len(planted)} mutants, {len(chosen) - len(mutants)} of the chosen explained")
        runs = _learned(copy, options.rooms, options.learned)
        _require_silence(copy, runs)
        ends = time.monotonic() + options.minutes * 60
        survivors, tried = _run(copy, mutants, runs, ends, options.side_by_side)
    return _told(survivors, tried, options.required, options.report)


def _warm_up() -> None:
    """Import what every mutant needs, and nothing of idsync: a fork is cheap from here on."""
    import polars  # noqa: F401
    import psycopg  # noqa: F401
    import pydantic  # noqa: F401
    import pytest  # noqa: F401
    import requests  # noqa: F401
    import sqlalchemy
    import sqlalchemy.dialects.postgresql
    import sqlalchemy.dialects.sqlite  # noqa: F401
    import tenacity  # noqa: F401


# ── running ─────────────────────────────────────────────────────────────────────────────


def _run(
    copy: Path, mutants: list[Mutant], runs: dict[str, Chosen], ends: float, side_by_side: int
) -> tuple[list[Mutant], int]:
    waiting, running = list(reversed(mutants)), dict[int, tuple[Mutant, float]]()
    survivors: list[Mutant] = []
    tried = 0
    while running or (waiting and time.monotonic() < ends):
        while waiting and len(running) < side_by_side and time.monotonic() < ends:
            mutant = waiting.pop()
            chosen = quickest(runs.get(mutant.name.rpartition("__mutmut_")[0], {}), LONGEST_S)
            process = _forked(copy, mutant.name, partial(_verdict, chosen))
            allowed = PATIENCE_S + SLOWER * sum(chosen.values())
            running[process] = (mutant, time.monotonic() + allowed)
        for process in [one for one, (_, until) in running.items() if until < time.monotonic()]:
            os.killpg(process, signal.SIGKILL)
        process, status = os.waitpid(-1, os.WNOHANG)
        if not process:
            time.sleep(0.05)
            continue
        mutant, _ = running.pop(process)
        tried += 1
        if os.waitstatus_to_exitcode(status) == 0:
            survivors.append(mutant)
            print(f"\nsurvived: {mutant.name}\n{mutant.change}", file=sys.stderr, flush=True)
        if tried % 25 == 0:
            share = 100 * (tried - len(survivors)) / tried
            print(f"{tried} of {len(mutants)} tried, {share:.1f} % found", file=sys.stderr)
    return survivors, tried


def _learned(copy: Path, rooms: list[str], file: Path | None) -> dict[str, Chosen]:
    """Return by function the tests that run it, as *file* tells if it is there."""
    if file is not None and file.exists():
        runs: dict[str, Chosen] = json.loads(file.read_text(encoding="utf-8"))
        return runs
    runs = _learn(copy, rooms)
    if file is not None:
        file.write_text(json.dumps(runs), encoding="utf-8")
    return runs


def _learn(copy: Path, rooms: list[str]) -> dict[str, Chosen]:
    """Return by function the tests that run it.

    Stops where the tests fail without any fault: they would seem to find every one.
    """
    files = {room: copy / f"{room}.runs.json" for room in rooms}
    processes = {
        room: _forked(copy, "", partial(_noted, room, file), file.with_suffix(".hits"))
        for room, file in files.items()
    }
    runs: dict[str, Chosen] = {}
    for room, process in processes.items():
        if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
            told = files[room].with_suffix(".txt").read_text(encoding="utf-8")
            sys.exit(f"{told}\nthe tests of {room} fail without a planted fault: mend that first")
        for function, tests in json.loads(files[room].read_text(encoding="utf-8")).items():
            runs[function] = {**runs.get(function, {}), **tests}
    print(f"{len(runs)} functions are run by tests", file=sys.stderr, flush=True)
    return runs


def _require_silence(copy: Path, runs: dict[str, Chosen]) -> None:
    """Stop where something is found with no mutant at all, in the way mutants are tried."""
    every: dict[str, float] = {}
    for tests in runs.values():
        every |= tests
    process = _forked(copy, "", partial(_verdict, quickest(every, SOME_S)))
    if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
        sys.exit("the quickest tests fail in the mutated copy without a planted fault")


def _noted(room: str, file: Path) -> int:
    import pytest

    learner = Learner(Path(os.environ["MUTANT_HITS"]))
    places = [f"tests/{folder}" for folder in folders_of(room)]
    code = pytest.main([*OPTIONS, *places], plugins=[learner])
    learner.write(file)
    return int(code)


def _forked(copy: Path, under_test: str, work: Callable[[], int], hits: Path | None = None) -> int:
    process = os.fork()
    if process:
        return process
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    told = os.open(hits.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT, 0o600) if hits else quiet
    for stream, end in enumerate((quiet, told, told)):
        os.dup2(end, stream)
    os.environ["MUTANT_UNDER_TEST"] = under_test
    os.environ["MUTANT_HITS"] = str(hits or "")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # to compile takes longer than to run
    sys.dont_write_bytecode = False
    os.environ["PYTHONPATH"] = os.pathsep.join([str(copy), os.environ.get("PYTHONPATH", "")])
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    for name in [one for one in sys.modules if one.partition(".")[0] in ("tests", "idsync")]:
        del sys.modules[name]
    os._exit(work())


def _verdict(chosen: Chosen) -> int:
    """0: nobody noticed. The quickest tests come first, before the others are even collected."""
    import pytest

    ordered = sorted(chosen, key=lambda name: chosen[name])
    for some in (ordered[:FIRST], ordered[FIRST:]):
        files = sorted({name.partition("::")[0] for name in some})
        only = Only({name: chosen[name] for name in some})
        if some and pytest.main(["-x", *OPTIONS, *files], plugins=[only]) not in QUIET:
            return 1
    return 0


# ── telling ─────────────────────────────────────────────────────────────────────────────


def _told(survivors: list[Mutant], tried: int, required: float, report: Path | None) -> int:
    share = 100 * (tried - len(survivors)) / tried if tried else 0.0
    print(f"{tried} tried, {tried - len(survivors)} found: {share:.1f} %")
    for one in sorted(survivors, key=lambda mutant: mutant.name):
        print(f"survived: {one.name}\n{one.change}")
    if report is not None:
        told = {"tried": tried, "found": tried - len(survivors)}
        told["survivors"] = [vars(one) for one in survivors]  # type: ignore[assignment]
        report.write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    return 0 if share >= required else 1


if __name__ == "__main__":
    assert (ROOT / "idsync").is_dir()
    sys.exit(main())
