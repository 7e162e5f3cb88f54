"""The locks: everything pyproject.toml asks for, by hash, from no particular place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
RUNTIME = "requirements.lock"
DEVELOPMENT = "requirements-dev.lock"
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def locked(name: str) -> dict[str, Requirement]:
    """Return what a lock names, by name; every line of it must be understood."""
    found: dict[str, Requirement] = {}
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.split("\n"):
        if line.startswith("#") or not line.strip():
            continue
        requirement, *hashes = re.split(r" +(?=--hash)", line.strip())
        assert hashes, line
        assert all(HASH.fullmatch(one.strip()) for one in hashes), line
        parsed = Requirement(requirement)
        assert str(parsed.specifier).startswith("=="), line
        found[canonicalize_name(parsed.name)] = parsed
    return found


def asked_for(lock: str) -> list[Requirement]:
    """Return what the lock has to name, by pyproject.toml."""
    stated: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = stated["project"]["dependencies"] + stated["dependency-groups"]["build"]
    wanted += stated["build-system"]["requires"]
    if lock == DEVELOPMENT:
        for extra in stated["project"]["optional-dependencies"].values():
            wanted += extra
    return [Requirement(one) for one in wanted]


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT])
def test_the_lock_fits_what_the_project_asks_for(lock: str) -> None:
    there = locked(lock)
    for wanted in asked_for(lock):
        found = there.get(canonicalize_name(wanted.name))
        assert found is not None, f"{wanted.name} is not in {lock}: renew it (CONTRIBUTING.md)"
        version = str(found.specifier).removeprefix("==")
        assert wanted.specifier.contains(version, prereleases=True), (
            f"{lock} has {found}, pyproject.toml asks for {wanted}: renew it (CONTRIBUTING.md)"
        )


def test_the_development_lock_holds_the_runtime_lock() -> None:
    there = {name: str(one.specifier) for name, one in locked(DEVELOPMENT).items()}
    assert {name: str(one.specifier) for name, one in locked(RUNTIME).items()}.items() <= (
        there.items()
    )


@pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT])
def test_a_lock_names_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(-i|--index|--extra|--find|-f|-e|-r|-c)\b", text, re.MULTILINE)
    assert " @ " not in text
