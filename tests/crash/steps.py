"""The steps of a run at which it can be killed, counted from outside: idsync knows nothing of it.

A step lies before and after every commit of the state, and before and after every call that
reaches a system: before it is sent, and when the system has carried it out and nobody has
read the answer yet. The answer is read when the next step comes: the commit that tells it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import urllib3.connectionpool
from sqlalchemy.engine.default import DefaultDialect

from idsync.targets.local_system import LocalSystem


class Steps:
    """Counts steps, and ends the process as kill -9 does at the one numbered *kill_at*."""

    def __init__(self, kill_at: int = 0) -> None:
        self.count = 0
        self.kill_at = kill_at
        self._turn = threading.Lock()

    def step(self) -> None:
        with self._turn:
            self.count += 1
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self, *, reads: bool = False) -> None:
        """Count from now on; with *reads* also calls that only ask."""
        DefaultDialect.do_commit = self._around(DefaultDialect.do_commit)  # type: ignore[method-assign]
        send = self._around(urllib3.connectionpool.HTTPConnectionPool.urlopen)
        plain = urllib3.connectionpool.HTTPConnectionPool.urlopen

        def urlopen(pool: Any, method: str, *more: Any, **named: Any) -> Any:
            how = send if reads or method not in ("GET", "HEAD") else plain
            return how(pool, method, *more, **named)

        urllib3.connectionpool.HTTPConnectionPool.urlopen = urlopen  # type: ignore[method-assign,assignment]
        session = LocalSystem.session

        @contextmanager
        def counted(system: LocalSystem, by: str) -> Iterator[Any]:
            self.step()
            with session(system, by) as opened:
                yield opened
            self.step()

        LocalSystem.session = counted  # type: ignore[method-assign,assignment]

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            self.step()
            answer = call(*given, **named)
            self.step()
            return answer

        return counted
