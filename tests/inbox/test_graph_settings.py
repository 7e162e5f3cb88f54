"""What connectors.toml may say of Microsoft Graph, and what `idsync check` tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from idsync.config import load
from idsync.errors import ConfigError
from idsync.service.warning import endings
from tests.fakes.graph import FakeGraph
from tests.inbox.graphed import BY_SECRET, GraphOffice
from tests.test_http_oauth import certificate


@pytest.fixture
def graph() -> Iterator[FakeGraph]:
    with FakeGraph() as made:
        yield made


@pytest.fixture
def office(tmp_path: Path, graph: FakeGraph) -> Iterator[GraphOffice]:
    made = GraphOffice(tmp_path, graph)
    made.now = datetime.now(UTC)
    yield made
    made.close()


WRONG = {
    BY_SECRET: ("", "by client_secret or by certificate: give one"),
    "client_secret =": ('certificate = "a.pem"\nclient_secret =', "give one of them"),
    'form = "graph"': ('form = "grahp"', "one of webhook, set, graph; did you mean graph?"),
    'tenant = "': ('tenant = "a/../', "as Entra shows it"),
    'tenant = "0f1e2d3c-1111-4222-8333-444455556666"': ('tenant = "Common"', "no directory of"),
    "http://127.0.0.1": ("http://idsync.example.org", "plain http is only for this machine"),
    'source = "hr"\ntenant': ('source = "hrr"\ntenant', "did you mean hr?"),
    "login_url": ('resources = ["devices"]\nlogin_url', "one of users, groups"),
    "\nlogin_url": ('\nresources = ["users", "users"]\nlogin_url', "twice"),
    "\ngraph_url": ("\nresources = []\ngraph_url", "too short"),
    "client_id": ('kinds = ["person.ended"]\nclient_id', "no such key here"),
    "client_state = {": ('client_state = "made-up"\nca_file = "a" #', "never stands in this file"),
}
"""What is written, what instead of it, and what is said of that."""


def test_what_is_wrong_is_told(office: GraphOffice) -> None:
    file = office.town.folder / "connectors.toml"
    whole = file.read_text(encoding="utf-8")
    start = whole.index("[events.entra]")
    for template, (instead, sentence) in WRONG.items():
        written = template.replace("FOLDER", str(office.town.folder))
        assert written in whole[start:], written
        changed = whole[start:].replace(written, instead, 1)
        file.write_text(whole[:start] + changed, encoding="utf-8")
        with pytest.raises(ConfigError) as told:
            load(file)
        assert sentence in str(told.value), written
        assert "made-up" not in str(told.value)


def test_any_source_may_be_named_whatever_it_tells_of(office: GraphOffice) -> None:
    file = office.town.folder / "connectors.toml"
    start, table, end = file.read_text(encoding="utf-8").partition("[events.entra]")
    file.write_text(start + table + end.replace('"hr"', '"lms"'), encoding="utf-8")
    assert load(file).events.subscribed["entra"].source == "lms"


def test_check_signs_in_and_makes_nothing(office: GraphOffice, graph: FakeGraph) -> None:
    graph.now = lambda: datetime.now(UTC)
    assert office.town.json("check")["senders"]["entra"] == {"ok": True, "reason": ""}
    assert set(graph.calls) == {"GET subscriptions"}
    (office.town.folder / "graph-secret").write_text("wrong", encoding="utf-8")
    told = office.town.json("check", code=4)
    assert (told["ok"], told["senders"]["entra"]["ok"]) == (False, False)
    assert "not let in" in told["senders"]["entra"]["reason"]
    office.agree("short")
    out = office.town.run("check").out
    assert "Senders of events" in out
    assert "FAILED" in out


def test_a_certificate_that_ends_soon_is_told_of(tmp_path: Path, graph: FakeGraph) -> None:
    made, file = certificate(tmp_path, "mine")
    office = GraphOffice(tmp_path, graph, f'certificate = "{file}"\n')
    try:
        soon = made.not_valid_after_utc - timedelta(days=6)
        [one] = endings(office.config, soon)
        assert (one.target, one.whose, one.renew) == ("events.entra", "idsync's own", "now")
        assert endings(office.config, soon - timedelta(days=60)) == []
    finally:
        office.close()
