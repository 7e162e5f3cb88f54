"""The on-call is told by mail: verified TLS, a login, and an end to every wait."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from idsync.apply import ASKED
from idsync.config.oncall import MailTable
from idsync.errors import ConfigError, ConnectorError, Denied, Refused, Unavailable
from idsync.service.calling_words import Message, letter_of

WAIT_S, DEADLINE_S = 10.0, 30.0
"""For one answer, and for all of it: a server that says a letter now and then is late too."""


def mail(table: MailTable, message: Message) -> str:
    """Send *message*; return what was wrong although it was taken: not for every address.

    Raises:
        ConnectorError: it was not taken, or nobody knows.
        ConfigError: the password or the authorities cannot be read.
    """
    letter = letter_of(message, table)
    with _session(table) as session:
        refused = session.send_message(letter, table.sender, list(table.to))
    if refused:
        return (
            f"mail {table.host}: {len(refused)} of {len(table.to)} addresses were refused: "
            "check [oncall.mail] to"
        )
    return ""


def look(table: MailTable) -> None:
    """Look whether the server lets idsync in; nothing is sent. Raises as `mail` does."""
    with _session(table):
        pass


# ── one session ─────────────────────────────────────────────────────────────────────────


class _Bounded:
    """Of a session of smtplib's: it is cut at its deadline, and when this process is to end."""

    sock: socket.socket | None

    def __init__(self, *given: Any, deadline_s: float, **more: Any) -> None:  # noqa: ANN401
        self.late = False
        self._over = threading.Event()
        threading.Thread(target=self._cut_after, args=[deadline_s], daemon=True).start()
        try:
            super().__init__(*given, **more)
        except BaseException as error:
            self._over.set()
            if self.late:
                raise TimeoutError from error
            raise

    def _cut_after(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not ASKED.is_set():
            if self._over.wait(0.1):
                return
        self.late = True
        while not self._over.wait(0.1):  # it may not be connected yet, or be connected anew by TLS
            sock = getattr(self, "sock", None)
            if sock is not None:
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def end(self) -> None:
        """Cut nothing any more."""
        self._over.set()


class _Plain(_Bounded, smtplib.SMTP):
    pass


class _Secured(_Bounded, smtplib.SMTP_SSL):
    pass


@contextmanager
def _session(table: MailTable) -> Iterator[smtplib.SMTP]:
    """Give a session in which idsync has shown who it is; every error is in our words."""
    context = _context(table)
    password = table.password.reveal() if table.password else ""
    session: _Plain | _Secured | None = None
    try:
        given: dict[str, Any] = {
            "timeout": WAIT_S, "deadline_s": DEADLINE_S, "local_hostname": _own_name(),
        }  # fmt: skip
        if table.tls == "tls":
            session = _Secured(table.host, table.at, context=context, **given)
        else:
            session = _Plain(table.host, table.at, **given)
        if table.tls == "starttls":
            session.starttls(context=context)
        if table.user is not None:
            session.login(table.user, password)
        yield session
        with suppress(smtplib.SMTPException, OSError):
            session.quit()  # what was taken is taken, whatever becomes of the farewell
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        late = session is not None and session.late
        raise _told(table, TimeoutError() if late else error) from None
    finally:
        if session is not None:
            session.end()
            session.close()


def _context(table: MailTable) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=table.ca_file)
    except (OSError, ValueError):
        raise ConfigError(
            f"ca_file {table.ca_file} holds no certificates that can be read: check the path, its "
            "rights, and that it is PEM"
        ) from None


def _own_name() -> str:
    """The name said in EHLO. Of a machine with an odd name it is the address of loopback."""
    name = socket.gethostname()
    return name if name.isascii() and name else "[127.0.0.1]"


def _told(table: MailTable, error: Exception) -> ConnectorError:  # noqa: PLR0911 - a table
    """Return *error* in our words: a server's own may repeat an address or a login."""
    where = f"mail {table.host}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return Denied(f"{where}: the login was refused: check [oncall.mail] user and password")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return Refused(f"{where}: every address was refused: check [oncall.mail] to")
    if isinstance(error, smtplib.SMTPSenderRefused):
        return Refused(f"{where}: the sender was refused: check [oncall.mail] sender")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        what = "STARTTLS, or no login" if table.tls == "starttls" else "login"
        return Unavailable(f"{where}: it offers no {what}; nothing was sent: check tls and port")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        if "timed out" in str(error):  # so smtplib tells it
            return _told(table, TimeoutError())
        return Unavailable(f"{where}: the connection broke: it is tried again")
    if isinstance(error, smtplib.SMTPResponseException):
        return Unavailable(f"{where}: answered {error.smtp_code}: it is tried again")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unavailable(
            f"{where}: the certificate is not trusted: check ca_file, its dates and its name"
        )
    if isinstance(error, ssl.SSLError):
        return Unavailable(f"{where}: TLS could not be agreed on: check tls and port")
    if isinstance(error, UnicodeError):
        return Refused(f"{where}: a login is in plain letters: change user or password")
    if isinstance(error, TimeoutError):
        return Unavailable(f"{where}: no whole answer within {DEADLINE_S:g} s: it is tried again")
    return Unavailable(f"{where}: it cannot be reached: check host and port")
