"""A skipped test is a failure in CI, and a run without a test is never a success."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RULES = Path(__file__).with_name("conftest.py")

PASSES = "def test_it(): pass\n"
SKIPS = "import pytest\ndef test_it(): pytest.skip('no server')\n"
SKIPS_BEFORE = "import pytest\n@pytest.mark.skip('no server')\ndef test_it(): pass\n"
SKIPS_WHOLE = "import pytest\npytest.skip('no server', allow_module_level=True)\n"
EXPECTED = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n"
LONG = "import pytest\n@pytest.mark.long\ndef test_it(): pass\n"


def run(folder: Path, *texts: str, ci: bool, options: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run pytest on *texts*, each a file, under our rules; return its exit code and output."""
    shutil.copy(RULES, folder)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  long: long\n")
    for number, text in enumerate(texts):
        (folder / f"test_{number}.py").write_text(text)
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        env=environment | ({"CI": "true"} if ci else {}),
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("text", [SKIPS, SKIPS_BEFORE, SKIPS_WHOLE])
def test_in_ci_a_skip_is_a_failure(tmp_path: Path, text: str) -> None:
    code, told = run(tmp_path, PASSES, text, ci=True)
    assert code in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    assert "in CI nothing may be" in told
    assert "no server" in told


@pytest.mark.parametrize("text", [SKIPS, SKIPS_BEFORE, SKIPS_WHOLE])
def test_elsewhere_a_skip_is_allowed(tmp_path: Path, text: str) -> None:
    code, told = run(tmp_path, PASSES, text, ci=False)
    assert code == pytest.ExitCode.OK
    assert "1 passed, 1 skipped" in told


@pytest.mark.parametrize("text", [SKIPS, SKIPS_BEFORE, SKIPS_WHOLE, LONG, ""])
def test_a_run_without_a_test_is_no_success(tmp_path: Path, text: str) -> None:
    code, _ = run(tmp_path, text, ci=False)
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED


def test_an_expected_failure_is_not_a_skip(tmp_path: Path) -> None:
    code, told = run(tmp_path, PASSES, EXPECTED, ci=True)
    assert code == pytest.ExitCode.OK
    assert "1 passed, 1 xfailed" in told


def test_long_sweeps_run_only_when_they_are_asked_for(tmp_path: Path) -> None:
    assert "1 passed, 1 deselected" in run(tmp_path, PASSES, LONG, ci=True)[1]
    assert "2 passed" in run(tmp_path, PASSES, LONG, ci=True, options=("--long",))[1]
