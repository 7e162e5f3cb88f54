"""The ledger of one landlord's orders: an SQLite file that is written before any document is.

A number is given by the ledger, in the transaction that writes the lines, and SQLite's
AUTOINCREMENT never gives it again. Documents are made from the ledger, so what a crash
left half written is written again under the same number and with the same lines.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

from idsync.errors import Incomplete, Unavailable
from idsync.targets.work_order_ledger_file import (
    AWAITED,
    DUE,
    LINES,
    ORDERS,
    connected,
    line_of,
    order_of,
    stored,
    time_of,
)
from idsync.targets.work_order_tasks import Line, Order, Person, Reminder, Task, Wrong, people_of

Code = Callable[[int, int, Task | None], str]
"""Makes the code by which a line (0: the whole order) is acknowledged."""


@contextmanager
def opened(path: Path) -> Iterator[Ledger]:
    """Open the ledger at *path*, which must be there.

    Raises:
        Unavailable: it does not answer, is damaged, or is of another form.
    """
    with connected(path) as connection:
        yield Ledger(connection)


class Ledger:
    """One open ledger. What belongs together is written in one `transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ask = connection.execute

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything, or nothing."""
        self._ask("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._ask("ROLLBACK")
            raise
        self._ask("COMMIT")

    @contextmanager
    def part(self) -> Iterator[None]:
        """Within a transaction: undo what is done here if it raises."""
        self._ask("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._ask("ROLLBACK TO part")
            raise
        finally:
            self._ask("RELEASE part")

    # ── reading ─────────────────────────────────────────────────────────────────────────

    @property
    def id(self) -> str:
        """What tells this ledger from any other."""
        [name] = self._ask("SELECT id FROM ledger").fetchone()
        return str(name)

    @property
    def highest(self) -> int:
        """The highest number of an order that was ever given."""
        [number] = self._ask(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'orders'"
        ).fetchone()
        return int(number)

    def everybody(self) -> list[Person]:
        """Return everybody, as of one moment, after the file has been found sound."""
        [sound] = self._ask("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise Unavailable("the ledger of work orders is damaged: restore it")
        self._ask("BEGIN")
        try:
            found = people_of(map(line_of, self._ask(f"{LINES} ORDER BY line.person, 1, 2")))
            [count] = self._ask("SELECT count(*) FROM person").fetchone()
        finally:
            self._ask("ROLLBACK")
        if len(found) != count:
            raise Incomplete("the ledger of work orders has people without orders: restore it")
        return found

    def person(self, key: str) -> Person | None:
        """Return the person with exactly this key, or None."""
        found = people_of(map(line_of, self._ask(f"{LINES} WHERE key = ? ORDER BY 1, 2", [key])))
        return found[0] if found else None

    def lines(self, order: int) -> list[Line]:
        """Return the lines of an order."""
        return [
            line_of(row) for row in self._ask(f"{LINES} WHERE order_number = ? ORDER BY 2", [order])
        ]

    def order(self, number: int) -> Order | None:
        """Return the order with this number, or None."""
        row = self._ask(f"{ORDERS} WHERE number = ?", [number]).fetchone()
        return order_of(row) if row else None

    def awaited(self) -> list[tuple[Order, int]]:
        """Return the orders that have lines without an answer, with how often each was reminded."""
        asked = ORDERS.replace(
            " FROM", ", (SELECT count(*) FROM reminder WHERE order_number = orders.number) FROM"
        )
        rows = self._ask(f"{asked} WHERE {AWAITED} ORDER BY 1").fetchall()
        return [(order_of(row), row[4]) for row in rows]

    def awaits(self, key: str) -> bool:
        """Whether any line of a person awaits an answer."""
        person = self.person(key)
        return person is not None and any(line.open for line in person.lines)

    def whole_code(self, order: int) -> str:
        """Return the code by which a whole order is acknowledged; "" for an unknown one."""
        row = self._ask("SELECT whole_code FROM orders WHERE number = ?", [order]).fetchone()
        return str(row[0]) if row else ""

    # ── making orders ───────────────────────────────────────────────────────────────────

    def add_order(
        self, tasks: Sequence[Task], *, urgent: bool, made_at: datetime, deadline: datetime,
        code: Code,
    ) -> int:  # fmt: skip
        """Write an order of *tasks* under the next number; older lines on the same are replaced."""
        number = self._ask(
            "INSERT INTO orders (urgent, made_at, deadline) VALUES (?, ?, ?)",
            [urgent, made_at.isoformat(), deadline.isoformat()],
        ).lastrowid
        assert number is not None  # noqa: S101 - SQLite gives one for every row that is added
        self._ask(
            "UPDATE orders SET whole_code = ? WHERE number = ?", [code(number, 0, None), number]
        )
        for place, task in enumerate(tasks, 1):
            self._add_line(number, place, task, code(number, place, task))
        return number

    def _add_line(self, order: int, place: int, task: Task, code: str) -> None:
        before = self.person(task.key)
        old = before.standing.get(task.item) if before else None
        replaces = old if old and (old.open or old.amiss) else None
        if before is None:
            self._ask("INSERT INTO person (key) VALUES (?)", [task.key])
        if replaces:
            self._ask(
                "UPDATE line SET replaced = 1 WHERE order_number = ? AND number = ?",
                [replaces.order, replaces.number],
            )
        self._ask(
            "INSERT INTO line (order_number, number, person, code, action, ref, medium, card_state,"
            " valid_from, valid_to, name, cards, replaces_order, replaces_line)"
            " VALUES (?, ?, (SELECT alias FROM person WHERE key = ?),"
            " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                order, place, task.key, code, task.action, task.ref, task.medium, task.card_state,
                stored(task.valid_from), stored(task.valid_to), task.name, "\n".join(task.cards),
                replaces.order if replaces else None, replaces.number if replaces else None,
            ],
        )  # fmt: skip

    def unpublished(self) -> list[Order]:
        """Return the orders whose documents may not all be there."""
        return [
            order_of(row) for row in self._ask(f"{ORDERS} WHERE digests = '' ORDER BY 1").fetchall()
        ]

    def published(self, order: int, digests: str) -> None:
        """Note that all documents of an order are written, and how they were."""
        self._ask("UPDATE orders SET digests = ? WHERE number = ?", [digests, order])

    def digests(self, order: int) -> str:
        """Return what `published` noted."""
        [found] = self._ask("SELECT digests FROM orders WHERE number = ?", [order]).fetchone()
        return str(found)

    # ── reminders ───────────────────────────────────────────────────────────────────────

    def due(self, now: datetime, not_since: datetime) -> bool:
        """Whether `remind` would write any."""
        return bool(self._due(now, not_since))

    def _due(self, now: datetime, not_since: datetime) -> list[int]:
        rows = self._ask(f"{DUE} ORDER BY 1", [now.isoformat(), not_since.isoformat()])
        return [row[0] for row in rows]

    def remind(self, now: datetime, not_since: datetime) -> None:
        """Write a reminder for each overdue order that got none after *not_since*."""
        for number in self._due(now, not_since):
            self._ask(
                "INSERT INTO reminder (order_number, made_at) VALUES (?, ?)",
                [number, now.isoformat()],
            )

    def unsent_reminders(self) -> list[Reminder]:
        """Return the reminders whose documents may not be there."""
        rows = self._ask(
            "SELECT orders.number, urgent, orders.made_at, deadline, reminder.number, "
            "reminder.made_at FROM reminder JOIN orders ON orders.number = order_number "
            "WHERE published = 0 ORDER BY reminder.number"
        ).fetchall()
        return [
            Reminder(number=row[4], order=order_of(row), made_at=time_of(row[5])) for row in rows
        ]

    def sent(self, reminder: int) -> None:
        """Note that the document of a reminder is written."""
        self._ask("UPDATE reminder SET published = 1 WHERE number = ?", [reminder])

    # ── answers ─────────────────────────────────────────────────────────────────────────

    def answer(
        self, line: Line, *, done: bool, reason: str, on: date, by: str, at: datetime
    ) -> None:
        """Note what became of a line; the same answer twice is one.

        Raises:
            Wrong: it was acknowledged as done before, and now it could not be done.
        """
        if line.state in ("done", "overtaken"):
            if not done:
                raise Wrong(f"order {line.order} line {line.number} was done, says an older answer")
            return
        self._ask(
            "UPDATE line SET state = ?, reason = ?, done_on = ?, answered_by = ?, answered_at = ? "
            "WHERE order_number = ? AND number = ?",
            ["done" if done else "refused", reason, on.isoformat(), by, at.isoformat(),
             line.order, line.number],
        )  # fmt: skip
        if done:
            self._look_for_overtaking(line)

    def _look_for_overtaking(self, line: Line) -> None:
        """Tell when a line was carried out although a newer one, done before, had replaced it.

        Days are all that is known. On one and the same day the answer that came last decides.
        """
        person = self.person(line.task.key)
        newest = person.standing[line.task.item] if person else line
        if not person or newest.state != "done" or newest.done_on is None:
            return
        for older in person.lines:
            other = older.task.item == newest.task.item and older.task.value != newest.task.value
            if not (other and older.replaced and older.state == "done" and older.done_on):
                continue
            answered_last = older.order == line.order and older.number == line.number
            if older.done_on > newest.done_on or (
                answered_last and older.done_on == newest.done_on
            ):
                self._ask(
                    "UPDATE line SET state = 'overtaken' WHERE order_number = ? AND number = ?",
                    [newest.order, newest.number],
                )

    def aliases(self) -> set[str]:
        """Return the alias of everybody who ever stood in an order."""
        return {f"P{alias}" for [alias] in self._ask("SELECT alias FROM person")}

    def card_holders(self) -> dict[str, str | None]:
        """Return the alias of the one person for whom a card was ever ordered; None: of several."""
        rows = self._ask(
            "SELECT ref, min(person), count(DISTINCT person) FROM line "
            "WHERE action IN ('add_card', 'block_card', 'return_card') GROUP BY ref"
        )
        return {ref: f"P{alias}" if count == 1 else None for ref, alias, count in rows}

    def answer_files(self) -> dict[str, tuple[str, str]]:
        """Return the stamp of every answer file that was read, and what was wrong with it."""
        rows = self._ask("SELECT name, stamp, wrong FROM answer_file ORDER BY name")
        return {name: (stamp, wrong) for name, stamp, wrong in rows}

    def note_answer_file(self, name: str, stamp: str, wrong: str) -> None:
        """Note that a file was read as it is now."""
        self._ask("INSERT OR REPLACE INTO answer_file VALUES (?, ?, ?)", [name, stamp, wrong])

    def forget_answer_file(self, name: str) -> None:
        """Forget a file that is no longer there."""
        self._ask("DELETE FROM answer_file WHERE name = ?", [name])
