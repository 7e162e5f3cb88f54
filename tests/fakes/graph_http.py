"""What stands on the wire of the fake of Microsoft Graph."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

if TYPE_CHECKING:
    from tests.fakes.graph import FakeGraph


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    fake: FakeGraph

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        fake, parts = self.fake, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if parts.path == f"/{fake.signing_in.tenant}/oauth2/v2.0/token":
            self._send(*fake.signing_in.answer(dict(parse_qsl(body.decode())), fake.now()))
            return
        fake.calls.append(f"{self.command} {parts.path.removeprefix('/v1.0/').partition('/')[0]}")
        with fake.lock:
            trouble = fake.trouble.pop(0) if fake.trouble else None
        if isinstance(trouble, tuple):
            self._send(trouble[0], {"error": {"code": "made-up"}}, trouble[1])
        elif trouble == "page":
            self._send(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})
        elif not fake.signing_in.lets_in(self.headers["Authorization"], fake.now()):
            self._send(401, {"error": {"code": "InvalidAuthenticationToken"}})
        else:
            status, told = self._done(parts.path, parts.query, body)
            if trouble == "lost":
                self.close_connection = True
                self.connection.close()
            else:
                self._send(status, told)

    def _done(self, path: str, query: str, body: bytes) -> tuple[int, dict[str, Any]]:
        fake, asked = self.fake, json.loads(body) if body else {}
        if path == "/v1.0/subscriptions":
            if self.command == "POST":
                return fake.create(asked)
            skip = parse_qs(query).get("$skiptoken", ["0"])[0]
            return 200, fake.listed(int(skip))
        id_ = path.removeprefix("/v1.0/subscriptions/")
        if self.command == "PATCH":
            return fake.renew(id_, asked)
        if self.command == "DELETE":
            return fake.remove(id_)
        return 404, {}

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        raw = b"" if status == 204 else raw
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
