"""A system that is not well: it answers with everything that it was ever told."""

from __future__ import annotations

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.privacy.people import OPEN
from tests.privacy.watch import PARROT


class Parrot:
    """Answers with *status* and repeats, in header and body, the request with its secrets.

    With *upstream*, an address of a system that is well, only writes are treated so.
    """

    def __init__(self, status: int, upstream: str = "") -> None:
        self.status = status
        self.upstream = upstream.removeprefix("http://").partition("/")[0]
        handler = type("Handler", (_Handler,), {"parrot": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.heard = 0
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join(timeout=5)
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    parrot: Parrot
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.parrot.upstream and self.command == "GET":
            self.forward(data)
            return
        self.parrot.heard += 1
        told = f"{PARROT} {OPEN.values()} {dict(self.headers)} {self.path} {data.decode('latin-1')}"
        body = json.dumps({"detail": told, "message": told, "scimType": told}).encode()
        self.send_response(self.parrot.status, "Eka-Papegojrop")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", f"/elsewhere?name={OPEN.given}&who=Eka%20Papegojrop")
        self.send_header("WWW-Authenticate", 'Basic realm="Eka Papegojrop"')
        self.send_header("ETag", '"Eka Papegojrop"')
        self.end_headers()
        self.wfile.write(body)

    def forward(self, data: bytes) -> None:
        connection = http.client.HTTPConnection(self.parrot.upstream, timeout=10)
        connection.request(self.command, self.path, data, dict(self.headers))
        answer = connection.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
