"""Tokens that are pushed (RFC 8935), and their keys read over HTTP, with all that goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from idsync.service.hearing import Refusals
from tests.fakes.transmitter import FakeTransmitter
from tests.inbox.office import post, town_in
from tests.inbox.polled import transmitting
from tests.inbox.tokens import BY_FILE, SetOffice, jwks, signed

MEDIA = "application/secevent+jwt"
SECRET = 'authorization = { file = "FOLDER/authorization" }\n'


@pytest.fixture
def office(tmp_path: Path) -> Iterator[SetOffice]:
    made = SetOffice(town_in(tmp_path), BY_FILE + SECRET)
    (made.town.folder / "authorization").write_text("Bearer made-up-value", encoding="utf-8")
    made.now = datetime.now(UTC)
    yield made
    made.close()


@pytest.fixture
def transmitter() -> Iterator[FakeTransmitter]:
    with transmitting() as made:
        yield made


# ── answers ─────────────────────────────────────────────────────────────────────────────


def pushed(url: str, token: bytes, authorization: str = "Bearer made-up-value", **more: str) -> Any:
    headers = {"Content-Type": MEDIA, "Authorization": authorization} | more
    return post(f"{url}idp", [], token, **headers)


def test_a_push_is_answered_as_the_standard_says(office: SetOffice) -> None:
    with office.listening() as url:
        answer = pushed(url, signed(office.said()))
        assert (answer.status_code, answer.content) == (202, b"")
        answer = pushed(url, signed(office.said(aud="https://other.example.se")))
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-language"] == "en"
        assert answer.json() == {
            "err": "invalid_audience", "description": "not meant for this receiver",
        }  # fmt: skip
        packed = pushed(url, signed(office.said()), **{"Content-Encoding": "gzip"})
        assert (packed.status_code, packed.json()["err"]) == (400, "invalid_request")
        assert pushed(url, b"a" * 65_537).status_code == 413


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer made-up-valu", "bearer made-up-value"])
def test_who_does_not_carry_what_was_agreed_is_told_what_any_stranger_is(
    office: SetOffice, given: str
) -> None:
    stranger = office.push(signed(office.said(), "ES256-1"), authorization=given)
    assert stranger.code == "authentication_failed"
    forged = signed(office.said())[:-8] + b"AAAAAAAA"
    known = office.push(forged, authorization="Bearer made-up-value")
    assert known.code == stranger.code
    assert known.error == stranger.error


def test_another_media_type_is_no_push(office: SetOffice) -> None:
    for media in ("application/json", "application/jwt", ""):
        answer = office.push(signed(office.said()), media, authorization="Bearer made-up-value")
        assert answer.code == "invalid_request"


@pytest.mark.case("W12")
def test_a_flood_of_forged_tokens_is_soon_not_looked_at(office: SetOffice) -> None:
    with office.listening() as url:
        statuses = [pushed(url, b"forged").status_code for _ in range(25)]
    assert statuses[:20] == [400] * 20
    assert 429 in statuses
    assert Refusals().too_many("192.0.2.1", office.now) is False


def test_nobody_pushes_for_a_sender_that_is_polled(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t", encoding="utf-8")
    polled = (
        BY_FILE + 'delivery = "poll"\npoll_url = "https://idp.example.se/poll"\n'
        f'token = {{ file = "{tmp_path}/token" }}\n'
    )
    made = SetOffice(town_in(tmp_path), polled)
    try:
        with made.listening() as url:
            assert pushed(url, signed(made.said())).status_code == 404
    finally:
        made.close()


# ── keys over HTTP ──────────────────────────────────────────────────────────────────────


@pytest.fixture
def discovered(tmp_path: Path, transmitter: FakeTransmitter) -> Iterator[SetOffice]:
    made = SetOffice(town_in(tmp_path), 'subject = "opaque"\n', f"{transmitter.url}/idp")
    yield made
    made.close()


def test_keys_are_found_by_the_metadata_of_the_issuer(
    discovered: SetOffice, transmitter: FakeTransmitter
) -> None:
    for kid in ("ES256-1", "ES256-2", "ES256-1"):
        assert discovered.push(signed(discovered.said(), kid)).status == 202
    assert transmitter.got == ["/.well-known/ssf-configuration/idp", "/keys"]


@pytest.mark.parametrize(
    "changed",
    [{"issuer": "https://other.example.se"}, {"jwks_uri": None}, {"jwks_uri": 1},
     {"jwks_uri": "https://other.example.se/keys"}, {"jwks_uri": "http://169.254.169.254/keys"},
     {"jwks_uri": "file:///etc/passwd"}],
    ids=str,
)  # fmt: skip
def test_keys_that_are_elsewhere_are_not_gone_for(
    discovered: SetOffice, transmitter: FakeTransmitter, changed: dict[str, Any]
) -> None:
    transmitter.changed = changed
    assert discovered.push(signed(discovered.said())).status == 503
    assert transmitter.got == ["/.well-known/ssf-configuration/idp"]
    [told] = discovered.alarms()
    assert told.startswith("its keys cannot be read")


def test_strangers_cannot_make_the_issuer_be_asked_again_and_again(
    discovered: SetOffice, transmitter: FakeTransmitter
) -> None:
    assert discovered.push(signed(discovered.said())).status == 202
    unknown = [discovered.push(signed(discovered.said(), "ES256-9")) for _ in range(20)]
    assert transmitter.got.count("/keys") == 1
    assert {answer.status for answer in unknown} == {503}  # it may be one that is just published
    discovered.now += timedelta(seconds=31)
    answers = [discovered.push(signed(discovered.said(), "ES256-9")) for _ in range(20)]
    assert transmitter.got.count("/keys") == 2
    assert answers[0].code == "invalid_key"
    assert discovered.push(signed(discovered.said())).status == 202


def test_a_new_key_is_found_when_it_is_first_used(
    discovered: SetOffice, transmitter: FakeTransmitter
) -> None:
    assert discovered.push(signed(discovered.said())).status == 202
    transmitter.jwks = jwks("ES256-1", "ES256-3")
    discovered.now += timedelta(minutes=1)
    assert discovered.push(signed(discovered.said(), "ES256-3")).status == 202


@pytest.mark.parametrize("status", [302, 404, 429, 500])
def test_while_the_keys_cannot_be_read_nothing_is_refused_for_good(
    discovered: SetOffice, transmitter: FakeTransmitter, status: int
) -> None:
    transmitter.keys_status = status
    assert discovered.push(signed(discovered.said())).status == 503
    transmitter.keys_status = 200
    discovered.now += timedelta(seconds=31)
    assert discovered.push(signed(discovered.said())).status == 202


def test_many_at_once_ask_for_the_keys_once(
    discovered: SetOffice, transmitter: FakeTransmitter
) -> None:
    tokens = [signed(discovered.said(jti=f"j{number}")) for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        statuses = {answer.status for answer in pool.map(discovered.push, tokens)}
    assert statuses <= {202, 503}
    assert transmitter.got.count("/keys") == 1
    assert discovered.push(tokens[0]).status == 202
