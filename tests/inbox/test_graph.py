"""Notifications of Microsoft Graph: who sends them, what they lead to, and what they cannot do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from idsync.errors import Unavailable
from idsync.service.health import health
from idsync.service.receiving import UNRECOGNISED
from idsync.service.receiving_graph import MOST_BYTES, MOST_TOKEN
from tests.fakes.graph import FakeGraph, notification
from tests.fakes.graph_signing_in import SECRET
from tests.inbox.graphed import STATE, GraphOffice
from tests.inbox.office import Office, post, town_in


@pytest.fixture
def office(tmp_path: Path) -> Iterator[GraphOffice]:
    """An office that is subscribed to users and groups, and wants no fresh read."""
    with FakeGraph() as graph:
        made = GraphOffice(tmp_path, graph)
        with made.reachable():
            made.keep()
        made.forget_reread()
        yield made
        made.close()


@pytest.fixture
def synced(office: GraphOffice) -> GraphOffice:
    office.sync()
    return office


def is_as_to_a_stranger(office: GraphOffice, body: Any) -> bool:
    """Whether *body* is answered as anything is, and nothing comes of it."""
    answer = office.post(body)
    same = (answer.status, answer.error) == (UNRECOGNISED.status, UNRECOGNISED.error)
    return same and not office.wants_reread() and not answer.text


# ── the handshake ───────────────────────────────────────────────────────────────────────


def test_a_handshake_is_answered_with_the_same_text_that_can_do_nothing(
    office: GraphOffice,
) -> None:
    with office.reachable() as url:
        for token in ("Validation: 100% + a&b=c", "x" * MOST_TOKEN, "'\"{}"):
            answer = post(f"{url}?validationToken={quote(token)}", [], b"")
            assert (answer.status_code, answer.text) == (200, token)
            assert answer.headers["content-type"].startswith("text/plain")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"
    assert not office.wants_reread()


def test_what_could_be_more_than_a_text_is_not_sent_back(office: GraphOffice) -> None:
    tags = "=%3Cscript%3Ealert(1)%3C/script%3E"
    twice = "=a&validationToken=b"
    with office.reachable() as url:
        for query in ("=", "", tags, "=a%0D%0Ab", "=%00", "=%C3%A5", "=%FF", twice,
                      "=" + "x" * (MOST_TOKEN + 1)):  # fmt: skip
            answer = post(f"{url}?validationToken{query}", [], b"")
            assert answer.status_code == 400, query
            assert answer.json() == {"error": "not a validation token"}


def test_nobody_else_shakes_hands(office: GraphOffice) -> None:
    with office.reachable() as url:
        for name in ("hr", "nobody"):
            other = url.replace("entra", name)
            assert "made-up" not in post(f"{other}?validationToken=made-up", [], b"").text
        assert post(f"{url}?validationtoken=made-up", [], b"").status_code == 401


# ── notifications ───────────────────────────────────────────────────────────────────────


def test_a_change_is_kept_and_leads_to_a_fresh_read_and_to_nothing_else(
    synced: GraphOffice,
) -> None:
    office = synced
    before = office.doors()
    with office.reachable():
        office.graph.changed("users", key="p1")
        assert office.graph.deliver() == [202]
    assert office.wants_reread()
    assert office.work().states == {}
    assert (office.orders(), office.doors()) == ([], before)
    told = health(office.config, office.state, office.clock())["streams"]
    assert told["entra"]["age_s"] < 1


def test_that_somebody_was_deleted_ends_nothing_before_hr_says_so(synced: GraphOffice) -> None:
    office = synced
    before = office.doors()
    for change in ("deleted", "updated", "created", "ended", None):
        for i in range(12):
            told = notification(office.graph.of("users"), "deleted", f"p{i}")
            assert (
                office.notify(told | {"changeType": change, "kind": "person.ended"}).status == 202
            )
    assert office.work().states == {}
    office.read_again()
    assert (office.orders(), office.doors()) == ([], before)


def test_the_fresh_read_finds_who_has_left(synced: GraphOffice) -> None:
    office = synced
    office.jobs[1] = [office.row(1, "e1", end="2026-11-01")]
    office.write_hr()
    assert office.opens(1) != []
    assert office.notify(office.told(change="deleted")).status == 202
    office.read_again()
    assert office.opens(1) == []


@pytest.mark.case("W1", "W3")
def test_many_changes_in_any_order_and_twice_ask_for_one_read(office: GraphOffice) -> None:
    with office.reachable():
        for resource in ("users", "groups", "users"):
            office.graph.changed(resource)
        office.graph.changed("users", "deleted")
        assert office.graph.deliver(twice=True, backwards=True) == [202, 202]
    office.read_again()
    assert office.alarms() == []
    assert office.state.inbox.open(office.clock()) == []


def test_what_changes_while_it_is_read_is_read_once_more(office: GraphOffice) -> None:
    assert office.notify(office.told()).status == 202
    begun = office.clock()
    assert office.notify(office.told()).status == 202
    office.state.inbox.reread_done(begun)
    assert office.wants_reread()


@pytest.mark.case("X17")
def test_neither_whom_it_tells_of_nor_any_secret_is_in_the_state(office: GraphOffice) -> None:
    key = "5a7ab1e5-aaaa-4bbb-8ccc-dddddddddddd"
    told = notification(office.graph.of("users"), "updated", key)
    assert office.notify(told).status == 202
    office.state.close()
    files = [file for file in (office.town.folder / "var").rglob("*") if file.is_file()]
    whole = b"".join(file.read_bytes() for file in files)
    assert office.graph.of("users")["id"].encode() in whole
    for hidden in (key, STATE, SECRET, *office.graph.signing_in.tokens):
        assert hidden.encode() not in whole


# ── who sends them ──────────────────────────────────────────────────────────────────────


def test_without_the_agreed_secret_nobody_learns_anything(office: GraphOffice) -> None:
    guesses = ("", STATE[:-1], f"{STATE} ", STATE.upper(), 5, [STATE], {"a": STATE}, "å\ud800")
    for given in (None, *guesses):
        assert is_as_to_a_stranger(office, {"value": [office.told(clientState=given)]}), given
    nameless = {name: value for name, value in office.told().items() if name != "clientState"}
    assert is_as_to_a_stranger(office, {"value": [nameless]})


def test_of_a_subscription_that_is_not_ours_nothing_is_believed(office: GraphOffice) -> None:
    guesses: tuple[Any, ...] = (None, "", "another", 7, ["a"], {})
    for id_ in guesses:
        assert is_as_to_a_stranger(office, {"value": [office.told(subscriptionId=id_)]}), id_


NONSENSE = (
    b"", b"[]", b"null", b"{}", b'{"value":null}', b'{"value":{}}', b'{"value":[]}', b"\xff",
    b'{"value":["x",1,null,[]]}', b"[" * 60_000, b'{"value":' * 9000, b'{"value":NaN}',
    b'{"value":[{"n":' + b"9" * 5000 + b"}]}", b'{"value":[],"value":[]}',
    b'{"value":[' + b"{}," * 60_000 + b"{}]}", b'{"a":' * 15 + b"1" + b"}" * 15,
)  # fmt: skip


@pytest.mark.case("W7")
def test_nonsense_is_answered_as_a_stranger_is(office: GraphOffice) -> None:
    for body in NONSENSE:
        assert is_as_to_a_stranger(office, body), body[:20]


def test_a_good_one_among_others_is_enough(office: GraphOffice) -> None:
    strange = [office.told(clientState="x"), office.told(subscriptionId="another"), "x", None]
    assert office.notify(*strange, office.told("groups"), *strange).status == 202
    assert office.wants_reread()


@pytest.mark.case("W6")
def test_a_body_is_taken_up_to_a_size_and_not_beyond(office: GraphOffice) -> None:
    one = office.told()
    many = {"value": [one] * 250}
    assert len(json.dumps(many)) > 100_000
    with office.reachable() as url:
        assert post(url, [], json.dumps(many).encode()).status_code == 202
        large = post(url, [], b" " * (MOST_BYTES + 1))
        assert (large.status_code, "262144 bytes" in large.text) == (413, True)
        packed = post(url, [], b"x", **{"Content-Encoding": "gzip"})
        assert packed.status_code == 400
        other = post(url.replace("entra", "hr"), [], b" " * 70_000)
        assert other.status_code == 413, "another sender has no more room than before"


@pytest.mark.case("W12")
def test_a_flood_of_strangers_is_soon_not_looked_at(office: GraphOffice) -> None:
    with office.reachable() as url:
        body = json.dumps({"value": [office.told(clientState="guessed")]}).encode()
        statuses = [post(url, [], body).status_code for _ in range(25)]
    assert statuses[:20] == [401] * 20
    assert 429 in statuses


def test_who_knows_the_secret_is_listened_to_though_the_subscription_is_not_known_yet(
    office: GraphOffice,
) -> None:
    """It may be one that was made a moment ago; Graph tries again."""
    body = json.dumps({"value": [office.told(subscriptionId="new")]}).encode()
    with office.reachable() as url:
        assert {post(url, [], body).status_code for _ in range(25)} == {401}
        office.graph.changed("users")
        assert office.graph.deliver() == [202]


def test_where_our_own_secret_is_none_graph_is_asked_to_come_again(office: GraphOffice) -> None:
    for written in ("", "short", "x" * 129, "with spaces " * 4, "å" * 40):
        office.agree(written)
        assert office.notify(office.told(clientState=written)).status == 503
    assert not office.wants_reread()


def test_what_cannot_be_kept_is_delivered_again_until_it_can(
    office: GraphOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Unavailable("no")

    office.graph.changed("users")
    with monkeypatch.context() as planted, office.reachable():
        planted.setattr(type(office.state.inbox), "ask_reread", full)
        assert office.graph.deliver() == [503]
    with office.reachable():
        assert office.graph.deliver() == [202]
    assert office.wants_reread()


# ── what Graph says of a subscription ───────────────────────────────────────────────────


def test_when_graph_asks_for_it_a_subscription_is_authorised_again(office: GraphOffice) -> None:
    with office.reachable():
        office.passes(minutes=5)
        office.graph.asks("reauthorizationRequired", "users")
        office.graph.changed("users")
        assert office.graph.deliver() == [202]
        assert not office.wants_reread(), "nothing was missed"
        assert len(office.graph.undelivered) == 1, "nothing comes until it is authorised"
        office.keep()
        assert office.graph.deliver() == [202]
    assert office.wants_reread()


def test_anything_else_that_graph_says_asks_for_a_fresh_read_and_a_look_at_graph(
    office: GraphOffice,
) -> None:
    with office.reachable():
        for event in ("missed", "subscriptionRemoved", "somethingNew"):
            office.passes(minutes=5)
            office.graph.asks(event, "users")
            if event == "subscriptionRemoved":
                office.graph.loses("users")
            assert office.graph.deliver() == [202]
            assert office.wants_reread()
            told = office.now
            office.keep()
            assert office.kept().id == office.graph.of("users")["id"]
            assert office.kept().kept_at > told
            office.forget_reread()


def test_a_forged_word_about_a_subscription_is_a_strangers(office: GraphOffice) -> None:
    office.graph.asks("subscriptionRemoved", "users")
    [owed] = office.graph.undelivered
    calls = len(office.graph.calls)
    assert is_as_to_a_stranger(office, {"value": [owed.told | {"clientState": "x"}]})
    office.keep()
    assert len(office.graph.calls) == calls


# ── without it ──────────────────────────────────────────────────────────────────────────


def test_an_office_without_graph_has_no_subscription(tmp_path: Path) -> None:
    made = Office(town_in(tmp_path))
    try:
        told = health(made.config, made.state, made.now)
        assert (told["subscriptions"], told["streams"]) == ({}, {})
    finally:
        made.close()
