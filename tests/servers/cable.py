"""A network cable on loopback between a client and a server: it can be cut, or carry nothing.

While it carries nothing, neither bytes nor ends of connections come through, and who sends gets
no error: the kernels of both sides go on as if all were well. What was sent meanwhile comes late,
when the cable is whole again, as TCP sends it again then.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Literal, Self

Way = Literal["to server", "to client"]
WAYS: tuple[Way, ...] = ("to server", "to client")


class Cable:
    """Relays to *port* of loopback, from `port`."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._carries = {way: threading.Event() for way in WAYS}
        self._cut = threading.Event()
        self._ended = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._forgotten: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads: list[threading.Thread] = []
        self.mend()

    def cut(self) -> None:
        """Break every connection off with RST, and each new one, until it is mended."""
        self._cut.set()
        for pair in self._pairs:
            for one in pair:
                _reset(one)
        self._pairs.clear()

    def swallow(self, *ways: Way) -> None:
        """Carry nothing *ways*; without any, nothing both ways."""
        for way in ways or WAYS:
            self._carries[way].clear()

    def forget(self) -> None:
        """Carry nothing more of the connections there are, and new ones as ever.

        So does a firewall that was started anew.
        """
        self._forgotten.update(self._pairs)

    def mend(self) -> None:
        """Carry again, first what has waited."""
        self._cut.clear()
        for carries in self._carries.values():
            carries.set()

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), as close() would not
        self.cut()
        self.mend()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _run(self, work: object, *given: object) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.append((client, server))
            if self._cut.is_set():
                _reset(client)
                _reset(server)
                continue
            self._run(self._carry, client, server, "to server")
            self._run(self._carry, server, client, "to client")

    def _carry(self, taken: socket.socket, given: socket.socket, way: Way) -> None:
        try:
            while piece := taken.recv(65536):
                self._carries[way].wait()
                if not {(taken, given), (given, taken)} & self._forgotten:
                    given.sendall(piece)
        except OSError:
            pass
        self._carries[way].wait()
        with contextlib.suppress(OSError):
            given.shutdown(socket.SHUT_WR)


def _reset(one: socket.socket) -> None:
    """Break it off: lingering for 0 s makes close() send RST.

    Shutting the reading side wakes the thread that reads; it would otherwise keep it open.
    """
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RD)
    one.close()
