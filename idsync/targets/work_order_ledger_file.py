"""The file of a ledger: its tables, how it is made and opened, and what a row of it says."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from idsync.errors import Unavailable
from idsync.targets.work_order_tasks import Line, Order, Task, unreadable

OUR_FILE = 0x1D50DE12  # SQLite's application_id: tells our file from any other database
FORM = 1  # SQLite's user_version: the form of the tables below
BUSY_S = 5.0

TABLES = """
CREATE TABLE ledger (id TEXT NOT NULL);
CREATE TABLE person (alias INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE);
CREATE TABLE orders (
  number INTEGER PRIMARY KEY AUTOINCREMENT, urgent INTEGER NOT NULL, made_at TEXT NOT NULL,
  deadline TEXT NOT NULL, whole_code TEXT NOT NULL DEFAULT '', digests TEXT NOT NULL DEFAULT '');
CREATE TABLE line (
  order_number INTEGER NOT NULL REFERENCES orders, number INTEGER NOT NULL,
  person INTEGER NOT NULL REFERENCES person, code TEXT NOT NULL, action TEXT NOT NULL,
  ref TEXT NOT NULL, medium TEXT NOT NULL, card_state TEXT NOT NULL, valid_from TEXT,
  valid_to TEXT, name TEXT, cards TEXT NOT NULL, replaces_order INTEGER, replaces_line INTEGER,
  replaced INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'open',
  reason TEXT NOT NULL DEFAULT '', done_on TEXT, answered_by TEXT, answered_at TEXT,
  PRIMARY KEY (order_number, number)) WITHOUT ROWID;
CREATE INDEX line_of_person ON line (person, order_number, number);
CREATE INDEX line_open ON line (order_number) WHERE state = 'open' AND replaced = 0;
CREATE TABLE reminder (
  number INTEGER PRIMARY KEY AUTOINCREMENT, order_number INTEGER NOT NULL REFERENCES orders,
  made_at TEXT NOT NULL, published INTEGER NOT NULL DEFAULT 0);
CREATE TABLE answer_file (name TEXT PRIMARY KEY, stamp TEXT NOT NULL, wrong TEXT NOT NULL);
"""

LINES = (
    "SELECT order_number, line.number, alias, code, key, action, ref, medium, card_state, "
    "valid_from, valid_to, name, cards, replaces_order, replaces_line, replaced, state, reason, "
    "done_on, urgent FROM line JOIN person ON person.alias = line.person "
    "JOIN orders ON orders.number = order_number"
)
ORDERS = "SELECT orders.number, urgent, orders.made_at, deadline FROM orders"
AWAITED = (
    "EXISTS (SELECT 1 FROM line WHERE order_number = orders.number "
    "AND state = 'open' AND replaced = 0)"
)
NOT_REMINDED = (
    "NOT EXISTS (SELECT 1 FROM reminder "
    "WHERE order_number = orders.number AND reminder.made_at > ?)"
)
DUE = f"{ORDERS} WHERE deadline < ? AND {AWAITED} AND {NOT_REMINDED}"


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the ledger at *path*, which must be there.

    Raises:
        Unavailable: it does not answer, is damaged, or is of a newer form.
    """
    try:
        connection = sqlite3.connect(
            path.resolve().as_uri() + "?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None
        )
    except sqlite3.Error as error:
        raise unreadable("the ledger of work orders", error) from None
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        [ours] = connection.execute("PRAGMA application_id").fetchone()
        [form] = connection.execute("PRAGMA user_version").fetchone()
        if (ours, form) != (OUR_FILE, FORM):
            raise Unavailable(
                "the ledger of work orders is another file, or of another version of idsync: "
                "check `ledger`, or use the version that made it"
            )
        yield connection
    except sqlite3.Error as error:
        raise unreadable("the ledger of work orders", error) from None
    finally:
        connection.close()


def create(path: Path) -> None:
    """Make an empty ledger at *path*, whole or not at all; only its owner may read it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(draft)
        try:
            connection.executescript(TABLES)
            connection.execute("INSERT INTO ledger VALUES (?)", [secrets.token_hex(8)])
            connection.execute(f"PRAGMA application_id = {OUR_FILE}")
            connection.execute(f"PRAGMA user_version = {FORM}")
            connection.commit()
        finally:
            connection.close()
        os.link(draft, path)  # never over another that was made meanwhile
    except FileExistsError:
        pass
    except (OSError, sqlite3.Error) as error:
        raise unreadable("the ledger of work orders", error) from None
    finally:
        draft.unlink(missing_ok=True)


def line_of(row: tuple[Any, ...]) -> Line:
    """Return the line that a row of LINES says."""
    (
        order, number, alias, code, key, action, ref, medium, card_state, valid_from, valid_to,
        name, cards, replaces_order, replaces_line, replaced, state, reason, done_on,
        urgent,
    ) = row  # fmt: skip
    task = Task(
        key=key, action=action, ref=ref, medium=medium, card_state=card_state, name=name,
        urgent=bool(urgent),
        valid_from=time_of(valid_from) if valid_from else None,
        valid_to=time_of(valid_to) if valid_to else None,
        cards=tuple(cards.split("\n")) if cards else (),
    )  # fmt: skip
    return Line(
        order=order, number=number, alias=f"P{alias}", code=code, task=task,
        replaces=(replaces_order, replaces_line) if replaces_order else None,
        replaced=bool(replaced), state=state, reason=reason,
        done_on=date.fromisoformat(done_on) if done_on else None,
    )  # fmt: skip


def order_of(row: tuple[Any, ...]) -> Order:
    """Return the order that a row of ORDERS says."""
    return Order(
        number=row[0], urgent=bool(row[1]), made_at=time_of(row[2]), deadline=time_of(row[3])
    )


def time_of(text: str) -> datetime:
    """Return an instant as it is stored."""
    return datetime.fromisoformat(text)


def stored(instant: datetime | None) -> str | None:
    """Return an instant as it is to be stored: UTC, so that a later one is a later text."""
    return instant.isoformat() if instant else None
