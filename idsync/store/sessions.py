"""A session with PostgreSQL that no network can keep waiting for ever.

A cut cable brings no error: what is sent goes nowhere, and no answer comes. The kernel finds out
by itself only where nothing on the way acknowledges in the server's place. So whoever gets no
sign for a while asks by another connection whether the server is still at work on what it was
asked; a long statement is waited for, a session that is out of reach is given up.

Facts from the PostgreSQL manual: 27.2.3 (pg_stat_activity: one's own sessions are shown whole).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import psycopg

SIGN_S = 10.0
"""After how long without a sign it is asked what the server does."""

ASKED_S = 5
"""How long the other connection may take."""

WORKS = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active'"


class Session(psycopg.Connection[Any]):
    """A connection that raises OperationalError, closed, once the server is out of reach.

    `sign_s` may be set for each. `another` makes a second connection to the same server.
    """

    sign_s = SIGN_S
    another: Callable[[], Session] | None = None

    def wait(self, gen: Generator[Any, Any, Any], *given: Any, **named: Any) -> Any:  # noqa: ANN401 - the driver's own
        """Wait as the driver does, for as long as signs come."""
        return super().wait(self._watched(gen), *given, **named)

    def _watched(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Pass on what *gen* waits for; the driver sends 0 several times a second meanwhile."""
        until, doubted = time.monotonic() + self.sign_s, False
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > until:
                    if doubted:  # nor has the answer come while it was asked after
                        self.pgconn.finish()
                        raise psycopg.OperationalError("timeout: no sign of the server")
                    doubted = not self._works()
                if ready or (time.monotonic() > until and not doubted):
                    until, doubted = time.monotonic() + self.sign_s, False
                wanted = gen.send(ready)
        except StopIteration as ended:
            return ended.value

    def _works(self) -> bool:
        """Tell whether the server is at work on what this session asked."""
        if self.another is None:
            return False
        try:
            with self.another() as other:
                return other.execute(WORKS, (self.pgconn.backend_pid,)).fetchone() is not None
        except psycopg.Error:
            return False


def connected(*given: Any, **named: Any) -> Session:  # noqa: ANN401 - the driver's own
    """Connect as `psycopg.connect` does."""
    session = Session.connect(*given, **named)

    def another() -> Session:
        other = Session.connect(*given, **{**named, "connect_timeout": ASKED_S})
        other.sign_s = ASKED_S
        return other

    session.another = another
    return session
