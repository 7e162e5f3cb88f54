"""The one layer that retries."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.wait import wait_random_exponential

from idsync.errors import Unavailable
from idsync.together import sleep

ATTEMPTS = 3
LONGEST_WAIT_S = 30.0
EXTRA_SHARE = 0.1
"""How many calls more than planned a run may send one system, as a share of the planned."""
FREE_RETRIES = 4

Answer = TypeVar("Answer")

_jitter = wait_random_exponential(multiplier=0.2, max=5.0)


class Budget:
    """How many times more the calls to one system may be repeated, for all its lanes.

    A system that stumbles is helped by a second try; one that is drowning is drowned by it.
    Every call earns a tenth of a retry, and the first few are free.
    """

    def __init__(self) -> None:
        self._left = float(FREE_RETRIES)
        self._turn = threading.Lock()

    def earn(self) -> None:
        """Count one call that was planned."""
        with self._turn:
            self._left += EXTRA_SHARE

    def spend(self) -> bool:
        """Take one retry, if there is one."""
        with self._turn:
            if self._left < 1:
                return False
            self._left -= 1
            return True


def _wait(state: RetryCallState) -> float:
    """As long as the system asked for, within bounds; else longer each time, with jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, Unavailable) else None
    return min(asked, LONGEST_WAIT_S) if asked is not None else _jitter(state)


def patiently(call: Callable[[], Answer], budget: Budget | None = None) -> Answer:
    """Return what *call* returns; while its system is unavailable, try again a few times.

    With a *budget* only as long as it lasts.
    """
    if budget is not None:
        budget.earn()
    attempts = 0

    def worth_another(error: BaseException) -> bool:
        nonlocal attempts
        attempts += 1
        if not isinstance(error, Unavailable) or attempts >= ATTEMPTS:
            return False
        return budget is None or budget.spend()

    retrying = Retrying(
        retry=retry_if_exception(worth_another), wait=_wait, sleep=sleep, reraise=True
    )
    return retrying(call)
