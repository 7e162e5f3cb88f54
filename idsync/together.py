"""Work side by side, and waiting: the two things in a run that its input does not decide.

Whatever uses threads or sleeps asks here. A simulation puts a single order and no waiting
in their place, and then the same input gives the same run, step by step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class _Ways:
    workers: Callable[[int], Executor] = ThreadPoolExecutor
    sleep: Callable[[float], None] = time.sleep


_ways = _Ways()


def workers(count: int) -> Executor:
    """Return a pool of *count* workers, at least one."""
    return _ways.workers(max(1, count))


def sleep(seconds: float) -> None:
    """Let time pass."""
    _ways.sleep(seconds)


@contextmanager
def in_their_place(
    workers: Callable[[int], Executor], sleep: Callable[[float], None]
) -> Iterator[None]:
    """Within it, in the whole process, work is given to *workers*, and waiting is *sleep*."""
    before = vars(_ways).copy()
    _ways.workers, _ways.sleep = workers, sleep
    try:
        yield
    finally:
        vars(_ways).update(before)
