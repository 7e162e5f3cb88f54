"""One measurement is one process: what it took in time and memory, and what it found.

A case is a function of a folder, named "module:function". Its module imports at the top
whatever the case needs, so that imports are over before the clock starts. It returns
what it counted; what two cases count under the same name has to agree.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

Counts: TypeAlias = dict[str, int]
FIGURES = ("wall_s", "cpu_s", "peak_mb")
TIMEOUT_S = 1800
MEBIBYTE = 2**20


class BenchmarkError(Exception):
    """A measurement that failed, or two that did not find the same."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something to measure. `rounds` limits how often, where once is long enough."""

    name: str
    target: str  # "module:function", a function of a folder
    rounds: int | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One measurement: wall and CPU seconds, peak memory above imports in MiB."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    counts: Counts = field(default_factory=dict)


def run_cases(
    cases: Sequence[Case], folder: Path, rounds: int, say: Callable[[str], None]
) -> dict[str, list[Sample]]:
    """Measure *cases* in turn, *rounds* times over, so that a noisy minute hits them all.

    Raises BenchmarkError when a case fails, or counts other than an earlier one.
    """
    samples: dict[str, list[Sample]] = {case.name: [] for case in cases}
    counted: dict[str, tuple[str, int]] = {}
    for number, case in _in_turn(cases, rounds):
        say(f"round {number + 1}/{case.rounds or rounds}: {case.name}")
        sample = measure(case, folder)
        _require_agreement(case.name, sample.counts, counted)
        samples[case.name].append(sample)
    return samples


def measure(case: Case, folder: Path) -> Sample:
    """Run *case* on *folder* in a process of its own and return what it took."""
    command = [sys.executable, "-m", "benchmarks.measure", case.target, str(folder)]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and a case of ours
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            cwd=Path(__file__).parents[1],
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{case.name} was not done in {TIMEOUT_S} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BenchmarkError(f"{case.name} ended with {done.returncode}: {last}")
    return Sample(**json.loads(done.stdout.splitlines()[-1]))


def summary(samples: Sequence[Sample]) -> dict[str, float | int]:
    """Return the medians of *samples*, and how many there were."""
    figures = {
        figure: round(median(getattr(sample, figure) for sample in samples), 4)
        for figure in FIGURES
    }
    return {"runs": len(samples), **figures}


def compare(own: str, samples: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    """Return one measure of the document: *own*, and its peers as ratios over it."""
    ours = summary(samples[own])
    peers = {}
    for name, theirs in samples.items():
        if name == own:
            continue
        peers[name] = summary(theirs)
        for ratio, figure in (
            ("wall_ratio", "wall_s"),
            ("cpu_ratio", "cpu_s"),
            ("memory_ratio", "peak_mb"),
        ):
            peers[name][ratio] = _ratio(peers[name][figure], ours[figure])
    return {own: ours | {"counts": samples[own][0].counts}, "peers": peers}


def _ratio(theirs: float, ours: float) -> float:
    # Below a tenth of a millisecond or a mebibyte there is nothing left to compare with.
    return round(theirs / max(ours, 0.0001), 2)


def _in_turn(cases: Sequence[Case], rounds: int) -> Iterator[tuple[int, Case]]:
    for number in range(rounds):
        for case in cases:
            if case.rounds is None or number < case.rounds:
                yield number, case


def _require_agreement(name: str, counts: Counts, counted: dict[str, tuple[str, int]]) -> None:
    for what, count in counts.items():
        first, expected = counted.setdefault(what, (name, count))
        if count != expected:
            raise BenchmarkError(
                f"{name} counts {count} {what}, but {first} counts {expected}: "
                "they did not do the same work, so their figures cannot be compared"
            )


# ── inside the process that is measured ─────────────────────────────────────────────────


def _measured(target: str, folder: Path) -> dict[str, Any]:
    module, _, function = target.partition(":")
    case: Callable[[Path], Counts] = getattr(importlib.import_module(module), function)
    _forget_peak()
    before = _resident()
    wall, cpu = time.perf_counter(), time.process_time()
    counts = case(folder)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = (_peak() - before) / MEBIBYTE
    return {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak, "counts": counts}


def _forget_peak() -> None:
    """Let the peak begin at what is resident now, so that the imports' own peak is left out."""
    # proc(5), "/proc/[pid]/clear_refs": 5 resets the peak. Not everywhere allowed; then it stays.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _resident() -> int:
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    """Return a size from /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise BenchmarkError(f"/proc/self/status has no {name}: memory is measured on Linux only")


if __name__ == "__main__":
    _figures = _measured(sys.argv[1], Path(sys.argv[2]))
    sys.stdout.write("\n" + json.dumps(_figures) + "\n")
