"""Replay one seed, or look for a seed that breaks a law."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext

from tests.simulation.bugs import BUGS, planted
from tests.simulation.laws import Broken
from tests.simulation.simulation import digest_of, simulate


def main() -> int:
    """Live one city after the other; the first broken law ends it."""
    asked = argparse.ArgumentParser(prog="python -m tests.simulation")
    asked.add_argument("--seed", type=int, default=1, help="of the first city")
    asked.add_argument("--days", type=int, default=250, help="of each city")
    asked.add_argument("--bug", choices=[*BUGS], help="plant this fault in idsync")
    asked.add_argument("--seeds", type=int, default=1, help="how many cities")
    asked.add_argument("--minutes", type=float, help="begin no city after so many")
    asked.add_argument("--history", action="store_true", help="print everything that was done")
    told = asked.parse_args()
    began, lived = time.monotonic(), 0
    for seed in range(told.seed, told.seed + told.seeds):
        if told.minutes is not None and time.monotonic() - began > told.minutes * 60:
            break
        bug = BUGS.get(told.bug)
        try:
            with planted(bug) if bug else nullcontext():
                city = simulate(seed, told.days, bug.weights if bug else None, bug=told.bug or "")
        except Broken as broken:
            print(broken, *broken.__notes__, sep="\n")
            return 1
        lived += told.days
        if told.history:
            print(*city.judge.history, sep="\n")
        spent = f"{time.process_time():.0f} s cpu"
        print(f"seed {seed}: {told.days} days, {city.runs} runs, {digest_of(city)}, {spent}")
    print(f"{lived} days lived in {time.monotonic() - began:.0f} s, no law broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
