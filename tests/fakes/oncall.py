"""A receiver of signed webhooks: checks signatures by itself, knows ids again, misbehaves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SHARED = hashlib.sha256(b"made up for the on-call").digest()


@dataclass
class Receiver:
    """Listens on loopback. *habit*: "" answers 204; a number is answered instead.

    hangs: answers nothing. drips: its answer comes a letter at a time. dies: keeps the message and
    goes without an answer. A message is kept once, however often its id comes.
    """

    certificate: Path | None = None
    public: Ed25519PublicKey | None = None  # else what is shared is checked
    token: str = ""
    habit: str = ""
    port: int = 0
    tries: int = 0
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.take(self, body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield self
        finally:
            self.over.set()
            server.shutdown()
            thread.join(5)
            server.server_close()

    @property
    def url(self) -> str:
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://127.0.0.1:{self.port}/jour"

    def take(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.tries += 1
        if self.habit == "hangs":
            self.over.wait(60)
            request.close_connection = True
            return
        status = int(self.habit) if self.habit.isdecimal() else 204
        if status < 300:
            known = request.headers["authorization"] == (self.token or None)
            if not known or not self._is_signed(request, body):
                status = 401
            else:
                self.messages.setdefault(request.headers["webhook-id"], json.loads(body))
        if self.habit == "dies":
            request.close_connection = True
            return
        if self.habit == "drips":
            self._drip(request)
            return
        request.send_response(status)
        if status == 307:
            request.send_header("Location", self.url)
        if status == 503:
            request.send_header("Retry-After", "240")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _drip(self, request: BaseHTTPRequestHandler) -> None:
        for letter in b"HTTP/1.1 204 " + b"a" * 600:
            if self.over.is_set():
                break
            try:
                request.wfile.write(bytes([letter]))
            except OSError:
                break
            time.sleep(0.05)
        request.close_connection = True

    def _is_signed(self, request: BaseHTTPRequestHandler, body: bytes) -> bool:
        """As https://www.standardwebhooks.com tells a receiver to check it."""
        said = request.headers
        content = b".".join([said["webhook-id"].encode(), said["webhook-timestamp"].encode(), body])
        version, _, coded = said["webhook-signature"].partition(",")
        given = base64.b64decode(coded)
        if self.public is not None:
            if version != "v1a":
                self.wrong.append("version")
                return False
            self.public.verify(given, content)
            return True
        good = version == "v1" and hmac.new(SHARED, content, "sha256").digest() == given
        if not good:
            self.wrong.append("signature")
        return good
