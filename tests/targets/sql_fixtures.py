"""What the tests of the sql target share, as a plugin: a maker of targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from idsync.targets.sql import SqlTarget
from tests.servers.postgres import OWNER, PASSWORDS


@pytest.fixture
def sql_target(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SqlTarget]]:
    """Make targets of a description, closed at the end."""
    monkeypatch.setenv("PASSAGE_PASSWORD", PASSWORDS[OWNER])
    made: list[SqlTarget] = []

    def make(description: dict[str, Any]) -> SqlTarget:
        made.append(SqlTarget(SqlTarget.Config.model_validate(description)))
        return made[-1]

    yield make
    for one in made:
        one.close()
