"""A state of its own for each test, in a file that goes away with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from idsync.store import State, open_state


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "var" / "idsync.db"


@pytest.fixture
def state(file: Path) -> Iterator[State]:
    opened = open_state(f"sqlite:///{file}")
    yield opened
    opened.close()
