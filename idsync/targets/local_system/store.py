"""The file of the local access system: its records, its tables, how it is made and opened."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from idsync.model import ATTRIBUTES, CredentialState, GrantKind, HolderStatus

OUR_FILE = 0x1D59C0DE  # SQLite's application_id: tells our file from any other database
BUSY_MS = 5000

Text = Annotated[str, Field(min_length=1)]


class SystemDown(Exception):
    """The system cannot answer: no file, a damaged file, a busy or a full disk."""


class ShortAnswer(Exception):
    """The system holds more than it could hand out."""


class NotAllowed(Exception):
    """The system will not do this one thing."""


class BadContent(Exception):
    """The file with the initial content is not what it should be."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class CardRecord(_Record):
    """A card, tag, mobile key or PIN."""

    id: int = 0
    number: Text
    medium: Text = "card"
    state: CredentialState = "active"
    state_reason: str = ""


class GrantRecord(_Record):
    """One right given to one cardholder, from and until (UTC, whole seconds), and by whom."""

    id: int = 0
    ref: Text
    kind: GrantKind = "access"
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    granted_by: str = ""
    note: str = ""


class HolderRecord(_Record):
    """A cardholder with everything it holds; with nothing but credentials, cards of nobody."""

    key: Text | None
    native_id: str = ""
    display_name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    mail: str | None = None
    department: str | None = None
    status: HolderStatus = "active"
    credentials: list[CardRecord] = []
    grants: list[GrantRecord] = []

    @property
    def is_nobody(self) -> bool:
        """Whether this is not a cardholder, but cards that nobody holds."""
        names = any(getattr(self, name) for name in ATTRIBUTES)
        return self.key is None and not (self.native_id or names or self.grants)


def whole_seconds(instant: datetime | None) -> datetime | None:
    """Return *instant* in UTC as the system keeps it: to the second, rounded down."""
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise NotAllowed("an instant without a time zone: give it one")
    return instant.astimezone(UTC).replace(microsecond=0)


# ── tables ──────────────────────────────────────────────────────────────────────────────

# A card number is not unique: by history it may stand on two people. Nor is a grant: the
# same right may be given twice, by different operators or for different times.
SCHEMA = f"""
PRAGMA application_id = {OUR_FILE};
PRAGMA foreign_keys = ON;
CREATE TABLE holder (
    native_id TEXT PRIMARY KEY CHECK (native_id <> ''),
    key TEXT UNIQUE CHECK (key <> ''),
    {" ".join(f"{name} TEXT NOT NULL DEFAULT ''," for name in ATTRIBUTES)}
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended'))
) WITHOUT ROWID;
CREATE TABLE card (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    holder TEXT REFERENCES holder ON DELETE SET NULL,
    number TEXT NOT NULL CHECK (number <> ''), medium TEXT NOT NULL,
    state TEXT NOT NULL, state_reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX card_of_holder ON card (holder);
CREATE INDEX card_by_number ON card (number);
CREATE TABLE catalogue (
    kind TEXT NOT NULL, ref TEXT NOT NULL CHECK (ref <> ''),
    PRIMARY KEY (kind, ref)
) WITHOUT ROWID;
CREATE TABLE grants (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    holder TEXT NOT NULL REFERENCES holder ON DELETE CASCADE,
    kind TEXT NOT NULL, ref TEXT NOT NULL,
    valid_from TEXT, valid_to TEXT,
    granted_by TEXT NOT NULL, note TEXT NOT NULL DEFAULT '',
    FOREIGN KEY (kind, ref) REFERENCES catalogue
);
CREATE INDEX grants_of_holder ON grants (holder);
CREATE TABLE event (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL, by TEXT NOT NULL, what TEXT NOT NULL,
    native_id TEXT NOT NULL, detail TEXT NOT NULL
);
"""


def _json_of(record: type[_Record], table: str) -> str:
    pairs = ", ".join(f"'{name}', {table}.{name}" for name in record.model_fields)
    return f"json_object({pairs})"


def _json_list(record: type[_Record], table: str) -> str:
    """Return the query for the rows of *table* that a holder has, oldest first, as JSON."""
    rows = f"SELECT * FROM {table} WHERE holder = holder.native_id ORDER BY id"  # noqa: S608
    return f"(SELECT json_group_array({_json_of(record, table)}) FROM ({rows}) {table})"  # noqa: S608


COUNTS = """
SELECT (SELECT count(*) FROM holder), (SELECT count(*) FROM card), (SELECT count(*) FROM grants)
"""
HOLDERS = f"""
SELECT native_id, key, {", ".join(ATTRIBUTES)}, status,
{_json_list(CardRecord, "card")}, {_json_list(GrantRecord, "grants")} FROM holder
"""  # noqa: S608 - made of names that stand in this file
CARDS_OF_NOBODY = f"""
SELECT {_json_of(CardRecord, "card")} FROM card WHERE holder IS NULL ORDER BY id
"""  # noqa: S608 - made of names that stand in this file


# ── the file ────────────────────────────────────────────────────────────────────────────


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection to the file *path*, which must be there; it is never made here."""
    address = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(address, uri=True, isolation_level=None)
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def open_file(path: Path) -> sqlite3.Connection:
    """Return a connection to the system's file *path*.

    Raises:
        SystemDown: it is some other file; SQLite takes an empty file for an empty database.
    """
    connection = connect(path)
    try:
        if connection.execute("PRAGMA application_id").fetchone() != (OUR_FILE,):
            raise SystemDown(f"{path} is not the file of a local access system: check path")
    except BaseException:
        connection.close()
        raise
    return connection


def create_file(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Make the file whole under another name, then give it its own; never replace one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        with closing(connect(draft)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            fill(connection)
        path.hardlink_to(draft)
    except FileExistsError:
        return  # somebody else was first, and theirs is as good
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power cut could take the name away again
    finally:
        os.close(folder)


def lines(path: Path) -> Iterator[tuple[int, HolderRecord]]:
    """Yield the records of the NDJSON file *path* with their line numbers.

    Raises:
        BadContent: no such file, or a line that is not a record; its values are not shown.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _checked(path, number, line)
    except (OSError, UnicodeDecodeError):
        raise BadContent(f"{path} cannot be read as UTF-8 text: check initial") from None


def _checked(path: Path, number: int, line: str) -> HolderRecord:
    try:
        return HolderRecord.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"])) or "the line"
        raise BadContent(
            f"{path} line {number}: {field}: {first['msg']}: correct the file"
        ) from None


CLASHES = {
    "SQLITE_CONSTRAINT_CHECK": "has an empty key, card number or right: fill it in",
    "SQLITE_CONSTRAINT_PRIMARYKEY": "has a native id that another has: look up which",
    "SQLITE_CONSTRAINT_UNIQUE": "has a key that another has: look up which",
}

WHAT_NOW = {
    "SQLITE_BUSY": f"the system has been busy for {BUSY_MS // 1000} s: try again",
    "SQLITE_CANTOPEN": "the file cannot be opened: check path and its rights",
    "SQLITE_CORRUPT": "the file is damaged: restore it from a backup",
    "SQLITE_FULL": "the disk is full: make room",
    "SQLITE_NOTADB": "the file is damaged, or something else than an access system: check path",
    "SQLITE_READONLY": "the file cannot be written: check its rights",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say what errors of SQLite and of the file system mean here, without any values."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        what = CLASHES.get(error.sqlite_errorname, "clashes with what is there")
        raise NotAllowed(f"{path}: {error.sqlite_errorname}: the record {what}") from None
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        what_now = WHAT_NOW.get(name, "check the disk and the file")
        raise SystemDown(f"{path}: {name}: {what_now}") from None
    except OSError as error:
        raise SystemDown(f"{path}: {error.strerror}: check path and its rights") from None
    except UnicodeEncodeError:
        raise NotAllowed(f"{path}: a text that cannot be stored as UTF-8: correct it") from None
    except ValidationError as error:
        fields = sorted({".".join(map(str, problem["loc"])) for problem in error.errors()})
        raise SystemDown(
            f"{path}: damaged values in {', '.join(fields)}: restore it from a backup"
        ) from None
