"""The sql target and a real PostgreSQL: what it says when it says no, and its own types."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from idsync.errors import ConfigError, ConnectorError, Denied, Refused, Unavailable
from idsync.model import Cardholder, Change, Grant
from idsync.targets.sql import SqlTarget
from idsync.testing.cardholders import holding, only, refs
from tests.fakes.sql_postgres import PostgresRows
from tests.servers.postgres import OTHER_ADDRESS, OWNER, PASSWORDS, ROOT, Database

pytest_plugins = ("tests.servers.postgres_fixtures", "tests.targets.sql_fixtures")
pytestmark = pytest.mark.postgres

Make = Callable[..., SqlTarget]
ASA = Cardholder(key="1001", display_name="Åsa Öberg")


@pytest.fixture
def tables(postgres_database: Database) -> PostgresRows:
    return PostgresRows(postgres_database)


@pytest.fixture
def target(tables: PostgresRows, sql_target: Make) -> SqlTarget:
    return sql_target(tables.description())


@pytest.fixture
def limited(postgres_database: Database) -> Iterator[str]:
    """A user who may log in with the same password, and read nothing."""
    run = postgres_database.run
    run(f"CREATE ROLE limited LOGIN PASSWORD '{PASSWORDS[OWNER]}'", user=ROOT)
    yield "limited"
    run("DROP OWNED BY limited", user=ROOT)
    run("DROP ROLE limited", user=ROOT)


# ── why it does not work: one sentence each ─────────────────────────────────────────────


def told(make: Make, tables: PostgresRows, kind: type[ConnectorError], **change: Any) -> str:
    target = make(tables.description(**change))
    sentences = set()
    for call in (target.check, lambda: list(target.read())):
        with pytest.raises(kind) as raised:
            call()
        sentences.add(str(raised.value))
    [sentence] = sentences
    assert "lösen" not in sentence
    return sentence


def test_what_is_wrong_is_told_apart(
    tables: PostgresRows, sql_target: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tables.database
    monkeypatch.setenv("WRONG", "fel lösen")
    sentences = [
        told(sql_target, tables, Denied, password={"env": "WRONG"}),
        told(sql_target, tables, Unavailable, url=database.server.url("annan")),
        told(sql_target, tables, Unavailable, url=database.url(host="nowhere.invalid"),
             ca_file=str(database.server.certificates.ca)),
        told(sql_target, tables, Unavailable, url="postgresql://idsync@127.0.0.1:9/passage"),
        told(sql_target, tables, Unavailable, table="Personal"),
    ]  # fmt: skip
    wanted = (
        "user or the password", "no such database", "no host of that name", "nothing answers there",
        "no such table",
    )  # fmt: skip
    for sentence, part in zip(sentences, wanted, strict=True):
        assert part in sentence


def test_a_missing_privilege_is_named(tables: PostgresRows, sql_target: Make, limited: str) -> None:
    run = tables.database.run
    target = sql_target(tables.description(url=tables.database.url(limited)))
    run('GRANT USAGE ON SCHEMA "Från HR" TO limited')
    with pytest.raises(Denied, match="lacks a privilege"):
        list(target.read())
    for privilege in ("SELECT", "INSERT", "UPDATE"):
        with pytest.raises(Denied, match=f"Personer: the user lacks the privilege {privilege}"):
            target.check()
        run(f'GRANT {privilege} ON "Från HR"."Personer" TO limited')
    for privilege in ("SELECT", "INSERT", "DELETE"):
        with pytest.raises(Denied, match=f"Rätt: the user lacks the privilege {privilege}"):
            target.check()
        run(f'GRANT {privilege} ON "Från HR"."Rätt" TO limited')
    assert target.check().endswith(", 0 rows")
    target.put(Change(before=None, after=holding(ASA, "FSK-ENTRE")))
    before = only(target, "1001")
    target.put(Change(before=before, after=replace(holding(before), status="suspended")))


def test_only_the_named_authority_is_trusted(tables: PostgresRows, sql_target: Make) -> None:
    certificates = tables.database.server.certificates
    good = sql_target(tables.description(ca_file=str(certificates.ca)))
    assert good.check().startswith("postgresql ")
    wrong = told(sql_target, tables, Unavailable, ca_file=str(certificates.other_ca))
    assert "not trusted: check ca_file" in wrong
    missing = told(sql_target, tables, Unavailable, ca_file=str(certificates.folder / "none"))
    assert "ca_file cannot be read" in missing
    elsewhere = tables.database.url(host=OTHER_ADDRESS)
    other = told(sql_target, tables, Unavailable, url=elsewhere, ca_file=str(certificates.ca))
    assert "certificate is another host's" in other


def test_a_missing_driver_is_told(
    tables: PostgresRows, sql_target: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match="extra postgres"):
        sql_target(tables.description())


def test_a_missing_secret_is_a_matter_of_configuration(
    tables: PostgresRows, sql_target: Make
) -> None:
    with pytest.raises(ConfigError, match="NOT_SET is not set"):
        sql_target(tables.description(password={"env": "NOT_SET"})).check()


def test_a_statement_that_waits_too_long_is_unavailable(
    tables: PostgresRows, sql_target: Make
) -> None:
    target = sql_target(tables.description(deadline_s=1))
    with tables.database.connect() as other, other.transaction():
        other.execute('LOCK TABLE "Från HR"."Personer"')
        with pytest.raises(Unavailable):
            target.put(Change(before=None, after=ASA))
    target.put(Change(before=None, after=ASA))


# ── its own types ───────────────────────────────────────────────────────────────────────


def test_a_text_too_long_for_its_column_is_refused_and_never_cut(
    tables: PostgresRows, sql_target: Make
) -> None:
    target = sql_target(tables.description(lengths={}))
    for wanted in (
        replace(ASA, display_name="Å" * 21),
        replace(ASA, key="1" * 41),
        holding(ASA, "R" * 31),
    ):
        with pytest.raises(Refused, match="does not fit its column"):
            target.put(Change(before=None, after=wanted))
        assert list(target.read()) == []


def test_of_two_rows_that_are_the_same_in_every_column_one_goes(
    tables: PostgresRows, target: SqlTarget
) -> None:
    tables.by_hand(replace(ASA, grants=(Grant(ref="FSK-ENTRE"), Grant(ref="FSK-ENTRE"))))
    tables.database.run('UPDATE "Från HR"."Rätt" SET "Schema" = 9')
    before = only(target, "1001")
    assert len(before.grants) == 2
    for _ in range(2):
        target.put(Change(before=before, after=holding(before)))
        assert tables.database.run('SELECT "Schema" FROM "Från HR"."Rätt"') == [(9,)]


def test_a_key_in_a_column_of_whole_numbers_is_exact(
    tables: PostgresRows, target: SqlTarget
) -> None:
    tables.database.run(
        'ALTER TABLE "Från HR"."Personer" ALTER "Anstnr" TYPE integer USING "Anstnr"::integer'
    )
    target.put(Change(before=None, after=holding(ASA, "FSK-ENTRE")))
    assert only(target, "1001").key == "1001"
    for key in ("O'Brien", "1001 ", "01001", "1_001", "１００１", "9" * 30, "\0", "\ud800"):
        assert target.read_one(key) is None
        with pytest.raises(Refused):
            target.put(Change(before=None, after=Cardholder(key=key)))
    assert len(list(target.read())) == 1


def test_keys_that_the_database_takes_for_one_are_refused(
    tables: PostgresRows, target: SqlTarget
) -> None:
    run = tables.database.run
    run("CREATE COLLATION IF NOT EXISTS lax (provider=icu, locale='und-u-ks-level2', "
        "deterministic=false)")  # fmt: skip
    run('ALTER TABLE "Från HR"."Personer" ALTER "Anstnr" TYPE text COLLATE lax')
    target.put(Change(before=None, after=holding(replace(ASA, key="ab1"), "FSK-ENTRE")))
    assert target.read_one("AB1") is None
    with pytest.raises(Refused, match="for the same"):
        target.put(Change(before=None, after=replace(ASA, key="AB1")))
    with pytest.raises(Refused):
        target.put(Change(before=None, after=Cardholder(key="AB1", status="suspended")))
    assert only(target, "ab1").status == "active"


def test_a_finer_instant_than_the_form_is_not_read_as_a_coarser(
    tables: PostgresRows, target: SqlTarget
) -> None:
    tables.by_hand(replace(ASA, grants=(Grant(ref="FSK-ENTRE"),)))
    tables.database.run('UPDATE "Från HR"."Rätt" SET "Från" = \'2031-03-03 12:00:00.5+01\'')
    with pytest.raises(ConnectorError, match=r"dates\.format"):
        list(target.read())
    target.put(Change(before=ASA, after=replace(ASA, status="suspended")))
    assert tables.database.run('SELECT "Spärr" FROM "Från HR"."Personer"') == [("ja",)]


def test_a_read_is_of_one_moment(tables: PostgresRows, target: SqlTarget) -> None:
    for number in range(3):
        target.put(Change(before=None, after=replace(holding(ASA, "X"), key=str(number))))
    with target._tables.reading() as connection:
        people, rights = target._tables.of(connection)
        rows = people.everything(connection)
        tables.by_hand(Cardholder(key="9", grants=(Grant(ref="Y"),)))
        assert rights is not None
        assert len(rights.everything(connection)) == len(rows) == 3
    assert {key for each in target.read() for key in refs(each)} == {"X", "Y"}
