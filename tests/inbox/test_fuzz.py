"""Anything may be sent to the address where a service listens: it answers, and stays as it was."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.graph import FakeGraph
from tests.inbox.graphed import GraphOffice
from tests.inbox.office import NEW, STRANGER, headers_of, post
from tests.service.test_serving import Served, served

SENT, LONG = 400, 20_000
GROWS_AT_MOST = 40 * 2**20
PATHS = (
    "/", "/health", "/ready", "/metrics", "/events/hr", "/events/skolan", "/events/",
    "/events/hr/", "/events/%00", "/events/../health", "/events/" + "x" * 3000, "*", "//",
    "/events/entra", "/events/entra?validationToken=a+b", "/events/entra?validationToken=%3C%00%ff",
    "/events/entra?validationToken=" + "x" * 3000, "/events/hr?validationToken=a",
    "/metrics?name=%ff&=", "/åäö", "http://127.0.0.1/health",
)  # fmt: skip
METHODS = "GET GET GET GET GET GET GET POST PUT HEAD DELETE OPTIONS TRACE CONNECT BREW post".split()
FIELDS = (
    "content-length: 5", "content-length: -1", "content-length: 99999999999999",
    "content-length: 65537", "transfer-encoding: chunked", "transfer-encoding: gzip, chunked",
    "content-encoding: gzip", "content-type: application/json", "expect: 100-continue",
    "content-type: application/secevent+jwt", "content-type: \xff", "webhook-id: msg_1",
    "webhook-timestamp: NaN", "webhook-timestamp: 1e400", "webhook-timestamp: 9999999999999999999",
    "webhook-signature: v1,", "webhook-signature: v1a,AAAA", "webhook-signature: " + "v1,x " * 900,
    "x-forwarded-for: 1.2.3.4, ::1, x", "host:", "upgrade: h2c", "connection: upgrade",
    "authorization: Bearer x", "accept: application/openmetrics-text", " folded: x",
    "no colon at all", "x: " + "y" * 9000,
)  # fmt: skip
BODIES = (
    b"", b"{}", b"[]", b"null", b'{"type":"person.ended","data":{"person":"p1"}}', b"\xff\xfe",
    b"[" * 60_000, b'{"data":' * 5000, b"1e999999", b'"\\ud800"', b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\n", b"eyJhbGciOiJub25lIn0.e30.", b"a.b.c", b"x" * 70_000,
    b'{"value":[{"clientState":"\\ud800","subscriptionId":{}}]}', b'{"value":[[]]}',
    b'{"value":[' + b"{}," * 30_000 + b"{}]}",
)  # fmt: skip


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[Served, tuple[str, int]]]:
    with FakeGraph() as graph:
        office = GraphOffice(tmp_path, graph)
        office.now = datetime.now(UTC)
        graph.now = lambda: datetime.now(UTC)
        office.sync()
        office.close()
        with (office.town.folder / "connectors.toml").open("a", encoding="utf-8") as file:
            file.write(f'\n[serve]\nlisten = "127.0.0.1:{office.port}"\n')
        yield from answering(office)


def answering(office: GraphOffice) -> Iterator[tuple[Served, tuple[str, int]]]:
    with served(office.town) as running:
        host, _, port = running.until("listening")["address"].rpartition(":")
        running.until("serving")
        yield running, (host, int(port))


def made_up(chance: random.Random) -> bytes:
    """A request: one that is meant, one with nonsense in it, or bytes alone."""
    kind = chance.random()
    if kind < 0.15:
        return chance.randbytes(chance.randrange(1, 400))
    body = chance.choice(BODIES)
    if kind < 0.4:
        fields = _signed(chance, body)
        line = "POST /events/hr HTTP/1.1"
    else:
        fields = chance.sample(FIELDS, chance.randrange(0, 6))
        line = f"{chance.choice(METHODS)} {chance.choice(PATHS)} HTTP/1.{chance.choice('0129')}"
    if chance.random() < 0.6:
        fields.append(f"content-length: {len(body)}")
    head = "\r\n".join([line, "host: 127.0.0.1", *fields]).encode("utf-8", "replace")
    sent = bytearray(head + b"\r\n\r\n" + body)
    for _ in range(chance.choice((0, 0, 0, 1, 8))):
        sent[chance.randrange(min(len(sent), 300))] = chance.randrange(256)
    return bytes(sent)


def _signed(chance: random.Random, body: bytes) -> list[str]:
    """The fields of a message as HR sends it: by the right key, or by a stranger's."""
    stamp = str(int(time.time()))
    key = chance.choice((NEW, STRANGER))
    signed = headers_of(f"msg_{chance.randrange(99)}", stamp, body, key)
    return [f"{name.decode()}: {value.decode()}" for name, value in signed]


def answers(address: tuple[str, int], sent: bytes) -> list[int]:
    """Send it, and return the status of every answer."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.settimeout(0.2)
        got = b""
        with contextlib.suppress(OSError):  # a service may hang up on nonsense, in the middle of it
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                got += piece
    return [int(line[9:12]) for line in got.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def memory_of(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.case("W6", "W7")
@pytest.mark.parametrize("count", [SENT, pytest.param(LONG, marks=pytest.mark.long)])
def test_whatever_is_sent_the_service_answers_none_of_it_with_a_fault_and_does_not_grow(
    service: tuple[Served, tuple[str, int]], count: int
) -> None:
    running, address = service
    chance = random.Random(5)
    statuses: set[int] = set()
    good = BODIES[4]
    headers = headers_of("msg_good", str(int(time.time())), good, NEW)
    url = f"http://{address[0]}:{address[1]}/events/hr"
    assert post(url, headers, good).status_code == 202, "what is good is taken"
    for number in range(count):
        if number == count // 4:
            before = memory_of(running.process.pid)
        statuses.update(answers(address, made_up(chance)))
    assert {200, 400, 404, 405, 413, 429} <= statuses, "the sweep is to reach what can be reached"
    assert not [one for one in statuses if one >= 500 and one != 503], statuses
    assert memory_of(running.process.pid) - before < GROWS_AT_MOST
    assert running.get(f"{address[0]}:{address[1]}", "/ready")[0] == 200
    assert running.stop()[0] == 0
    running.until("ended")
    said = [one["event"] for one in running.said]
    assert "events" in said, "what was accepted is acted on, whatever else comes"
    assert not [one for one in said if "fault" in one or "died" in one or "hangs" in one]
