"""A state with something of every kind in its audit, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from idsync.model import Outcome
from idsync.store import State
from idsync.store.audit_checkpoints import Checkpoints, read_checkpoints
from idsync.store.audit_records import START, Record, chained
from idsync.store.audit_signing import SigningKey, signing_key_in
from idsync.store.audit_verifying import Verdict, verify
from idsync.store.tables import audit, audit_head
from tests.plan.examples import NOW
from tests.store.test_journal import adds, takes

MINUTE = timedelta(minutes=1)
NOTHING = adds().clear()


@dataclass
class Site:
    """A state, with where its checkpoints are and the key that signs them."""

    state: State
    file: Path
    key: SigningKey
    now: datetime = NOW

    def operations(self, count: int, status: Any = "confirmed", target: str = "hall") -> list[int]:
        """Intend and settle *count* operations, each on a person of its own."""
        parts = [adds(key=f"n{i}") for i in range(count)]
        told = [(target, part["person_id"][0], part) for part in parts]
        numbers = self.state.journal.intend(1, told, self.now)
        for number in numbers:
            outcome = Outcome(status=status, reason="")
            self.state.journal.settle_part(number, outcome, NOTHING, self.now)
        return numbers

    def a_bit_of_everything(self) -> None:
        """Append something of most kinds, in two chains and that of the city."""
        state = self.state
        run = state.begin_run("sync", self.now)
        self.operations(3)
        self.operations(1, "refused", "annex")
        (number,) = state.journal.intend(run, [("annex", "id-1", takes())], self.now)
        state.journal.settle_part(number, Outcome(status="unknown"), NOTHING, self.now)
        state.journal.settle_part(number, Outcome(status="refused", reason="x"), takes(), self.now)
        state.orders.revoke("id-2", "ended", "hr", self.now)
        state.audit.note(self.now, Record(kind="configured", facts={"digest": "ab"}))
        state.end_run(run, "applied", {}, self.now)
        state.audit.witness()

    def verdict(self) -> Verdict:
        """Judge everything."""
        keys = [self.key.public]
        return verify(self.state.engine, read_checkpoints(self.file, keys), keys)

    def problems(self) -> list[str]:
        """Judge everything, and return what is wrong."""
        return self.verdict().problems

    def change(self, doing: Callable[[Connection], object]) -> None:
        """Do something to the database that idsync would never do."""
        with self.state.engine.begin() as connection:
            doing(connection)


def site_of(state: State, folder: Path) -> Site:
    """Return *state* with checkpoints in *folder*."""
    key = signing_key_in(folder / "audit.key")
    file = folder / "checkpoints"
    state.audit.controllers = {"hall": "kulturnämnden", "annex": "byggnämnden"}
    state.audit.witnessed_by(Checkpoints(file, key))
    return Site(state, file, key)


def rows_of(connection: Connection, table: Table = audit) -> list[dict[str, Any]]:
    """Return every row of a table, in the order of its key."""
    ordered = select(table).order_by(*table.primary_key.columns)
    return [dict(row._mapping) for row in connection.execute(ordered)]


def rewrite(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Put *rows* in the place of the whole audit, every hash and head made to fit."""
    connection.execute(audit.delete())
    heads: dict[str, tuple[int, bytes]] = {}
    for row in rows:
        number, previous = heads.get(row["controller"], (0, START))
        row["number"], row["previous"] = number + 1, previous
        row["hash"] = chained(
            previous, row["controller"], row["number"], row["at"], row["kind"], row["target"],
            row["person"], row["operation"], row["facts"], row["sealed"],
        )  # fmt: skip
        heads[row["controller"]] = (row["number"], row["hash"])
    connection.execute(insert(audit), rows)
    for controller, (number, hashed) in heads.items():
        connection.execute(
            update(audit_head)
            .where(audit_head.c.controller == controller)
            .values(number=number, hash=hashed)
        )
