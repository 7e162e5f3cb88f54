"""A vendor's staging tables, and the job that imports them: real tables in a real database.

`RowsDatabase` keeps rights as rows with dates, hung on the person's own number, and shows
cards. `ListDatabase` keeps rights joined in one column and has a job that answers later,
row by row, in a status column. What the system itself believes is in `doors`; tests look
there, at the tables by plain SQL, or through the adapter.

What a staging table's import does is as the documented ones do it (control columns with
codes, an error text, rows that it refuses); the names are made up and awkward on purpose.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from idsync.model import Cardholder

RIGHTS = ("FSK-ENTRE", "SKOLA-ENTRE", "STADSHUS Å")
ALARMS = ("LARM-FSK",)

ROWS = """
CREATE TABLE "Personer" (
    "Id" INTEGER PRIMARY KEY, "Anstnr" TEXT UNIQUE, "Visat namn" TEXT, "Förnamn" TEXT,
    "Efternamn" TEXT, "E-post" TEXT, "Förvaltning" TEXT, "Spärr" INTEGER NOT NULL DEFAULT 0,
    "Kort ""nr"" 1" TEXT, "Läge 1" TEXT, "Kort 2" TEXT, "Läge 2" TEXT, "Kort 3" TEXT, "Läge 3" TEXT,
    "Källa" TEXT NOT NULL, "Foto" BLOB, "order" TEXT DEFAULT 'av leverantören'
);
CREATE TABLE "Behörigheter" (
    "Rad" INTEGER PRIMARY KEY, "Person" INTEGER NOT NULL, "Namn" TEXT NOT NULL,
    "Typ" TEXT NOT NULL, "Från" TEXT, "Till" TEXT, "Av" TEXT, "Schema" TEXT DEFAULT 'dygnet runt'
)
"""

LIST = """
CREATE TABLE import (
    anstnr VARCHAR(32) UNIQUE, namn VARCHAR(40) NOT NULL DEFAULT '', grupper VARCHAR(60),
    aktiv VARCHAR(1) NOT NULL, behandla INTEGER NOT NULL, feltext TEXT, atgard INTEGER,
    anteckning TEXT DEFAULT 'rör ej'
)
"""


class Database:
    """A database file that somebody else owns; *run* takes "?" for each value."""

    schema = ""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.url = f"sqlite:///{file}"
        self.script(self.schema)

    def script(self, text: str) -> None:
        with closing(sqlite3.connect(self.file)) as connection:
            connection.executescript(text)

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def description(self, **more: Any) -> dict[str, Any]:
        """Return the table of connectors.toml that describes this database."""
        raise NotImplementedError


class RowsDatabase(Database):
    """Rights as rows of their own."""

    schema = ROWS

    def description(self, **more: Any) -> dict[str, Any]:
        return {
            "url": self.url,
            "table": "Personer",
            "columns": {
                "key": "Anstnr", "native_id": "Id", "status": "Spärr",
                "display_name": "Visat namn", "given_name": "Förnamn", "family_name": "Efternamn",
                "mail": "E-post", "department": "Förvaltning",
            },
            "values": {
                "status": {"0": "active", "1": "suspended", "2": "suspended"},
                "kind": {"D": "access", "L": "alarm", "U": "competency", "P": ""},
                "state": {"A": "active", "S": "suspended", "F": "lost"},
            },
            "new_row": {"Källa": "HR"},
            "cards": [
                {"number": 'Kort "nr" 1', "state": "Läge 1"},
                {"number": "Kort 2", "state": "Läge 2"},
                {"number": "Kort 3", "state": "Läge 3"},
            ],
            "rights": {
                "table": "Behörigheter",
                "by": "native_id",
                "origin": "IDSYNC",
                "columns": {
                    "key": "Person", "ref": "Namn", "kind": "Typ", "valid_from": "Från",
                    "valid_to": "Till", "origin": "Av",
                },
            },
            "dates": {
                "format": "%Y-%m-%dT%H:%M:%SZ", "timezone": "UTC", "end_inclusive": False,
            },
        } | more  # fmt: skip

    def by_hand(self, wanted: Cardholder) -> None:
        """Write as a local administrator would, in the system's own window."""
        found = self.run('SELECT "Id" FROM "Personer" WHERE "Anstnr" = ?', wanted.key)
        if not found:
            statement = (
                'INSERT INTO "Personer" ("Anstnr", "Visat namn", "Källa") '
                "VALUES (?, ?, 'reception') RETURNING \"Id\""
            )
            found = self.run(statement, wanted.key, wanted.display_name)
        [(person,)] = found
        for grant in wanted.grants:
            self.run(
                'INSERT INTO "Behörigheter" ("Person", "Namn", "Typ", "Från", "Av") '
                "VALUES (?, ?, 'D', '', 'Anna')",
                person, grant.ref,
            )  # fmt: skip
        for card in wanted.credentials:
            [slots] = self.run(
                'SELECT "Kort ""nr"" 1", "Kort 2", "Kort 3" FROM "Personer" WHERE "Id" = ?', person
            )
            number = next(at for at, held in enumerate(slots) if not held) + 1
            name = '"Kort ""nr"" 1"' if number == 1 else f'"Kort {number}"'
            self.run(
                f'UPDATE "Personer" SET {name} = ?, "Läge {number}" = \'A\' WHERE "Id" = ?',
                card.number, person,
            )  # fmt: skip


WAITING, DONE, ERROR, TAKEN = 1, 0, 9, 2


class ListDatabase(Database):
    """Rights joined in one column; a job answers later, and leaves what it refused as it is."""

    schema = LIST

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.doors: dict[str, set[str]] = {}
        self.refuses: set[str] = set()  # keys whose next processing ends in an error

    def description(self, **more: Any) -> dict[str, Any]:
        return {
            "url": self.url,
            "table": "import",
            "columns": {"key": "anstnr", "display_name": "namn", "status": "aktiv"},
            "values": {"status": {"J": "active", "N": "suspended"}},
            "lists": {"access": {"column": "grupper", "separator": ";", "most": 60}},
            "lengths": {"key": 32, "display_name": 40},
            "answer": {
                "column": "behandla", "hours": 26,
                "codes": {"1": "waiting", "2": "taken", "0": "done", "9": "refused"},
            },
            "every_write": {"atgard": "3"},
            "characters": "latin-1",
        } | more  # fmt: skip

    def by_hand(self, wanted: Cardholder) -> None:
        """Write as a local administrator would: what is typed in is at once in force."""
        found = self.run("SELECT grupper FROM import WHERE anstnr = ?", wanted.key)
        if not found:
            self.run(
                "INSERT INTO import (anstnr, namn, grupper, aktiv, behandla) "
                "VALUES (?, ?, ?, 'J', 0)",
                wanted.key, wanted.display_name or "", ";".join(g.ref for g in wanted.grants),
            )  # fmt: skip
            return
        listed = [found[0][0], *(grant.ref for grant in wanted.grants)]
        self.run(
            "UPDATE import SET grupper = ? WHERE anstnr = ?",
            ";".join(filter(None, listed)), wanted.key,
        )  # fmt: skip

    def take(self) -> list[tuple[Any, ...]]:
        """Begin a run of the job: the rows to process are marked, and remembered as they are."""
        rows = self.run("SELECT anstnr, grupper, aktiv FROM import WHERE behandla = ?", WAITING)
        self.run("UPDATE import SET behandla = ? WHERE behandla = ?", TAKEN, WAITING)
        return rows

    def process(self, between: Callable[[], None] = lambda: None) -> None:
        """Run the whole job; *between* happens after the rows were taken."""
        rows = self.take()
        between()
        for key, groups, active in rows:
            if key in self.refuses:
                self.refuses.discard(key)
                self.answer(key, ERROR, f"Fel vid import av {key}")
                continue
            self.doors[key] = {each for each in (groups or "").split(";") if each and active == "J"}
            self.answer(key, DONE, "")

    def answer(self, key: str, code: int, text: str) -> None:
        self.run(
            "UPDATE import SET behandla = ?, feltext = ? WHERE anstnr = ? AND behandla = ?",
            code, text, key, TAKEN,
        )  # fmt: skip
