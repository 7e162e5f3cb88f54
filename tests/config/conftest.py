"""Configurations in a folder of their own, and connectors installed for real."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from idsync.config import Config, load
from idsync.errors import ConfigError
from tests.config.examples import ENTRY_POINTS, STRANGERS_CODE

Load = Callable[[str], Config]
Wrong = Callable[[str], list[str]]


@pytest.fixture(autouse=True)
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Connectors of a package that idsync has never heard of, installed for real."""
    packages = tmp_path / "site-packages"
    record = packages / "stranger-1.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(ENTRY_POINTS)
    (packages / "stranger.py").write_text(STRANGERS_CODE)
    (packages / "stranger_needs.py").write_text("import absent_package\n")
    (packages / "stranger_crashes.py").write_text("raise RuntimeError('hunter2')\n")
    monkeypatch.syspath_prepend(packages)
    yield
    for name in ("stranger", "stranger_needs", "stranger_crashes"):
        sys.modules.pop(name, None)


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    def load_it(text: str) -> Config:
        path = tmp_path / "connectors.toml"
        path.write_text(text, encoding="utf-8")
        return load(path)

    return load_it


@pytest.fixture
def wrong(load_text: Load, tmp_path: Path) -> Wrong:
    """Return what is said of a text, one line a problem, without the name of the file."""

    def say(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_text(text)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        prefix = str(tmp_path / "connectors.toml") + ":"
        told = str(caught.value).split("\n")
        assert all(line.startswith(prefix) for line in told)
        return [line.removeprefix(prefix).strip() for line in told]

    return say
