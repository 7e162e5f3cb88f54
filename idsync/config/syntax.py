"""Reads a TOML file, and says where it is not TOML without repeating what stands there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from idsync.errors import ConfigError

WHATS_WRONG = {
    r"Cannot (overwrite|declare|mutate)|Duplicate": "this key or table stands here twice: keep one",
    r"Illegal character '\\n'|Unterminated string|Expected [\"']+$": (
        "a text is not closed: add the closing quote"
    ),
    r"Illegal character|Unescaped|hex value|escape": (
        "a text holds a sign it may not: write \\ as \\\\, or use 'single quotes'"
    ),
    r"Unclosed array": "a list is not closed: add ]",
    r"Unclosed inline table": "a table is not closed: add }",
    r"table declaration": "the name of a table is not closed: write [name] or [[name]]",
    r"Expected '='": "a key needs = and a value",
    r"Expected newline": "something stands after the value: one key a line, # before a remark",
    r"Invalid value": 'this is no value: texts stand in "quotes"',
    r"key part|Invalid statement": "this is no key: quote keys with signs beside a-z, 0-9, - and _",
}
"""What the reader's messages hold (they may repeat a value), and what is told instead."""


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the text of *path* and the tables it states.

    Raises:
        ConfigError: there is no such file, it cannot be read, or it is not TOML.
    """
    text = _text(path)
    try:
        return text, tomllib.loads(text)
    except ValueError as error:
        message = str(error)
    except RecursionError:
        message = "too deep"
    found = re.search(r"\(at line (\d+), column (\d+)\)$", message)
    line = int(found[1]) if found else text.rstrip("\n").count("\n") + 1
    what = re.sub(r" \(at [^()]*\)$", "", message)
    sentence = next(
        (told for seen, told in WHATS_WRONG.items() if re.search(seen, what)), "this is not TOML"
    )
    raise ConfigError(f"{path}:{line}: {sentence}")


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file: name yours with --config FILE, "
            "or run `idsync demo` to see a whole one at work"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}): check the path and its rights"
        ) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: a letter is not UTF-8: save the file as UTF-8") from None
    return text.replace("\r\n", "\n")
