"""What the tests of carrying out share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.apply.city_on_scim import ScimCity


@pytest.fixture
def city(tmp_path: Path) -> Iterator[ScimCity]:
    made = ScimCity(tmp_path)
    yield made
    made.close()


@pytest.fixture
def city_with(tmp_path: Path) -> Iterator[Callable[[str], ScimCity]]:
    """Make a city whose target has more keys."""
    made: list[ScimCity] = []

    def make(more: str) -> ScimCity:
        made.append(ScimCity(tmp_path, more))
        return made[-1]

    yield make
    for one in made:
        one.close()
