"""A transmitter of security event tokens on loopback: metadata, keys, a stream, polls (RFC 8936).

It keeps what was not acknowledged and tells it again. `trouble` is what the next polls meet:
a status with headers, `cut` (half an answer), `large`, `forgets` (what is acknowledged in that
poll is told once more), or `nonsense`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

BEARER = "made-up-token-of-the-stream"
STREAM = "stream-1"


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections break here on purpose."""


@dataclass
class FakeTransmitter:
    """What it has to tell, and what it was told."""

    jwks: dict[str, Any]
    sign: Callable[[dict[str, Any]], str]  # for the verification events that are asked for
    method: str = "urn:ietf:rfc:8936"
    hold_s: float = 0.05  # how long a poll waits for something to happen
    pending: dict[str, str] = field(default_factory=dict)
    acked: list[str] = field(default_factory=list)
    errors: dict[str, dict[str, str]] = field(default_factory=dict)
    polls: list[dict[str, Any]] = field(default_factory=list)
    got: list[str] = field(default_factory=list)
    trouble: list[Any] = field(default_factory=list)
    changed: dict[str, Any] = field(default_factory=dict)  # in the metadata; None: left out
    keys_status: int = 200

    def __enter__(self) -> Self:
        handler = type("Bound", (Handler,), {"fake": self})
        self._server = Server(("127.0.0.1", 0), handler)
        self.lock = threading.Lock()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    # ── what it answers ─────────────────────────────────────────────────────────────────

    def metadata(self) -> dict[str, Any]:
        told = {
            "issuer": f"{self.url}/idp", "jwks_uri": f"{self.url}/keys",
            "configuration_endpoint": f"{self.url}/stream",
            "verification_endpoint": f"{self.url}/verify",
            "delivery_methods_supported": [self.method],
        } | self.changed  # fmt: skip
        return {name: value for name, value in told.items() if value is not None}

    def stream(self) -> dict[str, Any]:
        url = f"{self.url}/poll"
        return {"stream_id": STREAM, "delivery": {"method": self.method, "endpoint_url": url}}

    def verify(self, asked: dict[str, Any]) -> None:
        kind = "https://schemas.openid.net/secevent/ssf/event-type/verification"
        id_ = f"verification-{len(self.got)}"
        self.pending[id_] = self.sign({
            "jti": id_, "sub_id": {"format": "opaque", "id": asked["stream_id"]},
            "events": {kind: {"state": asked["state"]}},
        })  # fmt: skip

    def polled(self, asked: dict[str, Any], trouble: Any) -> dict[str, Any]:
        self.polls.append(asked)
        if trouble != "forgets":
            for id_ in asked.get("ack", ()):
                self.acked.append(id_)
                self.pending.pop(id_, None)
            for id_, error in asked.get("setErrs", {}).items():
                self.errors[id_] = error
                self.pending.pop(id_, None)
        told = dict(list(self.pending.items())[: asked["maxEvents"]])
        return {"sets": told, "moreAvailable": len(told) < len(self.pending)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    fake: FakeTransmitter

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts, fake = urlsplit(self.path), self.fake
        fake.got.append(parts.path)
        if parts.path == "/.well-known/ssf-configuration/idp":
            self._send(200, fake.metadata())
        elif parts.path == "/keys":
            self._send(fake.keys_status, fake.jwks)
        elif parts.path == "/stream" and parse_qs(parts.query) == {"stream_id": [STREAM]}:
            self._send(200, fake.stream()) if self._known() else self._send(401, {})
        else:
            self._send(404, {})

    def do_POST(self) -> None:
        fake = self.fake
        fake.got.append(self.path)
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._known():
            self._send(401, {})
        elif self.path == "/verify":
            fake.verify(asked)
            self._send(204, None)
        elif self.path == "/poll":
            self._poll(asked)
        else:
            self._send(404, {})

    def _poll(self, asked: dict[str, Any]) -> None:
        fake = self.fake
        with fake.lock:
            trouble = fake.trouble.pop(0) if fake.trouble else None
        if isinstance(trouble, tuple):
            status, headers = trouble
            self._send(status, {}, headers)
            return
        with fake.lock:
            told = fake.polled(asked, trouble)
        if not told["sets"] and not asked["returnImmediately"]:
            time.sleep(fake.hold_s)
        if trouble == "large":
            told["sets"]["large"] = "x" * 5_000_000
        if trouble == "nonsense":
            told = {"sets": ["no", "table"]}
        body = json.dumps(told).encode()
        self._send(200, body[: len(body) // 2] if trouble == "cut" else body, length=len(body))

    def _known(self) -> bool:
        return self.headers["Authorization"] == f"Bearer {BEARER}"

    def _send(
        self, status: int, body: Any, headers: dict[str, str] | None = None, length: int = 0
    ) -> None:
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length or len(raw)))
        self.end_headers()
        self.wfile.write(raw)
        if length > len(raw):
            self.close_connection = True
