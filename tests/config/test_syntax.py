"""Files that are not TOML, or not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from idsync.config import load
from idsync.errors import ConfigError
from tests.config.conftest import Wrong

# ── files that are not TOML ─────────────────────────────────────────────────────────────

SYNTAX = {
    'password = "hunter2\n': "2: a text is not closed: add the closing quote",
    "password = hunter2\n": '2: this is no value: texts stand in "quotes"',
    "password 'hunter2'\n": "2: a key needs = and a value",
    "password = 'a' 'hunter2'\n": (
        "2: something stands after the value: one key a line, # before a remark"
    ),
    'path = "C:\\hunter2"\n': (
        "2: a text holds a sign it may not: write \\ as \\\\, or use 'single quotes'"
    ),
    "[sources.hunter2\n": "2: the name of a table is not closed: write [name] or [[name]]",
    "[hunter2]\n[hunter2]\n": "3: this key or table stands here twice: keep one",
    "hunter2 = 1\nhunter2 = 2\nb = 1\n": "3: this key or table stands here twice: keep one",
    "hunter2 = { b = 1\n": "2: a table is not closed: add }",
    "ö = 'hunter2'\n": "2: this is no key: quote keys with signs beside a-z, 0-9, - and _",
    "lösen = 'hunter2'\n": "2: a key needs = and a value",
    "hunter2 = 2020-13-45T99\n": None,
    "a = " + "[" * 5000: None,
}


@pytest.mark.parametrize(("text", "expected"), SYNTAX.items())
def test_a_syntax_error_names_the_line_and_not_the_content(
    wrong: Wrong, text: str, expected: str | None
) -> None:
    [told] = wrong("# the first line\n" + text)
    assert "hunter2" not in told
    assert re.match(r"\d+: ", told)
    assert expected in (None, told)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file.*--config FILE.*idsync demo"):
        load(tmp_path / "connectors.toml")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_a_file_in_another_encoding_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "connectors.toml"
    path.write_bytes("# ok\n# för\n".encode("iso-8859-1"))
    with pytest.raises(ConfigError, match=r"toml:2: a letter is not UTF-8"):
        load(path)
