"""The tables, as texts: SQLAlchemy quotes every name, and every value is bound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Enum,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    cast,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.elements import quoted_name

from idsync.errors import ConfigError, Incomplete, Unavailable
from idsync.rows import Row, nearest
from idsync.targets.sql_settings import HERE, SqlConfig

IDENTITY = "idsync identity "
"""How a row's own identity is labelled in an answer, so that no column is called the same."""

PHYSICAL = {"sqlite": "rowid", "postgresql": "ctid"}
"""Where a row stands, for a table without a primary key."""


class DescribedTable:
    """One table: its rows as texts of the described columns, found, made, changed, removed."""

    def __init__(
        self, connection: Connection, name: str, schema: str | None, needed: list[str],
        config: SqlConfig,
    ) -> None:  # fmt: skip
        self._dialect = connection.dialect.name
        self._empty_is_null = config.empty == "null"
        self._zone = config.dates.timezone.key if config.dates else "UTC"
        table = quoted_name(name, quote=True)
        within = quoted_name(schema, quote=True) if schema else None
        inspector = inspect(connection)
        found = {each["name"]: each["type"] for each in inspector.get_columns(table, within)}
        for column in needed:
            if column not in found:
                raise Unavailable(
                    f"table {name} has no column {column}: correct the description; "
                    f"{nearest(column, found)}"
                )
        self.table = Table(
            table, MetaData(),
            *(Column(quoted_name(each, quote=True), kind) for each, kind in found.items()),
            schema=within,
        )  # fmt: skip
        self._needed = needed
        primary = inspector.get_pk_constraint(table, within)["constrained_columns"]
        self._identity: dict[str, ColumnElement[Any]] = {
            IDENTITY + each: self.table.c[each] for each in primary
        } or {IDENTITY: literal_column(PHYSICAL[self._dialect])}

    # ── reading ─────────────────────────────────────────────────────────────────────────

    def everything(self, connection: Connection) -> list[Row]:
        """Return every row, which must be as many as the table counts in the same snapshot."""
        rows = self._rows(connection, select(*self._shown()))
        counted = connection.execute(select(func.count()).select_from(self.table)).scalar_one()
        if len(rows) != counted:
            raise Incomplete(f"table {self.table.name}: {len(rows)} of {counted} rows came: later")
        return rows

    def found(
        self, connection: Connection, column: str, text: str, *, lock: bool = False
    ) -> list[Row]:
        """Return the rows whose *column* the database takes for equal to *text*."""
        query = select(*self._shown()).where(self._is(column, text))
        if lock and self._dialect == "postgresql":
            query = query.with_for_update()
        return self._rows(connection, query)

    def _shown(self) -> Sequence[ColumnElement[Any]]:
        shown = [self._text(self.table.c[each]).label(each) for each in self._needed]
        return shown + [cast(each, Text).label(name) for name, each in self._identity.items()]

    def _rows(self, connection: Connection, query: Any) -> list[Row]:  # noqa: ANN401 - a select
        answer = connection.execute(query)
        return [
            {name: "" if value is None else value for name, value in row.items()}
            for row in answer.mappings()
        ]

    def _text(self, column: Column[Any]) -> ColumnElement[Any]:
        """Return what selects *column* as text; an instant as the local time of dates.timezone."""
        if isinstance(column.type, TIMESTAMP) and column.type.timezone:
            return cast(func.timezone(self._zone, column), Text)
        return cast(column, Text)

    def _is(self, column: str, text: str) -> ColumnElement[bool]:
        """Return the condition that *column* is *text*.

        SQLite compares by the column's collation and type, whatever was stored; there the
        stored text itself is compared. PostgreSQL uses its index, and the caller compares
        again: a collation may take two texts for one.
        """
        if self._dialect == "sqlite":
            stored = cast(self.table.c[column], Text).collate("BINARY")
            return stored.__eq__(bindparam(None, text, type_=Text))
        return self.table.c[column].__eq__(self._value(column, text))

    # ── writing ─────────────────────────────────────────────────────────────────────────

    def insert(self, connection: Connection, cells: Mapping[str, str]) -> None:
        """Make a row."""
        connection.execute(insert(self.table).values(self._values(cells)))

    def update(self, connection: Connection, column: str, text: str, cells: Row) -> None:
        """Change the one row whose *column* is *text*."""
        where = self._is(column, text)
        done = connection.execute(update(self.table).where(where).values(self._values(cells)))
        if done.rowcount != 1:
            raise Unavailable(f"table {self.table.name}: a row went meanwhile: read it again")

    def remove(self, connection: Connection, row: Row) -> None:
        """Remove exactly this row."""
        where = [
            cast(column, Text) == bindparam(None, row[name], type_=Text)
            for name, column in self._identity.items()
        ]
        if connection.execute(delete(self.table).where(*where)).rowcount != 1:
            raise Unavailable(f"table {self.table.name}: a row went meanwhile: read it again")

    def _values(self, cells: Mapping[str, str]) -> dict[Any, Any]:
        return {self.table.c[name]: self._value(name, text) for name, text in cells.items()}

    def _value(self, name: str, text: str) -> Any:  # noqa: ANN401 - what SQLAlchemy takes
        """Return what binds *text* for the column; an explicit cast never shortens a text."""
        kind = self.table.c[name].type
        textual = isinstance(kind, String) and not isinstance(kind, Enum)
        if text == "" and (self._empty_is_null or not textual):
            return null()
        bound = bindparam(None, text, type_=Text)
        if textual or self._dialect == "sqlite":
            return bound
        if isinstance(kind, TIMESTAMP) and kind.timezone:
            return func.timezone(self._zone, cast(bound, TIMESTAMP))
        return cast(bound, kind)


class Tables:
    """The tables of one description, learned at the first contact."""

    def __init__(self, config: SqlConfig) -> None:
        self._config = config
        self.engine = _engine(config)
        self._known: tuple[DescribedTable, DescribedTable | None] | None = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give one unchanging view of everything."""
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction that is done as a whole, or not at all."""
        options = {"idsync_writes": True}
        with self.engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    def of(self, connection: Connection) -> tuple[DescribedTable, DescribedTable | None]:
        """Return the table of people, and the one of rights if there is one."""
        if self._known is None:
            config, rights = self._config, self._config.rights
            written = [*config.new_row, *config.every_write]
            people = DescribedTable(
                connection, config.table, config.db_schema,
                list(dict.fromkeys([*config.person_columns(), *written])), config,
            )  # fmt: skip
            others = None
            if rights:
                others = DescribedTable(
                    connection, rights.table, rights.db_schema,
                    list(dict.fromkeys([*config.right_columns(), *rights.new_row])), config,
                )  # fmt: skip
            self._known = people, others
        return self._known


def _engine(config: SqlConfig) -> Engine:
    if config.url.startswith("sqlite:///"):
        # mode=rw: a missing file is an error, never a new and empty database
        file = URL.create(
            "sqlite",
            database=f"file:{quote(config.url.removeprefix('sqlite:///'))}",
            query={"mode": "rw", "uri": "true"},
        )
        engine = create_engine(
            file, poolclass=NullPool, hide_parameters=True,
            connect_args={"timeout": config.timeout_s},
        )  # fmt: skip
        return _with_transactions(engine)
    url = make_url(config.url)
    safe = {} if url.host in HERE else {"sslmode": "verify-full", "sslrootcert": "system"}
    if config.ca_file:
        safe = {"sslmode": "verify-full", "sslrootcert": str(config.ca_file)}
    most_ms = int(config.deadline_s * 1000)
    options = safe | {
        "connect_timeout": int(config.timeout_s),
        "tcp_user_timeout": most_ms,
        "application_name": "idsync",
        "client_encoding": "utf8",
        "options": f"-c statement_timeout={most_ms} -c lock_timeout={most_ms} -c datestyle=ISO",
    }
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"), poolclass=NullPool, hide_parameters=True,
            connect_args=options,
        )  # fmt: skip
    except ImportError:
        raise ConfigError(
            "PostgreSQL is reached with the package psycopg, which is not installed: install "
            "idsync with its extra postgres"
        ) from None
    return _with_password(engine, config)


def _with_password(engine: Engine, config: SqlConfig) -> Engine:
    @event.listens_for(engine, "do_connect")
    def connect(
        _dialect: object, _record: object, _arguments: Sequence[Any], options: dict[str, Any]
    ) -> None:
        if config.password:
            options["password"] = config.password.reveal()

    return engine


def _with_transactions(engine: Engine) -> Engine:
    """Begin every SQLite transaction where SQLAlchemy does: reads see one moment, writes wait."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _: object) -> None:  # noqa: ANN401 - SQLAlchemy's own type
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("idsync_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
