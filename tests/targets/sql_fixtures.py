"""What the tests of the sql target share, as a plugin: a maker of targets, and a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from idsync.targets.sql import SqlTarget
from tests.servers import postgres_session as server
from tests.servers.slapd import Certificates


@pytest.fixture
def sql_target(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SqlTarget]]:
    """Make targets of a description, closed at the end."""
    monkeypatch.setenv("PASSAGE_PASSWORD", server.PASSWORD)
    made: list[SqlTarget] = []

    def make(description: dict[str, Any]) -> SqlTarget:
        made.append(SqlTarget(SqlTarget.Config.model_validate(description)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def sql_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority of its own and what it signed."""
    server.required()
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def postgres(sql_certificates: Certificates) -> Iterator[server.Postgres]:
    """One server for the whole run."""
    running = server.Postgres(sql_certificates)
    yield running
    running.close()
