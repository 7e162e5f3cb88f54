"""The recipe for an adapter works as it stands: its files are taken out and run."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from idsync.targets import Target
from idsync.testing.habit_contract import HabitContract
from idsync.testing.target_contract import TargetContract

HOME = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMISES = [
    name
    for contract in (TargetContract, HabitContract)
    for name in vars(contract)
    if name.startswith("test_")
]
REPEATED = 2 + 2  # pages of three sizes, clocks on three days


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that somebody has who followed the recipe."""
    text = (HOME / "docs" / "write-a-target.md").read_text(encoding="utf-8")
    for name, content in BLOCK.findall(text):
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def run_pytest(folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "."],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ran.stdout


def test_the_recipe_names_all_its_files(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {
        "pyproject.toml", "idsync_acme.py", "acme_server.py", "test_acme.py",
    }  # fmt: skip


def test_the_adapter_of_the_recipe_keeps_every_promise(folder: Path) -> None:
    assert f"{len(PROMISES) + REPEATED} passed in" in run_pytest(folder)


def test_a_fault_in_the_adapter_of_the_recipe_is_caught(folder: Path) -> None:
    file = folder / "idsync_acme.py"
    sound = file.read_text(encoding="utf-8")
    faulty = sound.replace("if len(seen) != total:", "if False:").replace(
        "now, people = self._people(offset=len(seen), limit=self._page_size)", "return"
    )
    assert faulty != sound
    file.write_text(faulty, encoding="utf-8")
    said = run_pytest(folder)
    assert "test_many_people_are_all_read" in said
    assert "test_pages_of_any_size_hold_everybody_once" in said
    assert f"5 failed, {len(PROMISES) + REPEATED - 5} passed" in said


def test_the_adapter_of_the_recipe_is_under_a_hundred_lines(folder: Path) -> None:
    assert len((folder / "idsync_acme.py").read_text(encoding="utf-8").splitlines()) < 100


def test_the_entry_point_of_the_recipe_is_a_target(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    [(name, place)] = project["project"]["entry-points"]["idsync.targets"].items()
    module_name, _, class_name = place.partition(":")
    spec = importlib.util.spec_from_file_location(module_name, folder / f"{module_name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert name == "acme"
    assert Target in getattr(module, class_name).__mro__
