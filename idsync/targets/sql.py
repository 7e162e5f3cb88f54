"""Any access system that is fed from a staging table: in SQLite or PostgreSQL.

The system's own import reads the table; idsync writes rows into it and never speaks to
the system. What a row means is described in connectors.toml, and nothing else is
assumed. The shape (a row a person, its rights joined in a column or in rows of their own,
a column in which the import answers) is that of the staging tables that access systems
document, among them the control columns of Salto ProAccess Space (evidence B: its
database synchronisation as others' clients use it).
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from idsync.errors import Denied, Refused, Unavailable
from idsync.model import Cardholder, Change, Outcome
from idsync.rows import Row, capabilities_of
from idsync.rows_merging import Edits, Merging
from idsync.rows_reading import Reading
from idsync.rows_texts import Texts
from idsync.targets import Target
from idsync.targets.sql_errors import DoesNotFit, in_our_words
from idsync.targets.sql_settings import SqlConfig
from idsync.targets.sql_tables import DescribedTable, Tables

CODECS = {"unicode": "utf-8", "latin-1": "latin-1", "ascii": "ascii"}
SOON_S = 5.0


class SqlTarget(Target):
    """The rows of one table of people, and of one table of rights where it has one.

    A row without a key, and rows that share one, are somebody else's: shown without a
    key, never changed.
    """

    Config = SqlConfig

    def __init__(self, config: SqlConfig) -> None:
        self._config = config
        self._key = config.columns["key"]
        self._link = config.rights.columns["key"] if config.rights else ""
        self._by_key = config.rights is None or config.rights.by == "key"
        self._tables = Tables(config)
        self._reading = Reading(config)
        texts = Texts(codec=CODECS[config.characters], lengths=config.lengths)
        self._merging = Merging(self._reading, texts.check)
        self.capabilities = capabilities_of(config, "sql-1", characters=config.characters)

    def read(self) -> Iterator[Cardholder]:
        """Yield everybody as of one moment; see `Target.read`."""
        with in_our_words(), self._tables.reading() as connection:
            people, rights = self._tables.of(connection)
            rows = people.everything(connection)
            all_rights = rights.everything(connection) if rights else []
        yield from self._reading.everybody(rows, all_rights)

    def read_one(self, key: str) -> Cardholder | None:
        """Return the cardholder with this key as it is now, or None."""
        if not _sayable(key):
            return None
        try:
            with in_our_words(), self._tables.reading() as connection:
                row, rights = self._find(connection, key)
        except DoesNotFit:
            return None
        return self._reading.cardholder(row, rights, key) if row is not None else None

    def put(self, change: Change) -> Outcome:
        """Make it so, in one transaction on a fresh and locked read; see `Target.put`."""
        if not _sayable(change.key):
            raise Refused("the key holds what no database can: correct the record")
        with in_our_words(), self._tables.writing() as connection:
            row, rights = self._find(connection, change.key, writes=True)
            edits = self._merging.edits(row, rights, change)
            if row is not None and edits.touched and self._reading.stand(row) == "taken":
                raise Unavailable(
                    "the system is at work on this person's last write: later", SOON_S
                )
            self._write(connection, change.key, rights, edits)
        if edits.refused:
            raise edits.refused
        return Outcome(status="submitted" if edits.waiting else "confirmed")

    def check(self) -> str:
        """Reach the database and learn its tables; see `Target.check`."""
        with in_our_words(), self._tables.reading() as connection:
            people, rights = self._tables.of(connection)
            if connection.dialect.name == "postgresql":
                self._check_privileges(connection, people, "SELECT", "INSERT", "UPDATE")
                if rights:
                    self._check_privileges(connection, rights, "SELECT", "INSERT", "DELETE")
            count = connection.execute(select(func.count()).select_from(people.table)).scalar_one()
            version = ".".join(map(str, connection.dialect.server_version_info or ()))
            return f"{connection.dialect.name} {version}, {count} rows"

    def close(self) -> None:
        """Let go of connections."""
        self._tables.engine.dispose()

    # ── one person ───────────────────────────────────────────────────────────────────────────

    def _find(
        self, connection: Connection, key: str, *, writes: bool = False
    ) -> tuple[Row | None, list[Row]]:
        """Return the row with exactly this key, and the rights that stand under it.

        Raises:
            Refused: several rows have it, or, where it *writes*, the database takes another
                key for the same and would change that one too.
        """
        people, rights_table = self._tables.of(connection)
        found = people.found(connection, self._key, key, lock=writes)
        rows = [row for row in found if row[self._key] == key]
        if len(rows) > 1:
            raise Refused(
                f"{len(rows)} rows have one key: decide by hand which is the person's, and clear "
                "the key of the others"
            )
        link = self._reading.link(rows[0]) if rows else key if self._by_key else ""
        rights: list[Row] = []
        if rights_table and link:
            near = rights_table.found(connection, self._link, link)
            rights = [row for row in near if row[self._link] == link]
        if writes and len(found) > len(rows):
            raise Refused(
                "the table takes this key and another for the same (by case, or by blanks): make "
                "them differ in more"
            )
        return (rows[0] if rows else None), rights

    # ── writing ─────────────────────────────────────────────────────────────────────────

    def _write(self, connection: Connection, key: str, rights: list[Row], edits: Edits) -> None:
        people, rights_table = self._tables.of(connection)
        if edits.new:
            people.insert(connection, edits.cells)
        elif edits.cells:
            people.update(connection, self._key, key, edits.cells)
        if rights_table is None:
            return
        made: dict[str, str] = {}
        if edits.new and not self._by_key:
            [row] = people.found(connection, self._key, key)
            made = {self._link: self._reading.link(row)}
        for at in edits.drop:
            rights_table.remove(connection, rights[at])
        for new in edits.add:
            rights_table.insert(connection, new | made)

    def _check_privileges(
        self, connection: Connection, table: DescribedTable, *wanted: str
    ) -> None:
        name = connection.dialect.identifier_preparer.format_table(table.table)
        for privilege in wanted:
            if not connection.scalar(select(func.has_table_privilege(name, privilege))):
                raise Denied(
                    f"table {table.table.name}: the user lacks the privilege {privilege}: grant it"
                )


def _sayable(key: str) -> bool:
    try:
        return bool(key) and b"\0" not in key.encode()
    except UnicodeEncodeError:
        return False
