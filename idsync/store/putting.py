"""One row for each key, whoever of several writes it first."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def put(connection: Connection, table: Table, values: Mapping[str, object]) -> None:
    """Write the row *values* into *table*, in place of the one with the same primary key.

    To look first and then insert would fail where two look at the same time: in one process
    several threads begin at once.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.primary_key]
    others = {name: value for name, value in values.items() if name not in keys}
    row = dialect.insert(table).values(dict(values))
    connection.execute(row.on_conflict_do_update(index_elements=keys, set_=others))
