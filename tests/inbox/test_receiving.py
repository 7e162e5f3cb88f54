"""Who is recognised, what is understood, and what strangers and accidents are answered."""

from __future__ import annotations

import ast
import base64
import json
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.requests import Request

from idsync import webhook
from idsync.config import load
from idsync.errors import ConfigError, NoRoom
from idsync.service.hearing import Refusals, address_of
from idsync.webhook import Malformed, key_of, object_of
from tests.inbox.office import (
    EVENTS,
    NEW,
    OLD,
    STRANGER,
    Office,
    edward,
    headers_of,
    hmac_of,
    post,
    town_in,
)

ROOT = Path(__file__).parents[2]


def stored(office: Office) -> int:
    return len(office.state.inbox.open(office.clock()))


# ── signatures ──────────────────────────────────────────────────────────────────────────


@pytest.mark.case("W4")
@pytest.mark.parametrize("key", [OLD, NEW, None], ids=["old", "new", "ed25519"])
def test_each_of_the_listed_keys_is_good(office: Office, key: bytes | None) -> None:
    assert office.tell("p1", key=key).status == 202


@pytest.mark.case("W4")
def test_among_several_signatures_one_good_one_is_enough(office: Office) -> None:
    headers, body = office.message("p1")
    content = headers[0][1] + b"." + headers[1][1] + b"." + body
    good, bad = hmac_of(NEW, content), hmac_of(STRANGER, content)
    for text in (f"{bad} {good}", f"{good} {bad}", f"v9,xx {good} nonsense", f"{edward(content)}"):
        signed = [*headers[:2], (b"webhook-signature", text.encode())]
        assert said(office, signed, body) == 202
    wrong_kind = f"v1,{edward(content)[4:]} v1a,{good[3:]} {good[3:]} v1"
    signed = [*headers[:2], (b"webhook-signature", wrong_kind.encode())]
    assert said(office, signed, body) == 401


def said(office: Office, headers: list[tuple[bytes, bytes]], body: bytes) -> int:
    from idsync.service.receiving import receive

    return receive(office.config, office.state, "hr", headers, body, office.clock()).status


@pytest.mark.case("W4")
def test_what_differs_by_one_sign_from_what_was_signed_is_refused(office: Office) -> None:
    headers, body = office.message("p1")
    named, stamp, signed = headers
    later = (stamp[0], str(int(stamp[1]) + 1).encode())
    variants = {
        "a space more": (headers, body.replace(b": ", b":  ", 1)),
        "written anew": (headers, json.dumps(json.loads(body), separators=(",", ":")).encode()),
        "a line end": (headers, body + b"\n"),
        "another person": (headers, body.replace(b"p1", b"p2")),
        "another id": ([(named[0], b"msg_other"), stamp, signed], body),
        "another time": ([named, later, signed], body),
        "an id twice": ([named, named, stamp, signed], body),
        "a time twice": ([named, stamp, stamp, signed], body),
        "a signature twice": ([*headers, signed], body),
        "no id": ([stamp, signed], body),
        "no time": ([named, signed], body),
        "no signature": ([named, stamp], body),
        "an empty signature": ([named, stamp, (signed[0], b"")], body),
        "a dot moved": ([(named[0], named[1] + b"." + stamp[1]), (stamp[0], b""), signed], body),
        "no version": ([named, stamp, (signed[0], signed[1][3:])], body),
        "not base64": ([named, stamp, (signed[0], b"v1,\xe5\xe4\xf6")], body),
        "cut short": ([named, stamp, (signed[0], signed[1][:-4])], body),
        "too many": ([named, stamp, (signed[0], signed[1] + b" v1,AAAA" * 16)], body),
        "a stranger's": office.message("p1", key=STRANGER),
    }
    for what, (given, text) in variants.items():
        assert said(office, given, text) == 401, what
    assert stored(office) == 0
    raised = [(name.title(), value) for name, value in headers]
    assert said(office, raised, body) == 202  # the case of a header's name says nothing


@pytest.mark.case("W4")
@pytest.mark.parametrize("flipped", range(0, 600, 41))
def test_any_flipped_bit_is_refused(office: Office, flipped: int) -> None:
    headers, body = office.message("p1")
    place = flipped % (len(body) * 8)
    changed = bytearray(body)
    changed[place // 8] ^= 1 << (place % 8)
    assert said(office, headers, bytes(changed)) == 401


def test_whatever_is_wrong_with_a_signature_is_answered_alike(office: Office) -> None:
    from idsync.service.receiving import receive

    answers = set()
    headers, body = office.message("p1")
    for given in (
        headers[:2],
        headers[1:],
        [*headers, headers[0]],
        office.message("p1", key=STRANGER)[0],
    ):
        answers.add(receive(office.config, office.state, "hr", given, body, office.clock()))
    assert len(answers) == 1


def signature_comparisons(tree: ast.AST) -> list[str]:
    """Return what in *tree* compares, outside `hmac.compare_digest` and `verify`, bytes that
    were signed or are a signature: `==`, `!=` or `in` on such a name.
    """
    named = ("sign", "given", "digest", "secret", "mac")
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(
            isinstance(one, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for one in node.ops
        ):
            words = ast.unparse(node)
            names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
            names |= {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}
            if any(word in name for name in names for word in named):
                found.append(words)
    return found


@pytest.mark.case("W5")
def test_signatures_are_compared_in_constant_time_alone() -> None:
    tree = ast.parse(Path(webhook.__file__).read_text(encoding="utf-8"))
    assert signature_comparisons(tree) == []
    checking = next(
        one for one in ast.walk(tree)
        if isinstance(one, ast.FunctionDef) and one.name == "is_signed"
    )  # fmt: skip
    calls = {ast.unparse(one.func) for one in ast.walk(checking) if isinstance(one, ast.Call)}
    assert "hmac.compare_digest" in calls
    returns = [one for one in ast.walk(checking) if isinstance(one, ast.Return | ast.Break)]
    assert len(returns) == 1, "it looks at every signature under every key, and then returns"


def test_a_plain_comparison_of_signatures_would_be_found() -> None:
    planted = "def f(given, key):\n    return hmac.digest(key, b'', 'sha256') == given\n"
    assert signature_comparisons(ast.parse(planted))


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "whsec_AAAA", "whsec_!!!", "whpk_" + base64.b64encode(b"x" * 31).decode(),
     "whsec_" + base64.b64encode(b"x" * 65).decode(), "sesam"],
)  # fmt: skip
def test_a_key_of_another_form_is_no_key(text: str) -> None:
    with pytest.raises(ConfigError, match="whsec_"):
        key_of(text)


def test_while_a_key_cannot_be_read_an_unknown_signature_is_to_come_again(office: Office) -> None:
    (office.town.folder / "new").unlink()
    assert office.tell("p1", key=NEW).status == 503
    assert office.tell("p1", key=OLD).status == 202


# ── time ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("W2")
def test_a_captured_message_is_refused_later_and_does_nothing_twice(office: Office) -> None:
    headers, body = office.message("p1")
    assert said(office, headers, body) == 202
    assert said(office, headers, body) == 202  # within five minutes it is the same message
    assert stored(office) == 1
    office.now += timedelta(minutes=5, seconds=2)
    assert said(office, headers, body) == 401
    anew = [*headers[:1], (b"webhook-timestamp", str(int(office.now.timestamp())).encode())]
    assert said(office, [*anew, headers[2]], body) == 401
    assert stored(office) == 1


@pytest.mark.case("W16")
@pytest.mark.parametrize("off", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_sender_whose_clock_is_wrong_is_told_so_and_so_is_the_operator(
    office: Office, off: timedelta
) -> None:
    answer = office.tell("p1", at=office.now + off)
    assert answer.status == 401
    assert "webhook-timestamp" in answer.error
    assert [one for one in office.alarms() if "webhook-timestamp" in one]
    assert stored(office) == 0
    office.jobs[1] = [office.row(1, "e1", end="2026-11-01")]
    office.write_hr()
    office.sync()
    assert office.opens(1) == []  # the nightly read finds it anyway


def test_a_stranger_is_not_told_that_the_clock_is_wrong(office: Office) -> None:
    answer = office.tell("p1", at=office.now - timedelta(hours=1), key=STRANGER)
    assert "webhook-timestamp" not in answer.error
    assert office.alarms() == []


# ── JSON ────────────────────────────────────────────────────────────────────────────────

AMBIGUOUS = {
    "a key twice": b'{"type": "active", "type": "person.ended"}',
    "a key twice, deep": b'{"data": {"person": "p1", "person": "p2"}}',
    "a key twice, escaped": b'{"type": 1, "t\\u0079pe": 2}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "a number beyond all": b'{"a": 1e999}',
    "a huge integer": b'{"a": ' + b"9" * 5000 + b"}",
    "an integer that floats cannot hold": b'{"a": 9007199254740993}',
    "deep lists": b'{"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "deep objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "deep and never closed": b"[" * 60_000,
    "a list": b"[]",
    "a text": b'"person.ended"',
    "null": b"null",
    "nothing": b"",
    "spaces": b"   ",
    "two objects": b"{} {}",
    "a comment": b'{"a": 1 /* */}',
    "a comma too many": b'{"a": 1,}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "Latin-1": '{"a": "å"}'.encode("latin-1"),
    "half a surrogate": b'{"a": "\\ud800"}',
    "half a surrogate as key": b'{"\\udfff": 1}',
    "a control sign": b'{"a": "\x01"}',
    "single quotes": b"{'a': 1}",
}


@pytest.mark.case("W7")
@pytest.mark.parametrize("what", AMBIGUOUS)
def test_a_body_that_two_readers_might_read_differently_is_malformed(
    what: str, office: Office
) -> None:
    body = AMBIGUOUS[what]
    with pytest.raises(Malformed):
        object_of(body)
    stamp = str(int(office.now.timestamp()))
    assert said(office, headers_of("m1", stamp, body, NEW), body) == 400
    assert stored(office) == 0


def test_brackets_in_a_text_are_no_depth() -> None:
    text = "[{" * 100 + '\\" ['
    assert object_of(json.dumps({"a": text}).encode()) == {"a": text}
    assert object_of(b'{"a": ' + b"[" * 15 + b"]" * 15 + b"}")
    with pytest.raises(Malformed):
        object_of(b'{"a": ' + b"[" * 16 + b"]" * 16 + b"}")


@pytest.mark.parametrize(
    "data",
    [{"person": ""}, {"person": None}, {"person": True}, {"person": 1.5}, {"person": ["p1"]},
     {"person": "p" * 257}, {"person": "p1\n"}, {"person": "p1", "ends": "i morgon"},
     {"person": "p1", "ends": 5}, {"person": "p1", "ends": "9999-12-31"},
     {"person": "p1", "sequence": -1}, {"person": "p1", "sequence": "1"},
     {"person": "p1", "employment": []}, {"person": "19900101-0017"}],
    ids=lambda data: json.dumps(data)[:40],
)  # fmt: skip
def test_a_fact_of_another_form_is_malformed(office: Office, data: dict[str, object]) -> None:
    body = json.dumps({"type": "person.ended", "data": data}).encode()
    stamp = str(int(office.now.timestamp()))
    assert said(office, headers_of("m1", stamp, body, NEW), body) == 400
    assert stored(office) == 0


# ── on the wire ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def clock_of_today(office: Office) -> Iterator[Office]:
    office.now = datetime.now(UTC)
    yield office


def test_a_message_is_accepted_on_the_wire_and_told_nothing(clock_of_today: Office) -> None:
    office = clock_of_today
    with office.listening() as url:
        answer = post(f"{url}hr", *office.message("p1"))
        assert (answer.status_code, answer.content) == (202, b"")
        assert "server" not in answer.headers
        assert post(f"{url}hr", *office.message("p1", key=STRANGER)).status_code == 401
        assert post(f"{url}okänd", *office.message("p1")).status_code == 404
        assert post(url.replace("/events/", "/"), *office.message("p1")).status_code == 404
        for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW"):
            assert raw(url, f"{method} /events/hr HTTP/1.1\r\nhost: a\r\n\r\n")[0] == 405
    assert stored(office) == 1


def raw(url: str, text: str | bytes, *, more: bytes = b"", wait_s: float = 0) -> tuple[int, float]:
    """Send bytes as they are; return the status and how long the answer took."""
    port = int(url.split(":")[2].partition("/")[0])
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
        wire.sendall(text if isinstance(text, bytes) else text.encode())
        try:
            for at in range(0, len(more), 65536):
                wire.sendall(more[at : at + 65536])
        except OSError:
            pass
        if wait_s:
            wire.settimeout(wait_s)
        answer = wire.recv(4096)
    return (int(answer.split(b" ")[1]) if answer else 0), time.monotonic() - begun


@pytest.mark.case("W6")
def test_a_body_too_large_in_any_form_is_refused_before_it_is_read(clock_of_today: Office) -> None:
    office = clock_of_today
    headers, body = office.message("p1")
    big = body + b" " * (65_537 - len(body))
    with office.listening() as url:
        assert post(f"{url}hr", headers, big).status_code == 413
        said_only = "POST /events/hr HTTP/1.1\r\nhost: a\r\ncontent-length: 104857600\r\n\r\n"
        status, took = raw(url, said_only)
        assert status == 413
        assert took < 5, "it does not wait for a body that is too large"
        packed = zlib.compress(b" " * 50_000_000)
        assert len(packed) < 65_536
        for encoding in ("gzip", "deflate", "br", "identity, gzip"):
            answer = post(f"{url}hr", headers, packed, **{"content-encoding": encoding})
            assert answer.status_code == 400
        many = "".join(f"x-{number}: a\r\n" for number in range(100_000))
        status, _ = raw(url, "POST /events/hr HTTP/1.1\r\nhost: a\r\n", more=many.encode())
        assert status in (0, 400)
        assert post(f"{url}hr", *office.message("p1")).status_code == 202


SERVING = """
import sys, threading, resource, socket
from datetime import UTC, datetime
from pathlib import Path
from idsync.config import load
from idsync.service.hearing import app, server_of
from idsync.store import open_state
config = load(Path(sys.argv[1]) / "connectors.toml")
state = open_state(config.idsync.state)
asgi = app(lambda: (config, state), lambda: datetime.now(UTC))
server = server_of(asgi, "127.0.0.1", int(sys.argv[2]))
threading.Thread(target=server.run, daemon=True).start()
while not server.started:
    pass
print("listening", flush=True)
for line in sys.stdin:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
"""


@pytest.mark.case("W6")
def test_a_hundred_megabytes_without_a_length_leave_memory_flat(clock_of_today: Office) -> None:
    office = clock_of_today
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = str(office.town.folder)
    serving = subprocess.Popen(
        [sys.executable, "-c", SERVING, folder, str(port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert serving.stdin is not None
    assert serving.stdout is not None
    try:
        assert serving.stdout.readline() == "listening\n"
        url = f"http://127.0.0.1:{port}/events/hr"
        assert post(url, *office.message("p1")).status_code == 202

        def peak_kb() -> int:
            print("", file=serving.stdin, flush=True)
            assert serving.stdout is not None
            return int(serving.stdout.readline())

        before = peak_kb()
        for _ in range(3):
            head = b"POST /events/hr HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            part = b"10000\r\n" + b"a" * 65536 + b"\r\n"
            status, _ = raw(url, head, more=part * 1600)
            assert status in (0, 413)
        long = b"POST /events/hr HTTP/1.1\r\nhost: a\r\ncontent-length: 104857600\r\n\r\n"
        assert raw(url, long, more=b"a" * 104_857_600)[0] in (0, 413)
        assert peak_kb() - before < 8_000
        assert post(url, *office.message("p1")).status_code == 202
    finally:
        serving.kill()
        serving.wait()
        serving.stdin.close()
        serving.stdout.close()


def test_a_body_that_never_ends_is_cut_off(
    clock_of_today: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("idsync.service.hearing.BODY_S", 0.5)
    with clock_of_today.listening() as url:
        head = "POST /events/hr HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc"
        status, took = raw(url, head)
        assert status == 408
        assert took < 5


# ── strangers ───────────────────────────────────────────────────────────────────────────


@pytest.mark.case("W12")
def test_a_flood_without_a_signature_is_refused_before_any_key_is_tried(
    clock_of_today: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = clock_of_today
    tried = []
    real = webhook.is_signed

    def counted(*given: object) -> bool:
        tried.append(1)
        return bool(real(*given))  # type: ignore[arg-type]

    monkeypatch.setattr("idsync.service.receiving.is_signed", counted)
    with office.listening() as url:
        codes = [post(f"{url}hr", *office.message("p1", key=STRANGER)).status_code
                 for _ in range(200)]  # fmt: skip
        assert codes[:20] == [401] * 20
        assert set(codes[20:]) == {429}
        assert len(tried) == 20
        assert post(f"{url}hr", *office.message("p1")).headers["retry-after"] == "60"
        office.now += timedelta(minutes=1)
        assert post(f"{url}hr", *office.message("p1")).status_code == 202


@pytest.mark.case("W12")
def test_the_memory_of_refusals_does_not_grow() -> None:
    refusals = Refusals(most=3, addresses=100)
    now = datetime(2026, 11, 23, tzinfo=UTC)
    for number in range(10_000):
        refusals.add(f"10.0.{number // 250}.{number % 250}", now)
        assert len(refusals) <= 100
    for number in range(3):
        refusals.add(f"2001:db8::{number}", now)
    assert refusals.too_many("2001:db8::ffff", now), "a whole /64 is one stranger"
    assert not refusals.too_many("2001:db8:0:1::1", now)
    assert not refusals.too_many("2001:db8::ffff", now + timedelta(seconds=1))


@pytest.mark.case("W18")
def test_a_forwarded_header_from_anybody_but_the_proxy_says_nothing(
    clock_of_today: Office,
) -> None:
    office = clock_of_today
    with office.listening() as url:
        codes = [
            post(f"{url}hr", *office.message("p1", key=STRANGER),
                 **{"x-forwarded-for": f"10.0.0.{number}", "forwarded": "for=10.9.9.9",
                    "x-real-ip": f"10.1.0.{number}", "x-client-cert": "cn=hr",
                    "x-ssl-client-verify": "SUCCESS"}).status_code
            for number in range(30)
        ]  # fmt: skip
    assert codes == [401] * 20 + [429] * 10


@pytest.mark.case("W18")
def test_of_the_proxy_the_last_word_counts(tmp_path: Path) -> None:
    office = Office(town_in(tmp_path), proxy='"127.0.0.1"', now=datetime.now(UTC))
    try:
        with office.listening() as url:
            for number in range(30):  # a stranger who writes a new beginning each time
                said = {"x-forwarded-for": f"10.0.0.{number}, 192.0.2.7"}
                post(f"{url}hr", *office.message("p1", key=STRANGER), **said)
            blocked = post(f"{url}hr", *office.message("p1"), **{"x-forwarded-for": "192.0.2.7"})
            assert blocked.status_code == 429
            other = post(f"{url}hr", *office.message("p1"), **{"x-forwarded-for": "192.0.2.8"})
            assert other.status_code == 202
    finally:
        office.close()


def test_a_forwarded_header_that_is_no_address_is_the_proxys_own() -> None:
    scope = {"type": "http", "client": ("127.0.0.1", 1), "headers": [(b"x-forwarded-for", b"x")]}
    assert address_of(Request(scope), ("127.0.0.1",)) == "127.0.0.1"


# ── what cannot be kept ─────────────────────────────────────────────────────────────────


@pytest.mark.case("J9")
def test_what_the_state_cannot_keep_is_to_come_again(
    clock_of_today: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = clock_of_today

    def full(*_: object) -> None:
        raise NoRoom("no room")

    with office.listening() as url:
        with monkeypatch.context() as patch:
            patch.setattr(office.state.inbox, "receive", full)
            answer = post(f"{url}hr", *office.message("p1"))
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "30"
        file = Path(office.config.idsync.state.removeprefix("sqlite:///"))
        aside = [file.with_name(file.name + end) for end in ("", "-wal", "-shm")]
        office.state.engine.dispose()
        for one in aside:
            if one.exists():
                one.rename(one.with_name(one.name + ".away"))
        file.mkdir()
        assert post(f"{url}hr", *office.message("p1")).status_code == 503
        file.rmdir()
        for one in aside:
            away = one.with_name(one.name + ".away")
            if away.exists():
                away.rename(one)
        assert post(f"{url}hr", *office.message("p1")).status_code == 202
    assert stored(office) == 1


def test_one_id_for_two_different_bodies_is_said(office: Office) -> None:
    assert office.tell("p1", id="same").status == 202
    assert office.tell("p2", id="same").status == 202
    assert stored(office) == 1
    assert office.alarms() == ["one id for two different events"]


# ── the file ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wrong", "right", "told"),
    [
        ("controler = ", "controller = ", "controller"),
        ('source = "rh"', 'source = "hr"', "known: hr, lms"),
        ('source = "lms"', 'source = "hr"', "does not tell of employments"),
        ('"person.endd"', '"person.ended"', "did you mean person.ended?"),
        ('controller = "skolen"', 'controller = "skolan"', "did you mean skolan?"),
        ('trusted_proxy = ["proxyn"]', "trusted_proxy = [PROXY]", "IP address"),
    ],
)
def test_a_mistake_in_the_table_of_a_sender_is_told(
    tmp_path: Path, wrong: str, right: str, told: str
) -> None:
    town = town_in(tmp_path)
    town.write()
    assert right in EVENTS
    events = EVENTS.replace(right, wrong, 1).replace("PROXY", "")
    with (town.folder / "connectors.toml").open("a", encoding="utf-8") as file:
        file.write(events)
    with pytest.raises(ConfigError, match=told.replace("?", r"\?")):
        load(town.folder / "connectors.toml")
