"""A state of its own for each test, on SQLite and on PostgreSQL, as a plugin.

`state_url` is where it stands; `state` is it, opened. Of PostgreSQL the certificate is
verified, and the password stands in a password file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from idsync.store import State, open_state
from tests.servers.postgres import OWNER, PASSWORDS, READER, Database

pytest_plugins = ("tests.servers.postgres_fixtures",)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """A PostgreSQL password file that knows the plain accounts."""
    file = tmp_path / "passwords åäö"
    known = [f"*:*:*:{name}:{PASSWORDS[name]}" for name in (OWNER, READER)]
    file.write_text("\n".join(known), encoding="utf-8")
    file.chmod(0o600)
    return file


@pytest.fixture
def postgres_url(
    postgres_database: Database, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Where a state on PostgreSQL stands; its password is found."""
    monkeypatch.setenv("PGPASSFILE", str(password_file))
    return postgres_database.verified_url()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a state on SQLite."""
    return tmp_path / "var" / "idsync.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def state_url(request: pytest.FixtureRequest, file: Path) -> str:
    """Where a state stands: once in a file, once in a database."""
    if request.param == "sqlite":
        return f"sqlite:///{file}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def state(state_url: str) -> Iterator[State]:
    """A new state."""
    opened = open_state(state_url)
    yield opened
    opened.close()
