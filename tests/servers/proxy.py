"""A TCP relay on loopback that listens in, and goes wrong after so many bytes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

Fault = Literal["cut", "reset", "stall"]


class Proxy:
    """Relays to *port*. After *after* bytes of the server's: *fault*, or else *action*.

    cut closes the connection, reset breaks it off, stall delivers nothing more; *action*
    is called once, and the relay goes on. `sent` and `received` hold what each side said.
    """

    def __init__(
        self,
        port: int,
        *,
        after: int | None = None,
        fault: Fault | None = None,
        action: Callable[[], None] | None = None,
    ) -> None:
        self.target = port
        self.after = after
        self.fault = fault
        self.action = action
        self.sent = bytearray()
        self.received = bytearray()
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # close() alone would leave accept() and recv() waiting in their threads.
        for one in (self._listener, *self._sockets):
            _shut(one)
        for thread in self._threads:
            thread.join(timeout=5)
        for one in (self._listener, *self._sockets):
            one.close()

    def _run(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(client)
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                _shut(client)
                continue
            server.settimeout(None)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(server)
            self._run(self._forward, client, server)
            self._run(self._backward, server, client)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while piece := client.recv(65536):
                self.sent += piece
                server.sendall(piece)
        except OSError:
            pass
        _shut(server)

    def _backward(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        try:
            while piece := server.recv(16384):
                if self.after is not None and passed + len(piece) > self.after:
                    if self.fault is not None:
                        client.sendall(piece[: max(0, self.after - passed)])
                        self._fail(client)
                        return
                    if self.action is not None:
                        self.action()
                        self.action = None
                # Kept first: once it is sent, the client may be done and ask what came.
                self.received += piece
                client.sendall(piece)
                passed += len(piece)
        except OSError:
            pass
        _shut(client)

    def _fail(self, client: socket.socket) -> None:
        if self.fault == "stall":
            return
        if self.fault == "reset":
            # Lingering for 0 s makes close() send RST. Only the reading side is shut before, to
            # wake the other thread; shutting both would send FIN.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.shutdown(socket.SHUT_RD)
            client.close()
            return
        _shut(client)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
