"""One bound connection to a directory, and complete reads over it.

ldap3 opens the connection and encodes what is asked; the answers are read by
`idsync.sources.ldap_ber`, because ldap3 decodes every value twice and lets a size limit
pass without an error. Only this file knows ldap3, of exactly the version in pyproject.toml.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ldap3 import AUTO_BIND_NONE, DEREF_NEVER, NONE, SIMPLE, SYNC, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException
from ldap3.operation.bind import bind_operation
from ldap3.operation.extended import extended_operation
from ldap3.operation.search import search_operation
from ldap3.protocol.rfc2696 import paged_search_control

from idsync.errors import ConfigError, Incomplete, Unavailable
from idsync.sources import ldap_ber as ber
from idsync.sources.ldap_refusals import (
    SUCCESS,
    Lost,
    bind_refused,
    broken,
    named,
    reason,
    search_refused,
    untrusted,
)

if TYPE_CHECKING:
    from idsync.sources.ldap_settings import LdapConfig

RECEIVE = 64 * 1024  # larger pieces cost more: the allocation outweighs the saved calls
PATIENCE = 10  # a page may take this many times timeout_s in all, so that a trickle ends too
EMPTY_PAGES = 100  # pages without an entry, one after the other, before the server is not believed
START_TLS = "1.3.6.1.4.1.1466.20037"  # RFC 4511, section 4.14.1


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked. `base_setting` names the setting that holds the base, if one does."""

    base: str
    filter: str
    attributes: list[str]
    scope: str = "SUBTREE"
    base_setting: str | None = None
    filter_setting: str = "filter"


class StrictTls(Tls):  # type: ignore[misc]  # ldap3 carries no types
    """TLS verified by OpenSSL, host name included, in the same way on every Python."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self.context = context
        self.host = host
        self.failure: ssl.SSLError | None = None

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: ANN401
        """Put TLS over the socket of *connection*; keep why if it fails."""
        try:
            connection.socket = self.context.wrap_socket(
                connection.socket,
                server_hostname=self.host,
                do_handshake_on_connect=do_handshake,
            )
        except ssl.SSLError as error:
            self.failure = error
            raise


class Directory:
    """A connection over which complete searches are made. It never writes."""

    def __init__(self, config: LdapConfig) -> None:
        self.config = config
        self.where = config.url
        tls = config.secure or config.start_tls
        self.tls = StrictTls(_context(config), config.host) if tls else None
        server = Server(
            config.host,
            port=config.port,
            use_ssl=config.secure,
            tls=self.tls,
            get_info=NONE,
            connect_timeout=config.timeout_s,
            allowed_referral_hosts=[],
        )
        # The account stays out of it: ldap3 has nothing to show, keep or send elsewhere.
        self.connection = Connection(
            server,
            client_strategy=SYNC,
            auto_bind=AUTO_BIND_NONE,
            auto_referrals=False,
            auto_range=False,
            raise_exceptions=True,
            check_names=False,
            return_empty_attributes=False,
            receive_timeout=config.timeout_s,
            read_only=True,
        )
        self.waited = 0.0
        self.frames = ber.frames(self._receive)

    def open(self) -> None:
        """Connect, check the certificate, and bind.

        Raises:
            Unavailable: the server does not answer, or its certificate is out of date.
            Denied: it refuses the account.
            ConfigError: url, ca_file or password do not fit it.
        """
        password = self.config.password.reveal()
        if not password:
            # A name without a password would be taken for anybody: RFC 4513, section 5.1.2.
            raise ConfigError(f"{self.where}: the password is empty: check where it stands")
        try:
            self._connect()
            self._bind(password)
        except ber.Damaged as damage:
            raise Unavailable(f"{self.where} does not speak LDAP: {damage}; check url") from None
        except Lost as lost:
            raise Unavailable(f"{self.where}: {lost}; run again later") from None

    def close(self) -> None:
        """Let go of the connection. May be called again."""
        try:
            self.connection.unbind()
        except (LDAPException, OSError):
            pass  # it is gone, which is what was wanted
        finally:
            if self.connection.socket is not None:
                self.connection.socket.close()

    def entries(self, search: Search) -> Iterator[tuple[bytes, int, int]]:
        """Yield (buffer, start, end) of each entry found. To come to the end is the proof.

        Raises:
            Unavailable: nothing came.
            Incomplete: it broke off, or the server sent less than everything.
            Denied, ConfigError: the server refuses what is asked.
        """
        cookie = b""
        page = came = idle = 0
        while True:
            page += 1
            before = came
            try:
                message = self._ask(search, cookie)
                for buffer, first, end in self.frames:
                    start = self._own(buffer, first, end, message)
                    tag, inner, stop = ber.element(buffer, start, end)
                    if tag == ber.SEARCH_ENTRY:
                        came += 1
                        yield buffer, inner, stop
                    elif tag == ber.SEARCH_DONE:
                        result = ber.read_result(buffer, start, end)
                        break
                    elif tag == ber.SEARCH_REFERENCE:
                        self._reference()
                    else:
                        raise ber.Damaged(f"operation 0x{tag:02x} does not belong to a search")
            except (Lost, ber.Damaged) as problem:
                raise broken(self.where, problem, page, came) from None
            if result.code != SUCCESS:
                raise search_refused(self.where, result.code, search.base_setting, page, came)
            if result.cookie is None:
                raise Incomplete(
                    f"{self.where}: page {page} ended without saying whether more follow "
                    f"({came} entries came); the server does not page as RFC 2696 asks"
                )
            cookie = result.cookie
            if not cookie:
                return
            idle = idle + 1 if came == before else 0
            if idle > EMPTY_PAGES:
                raise Incomplete(f"{self.where}: {idle} empty pages in a row; ask its operator")

    # ── the connection ──────────────────────────────────────────────────────────────────

    def _connect(self) -> None:
        try:
            self.connection.open(read_server_info=False)
            if self.config.start_tls and self.tls is not None:
                self._start_tls(self.tls)
        except (LDAPException, OSError) as error:
            if self.connection.socket is not None:
                self.connection.socket.close()
            if self.tls is not None and self.tls.failure is not None:
                raise untrusted(self.where, self.tls.failure) from None
            raise Lost(reason(error, self.config.timeout_s)) from None

    def _start_tls(self, tls: StrictTls) -> None:
        request = extended_operation(START_TLS)
        message = self._send("extendedReq", request)
        buffer, end, result = self._answer(message, ber.EXTENDED_RESPONSE)
        if result.code != SUCCESS:
            raise ConfigError(
                f"{self.where} refuses StartTLS ({named(result.code)}): use ldaps:// in url"
            )
        if end != len(buffer):
            # Sent in clear, to be believed as if it had come over TLS.
            raise ber.Damaged("more than the answer came before TLS")
        tls.wrap_socket(self.connection, do_handshake=True)
        self.connection.tls_started = True

    def _bind(self, password: str) -> None:
        secure = isinstance(self.connection.socket, ssl.SSLSocket)
        if not secure and not self.config.loopback:
            raise ConfigError(f"{self.where}: the password is never sent without TLS")
        try:
            request = bind_operation(3, SIMPLE, self.config.bind_dn, password)
        except (LDAPException, ValueError):
            raise ConfigError(f"{self.where}: the password has a letter LDAP forbids") from None
        message = self._send("bindRequest", request)
        self.connection.request = None  # ldap3 keeps what it sent, the password too
        _, _, result = self._answer(message, ber.BIND_RESPONSE)
        if result.code != SUCCESS:
            raise bind_refused(self.where, result)

    # ── messages ────────────────────────────────────────────────────────────────────────

    def _receive(self) -> bytes:
        began = time.monotonic()
        seconds = self.config.timeout_s
        try:
            piece: bytes = self.connection.socket.recv(RECEIVE)
        except OSError as error:
            raise Lost(reason(error, seconds)) from None
        if not piece:
            raise Lost("the server closed the connection")
        self.waited += time.monotonic() - began
        if self.waited > seconds * PATIENCE:
            raise Lost(f"one answer took longer than {seconds * PATIENCE} s")
        return piece

    def _send(self, operation: str, request: Any, controls: Any = None) -> int:  # noqa: ANN401
        self.waited = 0.0
        strategy = self.connection.strategy
        try:
            message: int = strategy.send(operation, request, controls)
        except (LDAPException, OSError) as error:
            raise Lost(reason(error, self.config.timeout_s)) from None
        strategy._outstanding.pop(message, None)
        return message

    def _ask(self, search: Search, cookie: bytes) -> int:
        try:
            request = search_operation(
                search.base,
                search.filter,
                search.scope,
                DEREF_NEVER,
                search.attributes,
                size_limit=0,
                time_limit=0,
                types_only=False,
                auto_escape=False,
                auto_encode=False,
            )
        except (LDAPException, ValueError):
            raise ConfigError(
                f"{search.filter_setting} is not an LDAP filter (RFC 4515): "
                "check its brackets, and write \\28 \\29 \\2a \\5c for ( ) * \\ in a value"
            ) from None
        control = paged_search_control(True, self.config.page_size, cookie)
        return self._send("searchRequest", request, [control])

    def _own(self, buffer: bytes, start: int, end: int, message: int) -> int:
        """Return where the operation begins, in the answer to *message* and no other."""
        first, last = ber.expect(buffer, start, end, ber.INTEGER)
        number = int.from_bytes(buffer[first:last], "big")
        if number == message:
            return last
        if number == 0:
            result = ber.read_result(buffer, last, end)
            raise Lost(f"the server ended the connection ({named(result.code)})")
        raise ber.Damaged("an answer came to a question that was not asked")

    def _answer(self, message: int, operation: int) -> tuple[bytes, int, ber.Result]:
        buffer, first, end = next(self.frames)
        start = self._own(buffer, first, end, message)
        ber.expect(buffer, start, end, operation)
        return buffer, end, ber.read_result(buffer, start, end)

    def _reference(self) -> None:
        if self.config.referrals == "refuse":
            raise Incomplete(
                f"{self.where}: a part of base lies on another server, and idsync follows no "
                'referral; name a base that this server holds, or set referrals = "ignore"'
            )


def _context(config: LdapConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ValueError):
        raise ConfigError(
            f"ca_file {config.ca_file} holds no certificate that can be read: check the path"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
