"""The journal: every operation, written before it is sent and again when it is known."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from idsync.model import Outcome
from idsync.plan.brake import PAST
from idsync.plan.items import ITEMS, LEDGER, merged_ledger
from idsync.store.audit import Audit
from idsync.store.digests import digest_of, require_sound
from idsync.store.frames import Frames
from idsync.store.running import Mine
from idsync.store.tables import journal

OPEN = ("intent", "unknown")
DONE = ("confirmed", "submitted", "partly")
"""States whose items stand in the target: they make the ledger."""
FINAL = ("confirmed", "partly")
"""Of these, the ones that no later answer changes: they may be summed up."""

COUNTED = ("losing", "gaining", "both")
"""What a brake's window may find in an operation."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One write to one cardholder: what it was to do, and what is known of it."""

    id: int
    target: str
    person_id: str
    items: pl.DataFrame
    state: str
    reason: str
    intent_at: str


class Journal:
    """Operations and the ledger, which is nothing but the journal summed up."""

    def __init__(
        self,
        engine: Engine,
        frames: Frames,
        audit: Audit,
        noted: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._frames = frames
        self._audit = audit
        self._noted = noted
        self._mine = Mine()

    @contextmanager
    def only_while(self, mine: Mine) -> Iterator[None]:
        """Within it nothing is intended, sent or learnt once the run is not *mine*."""
        before, self._mine = self._mine, mine
        try:
            yield
        finally:
            self._mine = before

    def require_turn(self, connection: Connection) -> None:
        """Raise Unavailable where another run has taken over; until this commits none can."""
        self._mine.written(connection)

    def require_awake(self) -> None:
        """Raise Unavailable where this process has slept, and another run has taken over."""
        self._mine.sent()

    def intend(
        self, run: int, operations: Sequence[tuple[str, str, pl.DataFrame]], now: datetime
    ) -> list[int]:
        """Write down what is about to be sent (target, person, items); return the ids.

        When this returns, the intents survive a power cut.
        """
        rows = [
            {
                "run": run, "target": target, "person_id": person, "items": _packed(items),
                "state": "intent", "reason": "", "intent_at": now.isoformat(), "folded": False,
                "counted": _counted(items),
            }
            for target, person, items in operations
        ]  # fmt: skip
        with self._engine.begin() as connection:
            self.require_turn(connection)
            numbers = [
                connection.execute(
                    insert(journal).values(digest=_digest(row), **row).returning(journal.c.id)
                ).scalar_one()
                for row in rows
            ]
            self._audit.intended(connection, run, numbers, operations, now)
        self._noted()
        return numbers

    def settle_part(
        self, number: int, outcome: Outcome, standing: pl.DataFrame, now: datetime
    ) -> None:
        """Write down what became of an operation, and which of its items stand now.

        What stands counts for the ledger whatever the outcome: an operation that went
        half way has made grants that are idsync's own.
        """
        self.settle_parts([(number, outcome, standing)], now)

    def settle_parts(
        self, outcomes: Iterable[tuple[int, Outcome, pl.DataFrame]], now: datetime
    ) -> None:
        """Do as `settle_part` for several operations, all of them or none."""
        with self._engine.begin() as connection:
            for number, outcome, standing in outcomes:
                row = _settle(connection, number, outcome, standing, now)
                told = (row["state"], outcome.reason, standing)
                self._audit.settled(connection, number, row["target"], row["person_id"], *told, now)

    def unsettled(self) -> list[Operation]:
        """Return the operations of which nobody knows whether they happened, oldest first."""
        query = journal.select().where(journal.c.state.in_(OPEN)).order_by(journal.c.id)
        with self._engine.connect().execution_options(reads=True) as connection:
            return [_operation(row) for row in connection.execute(query)]

    def submitted(self) -> list[Operation]:
        """Return the operations that a system has taken and not answered yet, oldest first."""
        query = journal.select().where(journal.c.state == "submitted").order_by(journal.c.id)
        with self._engine.connect().execution_options(reads=True) as connection:
            return [_operation(row) for row in connection.execute(query)]

    def since(self, target: str, instant: datetime) -> list[Operation]:
        """Return the operations on *target* that were intended after *instant*, oldest first."""
        query = (
            journal.select()
            .where(journal.c.target == target, journal.c.intent_at > instant.isoformat())
            .order_by(journal.c.id)
        )
        with self._engine.connect().execution_options(reads=True) as connection:
            return [_operation(row) for row in connection.execute(query)]

    def ledger(self, target: str, columns: pl.Schema = LEDGER) -> pl.DataFrame:
        """Return what is idsync's own in *target*: *columns* of LEDGER."""
        query = (
            select(journal)
            .where(journal.c.target == target, journal.c.folded.is_(False))
            .where(journal.c.state.in_(DONE))
            .order_by(journal.c.id)
        )
        with self._engine.connect().execution_options(reads=True) as connection:
            done = [_told(row) for row in connection.execute(query)]
        if not done:
            return self._frames.load(f"ledger:{target}", columns)
        folded = self._frames.load(f"ledger:{target}", LEDGER)
        return _summed(folded, done).select(*columns).cast(columns)

    def fold(self, targets: Iterable[str]) -> None:
        """Sum the journal up in the ledger, so that it need not be read again.

        One transaction a target. What settles meanwhile stays for the next time.
        """
        for target in targets:
            with self._engine.begin() as connection:
                query = (
                    select(journal)
                    .where(journal.c.target == target, journal.c.folded.is_(False))
                    .where(journal.c.state.in_(FINAL))
                    .order_by(journal.c.id)
                )
                rows = connection.execute(query).all()
                if not rows:
                    continue
                # only what is summed up here: a revocation may settle beside this run
                done = [_told(row) for row in rows]
                ledger = _summed(self._frames.load(f"ledger:{target}", LEDGER), done)
                self._frames.save(connection, f"ledger:{target}", ledger)
                folded = [row.id for row in rows]
                for start in range(0, len(folded), 10_000):
                    some = folded[start : start + 10_000]
                    connection.execute(
                        update(journal).where(journal.c.id.in_(some)).values(folded=True)
                    )

    def adopt(self, connection: Connection, target: str, rows: pl.DataFrame) -> None:
        """Make the grants *rows* (of LEDGER) idsync's own, without a write to the target."""
        known = self._frames.load(
            f"ledger:{target}", LEDGER
        )  # what is not summed up yet comes later
        ledger = pl.concat([known, rows.select(*LEDGER)])
        identity = ["target", "key", "kind", "ref", "valid_from", "valid_to"]
        self._frames.save(
            connection, f"ledger:{target}", ledger.unique(identity, maintain_order=True)
        )

    def replace_ledger(self, connection: Connection, target: str, ledger: pl.DataFrame) -> None:
        """Let *ledger* be what is idsync's own in *target*, whatever the journal says of it."""
        self._frames.save(connection, f"ledger:{target}", ledger)
        known = (journal.c.target == target) & journal.c.state.in_(FINAL)
        connection.execute(update(journal).where(known).values(folded=True))

    def changed_since(self, since: datetime) -> pl.DataFrame:
        """Return PAST: whose access the brake counts as changed after *since*.

        One row a target, direction and person, at the last time. What was refused or never
        sent has changed nothing; what is unknown may have.
        """
        last = func.max(journal.c.intent_at)
        query = (
            select(journal.c.target, journal.c.counted, journal.c.person_id, last)
            .where(journal.c.counted.in_(COUNTED), journal.c.intent_at > since.isoformat())
            .where(journal.c.state != "refused")
            .group_by(journal.c.target, journal.c.counted, journal.c.person_id)
        )
        with self._engine.connect().execution_options(reads=True) as connection:
            rows = [tuple(row) for row in connection.execute(query)]
        columns = {**PAST, "at": pl.String()}
        found = pl.DataFrame(rows, schema=columns, orient="row")
        both = pl.col("direction") == "both"
        each = [
            found.filter(both | (pl.col("direction") == name)).with_columns(direction=pl.lit(name))
            for name in ("losing", "gaining")
        ]
        at = pl.col("at").str.to_datetime("%+", time_unit="us", time_zone="UTC")
        whose = ["target", "direction", "person_id"]
        return pl.concat(each).with_columns(at).group_by(whose).agg(pl.col("at").max())

    def forget(self, connection: Connection, target: str, rows: pl.DataFrame) -> None:
        """Take *rows* (of LEDGER) out of what is summed up: they are idsync's own no longer."""
        identity = ["key", "kind", "ref", "valid_from", "valid_to"]
        known = self._frames.load(f"ledger:{target}", LEDGER)
        kept = known.join(rows, on=identity, how="anti", nulls_equal=True)
        self._frames.save(connection, f"ledger:{target}", kept)

    def states(self, numbers: Iterable[int]) -> list[str]:
        """Return the states of the operations *numbers*, in no order."""
        query = select(journal.c.state).where(journal.c.id.in_(list(numbers)))
        with self._engine.connect().execution_options(reads=True) as connection:
            return [state for (state,) in connection.execute(query)]

    def of_person(self, person_id: str) -> list[Operation]:
        """Return every operation on one person, oldest first."""
        query = journal.select().where(journal.c.person_id == person_id).order_by(journal.c.id)
        with self._engine.connect().execution_options(reads=True) as connection:
            return [_operation(row) for row in connection.execute(query)]


def _summed(ledger: pl.DataFrame, done: Sequence[str]) -> pl.DataFrame:
    """Add operations up in order; those on different cardholders do not wait for each other.

    *done* are their items as texts: all of them are read at once.
    """
    items = _unpacked("".join(done))
    keys = iter(items["key"].to_list())
    seen: set[str] = set()
    begin = end = 0
    for text in done:
        own = set(islice(keys, text.count("\n")))
        if own & seen:
            ledger = merged_ledger(ledger, items[begin:end])
            seen, begin = set(), end
        seen |= own
        end += text.count("\n")
    return merged_ledger(ledger, items[begin:end])


def _settle(
    connection: Connection, number: int, outcome: Outcome, standing: pl.DataFrame, now: datetime
) -> dict[str, Any]:
    """Write down the outcome; return the whole row as it stands then."""
    settled = outcome.status
    values = {"state": settled, "reason": outcome.reason, "outcome_at": now.isoformat()}
    # of what is unknown, all that was intended is remembered
    if settled == "refused" or (settled != "unknown" and standing.height):
        values["items"] = _packed(standing)
    if settled == "refused" and not standing.is_empty():
        values["state"] = "partly"
    mine = journal.c.id == number
    row = dict(connection.execute(select(journal).where(mine).with_for_update()).mappings().one())
    values["digest"] = _digest(row | values)
    connection.execute(update(journal).where(mine).values(values))
    return row | values


SAID = (
    "run", "target", "person_id", "items", "state", "reason", "intent_at", "outcome_at", "counted",
)  # fmt: skip
"""What the digest of an operation is of. Whether it is summed up is told by the ledger too."""


def _digest(row: Mapping[str, Any]) -> str:
    return digest_of(*(row.get(name) for name in SAID))


def _counted(items: pl.DataFrame) -> str:
    """Which way the brake counts an operation; not what is confirmed, approved or announced."""
    told = items.select("effect", "confirmed", "exempt").iter_rows()
    effects = {effect for effect, confirmed, exempt in told if not (confirmed or exempt)}
    found = effects & {"losing", "gaining"}
    return "both" if len(found) > 1 else next(iter(found), "")


def _packed(items: pl.DataFrame) -> str:
    return items.write_ndjson()


def _unpacked(text: str) -> pl.DataFrame:
    return pl.read_ndjson(io.BytesIO(text.encode()), schema=ITEMS)


def _told(row: Row[Any]) -> str:
    """The items of an operation as they are written: each ends its line, and nothing else does."""
    require_sound(row.digest, *(row._mapping[name] for name in SAID))
    return str(row.items)


def _operation(row: Row[Any]) -> Operation:
    return Operation(
        id=row.id, target=row.target, person_id=row.person_id, items=_unpacked(_told(row)),
        state=row.state, reason=row.reason, intent_at=row.intent_at,
    )  # fmt: skip
