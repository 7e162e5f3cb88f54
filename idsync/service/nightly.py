"""The nightly run, once a local date, and the runs between for dates that are known."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime

from idsync.config import Config
from idsync.errors import IdsyncError, Unavailable
from idsync.service.scheduling import (
    dates_are_due,
    missed_between,
    reread_is_due,
    slot,
    taken_up_again,
)
from idsync.service.waiting import due
from idsync.store import State
from idsync.store.nights import BEFORE, MISSED, Night

Tell = Callable[..., None]
"""Says what happens: an event's name, then facts by name."""

FAILED = "failed"
"""The outcome of a night whose run ended in an error that another try does not mend."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a run ended, and which it was."""

    outcome: str
    run: int | None = None


@dataclass
class Nightly:
    """Begins what is due at each `tick`. One object a process; `by` is who claims nights.

    `run(sources)` plans and applies; without *sources* it acts on known dates alone.
    """

    state: State
    clock: Callable[[], datetime]
    run: Callable[[bool], Ran]
    by: str
    tell: Tell
    _done: date | None = None
    _tried_at: datetime | None = None
    _next: dict[str, datetime] = field(default_factory=dict)

    def begin(self, config: Config) -> None:
        """Leave the night before a service's first day alone: nobody was to run then."""
        newest = slot(self.clock(), config.schedule.at, config.idsync.timezone)
        if not self.state.nights.last(1):
            self.state.nights.note(newest.local_date, BEFORE, self.clock())

    def tick(self, config: Config) -> None:
        """Run the night whose time has come, read again what an event asks for, or act on dates.

        Raises:
            IdsyncError: what ended the run; a night that nobody could run is tried again.
        """
        if not self._night(config) and not self._reread():
            self._dates(config)

    # ── nights ──────────────────────────────────────────────────────────────────────────

    def _night(self, config: Config) -> bool:
        now = self.clock()
        newest = slot(now, config.schedule.at, config.idsync.timezone)
        if newest.local_date == self._done:
            return False
        nights = self.state.nights
        known = nights.of(newest.local_date)
        if known is None:
            self._note_missed(nights.before(newest.local_date), newest.local_date, now)
            if not nights.claim(newest.local_date, self.by, now, late=newest.late):
                return False
        elif known.outcome:
            self._done = newest.local_date
            return False
        elif not self._is_left(known, now) or not self._taken_over(known, now):
            return False
        self.tell("night begins", date=newest.local_date, late=newest.late)
        self._run_night(newest.local_date)
        return True

    def _is_left(self, known: Night, now: datetime) -> bool:
        return taken_up_again(known.claimed_at, now, left=not known.claimed_by)

    def _taken_over(self, known: Night, now: datetime) -> bool:
        """Take a night over from who is at it no longer; False where somebody is."""
        try:
            with self.state.run_lock():
                return self.state.nights.take_over(known, self.by, now)
        except Unavailable:
            return False

    def _note_missed(self, last: date | None, newest: date, now: datetime) -> None:
        for day in missed_between(last, newest)[-31:]:
            if self.state.nights.note(day, MISSED, now):
                self.tell("night was missed", level="warning", date=day)

    def _run_night(self, local_date: date) -> None:
        try:
            ran = self.run(True)
        except Exception as error:
            waits = not isinstance(error, IdsyncError) or error.exit_code == 4
            with suppress(IdsyncError):  # where the state is away, it is found out from the lock
                if waits:
                    if not self.state.nights.leave(local_date, self.by, self.clock()):
                        self.tell("night was taken over", level="warning", date=local_date)
                else:  # waiting mends nothing
                    self.state.nights.end(local_date, self.by, None, FAILED, self.clock())
            raise
        mine = self.state.nights.end(local_date, self.by, ran.run, ran.outcome, self.clock())
        if not mine:
            self.tell("night was taken over", level="warning", date=local_date, run=ran.run)
            return
        self._done = local_date
        self.tell("night ended", date=local_date, run=ran.run, outcome=ran.outcome)

    # ── what events ask for ─────────────────────────────────────────────────────────────

    def _reread(self) -> bool:
        since = self.state.inbox.reread_wanted()
        if since is None or not reread_is_due(self.clock(), self.state.last_run("sync")):
            return False
        self.tell("an event asks for a fresh read", since=since)
        ran = self.run(True)
        self.tell("read again", run=ran.run, outcome=ran.outcome)
        return True

    # ── dates ───────────────────────────────────────────────────────────────────────────

    def _dates(self, config: Config) -> None:
        now = self.clock()
        waits = due(config, self.state, now)
        if not dates_are_due(now, sum(one.now for one in waits), self._tried_at, self._soonest()):
            return
        self._tried_at = now
        self._next = {one.target: one.next for one in waits if one.next is not None}
        self.tell("dates are due", changes=sum(one.now for one in waits))
        ran = self.run(False)
        self.tell("dates acted on", run=ran.run, outcome=ran.outcome)

    def _soonest(self) -> datetime | None:
        return min(self._next.values(), default=None)
