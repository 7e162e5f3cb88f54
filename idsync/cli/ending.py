"""What a command that writes does when it is asked to end."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import click

DRAIN_S = 10.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _on_stderr(words: str) -> None:
    click.echo(f"idsync: {words}", err=True)


@contextmanager
def ending_when_asked(
    signals: Sequence[signal.Signals] = SIGNALS, say: Callable[[str], None] = _on_stderr
) -> Iterator[None]:
    """Within it the first signal lets finish what is under way, at most `DRAIN_S` seconds.

    The second ends at once, as kill -9 would: what was sent is in the journal.
    """
    from idsync.apply import ASKED

    came: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def asked(number: int, _: FrameType | None) -> None:
        # It comes between any two steps of the main thread, which may hold the very lock that
        # an event, a stream or a logger would want here: only this queue may be called so.
        came.put(number)

    heeding = threading.Thread(target=_heed, args=(came, ASKED, say), daemon=True)
    heeding.start()
    before = {number: signal.signal(number, asked) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        came.put(None)
        heeding.join()


def _heed(
    came: queue.SimpleQueue[int | None], drain: threading.Event, say: Callable[[str], None]
) -> None:
    """Wait for a signal, have the process drained, and end it if another comes or it is late."""
    number = came.get()
    if number is None:
        return
    drain.set()
    words = (
        f"ending: what is under way is finished, in at most {DRAIN_S:.0f} s; "
        "ask again to end at once"
    )
    telling = threading.Thread(target=say, args=[words], daemon=True)
    telling.start()  # who reads stderr may be slow, and must not delay the end
    try:
        again = came.get(timeout=DRAIN_S)
    except queue.Empty:
        again = number
    if again is not None:
        os._exit(128 + again)
    telling.join(1)
