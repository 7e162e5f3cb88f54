"""The recipe for a source works as it stands: its files are taken out and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from idsync.testing.source_contract import SourceContract

HOME = Path(__file__).parents[2]
RECIPE = HOME / "docs" / "write-a-source.md"
BLOCK = re.compile(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMISES = [name for name in vars(SourceContract) if name.startswith("test_")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that somebody has who followed the recipe."""
    for name, content in BLOCK.findall(RECIPE.read_text(encoding="utf-8")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def run_pytest(folder: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "."],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HOME), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.stdout


def test_the_recipe_is_short_and_names_its_three_files(folder: Path) -> None:
    assert len(RECIPE.read_text(encoding="utf-8").splitlines()) < 100
    files = {file.name for file in folder.iterdir()}
    assert files == {"pyproject.toml", "idsync_staging.py", "test_staging.py"}


def test_the_source_of_the_recipe_keeps_every_promise(folder: Path) -> None:
    assert f"{len(PROMISES)} passed in" in run_pytest(folder)


def test_faults_in_the_source_of_the_recipe_are_caught(folder: Path) -> None:
    file = folder / "idsync_staging.py"
    sound = file.read_text(encoding="utf-8")
    faulty = sound.replace("not found or loaded != (len(found),)", "False").replace(
        "raise Unavailable", "return  # "
    )
    assert "raise Unavailable" not in faulty
    assert "if False:" in faulty
    file.write_text(faulty, encoding="utf-8")
    said = run_pytest(folder)
    assert f"3 failed, {len(PROMISES) - 3} passed" in said
    for promise in (
        "half_an_answer_is_never_complete",
        "nobody_at_all_is_never_complete",
        "an_outage_is_raised_not_hidden",
    ):
        assert f"test_{promise}" in said


def test_the_entry_point_of_the_recipe_names_its_class(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["idsync.sources"] == {"staging": "idsync_staging:StagingSource"}
    assert "class StagingSource(Source):" in (folder / "idsync_staging.py").read_text("utf-8")
