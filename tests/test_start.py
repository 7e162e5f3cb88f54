"""`idsync --help` answers at once: nothing heavy is imported to print a page of text."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

HEAVY = ("polars", "pydantic", "sqlalchemy", "requests", "ldap3", "rich", "tenacity")
MOST_CPU_S = 0.1

RUN = """
import runpy, sys
sys.argv = ["idsync", *sys.argv[1:]]
try:
    runpy.run_module("idsync", run_name="__main__", alter_sys=True)
except SystemExit as left:
    assert not left.code, left.code
loaded = {name.partition(".")[0] for name in sys.modules}
print("loaded:", *sorted(loaded), file=sys.stderr)
"""


def loaded_by(*arguments: str, before: str = "") -> set[str]:
    """Return the top-level modules that are loaded after `python -m idsync` has run."""
    done = subprocess.run(
        [sys.executable, "-c", before + textwrap.dedent(RUN), *arguments],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return set(done.stderr.strip().split("\n")[-1].removeprefix("loaded: ").split())


def cpu_s(*arguments: str) -> float:
    """Return the least processor time, in seconds, that Python needed in seven runs."""
    needed = []
    for _ in range(7):
        before = os.times()
        subprocess.run([sys.executable, *arguments], capture_output=True, timeout=60, check=True)
        after = os.times()
        needed.append(
            after.children_user + after.children_system
            - before.children_user - before.children_system
        )  # fmt: skip
    return min(needed)


def test_help_imports_nothing_heavy() -> None:
    loaded = loaded_by("--help")
    assert "idsync" in loaded
    assert not loaded.intersection(HEAVY)


def test_the_version_imports_nothing_heavy() -> None:
    assert not loaded_by("--version").intersection(HEAVY)


def test_a_heavy_import_would_be_seen() -> None:
    assert loaded_by("--help", before="import polars\n").intersection(HEAVY) == {"polars"}


def test_help_costs_little_more_than_python_itself() -> None:
    assert cpu_s("-m", "idsync", "--help") - cpu_s("-c", "pass") < MOST_CPU_S
