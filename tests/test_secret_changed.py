"""A secret that is changed while idsync runs is used by the next call."""

from __future__ import annotations

import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from idsync.errors import ConfigError, Denied
from idsync.http import Api
from idsync.settings import Secret


class Service(ThreadingHTTPServer):
    """Lets in who shows one of `accepted`, and writes down what it was shown."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.accepted = {"old"}
        self.shown: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_GET(self) -> None:
        kind, _, said = self.headers["Authorization"].partition(" ")
        token = b64decode(said).decode().partition(":")[2] if kind == "Basic" else said
        self.server.shown.append(token)
        self.send_response(200 if token in self.server.accepted else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def keep(folder: Path, secret: str) -> None:
    """Change the secret's file in one step, as a vault's agent does."""
    (folder / "next").write_text(secret + "\n")
    (folder / "next").rename(folder / "secret")


@pytest.mark.case("O1")
@pytest.mark.parametrize("user", [None, "idsync"])
def test_a_secret_that_is_changed_between_two_calls_is_used_by_the_next(
    service: Service, tmp_path: Path, user: str | None
) -> None:
    keep(tmp_path, "old")
    api = Api(service.url, token=Secret("file", str(tmp_path / "secret")), user=user)
    assert api.call("GET", "x").ok
    keep(tmp_path, "new")
    service.accepted = {"new"}
    assert api.call("GET", "x").ok, "a call was refused before the new secret was looked for"
    assert service.shown == ["old", "new"]
    service.accepted = {"newer"}
    with pytest.raises(Denied):
        api.call("GET", "x")
    (tmp_path / "secret").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        api.call("GET", "x")
    api.close()


@pytest.mark.case("O1")
def test_a_secret_that_is_changed_under_load_fails_no_call_while_both_are_accepted(
    service: Service, tmp_path: Path
) -> None:
    keep(tmp_path, "old")
    api = Api(service.url, token=Secret("file", str(tmp_path / "secret")))
    failed: list[Exception] = []
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            try:
                api.call("GET", "x")
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        until = time.monotonic() + 20
        for accepted, secret in (({"old"}, "old"), ({"old", "new"}, "new"), ({"new"}, "new")):
            service.accepted = accepted
            keep(tmp_path, secret)
            count = len(service.shown)
            while secret not in service.shown[count + 20 :]:
                assert time.monotonic() < until
                time.sleep(0.01)
    finally:
        over.set()
        for thread in threads:
            thread.join()
        api.close()
    assert failed == []
    assert set(service.shown[-4:]) == {"new"}
