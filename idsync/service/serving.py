"""The service: a ticker, workers that it wakes, and somebody who sees that all of them live."""

from __future__ import annotations

import gc
import os
import queue
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.schedulers.background import BackgroundScheduler

from idsync.apply import ASKED
from idsync.config import Config, load
from idsync.errors import ConfigError, IdsyncError
from idsync.service.applying import sync
from idsync.service.auditing import attend
from idsync.service.calling import call
from idsync.service.dropping import LOOKED_AT_EVERY, take_lists
from idsync.service.health import standing, watch
from idsync.service.keyrings import Keyrings
from idsync.service.nightly import Nightly, Ran, Tell
from idsync.service.notifying import notify, watchdog_s
from idsync.service.obeying import stay_ready, warm_up, work_off
from idsync.service.polling import Poller
from idsync.service.pursuing import pursue
from idsync.service.scheduling import PURSUED_EVERY
from idsync.service.streams import verify
from idsync.service.subscribing import Keeper
from idsync.service.working import Worker
from idsync.store import State

TICK = timedelta(seconds=30)
SILENT_S = 90.0
"""A ticker that has not ticked for so long is taken for dead."""

LONGEST_PURSUIT_S = 900.0
"""Every call to a target has an end; a pursuit that has none by then hangs."""

TURN_TRIED_S = 1.0
"""How often a process tries to be the one that obeys and pursues."""

AGAIN_S = 0.2

KEPT_BYTES = 512 * 1024 * 1024
"""The most that is kept in memory of people, so that an event finds them at once."""

DEATHS, WITHIN_S = 5, 600.0
"""A worker that dies so often in that time is not started again: the process ends."""

TOLD_AGAIN = timedelta(hours=1)
"""How often an alarm that nobody sees to is told again."""

DRAIN_S = 8.0

TURN_OF_A_THREAD_S = 0.001
"""After how long a thread that computes lets another one on: a sender waits for its answer."""


class Service:
    """One process that serves. `run` returns its exit code when it is asked to end."""

    def __init__(
        self, file: Path, config: Config, tell: Tell, clock: Callable[[], datetime]
    ) -> None:
        self.config = config
        self.reloads: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._file, self._tell, self._clock = file, tell, clock
        self._by = f"{socket.gethostname()}:{os.getpid()}"
        self._nightly: Nightly | None = None
        self._attended: dict[int, Config] = {}
        self._faults: dict[str, tuple[float, str]] = {}
        self._deaths: list[float] = []
        self._ticked = time.monotonic()
        self._watching = self._worker("watching", self._watch, LONGEST_PURSUIT_S)
        self._pursuing = self._worker("pursuing", self._pursue, LONGEST_PURSUIT_S)
        self._running = self._worker("running", self._runs, None)
        self.hearing = self._worker("hearing", self._obey, LONGEST_PURSUIT_S)
        self._fetching = self._worker("fetching", self._fetch, LONGEST_PURSUIT_S)
        self._calling = self._worker("calling", self._call, LONGEST_PURSUIT_S)
        self._leading = self._worker("leading", self._lead, None)
        self.workers = [self._watching, self._pursuing, self._running, self.hearing, self._calling]
        self._leads = self._alone = config.idsync.state.startswith("sqlite:")
        if not self._alone:
            self.workers.append(self._leading)
        if config.serve.urgent is not None:
            self.workers.append(self._fetching)
        self.rings = Keyrings()
        self._polling = [self._poller(name) for name in config.events.polled]
        self._polling += [self._keeper(name) for name in config.events.subscribed]
        self._verifying = self._worker("verifying", self._verify, LONGEST_PURSUIT_S)
        self.workers += self._polling
        if any(why == "to verify" for _, why in config.events.visited):
            self.workers.append(self._verifying)

    def _worker(self, name: str, work: Callable[[State], None], longest_s: float | None) -> Worker:
        return Worker(name, lambda: self.config, work, self._tell, longest_s)

    def _poller(self, name: str) -> Worker:
        """Return what polls one sender all the time; between two polls it rests by itself."""
        poller = Poller(name, self.rings, self._clock, self.hearing.wake.set)
        return self._going(f"polling {name}", lambda state: poller.poll(self.config, state))

    def _keeper(self, name: str) -> Worker:
        """Return what keeps the subscriptions of one sender; it rests by itself too."""

        def made(resource: str) -> None:
            self._tell("subscribed", sender=name, resource=resource)

        keeper = Keeper(name, self._clock, made)

        def keep(state: State) -> None:
            if self.current() is None:  # Graph asks back, and nobody would answer yet
                ASKED.wait(AGAIN_S)
            else:
                keeper.keep(self.config, state)

        return self._going(f"subscribing {name}", keep)

    def _going(self, name: str, once: Callable[[State], None]) -> Worker:
        """Return what does something again and again, in the process that leads."""

        def work(state: State) -> None:
            try:
                if self._leads:
                    once(state)
                else:
                    ASKED.wait(TURN_TRIED_S)
            finally:
                made.wake.set()

        made = self._worker(name, work, LONGEST_PURSUIT_S)
        return made

    def current(self) -> tuple[Config, State] | None:
        """Return what health is told of; None while the state does not answer."""
        state = self._watching.state
        return (self.config, state) if state is not None else None

    # ── what the workers do ─────────────────────────────────────────────────────────────

    def _attend(self, state: State) -> None:
        if self._attended.get(id(state)) is not self.config:
            self._attended[id(state)] = self.config
            attend(self.config, state, self._clock, strict=False)

    def _lead(self, state: State) -> None:
        """Be the one of several processes that obeys and pursues, as long as that may be."""
        try:
            with state.revoking(self._heard) as held:
                if held is None:
                    return
                self._leads = True
                self._tell("this process obeys events and pursues revocations")
                self._heard()
                while not (held.lost or ASKED.wait(0.2)):
                    pass
        finally:
            self._leads = False
            ASKED.wait(TURN_TRIED_S)
            self._leading.wake.set()

    def _heard(self) -> None:
        self.hearing.wake.set()
        self._pursuing.wake.set()

    def _runs(self, state: State) -> None:
        config = self.config
        if self._nightly is None or self._nightly.state is not state:

            def run(sources: bool) -> Ran:
                done = sync(self.config, state, lambda _: None, sources=sources, time=self._clock)
                return Ran(outcome=done.outcome, run=done.number)

            self._nightly = Nightly(state, self._clock, run, self._by, self._tell)
            self._nightly.begin(config)
        self._nightly.tick(config)

    def _pursue(self, state: State) -> None:
        if not self._leads:
            return
        self._attend(state)
        for one in pursue(self.config, state, self._clock):
            self._tell(
                "revocation pursued", level="info" if one.shut else "warning",
                target=one.target, outcome=one.outcome, reason=one.reason,
            )  # fmt: skip
        state.audit.sign_off()

    def _fetch(self, state: State) -> None:
        """Take the urgent lists that were dropped; who stands in them is pursued at once."""
        self._attend(state)
        for one in take_lists(self.config, state, self._clock):
            lines = [nobody.line for nobody in one.unknown]
            level = "warning" if one.refused or lines else "info"
            self._tell("urgent list", level=level, orders=one.orders, lines_of_nobody=lines,
                       refused=one.refused)  # fmt: skip
            state.call()
            self._pursuing.wake.set()

    def _obey(self, state: State) -> None:
        """Act on what senders have told: whatever is kept in the inbox."""
        if not (self._leads and self.config.events.senders):
            return
        first = self._attended.get(id(state)) is None
        if first:
            state.frames.keep(KEPT_BYTES)
        self._attend(state)
        done = work_off(self.config, state, self._clock)
        for person, targets in done.closed.items():
            self._tell("closed after an event", person=person,
                       targets={one.target: one.outcome for one in targets})  # fmt: skip
        if done.states:
            self._tell("events", **done.states)
            self._pursuing.wake.set()
        stay_ready(self.config, state)
        if first:
            warm_up(self.config)
            # to look for garbage among all that stays for good stops every thread for long
            gc.collect()
            gc.freeze()

    def _verify(self, state: State) -> None:
        """Let the streams that are due show that they still reach idsync."""
        if not self._leads:
            return
        for name, reason in verify(self.config, state, self._clock()).items():
            self._tell("stream not verified", level="warning", sender=name, reason=reason)

    def _watch(self, state: State) -> None:
        now = self._clock()
        cut = time.monotonic() - TOLD_AGAIN.total_seconds()
        self._faults = {name: one for name, one in self._faults.items() if one[0] > cut}
        faults = {name: detail for name, (_, detail) in self._faults.items()}
        came, gone = watch(self.config, state, now, faults)
        for name in gone:
            self._tell("alarm over", alarm=name)
        again = (now - TOLD_AGAIN).isoformat()
        loud = [
            one
            for one in standing(self.config, state, now)
            if one["acknowledged_at"] is None
            and (one["name"] in came or (one["told_at"] or "") <= again)
        ]
        for one in loud:
            self._tell("alarm", level="error", alarm=one["name"], since=one["since"],
                       detail=one["detail"])  # fmt: skip
        if loud:
            state.alarms.told([one["name"] for one in loud], now)
            self._calling.wake.set()

    def _call(self, state: State) -> None:
        """Tell the on-call, in a thread of its own: a mail server that hangs delays nobody."""
        for one in call(self.config, state, self._clock):
            event = "on-call told" if one.told else "the on-call cannot be told"
            self._tell(event, level="error" if one.reason else "warning", way=one.way,
                       alarms=one.alarms, reason=one.reason)  # fmt: skip
            if one.reason:
                self._watching.wake.set()

    # ── the process ─────────────────────────────────────────────────────────────────────

    def run(self, also_lives: Callable[[], bool] = lambda: True) -> int:
        """Serve until asked to end; *also_lives* tells of what else must be there."""
        sys.setswitchinterval(TURN_OF_A_THREAD_S)
        ticker = self._ticker()
        for one in self.workers:
            one.start()
        ticker.start()
        notify("READY=1")
        self._tell("serving", process=os.getpid(), nightly=self.config.schedule.nightly)
        try:
            code = self._supervise(also_lives)
        finally:
            notify("STOPPING=1")
            ASKED.set()
            ticker.shutdown(wait=False)
        until = time.monotonic() + DRAIN_S
        # who waits for a sender holds nothing: what is not acknowledged is told again
        waited = [one for one in self.workers if one not in self._polling]
        late = [one.name for one in waited if not one.join(until - time.monotonic())]
        self._tell("ended", code=code, under_way=late)
        return code

    def _ticker(self) -> BackgroundScheduler:
        """Return what wakes the workers; when something is due is decided by them."""
        ticker = BackgroundScheduler(timezone=UTC)

        def tick(*workers: Worker) -> None:
            self._ticked = time.monotonic()
            for one in workers:
                one.wake.set()

        each = (self._watching, self._running, self.hearing, self._calling, self._verifying)
        for every, workers in ((TICK, each),
                               (PURSUED_EVERY, (self._pursuing,)),
                               (LOOKED_AT_EVERY, (self._fetching,))):  # fmt: skip
            ticker.add_job(
                tick, "interval", seconds=every.total_seconds(), args=workers, max_instances=1,
                coalesce=True,
            )  # fmt: skip
        return ticker

    def _supervise(self, also_lives: Callable[[], bool]) -> int:
        every, told = watchdog_s(), 0.0
        while not ASKED.wait(0.2):
            if not self.reloads.empty():
                self.reloads.get()
                self.reload()
            for one in self.workers:
                if one.fatal is not None:
                    self._tell("cannot go on", level="error", reason=str(one.fatal))
                    return one.fatal.exit_code
                if one.hangs:
                    self._tell("a worker hangs", level="error", worker=one.name)
                    return 1
                if not one.lives and not ASKED.is_set() and not self._start_again(one):
                    return 1
            if time.monotonic() - self._ticked > SILENT_S or not also_lives():
                self._tell("the ticker or the listener has died", level="error")
                return 1
            if every is not None and time.monotonic() - told >= every:
                told = time.monotonic()
                notify("WATCHDOG=1")
        return 0

    def _start_again(self, one: Worker) -> bool:
        now = time.monotonic()
        self._deaths = [at for at in self._deaths if at > now - WITHIN_S] + [now]
        self._tell("a worker has died", level="error", worker=one.name, deaths=len(self._deaths))
        if len(self._deaths) >= DEATHS:
            return False
        self._faults[one.name] = (now, "its thread died and was started again: report it")
        one.start()
        self._watching.wake.set()
        return True

    def reload(self) -> None:
        """Read the configuration again; one that is not valid, or needs a restart, is refused."""
        try:
            new = load(self._file)
            if (new.idsync.state, new.idsync.witness, new.serve) != (
                self.config.idsync.state, self.config.idsync.witness, self.config.serve,
            ):  # fmt: skip
                raise ConfigError("[idsync] state, witness and [serve] change at a restart only")
            if new.events.visited != self.config.events.visited:
                raise ConfigError(
                    "[events.NAME] form, delivery and stream change at a restart only"
                )
        except IdsyncError as error:
            self._tell("configuration refused, the old one stays", level="error", reason=str(error))
            return
        self.config = new
        self._tell("configuration read", digest=new.digest)


def serve(file: Path, config: Config, tell: Tell, clock: Callable[[], datetime],
          on_reload: Callable[[Callable[[], None]], None]) -> int:  # fmt: skip
    """Serve by *config*, read from *file*; *on_reload* is given what asks for a reload.

    What asks for it takes no lock, so that a signal's handler may call it.

    Raises:
        ConfigError: nobody can listen at [serve] listen.
    """
    service = Service(file, config, tell, clock)
    on_reload(lambda: service.reloads.put(None))
    if config.serve.listen is None:
        return service.run()
    from idsync.service.answering import health_app
    from idsync.service.hearing import app
    from idsync.service.listening import Listener, beside

    events = app(service.current, clock, service.hearing.wake.set, service.rings)
    listener = Listener(
        config.serve.listen, beside(health_app(service.current, clock), "/events/", events)
    )
    tell("listening", address=listener.address)
    listener.start()
    try:
        return service.run(lambda: listener.lives)
    finally:
        with suppress(RuntimeError):
            listener.stop()
