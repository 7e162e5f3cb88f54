"""The ARX fake on the wire: HTTP on loopback, Basic, forms, and connections that break."""

from __future__ import annotations

from base64 import b64encode
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.arx_habits import Seen

if TYPE_CHECKING:
    from tests.fakes.arx import FakeArx


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections break here on purpose."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    fake: FakeArx

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        area = parts.path.removeprefix("/arx/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        fake = self.fake
        with fake.lock:
            seen = Seen(
                self.command, area, query, self._document(data) if area == "import" else b""
            )
            fake.seen.append(seen)
            trouble = fake.trouble(area)
            if trouble is None or trouble.how in ("lost", "cut"):
                status, body = self._carry_out(seen)
            if area == "export" and fake.habits.after_export:
                fake.habits.after_export.pop(0)()
        if trouble is None:
            self._send(status, {}, body)
        elif trouble.how == "answer":
            self._send(trouble.status, trouble.headers, trouble.body)
        elif trouble.how == "ignored":
            self._send(200, {}, fake.habits.taken)
        else:
            self.close_connection = True
            if trouble.how == "cut":  # without a length, nothing but the XML tells
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.end_headers()
                self.wfile.write(body[: trouble.cut])

    do_GET = do_POST = _serve

    def _document(self, data: bytes) -> bytes:
        head = f"Content-Type: {self.headers.get('Content-Type', '')}\r\n\r\n".encode()
        parts: dict[str, bytes] = {}
        for part in BytesParser().parsebytes(head + data).walk():
            if not part.is_multipart():
                name = str(part.get_param("name", header="content-disposition"))
                payload = part.get_payload(decode=True)
                parts[name] = payload if isinstance(payload, bytes) else b""
        return parts["upfile"].strip() if "comment" in parts else b""

    def _carry_out(self, seen: Seen) -> tuple[int, bytes]:
        fake = self.fake
        login = b64encode(f"{fake.user}:{fake.password}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {login}":
            return 401, b""
        if seen.path == "import":
            return fake.take(seen.document) if seen.method == "POST" else (405, b"")
        if seen.method not in fake.habits.reads:
            return 405, b""
        if seen.path == "export":
            wanted = seen.query.get("external_id", "")
            if wanted not in ("", *fake.people) and fake.habits.nothing == "404":
                return 404, b""
            return 200, fake.export(seen.query)
        if seen.path == "export_accesscategory" and fake.habits.tells_categories:
            return 200, fake.category_export()
        return 404, b"<html>no such page</html>"

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
