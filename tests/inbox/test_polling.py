"""Tokens that idsync asks for (RFC 8936), from a transmitter with bad habits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from idsync.errors import ConfigError, ConnectorError, Denied, Unavailable
from idsync.service.answering import metrics
from idsync.service.health import health, standing
from idsync.service.polling import LONGEST_ASKED_S
from idsync.service.streams import verify
from tests.fakes.transmitter import BEARER, STREAM, FakeTransmitter
from tests.inbox.office import Office, town_in
from tests.inbox.polled import BY_STREAM, Polled, transmitting
from tests.inbox.tokens import SetOffice, signed


@pytest.fixture
def transmitter() -> Iterator[FakeTransmitter]:
    with transmitting() as made:
        yield made


@pytest.fixture
def office(tmp_path: Path, transmitter: FakeTransmitter) -> Iterator[Polled]:
    made = Polled(tmp_path, transmitter)
    yield made
    made.close()


# ── what is told ────────────────────────────────────────────────────────────────────────


def test_what_is_told_is_kept_and_acknowledged_in_the_next_poll(office: Polled) -> None:
    ids = [office.has("p1"), office.has("p2")]
    office.poll()
    assert office.kept() == ["p1", "p2"]
    assert office.transmitter.acked == []
    assert office.heard == 1
    office.poll()
    assert office.transmitter.acked == ids
    assert office.transmitter.pending == {}
    first, second = office.transmitter.polls
    assert first == {"maxEvents": 32, "returnImmediately": False}
    assert second["ack"] == ids


def test_what_is_refused_is_told_by_its_code_and_the_others_are_kept(office: Polled) -> None:
    bad = office.has("p1", "bad", aud="https://other.example.se")
    good = office.has("p2")
    office.transmitter.pending["noise"] = "no token"
    office.transmitter.pending["number"] = 5  # type: ignore[assignment]
    office.transmitter.pending["large"] = "a" * 70_000
    office.transmitter.pending["another"] = office.transmitter.pending[good]
    office.poll(2)
    fake = office.transmitter
    assert fake.acked == [good]
    assert {id_: error["err"] for id_, error in fake.errors.items()} == {
        bad: "invalid_audience", "noise": "invalid_request", "number": "invalid_request",
        "large": "invalid_request", "another": "invalid_request",
    }  # fmt: skip
    assert office.kept() == ["p2"]


def test_more_than_one_answer_holds_is_asked_for_at_once(office: Polled) -> None:
    ids = [office.has("p1", f"j{number}") for number in range(70)]
    office.poll(4)
    assert office.transmitter.acked == ids
    assert len(office.kept()) == 70
    assert office.rests == [1.0], "it rests when nothing comes any longer, and not before"


@pytest.mark.case("W1")
def test_what_is_told_again_though_it_was_acknowledged_is_acted_on_once(office: Polled) -> None:
    office.sync()
    office.has("p1")
    office.transmitter.trouble = [None, "forgets", "forgets"]
    office.poll(4)
    assert office.transmitter.acked == ["jti-p1"]
    assert office.work().states == {"done": 1}
    assert office.orders() == ["p1"]
    assert office.alarms() == []


# ── habits ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trouble", ["cut", "large", "nonsense", (500, {}), (302, {}), (404, {})])
def test_an_answer_that_is_none_is_asked_for_again_and_nothing_is_lost(
    office: Polled, trouble: Any
) -> None:
    office.has("p1")
    office.transmitter.trouble = [trouble] * 3
    for _ in range(3):
        with pytest.raises(ConnectorError):
            office.poll()
    assert office.kept() == []
    office.poll(2)
    assert office.kept() == ["p1"]
    assert office.transmitter.acked == ["jti-p1"]
    assert 0.5 <= office.rests[0] <= 1 <= office.rests[1] <= 2 <= office.rests[2] <= 4
    tried = [one["returnImmediately"] for one in office.transmitter.polls]
    assert tried[-1] is False, "it waits for events as soon as it is answered again"


def test_acknowledgements_survive_an_answer_that_is_lost(office: Polled) -> None:
    office.has("p1")
    office.poll()
    office.transmitter.trouble = [(503, {})]
    with pytest.raises(Unavailable):
        office.poll()
    office.poll()
    assert office.transmitter.acked == ["jti-p1"]
    office.has("p2")
    office.poll()
    office.transmitter.trouble = [(400, {})]  # it does not like what is acknowledged
    with pytest.raises(ConnectorError):
        office.poll()
    office.poll()
    assert "ack" not in office.transmitter.polls[-1], "it would be refused again and again"
    office.poll()
    assert office.transmitter.acked == ["jti-p1", "jti-p2"]
    assert office.kept() == ["p1", "p2"]


@pytest.mark.parametrize(("asked", "rests"), [("7", 7), ("90000", LONGEST_ASKED_S)])
def test_a_transmitter_that_asks_for_patience_has_it(
    office: Polled, asked: str, rests: float
) -> None:
    office.transmitter.trouble = [(429, {"Retry-After": asked})]
    with pytest.raises(Unavailable):
        office.poll()
    assert office.rests == [rests]


def test_a_token_that_does_not_count_any_longer_is_told_of(office: Polled) -> None:
    (office.town.folder / "token").write_text("another", encoding="utf-8")
    with pytest.raises(Denied, match="renew it"):
        office.poll()
    (office.town.folder / "token").write_text(BEARER, encoding="utf-8")
    office.poll()  # what is in the file counts at once


def test_what_cannot_be_judged_now_is_neither_acknowledged_nor_refused(office: Polled) -> None:
    office.has("p1")
    office.transmitter.keys_status = 500
    with pytest.raises(Unavailable, match="1 tokens could not be kept"):
        office.poll()
    office.transmitter.keys_status = 200
    office.now += timedelta(seconds=31)
    office.poll(2)
    assert office.transmitter.acked == ["jti-p1"]
    assert office.transmitter.errors == {}


# ── the stream ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def streamed(tmp_path: Path, transmitter: FakeTransmitter) -> Iterator[Polled]:
    made = Polled(tmp_path, transmitter, BY_STREAM)
    yield made
    made.close()


def test_where_to_poll_is_found_by_the_stream(streamed: Polled) -> None:
    streamed.has("p1")
    streamed.poll(2)
    assert streamed.transmitter.acked == ["jti-p1"]


@pytest.mark.parametrize(
    "changed",
    [{"configuration_endpoint": "https://other.example.se/stream"}, {"issuer": "https://o.se"},
     {"configuration_endpoint": None}],
    ids=str,
)  # fmt: skip
def test_a_stream_that_is_elsewhere_gets_no_token_of_ours(
    streamed: Polled, changed: dict[str, Any]
) -> None:
    streamed.transmitter.changed = changed
    with pytest.raises(ConfigError):
        streamed.poll()
    assert streamed.transmitter.got == ["/.well-known/ssf-configuration/idp"]


def test_a_stream_that_is_pushed_cannot_be_polled(streamed: Polled) -> None:
    streamed.transmitter.method = "urn:ietf:rfc:8935"
    with pytest.raises(ConfigError, match="not set up to be polled"):
        streamed.poll()


def test_a_stream_is_verified_every_hour_by_a_state_that_nobody_else_knows(
    streamed: Polled,
) -> None:
    fake = streamed.transmitter
    for _ in range(3):
        assert verify(streamed.config, streamed.state, streamed.clock()) == {}
    assert fake.got.count("/verify") == 1
    streamed.poll(2)
    assert len(fake.acked) == 1
    assert streamed.kept() == []
    guessed: dict[str, Any] = {"events": {"https://schemas.openid.net/secevent/ssf/event-type/verification":
               {"state": "guessed"}}, "sub_id": {"format": "opaque", "id": STREAM}}  # fmt: skip
    fake.pending["guessed"] = signed(streamed.said(jti="guessed", **guessed)).decode()
    unasked = guessed | {"events": {kind: {} for kind in guessed["events"]}}
    fake.pending["unasked"] = signed(streamed.said(jti="unasked", **unasked)).decode()
    other = unasked | {"sub_id": {"format": "opaque", "id": "another"}}
    fake.pending["other"] = signed(streamed.said(jti="other", **other)).decode()
    streamed.poll(2)
    assert {id_: error["err"] for id_, error in fake.errors.items()} == {
        "guessed": "invalid_state", "other": "invalid_request",
    }  # fmt: skip
    assert fake.acked[-1] == "unasked"
    streamed.now += timedelta(hours=1)
    fake.trouble = []
    assert verify(streamed.config, streamed.state, streamed.clock()) == {}
    assert fake.got.count("/verify") == 2


def test_a_verification_that_comes_after_the_next_was_asked_for_is_taken(streamed: Polled) -> None:
    for _ in range(2):
        verify(streamed.config, streamed.state, streamed.clock())
        streamed.now += timedelta(hours=1)
    streamed.poll(2)
    assert len(streamed.transmitter.acked) == 2
    assert streamed.transmitter.errors == {}


def test_what_stops_a_verification_is_told(streamed: Polled) -> None:
    streamed.transmitter.changed = {"verification_endpoint": None}
    told = verify(streamed.config, streamed.state, streamed.clock())
    assert "verification_endpoint" in told["idp"]


def test_a_stream_that_is_paused_is_told_of(streamed: Polled) -> None:
    kind = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
    about = {"format": "opaque", "id": STREAM}
    for status in ("enabled", "paused"):
        said = streamed.said(jti=status, sub_id=about, events={kind: {"status": status}})
        streamed.transmitter.pending[status] = signed(said).decode()
        assert streamed.alarms() == []
        streamed.poll(2)
    assert streamed.alarms() == ["its stream is paused or disabled"]


def test_when_a_stream_was_last_heard_is_told_and_its_silence_is_an_alarm(office: Polled) -> None:
    told = health(office.config, office.state, office.now)["streams"]
    assert told == {"idp": {"heard_at": None, "age_s": None}}
    office.poll()
    office.now += timedelta(minutes=2)
    whole = health(office.config, office.state, office.now)
    assert 119 < whole["streams"]["idp"]["age_s"] < 125
    assert 'idsync_stream_heard_age_seconds{sender="idp"} 1' in metrics(whole).decode()
    names = {one["name"] for one in standing(office.config, office.state, office.now)}
    assert "stream-silent:idp" not in names
    office.now += timedelta(hours=4)
    names = {one["name"] for one in standing(office.config, office.state, office.now)}
    assert "stream-silent:idp" in names
    office.poll()
    names = {one["name"] for one in standing(office.config, office.state, office.now)}
    assert "stream-silent:idp" not in names


def test_a_transmitter_that_never_answered_is_an_alarm_too(office: Polled) -> None:
    office.transmitter.trouble = [(500, {})] * 2
    for _ in range(2):
        with pytest.raises(Unavailable):
            office.poll()
        names = {one["name"] for one in standing(office.config, office.state, office.now)}
        office.now += timedelta(hours=4)
    assert "stream-silent:idp" in names


def test_a_sender_that_is_only_pushed_to_may_be_silent(tmp_path: Path) -> None:
    made = SetOffice(town_in(tmp_path))
    try:
        made.push(signed(made.said()))
        at = made.now
        made.now += timedelta(days=2)
        whole = health(made.config, made.state, made.now)
        assert datetime.fromisoformat(whole["streams"]["idp"]["heard_at"]) == at
        assert "stream-silent" not in json.dumps(whole["alarms"])
    finally:
        made.close()


def test_an_office_without_tokens_has_no_stream(tmp_path: Path) -> None:
    made = Office(town_in(tmp_path))
    try:
        assert health(made.config, made.state, made.now)["streams"] == {}
    finally:
        made.close()
