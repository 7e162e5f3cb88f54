"""A site of its own for each test, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from idsync.service import applying
from idsync.store import State, open_state
from tests.audit.examples import Site, site_of
from tests.audit.town import Life
from tests.whole.town import Town


@pytest.fixture
def site(state: State, tmp_path: Path) -> Site:
    made = site_of(state, tmp_path)
    made.a_bit_of_everything()
    return made


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Site]:
    """A site on SQLite, where a column takes a value of any type."""
    opened = open_state(f"sqlite:///{tmp_path / 'plain' / 'idsync.db'}")
    made = site_of(opened, tmp_path)
    made.a_bit_of_everything()
    yield made
    opened.close()


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    """The town on its first day, before anything ran."""
    town = Town(tmp_path / "en stad åäö")
    town.write()
    made = Life(town)
    monkeypatch.setattr(applying, "clock", made.clock)
    return made
