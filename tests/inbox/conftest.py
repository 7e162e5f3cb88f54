"""An office of HR, its town in step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inbox.office import Office, town_in


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(town_in(tmp_path))
    made.sync()
    yield made
    made.close()
