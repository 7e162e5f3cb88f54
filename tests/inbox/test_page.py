"""What docs/events.md shows works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from idsync.config import load
from idsync.service.receiving import receive
from tests.inbox.office import NEW, Office, secret_text, town_in

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_sender_shown_is_a_sender(tmp_path: Path) -> None:
    town = town_in(tmp_path)
    town.write()
    with (town.folder / "connectors.toml").open("a", encoding="utf-8") as file:
        file.write(block("toml"))
    assert load(town.folder / "connectors.toml").events.senders["hr"].controller == "*"


def test_the_program_shown_signs_what_is_accepted(office: Office) -> None:
    made: dict[str, Any] = {}
    exec(block("python"), made)
    headers, body = made["signed"](secret_text(NEW), "msg_1", made["ended"])
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    now = office.now.fromtimestamp(int(headers["webhook-timestamp"]), office.now.tzinfo)
    assert receive(office.config, office.state, "hr", raw, body, now).status == 202
    assert office.work().states == {"done": 1}
    assert office.orders() == ["p1"]
