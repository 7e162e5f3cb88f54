"""A small Salto ProAccess Space: users, access levels, and the import jobs of both forms.

Built from the documented facts (access-systems.md, section 10) and from what public
connectors rely on (Tools4everBV/HelloID-Conn-Prov-Target-SaltoSpace: the layout of the
table, the meanings of Action, the unique name). Its nasty habits: answers come only when
the job runs; a taken row replaces all lists of its user and whatever was edited by hand;
the name (title, first and last name) must be unique, without regard to case; a refusal's
text repeats the person's name; an unknown level, or a list as long as its column (so
maybe cut), is refused and the user stays as before; a job can be slow (`pick`, `finish`).
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

LEVELS = ("FSK-ENTRE", "SKOLA-ENTRE", "STADSHUS", "zone:odd")
ZONES = ("Z-HAMN", "Z-SKOLA")
DOORS = ("D-101", "D-102")
DUPLICATE, UNKNOWN, CUT, NOBODY, DATES = 101, 102, 103, 104, 105
LISTS = {"ExtAccessLevelIDList": LEVELS, "ExtZoneIDList": ZONES, "ExtDoorIDList": DOORS}
ROOM = 1024

TABLE = """
CREATE TABLE "SaltoCardholders" (
    "ToBeProcessedBySalto" integer NOT NULL DEFAULT 1,
    "ProcessedDateTime" {when} NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "ErrorCode" integer NOT NULL DEFAULT 0,
    "ErrorMessage" varchar(512) NULL,
    "Action" integer NOT NULL DEFAULT 3,
    "ExtID" varchar(32) {collate} NOT NULL PRIMARY KEY,
    "dtActivation" {when} NOT NULL,
    "dtExpiration" {when} NULL,
    "FirstName" varchar(40) NULL,
    "LastName" varchar(50) NULL,
    "Dummy1" varchar(40) {collate} NULL,
    "Dummy2" varchar(40) {collate} NULL,
    "Dummy3" varchar(40) {collate} NULL,
    "Dummy4" varchar(40) {collate} NULL,
    "Dummy5" varchar(40) {collate} NULL,
    "PhoneNumber" varchar(50) NULL,
    "ExtZoneIDList" varchar(1024) NULL,
    "ExtDoorIDList" varchar(1024) NULL,
    "ExtAccessLevelIDList" varchar(1024) NULL,
    "Title" varchar(10) NULL,
    "office" {bit} NOT NULL DEFAULT {no},
    "AuditOpenings" {bit} NOT NULL DEFAULT {no},
    "CalendarID" integer NULL DEFAULT 0,
    "AutoKeyEdit.ROMCode" varchar(32) NULL,
    "PIN.Code" varchar(8) NULL
    {stamp}
)
"""
TYPES = {
    "sqlite": {"when": "datetime", "bit": "bit", "no": "0"},
    "postgresql": {"when": "timestamp", "bit": "boolean", "no": "false"},
}

Values = dict[str, Any]

# the product keeps local times, without a zone
BEGUN = datetime.fromisoformat("2020-01-01")


def now() -> datetime:
    return datetime.now(ZoneInfo("Europe/Stockholm")).replace(tzinfo=None)


@dataclass
class User:
    """A user as the product holds it."""

    name: str
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    activation: datetime | None = None
    expiration: datetime | None = None
    banned: bool = False
    key_cancelled: bool = False

    def opens(self, level: str) -> bool:
        begun = self.activation is None or self.activation <= now()
        ended = self.expiration is not None and self.expiration <= now()
        return begun and not ended and not self.banned and level in self.lists[next(iter(LISTS))]


def parts(listed: str | None) -> tuple[str, ...]:
    inner = (listed or "").removeprefix("{").removesuffix("}")
    return tuple(part for part in inner.split(",") if part)


class Product:
    """Its users by ExtID, and what it makes of one row."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.known = {name: set(ids) for name, ids in LISTS.items()}

    def take(self, row: Values) -> tuple[int, str | None]:
        """Make the user what *row* says; return the error code and its text."""
        ext_id, action = row["ExtID"], int(row.get("Action") or 3)
        user = self.users.get(ext_id)
        if action in (4, 8, 9, 10):
            if user is None:
                return NOBODY, f"There is no user {ext_id}"
            if action == 4:
                del self.users[ext_id]
            else:
                user.banned = {9: True, 10: False}.get(action, user.banned)
                user.key_cancelled = user.key_cancelled or action == 8
            return 0, None
        words = (row.get(name) for name in ("Title", "FirstName", "LastName"))
        name = " ".join(word for word in words if word)
        refusal = self._refusal(row, name)
        if refusal is None:
            user = self.users.setdefault(ext_id, User(name=name))
            user.name = name
            user.lists = {name: parts(row.get(name)) for name in LISTS}
            user.activation, user.expiration = row["dtActivation"], row.get("dtExpiration")
        return refusal or (0, None)

    def _refusal(self, row: Values, name: str) -> tuple[int, str] | None:
        others = (user for ext_id, user in self.users.items() if ext_id != row["ExtID"])
        if name and any(other.name.lower() == name.lower() for other in others):
            return DUPLICATE, f"The name {name} is used by another user"
        begin, end = row["dtActivation"], row.get("dtExpiration")
        if begin and end and end <= begin:
            return DATES, f"{name} would end before beginning"
        for column, known in self.known.items():
            if len(row.get(column) or "") >= ROOM:
                return CUT, f"The list of {name} may be cut"
            if unknown := set(parts(row.get(column))) - known:
                return UNKNOWN, f"{name}: unknown {sorted(unknown)}"
        return None


class Staging(Product):
    """The product with its job on a staging table; *url* is SQLite or PostgreSQL."""

    def __init__(self, url: str, *, stamp: bool = True, collate: str = "") -> None:
        super().__init__()
        self.url = url
        self.engine: Engine = create_engine(url, poolclass=NullPool)
        words = TYPES[self.engine.dialect.name]
        own = ', "IdsyncStamp" varchar(64) NULL' if stamp else ""
        with self.engine.begin() as connection:
            connection.execute(text(TABLE.format(**words, stamp=own, collate=collate)))

    # ── the job ─────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Take every flagged row, one after the other."""
        self.finish(self.pick())

    def pick(self) -> list[Values]:
        """Read the flagged rows, as a slow job does before it works."""
        return [row for row in self.rows() if row["ToBeProcessedBySalto"] == 1]

    def finish(self, picked: list[Values]) -> None:
        """Work on rows as they were picked, and set each one's flag by its key."""
        for row in picked:
            code, told = self.take(row)
            self.set(
                row["ExtID"],
                ToBeProcessedBySalto=0, ErrorCode=code, ErrorMessage=told,
                ProcessedDateTime=now(),
            )  # fmt: skip

    # ── hands on the table ──────────────────────────────────────────────────────────────

    def rows(self) -> list[Values]:
        with self.engine.connect() as connection:
            found = connection.execute(text('SELECT * FROM "SaltoCardholders" ORDER BY "ExtID"'))
            rows = [dict(row) for row in found.mappings()]
        for row in rows:  # SQLite gives what was written, as text
            for name in ("dtActivation", "dtExpiration", "ProcessedDateTime"):
                if isinstance(row[name], str):
                    row[name] = datetime.fromisoformat(row[name])
        return rows

    def row(self, ext_id: str) -> Values:
        [found] = [row for row in self.rows() if row["ExtID"] == ext_id]
        return found

    def add(self, ext_id: str, **values: Any) -> None:
        """Insert a row as another program does."""
        values = {"ExtID": ext_id, "dtActivation": BEGUN, **values}
        names = [f'"{name}"' for name in values]
        places = [f":p{number}" for number in range(len(values))]
        self._say(
            f'INSERT INTO "SaltoCardholders" ({", ".join(names)}) VALUES ({", ".join(places)})',
            *values.values(),
        )

    def set(self, ext_id: str, **values: Any) -> None:
        """Update a row as another program does."""
        sets = [f'"{name}" = :p{number}' for number, name in enumerate(values)]
        self._say(
            f'UPDATE "SaltoCardholders" SET {", ".join(sets)} WHERE "ExtID" = :p{len(values)}',
            *values.values(), ext_id,
        )  # fmt: skip

    def remove(self, ext_id: str) -> None:
        self._say('DELETE FROM "SaltoCardholders" WHERE "ExtID" = :p0', ext_id)

    def _say(self, sentence: str, *values: Any) -> None:
        written = [
            value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value
            for value in values
        ]
        if self.engine.dialect.name == "postgresql":
            written = list(values)
        with self.engine.begin() as connection:
            connection.execute(text(sentence), {f"p{n}": value for n, value in enumerate(written)})


class Dropped(Product):
    """The product with its job on a file; *answers* is what it leaves behind: see `run`."""

    def __init__(self, folder: Path, answers: str, encoding: str = "utf-8") -> None:
        super().__init__()
        self.state, self.drop = folder / "state.csv", folder / "in" / "users.csv"
        self.archive, self.status = folder / "done", folder / "in" / "answers.csv"
        self.answers, self.encoding = answers, encoding
        self.columns: list[str] = []  # by position, as the job was set up
        self.drop.parent.mkdir(exist_ok=True)
        self.archive.mkdir(exist_ok=True)
        self._runs = 0

    def run(self) -> None:
        """Take the file if there is one: take it away, keep it, or list the answers."""
        if not self.drop.exists():
            return
        self._runs += 1
        taken = self.archive / f"{self._runs}.csv"
        if self.answers == "status":
            self.answer(self.lines(self.drop))
            return
        self.drop.rename(taken)
        self.answer(self.lines(taken))
        if self.answers == "gone":
            taken.unlink()

    def lines(self, path: Path) -> list[Values]:
        """Return the rows of a file by position; its first line is skipped."""
        content = path.read_bytes().decode(self.encoding)
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=";", quotechar='"')
        rows = [dict(zip(self.columns, line, strict=True)) for line in list(reader)[1:]]
        for row in rows:
            for name in ("dtActivation", "dtExpiration"):
                row[name] = datetime.fromisoformat(row[name]) if row[name] else None  # type: ignore[assignment]  # a file's cell becomes a date
        return rows

    def answer(self, rows: list[Values]) -> None:
        answers = [(row["ExtID"], *self.take(row)) for row in rows]
        if self.answers != "status":
            return
        with self.status.open("w", encoding=self.encoding, newline="") as file:
            writer = csv.writer(file, delimiter=";")
            writer.writerow(("ExtID", "ErrorCode", "ErrorMessage"))
            writer.writerows(answers)

    def edit_state(self, ext_id: str, **cells: str) -> None:
        """Add to, or add, a row of idsync's own file by hand, its count of rows included."""
        with self.state.open(encoding="utf-8", newline="") as file:
            head, *rows, end = csv.reader(file, delimiter=";")
        for row in rows:
            if row[head.index("ExtID")] == ext_id:
                for name, cell in cells.items():
                    row[head.index(name)] = cell
                break
        else:
            known: Values = {"ToBeProcessedBySalto": "0", "ErrorCode": "0", "Action": "3"}
            known |= {"ExtID": ext_id, **cells}
            rows.append([known.get(name, "") for name in head])
        end[1] = str(len(rows))
        with self.state.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=";").writerows([head, *rows, end])

    def state_rows(self) -> list[Values]:
        with self.state.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter=";"))[:-1]
