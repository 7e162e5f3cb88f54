"""All changes, carried out: a lane for each person, targets side by side, losses first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

import polars as pl

from idsync.apply.ending import ASKED
from idsync.apply.one import Manner, Result, carry_out_many, carry_out_one
from idsync.apply.pace import pace_of
from idsync.apply.readback import gives
from idsync.apply.retry import Budget
from idsync.errors import IdsyncError, IntegrityError, NoRoom
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
    close_again: Callable[[str, str], str] = lambda _target, _person: "",
    planned: int = 0,
) -> dict[str, Done]:
    """Carry *work* out and return what became of it, by target.

    What is *urgent* (a revocation) uses its reserved share of what a vendor allows, and is
    planned on what was read just before; everything else looks at each record once more,
    and leaves alone what somebody changed there meanwhile. *limits* are calls a second by
    target, where they are not to be those of its profile. *close_again* (target, person) is
    called at once for somebody who was revoked while something was given to them, and
    returns why they are not closed there, or ""; *planned* is the newest order that the work
    was planned by. Work on one target goes out in the order
    given, over as many connections as the target allows, one change a cardholder. Targets
    do not wait for each other.
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
            line = _Line(
                run, name, connect, state, clock, progress, urgent, limit, close_again, planned
            )  # fmt: skip
            lines[pool.submit(line.work_off, queue)] = line
        return {line.name: _ended(line, ended) for ended, line in lines.items()}


def _ended(line: _Line, ended: Future[Done]) -> Done:
    """What became of one line; a target that cannot be worked with does not end the others.

    Nor does a worker that dies: what it had sent stays unknown until the next run looks.
    A state that cannot be written does.
    """
    error = ended.exception()
    if error is None:
        return ended.result()
    if isinstance(error, IntegrityError | NoRoom):
        raise error
    line.done.down = True
    line.done.reason = str(error)
    if not isinstance(error, IdsyncError):
        line.done.reason = (
            f"a worker ended in the middle of its work ({type(error).__name__}): the next run "
            "finds out what became of it"
        )
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
        close_again: Callable[[str, str], str],
        planned: int,
    ) -> None:
        self.run = run
        self.urgent = urgent
        self.limit = limit
        self.name = name
        self.connect = connect
        self.state = state
        self.clock = clock
        self.progress = progress
        self.close_again = close_again
        self.planned = planned
        self.budget = None if urgent else Budget()
        self.counting = threading.Lock()
        self.own = threading.local()
        self.targets: list[Target] = []
        self.silences = 0
        self.silence = ""
        self.done = Done()

    def work_off(self, queue: list[Work]) -> Done:
        """Send *queue*; to a target that was silent, one piece of it first, and not too often."""
        circuit = self.state.circuits.of(self.name)
        if circuit is not None and not self.urgent:
            if self.clock() < datetime.fromisoformat(circuit.next_probe_at):
                self.done.unsent = len(queue)
                self.done.down = True
                self.done.reason = f"left alone until it answers a probe: {circuit.reason}"
                return self.done
            self.silences = PATIENCE - 1
        self._send_all(queue)
        self.done.down |= self.silences >= PATIENCE or ASKED.is_set()
        if self.silences >= PATIENCE and not self.urgent:
            self.state.circuits.open(self.name, self.silence, self.clock())
        elif circuit is not None and not self.silences:
            self.state.circuits.close(self.name)
        return self.done

    def _send_all(self, queue: list[Work]) -> None:
        lanes = max(1, self._target().capabilities.lanes)
        try:
            with workers(lanes) as pool:
                for batch in _batches(queue):
                    if self.silences >= PATIENCE or ASKED.is_set():
                        self.done.unsent += len(batch)
                        self.done.down = True
                        continue
                    self._send(batch, pool)
        finally:
            for target in self.targets:
                target.close()

    def _target(self) -> Target:
        """A connection of this thread's own: connectors are never shared between threads."""
        if not hasattr(self.own, "target"):
            self.own.target = self.connect(self.name)
            self.targets.append(self.own.target)
        target: Target = self.own.target
        return target

    def _send(self, batch: list[Work], pool: Executor) -> None:
        if not self.urgent:
            self.state.require_room()
        intents = [(work.target, work.person_id, work.items) for work in batch]
        numbers = self.state.journal.intend(self.run, intents, self.clock())
        known = list(zip(numbers, batch, strict=True))
        size = max(1, self._target().capabilities.batch)
        calls = [known[start : start + size] for start in range(0, len(known), size)]
        list(pool.map(self._call, calls))

    def _call(self, asked: list[tuple[int, Work]]) -> None:
        """Send what one call carries, find out what became of each, and write it down."""
        target = self._target()
        rate = self.limit or target.capabilities.calls_per_second
        pace_of(self.name, rate).wait(urgent=self.urgent)
        unsent = {number: self._unsent(work) for number, work in asked}
        due = [one for one in asked if unsent[one[0]] is None]
        sent = dict(zip((number for number, _ in due), self._results(target, due), strict=True))
        for number, work in asked:
            result = unsent[number] or sent[number]
            outcome, standing = result.outcome, result.standing
            self.state.journal.settle_part(number, outcome, standing, self.clock())
            with self.counting:
                self._count(work, result)
                self.progress(1)
            if result.sent and self._revoked(work):
                self._close(work.person_id)

    def _unsent(self, work: Work) -> Result | None:
        """Why *work* is not sent after all; None: it is."""
        down = self.silences >= PATIENCE or ASKED.is_set()
        reason = "" if down else self._unwanted(work)
        if down:
            asked = ASKED.is_set()
            why = "the run was asked to end" if asked else "the system does not answer"
            reason = f"not sent: {why}"
        if not reason:
            return None
        outcome = Outcome(status="refused", reason=reason)
        return Result(outcome=outcome, standing=work.items.clear(), down=down, sent=False)

    def _unwanted(self, work: Work) -> str:
        if not self.urgent:
            self.state.journal.require_awake()
        return "not sent: revoked in the meantime" if self._revoked(work) else ""

    def _revoked(self, work: Work) -> bool:
        """Whether *work* gives something to somebody who is revoked by now, whole or in part."""
        orders = self.state.orders
        return gives(work.items) and orders.is_revoked(work.person_id, planned=self.planned)

    def _close(self, person_id: str) -> None:
        """Let an order have the last word that came while something was given: at once.

        What was given stands in the ledger by now, so that it is known as idsync's own.
        """
        reason = self.close_again(self.name, person_id)
        if reason:
            with self.counting:
                self.done.unknown += 1
                self.done.problems.append((person_id, reason))

    def _results(self, target: Target, due: list[tuple[int, Work]]) -> list[Result]:
        if not due:
            return []
        manner = Manner(look=not self.urgent, budget=self.budget)
        if len(due) == 1:
            [(_, work)] = due
            manner = replace(manner, unwanted=lambda: self._unwanted(work))
            results = [carry_out_one(target, work.change, work.items, manner)]
        else:
            changes = [(work.change, work.items) for _, work in due]
            results = carry_out_many(target, changes, manner)
        with self.counting:
            for result in results:
                self.silences = self.silences + 1 if result.down else 0
                self.silence = result.outcome.reason if result.down else self.silence
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
