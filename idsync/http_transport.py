"""Connections that keep a deadline, down to the single drop, and trust only what they are told.

The timeouts of HTTP libraries hold for each wait on the socket, so a service that sends
one byte now and then is never late. Here the deadline is held where the socket is read:
headers, chunk sizes and body alike.
"""

from __future__ import annotations

import io
import math
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from ipaddress import ip_address
from socket import SocketIO, socket
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection


class _Deadline(threading.local):
    """When the call that this thread is making must be over, on the monotonic clock."""

    at = math.inf


_deadline = _Deadline()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give what this thread reads in the block *seconds* in all; TimeoutError after that."""
    _deadline.at = time.monotonic() + seconds
    try:
        yield
    finally:
        _deadline.at = math.inf


class _PatientReader(io.RawIOBase):
    """Reads a socket: each wait ends by its timeout, all of them by the deadline."""

    def __init__(self, connection: socket, raw: SocketIO) -> None:
        self._connection = connection
        self._raw = raw
        self._timeout_s = connection.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - any writable buffer
        left = _deadline.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline")
        if left != math.inf:
            self._connection.settimeout(min(left, self._timeout_s or left))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PatientResponse(HTTPResponse):
    def __init__(self, sock: socket, debuglevel: int = 0, method: str | None = None) -> None:
        super().__init__(sock, debuglevel, method)
        self.fp.close()
        self.fp = io.BufferedReader(_PatientReader(sock, sock.makefile("rb", buffering=0)))


class ForbiddenAddress(OSError):
    """A name leads to an address where no access system is."""


def _require_elsewhere(host: str, connection: socket) -> None:
    """Raise ForbiddenAddress if *host*, which does not say so, is this machine or its cloud's.

    Whoever answers for a name decides where it leads: to services of this machine, or to
    169.254.169.254, where clouds hand out credentials. Nothing was sent so far.
    """
    peer = ip_address(connection.getpeername()[0].partition("%")[0])
    peer = getattr(peer, "ipv4_mapped", None) or peer
    named = host.strip("[]").rstrip(".").lower()
    said = named == "localhost" or named == str(peer)
    if peer.is_link_local or peer.is_unspecified or (peer.is_loopback and not said):
        connection.close()
        raise ForbiddenAddress


class _PatientHTTP(HTTPConnection):
    response_class = _PatientResponse

    def _new_conn(self) -> socket:
        connection = super()._new_conn()
        _require_elsewhere(self.host, connection)
        return connection


class _PatientHTTPS(HTTPSConnection):
    response_class = _PatientResponse

    def _new_conn(self) -> socket:
        connection = super()._new_conn()
        _require_elsewhere(self.host, connection)
        return connection


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PatientHTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PatientHTTPS


class Transport(HTTPAdapter):
    """Connections that keep the deadline and trust what the TLS context trusts, only that."""

    def __init__(self, context: ssl.SSLContext | None, connections: int) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=connections)

    def init_poolmanager(
        self,
        connections: int,
        maxsize: int,
        block: bool = False,
        **kwargs: Any,  # noqa: ANN401 - as the library has it
    ) -> None:
        """Make the connections' pools, as the library asks once."""
        trust = {"ssl_context": self._context} if self._context else {}
        super().init_poolmanager(connections, maxsize, block, **trust, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Add no authorities of the library's own: the context holds them all."""
