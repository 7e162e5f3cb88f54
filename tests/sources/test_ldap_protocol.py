"""Whatever bytes a server sends, the ldap source gives a whole read or one of our errors."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable

import polars as pl
import pytest

from idsync.errors import ConfigError, Denied, IdsyncError, Incomplete, Unavailable
from idsync.sources import Batch
from idsync.sources.ldap import LdapSource
from idsync.sources.ldap_settings import LdapConfig
from tests.servers.proxy import Proxy
from tests.servers.replay import Replay, Request, done, entry, message, pieces, result, tlv
from tests.servers.slapd import Slapd
from tests.sources.conftest import GROUPS, PEOPLE

Make = Callable[..., LdapConfig]
Answer = Callable[[Request], bytes]
COLUMNS = {"employee_number": "employeeNumber"}


def person(number: int) -> bytes:
    """Return the entry of a person."""
    return entry(
        f"uid=p{number},{PEOPLE}", entryUUID=[f"id-{number}"], employeeNumber=[str(number)]
    )


def read(config: LdapConfig) -> list[Batch]:
    """Read everything and close."""
    source = LdapSource(config)
    try:
        return list(source.read(None))
    finally:
        source.close()


def error_of(config: Make, answer: Answer, *, close: bool = False) -> IdsyncError:
    """Return the error that a server with this *answer* leads to."""
    with Replay(answer, close=close) as server, pytest.raises(IdsyncError) as caught:
        read(config(server.url, map=COLUMNS))
    return caught.value


def test_a_page_with_an_empty_cookie_is_the_end(config: Make) -> None:
    def answer(request: Request) -> bytes:
        number = request.number
        cookie = b"more" if server.searches == 1 else b""
        return message(number, person(server.searches)) + done(number, cookie)

    with Replay(answer) as server:
        [batch] = read(config(server.url, map=COLUMNS))
    assert batch.records["key"].to_list() == ["id-1", "id-2"]
    assert batch.proof == "final page seen, 2 entries"


@pytest.mark.case("S15")
@pytest.mark.parametrize(
    ("name", "answer", "told"),
    [
        ("no control", lambda n: message(n, person(1)) + message(n, result(0x65)), "without say"),
        ("foreign", lambda n: message(n + 1, person(1)) + done(n), "was not asked"),
        ("foreign end", lambda n: message(n, person(1)) + done(n + 1), "was not asked"),
        ("bind again", lambda n: message(n, result(0x61)) + done(n), "operation 0x61"),
        ("absurd", lambda n: b"\x30\x84\x7f\xff\xff\xff", "claims 2147483647 bytes"),
        ("endless", lambda n: b"\x30\x80" + person(1), "no usable length"),
        ("huge length", lambda n: b"\x30\x88" + b"\xff" * 8, "no usable length"),
        ("not LDAP", lambda n: b"HTTP/1.1 400 Bad Request\r\n\r\n", "not an LDAP message"),
        ("empty message", lambda n: b"\x30\x00", "cut off"),
        ("cut entry", lambda n: message(n, person(1)[:-4]) + done(n), "longer than what"),
        ("reference", lambda n: message(n, tlv(0x73, tlv(4, b"ldap://x/"))) + done(n), "referral"),
    ],
)
def test_an_answer_that_is_not_a_whole_page_is_incomplete(
    config: Make, name: str, answer: Callable[[int], bytes], told: str
) -> None:
    error = error_of(config, lambda request: answer(request.number))
    assert isinstance(error, Incomplete), name
    assert told in str(error)


@pytest.mark.parametrize("code", range(1, 124))
def test_every_result_but_success_is_an_error_at_first_and_incomplete_later(
    config: Make, code: int
) -> None:
    at_once = error_of(config, lambda request: done(request.number, code=code))
    kinds = {51: Unavailable, 52: Unavailable, 50: Denied, 32: ConfigError, 10: ConfigError}
    assert isinstance(at_once, kinds.get(code, IdsyncError))
    later = error_of(
        config, lambda request: message(request.number, person(1)) + done(request.number, code=code)
    )
    assert isinstance(later, Incomplete)
    assert f"result {code} " in str(later)


def test_a_server_that_ends_the_connection_says_why(config: Make) -> None:
    notice = tlv(0x78, tlv(10, b"\x34"), tlv(4), tlv(4), tlv(0x8A, b"1.3.6.1.4.1.1466.20036"))
    error = error_of(config, lambda _: message(0, notice))
    assert isinstance(error, Unavailable)
    assert "result 52 unavailable" in str(error)


def test_pages_that_never_hold_anything_do_not_go_on_for_ever(config: Make) -> None:
    error = error_of(config, lambda request: done(request.number, b"again"))
    assert isinstance(error, Incomplete)
    assert "empty pages in a row" in str(error)


def test_an_answer_that_trickles_is_given_up(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idsync.sources.ldap_connection.PATIENCE", 0.3)

    def answer(request: Request) -> bytes:
        number = request.number
        for octet in message(number, person(1)):
            client = server.client
            assert client is not None
            client.sendall(bytes([octet]))
            time.sleep(0.02)
        return done(number)

    began = time.monotonic()
    with Replay(answer) as server, pytest.raises(Unavailable, match=r"took longer than 0\.3 s"):
        read(config(server.url, map=COLUMNS, timeout_s=1))
    assert time.monotonic() - began < 5


def test_a_large_message_in_small_pieces_arrives_whole(config: Make) -> None:
    members = [f"uid=p{number},{PEOPLE}" for number in range(40_000)]

    def answer(request: Request) -> bytes:
        number = request.number
        if request.base == PEOPLE:
            return b"".join(message(number, person(n)) for n in range(5)) + done(number)
        return message(number, entry(f"cn=alla,{GROUPS}", cn=["alla"], member=members)) + done(
            number
        )

    with Replay(answer) as server:
        found = read(config(server.url, kind="memberships"))
    assert found[-1].records["person_key"].to_list() == ["0", "1", "2", "3", "4"]


# ── ranges, as Active Directory cuts them ───────────────────────────────────────────────


class Ranged:
    """A server with one group of *size* people that gives *step* members at a time."""

    def __init__(self, size: int, step: int, lose_after: int | None = None) -> None:
        self.names = [f"uid=p{number},{PEOPLE}" for number in range(size)]
        self.step = step
        self.lose_after = lose_after

    def __call__(self, request: Request) -> bytes:
        number = request.number
        if request.base == PEOPLE:
            people = (message(number, person(n)) for n in range(len(self.names)))
            return b"".join(people) + done(number)
        start = 0
        for attribute in request.attributes:
            if ";range=" in attribute:
                start = int(attribute.partition("=")[2].partition("-")[0])
        values = self.names[start : start + self.step]
        last = "*" if start + self.step >= len(self.names) else str(start + self.step - 1)
        attributes = {"cn": ["alla"], "member": [], f"member__range={start}_{last}": values}
        if self.lose_after is not None and start >= self.lose_after:
            attributes = {"cn": ["alla"]}
        return message(number, entry(f"cn=alla,{GROUPS}", **attributes)) + done(number)


@pytest.mark.case("S17")
@pytest.mark.parametrize(("size", "step"), [(1, 1), (7, 3), (9, 3), (40, 1), (5, 1500)])
def test_members_in_ranges_are_followed_to_the_last(config: Make, size: int, step: int) -> None:
    with Replay(Ranged(size, step)) as server:
        found = read(config(server.url, kind="memberships"))
    named = pl.concat([batch.records for batch in found if batch.kind == "memberships"])
    assert sorted(named["person_key"], key=int) == [str(number) for number in range(size)]


@pytest.mark.case("S17")
def test_a_range_that_is_lost_makes_the_read_incomplete(config: Make) -> None:
    with (
        Replay(Ranged(9, 3, lose_after=6)) as server,
        pytest.raises(Incomplete, match="ended at 6 without the last part"),
    ):
        read(config(server.url, kind="memberships"))


def test_a_person_with_ranged_values_is_refused(config: Make) -> None:
    with Replay(Ranged(9, 3)) as server, pytest.raises(ConfigError, match="attribute with one val"):
        read(config(server.url, base=GROUPS, map={"mail": "member"}, key="cn"))


# ── the bind ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "diagnostic", "kind", "told"),
    [
        (49, "80090308: AcceptSecurityContext error, data 532, v4563", Denied, "has expired"),
        (49, "80090308: AcceptSecurityContext error, data 52e, v4563", Denied, "check bind_dn"),
        (49, "Öberg", Denied, "check bind_dn and password"),
        (53, "", Denied, "unwillingToPerform"),
        (8, "", ConfigError, "start_tls = true"),
        (13, "", ConfigError, "start_tls = true"),
        (51, "", Unavailable, "busy"),
        (80, "", Unavailable, "other"),
    ],
)
def test_a_refused_bind_says_what_to_do(
    config: Make, code: int, diagnostic: str, kind: type[IdsyncError], told: str
) -> None:
    bind = result(0x61, code, diagnostic)
    with (
        Replay(lambda request: done(request.number), bind=bind) as server,
        pytest.raises(kind, match=told) as caught,
    ):
        read(config(server.url))
    assert "Öberg" not in str(caught.value)


def test_a_server_that_answers_a_bind_with_noise_is_unavailable(config: Make) -> None:
    for noise in (b"", b"\x65\x00", b"\x61\x03\x0a\x01", b"\x61\x07" + b"\xff" * 7):
        with (
            Replay(lambda request: done(request.number), bind=noise) as server,
            pytest.raises(Unavailable, match="does not speak LDAP"),
        ):
            read(config(server.url))


def test_what_is_slipped_in_before_tls_is_not_believed(config: Make) -> None:
    with Replay(lambda _: b"", start_tls=result(0x78), slip=done(3)) as server:
        settings = config(server.url, start_tls=True)
        with pytest.raises(Unavailable, match="more than the answer came before TLS"):
            read(settings)


def test_a_refused_start_tls_never_goes_on_in_clear(config: Make) -> None:
    with Replay(lambda request: done(request.number), start_tls=result(0x78, 2)) as server:
        with pytest.raises(ConfigError, match="refuses StartTLS"):
            read(config(server.url, start_tls=True))
        assert server.binds == 0


# ── damage ──────────────────────────────────────────────────────────────────────────────


def recorded(directory: Slapd, config: Make) -> bytes:
    """Return what a real server answers to one search, without the answer to the bind."""
    with Proxy(directory.port) as proxy:
        read(config(f"ldap://127.0.0.1:{proxy.port}", map=COLUMNS, filter="(uid=p00*)"))
        heard = bytes(proxy.received)
    return heard[2 + heard[1] :]


def renumbered(answer: bytes, number: int) -> bytes:
    """Return the messages of *answer* with another number."""
    contents = [content for _, content in pieces(answer)]
    return b"".join(message(number, content[2 + content[1] :]) for content in contents)


@pytest.mark.slapd
def test_the_recorded_answer_itself_is_a_whole_read(directory: Slapd, config: Make) -> None:
    answer = recorded(directory, config)
    with Replay(lambda request: renumbered(answer, request.number)) as server:
        [batch] = read(config(server.url, map=COLUMNS))
    assert batch.proof == "final page seen, 10 entries"


@pytest.mark.slapd
def test_damaged_bytes_never_hang_and_never_raise_anything_but_our_errors(
    directory: Slapd, config: Make
) -> None:
    chance = random.Random(20250101)
    answer = recorded(directory, config)
    kinds = {"whole": 0, "error": 0}
    for _ in range(1500):
        changes = [
            (chance.randrange(len(answer)), chance.randrange(256))
            for _ in range(chance.randint(1, 4))
        ]
        cut = chance.choice([0, 0, chance.randrange(len(answer))])

        def damaged(
            request: Request,
            changes: list[tuple[int, int]] = changes,
            cut: int = cut,
        ) -> bytes:
            octets = bytearray(renumbered(answer, request.number))
            for position, octet in changes:
                octets[position] = octet
            return bytes(octets[:-cut] if cut else octets)

        with Replay(damaged, close=True) as server:
            try:
                batches = read(config(server.url, map=COLUMNS, timeout_s=2))
            except IdsyncError:
                kinds["error"] += 1
            else:
                # Only values were hit: what is whole has every entry.
                assert cut == 0
                assert sum(len(batch.records) for batch in batches) == 10
                kinds["whole"] += 1
    assert min(kinds.values()) > 20, kinds


@pytest.mark.slapd
def test_an_answer_cut_at_any_byte_is_never_whole(directory: Slapd, config: Make) -> None:
    answer = recorded(directory, config)
    for end in itertools.chain(range(0, len(answer), 37), range(len(answer) - 40, len(answer))):

        def cut(request: Request, end: int = end) -> bytes:
            return renumbered(answer, request.number)[:end]

        with Replay(cut, close=True) as server, pytest.raises((Incomplete, Unavailable)):
            read(config(server.url, map=COLUMNS))
