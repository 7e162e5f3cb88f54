"""The one layer that retries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from idsync.errors import Unavailable
from idsync.together import sleep

ATTEMPTS = 3
LONGEST_WAIT_S = 30.0

Answer = TypeVar("Answer")

_jitter = wait_random_exponential(multiplier=0.2, max=5.0)


def _wait(state: RetryCallState) -> float:
    """As long as the system asked for, within bounds; else longer each time, with jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, Unavailable) else None
    return min(asked, LONGEST_WAIT_S) if asked is not None else _jitter(state)


def patiently(call: Callable[[], Answer]) -> Answer:
    """Return what *call* returns; while its system is unavailable, try again a few times."""
    retrying = Retrying(
        retry=retry_if_exception_type(Unavailable),
        stop=stop_after_attempt(ATTEMPTS),
        wait=_wait,
        sleep=sleep,
        reraise=True,
    )
    return retrying(call)
