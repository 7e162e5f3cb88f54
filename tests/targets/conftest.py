"""What the tests of targets share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from idsync.targets.scim import ScimTarget
from tests.fakes.scim import TOKEN, FakeScim
from tests.fakes.scim_habits import Habits


@pytest.fixture
def scim_target(tmp_path: Path) -> Iterator[Callable[..., ScimTarget]]:
    """Make SCIM targets that are closed at the end."""
    made: list[ScimTarget] = []

    def make(url: str, token: str, **settings: Any) -> ScimTarget:
        file = tmp_path / f"token-{len(made)}"
        file.write_text(token)
        config = {"url": url, "token": {"file": str(file)}, **settings}
        made.append(ScimTarget(ScimTarget.Config.model_validate(config)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def fake_with(
    scim_target: Callable[..., ScimTarget],
) -> Iterator[Callable[..., tuple[FakeScim, ScimTarget]]]:
    """Start SCIM fakes with habits, each with a target that speaks to it."""
    started: list[FakeScim] = []

    def start(habits: Habits | None = None, **settings: Any) -> tuple[FakeScim, ScimTarget]:
        fake = FakeScim(habits)
        started.append(fake)
        return fake, scim_target(fake.url, TOKEN, **settings)

    yield start
    for fake in started:
        fake.close()
