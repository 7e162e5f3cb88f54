"""The way to the database: encrypted, with deadlines, and its errors in idsync's words.

Sources: PostgreSQL 15 manual, appendix A (SQLSTATE codes) and 34.1 (connection parameters);
Microsoft ODBC Driver 18 for SQL Server (Encrypt, TrustServerCertificate, SQLSTATE 28000,
error 1222 lock time-out, 229 permission denied); SQLite result codes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchTableError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from idsync.errors import ConfigError, ConnectorError, Denied, Incomplete, Refused, Unavailable
from idsync.targets.salto_settings import StagingSettings

LOCK_MS = 3000
"""How long a row that another holds, such as the import job, is waited for."""

NEAR = ("", "localhost", "127.0.0.1", "::1")


def engine_of(config: StagingSettings) -> Engine:
    """Return the engine for `url`; nothing is connected yet.

    Raises:
        ConfigError: there is no driver for it, or it asks for what is not safe.
    """
    try:
        url = make_url(config.url or "")
    except (ArgumentError, ValueError):
        raise ConfigError("salto_staging: url is no database address: correct it") from None
    kind = url.get_backend_name()
    if config.password is not None:
        url = url.set(password=config.password.reveal())
    try:
        if kind == "sqlite":
            return _sqlite(url)
        if kind == "postgresql":
            return _postgresql(url, config)
        return _mssql(url, config)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"salto_staging: the driver {error.name} is not installed: install it beside idsync "
            "(PostgreSQL: psycopg, SQL Server: pyodbc)"
        ) from None


def _sqlite(url: URL) -> Engine:
    file = Path(url.database or "")
    engine = create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": LOCK_MS / 1000}
    )

    @event.listens_for(engine, "do_connect")
    def look(*_: object) -> None:
        if not file.is_file():  # SQLite would make an empty one, and everybody would be gone
            raise Unavailable(f"salto_staging: there is no file {file}: check url")

    @event.listens_for(engine, "connect")
    def settings(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's own type
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def postgresql_arguments(url: URL, config: StagingSettings) -> dict[str, Any]:
    """Return how PostgreSQL is connected to: within a time, and only known servers.

    Raises:
        ConfigError: url asks for less.
    """
    if _asks(url, "sslmode", ("disable", "allow", "prefer", "require", "verify-ca")):
        raise ConfigError("salto_staging: take sslmode from url: certificates are always verified")
    wait = max(1, int(config.timeout_s))
    options = (
        f"-c statement_timeout={wait * 1000} -c lock_timeout={LOCK_MS} "
        f"-c idle_in_transaction_session_timeout={wait * 1000}"
    )
    arguments: dict[str, Any] = {
        "connect_timeout": wait,
        "options": options,
        "application_name": "idsync",
        "tcp_user_timeout": wait * 1000,  # and a server that falls silent is noticed
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    if config.ca_file is not None:
        arguments |= {"sslmode": "verify-full", "sslrootcert": str(config.ca_file)}
    elif (url.host or "") not in NEAR and not (url.host or "").startswith("/"):
        arguments |= {"sslmode": "verify-full", "sslrootcert": "system"}
    return arguments


def _postgresql(url: URL, config: StagingSettings) -> Engine:
    arguments = postgresql_arguments(url, config)
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True,
        connect_args=arguments,
    )  # fmt: skip


def mssql_address(url: URL, config: StagingSettings) -> URL:
    """Return *url* with the connection encrypted and the certificate verified.

    Raises:
        ConfigError: it asks for less.
    """
    if config.ca_file is not None:
        raise ConfigError(
            "salto_staging: the ODBC driver takes no ca_file: put the authority into the system's "
            "store of trusted ones"
        )
    if _asks(url, "trustservercertificate", ("yes", "true", "1")) or _asks(
        url, "encrypt", ("no", "optional", "false", "0")
    ):
        raise ConfigError(
            "salto_staging: take Encrypt and TrustServerCertificate from url: connections are "
            "always encrypted and certificates always verified"
        )
    given = {name.lower() for name in url.query}
    safe = {"Encrypt": "yes", "TrustServerCertificate": "no"}
    return url.update_query_dict({n: v for n, v in safe.items() if n.lower() not in given})


def _mssql(url: URL, config: StagingSettings) -> Engine:
    url = mssql_address(url, config)
    engine = create_engine(
        url, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True,
        connect_args={"timeout": max(1, int(config.timeout_s))},
    )  # fmt: skip

    @event.listens_for(engine, "connect")
    def settings(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's own type
        connection.timeout = max(1, int(config.timeout_s))
        cursor = connection.cursor()
        cursor.execute(f"SET LOCK_TIMEOUT {LOCK_MS}")
        cursor.close()

    return engine


def _asks(url: URL, name: str, for_: tuple[str, ...]) -> bool:
    return any(
        str(value).lower() in for_ for given, value in url.query.items() if given.lower() == name
    )


# ── errors ──────────────────────────────────────────────────────────────────────────────

STATES: dict[str, tuple[type[ConnectorError], str]] = {
    "28P01": (Denied, "refuses the user name or the password: check url and password"),
    "28000": (Denied, "refuses the user name or the password: check url and password"),
    "42501": (
        Denied,
        "does not let this account do it: grant it SELECT, INSERT and UPDATE on the table",
    ),
    "3D000": (Unavailable, "has no such database: check url"),
    "55P03": (Unavailable, "keeps the row locked, the import job may be at it: try again shortly"),
    "57014": (Unavailable, "took longer than timeout_s: try again later"),
    "40001": (Unavailable, "had two writers at one row: try again shortly"),
    "40P01": (Unavailable, "had two writers at one row: try again shortly"),
    "25006": (Unavailable, "takes no writes now, as a standby does not: check the host in url"),
    "53300": (Unavailable, "has too many connections: try again later"),
    "22001": (Refused, "has less room for a value than its columns say: look at the table"),
    "23505": (
        Refused,
        "has a row with this ExtID already, if only for upper and lower case: look for it by hand",
    ),
    "23502": (
        Refused,
        "wants a value for a column that idsync does not know: give it one in defaults",
    ),
}
"""What SQLSTATE codes mean here."""

WORDS = {
    "password authentication failed": "28P01",
    "no pg_hba.conf entry": "28000",
    "login failed": "28P01",
    "permission denied": "42501",
    "permission was denied": "42501",
    "readonly database": "42501",
    "database is locked": "55P03",
    "lock request time out": "55P03",
    "unique constraint": "23505",
    "duplicate key": "23505",
    "not null constraint": "23502",
    "cannot insert the value null": "23502",
}
"""Words by which errors are known whose driver gives no code, or a code for many things."""

CERTIFICATE = ("certificate verify failed", "certificate chain", "ssl error: cert")
OTHER_NAME = ("does not match host name", "principal name is incorrect", "hostname mismatch")


@contextmanager
def in_our_words() -> Iterator[None]:
    """Raise the database's errors as idsync's, without a word of what was sent to it."""
    try:
        yield
    except NoSuchTableError:
        raise Unavailable(
            "salto_staging: the database shows no such table: check table, and the account's rights"
        ) from None
    except DBAPIError as error:
        raise meaning(error.orig) from None
    except (SQLAlchemyError, ValueError, UnicodeError) as error:
        raise Incomplete(
            f"salto_staging: a value in the table is not of its column's type "
            f"({type(error).__name__}): look at the table"
        ) from None


def meaning(error: BaseException | None) -> ConnectorError:
    """Return what the driver's *error* means to idsync's reader."""
    told = str(error).lower()
    if any(words in told for words in OTHER_NAME):
        return Unavailable(
            "salto_staging: the server's certificate is for another name: check the host in url"
        )
    if any(words in told for words in CERTIFICATE):
        return Unavailable("salto_staging: the server's certificate is not trusted: check ca_file")
    code = getattr(error, "sqlstate", None) or _first_argument(error)
    if code not in STATES:
        code = next((state for words, state in WORDS.items() if words in told), code)
    if 'database "' in told and "does not exist" in told:
        code = "3D000"
    if code in STATES:
        kind, sentence = STATES[code]
        return kind(f"salto_staging: the database {sentence}")
    if code and code[:2] == "42":
        return Unavailable(
            f"salto_staging: the table is not as it was (SQLSTATE {code}): check its columns"
        )
    if code and code[:2] in ("22", "23"):
        return Refused(f"salto_staging: the database refuses the row (SQLSTATE {code})")
    return Unavailable(
        "salto_staging: the database cannot be reached: check host and port in url, and the network"
    )


def _first_argument(error: BaseException | None) -> str:
    """Return the SQLSTATE that pyodbc gives as its first argument."""
    first = error.args[0] if error is not None and error.args else ""
    return first if isinstance(first, str) and len(first) == 5 and first.isalnum() else ""


def folder_is_writable(file: Path) -> bool:
    """Tell whether SQLite can write *file*, which takes its folder too."""
    return os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)
