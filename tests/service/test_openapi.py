"""docs/openapi.yaml says what the service answers: held against its routes, and against it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
import yaml
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from idsync.service.answering import PAGES
from idsync.service.hearing import app
from tests.inbox.office import NEW, Office, headers_of, town_in
from tests.service.test_serving import Served, served

PAGE = Path(__file__).parents[2] / "docs" / "openapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(PAGE.read_text(encoding="utf-8"))
SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")
HELD_TO = [
    status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
EXAMPLES = 30
"""For each address; a sender's messages are the most of them."""


def test_every_route_of_the_service_is_described_and_every_one_described_is_there() -> None:
    routes = {
        (route.path, method.lower())
        for route in app(lambda: None, lambda: datetime.now(UTC)).routes
        if isinstance(route, Route)
        for method in route.methods or ()
    } | {(page, "get") for page in PAGES}
    described = {
        (path, method)
        for path, item in DOCUMENT["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert described == routes


def test_every_answer_of_the_page_of_events_is_described() -> None:
    page = (PAGE.parent / "events.md").read_text(encoding="utf-8")
    _, _, table = page.partition("## The answers\n")
    rows = [line.split("|")[1] for line in table.strip().split("\n\n")[0].splitlines()[2:]]
    told = {status.strip() for row in rows for status in row.split(",")}
    assert set(DOCUMENT["paths"]["/events/{name}"]["post"]["responses"]) == told


# ── against a service ───────────────────────────────────────────────────────────────────


@dataclass
class Fuzzed:
    """A service that is asked whatever the document allows, and what it answered."""

    office: Office
    url: str
    sent: int = 0

    def ask(self, case: Any) -> int:
        """Send a case; return the status, which the document must know."""
        self.sent += 1
        headers = {"x-forwarded-for": f"10.0.{self.sent // 250}.{self.sent % 250}"}
        if case.path == "/events/{name}":
            case.path_parameters = {"name": "hr"}
            headers |= self.signed(case)
        answer = case.call(base_url=self.url, headers=headers, timeout=20)
        case.validate_response(answer, checks=HELD_TO)
        return int(answer.status_code)

    def signed(self, case: Any) -> dict[str, str]:
        """Return the headers of two thirds of the messages as their sender would write them."""
        if self.sent % 3 == 0 or case.media_type != "application/json":
            return {}
        try:
            body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
        except TypeError:  # no body at all
            return {}
        case.body = body
        named = {name: value for name, value in (case.headers or {}).items()
                 if name.lower() not in SIGNED}  # fmt: skip
        case.headers = named
        signed = headers_of(f"msg_{self.sent}", str(int(time.time())), body, NEW)
        return {name.decode(): value.decode() for name, value in signed}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Fuzzed]]:
    office = Office(
        town_in(tmp_path_factory.mktemp("described")), now=datetime.now(UTC), proxy='"127.0.0.1"'
    )
    office.sync()
    office.close()
    with (office.town.folder / "connectors.toml").open("a", encoding="utf-8") as file:
        file.write('\n[serve]\nlisten = "127.0.0.1:0"\n')
    with served(office.town) as running:
        address = running.until("listening")["address"]
        running.until("serving")
        yield running, Fuzzed(office, f"http://{address}")
        assert running.stop()[0] == 0
        running.until("ended")
        assert not [one["event"] for one in running.said if "fault" in one["event"]]


def asked(
    fuzzed: Fuzzed, path: str, method: str, examples: int, mode: str = "positive"
) -> set[int]:
    """Ask *examples* cases of one operation, or what it is not to be; return every status."""
    statuses: set[int] = set()

    @hypothesis.settings(
        max_examples=examples, database=None, derandomize=True, deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(case=SCHEMA[path][method].as_strategy(generation_mode=GenerationMode(mode)))
    def each(case: Any) -> None:
        statuses.add(fuzzed.ask(case))

    ask: Callable[[], None] = each
    ask()
    return statuses


@pytest.mark.case("W6", "W7")
@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.long)])
def test_whatever_the_document_allows_is_answered_as_it_says(
    service: tuple[Served, Fuzzed], times: int
) -> None:
    running, fuzzed = service
    statuses = asked(fuzzed, "/events/{name}", "POST", EXAMPLES * times)
    statuses |= asked(fuzzed, "/events/{name}", "POST", EXAMPLES * times, "negative")
    assert {202, 400, 401} <= statuses, "the fuzzer is to reach what is behind the signature"
    assert not [one for one in statuses if one >= 500]
    for page in PAGES:
        assert asked(fuzzed, page, "GET", 3) <= {200, 503}
        answer = running.get(fuzzed.url.removeprefix("http://"), page)
        assert answer[0] == 200 or page == "/health"


def test_an_answer_that_the_document_does_not_know_is_found_out(
    service: tuple[Served, Fuzzed], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, fuzzed = service
    told = json.loads(json.dumps(DOCUMENT))
    del told["paths"]["/events/{name}"]["post"]["responses"]["202"]
    monkeypatch.setitem(globals(), "SCHEMA", schemathesis.openapi.from_dict(told))
    with pytest.raises(FailureGroup, match="Undocumented status code"):
        asked(fuzzed, "/events/{name}", "POST", EXAMPLES)
