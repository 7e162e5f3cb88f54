"""The staging table in its database: rows read whole, and written each in one transaction.

A row and its flag are written together while the row is locked. That keeps other writers
out, but not an import job that has read the row, works, and then sets the flag to "done"
by its key: what was written meanwhile would count as done and never be. Such a job only
works on rows that are flagged. So a row that is flagged is either left to the job, or,
where the table has a column that only idsync knows (`stamp`), written and stamped: its next
answer proves nothing, and the row is sent once more when it has come. That jobs may work so
is an assumption on the safe side (grade C); the table's own layout is in salto_rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Boolean,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import Row as Record
from sqlalchemy.sql import Select

from idsync.errors import ConfigError, Denied, Incomplete, Refused, Unavailable
from idsync.targets.salto_engine import engine_of, folder_is_writable, in_our_words
from idsync.targets.salto_rows import ATTRIBUTES, EITHER, Row
from idsync.targets.salto_settings import NEEDED, StagingSettings

REWRITTEN = "written again while waiting"
DOUBT = "it was written again while the import job may have been reading it"
LISTS = ("levels", "zones", "doors")


class Columns:
    """The table as it is: which column each of idsync's words has."""

    def __init__(self, table: Table, config: StagingSettings) -> None:
        self.table = table
        there = {column.name: column for column in table.columns}
        folded: dict[str, list[str]] = {}
        for name in there:
            folded.setdefault(name.casefold(), []).append(name)

        def found(name: str) -> str | None:
            alike = folded.get(name.casefold(), [])
            return name if name in there else alike[0] if len(alike) == 1 else None

        names = {word: found(name) for word, name in config.names.items()}
        wanted = {*NEEDED, *config.columns} & set(config.names)
        if config.names.keys().isdisjoint({"blocked"}):
            wanted.add("expiration")
        if lacking := sorted(config.names[word] for word in wanted if names[word] is None):
            raise ConfigError(
                f"salto_staging: the table has no column {', '.join(lacking)}: make it as "
                "docs/targets/salto_staging.md shows, or correct columns"
            )
        self.of = {word: there[name] for word, name in names.items() if name is not None}
        unknown = sorted(name for name in config.defaults if found(name) is None)
        if unknown:
            raise ConfigError(f"salto_staging: defaults names no column: {', '.join(unknown)}")
        self.defaults = {there[str(found(n))].name: v for n, v in config.defaults.items()}
        self.limits = {
            word: min(most, getattr(self.of[word].type, "length", None) or most)
            for word, most in config.limits().items()
            if word in self.of
        }

    def select(self) -> Select[Any]:
        """Return the query for all rows, each column under idsync's word for it."""
        return select(*(column.label(word) for word, column in self.of.items()))

    def locked(self, key_word: str, value: str) -> Select[Any]:
        """Return the query for the rows with this key, which keeps other writers out."""
        query = self.select().where(self.of[key_word] == value).with_for_update()
        return query.with_hint(self.table, "WITH (UPDLOCK, ROWLOCK, HOLDLOCK)", "mssql")

    def number(self, word: str, value: int) -> int | bool | str:
        """Return a number as the column of *word* takes it."""
        kind = self.of[word].type
        if isinstance(kind, Boolean):
            return bool(value)
        return str(value) if isinstance(kind, String) else value


class TableSession:
    """One transaction on the table."""

    def __init__(self, store: TableStore, connection: Connection, columns: Columns) -> None:
        self._store = store
        self._connection = connection
        self._columns = columns
        self.limits = columns.limits

    def find(self, key: str) -> list[Row]:
        """Return the rows with exactly this key, locked."""
        query = self._columns.locked(*self._store.place_of(key))
        rows = map(self._store.row, self._connection.execute(query))
        return [row for row in rows if row.key == key]

    def check_text(self, text: str) -> None:
        """Let every printable text pass: the columns hold Unicode."""

    def insert(self, row: Row, now: datetime) -> None:
        """Add *row* for the job to take."""
        values: dict[str, Any] = {"ext_id": row.ext_id, "activation": row.activation}
        values |= {"key": row.key, "number": row.key, "expiration": None}
        values |= dict(row.texts) | dict(row.lists) | self._asked()
        of = self._columns.of
        if "blocked" in of:
            values["blocked"] = self._columns.number("blocked", 0)
        done = of.get("processed")
        if done is not None and not done.nullable and done.server_default is None:
            values["processed"] = now
        named = {of[word].name: value for word, value in values.items() if word in of}
        self._connection.execute(insert(self._columns.table).values(self._columns.defaults | named))

    def update(self, before: Row, after: Row) -> None:
        """Write what differs, and ask the job to take the row again.

        Raises:
            Refused: the job has not answered the last write, and the table has no stamp.
        """
        of = self._columns.of
        if before.waiting and "stamp" not in of:
            raise Refused(
                "the import job has not answered the last write of this row yet: it is written "
                "after that (with a column for columns.stamp, it could be written now)"
            )
        values = self._asked() | self._differences(before, after)
        if "stamp" in of:
            values["stamp"] = REWRITTEN if before.waiting else None
        done = self._connection.execute(
            update(self._columns.table)
            .where(of["ext_id"] == before.ext_id)
            .values({of[word].name: value for word, value in values.items() if word in of})
        )
        if done.rowcount > 1:
            raise Refused("several rows have this ExtID: clear the wrong ones by hand")
        if done.rowcount != 1:
            raise Unavailable("salto_staging: the row went while it was written: read it again")

    def _asked(self) -> dict[str, Any]:
        numbers = {"waiting": 1, "error": 0, "action": EITHER}
        asked = {word: self._columns.number(word, value) for word, value in numbers.items()}
        return asked | {"error_text": None}

    def _differences(self, before: Row, after: Row) -> dict[str, Any]:
        values: dict[str, Any] = {
            word: getattr(after, word)
            for word in ("activation", "expiration")
            if getattr(after, word) != getattr(before, word)
        }
        if after.blocked != before.blocked:
            values["blocked"] = self._columns.number("blocked", int(after.blocked))
        for kind, listed in after.lists.items():
            if listed != before.lists.get(kind):
                values[kind] = listed
        for name, value in after.texts.items():
            if value != before.texts.get(name):
                values[name] = value or None
        return values


class TableStore:
    """The staging table; connected at the first use."""

    def __init__(self, config: StagingSettings) -> None:
        self._config = config
        self._zone: ZoneInfo = config.timezone
        self._opened: Engine | None = None
        self._columns: Columns | None = None

    def rows(self) -> list[Row]:
        """Return all rows as of one moment.

        Raises:
            Incomplete: not as many came as the database counts.
        """
        with self._transaction(reads=True) as (connection, columns):
            query = columns.select().execution_options(yield_per=self._config.page_size)
            rows = list(map(self.row, connection.execute(query)))
            count = select(func.count()).select_from(columns.table)
            counted = connection.execute(count).scalar_one()
        if len(rows) != counted:
            raise Incomplete(f"salto_staging: {len(rows)} of {counted} rows came: read again")
        return rows

    def with_key(self, key: str) -> list[Row]:
        """Return the rows with exactly this key."""
        with self._transaction(reads=True) as (connection, columns):
            word, value = self.place_of(key)
            query = columns.select().where(columns.of[word] == value)
            rows = list(map(self.row, connection.execute(query)))
        return [row for row in rows if row.key == key]

    @contextmanager
    def session(self) -> Iterator[TableSession]:
        """Open a transaction; an error in it leaves the table as it was."""
        with self._transaction() as (connection, columns):
            yield TableSession(self, connection, columns)

    def check(self) -> str:
        """Reach the table and say what stands there; see `Target.check`."""
        with self._transaction(reads=True) as (connection, columns):
            self._may_write(connection, columns)
            of = columns.of
            counted = connection.execute(select(func.count()).select_from(columns.table)).scalar()
            flagged = select(func.count()).where(of["waiting"] == columns.number("waiting", 1))
            waiting = connection.execute(flagged).scalar()
            stamped = "stamp" in of
        hint = "" if stamped else "; without a stamp column, rows that wait are not written again"
        return f"staging table with {counted} rows, {waiting} of them waiting for the job{hint}"

    def close(self) -> None:
        """Let go of the connection."""
        if self._opened is not None:
            self._opened.dispose()

    # ── rows ────────────────────────────────────────────────────────────────────────────

    def place_of(self, key: str) -> tuple[str, str]:
        """Return in which column the key stands, and how it is written there."""
        if "key" in self._config.names:
            return "key", key
        return "ext_id", self._config.prefix + key

    def row(self, record: Record[Any]) -> Row:
        """Return what a record of `Columns.select` says."""
        told: Mapping[str, Any] = dict(record._mapping)
        ext_id = _text(told["ext_id"])
        return Row(
            ext_id=ext_id,
            key=self._key(ext_id, _text(told.get("key"))),
            waiting=_number(told["waiting"]) != 0,
            error=_number(told["error"]),
            action=_number(told["action"], EITHER),  # none given is 3 (fieldMapping.json)
            activation=self._local(told.get("activation")),
            expiration=self._local(told.get("expiration")),
            blocked=_number(told.get("blocked")) != 0,
            lists={kind: told[kind] for kind in LISTS if kind in told},
            texts={name: _text(told[name]) for name in ATTRIBUTES if name in told},
            doubt=DOUBT if told.get("stamp") else "",
        )

    def _key(self, ext_id: str, key: str) -> str | None:
        if "key" in self._config.names:
            return key or None
        prefix = self._config.prefix
        return (ext_id.removeprefix(prefix) or None) if ext_id.startswith(prefix) else None

    def _local(self, value: datetime | None) -> datetime | None:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(self._zone).replace(tzinfo=None)
        return value

    # ── the connection ──────────────────────────────────────────────────────────────────

    @contextmanager
    def _transaction(self, *, reads: bool = False) -> Iterator[tuple[Connection, Columns]]:
        with in_our_words():
            if self._opened is None:
                self._opened = engine_of(self._config)
            options: dict[str, Any] = {"reads": reads}
            if reads and self._opened.dialect.name == "postgresql":
                options["isolation_level"] = "REPEATABLE READ"  # one moment for every query
            opened = self._opened.connect().execution_options(**options)
            with opened as connection, connection.begin():
                yield connection, self._described(connection)

    def _described(self, connection: Connection) -> Columns:
        if self._columns is None:
            schema, _, name = self._config.table.rpartition(".")
            table = Table(
                name, MetaData(), schema=schema or None, autoload_with=connection,
                resolve_fks=False,
            )  # fmt: skip
            self._columns = Columns(table, self._config)
        return self._columns

    def _may_write(self, connection: Connection, columns: Columns) -> None:
        dialect = connection.dialect
        name = dialect.identifier_preparer.format_table(columns.table)
        asked = {
            "postgresql": "select has_table_privilege(:name, 'INSERT') "
            "and has_table_privilege(:name, 'UPDATE')",
            "mssql": "select case when has_perms_by_name(:name, 'OBJECT', 'INSERT') = 1 "
            "and has_perms_by_name(:name, 'OBJECT', 'UPDATE') = 1 then 1 else 0 end",
        }
        if dialect.name in asked:
            may = connection.execute(text(asked[dialect.name]), {"name": name}).scalar()
        else:
            may = folder_is_writable(Path(connection.engine.url.database or ""))
        if not may:
            raise Denied(
                "salto_staging: this account may read the table and not write it: grant it INSERT "
                "and UPDATE"
            )


def _text(value: Any) -> str:  # noqa: ANN401 - whatever the column holds
    return "" if value is None else str(value)


def _number(value: Any, missing: int = 0) -> int:  # noqa: ANN401 - whatever the column holds
    return missing if value is None or value == "" else int(value)
