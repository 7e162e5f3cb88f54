"""A site of its own for each test, on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from idsync.store import State
from tests.audit.examples import Site, site_of


@pytest.fixture
def site(state: State, tmp_path: Path) -> Site:
    made = site_of(state, tmp_path)
    made.a_bit_of_everything()
    return made
