"""What a command that writes does when it is asked to end."""

from __future__ import annotations

import os
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

    def asked(number: int, _: FrameType | None) -> None:
        if ASKED.is_set():
            os._exit(128 + number)
        ASKED.set()
        late = threading.Timer(DRAIN_S, os._exit, [128 + number])
        late.daemon = True
        late.start()
        say(
            f"ending: what is under way is finished, in at most {DRAIN_S:.0f} s; "
            "ask again to end at once"
        )

    before = {number: signal.signal(number, asked) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
