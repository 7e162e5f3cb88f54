"""How fast a target is called: never faster than its vendor allows, revocations first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from idsync.together import sleep

RESERVED = 0.2
"""The share of what is allowed that only revocations may use."""


ROUNDING = 1e-6
"""Permissions are counted in fractions: what is short by less than this is whole."""


class Pace:
    """A bucket of permissions to call, filled at a steady rate, for all lanes of one target.

    What is urgent takes the last permission there is; everything else leaves `RESERVED` of
    the bucket untouched, so that a revocation never waits behind a night's work.
    """

    def __init__(
        self,
        calls_per_second: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = sleep,
    ) -> None:
        self.rate = calls_per_second
        self._size = max(1.0, calls_per_second or 1.0)
        self._left = self._size
        self._clock = clock
        self._sleep = sleep
        self._filled_at = clock()
        self._turn = threading.Lock()

    def wait(self, *, urgent: bool = False) -> None:
        """Return when a call may be made."""
        while (seconds := self._try(urgent)) > 0:
            self._sleep(seconds)

    def _try(self, urgent: bool) -> float:
        """Take a permission, or return after how many seconds it is worth asking again."""
        if self.rate is None:
            return 0.0
        with self._turn:
            now = self._clock()
            gained = (now - self._filled_at) * self.rate
            self._left = min(self._size, self._left + gained)
            self._filled_at = now
            kept_back = 0.0 if urgent else self._size * RESERVED
            needed = min(1.0 + kept_back, self._size)
            if self._left >= needed - ROUNDING:
                self._left -= 1.0
                return 0.0
            return (needed - self._left) / self.rate


_paces: dict[str, Pace] = {}
_making = threading.Lock()


def pace_of(target: str, calls_per_second: float | None) -> Pace:
    """Return the one pace of a target in this process, whoever calls it."""
    with _making:
        known = _paces.get(target)
        if known is None or known.rate != calls_per_second:
            known = _paces[target] = Pace(calls_per_second)
        return known
