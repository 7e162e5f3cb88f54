"""From the schema of an older program to this one's, whole or not at all.

A step adds tables and columns and takes nothing away, so a run of the older program that is
under way goes on. Who acts on a state migrates it as it is opened; who only looks at it sees
it through views of its own session, and leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Engine,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.schema import CreateColumn

from idsync.errors import IntegrityError
from idsync.store.tables import VERSION, closing, journal, meta, metadata, revocation, run


def version_of(connection: Connection) -> int:
    """Return the version of the schema that stands there.

    Raises:
        IntegrityError: it tells none, or is newer than this program.
    """
    told = connection.execute(select(meta.c.value).where(meta.c.name == "version")).scalar()
    if told is None or not told.isascii() or not told.isdigit() or int(told) < 1:
        raise IntegrityError("what stands at [idsync] state is not an idsync state")
    if int(told) > VERSION:
        raise IntegrityError(
            f"the state has version {told}, this program knows {VERSION}: use the newer program"
        )
    return int(told)


def migrate(connection: Connection) -> None:
    """Bring the schema to this program's, in the transaction of the caller."""
    for before in range(version_of(connection), VERSION):
        STEPS[before](connection)
        after = update(meta).where(meta.c.name == "version").values(value=str(before + 1))
        connection.execute(after)


def _add_what_is_missing(connection: Connection) -> None:
    dialect = connection.dialect
    quoted = dialect.identifier_preparer.quote
    for name, columns in _missing(connection).items():
        for column in columns:
            what = CreateColumn(column).compile(dialect=dialect)
            connection.execute(text(f"ALTER TABLE {quoted(name)} ADD COLUMN {what}"))
    metadata.create_all(connection)
    known = inspect(connection)
    for table in metadata.sorted_tables:
        there = {index["name"] for index in known.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in there:
                index.create(connection)


def _number_nothing_twice(connection: Connection) -> None:
    """Make the numbered tables anew on SQLite, which otherwise gives the last number again."""
    if connection.dialect.name != "sqlite":
        return
    for table in (journal, revocation, run):
        before = table.name + "_before"
        for index in table.indexes:
            index.drop(connection)
        connection.execute(text(f"ALTER TABLE {table.name} RENAME TO {before}"))
        table.create(connection)
        names = [column.name for column in table.columns]
        old = sql_table(before, *(sql_column(name) for name in names))
        connection.execute(insert(table).from_select(names, old.select()))
        connection.execute(text(f"DROP TABLE {before}"))


def _from_the_first(connection: Connection) -> None:
    _add_what_is_missing(connection)
    _number_nothing_twice(connection)


def _with_times(connection: Connection) -> None:
    """Let what is confirmed be confirmed when it was last seen: nobody knows when it first was."""
    _add_what_is_missing(connection)
    sure = closing.c.outcome.in_(("confirmed", "nothing")) & closing.c.confirmed_at.is_(None)
    connection.execute(update(closing).where(sure).values(confirmed_at=closing.c.at))


STEPS: dict[int, Callable[[Connection], None]] = {
    1: _from_the_first, 2: _with_times, 3: _add_what_is_missing,
}  # fmt: skip
"""What leads from each version to the next."""


def look_through_views(engine: Engine) -> None:
    """Let every session see an older schema as this program's, and change nothing in it."""
    with engine.connect().execution_options(reads=True) as connection:
        views = _views(connection)
    engine.dispose()  # the sessions there are have none

    @event.listens_for(engine, "connect")
    def look(connection: Any, _: object) -> None:  # noqa: ANN401 - SQLAlchemy's own type
        if engine.dialect.name == "postgresql":
            connection.autocommit = True
        for view in views:
            connection.execute(view)
        if engine.dialect.name == "postgresql":
            connection.autocommit = False


def _views(connection: Connection) -> list[str]:
    known = inspect(connection)
    there = set(known.get_table_names())
    dialect = connection.dialect
    quoted = dialect.identifier_preparer.quote
    schema = quoted(known.default_schema_name or "main")
    missing = _missing(connection)
    views = []
    for table in metadata.sorted_tables:
        lacking = missing.get(table.name, list(table.columns) if table.name not in there else [])
        if not lacking:
            continue
        shown = ", ".join(
            f"{_absent(column, dialect)} AS {quoted(column.name)}"
            if column in lacking
            else quoted(column.name)
            for column in table.columns
        )
        rows = f"FROM {schema}.{quoted(table.name)}" if table.name in there else "WHERE 1 = 0"
        views.append(f"CREATE TEMP VIEW {quoted(table.name)} AS SELECT {shown} {rows}")
    return views


def _missing(connection: Connection) -> dict[str, list[Column[object]]]:
    """Return the columns that tables lack, by the table that lacks some."""
    known = inspect(connection)
    there = known.get_table_names()
    missing = {}
    for table in metadata.sorted_tables:
        if table.name in there:
            has = {column["name"] for column in known.get_columns(table.name)}
            missing[table.name] = [one for one in table.columns if one.name not in has]
    return {name: columns for name, columns in missing.items() if columns}


def _absent(column: Column[object], dialect: Dialect) -> str:
    """Return, in SQL, what a column holds in rows that were there before it."""
    default = getattr(column.server_default, "arg", None)
    value = str(getattr(default, "text", "")) or "NULL"
    if isinstance(default, str):
        value = "'" + default.replace("'", "''") + "'"
    kind = column.type.compile(dialect=dialect).partition(" COLLATE")[0]
    return f"CAST({value} AS {kind})"
