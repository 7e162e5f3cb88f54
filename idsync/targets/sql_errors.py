"""What a database's errors mean, told without what the database wrote: it may hold values.

PostgreSQL tells by SQLSTATE (PostgreSQL documentation, Appendix A), but has none for what
goes wrong before a session begins; there the English sentence is looked at, and a server
that speaks another language gets the general one. SQLite tells by the name of its result
code (sqlite.org/rescode.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, NoSuchTableError, SQLAlchemyError

from idsync.errors import ConnectorError, Denied, Refused, Unavailable

BEFORE_A_SESSION: dict[str, tuple[type[ConnectorError], str]] = {
    "password authentication failed": (Denied, "the user or the password is wrong: correct it"),
    "no password supplied": (Denied, "a password is wanted: give it in password"),
    "no pg_hba.conf entry": (
        Denied, "the server lets this user not in from this machine: have pg_hba.conf corrected",
    ),
    "is not permitted to log in": (Denied, "the user may not log in: give it LOGIN"),
    r"role \".*\" does not exist": (Denied, "the server knows no such user: correct url"),
    "permission denied for database": (Denied, "the user may not connect: give it CONNECT"),
    "certificate verify failed": (
        Unavailable, "the server's certificate is not trusted: check ca_file",
    ),
    "does not match host name": (
        Unavailable, "the certificate is another host's: check the host in url, or ca_file",
    ),
    "server does not support SSL": (
        Unavailable, "the server has no TLS, and is not on this machine: have it turned on",
    ),
    "root certificate file": (Unavailable, "ca_file cannot be read: check the path"),
    r"database \".*\" does not exist": (
        Unavailable, "the server has no such database: check the end of url",
    ),
    "resolve host": (Unavailable, "there is no host of that name: check the host in url"),
    "translate host name": (Unavailable, "there is no host of that name: check the host in url"),
    "Connection refused": (Unavailable, "nothing answers there: check host and port in url"),
    "timeout": (Unavailable, "no answer came in time: check host and port in url, or wait"),
}  # fmt: skip

STATES: dict[str, tuple[type[ConnectorError], str]] = {
    "28": (Denied, "the user or the password is wrong: correct it"),
    "42501": (Denied, "the user lacks a privilege on the table: give it SELECT, INSERT, UPDATE"),
    "42P01": (Unavailable, "there is no such table: check table and db_schema"),
    "42703": (Unavailable, "a described column is not in the table: check the names"),
    "22": (Refused, "a value does not fit its column: compare the record with the table"),
    "23": (Refused, "the table's own rules do not allow this row: correct the record or profile"),
    "42804": (Refused, "a value does not fit its column's type: check the description"),
    "25006": (Denied, "the database may only be read: ask for the one that is written to"),
    "53": (Unavailable, "the server has no room or connection left: later"),
}

CODES: dict[str, tuple[type[ConnectorError], str]] = {
    "SQLITE_CONSTRAINT": STATES["23"],
    "SQLITE_MISMATCH": STATES["22"],
    "SQLITE_TOOBIG": STATES["22"],
    "SQLITE_READONLY": (Denied, "the file may only be read: give idsync's account the right"),
    "SQLITE_PERM": (Denied, "the file may not be opened: give idsync's account the right"),
    "SQLITE_AUTH": (Denied, "the file may not be opened: give idsync's account the right"),
    "SQLITE_CANTOPEN": (Unavailable, "there is no such file, or it cannot be opened: check url"),
    "SQLITE_NOTADB": (Unavailable, "the file is no SQLite database: check url"),
    "SQLITE_CORRUPT": (Unavailable, "the file is damaged: restore it"),
    "SQLITE_BUSY": (Unavailable, "another program is writing: later"),
    "SQLITE_LOCKED": (Unavailable, "another program is writing: later"),
    "SQLITE_FULL": (Unavailable, "the disk is full: make room"),
    "SQLITE_ERROR": (Unavailable, "the tables are not as described: check table and columns"),
}


class DoesNotFit(Refused):
    """A value that its column cannot hold: as a key, it is nobody's."""


@contextmanager
def in_our_words() -> Iterator[None]:
    """Raise what a database raises as one of idsync's errors."""
    try:
        yield
    except NoSuchTableError:
        raise Unavailable(f"database: {STATES['42P01'][1]}") from None
    except DBAPIError as error:
        kind, told = meaning(error)
        raise kind(f"database: {told}") from None
    except SQLAlchemyError as error:
        raise Unavailable(f"database: {type(error).__name__}: report it") from None


def meaning(error: DBAPIError) -> tuple[type[ConnectorError], str]:
    """Return which of idsync's errors *error* is, and what to do now."""
    state = getattr(error.orig, "sqlstate", None)
    name = str(getattr(error.orig, "sqlite_errorname", ""))
    if state or name:
        table = STATES if state else CODES
        known = [table[code] for code in table if (state or name).startswith(code)]
        kind, told = known[0] if known else (Unavailable, f"no answer ({state or name}): later")
        if state and state.startswith("22"):
            kind = DoesNotFit
        return kind, told
    if type(error.orig).__name__ == "DataError":
        return DoesNotFit, STATES["22"][1]
    text = str(error.orig)
    for words, found in BEFORE_A_SESSION.items():
        if re.search(words, text):
            return found
    return Unavailable, "no session begins: check url, password and ca_file, or wait"
