"""The house stands as planned, and the test that says so sees what it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import FILE_LINES, FUNCTION_LINES, read_house, violations

HOUSE = Path(__file__).parents[1] / "idsync"

SOUND = {
    "__init__.py": '__version__ = "1"\n',
    "__main__.py": "from idsync.cli import main\n",
    "errors.py": "",
    "model.py": "from datetime import datetime\n",
    "settings.py": "from idsync.errors import ConfigError\n",
    "http.py": "import requests\nfrom idsync.http_answer import Answer\nimport idsync.settings\n",
    "http_answer.py": "from idsync import errors\n",
    "sources/__init__.py": "from idsync.model import Person\n",
    "sources/csv.py": "from idsync.sources import Source, csv_dates\n",
    "sources/csv_dates.py": "import time\n",
    "sources/ldap.py": "import ldap3\nfrom idsync import http\nfrom . import Source\n",
    "targets/__init__.py": "from ..model import Grant\n",
    "targets/local.py": "from idsync.targets.local_system.store import Store\n",
    "targets/local_system/__init__.py": "",
    "targets/local_system/store.py": "import sqlite3\nimport logging\n",
    "mapping/__init__.py": "",
    "mapping/rules.py": "from idsync.model import Person\ndef at(now): return now.today\n",
    "plan/__init__.py": "",
    "plan/diff.py": "import re\nfrom idsync.mapping import rules\nx = rows.write_ndjson()\n",
    "config/__init__.py": "from importlib.metadata import entry_points\n",
    "config/connectors.py": "import idsync.sources\nfrom idsync import targets\n",
    "store/__init__.py": "import sqlalchemy as sa\n",
    "apply/__init__.py": "import tenacity\nimport idsync.store\n",
    "testing/__init__.py": "from idsync.config import load\n",
    "service/__init__.py": "",
    "cli/__init__.py": "def main():\n    import click\n    from idsync.testing import city\n",
}


def build(folder: Path, files: dict[str, str]) -> Path:
    """Write a house of *files* below *folder*."""
    root = folder / "idsync"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_the_house_stands_as_planned() -> None:
    assert violations(HOUSE) == []


def test_every_file_of_the_house_is_read() -> None:
    house = read_house(HOUSE)
    assert len(house) == len(list(HOUSE.rglob("*.py"))) > 20
    assert [one.module for one in house["__main__"].imports] == ["idsync.cli"]


def test_a_sound_house_has_no_violations(tmp_path: Path) -> None:
    assert violations(build(tmp_path, SOUND)) == []


LONG_FUNCTION = (
    "def long():\n"
    + '    """Docstrings\n\n    do not count.\n    """\n'
    + "    pass\n" * (FUNCTION_LINES + 1)
)

PLANTED = {
    "errors see something": ("errors.py", "import idsync.model", "errors may not import model"),
    "the model sees something": (
        "model.py", "from idsync import errors", "model may not import errors",
    ),
    "settings see more": (
        "settings.py", "from idsync.config import load", "settings may not import config",
    ),
    "http sees more": ("http.py", "import idsync.config", "http may not import config"),
    "a sibling of http sees more": (
        "http_answer.py", "from idsync.mapping import rules", "http may not import mapping",
    ),
    "a source sees people's rules": (
        "sources/csv.py", "from idsync.mapping.rules import at", "sources may not import mapping",
    ),
    "a source sees the other promise": (
        "sources/csv.py", "from idsync.targets import Target", "sources may not import targets",
    ),
    "a source sees another source": (
        "sources/csv.py", "from idsync.sources import ldap", "the connector sources.ldap by name",
    ),
    "a relative import of another source": (
        "sources/csv.py", "from .ldap import x", "the connector sources.ldap by name",
    ),
    "a sibling sees another source": (
        "sources/csv_dates.py", "import idsync.sources.ldap", "the connector sources.ldap by name",
    ),
    "a promise sees a connector": (
        "targets/__init__.py", "from idsync.targets.local import LocalTarget",
        "the connector targets.local by name",
    ),
    "the command line sees a connector": (
        "cli/__init__.py", "def f():\n    from idsync.targets.local_system import store",
        "the connector targets.local_system.store by name",
    ),
    "a connector is imported by its text": (
        "service/__init__.py", "x = importlib.import_module('idsync.sources.csv')",
        "the connector sources.csv by name",
    ),
    "only for types is still an arrow": (
        "mapping/rules.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from idsync.plan import diff",
        "mapping may not import plan",
    ),
    "an arrow hidden in a function": (
        "plan/diff.py", "def f():\n    from idsync.store import x", "plan may not import store",
    ),
    "an arrow hidden in a method": (
        "plan/diff.py", "class A:\n    def f(self):\n        import idsync.config as c",
        "plan may not import config",
    ),
    "two relative dots": (
        "targets/local_system/store.py", "from ...config import load",
        "targets may not import config",
    ),
    "the configuration sees the state": (
        "config/connectors.py", "import idsync.store", "config may not import store",
    ),
    "a file without a place": ("engine.py", "", "engine has no place in the table"),
    "SQL outside the store": ("plan/diff.py", "from sqlalchemy import text", "only store and"),
    "SQLite in another target": (
        "targets/acme.py", "import sqlite3", "only store and targets.local and",
    ),
    "requests in a connector": ("sources/csv.py", "import requests", "only http may"),
    "retries in a connector": ("sources/csv.py", "import tenacity.wait", "only apply may"),
    "rich outside the command line": ("apply/__init__.py", "import rich", "only cli may"),
    "entry points elsewhere": (
        "apply/__init__.py", "from importlib.metadata import entry_points",
        "only config and cli may",
    ),
    "a file in a pure room": ("plan/diff.py", "from pathlib import Path", "imports pathlib.Path"),
    "a pure room opens": ("mapping/rules.py", "x = open('x')", "calls open"),
    "a pure room reads a table": ("plan/diff.py", "x = pl.read_csv('x')", "calls pl.read_csv"),
    "a pure room writes a table": ("plan/diff.py", "rows.write_csv('x')", "calls rows.write_csv"),
    "a pure room looks at the clock": (
        "plan/diff.py", "import datetime\nx = datetime.datetime.now(z)", "datetime.datetime.now",
    ),
    "a pure room looks at the calendar": ("mapping/rules.py", "x = date.today()", "date.today"),
    "a pure room imports the clock": ("mapping/rules.py", "import time", "imports time"),
    "a connector sleeps": ("sources/csv_dates.py", "time.sleep(1)", "is a connector and sleeps"),
    "a connector logs": ("sources/ldap.py", "import logging", "is a connector and logs"),
    "a private name leaves its file": (
        "plan/diff.py", "from idsync.mapping.rules import _at", "_at, which is private",
    ),
    "a long file": ("model.py", "x = 1\n" * FILE_LINES, "lines, 400 is the limit"),
    "a long function": ("plan/diff.py", LONG_FUNCTION, "long has 61 lines, 60 is the limit"),
    "a name that says nothing": ("plan/utils.py", "", "utils says nothing"),
    "a longer name that says nothing": ("plan/plan_helpers.py", "", "plan_helpers says nothing"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "added", "expected"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_violation_is_seen(tmp_path: Path, name: str, added: str, expected: str) -> None:
    files = {**SOUND, name: SOUND.get(name, "") + added + "\n"}
    [told] = violations(build(tmp_path, files))
    assert told.startswith(f"idsync/{name}:")
    assert expected in told


def test_a_circle_is_seen_from_every_file_of_it(tmp_path: Path) -> None:
    files = {
        **SOUND,
        "plan/a.py": "from idsync.plan import b\n",
        "plan/b.py": "import idsync.plan.c\n",
        "plan/c.py": "from .a import x\n",
    }
    told = violations(build(tmp_path, files))
    assert [one.partition(":")[0] for one in told] == [
        "idsync/plan/a.py", "idsync/plan/b.py", "idsync/plan/c.py",
    ]  # fmt: skip
    assert all("in turn" in one for one in told)


def test_a_circle_closed_late_is_none(tmp_path: Path) -> None:
    files = {
        **SOUND,
        "plan/a.py": "from idsync.plan import b\n",
        "plan/b.py": "def f():\n    from idsync.plan import a\n",
    }
    assert violations(build(tmp_path, files)) == []


def test_the_limits_themselves_are_allowed(tmp_path: Path) -> None:
    body = LONG_FUNCTION.removesuffix("    pass\n")
    files = {**SOUND, "plan/diff.py": body, "errors.py": "x = 1\n" * FILE_LINES}
    assert violations(build(tmp_path, files)) == []
