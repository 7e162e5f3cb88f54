"""The way to the databases: what is asked of SQL Server, and what its errors mean."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table
from sqlalchemy.engine import make_url
from sqlalchemy.engine.url import URL

from idsync.errors import ConfigError, Denied, Refused, Unavailable
from idsync.targets.salto_engine import (
    engine_of,
    meaning,
    mssql_address,
    postgresql_arguments,
)
from idsync.targets.salto_settings import StagingSettings
from idsync.targets.salto_table import Columns

SQL_SERVER = URL.create("mssql").get_dialect()()
POSTGRESQL = URL.create("postgresql").get_dialect()()


def settings(url: str, **more: Any) -> StagingSettings:
    return StagingSettings.model_validate({"url": url, **more})


@pytest.fixture
def columns() -> Columns:
    config = settings("sqlite:///x")
    numbers = ("ToBeProcessedBySalto", "ErrorCode", "Action")
    table = Table(
        "SaltoCardholders", MetaData(), *(Column(name, Integer) for name in numbers),
        Column("ExtID", String(20)), Column("dtActivation", DateTime),
        Column("dtExpiration", DateTime), Column("ExtAccessLevelIDList", String(1024)),
        Column("FirstName", String(10)), schema="dbo",
    )  # fmt: skip
    return Columns(table, config)


def test_a_row_is_locked_for_writing_in_each_database(columns: Columns) -> None:
    query = columns.locked("ext_id", "idsync-1001")
    told = str(query.compile(dialect=SQL_SERVER))
    assert "FROM dbo.[SaltoCardholders] WITH (UPDLOCK, ROWLOCK, HOLDLOCK)" in told
    assert str(query.compile(dialect=POSTGRESQL)).endswith("FOR UPDATE")


def test_the_tables_own_lengths_count(columns: Columns) -> None:
    assert columns.limits["ext_id"] == 20
    assert columns.limits["given_name"] == 10
    assert "number" not in columns.limits


MSSQL = "mssql+pyodbc://idsync@sql.example.org/Staging?driver=ODBC+Driver+18+for+SQL+Server"


@pytest.mark.parametrize(
    ("url", "more", "words"),
    [
        (MSSQL, {}, "driver pyodbc is not installed"),
        (f"{MSSQL}&TrustServerCertificate=yes", {}, "certificates always verified"),
        (f"{MSSQL}&encrypt=Optional", {}, "always encrypted"),
        (MSSQL, {"ca_file": "ca.pem"}, "takes no ca_file"),
        ("postgresql://db.example.org/x?sslmode=require", {}, "certificates are always verified"),
        ("postgresql://db:port/x", {}, "no database address"),
    ],
)
def test_what_is_not_safe_or_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, url: str, more: dict[str, Any], words: str
) -> None:
    monkeypatch.setitem(sys.modules, "pyodbc", None)  # as where it is not installed
    with pytest.raises((ConfigError, ValueError), match=words):
        engine_of(settings(url, **more))


@pytest.mark.parametrize(
    ("host", "ca_file", "mode", "root"),
    [
        ("db.example.org", None, "verify-full", "system"),
        ("db.example.org", "ca.pem", "verify-full", "ca.pem"),
        ("127.0.0.1", "ca.pem", "verify-full", "ca.pem"),
        ("127.0.0.1", None, None, None),
    ],
)
def test_a_distant_postgresql_must_show_a_certificate(
    host: str, ca_file: str | None, mode: str | None, root: str | None
) -> None:
    config = settings(f"postgresql://idsync@{host}/staging", ca_file=ca_file)
    arguments = postgresql_arguments(make_url(config.url or ""), config)
    assert (arguments.get("sslmode"), arguments.get("sslrootcert")) == (mode, root)
    assert "statement_timeout=30000" in arguments["options"]


def test_sql_server_is_encrypted_and_verified_unless_said_more_strictly() -> None:
    for asked, encrypt in (("", "yes"), ("&Encrypt=strict", "strict")):
        config = settings(f"{MSSQL}{asked}")
        query = mssql_address(make_url(config.url or ""), config).query
        assert (query["Encrypt"], query["TrustServerCertificate"]) == (encrypt, "no")


class Driver(Exception):
    """An error as a driver raises it."""

    sqlstate: str | None = None


def pyodbc(state: str, told: str) -> Driver:
    return Driver(state, f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{told}")


ERRORS: list[tuple[Driver, type[Exception], str]] = [
    (
        pyodbc("28000", "Login failed for user 'idsync'. (18456)"),
        Denied,
        "user name or the password",
    ),
    (
        pyodbc("42000", "The SELECT permission was denied on the object 'X' (229)"),
        Denied,
        "grant it",
    ),
    (pyodbc("HYT00", "Login timeout expired"), Unavailable, "cannot be reached"),
    (pyodbc("42000", "Lock request time out period exceeded. (1222)"), Unavailable, "job may be"),
    (pyodbc("40001", "was deadlocked on lock resources (1205)"), Unavailable, "two writers"),
    (
        pyodbc("23000", "PRIMARY KEY. Cannot insert duplicate key (2627)"),
        Refused,
        "ExtID",
    ),
    (
        pyodbc("23000", "Cannot insert the value NULL into 'office' (515)"),
        Refused,
        "defaults",
    ),
    (
        pyodbc("22001", "data would be truncated in 'Åsa Öberg'"),
        Refused,
        "less room",
    ),
    (pyodbc("08001", "SSL Provider: certificate verify failed"), Unavailable, "not trusted"),
    (pyodbc("08001", "The target principal name is incorrect."), Unavailable, "another name"),
    (pyodbc("42S22", "Invalid column name 'Dummy9'."), Unavailable, "not as it was"),
    (pyodbc("22007", "Conversion failed for 'Åsa Öberg'"), Refused, "SQLSTATE 22007"),
    (Driver("database is locked"), Unavailable, "job may be"),
    (Driver("attempt to write a readonly database"), Denied, "grant it"),
    (Driver("no idea"), Unavailable, "cannot be reached"),
]


@pytest.mark.parametrize(("error", "kind", "words"), ERRORS)
def test_an_error_of_a_driver_becomes_a_sentence_without_its_text(
    error: Driver, kind: type[Exception], words: str
) -> None:
    told = meaning(error)
    assert isinstance(told, kind)
    assert words in str(told)
    assert "Öberg" not in str(told)


def test_a_password_in_the_settings_is_not_in_what_the_engine_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SALTO_PASSWORD", "hemligt")
    engine = engine_of(
        settings("postgresql://idsync@db.example.org/x", password={"env": "SALTO_PASSWORD"})
    )
    assert engine.url.password == "hemligt"
    assert "hemligt" not in f"{engine!r} {engine.url}"
