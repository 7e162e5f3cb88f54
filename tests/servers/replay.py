"""An LDAP server that accepts any bind and then answers with the bytes it is given.

It speaks enough of RFC 4511 for what a real server never sends: damaged answers, cookies
that never end, members in ranges as Active Directory sends them.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PAGED = b"1.2.840.113556.1.4.319"
BIND, SEARCH, EXTENDED = 0x60, 0x63, 0x77


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return the BER element with *tag* that holds *parts*."""
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def pieces(octets: bytes) -> list[tuple[int, bytes]]:
    """Return the tag and the content of each whole BER element in *octets*, one after another."""
    found = []
    while len(octets) >= 2:
        size, start = octets[1], 2
        if size > 127:
            start += size & 127
            size = int.from_bytes(octets[2:start], "big")
        if len(octets) < start + size:
            break
        found.append((octets[0], octets[start : start + size]))
        octets = octets[start + size :]
    return found


@dataclass(frozen=True)
class Request:
    """What a client asks. Only a search has a base and attributes."""

    number: int
    tag: int
    base: str = ""
    attributes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, content: bytes) -> Request:
        """Return the request in the *content* of a message."""
        (_, number), (tag, operation), *_ = pieces(content)
        if tag != SEARCH:
            return cls(int.from_bytes(number, "big"), tag)
        fields = pieces(operation)
        names = tuple(name.decode() for _, name in pieces(fields[7][1]))
        return cls(int.from_bytes(number, "big"), tag, fields[0][1].decode(), names)


def message(number: int, operation: bytes, controls: bytes = b"") -> bytes:
    """Return *operation* as the LDAP message *number*."""
    return tlv(0x30, tlv(2, number.to_bytes(5, "big").lstrip(b"\0") or b"\0"), operation, controls)


def entry(name: str, **attributes: list[str]) -> bytes:
    """Return a searchResultEntry. In a name, __ stands for ; and _ for -."""
    listed = [
        tlv(
            0x30,
            tlv(4, attribute.replace("__", ";").replace("_", "-").encode()),
            tlv(0x31, *(tlv(4, value.encode()) for value in values)),
        )
        for attribute, values in attributes.items()
    ]
    return tlv(0x64, tlv(4, name.encode()), tlv(0x30, *listed))


def result(tag: int, code: int = 0, diagnostic: str = "") -> bytes:
    """Return a result operation with *code*."""
    return tlv(tag, tlv(10, bytes([code])), tlv(4), tlv(4, diagnostic.encode()))


def paging(cookie: bytes) -> bytes:
    """Return the controls of a page that *cookie* follows."""
    value = tlv(0x30, tlv(2, b"\0"), tlv(4, cookie))
    return tlv(0xA0, tlv(0x30, tlv(4, PAGED), tlv(4, value)))


def done(number: int, cookie: bytes = b"", code: int = 0) -> bytes:
    """Return the end of a page."""
    return message(number, result(0x65, code), paging(cookie))


class Replay:
    """A server that answers every search with *answer*(request).

    *bind* and *start_tls* are its answers to those; *slip* follows the latter in clear.
    With *close* it hangs up after the first search. `client` is who is connected.
    """

    def __init__(
        self,
        answer: Callable[[Request], bytes],
        *,
        bind: bytes = result(0x61),
        start_tls: bytes = b"",
        slip: bytes = b"",
        close: bool = False,
    ) -> None:
        self.answer = answer
        self.bind = bind
        self.start_tls = start_tls
        self.slip = slip
        self.close = close
        self.searches = self.binds = 0
        self.client: socket.socket | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"ldap://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in (self._listener, self.client):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while True:
            try:
                self.client, _ = self._listener.accept()
            except OSError:
                return
            with self.client, contextlib.suppress(OSError):
                self._talk(self.client)

    def _talk(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pending = b""
        while piece := client.recv(65536):
            pending += piece
            while whole := pieces(pending)[:1]:
                content = whole[0][1]
                pending = pending[pending.index(content) + len(content) :]
                if not self._reply(client, Request.parse(content)):
                    return

    def _reply(self, client: socket.socket, request: Request) -> bool:
        """Answer *request*; return whether the connection stays open."""
        number = request.number
        if request.tag == BIND:
            self.binds += 1
            client.sendall(message(number, self.bind))
        elif request.tag == EXTENDED:
            client.sendall(message(number, self.start_tls) + self.slip)
        elif request.tag == SEARCH:
            self.searches += 1
            client.sendall(self.answer(request))
            return not self.close
        else:
            return False
        return True
