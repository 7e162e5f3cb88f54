"""Holds the audit against itself, the journal, and what was signed outside the database.

One pass in the order of the chains, in one snapshot: memory is 4 octets an operation and a
hash a checkpoint, however long the chains are.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from zlib import crc32

from sqlalchemy import Connection, Engine, Row, func, select

from idsync.errors import IntegrityError
from idsync.store.audit_checkpoints import Witness, retired_up_to, written_by
from idsync.store.audit_cutting import read_cuts
from idsync.store.audit_records import START, facts_of
from idsync.store.audit_signing import PublicKey
from idsync.store.tables import audit, audit_head, journal

MOST_PROBLEMS = 20
AT_ONCE = 10_000
NOT_OURS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What is raised by facts that fit their hash, and are of another form than any that is written."""


@dataclass(kw_only=True)
class Verdict:
    """What was found. `unsigned` counts the records since the last genuine checkpoint."""

    records: int = 0
    controllers: dict[str, int] = field(default_factory=dict)
    operations: int = 0
    checkpoints: int = 0
    last_checkpoint: str = ""
    unsigned: int = 0
    problems: list[str] = field(default_factory=list)

    def found(self, problem: str) -> None:
        """Add a problem; the first ones tell where it began."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def verify(
    engine: Engine,
    witness: Witness | None,
    keys: Sequence[PublicKey],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Verdict:
    """Return what is wrong with the audit: nothing, or where and what.

    *witness* is what the checkpoints said before this began; None where there are none.
    """
    with one_snapshot(engine) as connection:
        return verify_in(connection, witness, keys, progress)


def verify_in(
    connection: Connection,
    witness: Witness | None,
    keys: Sequence[PublicKey],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Verdict:
    """Do as `verify` with what *connection* sees."""
    verdict = Verdict()
    if witness is not None:
        _judge_witness(connection, witness, keys, verdict)
    signed = _signed(witness)
    heads = {row.controller: row for row in connection.execute(select(audit_head))}
    cuts = read_cuts(connection, keys, verdict.found)
    stored = connection.execute(select(audit.c.controller).distinct()).scalars()
    total = connection.execute(select(func.count()).select_from(audit)).scalar() or 0
    operations = _Operations()
    for controller in sorted({*stored, *heads, *signed, *cuts}, key=str):
        chain = _Chain(controller, signed.get(controller, {}), verdict, operations)
        if controller in cuts:
            number, hash_, highest = cuts[controller]
            chain.begin_after(number, hash_)
            operations.forget_up_to(highest)
        for rows in _rows(connection, controller):
            chain.take(rows)
            verdict.records += len(rows)
            progress(verdict.records, total)
        chain.end(heads.get(controller))
    if verdict.records == 0 and operations.any_in(connection):
        verdict.found("the journal has operations, and the audit has no record at all")
    operations.compare(connection, verdict)
    return verdict


@contextmanager
def one_snapshot(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that sees the state as it is now, whatever is written meanwhile."""
    if engine.dialect.name == "postgresql":
        options: dict[str, Any] = {"isolation_level": "REPEATABLE READ"}
    else:
        options = {"reads": True}
    with engine.connect().execution_options(**options) as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        yield connection
        connection.rollback()


def _rows(connection: Connection, controller: str) -> Iterator[Sequence[Any]]:
    columns = [column for column in audit.columns if column.name != "controller"]
    query = select(*columns).where(audit.c.controller == controller).order_by(audit.c.number)
    yield from connection.execution_options(yield_per=AT_ONCE).execute(query).partitions()


# ── chains ──────────────────────────────────────────────────────────────────────────────


class _Chain:
    """One chain, taken record by record."""

    def __init__(
        self, controller: str, signed: dict[int, str], verdict: Verdict, operations: _Operations
    ) -> None:
        self.controller = controller
        self.name = f"chain {controller!r}" if controller else "chain of the city"
        self.signed = signed
        self.verdict = verdict
        self.operations = operations
        self.number = 0
        self.hash = START

    def begin_after(self, number: int, hash_: bytes) -> None:
        """Let the chain begin after what retention has cut, as a signed statement says."""
        self.number, self.hash = number, hash_
        self._compare_signed()

    def take(self, rows: Sequence[Any]) -> None:
        """Hold the next records each against the one before it, and against its own hash."""
        controller, length = self.controller, len(self.controller)
        for row in rows:
            number, at, kind, target, person, operation, facts, sealed, previous, stored = row
            try:  # as `chained` does, without a call a record
                head = (
                    f"{number} {operation} {length} {len(at)} {len(kind)} {len(target)} "
                    f"{len(person)} {len(facts)}\n{controller}{at}{kind}{target}{person}{facts}"
                )
                sound = sha256(previous + head.encode() + sealed).digest() == stored
            except (TypeError, AttributeError, UnicodeError):  # of another type than was written
                sound = False
            if not sound or previous != self.hash or number != self.number + 1:
                if not isinstance(number, int):
                    self.verdict.found(f"{self.name}: a record has no number, but {number!r}")
                    continue
                self._tell(number, follows=previous == self.hash, sound=sound)
            try:
                if sound and operation:
                    self.operations.take(kind, target, operation, facts)
                elif sound:
                    self.operations.take_other(kind, facts)
            except NOT_OURS:
                self.verdict.found(f"{self.name}, record {number} tells what idsync never wrote")
            self.number, self.hash = number, stored
            if number in self.signed:
                self._compare_signed()

    def _tell(self, number: int, *, follows: bool, sound: bool) -> None:
        where = f"{self.name}, record {number}"
        if number != self.number + 1:
            missing = (
                f"{self.number + 1} to {number - 1} are" if number > self.number else "some are"
            )
            self.verdict.found(f"{where}: {missing} missing or out of their order")
        if not follows:
            self.verdict.found(f"{where} does not follow the one before it")
        if not sound:
            self.verdict.found(f"{where} was changed: its hash is another")

    def _compare_signed(self) -> None:
        expected = self.signed.pop(self.number, None)
        if expected is not None and bytes.fromhex(expected) != self.hash:
            self.verdict.found(
                f"{self.name}, record {self.number} is another than a signed checkpoint says: "
                "the chain was rewritten"
            )

    def end(self, head: Row[Any] | None) -> None:
        """Hold the end of the chain against its head and the last checkpoint."""
        beyond = [number for number in self.signed if number > self.number]
        if beyond:
            self.verdict.found(
                f"{self.name} ends with record {self.number}, and a signed checkpoint saw "
                f"{max(beyond)}: its tail was cut, or an older state brought back"
            )
        if (head.number, head.hash) != (self.number, self.hash) if head else self.number:
            self.verdict.found(f"{self.name} ends with record {self.number}, its head says another")
        self.verdict.controllers[self.controller] = self.number


# ── checkpoints ─────────────────────────────────────────────────────────────────────────


def _judge_witness(
    connection: Connection, witness: Witness, keys: Sequence[PublicKey], verdict: Verdict
) -> None:
    for problem in witness.problems:
        verdict.found(problem)
    verdict.checkpoints = len(witness.lines)
    try:
        _judge_numbers(connection, witness, keys, verdict)
    except IntegrityError as error:
        verdict.found(str(error))


def _judge_numbers(
    connection: Connection, witness: Witness, keys: Sequence[PublicKey], verdict: Verdict
) -> None:
    """Hold what the last checkpoint saw, and how many there are, against what is remembered."""
    if witness.lines:
        last = witness.lines[-1]
        verdict.last_checkpoint = last["at"]
        heads = dict(connection.execute(select(audit_head.c.controller, audit_head.c.number)).all())
        known = sum(number for number in heads.values() if isinstance(number, int))
        verdict.unsigned = known - sum(number for number, _ in last["heads"].values())
        highest = connection.execute(select(func.max(journal.c.id))).scalar() or 0
        if last["operations"] > max(highest, retired_up_to(connection)):
            verdict.found(
                f"a signed checkpoint saw operation {last['operations']}, and the journal ends "
                f"with {highest}: an older state was brought back, or its tail was cut"
            )
    for key in keys:
        signed = [line["number"] for line in witness.lines if line["key"] == key.name]
        written = written_by(connection, key.name)
        if written > max(signed, default=0):
            verdict.found(
                f"checkpoints are missing at the end: {written} were written with the key "
                f"{key.name}, the last one here is {max(signed, default=0)}"
            )


def _signed(witness: Witness | None) -> dict[str, dict[int, str]]:
    """What checkpoints say: by controller, number to hash."""
    signed: dict[str, dict[int, str]] = {}
    for line in witness.lines if witness else ():
        for controller, (number, hashed) in line["heads"].items():
            signed.setdefault(controller, {})[number] = hashed
    return signed


# ── the journal ─────────────────────────────────────────────────────────────────────────

PAGE = 65_536


class _Operations:
    """What the audit says of each operation, 4 octets each, to be held against the journal."""

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}
        self._gone: list[tuple[int, int]] = []
        self._older = 0  # up to here the journal is older than the audit
        self._again: list[int] = []
        self._states: dict[str, str] = {}
        self._marks: dict[tuple[str, str], int] = {}

    def any_in(self, connection: Connection) -> bool:
        return connection.execute(select(journal.c.id).limit(1)).first() is not None

    def take(self, kind: str, target: str, operation: int, facts: str) -> None:
        """Note what a genuine record says of an operation."""
        if kind == "intended":
            if self._get(operation):
                self._again.append(operation)
            self._set(operation, self._mark(target, "intent"))
        elif kind == "settled":
            state = self._states.get(facts)
            if state is None:
                state = facts_of(facts)["state"]
                if len(facts) < 50:  # nothing but the state, the same again and again
                    self._states[facts] = state
            self._set(operation, self._mark(target, state))

    def take_other(self, kind: str, facts: str) -> None:
        """Note what a genuine record says of many operations."""
        if kind in ("retired", "erased"):
            told = facts_of(facts)["operations"]
            self._gone += [(int(first), int(last)) for first, last in told]
        elif kind == "began":
            self.forget_up_to(facts_of(facts)["operations"])

    def forget_up_to(self, operation: int) -> None:
        """Ask of no operation up to this one that the audit knows it: it is older."""
        self._older = max(self._older, operation)

    def compare(self, connection: Connection, verdict: Verdict) -> None:
        """Hold the journal against it: each operation once in both, and with the same state."""
        for operation in self._again[:MOST_PROBLEMS]:
            verdict.found(f"operation {operation} is intended twice in the audit")
        query = select(journal.c.id, journal.c.target, journal.c.state)
        streamed = connection.execution_options(yield_per=AT_ONCE).execute(query)
        for number, target, state in streamed:
            verdict.operations += 1
            told = self._get(number)
            if told == self._mark(target, state):
                self._set(number, 0)
            elif told:
                verdict.found(
                    f"operation {number}: the journal says {state} in {target}, the audit another"
                )
                self._set(number, 0)
            elif number > self._older:
                verdict.found(f"operation {number} is in the journal and not in the audit")
        for first, last in self._gone:
            for number in range(first, last + 1):
                self._set(number, 0)
        for page, marks in sorted(self._pages.items()):
            if not any(marks):
                continue
            for place, mark in enumerate(marks):
                if mark:
                    number = page * PAGE + place
                    verdict.found(f"operation {number} is in the audit and not in the journal")

    def _get(self, operation: int) -> int:
        page = self._pages.get(operation // PAGE)
        return page[operation % PAGE] if page else 0

    def _set(self, operation: int, mark: int) -> None:
        number, place = divmod(operation, PAGE)
        page = self._pages.get(number)
        if page is None:
            if not mark:
                return
            page = self._pages[number] = array("I", bytes(4 * PAGE))
        page[place] = mark

    def _mark(self, target: str, state: str) -> int:
        """Four octets that stand for a target and a state, never 0."""
        mark = self._marks.get((target, state))
        if mark is None:
            mark = self._marks[target, state] = crc32(f"{target}\n{state}".encode()) or 1
        return mark
