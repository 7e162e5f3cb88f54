"""One PostgreSQL server for a whole run, and a database a test, as a plugin.

A test that takes one is marked `postgres`, and skipped with the reason where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.postgres import Database, Postgres, required
from tests.servers.slapd import Certificates


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One server for the whole run."""
    required()
    with Postgres(Certificates(tmp_path_factory.mktemp("certificates"))) as running:
        yield running


@pytest.fixture
def postgres_database(postgres: Postgres) -> Iterator[Database]:
    """An empty database of this test alone."""
    made = postgres.new_database()
    yield made
    made.drop()
