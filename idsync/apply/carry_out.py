"""All changes, carried out: a lane for each person, targets side by side, losses first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

import polars as pl

from idsync.apply.one import Result, carry_out_many, carry_out_one
from idsync.apply.pace import pace_of
from idsync.apply.readback import gives
from idsync.errors import IdsyncError
from idsync.model import Change, Outcome
from idsync.store import State
from idsync.targets import Target
from idsync.together import workers

BATCH = 64  # intents made durable together, before any of them is sent
PATIENCE = 3  # silences in a row after which a target is left alone for this run


@dataclass(frozen=True, kw_only=True)
class Work:
    """One change to send, with the rows of the plan that it carries out."""

    target: str
    person_id: str
    change: Change
    items: pl.DataFrame


@dataclass(kw_only=True)
class Done:
    """What became of the work at one target. `written` counts the changes that were sent."""

    written: int = 0
    confirmed: int = 0
    submitted: int = 0
    refused: int = 0
    unknown: int = 0
    unsent: int = 0
    down: bool = False
    reason: str = ""  # why the target could not be worked with at all
    problems: list[tuple[str, str]] = field(default_factory=list)  # person id, reason
    close_again: list[str] = field(default_factory=list)  # revoked while they were written


def carry_out(
    run: int,
    work: Iterable[Work],
    connect: Callable[[str], Target],
    state: State,
    clock: Callable[[], datetime],
    progress: Callable[[int], None] = lambda _: None,
    *,
    urgent: bool = False,
    limits: Mapping[str, float | None] | None = None,
) -> dict[str, Done]:
    """Carry *work* out and return what became of it, by target.

    What is *urgent* (a revocation) uses its reserved share of what a vendor allows; *limits*
    are calls a second by target, where they are not to be those of its profile. Work on
    one target goes out in the order given, over as many connections as the target allows,
    one change a cardholder. Targets do not wait for each other.
    """
    queues: dict[str, list[Work]] = {}
    for one in work:
        queues.setdefault(one.target, []).append(one)
    if not queues:
        return {}
    with workers(len(queues)) as pool:
        lines: dict[Future[Done], _Line] = {}
        for name, queue in queues.items():
            limit = (limits or {}).get(name)
            line = _Line(run, name, connect, state, clock, progress, urgent, limit)
            lines[pool.submit(line.work_off, queue)] = line
        return {line.name: _ended(line, ended) for ended, line in lines.items()}


def _ended(line: _Line, ended: Future[Done]) -> Done:
    """What became of one line; a target that cannot be worked with does not end the others."""
    try:
        return ended.result()
    except IdsyncError as error:
        line.done.down = True
        line.done.reason = str(error)
        return line.done


class _Line:
    """The work on one target."""

    def __init__(
        self,
        run: int,
        name: str,
        connect: Callable[[str], Target],
        state: State,
        clock: Callable[[], datetime],
        progress: Callable[[int], None],
        urgent: bool,
        limit: float | None,
    ) -> None:
        self.run = run
        self.urgent = urgent
        self.limit = limit
        self.name = name
        self.connect = connect
        self.state = state
        self.clock = clock
        self.progress = progress
        self.own = threading.local()
        self.targets: list[Target] = []
        self.silences = 0
        self.done = Done()

    def work_off(self, queue: list[Work]) -> Done:
        lanes = max(1, self._target().capabilities.lanes)
        try:
            with workers(lanes) as pool:
                for batch in _batches(queue):
                    if self.silences >= PATIENCE:
                        self.done.unsent += len(batch)
                        self.done.down = True
                        continue
                    self._send(batch, pool)
        finally:
            for target in self.targets:
                target.close()
        return self.done

    def _target(self) -> Target:
        """A connection of this thread's own: connectors are never shared between threads."""
        if not hasattr(self.own, "target"):
            self.own.target = self.connect(self.name)
            self.targets.append(self.own.target)
        target: Target = self.own.target
        return target

    def _send(self, batch: list[Work], pool: Executor) -> None:
        intents = [(work.target, work.person_id, work.items) for work in batch]
        numbers = self.state.journal.intend(self.run, intents, self.clock())
        known = list(zip(numbers, batch, strict=True))
        size = max(1, self._target().capabilities.batch)
        calls = [known[start : start + size] for start in range(0, len(known), size)]
        for results in pool.map(self._call, calls):
            for number, work, result in results:
                self._count(work, result)
                outcome, standing = result.outcome, result.standing
                self.state.journal.settle_part(number, outcome, standing, self.clock())
                self.progress(1)

    def _call(self, asked: list[tuple[int, Work]]) -> list[tuple[int, Work, Result]]:
        """Send what one call carries, and find out what became of each."""
        unsent = {number: self._unsent(work) for number, work in asked}
        due = [one for one in asked if unsent[one[0]] is None]
        sent = dict(zip((number for number, _ in due), self._results(due), strict=True))
        return [(number, work, unsent[number] or sent[number]) for number, work in asked]

    def _unsent(self, work: Work) -> Result | None:
        """Why *work* is not sent after all; None: it is."""
        reason = ""
        if self.silences >= PATIENCE:
            reason = "not sent: the system does not answer"
        elif gives(work.items) and self.state.orders.is_revoked(work.person_id):
            reason = "not sent: revoked in the meantime"
        if not reason:
            return None
        outcome = Outcome(status="refused", reason=reason)
        down = self.silences >= PATIENCE
        return Result(outcome=outcome, standing=work.items.clear(), down=down, sent=False)

    def _results(self, due: list[tuple[int, Work]]) -> list[Result]:
        if not due:
            return []
        target = self._target()
        rate = self.limit or target.capabilities.calls_per_second
        pace_of(self.name, rate).wait(urgent=self.urgent)
        if len(due) == 1:
            [(_, work)] = due
            results = [carry_out_one(target, work.change, work.items)]
        else:
            results = carry_out_many(target, [(work.change, work.items) for _, work in due])
        for (_, work), result in zip(due, results, strict=True):
            self.silences = self.silences + 1 if result.down else 0
            # an order that came while this was under way has the last word
            if gives(work.items) and self.state.orders.is_revoked(work.person_id):
                self.done.close_again.append(work.person_id)
        return results

    def _count(self, work: Work, result: Result) -> None:
        status = result.outcome.status
        self.done.written += result.sent
        setattr(self.done, status, getattr(self.done, status) + 1)
        if result.outcome.reason and status in ("refused", "unknown"):
            self.done.problems.append((work.person_id, result.outcome.reason))


def _batches(queue: list[Work]) -> Iterator[list[Work]]:
    iterator = iter(queue)
    while batch := list(islice(iterator, BATCH)):
        yield batch
