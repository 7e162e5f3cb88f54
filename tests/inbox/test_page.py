"""What docs/events.md shows works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from idsync.config import load
from idsync.secevent_kinds import MEANING, SCIM
from idsync.service.receiving import receive
from idsync.service.receiving_graph import MOST_BYTES as MOST_OF_GRAPH
from idsync.service.receiving_graph import MOST_TOKEN
from idsync.service.receiving_sets import SAID
from idsync.service.subscribing import LASTS
from tests.inbox.office import NEW, Office, secret_text, town_in

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_senders_shown_are_senders(tmp_path: Path) -> None:
    town = town_in(tmp_path)
    town.write()
    with (town.folder / "connectors.toml").open("a", encoding="utf-8") as file:
        file.write("".join(blocks("toml")))
    events = load(town.folder / "connectors.toml").events
    assert [(name, one.form) for name, one in events.senders.items()] == [
        ("hr", "webhook"), ("idp", "set"),
    ]  # fmt: skip
    assert list(events.polled) == ["idp"]
    assert list(events.subscribed) == ["entra"]


def test_the_bounds_of_what_graph_sends_are_told() -> None:
    assert f"at most {MOST_TOKEN} signs" in PAGE
    assert f"more than {MOST_OF_GRAPH // 1024} kB" in PAGE
    assert f"lasts {LASTS.days} days" in PAGE


def test_every_type_of_event_and_every_code_is_told() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    for type_, kind in MEANING.items():
        name = type_.removeprefix(SCIM).rpartition("/")[2]
        name = name.removesuffix(":notice").removesuffix(":full")
        [row] = [row for row in rows if f"`{name}`" in row]
        assert f"| `{kind}`" in row, type_
    for code in SAID:
        assert any(row.startswith("|") and f"`{code}`" in row for row in rows), code


def test_the_program_shown_signs_what_is_accepted(office: Office) -> None:
    made: dict[str, Any] = {}
    [program] = blocks("python")
    exec(program, made)
    headers, body = made["signed"](secret_text(NEW), "msg_1", made["ended"])
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    now = office.now.fromtimestamp(int(headers["webhook-timestamp"]), office.now.tzinfo)
    assert receive(office.config, office.state, "hr", raw, body, now).status == 202
    assert office.work().states == {"done": 1}
    assert office.orders() == ["p1"]
