"""The subscriptions at Graph are kept for weeks, and made again whatever becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from idsync.config import load
from idsync.errors import ConfigError, ConnectorError, Denied, Refused, Unavailable
from idsync.service.answering import metrics
from idsync.service.health import health, standing
from tests.fakes.graph import LONGEST, FakeGraph
from tests.fakes.graph_signing_in import SECRET
from tests.inbox.graphed import STATE, GraphOffice

CONNECTORS = "connectors.toml"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[GraphOffice]:
    """An office that Graph can reach, and that has no subscription yet."""
    with FakeGraph() as graph:
        made = GraphOffice(tmp_path, graph)
        with made.reachable():
            yield made
        made.close()


def alarms(office: GraphOffice) -> dict[str, str]:
    return {
        one["name"]: one["detail"]
        for one in standing(office.config, office.state, office.clock())
        if one["name"].startswith("subscription")
    }


def fails(office: GraphOffice, kind: type[Exception] = ConnectorError) -> str:
    """Try to keep them, which fails; return what is said of it."""
    with pytest.raises(kind) as told:
        office.keep()
    return str(told.value)


# ── made and renewed ────────────────────────────────────────────────────────────────────


def test_each_resource_is_subscribed_to_once_and_read_anew(office: GraphOffice) -> None:
    office.keep(3)
    made = list(office.graph.living().values())
    assert sorted(one["resource"] for one in made) == ["groups", "users"]
    for one in made:
        assert one["changeType"] == "updated,deleted"
        assert one["clientState"] == STATE
        assert one["lifecycleNotificationUrl"] == one["notificationUrl"]
        until = datetime.fromisoformat(one["expirationDateTime"])
        assert timedelta(days=27) < until - office.now < LONGEST
    assert office.wants_reread(), "nobody tells what has changed before"
    assert office.rests == [20.0] * 3
    assert office.graph.calls.count("POST subscriptions") == 2
    assert office.made == ["users", "groups"]


def test_over_two_months_they_are_renewed_long_before_they_end(office: GraphOffice) -> None:
    office.keep()
    office.forget_reread()
    ids = {office.kept("users").id, office.kept("groups").id}
    for _ in range(60):
        office.passes(hours=24)
        left = min(one["left_s"] for one in told(office)["subscriptions"]["entra"].values())
        assert left > timedelta(days=26).total_seconds()
        office.keep()
    assert set(office.graph.living()) == ids
    assert office.graph.signing_in.given > 60, "a token counts for an hour"


def told(office: GraphOffice) -> dict[str, Any]:
    return health(office.config, office.state, office.clock())


def test_within_the_hour_graph_is_left_alone(office: GraphOffice) -> None:
    office.keep()
    calls = len(office.graph.calls)
    for _ in range(30):
        office.passes(minutes=1)
        office.keep()
    assert len(office.graph.calls) == calls
    office.passes(minutes=31)
    office.keep()
    assert office.graph.calls[calls:] == ["PATCH subscriptions"] * 2
    assert office.graph.signing_in.given == 2


def test_another_process_goes_on_where_one_has_ended(office: GraphOffice) -> None:
    office.keep()
    office.forget_reread()
    ids = set(office.graph.living())
    office.passes(hours=1, minutes=30)
    another = office.another_keeper()
    another.keep(office.config, office.state)
    another.close()
    assert set(office.graph.living()) == ids
    assert not office.wants_reread(), "Graph tries for longer than that"


# ── lost ────────────────────────────────────────────────────────────────────────────────


def test_one_that_was_lost_without_a_word_is_made_again_and_all_is_read(
    office: GraphOffice,
) -> None:
    office.keep()
    office.forget_reread()
    kept = office.kept("groups").id
    office.graph.loses("users")
    office.passes(hours=1)
    office.keep()
    assert office.kept("users").id == office.graph.of("users")["id"]
    assert office.kept("groups").id == kept
    assert office.wants_reread()
    office.graph.changed("users")
    assert office.graph.deliver() == [202]


@pytest.mark.parametrize(("away", "same"), [(3, True), (24 * 20, True), (24 * 40, False)])
def test_after_a_while_away_all_is_read_whether_or_not_they_still_stand(
    office: GraphOffice, away: int, same: bool
) -> None:
    office.keep()
    office.forget_reread()
    ids = set(office.graph.living())
    office.passes(hours=away)
    office.keep()
    assert (set(office.graph.living()) == ids) is same
    assert len(office.graph.living()) == 2
    assert office.wants_reread()


def test_one_whose_making_nobody_heard_of_is_not_left_behind(office: GraphOffice) -> None:
    office.graph.trouble = [None, "lost"]  # the list, then what is made
    fails(office, Unavailable)
    stray = office.graph.of("users")["id"]
    assert not office.has_kept("users")
    office.passes(minutes=1)
    office.keep()
    known = {office.kept("users").id, office.kept("groups").id}
    assert set(office.graph.living()) == known
    assert stray not in known


def test_the_list_is_read_to_its_end_and_what_leads_elsewhere_is_left_alone(
    office: GraphOffice,
) -> None:
    office.graph.allows_twins = True
    office.keep()
    other = {**office.graph.of("users"), "notificationUrl": "https://other.example.org/events"}
    for number in range(5):
        office.graph.subscriptions[f"other-{number}"] = {**other, "id": f"other-{number}"}
    own = office.graph.of("groups")
    for name in ("twin", "triplet"):
        office.graph.subscriptions[name] = {**own, "id": name}
    del office.graph.subscriptions[office.kept("groups").id]
    office.passes(hours=1)
    office.keep()
    assert len([id_ for id_ in office.graph.living() if id_.startswith("other")]) == 5
    assert not {"twin", "triplet"} & set(office.graph.living())


def test_a_list_that_goes_on_at_another_address_gets_no_token(office: GraphOffice) -> None:
    elsewhere: dict[str, Any] = {
        "value": [],
        "@odata.nextLink": "https://other.example.org/v1.0/subscriptions?a",
    }
    office.graph.listed = lambda skip: elsewhere  # type: ignore[method-assign]
    assert "another address" in fails(office)
    endless: dict[str, Any] = {
        "value": [],
        "@odata.nextLink": f"{office.graph.url}/v1.0/subscriptions?a=1",
    }
    office.graph.listed = lambda skip: endless  # type: ignore[method-assign]
    office.passes(minutes=1)
    assert "no end" in fails(office)


# ── changed ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.case("O1")
def test_a_new_state_of_the_client_counts_with_a_new_subscription(office: GraphOffice) -> None:
    office.keep()
    office.forget_reread()
    before = office.told()
    new = STATE[::-1]
    office.agree(new)
    assert office.notify(before).status == 401
    office.keep()
    assert office.wants_reread(), "between the two nobody told anything"
    office.forget_reread()
    assert office.notify(before).status == 401
    assert len(office.graph.living()) == 2
    assert office.graph.of("users")["clientState"] == new
    office.graph.changed("users")
    assert office.graph.deliver() == [202]


def test_what_is_no_longer_watched_is_given_up(office: GraphOffice) -> None:
    office.keep()
    file = office.town.folder / CONNECTORS
    text = file.read_text(encoding="utf-8")
    file.write_text(f'{text}resources = ["users"]\n', encoding="utf-8")
    office.config = load(file)
    office.keep()
    assert [one["resource"] for one in office.graph.living().values()] == ["users"]
    file.write_text(text, encoding="utf-8")
    office.config = load(file)
    office.keep()
    assert len(office.graph.living()) == 2


def test_a_new_address_has_a_new_subscription(office: GraphOffice) -> None:
    office.keep()
    sender = office.config.events.subscribed["entra"]
    before = set(office.graph.living())
    changed = sender.model_copy(
        update={"notification_url": sender.notification_url.replace("127.0.0.1", "localhost")}
    )
    events = office.config.events.model_copy()
    events.__pydantic_extra__ = {"entra": changed}
    office.config = replace(office.config, events=events)
    office.keep()
    assert len(office.graph.living()) == 2
    assert not before & set(office.graph.living())


# ── trouble ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trouble", [(500, {}), (302, {}), (400, {}), "page", "lost"])
def test_whatever_graph_does_it_is_tried_again_after_a_while_that_grows(
    office: GraphOffice, trouble: Any
) -> None:
    pauses = []
    for _ in range(4):
        office.graph.trouble = [trouble] * 2
        fails(office)
        began = office.now
        calls = len(office.graph.calls)
        while len(office.graph.calls) == calls:
            office.graph.trouble = [trouble] * 2
            office.passes(seconds=1)
            fails(office)
        pauses.append((office.now - began).total_seconds())
    assert pauses == sorted(pauses)
    assert 1 <= pauses[0] < pauses[-1] <= 64
    office.graph.trouble = []
    office.passes(minutes=5)
    office.keep()
    assert len(office.graph.living()) == 2
    assert alarms(office) == {}


def test_graph_is_left_alone_for_as_long_as_it_asks(office: GraphOffice) -> None:
    office.graph.trouble = [(429, {"Retry-After": "900"})]
    fails(office, Unavailable)
    assert office.graph.calls == ["GET subscriptions"], "the other resource waits too"
    calls = len(office.graph.calls)
    for _ in range(14):
        office.passes(minutes=1)
        assert "429" in fails(office), "it is not told that all is well"
    assert len(office.graph.calls) == calls
    assert office.rests == [20.0] * 14
    office.passes(minutes=2)
    office.keep()
    assert len(office.graph.living()) == 2


def test_one_resource_that_fails_does_not_stop_the_other(office: GraphOffice) -> None:
    office.keep()
    office.passes(hours=1)
    office.graph.trouble = [(503, {})]
    fails(office, Unavailable)
    assert office.now - office.kept("groups").kept_at < timedelta(minutes=1)
    assert office.now - office.kept("users").kept_at > timedelta(minutes=59)


def test_a_token_that_counts_no_longer_is_asked_for_anew(office: GraphOffice) -> None:
    office.keep()
    office.graph.signing_in.tokens.clear()
    office.passes(minutes=59)
    office.graph.asks("reauthorizationRequired", "users")
    assert office.graph.deliver() == [202]
    office.graph.signing_in.tokens.clear()
    office.keep()
    office.graph.signing_in.tokens.clear()
    office.passes(minutes=1)
    office.graph.asks("reauthorizationRequired", "users")
    office.graph.deliver()
    fails(office, Denied)
    office.passes(minutes=1)
    office.keep()


def test_a_secret_that_is_not_accepted_is_told_without_it(office: GraphOffice) -> None:
    file = office.town.folder / "graph-secret"
    file.write_text("another-made-up-secret", encoding="utf-8")
    told = fails(office, Denied)
    assert "secret or certificate has ended" in told
    assert "another" not in told
    file.write_text(SECRET, encoding="utf-8")
    office.passes(minutes=1)
    office.keep()


@pytest.mark.parametrize(
    "written", ["", "short", "with spaces in it, more than thirty-two of them"]
)
def test_a_state_of_the_client_that_is_none_is_told_of(office: GraphOffice, written: str) -> None:
    office.agree(written)
    assert "openssl rand" in fails(office, ConfigError)
    assert office.graph.calls == []
    office.passes(hours=4)
    assert "openssl rand" in alarms(office)["subscription-lapsed:entra"]


def test_where_graph_cannot_reach_idsync_that_is_said(tmp_path: Path) -> None:
    with FakeGraph() as graph:
        made = GraphOffice(tmp_path, graph)
        try:
            told = fails(made, ConfigError)
            assert "400, ValidationError" in told
            assert "notification_url" in told
            assert "127.0.0.1" not in told
            assert graph.living() == {}
        finally:
            made.close()


def test_another_installation_with_the_same_application_is_told_of(office: GraphOffice) -> None:
    office.keep()
    for one in office.graph.subscriptions.values():
        one["notificationUrl"] = "https://other.example.org/events/entra"
    another = office.another_keeper()
    for resource in ("users", "groups"):
        with office.state.engine.begin() as connection:
            office.state.remember(connection, f"subscription:kept:entra:{resource}", "")
    with pytest.raises(Refused, match="an application of its own"):
        another.keep(office.config, office.state)
    another.close()
    assert len(office.graph.living()) == 2


@pytest.mark.parametrize("off", [timedelta(hours=20), timedelta(hours=-20)])
def test_a_clock_that_is_off_by_hours_keeps_them_too(office: GraphOffice, off: timedelta) -> None:
    office.graph.now = lambda: office.now + off
    office.keep()
    office.passes(hours=1)
    office.keep()
    assert len(office.graph.living()) == 2


def test_a_clock_that_is_off_by_days_is_told_of(office: GraphOffice) -> None:
    office.graph.now = lambda: office.now - timedelta(days=2)
    assert "this machine's clock" in fails(office, ConfigError)


def test_a_clock_that_is_put_back_stops_nothing(office: GraphOffice) -> None:
    office.graph.trouble = [(503, {"Retry-After": "600"})]
    fails(office, Unavailable)
    office.passes(days=-3)
    office.keep()
    assert len(office.graph.living()) == 2
    office.graph.asks("reauthorizationRequired", "users")
    assert office.graph.deliver() == [202]
    office.passes(days=-3)
    office.keep()
    calls = len(office.graph.calls)
    for _ in range(5):
        office.passes(seconds=20)
        office.keep()
    assert len(office.graph.calls) == calls, "what was asked tomorrow is not seen to all day"


# ── alarms ──────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_kept_for_long_is_an_alarm_with_its_reason(office: GraphOffice) -> None:
    office.keep()
    assert alarms(office) == {}
    for _ in range(4):
        office.passes(hours=1)
        office.graph.trouble = [(503, {})] * 2
        fails(office, Unavailable)
    [(name, detail)] = alarms(office).items()
    assert name == "subscription-lapsed:entra"
    assert "4 hours" in detail
    assert "answered 503" in detail
    left = told(office)["subscriptions"]["entra"]["users"]["left_s"]
    assert left > timedelta(days=27).total_seconds(), "long before it ends"
    office.passes(hours=1)
    office.keep()
    assert alarms(office) == {}


def test_one_that_could_never_be_made_is_an_alarm_too(office: GraphOffice) -> None:
    assert told(office)["subscriptions"]["entra"]["users"] == {"expires_at": None, "left_s": 0.0}
    for hour in range(4):
        assert bool(alarms(office)) is (hour >= 3)
        office.graph.trouble = [(403, {})] * 4
        assert "the right to do this" in fails(office, Denied)
        office.passes(hours=1, minutes=1)
    assert "403" in alarms(office)["subscription-lapsed:entra"]


def test_where_nobody_serves_that_is_said(office: GraphOffice) -> None:
    office.keep()
    office.passes(hours=30)
    assert "idsync serve" in alarms(office)["subscription-lapsed:entra"]


def test_how_long_they_last_is_measured(office: GraphOffice) -> None:
    office.keep()
    shown = metrics(told(office)).decode()
    [line] = [one for one in shown.splitlines() if one.startswith("idsync_subscription_left")]
    name, seconds = line.split()
    assert name == 'idsync_subscription_left_seconds{sender="entra"}'
    assert timedelta(days=27) < timedelta(seconds=float(seconds)) <= timedelta(days=28)
    office.graph.loses("groups")
    office.passes(hours=1)
    office.graph.trouble = [None, None, (503, {})]
    fails(office, Unavailable)
    [line] = [
        one for one in metrics(told(office)).decode().splitlines()
        if one.startswith("idsync_subscription_left")
    ]  # fmt: skip
    assert float(line.split()[1]) == 0
