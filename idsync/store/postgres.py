"""The state in PostgreSQL: how it is reached, and what its errors mean.

Facts from the PostgreSQL manual: 34.1 and 34.15 (how a client connects, and its environment),
20.3.2 (client_connection_check_interval: not on Windows), 20.5 (synchronous_commit), 55.7
(BackendKeyData), appendix A (SQLSTATE).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from idsync.errors import ConfigError, IdsyncError, IntegrityError, NoRoom, Unavailable
from idsync.store.engines import SESSIONS

NEAR = ("", "localhost", "127.0.0.1", "::1")
"""Hosts to which the way is this machine: no certificate is asked for."""

PATIENCE = {
    "connect_timeout": 10, "tcp_user_timeout": 60_000,
    "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
}  # fmt: skip
"""How long a silent server is waited for, in s (tcp_user_timeout in ms), if url says nothing."""

MANNERS = """
    SELECT set_config(name, wanted, false)
    FROM (VALUES
        ('synchronous_commit', 'on'),    -- what is confirmed survives a power cut
        ('lock_timeout', '30s'),         -- as long as SQLite waits
        ('tcp_keepalives_idle', '30'),   -- a run whose machine dies lets go of its lock
        ('tcp_keepalives_interval', '10'),
        ('tcp_keepalives_count', '3'),
        ('idle_session_timeout', '0'),   -- a run is long; from version 14 on
        ('idle_in_transaction_session_timeout', '20s'),  -- who is stopped in one holds up all
        ('client_connection_check_interval', '500ms')  -- and so it is in the middle of a query
    ) AS ours (name, wanted)
    JOIN pg_settings USING (name)
    WHERE setting <> 'remote_apply'      -- waits for more than on does
    AND NOT (name = 'client_connection_check_interval' AND version() ~* 'windows|visual c|mingw')
"""
"""What each session is to be like, whatever the database's own settings are."""


def postgres_engine(address: str) -> Engine:
    """Return the engine for the state at *address*; nothing is connected yet.

    Its errors are raised as idsync's. What is read with the option `reads` is read outside
    any transaction, and so holds nobody up.

    Raises:
        ConfigError: the address is none, or there is no driver.
    """
    try:
        url = make_url(address)
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"), isolation_level="READ COMMITTED",
            hide_parameters=True, connect_args=_arguments(url),
        )  # fmt: skip
        from idsync.store.sessions import connected
    except (ArgumentError, ValueError):
        raise ConfigError(
            "[idsync] state is no database address: correct what stands after postgresql://"
        ) from None
    except ModuleNotFoundError:
        raise ConfigError(
            "a state in PostgreSQL needs its driver: install idsync with the extra postgres"
        ) from None

    @event.listens_for(engine, "do_connect")
    def connect(_: object, __: object, given: tuple[Any, ...], named: dict[str, Any]) -> Any:  # noqa: ANN401
        return connected(*given, **named)

    @event.listens_for(engine, "connect")
    def settings(connection: Any, _: object) -> None:  # noqa: ANN401 - SQLAlchemy's own type
        connection.autocommit = True
        _require_own_session(connection)
        connection.execute(MANNERS)
        connection.autocommit = False

    @event.listens_for(engine, "set_connection_execution_options")
    def reads(_: Connection, options: dict[str, Any]) -> None:
        if options.get("reads"):
            options["isolation_level"] = "AUTOCOMMIT"

    @event.listens_for(engine, "handle_error")
    def in_our_words(context: ExceptionContext) -> None:
        known = told(context.sqlalchemy_exception)
        if known is not None:
            raise known

    return engine


def _arguments(url: URL) -> dict[str, Any]:
    """Return what the address leaves to be said: how long, and by what a server is known."""
    arguments: dict[str, Any] = PATIENCE | {"application_name": SESSIONS, "client_encoding": "utf8"}
    said = {*url.query, *(name for name in ("sslmode", "sslrootcert") if _environment(name))}
    if "sslmode" not in said and (_is_far(url) or "sslrootcert" in said):
        arguments["sslmode"] = "verify-full"
    mode = url.query.get("sslmode") or _environment("sslmode") or arguments.get("sslmode")
    if mode == "verify-full" and not _has_authorities():
        arguments["sslrootcert"] = "system"
    return {name: value for name, value in arguments.items() if name not in said}


def _has_authorities() -> bool:
    """Tell whether the user has the file that libpq looks for by itself."""
    try:
        return (Path.home() / ".postgresql" / "root.crt").exists()
    except RuntimeError:  # a user without a home
        return False


def _environment(name: str) -> str:
    return os.environ.get(f"PG{name.upper()}", "")


def _require_own_session(connection: Any) -> None:  # noqa: ANN401 - the driver's, imported late
    """Raise ConfigError where *connection* is not one session of the server's.

    A pooler may give each transaction another session, and the lock of a run to whoever
    comes next. It invents the process that it names at the beginning.
    """
    if connection.execute("SELECT pg_backend_pid()").fetchone()[0] != connection.info.backend_pid:
        connection.close()
        raise ConfigError(
            "between idsync and the state stands a connection pooler, through which no lock "
            "holds: give the address and port of the PostgreSQL server itself in [idsync] state"
        )


def _is_far(url: URL) -> bool:
    """Tell whether the server is not, or not only, on this machine."""
    given = url.host or url.query.get("host") or _environment("host")
    hosts = given.split(",") if isinstance(given, str) else given
    return any(host not in NEAR and not host.startswith("/") for host in hosts)


def require_every_letter(connection: Connection) -> None:
    """Raise ConfigError where the database cannot hold every letter."""
    if connection.execute(text("SHOW server_encoding")).scalar() != "UTF8":
        raise ConfigError(
            "the database of the state cannot hold every letter: make it with ENCODING 'UTF8'"
        )


# ── what errors mean ────────────────────────────────────────────────────────────────────

GIVE_IT = "in a password file (PGPASSFILE) that only its owner may read, or in PGPASSWORD"

BEFORE_A_SESSION: dict[str, tuple[type[IdsyncError], str]] = {
    "password authentication failed": (
        ConfigError,
        f"refuses the user or the password: check the user in [idsync] state; give the password "
        f"{GIVE_IT}",
    ),
    "no password supplied": (ConfigError, f"wants a password: give it {GIVE_IT}"),
    "no pg_hba.conf entry": (
        ConfigError, "lets this user not in from this machine: have its pg_hba.conf corrected"
    ),
    "is not permitted to log in": (ConfigError, "lets this user not log in: give it LOGIN"),
    r"role \".*\" does not exist": (ConfigError, "knows no such user: correct [idsync] state"),
    r"database \".*\" does not exist": (
        ConfigError, "has no such database: make it, or correct the end of [idsync] state"
    ),
    "permission denied for database": (
        ConfigError,
        "lets this user not into that database: correct [idsync] state, or give it CONNECT",
    ),
    "root certificate file": (
        ConfigError, "cannot be verified: sslrootcert in [idsync] state cannot be read"
    ),
    "certificate verify failed": (
        ConfigError,
        "has a certificate that is not trusted: check sslrootcert in [idsync] state, and whether "
        "the certificate has expired",
    ),
    "does not match host name": (
        ConfigError, "has the certificate of another host: check the host in [idsync] state"
    ),
    "server does not support SSL": (
        ConfigError, "has no TLS, and is not on this machine: have it turned on"
    ),
    "resolve host|translate host name": (
        ConfigError, "is not found, no host has that name: check the host in [idsync] state"
    ),
    "invalid connection option|invalid .* value|invalid .*: ": (
        ConfigError, "cannot be asked: correct what stands after the ? in [idsync] state"
    ),
    "Connection refused": (
        Unavailable, "does not answer: start it, or check host and port in [idsync] state"
    ),
    "timeout": (Unavailable, "does not answer in time: check host and port, or wait"),
    "starting up|shutting down|recovery mode": (Unavailable, "is starting or ending: run again"),
    "too many clients|connection slots": (Unavailable, "has no connection left: run again later"),
}  # fmt: skip
"""What stands in libpq's sentences while there is no SQLSTATE, in the order to be looked for."""

STATES: dict[str, tuple[type[IdsyncError], str]] = {
    "42501": (
        ConfigError, "lets this user not do it: let the user of [idsync] state own the database"
    ),
    "3F000": (ConfigError, "has no schema for this user: let it own the database"),
    "42P01": (IntegrityError, "has lost tables of it: restore the state from its last copy"),
    "42703": (IntegrityError, "has lost columns of it: restore the state from its last copy"),
    "25006": (Unavailable, "may only be read, as a standby: check the host in [idsync] state"),
    "53100": (
        NoRoom, "has no room left: make room on its disk, then run again; nothing is sent that "
        "cannot be written down"
    ),
    "53": (Unavailable, "has no room or connection left: make room, then run again"),
    "55P03": (Unavailable, "keeps a lock of another program too long: run again"),
    "57014": (Unavailable, "ended a statement: see its statement_timeout, then run again"),
    "57P": (Unavailable, "ended the session: run again"),
    "25P03": (Unavailable, "ended the session: run again"),
    "25P04": (Unavailable, "ended the session: run again"),
    "40": (Unavailable, "had two writers at one place: run again"),
    "08": (Unavailable, "is not reached any longer: run again"),
    "XX": (IntegrityError, "says that it is damaged: have its administrator look"),
    "58": (IntegrityError, "cannot read its own files: have its administrator look"),
}  # fmt: skip
"""What SQLSTATE codes mean, by their beginnings."""


def told(error: BaseException | None) -> IdsyncError | None:
    """Return the driver's *error* in idsync's words; None for a fault of idsync's own.

    Nothing of what the server wrote is repeated: it may hold values.
    """
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(error.orig, "sqlstate", None)
    if state:
        unknown = (IntegrityError, f"refuses what no state refuses (SQLSTATE {state}): report it")
        fitting = [STATES[code] for code in STATES if state.startswith(code)] or [unknown]
    else:
        words = str(error.orig)
        fitting = [found for part, found in BEFORE_A_SESSION.items() if re.search(part, words)]
        if not fitting and type(error.orig).__name__ in ("OperationalError", "InterfaceError"):
            fitting = [(Unavailable, "does not answer: check [idsync] state, or wait")]
    if not fitting:
        return None
    kind, sentence = fitting[0]
    return kind(f"the PostgreSQL server of the state {sentence}")
