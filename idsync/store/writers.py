"""Who writes next, among the threads of this process: in the order of asking, events first."""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """A lock that is handed on: to whoever came first of those who go first, then of the rest."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._first: deque[threading.Lock] = deque()
        self._rest: deque[threading.Lock] = deque()

    def take(self, seconds: float, *, first: bool = False) -> bool:
        """Wait for a turn, at most *seconds*; tell whether it came."""
        queue = self._first if first else self._rest
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            gate = threading.Lock()
            gate.acquire()
            queue.append(gate)
        if gate.acquire(timeout=seconds):
            return True
        with self._guard:
            if gate not in queue:
                return True  # it was handed on just now
            queue.remove(gate)
        return False

    def end(self) -> None:
        """Hand the turn on."""
        with self._guard:
            queue = self._first or self._rest
            if queue:
                queue.popleft().release()
            else:
                self._taken = False
