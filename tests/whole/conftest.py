"""The town, ready to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.whole.town import Town


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = Town(tmp_path / "en stad åäö")
    made.write()
    return made
