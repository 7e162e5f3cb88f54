"""The tables of tests/fakes/sql.py in PostgreSQL, with the types that a database there has."""

from __future__ import annotations

from typing import Any

from idsync.model import Cardholder
from tests.servers.postgres import Database

TABLES = (
    'CREATE SCHEMA "Från HR"',
    "CREATE TYPE spärr AS ENUM ('nej', 'ja')",
    """
    CREATE TABLE "Från HR"."Personer" (
        "Id" integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Anstnr" varchar(40) UNIQUE,
        "Namn" varchar(20), "Spärr" spärr NOT NULL DEFAULT 'nej', "Övrigt" jsonb,
        "Källa" text NOT NULL
    )
    """,
    """
    CREATE TABLE "Från HR"."Rätt" (
        "Person" integer NOT NULL REFERENCES "Från HR"."Personer" ("Id"),
        "Namn" varchar(30) NOT NULL, "Larm" boolean NOT NULL, "Från" timestamptz,
        "Till" timestamp(0) NOT NULL DEFAULT 'infinity', "Schema" integer DEFAULT 7
    )
    """,
)


class PostgresRows:
    """Rights as rows, without a primary key; one end is an instant, the other a local time."""

    def __init__(self, database: Database) -> None:
        self.database = database
        for statement in TABLES:
            database.run(statement)

    def description(self, **more: Any) -> dict[str, Any]:
        return {
            "url": self.database.url(),
            "password": {"env": "PASSAGE_PASSWORD"},
            "db_schema": "Från HR",
            "table": "Personer",
            "columns": {
                "key": "Anstnr", "native_id": "Id", "status": "Spärr", "display_name": "Namn",
            },
            "values": {
                "status": {"nej": "active", "ja": "suspended"},
                "kind": {"false": "access", "true": "alarm"},
            },
            "new_row": {"Källa": "HR", "Övrigt": '{"a": 1}'},
            "lengths": {"display_name": 20},
            "rights": {
                "db_schema": "Från HR",
                "table": "Rätt",
                "by": "native_id",
                "columns": {
                    "key": "Person", "ref": "Namn", "kind": "Larm", "valid_from": "Från",
                    "valid_to": "Till",
                },
            },
            "dates": {
                "format": "%Y-%m-%d %H:%M:%S", "end_inclusive": True, "no_end": ["infinity"],
                "timezone": "Europe/Stockholm",
            },
        } | more  # fmt: skip

    def by_hand(self, wanted: Cardholder) -> None:
        """Write as a local administrator would."""
        run, people = self.database.run, '"Från HR"."Personer"'
        found = run(f'SELECT "Id" FROM {people} WHERE "Anstnr" = ?', wanted.key)
        if not found:
            new = (
                f'INSERT INTO {people} ("Anstnr", "Namn", "Källa") VALUES (?, ?, ?) RETURNING "Id"'
            )
            found = run(new, wanted.key, wanted.display_name, "hand")
        for grant in wanted.grants:
            run('INSERT INTO "Från HR"."Rätt" VALUES (?, ?, false)', found[0][0], grant.ref)
