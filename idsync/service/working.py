"""A thread that works when it is woken, and of which it shows whether it lives."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from idsync.apply import ASKED
from idsync.config import Config
from idsync.errors import ConfigError, ConnectorError, DiskFailed, IdsyncError, IntegrityError
from idsync.service.nightly import Tell
from idsync.store import State, open_state

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0


@dataclass
class Worker:
    """Opens the state, waiting until it answers, and then works each time it is woken.

    An error that idsync knows is told and the work goes on; one that nobody foresaw ends the
    thread, and whoever holds the worker sees that it no longer lives. `fatal` is the error
    that no other try mends. `longest_s` is how long one piece of work may take; None: any time.
    """

    name: str
    config: Callable[[], Config]
    work: Callable[[State], None]
    tell: Tell
    longest_s: float | None = None
    wake: threading.Event = field(default_factory=threading.Event)
    state: State | None = None
    fatal: IdsyncError | None = None
    _thread: threading.Thread | None = None
    _began: float | None = None
    _reason: str = ""

    def start(self) -> None:
        """Begin, or begin anew after the thread has ended."""
        self.wake.set()
        self._began = None
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    @property
    def lives(self) -> bool:
        """Whether its thread is there."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def hangs(self) -> bool:
        """Whether a piece of work takes longer than any may."""
        began = self._began
        return (
            began is not None
            and self.longest_s is not None
            and time.monotonic() - began > self.longest_s
        )

    def join(self, seconds: float) -> bool:
        """Wait for its end, at most *seconds*; tell whether it has come."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.lives

    def _run(self) -> None:
        try:
            state = self._opened()
            if state is None:
                return
            self.state = state
            try:
                while not ASKED.is_set():
                    if self.wake.wait(0.2):
                        self.wake.clear()
                        self._once(state)
            finally:
                state.close()
        except IdsyncError as error:
            self.fatal = error

    def _once(self, state: State) -> None:
        self._began = time.monotonic()
        try:
            self.work(state)
        except DiskFailed as error:  # no thread of this process tries that disk again
            self.tell("the disk of the state has failed", level="error", reason=str(error))
            os._exit(error.exit_code)
        except IntegrityError:
            raise
        except IdsyncError as error:
            self._say(str(error))
        else:
            self._say("")
        finally:
            self._began = None

    def _opened(self) -> State | None:
        """Return the state once it answers; None where the service is to end before."""
        wait = FIRST_WAIT_S
        while not ASKED.is_set():
            try:
                general = self.config().idsync
                state = open_state(general.state, witness=general.witness)
            except (
                ConnectorError,
                ConfigError,
            ) as error:  # also a password that is to be corrected
                self._say(str(error))
            else:
                self._say("")
                return state
            pause = wait * random.uniform(0.5, 1.0)  # noqa: S311 - so that not all come at once
            ASKED.wait(pause)
            wait = min(wait * 2, LONGEST_WAIT_S)
        return None

    def _say(self, reason: str) -> None:
        """Say what is in the way once, and once that it is not any longer."""
        if reason and reason != self._reason:
            self.tell("waiting", level="warning", worker=self.name, reason=reason)
        elif self._reason and not reason:
            self.tell("goes on", worker=self.name)
        self._reason = reason
